use std::path::PathBuf;

use super::*;
use crate::capability::CapabilitySet;
use crate::host::symptoms::Container;
use crate::profile::Namespace;

/// An ordinary user on a kernel that has everything.
fn host() -> Symptoms {
    Symptoms {
        kernel: Version::parse("6.12.0"),
        uid: 1000,
        capabilities: Some(CapabilitySet::EMPTY),
        seccomp: Some(0),
        threads: Some(1),
        namespaces: Some(crate::host::namespace::ALL.into_iter().collect()),
        initial_userns: Some(true),
        chrooted: Some(false),
        proc_mounted: true,
        apparmor_label: Some("unconfined".to_owned()),
        program: Some(PathBuf::from("/usr/bin/belljar")),
        ..Symptoms::default()
    }
}

fn with(change: impl FnOnce(&mut Symptoms)) -> Symptoms {
    let mut symptoms = host();
    change(&mut symptoms);
    symptoms
}

fn old(release: &str) -> Symptoms {
    with(|s| s.kernel = Version::parse(release))
}

fn outer(syscall: &str) -> Cause {
    Cause::OuterSeccomp { syscall: syscall.to_owned() }
}

fn too_old_for(call: &str, needs: &str, has: &str) -> Cause {
    let version = |text: &str| Version::parse(text).expect("a version");
    Cause::KernelTooOld { call: call.to_owned(), needs: version(needs), has: Some(version(has)) }
}

const USER: Step = Step::Namespace(Namespace::User);
const NET: Step = Step::Namespace(Namespace::Network);

