//! Landlock, the system-call filter and *lite*.

use std::path::Path;

use super::fixtures::*;
use crate::capability::Capability;
use crate::host::Facts;
use crate::plan::paths::landlock::access::*;
use crate::plan::paths::landlock::handled_fs;
use crate::plan::{Call, Namespaces, Note, Plan, PlanError, resolve, resolve_with_notes};
use crate::profile::{Landlock, Mount, MountKind, Profile, Scope, Workdir};
use crate::seccomp::{Action, Policy, Rule};

fn with_abi(profile: &Profile, abi: Option<u32>) -> Result<Plan, PlanError> {
    resolve(profile, &Facts { landlock_abi: abi, ..facts() }, &files(), &Call::program(["sh"]))
}

/// What the ruleset grants at a path: the rules of the path and of all above it.
fn granted(plan: &Plan, path: &str) -> u64 {
    let rules = &plan.task.landlock.as_ref().unwrap().rules;
    rules
        .iter()
        .filter(|rule| Path::new(path).starts_with(text(&rule.path)))
        .fold(0, |sum, rule| sum | rule.access)
}

#[test]
fn every_abi() {
    for abi in 1..=9 {
        let landlock = with_abi(&profile(), Some(abi)).unwrap().task.landlock.unwrap();
        assert_eq!(landlock.handled_fs, handled_fs(abi));
        assert_eq!(landlock.scoped, if abi >= 6 { 3 } else { 0 });
        assert_eq!(landlock.handled_net, 0, "a network namespace of its own is for the program to use");
        assert!(
            landlock.rules.iter().all(|rule| rule.access & !landlock.handled_fs == 0 && rule.access != 0)
        );
    }
}

#[test]
fn the_rules_follow_the_mounts() {
    let profile = Profile {
        workdir: Workdir::Writable,
        ..with([Mount { noexec: true, ..bind("/opt", "/opt", true) }])
    };
    let plan = with_abi(&profile, Some(9)).unwrap();
    let read = READ_FILE | READ_DIR;
    assert_eq!(granted(&plan, "/usr/bin"), read | EXECUTE);
    assert_eq!(granted(&plan, "/opt"), read);
    let work = granted(&plan, "/home/me/project/x");
    assert_eq!(
        work & (WRITE_FILE | MAKE_REG | REFER | TRUNCATE | EXECUTE),
        WRITE_FILE | MAKE_REG | REFER | TRUNCATE | EXECUTE
    );
    assert_eq!(work & (MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV | RESOLVE_UNIX), 0);
    assert_eq!(granted(&plan, "/etc/passwd"), read);
    assert_eq!(granted(&plan, "/dev/null"), READ_DIR | READ_FILE | WRITE_FILE);
    assert_eq!(granted(&plan, "/dev/tty") & IOCTL_DEV, IOCTL_DEV);
    assert_eq!(granted(&plan, "/dev/pts/0"), read | WRITE_FILE | IOCTL_DEV);
    assert_eq!(granted(&plan, "/proc/self/task/1/comm"), read | WRITE_FILE | TRUNCATE);
    // Anything else: names at most.
    assert_eq!(granted(&plan, "/home/me/.ssh/id"), READ_DIR);
    assert_eq!(granted(&plan, "/sys/kernel"), READ_DIR);
}

#[test]
fn a_writable_root_is_writable() {
    let mut profile = profile();
    profile.root.readonly = false;
    let plan = with_abi(&profile, Some(6)).unwrap();
    assert_eq!(granted(&plan, "/new") & (MAKE_REG | WRITE_FILE), MAKE_REG | WRITE_FILE);
    assert_eq!(granted(&plan, "/new") & EXECUTE, 0);
}

#[test]
fn no_landlock_no_plan() {
    for abi in [None, Some(0)] {
        let error = with_abi(&profile(), abi).unwrap_err();
        assert!(matches!(error, PlanError::Landlock { needs: 1, .. }));
        assert!(error.hint().unwrap().contains("CONFIG_SECURITY_LANDLOCK") || abi == Some(0));
    }
    let off = Profile { landlock: Landlock::default(), ..profile() };
    assert_eq!(with_abi(&off, None).unwrap().task.landlock, None);
    let scoped =
        |require| Profile { landlock: Landlock { require, scopes: [Scope::Signal].into() }, ..profile() };
    assert!(matches!(
        with_abi(&scoped(true), Some(5)),
        Err(PlanError::Landlock { needs: 6, has: Some(5), .. })
    ));
    assert!(with_abi(&scoped(true), Some(6)).is_ok());
    assert!(matches!(with_abi(&scoped(false), Some(6)), Err(PlanError::Unenforceable { .. })));
}

