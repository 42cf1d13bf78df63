//! The launch itself, as the sandbox uses it: namespaces, capabilities, extra descriptors, payload and
//! channel.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::credential::{FIRST_EXTRA_FD, MAX_PAYLOAD};
use super::dispatch::inherited;
use super::launch::{Launch, Launched, launch};
use super::launch_error::LaunchError;
use super::registry::{ROLES, Role, RoleOutcome};
use super::{child::Step, wait};
use crate::capability::CapabilitySet;

// Miri knows neither the seals that are looked for before `main` nor processes: fuzz/README.md says what runs
// there.
#[cfg(not(miri))]
crate::enable_test_support!();

/// Waits for one datagram, then tells what it sees.
fn mirror() -> RoleOutcome {
    let inherited = inherited().expect("a reserved role");
    assert!(super::dispatch::inherited().is_none());
    let mut channel = File::from(inherited.channel);
    let mut word = [0; 16];
    let length = channel.read(&mut word).expect("the channel");
    assert_eq!(&word[..length], b"go");
    let mut extras = String::new();
    for fd in FIRST_EXTRA_FD.. {
        // SAFETY: any number may be asked about.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags < 0 {
            break;
        }
        assert_eq!(flags, libc::FD_CLOEXEC);
        // SAFETY: open, and ours.
        let file = unsafe { File::from_raw_fd(fd) };
        std::io::Read::take(file, 100).read_to_string(&mut extras).expect("text");
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    // SAFETY: no preconditions.
    let (parent, session) = unsafe { (libc::getppid(), libc::getsid(0)) };
    let report = format!(
        "payload={} extras={extras} pid={} parent={parent} session={session} effective={} ambient={} arguments={:?} environment={:?}",
        inherited.payload.len(),
        std::process::id(),
        field("CapEff:"),
        field("CapAmb:"),
        std::env::args().collect::<Vec<_>>(),
        std::env::vars().collect::<Vec<_>>(),
    );
    channel.write_all(report.as_bytes()).expect("the channel");
    Ok(())
}

#[linkme::distributed_slice(ROLES)]
static MIRROR: Role = Role::reserved("test:mirror", mirror);

#[linkme::distributed_slice(ROLES)]
static ORDINARY: Role = Role::new("launch-test-ordinary", || Ok(()));

fn strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

fn plain<'a>(argv: &'a [CString], null: BorrowedFd<'a>) -> Launch<'a> {
    Launch {
        role: "test:mirror",
        payload: b"",
        argv,
        env: &[],
        stdio: [null; 3],
        extra: &[],
        clone_flags: 0,
        raise_capabilities: CapabilitySet::EMPTY,
        cwd: None,
        death_signal: true,
        death_watch: false,
        new_session: false,
        cgroup: None,
    }
}

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// Sends the word and reads the report.
fn report(launched: Launched) -> String {
    launched.wait_ready(Duration::from_secs(5)).unwrap();
    let mut channel = File::from(launched.channel);
    channel.write_all(b"go").unwrap();
    let mut report = vec![0; 4096];
    let length = channel.read(&mut report).unwrap();
    assert!(wait::reap(launched.pidfd.as_fd()).unwrap().success());
    String::from_utf8(report[..length].to_vec()).unwrap()
}

