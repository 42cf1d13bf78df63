//! Profiles from the outside: what ships, what is refused and how it is said, what comes out of it.

use std::collections::BTreeSet;
use std::error::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use belljar::profile::{
    self, MountKind, Namespace, Network, Profile, ProfileError, Rlimit, User, ValueError, Workdir,
    builtin_names,
};
use belljar::seccomp::{Action, Arch, Unknown, compile};
use proptest::prelude::*;

/// The whole story of an error on one line, as a command line shows it.
fn story(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

fn load(name: &str, overrides: &[&str]) -> Profile {
    Profile::load_with(name, overrides)
        .unwrap_or_else(|error| panic!("{name} {overrides:?}: {}", story(&error)))
}

fn refused(text: &str) -> String {
    match Profile::from_toml(text, "p.toml") {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => story(&error),
    }
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn mount<'a>(profile: &'a Profile, destination: &str) -> Option<&'a profile::Mount> {
    profile.mounts.iter().find(|mount| mount.destination == Path::new(destination))
}

// What ships.

#[test]
fn all_built_in_profiles_load() {
    assert_eq!(builtin_names(), ["strict", "standard", "build", "network", "container", "lite"]);
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
        assert!(below.iter().any(|folder| path.starts_with(folder)), "{path}");
        assert!(!["/etc", "/etc/ssl", "/etc/pki", "/etc/passwd", "/etc/shadow"].contains(&path), "{path}");
    }
}