#[test]
fn each_case_has_its_cause() {
    let full = CapabilitySet::NAMED;
    let table: Vec<(&str, Step, &str, &str, Errno, Symptoms, Cause)> = vec![
        ("outer filter", USER, "unshare", "", Errno::EPERM, with(|s| s.seccomp = Some(2)), outer("unshare")),
        (
            "an outer filter goes before the switches",
            USER,
            "clone3",
            "",
            Errno::EPERM,
            with(|s| (s.seccomp, s.userns_clone) = (Some(2), Some(0))),
            outer("clone3"),
        ),
        (
            "filter with ENOSYS",
            Step::Call,
            "clone3",
            "",
            Errno::ENOSYS,
            with(|s| s.seccomp = Some(2)),
            outer("clone3"),
        ),
        (
            "Debian's switch",
            USER,
            "unshare",
            "",
            Errno::EPERM,
            with(|s| s.userns_clone = Some(0)),
            Cause::UsernsCloneOff,
        ),
        (
            "Debian's switch does not stop root",
            USER,
            "unshare",
            "",
            Errno::EPERM,
            with(|s| (s.userns_clone, s.capabilities, s.uid) = (Some(0), Some(full), 0)),
            Cause::Unexplained { errno: Errno::EPERM },
        ),
        (
            "Ubuntu, uid_map",
            Step::IdMap,
            "write",
            "uid_map",
            Errno::EPERM,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "Ubuntu, uid_map EACCES",
            Step::IdMap,
            "write",
            "uid_map",
            Errno::EACCES,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "Ubuntu, mount",
            Step::Mount,
            "mount",
            "/",
            Errno::EACCES,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "Ubuntu, network namespace",
            NET,
            "unshare",
            "",
            Errno::EPERM,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "Ubuntu, loopback",
            Step::Loopback,
            "RTM_NEWADDR",
            "lo",
            Errno::EPERM,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "Ubuntu, clone EACCES",
            USER,
            "unshare",
            "",
            Errno::EACCES,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "Ubuntu restriction off",
            Step::IdMap,
            "write",
            "uid_map",
            Errno::EPERM,
            with(|s| s.apparmor_userns = Some(0)),
            Cause::IdMapRefused,
        ),
        (
            "on clone with EPERM a chroot is the likelier cause than Ubuntu's restriction",
            USER,
            "unshare",
            "",
            Errno::EPERM,
            with(|s| (s.apparmor_userns, s.chrooted) = (Some(1), Some(true))),
            Cause::Chroot,
        ),
        (
            "AppArmor profile",
            Step::Mount,
            "mount",
            "/",
            Errno::EACCES,
            with(|s| s.apparmor_label = Some("docker-default (enforce)".to_owned())),
            Cause::AppArmorProfile { label: "docker-default (enforce)".to_owned() },
        ),
        (
            "user namespaces off by limit",
            USER,
            "unshare",
            "",
            Errno::ENOSPC,
            with(|s| s.namespace_limits = [(Namespace::User, 0)].into()),
            Cause::NamespaceLimit { namespace: Namespace::User, limit: 0 },
        ),
        (
            "another namespace's limit",
            NET,
            "unshare",
            "",
            Errno::ENOSPC,
            with(|s| s.namespace_limits = [(Namespace::User, 9), (Namespace::Network, 3)].into()),
            Cause::NamespaceLimit { namespace: Namespace::Network, limit: 3 },
        ),
        (
            "nested",
            USER,
            "unshare",
            "",
            Errno::ENOSPC,
            with(|s| {
                s.initial_userns = Some(false);
                s.namespace_limits = [(Namespace::User, i32::MAX as u64)].into();
            }),
            Cause::NestedTooDeep { namespace: Namespace::User },
        ),
        (
            "nested, before 4.9",
            USER,
            "unshare",
            "",
            Errno::EUSERS,
            host(),
            Cause::NestedTooDeep { namespace: Namespace::User },
        ),
        ("chroot", USER, "unshare", "", Errno::EPERM, with(|s| s.chrooted = Some(true)), Cause::Chroot),
        (
            "a chroot says nothing of a mount",
            Step::Mount,
            "mount",
            "/",
            Errno::EPERM,
            with(|s| s.chrooted = Some(true)),
            Cause::Unexplained { errno: Errno::EPERM },
        ),
        ("unmapped", USER, "unshare", "", Errno::EPERM, with(|s| s.uid_unmapped = true), Cause::UnmappedIds),
        (
            "SELinux",
            USER,
            "unshare",
            "",
            Errno::EACCES,
            with(|s| s.selinux_enforcing = Some(true)),
            Cause::Selinux,
        ),
        (
            "SELinux permissive",
            USER,
            "unshare",
            "",
            Errno::EACCES,
            with(|s| s.selinux_enforcing = Some(false)),
            Cause::Unexplained { errno: Errno::EACCES },
        ),
        (
            "masked proc",
            Step::MountProc,
            "fsmount",
            "proc",
            Errno::EPERM,
            with(|s| (s.seccomp, s.proc_masks) = (Some(2), vec!["/proc/kcore".into()])),
            Cause::ProcMasked { paths: vec!["/proc/kcore".into()] },
        ),
        (
            "no proc",
            Step::MountProc,
            "mount",
            "proc",
            Errno::EPERM,
            with(|s| s.proc_mounted = false),
            Cause::ProcMasked { paths: vec![] },
        ),
        (
            "proc, Ubuntu",
            Step::MountProc,
            "mount",
            "proc",
            Errno::EPERM,
            with(|s| s.apparmor_userns = Some(1)),
            Cause::AppArmorRestricts,
        ),
        (
            "container root",
            Step::Mount,
            "mount",
            "/",
            Errno::EPERM,
            with(|s| s.uid = 0),
            Cause::RootWithoutAdmin,
        ),
        (
            "container root, id map",
            Step::IdMap,
            "write",
            "uid_map",
            Errno::EPERM,
            with(|s| s.uid = 0),
            Cause::RootWithoutAdmin,
        ),
        ("a user's id map", Step::IdMap, "write", "uid_map", Errno::EPERM, host(), Cause::IdMapRefused),
        (
            "an id map that is none",
            Step::IdMap,
            "write",
            "uid_map",
            Errno::EINVAL,
            host(),
            Cause::IdMapRefused,
        ),
        (
            "old kernel",
            Step::Call,
            "clone3",
            "",
            Errno::ENOSYS,
            old("4.19"),
            too_old_for("clone3", "5.3", "4.19"),
        ),
        (
            "old kernel, mount_setattr",
            Step::Mount,
            "mount_setattr",
            "",
            Errno::ENOSYS,
            old("5.10"),
            too_old_for("mount_setattr", "5.12", "5.10"),
        ),
        (
            "old kernel goes before a filter",
            Step::Mount,
            "mount_setattr",
            "",
            Errno::ENOSYS,
            {
                let mut symptoms = old("5.10");
                symptoms.seccomp = Some(2);
                symptoms
            },
            too_old_for("mount_setattr", "5.12", "5.10"),
        ),
        (
            "old kernel, Landlock",
            Step::Landlock,
            "landlock_create_ruleset",
            "",
            Errno::ENOSYS,
            old("5.10"),
            too_old_for("landlock_create_ruleset", "5.13", "5.10"),
        ),
        (
            "old kernel, subset=pid",
            Step::MountProc,
            "subset=pid",
            "proc",
            Errno::EINVAL,
            old("5.4"),
            too_old_for("subset=pid", "5.8", "5.4"),
        ),
        (
            "old kernel, overlay",
            Step::MountOverlay,
            "overlay",
            "",
            Errno::EPERM,
            old("5.10"),
            too_old_for("overlay", "5.11", "5.10"),
        ),
        (
            "old kernel, time",
            Step::Namespace(Namespace::Time),
            "unshare",
            "",
            Errno::EINVAL,
            old("5.4"),
            too_old_for("CLONE_NEWTIME", "5.6", "5.4"),
        ),
        (
            "old kernel, id map",
            Step::IdMappedMount,
            "mount_setattr",
            "/x",
            Errno::EINVAL,
            old("5.11"),
            too_old_for("mount_setattr", "5.12", "5.11"),
        ),
        (
            "built without Landlock",
            Step::Landlock,
            "landlock_create_ruleset",
            "",
            Errno::ENOSYS,
            host(),
            Cause::KernelWithout { option: "CONFIG_SECURITY_LANDLOCK".to_owned() },
        ),
        (
            "Landlock not started",
            Step::Landlock,
            "landlock_create_ruleset",
            "",
            Errno::EOPNOTSUPP,
            with(|s| s.boot_lsm = Some("yama,apparmor".to_owned())),
            Cause::LandlockOff { boot_lsm: Some("yama,apparmor".to_owned()) },
        ),
        (
            "built without user namespaces",
            USER,
            "unshare",
            "",
            Errno::EINVAL,
            with(|s| s.namespaces = Some([Namespace::Mount].into())),
            Cause::KernelWithout { option: "CONFIG_USER_NS".to_owned() },
        ),
        ("threads", USER, "unshare", "", Errno::EINVAL, with(|s| s.threads = Some(4)), Cause::Threads),
        (
            "id-mapped mount unsupported",
            Step::IdMappedMount,
            "mount_setattr",
            "/srv/nfs",
            Errno::EINVAL,
            with(|s| (s.uid, s.capabilities) = (0, Some(full))),
            Cause::IdmapUnsupported { path: "/srv/nfs".to_owned() },
        ),
        (
            "id-mapped mount of a tmpfs, old kernel",
            Step::IdMappedMount,
            "MOUNT_ATTR_IDMAP on tmpfs",
            "/run/x",
            Errno::EINVAL,
            old("6.1"),
            too_old_for("MOUNT_ATTR_IDMAP on tmpfs", "6.3", "6.1"),
        ),
        (
            "id-mapped mount of a tmpfs that has a map already",
            Step::IdMappedMount,
            "MOUNT_ATTR_IDMAP on tmpfs",
            "/run/x",
            Errno::EINVAL,
            old("6.3"),
            Cause::IdmapUnsupported { path: "/run/x".to_owned() },
        ),
        (
            "no /proc",
            Step::IdMap,
            "open",
            "uid_map",
            Errno::ENOENT,
            with(|s| s.proc_mounted = false),
            Cause::NoProc,
        ),
        (
            "id-mapped mount, a user",
            Step::IdMappedMount,
            "mount_setattr",
            "/x",
            Errno::EPERM,
            host(),
            Cause::NeedsAdmin { syscall: "mount_setattr".to_owned() },
        ),
        (
            "built without filters",
            Step::Seccomp,
            "seccomp",
            "",
            Errno::EINVAL,
            host(),
            Cause::KernelWithout { option: "CONFIG_SECCOMP_FILTER".to_owned() },
        ),
        (
            "no overlay module",
            Step::MountOverlay,
            "overlay",
            "",
            Errno::ENODEV,
            host(),
            Cause::FileSystemMissing { kind: "overlay".to_owned() },
        ),
        (
            "no mqueue",
            Step::Mount,
            "mount",
            "mqueue on /tmp",
            Errno::ENODEV,
            host(),
            Cause::FileSystemMissing { kind: "mqueue".to_owned() },
        ),
        (
            "process limit",
            Step::Process,
            "clone3",
            "",
            Errno::EAGAIN,
            with(|s| (s.nproc, s.pids_max) = (Some(100), Some(64))),
            Cause::ProcessLimit { nproc: Some(100), pids_max: Some(64) },
        ),
        ("memory", Step::Process, "clone3", "", Errno::ENOMEM, host(), Cause::OutOfMemory),
        (
            "tmpfs full",
            Step::Fill,
            "write",
            "/etc/ssl/certs",
            Errno::ENOSPC,
            host(),
            Cause::TmpfsFull { object: "/etc/ssl/certs".to_owned() },
        ),
        ("too many mounts", Step::Mount, "mount", "/", Errno::ENOSPC, host(), Cause::MountLimit),
        (
            "cgroup",
            Step::Cgroup,
            "mkdir",
            "/sys/fs/cgroup/x",
            Errno::EACCES,
            host(),
            Cause::CgroupNotDelegated { object: "/sys/fs/cgroup/x".to_owned() },
        ),
        (
            "cgroup, read-only",
            Step::Cgroup,
            "mkdir",
            "/sys/fs/cgroup/x",
            Errno::EROFS,
            host(),
            Cause::CgroupNotDelegated { object: "/sys/fs/cgroup/x".to_owned() },
        ),
        ("unknown", Step::Call, "openat2", "/", Errno::EIO, host(), Cause::Unexplained { errno: Errno::EIO }),
    ];
    for (case, step, syscall, object, errno, symptoms, cause) in table {
        let diagnosis = diagnose(&Failure::new(step, syscall, object, errno), &symptoms);
        assert_eq!(diagnosis.cause, cause, "{case}");
        let text = diagnosis.cause.to_string();
        assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('\n'), "{case}: {text}");
    }
}