#[test]
fn an_old_kernel_is_told_by_its_version_and_call() {
    let on = |kernel, landlock_abi, profile: &Profile| {
        let facts = Facts { kernel, landlock_abi, ..facts() };
        resolve(profile, &facts, &files(), &Call::program(["sh"])).map_err(|error| error.to_string())
    };
    let namespaces = "plan: a profile with namespaces needs Linux 5.12 (mount_setattr), this is Linux 5.11";
    assert_eq!(on((5, 11), None, &profile()).unwrap_err(), namespaces);
    let landlock = "plan: Landlock needs Linux 5.13 (landlock_create_ruleset), this is Linux 5.12";
    assert_eq!(on((5, 12), None, &profile()).unwrap_err(), landlock);
    // A distribution may have it in an older one.
    assert!(on((5, 12), Some(1), &profile()).is_ok());
    let bare = Profile { landlock: Landlock::default(), mounts: vec![], ..lite() };
    let flag = "plan: the re-execution needs Linux 5.11 (CLOSE_RANGE_CLOEXEC), this is Linux 5.10";
    assert_eq!(on((5, 10), None, &bare).unwrap_err(), flag);
    let error = on((5, 13), None, &profile()).unwrap_err();
    assert!(error.contains("the kernel has none"), "{error}");
}

#[test]
fn read_only_devices_are_landlocks() {
    let random = with([bind("/dev/kvm", "/dev/kvm", true)]);
    assert_eq!(granted(&with_abi(&random, Some(6)).unwrap(), "/dev/kvm") & WRITE_FILE, 0);
    let off = Profile { landlock: Landlock::default(), ..random };
    assert!(matches!(with_abi(&off, Some(6)), Err(PlanError::Unenforceable { .. })));
}

fn policy(default: Action, names: &[&str], action: Action) -> Policy {
    let rule = Rule { names: names.iter().map(|name| (*name).to_owned()).collect(), action, args: vec![] };
    Policy { default, rules: vec![rule].into(), flags: 0 }
}

#[test]
fn the_filter_and_its_read_back() {
    let run = |policy| {
        let profile = Profile { seccomp: Some(policy), ..profile() };
        resolve_with_notes(&profile, &facts(), &files(), &Call::program(["sh"]))
    };
    let readback = |policy| run(policy).unwrap().0.task.seccomp.unwrap().readback;
    assert_eq!(readback(policy(Action::Errno(1), &["prctl"], Action::Allow)), Some(2));
    assert_eq!(readback(policy(Action::Errno(38), &["read"], Action::Allow)), Some(-38));
    assert_eq!(readback(policy(Action::KillProcess, &["read"], Action::Allow)), None);
    // Unknown names: less is allowed, and a person is told; but nothing is let through because of one.
    let (_, notes) = run(policy(Action::Errno(1), &["read", "frobnicate"], Action::Allow)).unwrap();
    assert_eq!(notes, [Note::UnknownSyscalls { names: vec!["frobnicate".into()] }]);
    let open = run(policy(Action::Allow, &["frobnicate"], Action::Errno(1)));
    assert!(matches!(open, Err(PlanError::Seccomp { .. })));
}

#[test]
fn lite_turns_mounts_into_rights() {
    let mut profile = lite();
    profile.workdir = Workdir::Writable;
    profile.mounts.push(bind("/dev/null", "/dev/null", false));
    profile.mounts.push(mount("/proc", MountKind::Proc { subset_pid: false }));
    let plan = resolve(&profile, &facts(), &files().directory("/proc"), &Call::program(["sh"])).unwrap();
    assert_eq!((plan.walls.namespaces, plan.walls.root.clone()), (Namespaces::Lite, None));
    assert_eq!(text(&plan.task.cwd), Path::new("/home/me/project"));
    assert_eq!(granted(&plan, "/usr/bin/sh"), READ_FILE | READ_DIR | EXECUTE);
    assert_eq!(granted(&plan, "/home/me/project") & WRITE_FILE, WRITE_FILE);
    assert_eq!(granted(&plan, "/dev/null"), READ_FILE | WRITE_FILE);
    assert_eq!(granted(&plan, "/proc/1/comm"), READ_FILE | READ_DIR);
    assert_eq!(granted(&plan, "/home/me/.ssh"), 0);
    assert_eq!(granted(&plan, "/"), 0);
    assert!(plan.to_text(&[]).contains("rw /home/me/project"));
}

#[test]
fn lite_refuses_what_only_a_mount_can_give() {
    let refused = |change: &dyn Fn(&mut Profile)| {
        let mut profile = lite();
        change(&mut profile);
        let result = with_abi(&profile, Some(6));
        assert!(matches!(result, Err(PlanError::Unenforceable { .. })), "{result:?}");
        assert!(result.unwrap_err().hint().is_some());
    };
    refused(&|p| p.mounts.push(tmpfs("/tmp")));
    refused(&|p| p.mounts.push(bind("/opt", "/elsewhere", true)));
    refused(&|p| p.mounts.push(mount("/proc", MountKind::Proc { subset_pid: true })));
    refused(&|p| p.mounts.push(mount("/dev/mqueue", MountKind::Mqueue)));
    refused(&|p| p.root.path = Some("/image".into()));
    refused(&|p| p.hostname = Some("x".into()));
    refused(&|p| p.process.no_new_privileges = false);
    refused(&|p| p.process.capabilities = Capability::CAP_CHOWN.into());
    refused(&|p| p.landlock.require = false);
    let contradicted = |change: &dyn Fn(&mut Profile)| {
        let mut profile = lite();
        change(&mut profile);
        assert!(matches!(with_abi(&profile, Some(6)), Err(PlanError::Contradiction { .. })));
    };
    contradicted(&|p| p.masked_paths = vec!["/usr/share".into()]);
    contradicted(&|p| {
        p.workdir = Workdir::Writable;
        p.readonly_paths = vec!["/home/me/project/.git".into()];
    });
    let mut harmless = lite();
    harmless.masked_paths = vec!["/sys/firmware".into()];
    harmless.readonly_paths = vec!["/usr/share".into()];
    assert!(with_abi(&harmless, Some(6)).is_ok());
}

