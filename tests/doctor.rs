//! The doctor on this machine, as the user who runs the tests and, if that is root, as another one.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use belljar::doctor::{Doctor, Finding, Layer, State, verdicts};
use belljar::internals::doctor::{exit_code, json};
use belljar::profile::{Profile, builtin_names};

belljar::enable_test_support!();

/// For the profiles that ship.
fn doctor() -> Doctor {
    Doctor::new(builtin_names().iter().map(|name| Profile::load(name).expect("a profile")))
}

/// What every profile with namespaces stands on.
const GROUND: [Layer; 13] = [
    Layer::Kernel,
    Layer::Reexec,
    Layer::Proc,
    Layer::UserNamespace,
    Layer::IdMap,
    Layer::MountNamespace,
    Layer::Tmpfs,
    Layer::BindMount,
    Layer::MountProcPid,
    Layer::PidNamespace,
    Layer::NetworkNamespace,
    Layer::Seccomp,
    Layer::Landlock,
];

fn examine() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(id) = std::env::args().nth(1) {
        let id: u32 = id.parse()?;
        // SAFETY: no pointers but an empty list; a fresh process with a single thread.
        let done = unsafe {
            [
                libc::setgroups(0, std::ptr::null()),
                libc::setresgid(id, id, id),
                libc::setresuid(id, id, id),
                libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
            ]
        };
        if done != [0; 4] {
            return Err(std::io::Error::last_os_error().into());
        }
    }
    json(&doctor().examine(), &mut std::io::stdout())?;
    Ok(())
}
belljar::role!("examine", examine);

fn is_root() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() == 0 }
}

fn findings(output: &Output) -> BTreeMap<Layer, Finding> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    let findings: Vec<Finding> = serde_json::from_value(report["layers"].clone()).expect("findings");
    findings.into_iter().map(|finding| (finding.layer, finding)).collect()
}

fn assert_ground(findings: &BTreeMap<Layer, Finding>) {
    assert!(findings.keys().eq(Layer::ALL.iter()), "{:?}", findings.keys());
    for layer in GROUND {
        let finding = &findings[&layer];
        assert_eq!(finding.state, State::Works, "{finding:?}");
    }
}

#[test]
fn this_machine_has_what_the_tests_need() {
    let begun = Instant::now();
    let findings = findings(&belljar::reexec::command("examine").output().expect("a child"));
    let took = begun.elapsed();
    assert_ground(&findings);
    if is_root() {
        assert_eq!(findings[&Layer::IdMapUnique].state, State::Works, "{:?}", findings[&Layer::IdMapUnique]);
    } else {
        assert_eq!(findings[&Layer::IdMapUnique].state, State::Unknown);
    }
    // What ships runs here, and the findings say what each profile stands on.
    let all: Vec<Finding> = findings.values().cloned().collect();
    let verdicts = verdicts(&all);
    assert_eq!(verdicts.len(), builtin_names().len(), "{verdicts:?}");
    assert!(verdicts.iter().all(|verdict| verdict.runs), "{verdicts:?}");
    assert_eq!(exit_code(&all), 0);
    // Against a hang; how long it takes is no test's business.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_user_without_privileges_has_it_too() {
    if !is_root() {
        return; // the test above was it
    }
    let findings = findings(&belljar::reexec::command("examine").arg("65534").output().expect("a child"));
    assert_ground(&findings);
    for layer in [Layer::IdMapUnique, Layer::IdMappedMount] {
        assert_eq!(findings[&layer].state, State::Unknown, "{:?}", findings[&layer]);
    }
    assert_eq!(findings[&Layer::IdMap].detail, "uid 65534 as 0");
}

#[test]
fn nothing_is_tried_in_the_caller() {
    let own = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
    let status = || std::fs::read_to_string("/proc/self/status").expect("a status");
    let kept = |status: &str| -> Vec<String> {
        status
            .lines()
            .filter(|line| line.starts_with("NoNewPrivs") || line.starts_with("Seccomp"))
            .map(str::to_owned)
            .collect()
    };
    let before = (own("user"), own("mnt"), own("net"), kept(&status()));
    // From a process with several threads, such as this one.
    let findings = doctor().examine();
    assert!(findings.iter().any(|finding| finding.state == State::Works));
    assert_eq!((own("user"), own("mnt"), own("net"), kept(&status())), before);
}

#[test]
fn without_user_namespaces_it_says_which_sysctl() {
    if !is_root() {
        return; // the limit of a namespace of one's own takes its root
    }
    let findings = findings(&belljar::reexec::command("without-user-namespaces").output().expect("a child"));
    let finding = &findings[&Layer::UserNamespace];
    assert_eq!(finding.state, State::Missing, "{finding:?}");
    assert_eq!(finding.errno.as_deref(), Some("ENOSPC"));
    assert_eq!(finding.fix[0], "sudo sysctl -w user.max_user_namespaces=10000");
    assert!(
        finding.cause.as_deref().is_some_and(|cause| cause.contains("user.max_user_namespaces=0")),
        "{finding:?}"
    );
    let all: Vec<Finding> = findings.values().cloned().collect();
    assert_eq!(exit_code(&all), 1);
    for verdict in verdicts(&all) {
        // This is root: to an ordinary user *lite* would lack nothing.
        assert_eq!(verdict.lacks == [Layer::OrdinaryUser], verdict.profile == "lite", "{verdict:?}");
    }
    // What needs none still works.
    assert_eq!(findings[&Layer::Landlock].state, State::Works, "{:?}", findings[&Layer::Landlock]);
    assert_eq!(findings[&Layer::Seccomp].state, State::Works, "{:?}", findings[&Layer::Seccomp]);
}

/// In a user namespace of its own, whose limit is its own too: the machine's stays as it is.
fn without_user_namespaces() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: no pointers; a fresh process with a single thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", "0 0 1")?;
    std::fs::write("/proc/self/gid_map", "0 0 1")?;
    std::fs::write("/proc/sys/user/max_user_namespaces", "0")?;
    json(&doctor().examine(), &mut std::io::stdout())?;
    Ok(())
}
belljar::role!("without-user-namespaces", without_user_namespaces);

#[test]
fn in_a_container_like_place_it_says_that_proc_is_masked() {
    if !is_root() {
        return;
    }
    let findings = findings(&belljar::reexec::command("with-masked-proc").output().expect("a child"));
    let finding = &findings[&Layer::MountProc];
    assert_eq!(finding.state, State::Missing, "{finding:?}");
    assert_eq!(finding.errno.as_deref(), Some("EPERM"));
    assert!(finding.cause.as_deref().is_some_and(|cause| cause.contains("too revealing")), "{finding:?}");
    assert_eq!(findings[&Layer::Tmpfs].state, State::Works);
}

/// In a mount namespace of its own, with a part of `/proc` hidden as container engines do.
fn with_masked_proc() -> Result<(), Box<dyn std::error::Error>> {
    let mount = |source: &std::ffi::CStr, target: &std::ffi::CStr, kind: &std::ffi::CStr, flags| {
        // SAFETY: strings that live through the call.
        match unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) }
        {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: no pointers; a fresh process with a single thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    mount(c"", c"/", c"", libc::MS_REC | libc::MS_PRIVATE)?;
    mount(c"tmpfs", c"/proc/sys/fs", c"tmpfs", libc::MS_RDONLY)?;
    json(&doctor().examine(), &mut std::io::stdout())?;
    Ok(())
}
belljar::role!("with-masked-proc", with_masked_proc);