#[test]
fn the_others_differ_from_strict_as_they_say() {
    let (standard, build, network) = (load("standard", &[]), load("build", &[]), load("network", &[]));
    assert_eq!(standard.namespaces, load("strict", &[]).namespaces);
    assert_eq!(standard.workdir, Workdir::None);
    assert!(standard.process.capabilities.is_empty());

    assert_eq!(build.workdir, Workdir::Writable);
    assert_eq!(build.seccomp, standard.seccomp);
    assert!(!mount(&build, "/tmp").unwrap().noexec);

    assert!(!network.namespaces.contains(&Namespace::Network));
    assert_eq!(network.namespaces.len() + 1, standard.namespaces.len());
    assert_eq!(network.seccomp, standard.seccomp);
    assert_eq!(network.mounts, standard.mounts);
    // CVE-2020-15257: abstract sockets are the host's.
    assert!(network.landlock.scopes.contains(&profile::Scope::AbstractUnixSocket));

    let mut container = load("container", &[]);
    assert_eq!(container.process.user, Some(User { uid: 0, gid: 0 }));
    assert_eq!(container.process.capabilities.len(), 14);
    assert!(!container.process.capabilities.contains("SYS_ADMIN"));
    assert!(container.masked_paths.contains(&PathBuf::from("/proc/kcore")));
    assert!(container.readonly_paths.contains(&PathBuf::from("/proc/sys")));
    assert!(container.mounts.iter().all(|mount| !matches!(mount.kind, MountKind::Bind { .. })));
    let error = container.validate_complete().unwrap_err();
    assert!(story(&error).contains("--rootfs"), "{}", story(&error));
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

// What comes out.

#[test]
fn the_effective_profile_reads_back_as_itself() {
    let overrides: [&[&str]; 5] = [
        &[],
        &["limits.timeout=1500ms", "process.umask=077", "limits.cpuTime=1h", "description=a \"b\" \\ c"],
        &[
            "resources.cpu.quota=150ms",
            "resources.memory.limit=1GiB",
            "resources.memory.swap=2GiB",
            "resources.pids.limit=9",
            "resources.cpu.shares=77",
            "resources.cpu.time=1500ms",
            "resources.cgroupParent=/a/b",
            "resources.enforce=rlimit",
            "workdir=readonly",
        ],
        &["process.env=A=\"\\\n\tb\u{202e}", "process.rlimits.nofile={ soft = 1, hard = \"unlimited\" }"],
        &[
            "seccomp.syscalls=[{ names = [\"prctl\"], action = \"trace\", errnoRet = 65535, \
           args = [{ index = 5, op = \"&==\", value = 0xffff_ffff_ffff_ffff, valueTwo = 1 }, { index = 0, op = \">\", value = 2 }] }]",
            "seccomp.defaultAction=kill",
            "seccomp.flags=SECCOMP_FILTER_FLAG_LOG",
        ],
    ];
    for name in builtin_names() {
        for overrides in overrides {
            let profile = load(name, overrides);
            let text = profile.to_toml();
            let again = Profile::from_toml(&text, name).unwrap_or_else(|e| panic!("{}\n{text}", story(&e)));
            assert_eq!(again, profile, "{text}");
            assert_eq!(again.hash(), profile.hash());
        }
    }
}

#[test]
fn the_hash_is_of_what_is_asked_for() {
    let strict = load("strict", &[]);
    assert_eq!(strict.hash().len(), 64);
    assert_eq!(strict.hash(), load("strict", &["description=x"]).hash());
    let other = [
        "limits.timeout=1s",
        "hostname=a",
        "workdir=readonly",
        "namespaces=-network",
        "root.size=2MiB",
        "process.env=A=b",
        "process.umask=077",
        "process.rlimits.nofile=9",
        "maskedPaths=/a",
        "readonlyPaths=/a",
        "landlock.mode=off",
        "landlock.scopes=signal",
        "seccomp.mode=off",
        "seccomp.defaultAction=kill",
        "resources.pids.limit=3",
        "resources.cpu.time=1s",
        "resources.enforce=rlimit",
        "process.user=5",
        "process.capabilities=CAP_CHOWN",
        "process.noNewPrivileges=false",
        "process.cwd=/usr",
        "mounts=[{ destination = \"/usr\", options = [\"rw\"] }]",
    ];
    let mut seen = BTreeSet::from([strict.hash()]);
    for change in other {
        assert!(seen.insert(load("strict", &[change]).hash()), "{change}");
    }
    let by_bytes = |bytes: &[u8]| {
        let mut profile = strict.clone();
        let source: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
        profile.add_bind(Path::new(source), Path::new("/x"), true).unwrap();
        profile.hash()
    };
    assert_ne!(by_bytes(b"/\xff"), by_bytes(b"/\xfe"));
}

#[test]
fn a_profile_is_shown_with_its_source_and_all_it_extends() {
    let shown = profile::show("build").unwrap();
    assert!(shown.source.contains("extends = \"standard\""));
    assert_eq!(shown.chain.to_string(), "build extends standard extends strict");
    assert!(shown.effective().contains("workdir = \"writable\""));
    assert!(!shown.effective().contains("extends"));
}

// Merging.

#[test]
fn tables_merge_by_key_and_lists_by_their_rules() {
    let text = r#"
        extends = "strict"
        namespaces = ["-network", "+time"]
        maskedPaths = ["+/proc/x"]
        mounts = [
            { destination = "/tmp", type = "tmpfs", options = ["size=1MiB"] },
            { destination = "/data", source = "/srv", options = ["ro", "noexec"] },
            { destination = "/etc/localtime", remove = true },
        ]
        process.env = ["HOME=/data", "NEW=1"]
        process.rlimits.nofile = 64
        limits.output = "1MiB"
        [[seccomp.syscalls]]
        names = ["uname"]
        action = "errno"
        errnoRet = "EINVAL"
    "#;
    let (strict, profile) = (load("strict", &[]), Profile::from_toml(text, "p").unwrap());
    assert!(
        !profile.namespaces.contains(&Namespace::Network) && profile.namespaces.contains(&Namespace::Time)
    );
    assert!(profile.namespaces.contains(&Namespace::Pid));
    assert_eq!(profile.masked_paths, [PathBuf::from("/proc/x")]);
    assert_eq!(
        mount(&profile, "/tmp").unwrap().kind,
        MountKind::Tmpfs { size: 1 << 20, inodes: 8192, mode: 0o1777 }
    );
    assert!(!mount(&profile, "/tmp").unwrap().noexec, "an entry takes the place of the whole inherited one");
    assert!(mount(&profile, "/etc/localtime").is_none());
    assert_eq!(profile.mounts.len(), strict.mounts.len());
    assert!(
        profile.process.env.contains(&"HOME=/data".to_owned())
            && profile.process.env.contains(&"NEW=1".to_owned())
    );
    assert!(profile.process.env.iter().any(|entry| entry.starts_with("PATH=")));
    assert_eq!(profile.process.rlimits["nofile"], Rlimit { soft: Some(64), hard: Some(64) });
    assert_eq!(profile.process.rlimits["core"], strict.process.rlimits["core"]);
    assert_eq!(profile.limits.output, Some(1 << 20));
    assert_eq!(profile.limits.file_size, strict.limits.file_size);
    let rules = profile.seccomp.unwrap().rules;
    assert_eq!(rules[0].names, ["uname"]);
    assert_eq!(rules[0].action, Action::Errno(libc::EINVAL as u16));
    assert_eq!(rules[1..], strict.seccomp.unwrap().rules);
}

#[test]
fn overrides_apply_in_order() {
    let profile =
        load("strict", &["hostname=a", "hostname=b", "process.env=A=1", "process.env=B=2", "hostname=c"]);
    assert_eq!(profile.hostname.as_deref(), Some("c"));
    assert!(
        profile.process.env.contains(&"A=1".to_owned()) && profile.process.env.contains(&"B=2".to_owned())
    );
    assert_eq!(load("strict", &["hostname="]).hostname, None);
    let own = load("strict", &["root.path=/srv/root"]);
    assert!(own.mounts.iter().all(|mount| !mount.system) && !own.root.synthetic_etc);
}

#[test]
fn a_filter_that_is_off_stays_off_only_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "off.toml", "extends = \"strict\"\nseccomp.mode = \"off\"\n");
    let rule = "syscalls = [{ names = [\"uname\"], action = \"kill\" }]\n";
    let child = write(folder.path(), "child.toml", "extends = \"./off.toml\"\n");
    assert_eq!(load(&child, &[]).seccomp, None);
    let text = format!("extends = \"./off.toml\"\n[seccomp]\n{rule}");
    let said = story(&Profile::load(&write(folder.path(), "rules.toml", text)).unwrap_err());
    assert!(said.contains("rules.toml") && said.contains("mode = \"filter\""), "{said}");
    let text = format!("extends = \"./off.toml\"\n[seccomp]\nmode = \"filter\"\n{rule}");
    let on = load(&write(folder.path(), "on.toml", text), &[]).seccomp.unwrap();
    assert_eq!(on.rules[0].action, Action::KillProcess);
    assert_eq!(on.rules[1..], load("strict", &[]).seccomp.unwrap().rules);
}