#[test]
fn lite_keeps_the_network_out() {
    let net = |seccomp: Option<Policy>, abi| {
        with_abi(&Profile { seccomp, ..lite() }, Some(abi)).map(|p| p.task.landlock.unwrap().handled_net)
    };
    // Without a filter Landlock is all there is.
    assert_eq!(net(None, 6).unwrap(), BIND_TCP | CONNECT_TCP);
    assert!(matches!(net(None, 3), Err(PlanError::Landlock { needs: 4, .. })));
    let no_sockets = policy(Action::Errno(1), &["prctl"], Action::Allow);
    assert_eq!(net(Some(no_sockets.clone()), 6).unwrap(), BIND_TCP | CONNECT_TCP);
    assert_eq!(net(Some(no_sockets), 3).unwrap(), 0);
    // A filter that allows them says that the network is wanted.
    assert_eq!(net(Some(policy(Action::Errno(1), &["socket"], Action::Allow)), 6).unwrap(), 0);
}

#[test]
fn a_persons_view() {
    let text = with_abi(&profile(), Some(6)).unwrap().to_text(&[]);
    for line in [
        "profile         test",
        "task            /usr/bin/sh",
        "  seccomp       OFF",
        "  no_new_privs  on",
        "environment",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
}

/// Set-user-ID bits and file capabilities are let through where no other user can reach them, and nowhere
/// else.
#[test]
fn set_id_bits_are_for_what_nobody_else_reaches() {
    use crate::plan::show::note::Exposed;
    use crate::seccomp::Data;
    let files = || {
        let files =
            files().directory("/srv/open/root").directory("/srv/closed/root").directory("/srv/theirs/root");
        files.directory("/srv/closed/also").owned("/srv/closed", 1000, 1000, 0o700).owned(
            "/srv/theirs",
            1001,
            1001,
            0o700,
        )
    };
    let chmod = |plan: &Plan| {
        let program = &plan.task.seccomp.as_ref().unwrap().program;
        let answer = program.evaluate(&Data::new(90, crate::seccomp::Arch::X86_64, [0, 0o4755, 0, 0, 0, 0]));
        Action::from_return(answer.unwrap())
    };
    let setfcap = Capability::CAP_SETFCAP;
    let run = |binds: &[(&str, bool)], files_given| {
        let mut profile = with(binds.iter().map(|(path, readonly)| bind(path, path, *readonly)));
        profile.seccomp = Some(policy(Action::Errno(38), &["chmod", "prctl"], Action::Allow));
        profile.process.capabilities = setfcap.into();
        let call = Call { files_given, ..Call::program(["sh"]) };
        let (plan, notes) = resolve_with_notes(&profile, &facts(), &files(), &call).unwrap();
        let exposed = notes.iter().find_map(|note| match note {
            Note::SetId { exposed } => Some(exposed.clone()),
            _ => None,
        });
        // The note, the filter and the capability say the same.
        assert_eq!(chmod(&plan) == Action::Errno(1), exposed.is_some(), "{notes:?}");
        assert_eq!(!plan.task.capabilities.contains(setfcap), exposed.is_some(), "{notes:?}");
        exposed
    };
    let path = |path: &str| Some(Exposed::Path(path.into()));
    assert_eq!(run(&[], false), None);
    assert_eq!(run(&[], true), Some(Exposed::Given));
    assert_eq!(run(&[("/srv/open/root", true)], false), None);
    assert_eq!(run(&[("/srv/open/root", false)], false), path("/srv/open/root"));
    assert_eq!(run(&[("/srv/closed/root", false)], false), None);
    // Another user's private directory is open to that one.
    assert_eq!(run(&[("/srv/theirs/root", false)], false), path("/srv/theirs/root"));
    // The task opens what it can write to itself.
    assert_eq!(run(&[("/srv/closed", false)], false), path("/srv/closed"));
    let both = [("/srv", false), ("/srv/closed/root", false)];
    assert_eq!(run(&both, false), path("/srv"));
    let both = [("/srv/closed/also", false), ("/srv/closed/root", false)];
    assert_eq!(run(&both, false), None);
}