#[test]
fn ubuntus_mend_is_the_profile_of_this_program_in_full() {
    let symptoms = with(|s| s.apparmor_userns = Some(1));
    let fix = diagnose(&Failure::new(Step::IdMap, "write", "uid_map", Errno::EPERM), &symptoms).fix;
    assert_eq!(fix.len(), 2);
    assert!(fix[0].starts_with("sudo tee /etc/apparmor.d/belljar >/dev/null <<'EOF'\n"), "{}", fix[0]);
    assert!(
        fix[0].contains("profile belljar \"/usr/bin/belljar\" flags=(unconfined) {\n  userns,\n"),
        "{}",
        fix[0]
    );
    assert!(fix[0].ends_with("}\nEOF"), "{}", fix[0]);
    assert_eq!(fix[1], "sudo apparmor_parser -r /etc/apparmor.d/belljar");
}

#[test]
fn an_apparmor_profile_is_lifted_where_it_is_this_programs_own() {
    let fix = |label: &str, parent: &str, container| {
        let symptoms = with(|s| {
            (s.apparmor_label, s.apparmor_parent) = (Some(label.to_owned()), Some(parent.to_owned()));
            s.container = container;
        });
        diagnose(&Failure::new(USER, "clone3", "", Errno::EACCES), &symptoms).fix
    };
    let lite = "belljar run -p lite …";
    assert_eq!(
        fix("belljar (enforce)", "unconfined", None),
        ["printf %s 'belljar' | sudo tee /sys/kernel/security/apparmor/.remove >/dev/null", lite]
    );
    // Around the caller: it cannot be lifted from here, and outside of a container not by its engine.
    let around = |label, container| fix(label, label, container);
    assert_eq!(around("snap.code.code (enforce)", None), [lite]);
    assert_eq!(
        around("docker-default (enforce)", None),
        ["docker run --security-opt apparmor=unconfined …", lite]
    );
    assert_eq!(
        around("containers-default-0.50.1 (enforce)", Some(Container::Podman)),
        ["podman run --security-opt apparmor=unconfined …", lite]
    );
}

