//! What ships.

use super::*;

#[test]
fn all_built_in_profiles_load() {
    assert_eq!(builtin_names(), ["strict", "standard", "build", "network", "container", "nested", "lite"]);
    for name in builtin_names() {
        let profile = load(name, &[]);
        assert_eq!(profile.name, *name);
        assert!(!profile.description.is_empty(), "{name}");
        assert!(profile.process.no_new_privileges, "{name}");
        assert!(profile.landlock.require, "{name}");
        assert_eq!(profile.process.rlimits["core"], Rlimit { soft: Some(1), hard: Some(1) }, "{name}");
        assert_eq!(profile.process.rlimits["rtprio"].hard, Some(0), "{name}");
        assert_eq!(profile.process.umask, 0o022, "{name}");
        assert_eq!(profile.resources, load("strict", &[]).resources, "{name}");
        // The caller's environment stays outside but for these, and none of them is a secret.
        let passed: Vec<_> = profile.process.env.iter().filter(|entry| !entry.contains('=')).collect();
        for name in passed {
            assert!(["TERM", "CI", "NO_COLOR", "SOURCE_DATE_EPOCH"].contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn the_filters_compile_and_refuse_what_all_have_to_refuse() {
    for name in builtin_names() {
        let policy = load(name, &[]).seccomp.unwrap();
        assert_eq!(policy.default, Action::Errno(libc::ENOSYS as u16), "{name}");
        for &arch in Arch::ALL {
            let compiled = compile(&policy, arch, Unknown::Refuse).unwrap();
            assert!(compiled.program.instructions.len() <= 4096, "{name}");
        }
        let action = |call: &str| {
            let rule =
                policy.rules.iter().find(|rule| rule.args.is_empty() && rule.names.iter().any(|n| n == call));
            rule.map_or(policy.default, |rule| rule.action)
        };
        for call in [
            "mount",
            "umount2",
            "pivot_root",
            "open_tree",
            "move_mount",
            "fsopen",
            "fsconfig",
            "mount_setattr",
            "setns",
            "bpf",
            "perf_event_open",
            "io_uring_setup",
            "userfaultfd",
            "keyctl",
            "add_key",
            "request_key",
            "kexec_load",
            "init_module",
            "reboot",
            "swapon",
            "clock_settime",
            "open_by_handle_at",
            "acct",
            "quotactl",
            "unshare",
            "clone",
        ] {
            assert!(matches!(action(call), Action::Errno(_)), "{name}: {call} is {:?}", action(call));
        }
        assert_eq!(action("clone3"), Action::Errno(libc::ENOSYS as u16), "{name}");
        for call in ["read", "write", "openat", "execve", "mmap", "exit_group", "futex", "wait4"] {
            assert_eq!(action(call), Action::Allow, "{name}: {call}");
        }
    }
}

#[test]
fn strict_is_what_it_says() {
    let strict = load("strict", &[]);
    let all = [
        Namespace::User,
        Namespace::Mount,
        Namespace::Pid,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Network,
        Namespace::Cgroup,
    ];
    assert_eq!(strict.namespaces, BTreeSet::from(all));
    assert_eq!(strict.hostname.as_deref(), Some("belljar"));
    assert_eq!(strict.workdir, Workdir::None);
    assert!(strict.root.readonly && strict.root.synthetic_etc && strict.root.path.is_none());
    assert!(strict.process.capabilities.is_empty());
    assert_eq!(mount(&strict, "/proc").unwrap().kind, MountKind::Proc { subset_pid: true });
    assert_eq!(mount(&strict, "/dev").unwrap().kind, MountKind::Dev);
    let tmp = mount(&strict, "/tmp").unwrap();
    assert_eq!(tmp.kind, MountKind::Tmpfs { size: 64 << 20, inodes: 4096, mode: 0o1777 });
    assert!(tmp.noexec);
    for mount in &strict.mounts {
        let MountKind::Bind { source, idmap } = &mount.kind else { continue };
        // Only the system's own, at its own place, read-only.
        assert!(mount.readonly && mount.system && !idmap && *source == mount.destination, "{mount:?}");
        let below = ["/usr", "/bin", "/sbin", "/lib", "/etc"];
        let path = source.to_str().unwrap();
        assert!(below.iter().any(|directory| path.starts_with(directory)), "{path}");
        assert!(!["/etc", "/etc/ssl", "/etc/pki", "/etc/passwd", "/etc/shadow"].contains(&path), "{path}");
    }
}

/// The calls that a profile's filter lets through where all arguments are zero.
fn allowed(profile: &Profile) -> BTreeSet<&'static str> {
    use belljar::internals::seccomp::{Action, Arch, Data, Unknown, compile, names};
    let policy = profile.seccomp.as_ref().expect("a filter");
    let program = compile(policy, Arch::NATIVE, Unknown::Refuse).expect("a program").program;
    let answer = |number| program.evaluate(&Data::new(number, Arch::NATIVE, [0; 6]));
    let allows = |number| answer(number) == Ok(Action::Allow.to_return());
    names::all(Arch::NATIVE).filter(|(_, number)| allows(*number)).map(|(name, _)| name).collect()
}

#[test]
fn the_others_differ_from_strict_as_they_say() {
    let (standard, build, network) = (load("standard", &[]), load("build", &[]), load("network", &[]));
    assert_eq!(standard.namespaces, load("strict", &[]).namespaces);
    assert_eq!(standard.workdir, Workdir::None);
    assert!(standard.process.capabilities.is_empty());

    assert_eq!(build.workdir, Workdir::Writable);
    let more = ["process_vm_readv", "process_vm_writev", "ptrace"];
    assert_eq!(allowed(&build).difference(&allowed(&standard)).copied().collect::<Vec<_>>(), more);
    assert!(allowed(&standard).is_subset(&allowed(&build)));
    assert!(!mount(&build, "/tmp").unwrap().noexec);

    assert!(!network.namespaces.contains(&Namespace::Network));
    assert_eq!(network.namespaces.len() + 1, standard.namespaces.len());
    assert_eq!(network.seccomp, standard.seccomp);
    let ssh = |mount: &profile::Mount| mount.destination.starts_with("/etc/ssh");
    let without_ssh: Vec<_> = network.mounts.iter().filter(|mount| !ssh(mount)).collect();
    assert_eq!(without_ssh, standard.mounts.iter().collect::<Vec<_>>());
    assert!(network.mounts.iter().filter(|mount| ssh(mount)).all(|mount| mount.readonly && mount.noexec));
    // CVE-2020-15257: abstract sockets are the host's.
    assert!(network.landlock.scopes.contains(&profile::Scope::AbstractUnixSocket));

    let mut container = load("container", &[]);
    assert_eq!(container.process.user, Some(User { uid: 0, gid: 0 }));
    assert_eq!(container.process.capabilities.len(), 14);
    assert!(!container.process.capabilities.contains(Capability::CAP_SYS_ADMIN));
    assert!(container.masked_paths.contains(&PathBuf::from("/proc/kcore")));
    assert!(container.readonly_paths.contains(&PathBuf::from("/proc/sys")));
    assert!(container.mounts.iter().all(|mount| !matches!(mount.kind, MountKind::Bind { .. })));
    let error = container.validate_complete().unwrap_err();
    assert!(error_chain(&error).contains("--rootfs"), "{}", error_chain(&error));
    container.set_rootfs(Path::new("/srv/root")).unwrap();
    container.validate_complete().unwrap();

    let lite = load("lite", &[]);
    assert!(lite.namespaces.is_empty());
    assert_eq!(lite.landlock.scopes.len(), 2);
    // There is no network namespace, so there are no sockets, not even unix ones (D-Bus).
    let rule = &lite.seccomp.unwrap().rules[0..4];
    let socket = rule.iter().find(|rule| rule.names.iter().any(|name| name == "socket")).unwrap();
    assert_eq!(socket.action, Action::Errno(libc::EAFNOSUPPORT as u16));
}

/// Every line that says something says why, on the line itself or right above.
#[test]
fn every_rule_of_every_profile_has_its_reason() {
    for name in builtin_names() {
        let source = profile::show(name).unwrap().source;
        let mut above_is_comment = false;
        let mut lines = 0;
        for (number, line) in source.lines().enumerate() {
            let line = line.trim();
            let exempt = line.is_empty()
                || line.starts_with('[')
                || line.starts_with(']')
                || line.starts_with("description =")
                || line.starts_with("extends =")
                || line.ends_with("= [");
            if !exempt && !line.starts_with('#') {
                lines += 1;
                let own = line.rsplit_once("# ").is_some_and(|(_, reason)| reason.len() >= 3);
                assert!(own || above_is_comment, "{name}.toml:{}: no reason: {line}", number + 1);
            }
            above_is_comment = line.starts_with("# ");
        }
        assert!(lines >= 2, "{name}: {lines}");
    }
}
