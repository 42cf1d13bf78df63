//! Setters.

use super::*;

#[test]
fn changes_are_checked_and_leave_nothing_half_done() {
    let mut profile = load("strict", &[]);
    profile.add_bind(Path::new("data"), Path::new("/data"), true).unwrap();
    profile.add_tmpfs(Path::new("/scratch"), Some(4096)).unwrap();
    profile.set_env("A", Some("1")).unwrap();
    profile.set_env("A", Some("2")).unwrap();
    profile.set_env("HOME", None).unwrap();
    profile.set_network(Network::Host).unwrap();
    profile
        .change(|profile| {
            profile.process.user = Some(User { uid: 5, gid: 6 });
            profile.hostname = Some("other".to_owned());
            profile.workdir = Workdir::Readonly;
            profile.process.cwd = Some("/data".into());
            profile.process.rlimits.insert("nofile".to_owned(), Rlimit { soft: Some(1), hard: Some(2) });
            profile.limits.timeout = Some(Duration::from_millis(1500));
            profile.limits.cpu_time = Some(Duration::from_secs(3));
            profile.limits.output = Some(10);
            profile.limits.file_size = None;
            profile.resources.memory = Some(1 << 30);
            profile.resources.pids = Some(5);
            profile.resources.cpus = Some(1500);
        })
        .unwrap();
    assert_eq!(profile.process.env.iter().filter(|e| e.starts_with("A=")).collect::<Vec<_>>(), ["A=2"]);
    assert!(
        profile.process.env.contains(&"HOME".to_owned())
            && !profile.process.env.contains(&"HOME=/tmp".to_owned())
    );
    assert!(!profile.namespaces.contains(&Namespace::Network));
    profile.set_network(Network::None).unwrap();
    assert!(profile.namespaces.contains(&Namespace::Network));
    assert_eq!(from_toml(&profile.to_toml(), "strict").unwrap(), profile);

    let before = profile.clone();
    let disk = Path::new("/dev/sda");
    let bad: [Result<(), ProfileError>; 15] = [
        profile.add_bind(Path::new(""), Path::new("/x"), true),
        profile.add_bind(Path::new("/a"), Path::new("x"), true),
        profile.add_bind(Path::new("/a"), Path::new("/"), true),
        profile.add_bind(Path::new("/a"), Path::new("/x/../y"), true),
        profile.add_bind(Path::new("/a\n"), Path::new("/x"), true),
        profile.add_tmpfs(Path::new("/x"), Some(0)),
        profile.add_tmpfs(Path::new("/x"), Some(u64::MAX)),
        profile.set_env("", None),
        profile.set_env("", Some("x")),
        profile.set_rootfs(Path::new("")),
        profile.add_throttle(Path::new("dev/sda"), Throttled::ReadBps, 1),
        profile.add_throttle(disk, Throttled::ReadBps, 0),
        profile.add_throttle(disk, Throttled::WriteIops, 1 << 32),
        profile.add_throttle(disk, Throttled::WriteBps, u64::MAX),
        profile.set_overlay(true),
    ];
    for (at, result) in bad.into_iter().enumerate() {
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
    assert!(lite.change(|lite| lite.hostname = Some("x".to_owned())).is_err());
    assert!(lite.set_network(Network::None).is_err());
    assert!(lite.set_rootfs(Path::new("/x")).is_err());
    assert!(lite.add_tmpfs(Path::new("/x"), None).is_err());
    assert!(lite.add_bind(Path::new("/a"), Path::new("/b"), true).is_err());
    assert_eq!(lite, before);
    lite.add_bind(Path::new("/a"), Path::new("/a"), false).unwrap();
}

#[test]
fn a_value_that_no_file_could_have_is_refused_from_code_too() {
    type Change = fn(&mut Profile);
    let bad: [(&str, Change); 25] = [
        ("process.user", |p| p.process.user = Some(User { uid: u32::MAX, gid: 0 })),
        ("hostname", |p| p.hostname = Some("a b".to_owned())),
        ("hostname", |p| p.hostname = Some(String::new())),
        ("process.cwd", |p| p.process.cwd = Some("/proc/self/fd/3".into())),
        ("process.cwd", |p| p.process.cwd = Some("a".into())),
        ("process.umask", |p| p.process.umask = 0o1000),
        ("process.rlimits", |p| {
            p.process.rlimits.insert("cpu".to_owned(), UNLIMITED);
        }),
        ("process.rlimits", |p| {
            p.process.rlimits.insert("nofile".to_owned(), Rlimit { hard: Some(1), ..UNLIMITED });
        }),
        ("limits.timeout", |p| p.limits.timeout = Some(Duration::ZERO)),
        ("limits.timeout", |p| p.limits.timeout = Some(Duration::from_nanos(1))),
        ("limits.cpuTime", |p| p.limits.cpu_time = Some(Duration::from_millis(1))),
        ("limits.output", |p| p.limits.output = Some(0)),
        ("limits.fileSize", |p| p.limits.file_size = Some(0)),
        ("resources.memory.limit", |p| p.resources.memory = Some(u64::MAX)),
        ("resources.memory.swap", |p| p.resources.swap = Some(1)),
        ("resources.pids.limit", |p| p.resources.pids = Some(0)),
        ("resources.cpu.quota", |p| p.resources.cpus = Some(0)),
        ("resources.cpu.quota", |p| p.resources.cpus = Some(u64::MAX)),
        ("resources.cpu.shares", |p| p.resources.cpu_shares = Some(1)),
        ("resources.cpu.time", |p| p.resources.cpu_time = Some(Duration::from_nanos(1))),
        ("resources.blockIO.weight", |p| p.resources.io_weight = Some(1001)),
        ("resources.cgroupParent", |p| p.resources.cgroup_parent = Some("a".into())),
        ("maskedPaths", |p| p.masked_paths.push("a".into())),
        ("root.size", |p| p.root.size = 0),
        ("root.etcPrograms", |p| {
            p.root.etc_programs.insert("../x".to_owned());
        }),
    ];
    const UNLIMITED: Rlimit = Rlimit { soft: None, hard: None };
    let mut profile = load("strict", &["resources.memory.limit=1MiB"]);
    let before = profile.clone();
    for (key, change) in bad {
        let said = error_chain(&profile.change(change).expect_err(key));
        assert!(said.contains(&format!(" {key}: ")), "{key}: {said}");
        assert_eq!(profile, before, "{key}");
    }
}

#[test]
fn mounts_in_the_general_form_are_printed_as_they_are_read() {
    let text = r#"
        extends = "strict"
        mounts = [
            { destination = "/sys", type = "sysfs", options = ["ro", "rnosuid", "relatime"] },
            { destination = "/groups", type = "cgroup2", options = ["ro", "nsdelegate"] },
            { destination = "/scratch", type = "tmpfs", options = ["size=1MiB", "uid=7", "rnoatime", "nodiratime"] },
            { destination = "/proc", type = "proc", options = ["hidepid=2", "subset=pid"] },
            { destination = "/dev/kvm", type = "c", options = ["major=10", "minor=232", "mode=0660", "gid=5"] },
            { destination = "/dev/disk", type = "b", options = ["major=8", "minor=0", "ro"] },
            { destination = "/data", source = "/srv", options = ["rbind", "rro", "rslave", "strictatime", "nosymfollow"] },
        ]
    "#;
    let profile = from_toml(text, "p").unwrap();
    let data = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    let MountKind::Filesystem { data: scratch, .. } = &mount(&profile, "/scratch").unwrap().kind else {
        panic!()
    };
    let limits = [data("size", "1048576"), data("nr_inodes", "8192"), data("mode", "1777"), data("uid", "7")];
    assert_eq!(*scratch, limits);
    assert!(mount(&profile, "/data").unwrap().readonly);
    assert_eq!(from_toml(&profile.to_toml(), "strict").unwrap().mounts, profile.mounts);
}