#[test]
fn an_errno_belongs_to_its_action() {
    let default = |overrides: &[&str]| load("strict", overrides).seccomp.unwrap().default;
    assert_eq!(default(&["seccomp.defaultErrnoRet=EACCES"]), Action::Errno(libc::EACCES as u16));
    assert_eq!(default(&["seccomp.defaultAction=errno"]), Action::Errno(libc::EPERM as u16));
    assert_eq!(default(&["seccomp.defaultAction=trap"]), Action::Trap);
    let both = ["seccomp.defaultAction=kill", "seccomp.defaultErrnoRet=EPERM"];
    let said = story(&Profile::load_with("strict", &both).unwrap_err());
    assert!(said.contains("seccomp.defaultErrnoRet") && said.contains("only goes with"), "{said}");
}

// What is refused, and how it is said.

#[test]
fn errors_name_the_key_the_line_and_the_nearest_key() {
    let table: &[(&str, &[&str])] = &[
        (
            "extends = \"strict\"\nhostnmae = \"x\"",
            &["p.toml: line 2, column 1", "unknown key hostnmae", "did you mean hostname?"],
        ),
        (
            "extends = \"strict\"\n[process]\n  umaks = 0",
            &["line 3, column 3", "process.umaks", "did you mean process.umask?"],
        ),
        ("extends = \"strict\"\nmasked_paths = []", &["masked_paths", "did you mean maskedPaths?"]),
        ("extends = \"strict\"\numask = \"022\"", &["unknown key umask", "did you mean process.umask?"]),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/x\", sourc = \"/y\" }]",
            &["mounts[0].sourc", "mounts[0].source?"],
        ),
        ("extends = \"strict\"\nxyzzy = 1", &["unknown key xyzzy"]),
        (
            "extends = \"strict\"\nhostname = 5",
            &["line 2", "hostname", "expected a string, found an integer"],
        ),
        ("extends = \"strict\"\nhostname = \"a\"\nhostname = \"b\"", &["line 3, column 1", "duplicate key"]),
        ("extends = \"strict\"\n[root]\n[root]", &["line 3", "duplicate key"]),
        ("extends = ", &["line 1, column 11"]),
        ("extends = \"strict\"\nöä = [", &["line 2"]),
        (
            "extends = \"strict\"\nworkdir = \"writeable\"",
            &["unknown workdir mode \"writeable\"", "did you mean writable?"],
        ),
        ("extends = \"strict\"\nnamespaces = [\"net\"]", &["namespaces[0]", "unknown namespace \"net\""]),
        ("extends = \"strict\"\nnamespaces = [\"user\", \"-pid\"]", &["namespaces", "either all entries"]),
        ("extends = \"strict\"\nnamespaces = [\"user\", \"user\"]", &["\"user\" is there twice"]),
        ("extends = \"strict\"\nnamespaces = [\"user\"]", &["namespaces", "user, mount and pid"]),
        ("namespaces = [\"-user\"]", &["none is inherited"]),
        ("hostname = \"x\"", &["namespaces", "missing"]),
        ("namespaces = [\"user\", \"mount\", \"pid\"]", &["seccomp.defaultAction", "missing"]),
        (
            "extends = \"strict\"\nprocess.capabilities = [\"CAP_NET_RWA\"]",
            &["unknown capability", "CAP_NET_RAW"],
        ),
        (
            "extends = \"strict\"\nprocess.rlimits.nofiles = 5",
            &["unknown resource limit \"nofiles\"", "nofile"],
        ),
        ("extends = \"strict\"\nprocess.rlimits.cpu = 5", &["limits.cpuTime"]),
        ("extends = \"strict\"\nprocess.rlimits.nofile = { soft = 2, hard = 1 }", &["above the hard limit"]),
        ("extends = \"strict\"\nprocess.umask = 22", &["0o022"]),
        ("extends = \"strict\"\nprocess.env = [\"A=1\", \"A=2\"]", &["process.env[1]", "there twice"]),
        ("extends = \"strict\"\nprocess.env = [\"=1\"]", &["process.env[0]"]),
        ("extends = \"strict\"\nprocess.cwd = \"/proc/self/fd/7\"", &["process.cwd", "/proc"]),
        ("extends = \"strict\"\nprocess.cwd = \"../x\"", &["absolute path"]),
        ("extends = \"strict\"\nhostname = \"a_b\"", &["host name"]),
        ("extends = \"strict\"\nlimits.timeout = \"10\"", &["no unit"]),
        ("extends = \"strict\"\nlimits.timeout = 10", &["no unit"]),
        ("extends = \"strict\"\nlimits.timeout = 0", &["unlimited"]),
        ("extends = \"strict\"\nlimits.output = \"-1MiB\"", &["not a size"]),
        ("extends = \"strict\"\nroot.size = \"unlimited\"", &["root.size", "not a size"]),
        ("extends = \"strict\"\nresources.pids.limit = -1", &["resources.pids.limit", "whole number"]),
        (
            "extends = \"strict\"\nresources.cpu.period = \"50ms\"",
            &["goes together with resources.cpu.quota"],
        ),
        ("extends = \"strict\"\nroot.overlay = true", &["root.overlay", "root.path is not set"]),
        ("extends = \"strict\"\nroot.path = \"~/root\"", &["not expanded"]),
        ("extends = \"strict\"\nnamespaces = [\"-uts\"]", &["hostname", "needs the uts namespace"]),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\"] }, { destination = \"/a\", options = [\"rw\"] }]",
            &["mounts[1]", "\"/a\" is there twice"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a/../b\", options = [\"ro\"] }]",
            &["mounts[0].destination", "absolute path"],
        ),
        ("extends = \"strict\"\nmounts = [{ destination = \"/\", options = [\"ro\"] }]", &["root.path"]),
        ("extends = \"strict\"\nmounts = [{ destination = \"/a\" }]", &["\"ro\" or \"rw\""]),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"rw\"] }]",
            &["says otherwise"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"suid\"] }]",
            &["\"suid\" is refused"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"dev\"] }]",
            &["\"dev\" is refused"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"noexce\"] }]",
            &["unknown mount option", "noexec"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", options = [\"ro\", \"size=1MiB\"] }]",
            &["only goes with type \"tmpfs\""],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", type = \"tmpfs\", options = [\"size=65536k\"] }]",
            &["ambiguous unit"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/a\", type = \"tmpfs\", source = \"/b\" }]",
            &["only goes with type \"bind\""],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/sys\", type = \"sysfs\" }]",
            &["\"sysfs\" is refused"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/x\", type = \"proc\" }]",
            &["mounts (/x)", "/proc or not at all"],
        ),
        (
            "extends = \"strict\"\nmounts = [{ destination = \"/nothing\", remove = true }]",
            &["not inherited"],
        ),
        (
            "extends = \"strict\"\nseccomp.mode = \"off\"\nseccomp.defaultAction = \"kill\"",
            &["does not go with"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"raed\"]\naction = \"allow\"",
            &["line 2", "unknown system call \"raed\"", "did you mean read?"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"@file-sytem\"]\naction = \"allow\"",
            &["@file-sytem", "@file-system"],
        ),
        ("extends = \"strict\"\n[[seccomp.syscalls]]\nnames = []\naction = \"allow\"", &["names", "missing"]),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]",
            &["seccomp.syscalls[0].action", "missing"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nerrnoRet = 1",
            &["only goes with"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"errno\"\nerrnoRet = 4096",
            &["out of range"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"errno\"\nerrnoRet = \"ENOPE\"",
            &["unknown errno \"ENOPE\""],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"notify\"",
            &["\"notify\" is refused"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nargs = [{ index = 6, op = \"==\", value = 0 }]",
            &["out of range (0 to 5)"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nargs = [{ index = 0, op = \"=\", value = 0 }]",
            &["unknown operator"],
        ),
        (
            "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"read\"]\naction = \"allow\"\nargs = [{ index = 0, op = \"==\", value = -1 }]",
            &["out of range"],
        ),
        ("extends = \"lite\"\nhostname = \"x\"", &["hostname", "lite"]),
        ("extends = \"lite\"\nroot.readonly = true", &["root.readonly", "lite"]),
        ("extends = \"lite\"\nmaskedPaths = [\"/a\"]", &["maskedPaths", "lite"]),
        ("extends = \"lite\"\nprocess.noNewPrivileges = false", &["process.noNewPrivileges", "lite"]),
        ("extends = \"lite\"\nprocess.user = \"5\"", &["process.user", "lite"]),
        (
            "extends = \"lite\"\nmounts = [{ destination = \"/tmp\", type = \"tmpfs\" }]",
            &["mounts (/tmp)", "lite"],
        ),
        (
            "extends = \"lite\"\nmounts = [{ destination = \"/a\", source = \"/b\", options = [\"ro\"] }]",
            &["own place"],
        ),
        ("extends = \"lite\"\nnamespaces = []\nlandlock.mode = \"off\"\nseccomp.mode = \"off\"", &["lite"]),
        ("extends = \"../strict\"", &["cannot open profile ../strict"]),
        ("extends = \"Strict\"", &["not a profile's name"]),
        ("extends = [\"strict\", \"lite\"]", &["extends", "expected a string, found a list"]),
        ("extends = \"strict\"\n\"a\\u001b[31m\" = 1", &["unknown key a\\u{1b}[31m"]),
        ("extends = \"strict\"\nhostname = \"\\u001b[31m\"", &["\\u{1b}[31m"]),
    ];
    for (text, parts) in table {
        let said = refused(text);
        for part in *parts {
            assert!(said.contains(part), "{text}\nsaid: {said}\nmissing: {part}");
        }
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert!(!said.ends_with('.'), "{said}");
    }
}

#[test]
fn the_error_of_a_value_is_there_as_data() {
    match Profile::from_toml("extends = \"strict\"\n\nlimits.output = 0", "p.toml") {
        Err(ProfileError::Value { place, key, source }) => {
            assert_eq!(place.position, Some((3, 17)));
            assert_eq!(key, "limits.output");
            assert_eq!(*source, ValueError::Zero);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_are_no_names() {
    for name in [
        "",
        ".",
        "..",
        ".x",
        "-p",
        "--profile",
        "STRICT",
        "a b",
        "a\0b",
        "a\nb",
        "a\x1bb",
        "a\\b",
        "~",
        "$HOME",
        "%2e",
        "strict ",
        "strict\n",
        " strict",
        "str\u{0456}ct",
        &"a".repeat(65),
    ] {
        let error = Profile::load(name).unwrap_err();
        assert!(matches!(error, ProfileError::Name { .. }), "{name:?}: {error:?}");
        assert!(!error.to_string().chars().any(char::is_control), "{error}");
    }
    for path in ["../strict", "/", "./", "/etc", "strict/..", "/nonexistent/x.toml", "./strict"] {
        let error = Profile::load(path).unwrap_err();
        assert!(
            matches!(
                error,
                ProfileError::File { .. }
                    | ProfileError::NotRegular { .. }
                    | ProfileError::WritableByOthers { .. }
            ),
            "{path}: {error:?}"
        );
    }
}

#[test]
fn files_that_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good.toml", "extends = \"strict\"\nhostname = \"good\"\n");
    assert_eq!(load(&good, &[]).hostname.as_deref(), Some("good"));
    std::fs::set_permissions(&good, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = Profile::load(&good).unwrap_err();
    assert!(matches!(error, ProfileError::WritableByOthers { mode: 0o666, .. }), "{error:?}");
    assert!(error.to_string().contains("chmod go-w"));

    let large = folder.path().join("large.toml");
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(10 << 20).unwrap();
    std::fs::set_permissions(&large, std::fs::Permissions::from_mode(0o644)).unwrap();
    let start = Instant::now();
    let error = Profile::load(large.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, ProfileError::TooLarge { limit: 262_144, .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(1));

    let latin = write(folder.path(), "latin.toml", b"extends = \"strict\"\n# gr\xfcn\n");
    let error = Profile::load(&latin).unwrap_err();
    assert!(matches!(error, ProfileError::NotUtf8 { line: 2, .. }), "{error:?}");
}

#[test]
fn foreign_files_are_not_taken() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can make a file that is somebody else's; the rule itself has its unit test.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "theirs.toml", "extends = \"strict\"\n");
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    let error = Profile::load(&path).unwrap_err();
    assert!(matches!(error, ProfileError::ForeignOwner { owner: 65534, caller: 0, .. }), "{error:?}");
}

#[test]
fn chains_are_bounded_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let own = write(folder.path(), "own.toml", "extends = \"./own.toml\"\n");
    write(folder.path(), "a.toml", "extends = \"./sub/../b.toml\"\n");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    write(folder.path(), "b.toml", "extends = \"./c.toml\"\n");
    write(folder.path(), "c.toml", "extends = \"./a.toml\"\n");
    let circle = folder.path().join("a.toml");
    for (path, links) in [(own.as_str(), 1), (circle.to_str().unwrap(), 3)] {
        match Profile::load(path).unwrap_err() {
            ProfileError::Cycle { chain } => {
                assert_eq!(chain.0.len(), links + 1);
                assert_eq!(chain.to_string().matches(" extends ").count(), links);
            }
            other => panic!("{other:?}"),
        }
    }
    // 8 profiles, the built-in one counted, are the most.
    let mut path = write(folder.path(), "0.toml", "extends = \"strict\"\n");
    for n in 1..7 {
        path = write(folder.path(), &format!("{n}.toml"), format!("extends = \"./{}.toml\"\n", n - 1));
    }
    load(&path, &[]);
    let path = write(folder.path(), "7.toml", "extends = \"./6.toml\"\n");
    assert!(matches!(Profile::load(&path), Err(ProfileError::TooDeep { limit: 8, .. })));
    // An error further down says how one came there.
    write(folder.path(), "bad.toml", "extends = \"strict\"\nhostnam = 1\n");
    let path = write(folder.path(), "good.toml", "extends = \"./bad.toml\"\n");
    let said = story(&Profile::load(&path).unwrap_err());
    assert!(
        said.contains("good.toml extends ")
            && said.contains("bad.toml: line 2")
            && said.contains("hostname?"),
        "{said}"
    );
    // Together they are not larger than one that is too large.
    let filler = format!("extends = \"./part0.toml\"\n#{}\n", "x".repeat(200_000));
    write(folder.path(), "part0.toml", filler.replace("./part0.toml", "strict"));
    write(folder.path(), "part1.toml", &filler);
    let path = write(folder.path(), "part2.toml", filler.replace("part0", "part1"));
    let said = story(&Profile::load(&path).unwrap_err());
    assert!(said.contains("larger than"), "{said}");
}

#[test]
fn relative_paths_start_at_the_profiles_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "extends = \"strict\"\nmounts = [{ destination = \"/data\", source = \"data\", options = [\"ro\"] }]\n";
    let path = write(folder.path(), "p.toml", text);
    let MountKind::Bind { source, .. } = mount(&load(&path, &[]), "/data").unwrap().kind.clone() else {
        panic!()
    };
    assert_eq!(source, folder.path().join("data"));
}

#[test]
fn nothing_is_loaded_from_the_current_folder_by_name() {
    // Cargo runs this in the package's folder; profiles/strict.toml and the like are there, by path only.
    assert!(Path::new("profiles/strict.toml").exists());
    // The user's folder may be out of reach (a HOME that is somebody else's): an error too.
    let error = Profile::load("strict.toml").unwrap_err();
    let sought = profile::user_folder().unwrap_or_default();
    match error {
        ProfileError::NotFound { name, .. } => assert_eq!(name, "strict.toml"),
        ProfileError::File { path, .. } => assert_eq!(path, sought),
        other => panic!("{other:?}"),
    }
}

#[test]
fn oci_seccomp_profiles_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
        { "names": ["read", "write", "some_future_call"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["fchown"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_CHOWN"] } } ] }"#;
    write(folder.path(), "docker.json", json);
    let path = write(folder.path(), "p.toml", "extends = \"strict\"\nseccomp.profile = \"docker.json\"\n");
    let allows = |profile: &Profile, call: &str| {
        let rules = &profile.seccomp.as_ref().unwrap().rules;
        rules.iter().any(|rule| rule.action == Action::Allow && rule.names.iter().any(|name| name == call))
    };
    let profile = load(&path, &[]);
    assert_eq!(profile.seccomp.as_ref().unwrap().default, Action::Errno(38));
    assert!(allows(&profile, "read") && !allows(&profile, "openat") && !allows(&profile, "some_future_call"));
    assert!(!allows(&profile, "fchown"));
    assert!(allows(&load(&path, &["process.capabilities=CAP_CHOWN"]), "fchown"));
    // A profile's own rules go before, and the same file is refused where unknown names are.
    let own = load(&path, &["seccomp.syscalls=[{ names = [\"read\"], action = \"kill\" }]"]);
    assert_eq!(own.seccomp.unwrap().rules[0].action, Action::KillProcess);
    let said = story(&Profile::load_with(&path, &["seccomp.unknownNames=refuse"]).unwrap_err());
    assert!(said.contains("some_future_call") && said.contains("docker.json"), "{said}");
    write(folder.path(), "docker.json", "{ \"defaultAction\": \"SCMP_ACT_WHATEVER\" }");
    let said = story(&Profile::load(&path).unwrap_err());
    assert!(said.contains("docker.json"), "{said}");
    std::fs::remove_file(folder.path().join("docker.json")).unwrap();
    let said = story(&Profile::load(&path).unwrap_err());
    assert!(
        said.contains("line 2") && said.contains("cannot open") && said.contains("docker.json"),
        "{said}"
    );
}

#[test]
fn nesting_is_bounded() {
    for text in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{ a = ".repeat(40_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("a = {}1{}", "[".repeat(70), "]".repeat(70)),
        format!("mounts = {}", "[".repeat(100_000)),
    ] {
        let start = Instant::now();
        assert!(Profile::from_toml(&text, "p").is_err());
        assert!(start.elapsed() < Duration::from_secs(2), "{}", &text[..20]);
    }
    assert!(matches!(Profile::from_toml(&" ".repeat(262_145), "p"), Err(ProfileError::TooLarge { .. })));
    assert!(matches!(
        Profile::from_slice(b"\xff", "p"),
        Err(ProfileError::NotUtf8 { offset: 0, line: 1, .. })
    ));
}

// Setters.

#[test]
fn setters_check_what_they_set_and_leave_nothing_half_done() {
    let mut profile = load("strict", &[]);
    profile.add_bind(Path::new("data"), Path::new("/data"), true).unwrap();
    profile.add_tmpfs(Path::new("/scratch"), Some(4096)).unwrap();
    profile.set_env("A=1").unwrap();
    profile.set_env("A=2").unwrap();
    profile.set_env("HOME").unwrap();
    profile.set_user(User { uid: 5, gid: 6 }).unwrap();
    profile.set_hostname("other").unwrap();
    profile.set_network(Network::Host).unwrap();
    profile.set_workdir(Workdir::Readonly).unwrap();
    profile.set_cwd(Path::new("/data")).unwrap();
    profile.set_rlimit("nofile", Rlimit { soft: Some(1), hard: Some(2) }).unwrap();
    profile.set_timeout(Some(Duration::from_millis(1500))).unwrap();
    profile.set_cpu_time(Some(Duration::from_secs(3))).unwrap();
    profile.set_output(Some(10)).unwrap();
    profile.set_file_size(None).unwrap();
    profile.set_memory(Some(1 << 30)).unwrap();
    profile.set_pids(Some(5)).unwrap();
    profile.set_cpus(Some(1500)).unwrap();
    assert_eq!(profile.process.env.iter().filter(|e| e.starts_with("A=")).collect::<Vec<_>>(), ["A=2"]);
    assert!(
        profile.process.env.contains(&"HOME".to_owned())
            && !profile.process.env.contains(&"HOME=/tmp".to_owned())
    );
    assert!(!profile.namespaces.contains(&Namespace::Network));
    profile.set_network(Network::None).unwrap();
    assert!(profile.namespaces.contains(&Namespace::Network));
    assert_eq!(Profile::from_toml(&profile.to_toml(), "strict").unwrap(), profile);

    let before = profile.clone();
    let mut bad: Vec<Result<(), ProfileError>> = vec![
        profile.add_bind(Path::new(""), Path::new("/x"), true),
        profile.add_bind(Path::new("/a"), Path::new("x"), true),
        profile.add_bind(Path::new("/a"), Path::new("/"), true),
        profile.add_bind(Path::new("/a"), Path::new("/x/../y"), true),
        profile.add_bind(Path::new("/a\n"), Path::new("/x"), true),
        profile.add_tmpfs(Path::new("/x"), Some(0)),
        profile.add_tmpfs(Path::new("/x"), Some(u64::MAX)),
        profile.set_env(""),
        profile.set_env("=x"),
        profile.set_user(User { uid: u32::MAX, gid: 0 }),
        profile.set_hostname("a b"),
        profile.set_hostname(""),
        profile.set_cwd(Path::new("/proc/self/fd/3")),
        profile.set_rlimit("cpu", Rlimit { soft: None, hard: None }),
        profile.set_rlimit("nofile", Rlimit { soft: None, hard: Some(1) }),
        profile.set_timeout(Some(Duration::ZERO)),
        profile.set_timeout(Some(Duration::from_nanos(1))),
        profile.set_cpu_time(Some(Duration::from_millis(1))),
        profile.set_output(Some(0)),
        profile.set_memory(Some(u64::MAX)),
        profile.set_memory_swap(Some(1)),
        profile.set_cpu_shares(Some(1)),
        profile.set_total_cpu_time(Some(Duration::from_nanos(1))),
        profile.set_cgroup_parent(Some(Path::new("a"))),
        profile.set_pids(Some(0)),
        profile.set_cpus(Some(0)),
        profile.set_cpus(Some(u64::MAX)),
        profile.set_overlay(true),
    ];
    for (at, result) in bad.drain(..).enumerate() {
        assert!(result.is_err(), "{at}");
    }
    assert_eq!(profile, before);

    profile.set_rootfs(Path::new("/srv/root")).unwrap();
    assert!(profile.mounts.iter().all(|mount| !mount.system) && !profile.root.synthetic_etc);
    assert!(mount(&profile, "/data").is_some());
    assert!(profile.root.readonly);
    profile.set_overlay(true).unwrap();
    assert!(!profile.root.readonly);

    let mut lite = load("lite", &[]);
    let before = lite.clone();
    assert!(lite.set_hostname("x").is_err());
    assert!(lite.set_network(Network::None).is_err());
    assert!(lite.set_rootfs(Path::new("/x")).is_err());
    assert!(lite.add_tmpfs(Path::new("/x"), None).is_err());
    assert!(lite.add_bind(Path::new("/a"), Path::new("/b"), true).is_err());
    assert_eq!(lite, before);
    lite.add_bind(Path::new("/a"), Path::new("/a"), false).unwrap();
}

// Anything at all.

/// TOML-like text out of the schema's own words, so that it gets past the parser.
fn toml_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        proptest::sample::select(profile::KEYS.to_vec()).prop_map(str::to_owned),
        proptest::sample::select(vec![
            "extends",
            "process",
            "root",
            "mounts",
            "seccomp",
            "process.rlimits.nofile",
            "a.b"
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z.]{1,8}",
    ];
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        proptest::sample::select(vec![
            "\"strict\"",
            "\"lite\"",
            "\"unlimited\"",
            "\"5s\"",
            "\"1MiB\"",
            "\"/a\"",
            "\"-network\"",
            "\"bind\"",
            "\"tmpfs\"",
            "\"ro\"",
            "\"allow\"",
            "\"errno\"",
            "\"@known\"",
            "\"read\"",
            "0o22",
            "1.5",
            "inf",
            "2000-01-01",
            "\"\"",
        ])
        .prop_map(str::to_owned),
        "\"[^\"\\\\\\x00-\\x1f\\x7f]{0,12}\"",
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(", "))),
            proptest::collection::btree_map(
                proptest::sample::select(vec![
                    "destination",
                    "type",
                    "options",
                    "source",
                    "names",
                    "action",
                    "args",
                    "soft",
                    "hard"
                ]),
                inner,
                0..4
            )
            .prop_map(|table| {
                let pairs: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    });
    proptest::collection::btree_map(word, value, 0..6)
        .prop_map(|lines| lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in toml_like()) {
        for text in [text.clone(), format!("extends = \"strict\"\n{}", text.replace("extends =", "workdir ="))] {
            if let Err(error) = Profile::from_toml(&text, "p") {
                prop_assert!(!story(&error).chars().any(char::is_control), "{}", story(&error));
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        prop_assert!(Profile::from_slice(&bytes, "p").is_err());
        prop_assert!(Profile::from_toml(&text, "p").is_err());
    }

    #[test]
    fn no_override_panics(key in proptest::sample::select(profile::KEYS.to_vec()), value in "\\PC{0,40}|[a-z0-9\\[\\]{}=\", ./-]{0,40}") {
        match Profile::load_with("strict", &[format!("{key}={value}")]) {
            // What is accepted reads back as itself.
            Ok(profile) => prop_assert_eq!(Profile::from_toml(&profile.to_toml(), "strict").unwrap(), profile),
            Err(error) => prop_assert!(!story(&error).chars().any(char::is_control), "{}", story(&error)),
        }
    }

    #[test]
    fn no_name_panics(name in "\\PC{0,80}|[a-z./-]{0,20}") {
        if let Err(error) = Profile::load(&name) {
            prop_assert!(!story(&error).chars().any(char::is_control), "{}", story(&error));
        }
    }
}