fn file(contents: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

#[test]
fn payload_and_descriptors_arrive() {
    let (null, argv, env) = (null(), strings(&["shown", "x"]), strings(&["A=b"]));
    let (one, two, three) = (file("one,"), file("two,"), file("three"));
    let payload = vec![7; MAX_PAYLOAD];
    let extra = [one.as_fd(), two.as_fd(), three.as_fd()];
    let wanted = Launch {
        payload: &payload,
        env: &env,
        extra: &extra,
        new_session: true,
        ..plain(&argv, null.as_fd())
    };
    let launched = launch(&wanted).unwrap();
    let pid = launched.pid;
    let report = report(launched);
    assert!(
        report.starts_with(&format!("payload={MAX_PAYLOAD} extras=one,two,three pid={pid} ")),
        "{report}"
    );
    assert!(report.contains(&format!("parent={} session={pid} ", std::process::id())), "{report}");
    // std has no arguments before main with musl.
    let arguments = if cfg!(target_env = "musl") { "[]" } else { "[\"shown\", \"x\"]" };
    assert!(report.ends_with(&format!("arguments={arguments} environment=[(\"A\", \"b\")]")), "{report}");
}

#[test]
fn bounds_are_errors() {
    let (null, argv) = (null(), strings(&["x"]));
    let payload = vec![0; MAX_PAYLOAD + 1];
    let plain = || plain(&argv, null.as_fd());
    assert!(matches!(
        launch(&Launch { payload: &payload, ..plain() }),
        Err(LaunchError::PayloadTooLarge { size }) if size == MAX_PAYLOAD + 1
    ));
    assert!(matches!(launch(&Launch { argv: &[], ..plain() }), Err(LaunchError::NoArguments)));
    let name = "n".repeat(256);
    assert!(matches!(
        launch(&Launch { role: &name, ..plain() }),
        Err(LaunchError::NameTooLong { size: 256 })
    ));
    let many = [null.as_fd(); 257];
    assert!(matches!(
        launch(&Launch { extra: &many, ..plain() }),
        Err(LaunchError::TooManyDescriptors { count: 257 })
    ));
    assert!(matches!(
        launch(&Launch { cwd: Some(c"/nowhere"), ..plain() }),
        Err(LaunchError::Setup { step: Step::WorkingDirectory, source }) if source.raw_os_error() == Some(libc::ENOENT)
    ));
    let long = strings(&["x", &"y".repeat(200_000)]);
    assert!(matches!(
        launch(&Launch { argv: &long, ..plain() }),
        Err(LaunchError::Setup { step: Step::Exec, source }) if source.raw_os_error() == Some(libc::E2BIG)
    ));
    assert!(matches!(
        launch(&Launch { clone_flags: libc::CLONE_THREAD as u64, ..plain() }),
        Err(LaunchError::Clone { source, .. }) if source.raw_os_error() == Some(libc::EINVAL)
    ));
}

const NEW: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC) as u64
    | (libc::CLONE_NEWUTS | libc::CLONE_NEWNET) as u64;

#[test]
fn in_new_namespaces_with_all_capabilities() {
    let (null, argv) = (null(), strings(&["shown"]));
    let wanted =
        Launch { clone_flags: NEW, raise_capabilities: CapabilitySet::NAMED, ..plain(&argv, null.as_fd()) };
    // Before the ids are mapped, and after.
    for map in [false, true] {
        let launched = launch(&wanted).unwrap();
        if map {
            let path = |name: &str| format!("/proc/{}/{name}", launched.pid);
            std::fs::write(path("setgroups"), "deny").unwrap();
            // SAFETY: no preconditions.
            let uid = unsafe { libc::geteuid() };
            std::fs::write(path("uid_map"), format!("0 {uid} 1")).unwrap();
        }
        let report = report(launched);
        assert!(report.contains(" pid=1 parent=0 "), "{report}");
        let of = |name: &str| {
            let (_, rest) = report.split_once(name).unwrap();
            u64::from_str_radix(rest.split_whitespace().next().unwrap(), 16).unwrap()
        };
        let last: u32 =
            std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        assert_eq!(of("effective="), (2 << last) - 1, "{report}");
        assert_eq!(of("ambient="), (2 << last) - 1, "{report}");
    }
}

#[test]
fn ordinary_roles_do_not_run_in_new_namespaces() {
    let (null, argv) = (null(), strings(&["shown"]));
    let wanted = Launch { role: "launch-test-ordinary", clone_flags: NEW, ..plain(&argv, null.as_fd()) };
    let error = launch(&wanted).unwrap().wait_ready(Duration::from_secs(5)).unwrap_err();
    assert!(
        matches!(error, LaunchError::Refused { source: super::refusal::Refusal::NotASandbox }),
        "{error:?}"
    );
}

#[test]
fn streams_may_have_any_numbers_and_order() {
    let argv = strings(&["shown"]);
    // The child's own numbers, crosswise: 5 to 9 hold what is to be 9 to 5.
    let null = null();
    let files: Vec<OwnedFd> = (0..5).map(|n| file(&n.to_string())).collect();
    let extra: Vec<BorrowedFd<'_>> = files.iter().rev().map(AsFd::as_fd).collect();
    let report = report(launch(&Launch { extra: &extra, ..plain(&argv, null.as_fd()) }).unwrap());
    assert!(report.contains("extras=43210 "), "{report}");
    assert!(files.iter().all(|file| file.as_raw_fd() > 2));
}