#[test]
fn capabilities_that_apparmor_takes_away_are_told_from_those_that_root_lacks() {
    let root = |capabilities, label: &str| {
        with(|s| (s.uid, s.capabilities, s.apparmor_label) = (0, Some(capabilities), Some(label.to_owned())))
    };
    let withheld =
        capabilities_withheld(&root(CapabilitySet::NAMED, "belljar (enforce)")).expect("AppArmor's");
    assert_eq!(withheld.cause, Cause::AppArmorProfile { label: "belljar (enforce)".to_owned() });
    assert_eq!(
        capabilities_withheld(&root(CapabilitySet::from_bits(0xa804_25fb), "docker-default (enforce)")),
        None
    );
    assert_eq!(capabilities_withheld(&root(CapabilitySet::NAMED, "unconfined")), None);
}

#[test]
fn fixes_are_commands_that_fit_the_host() {
    let fix =
        |step, errno, symptoms: &Symptoms| diagnose(&Failure::new(step, "mount", "/x", errno), symptoms).fix;
    assert_eq!(
        fix(USER, Errno::EPERM, &with(|s| s.userns_clone = Some(0)))[0],
        "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    );
    assert_eq!(
        fix(USER, Errno::ENOSPC, &with(|s| s.namespace_limits = [(Namespace::User, 0)].into()))[0],
        "sudo sysctl -w user.max_user_namespaces=10000"
    );
    assert_eq!(
        fix(USER, Errno::EPERM, &with(|s| (s.seccomp, s.container) = (Some(2), Some(Container::Podman)))),
        ["podman run --security-opt seccomp=unconfined …", "belljar run -p lite …"]
    );
    // lite refuses root.
    assert_eq!(
        fix(USER, Errno::EPERM, &with(|s| (s.uid, s.chrooted) = (0, Some(true)))),
        ["belljar run -p lite …"]
    );
    let masked = |container| with(|s| (s.container, s.proc_masks) = (container, vec!["/proc/acpi".into()]));
    assert_eq!(
        fix(Step::MountProc, Errno::EPERM, &masked(Some(Container::Docker)))[0],
        "docker run --security-opt systempaths=unconfined …"
    );
    assert_eq!(
        fix(Step::MountProc, Errno::EPERM, &masked(Some(Container::Podman)))[0],
        "podman run --security-opt unmask=ALL …"
    );
    assert_eq!(
        fix(Step::Landlock, Errno::EOPNOTSUPP, &host())[0],
        r#"sudo sed -i "s/^\(GRUB_CMDLINE_LINUX=\"[^\"]*\)\"/\1 lsm=landlock,$(cat /sys/kernel/security/lsm)\"/" /etc/default/grub"#
    );
    assert_eq!(
        fix(Step::IdMappedMount, Errno::EINVAL, &host()),
        ["belljar run --ro-bind DIR …", "sudo -u USER belljar run --bind DIR …"]
    );
    assert_eq!(fix(Step::Call, Errno::EIO, &host()), Vec::<String>::new());
}

#[test]
fn namespaces_need_linux_5_12() {
    assert_eq!(kernel_for_namespaces(&old("5.12.1")), None);
    let diagnosis = kernel_for_namespaces(&old("5.11.9")).expect("too old");
    assert_eq!(diagnosis.cause.to_string(), "mount_setattr needs Linux 5.12, this is 5.11");
    assert_eq!(kernel_for_namespaces(&with(|s| s.kernel = None)), None);
}

proptest::proptest! {
    #[test]
    fn every_errno_of_every_step_has_a_text(errno in 1..134_i32, step in 0..14_usize, filtered: bool, restricted: bool, uid in 0..2_u32) {
        let steps = [
            USER, NET, Step::IdMap, Step::Mount, Step::MountProc, Step::MountOverlay, Step::IdMappedMount, Step::Loopback,
            Step::Landlock, Step::Seccomp, Step::Process, Step::Fill, Step::Cgroup, Step::Call,
        ];
        let symptoms = with(|s| {
            s.seccomp = Some(if filtered { 2 } else { 0 });
            s.apparmor_userns = Some(u64::from(restricted));
            s.uid = uid;
        });
        let diagnosis = diagnose(&Failure::new(steps[step], "call", "object", Errno::from_raw(errno)), &symptoms);
        proptest::prop_assert!(!diagnosis.cause.to_string().is_empty());
        proptest::prop_assert!(diagnosis.fix.iter().all(|command| !command.trim().is_empty()));
    }
}
