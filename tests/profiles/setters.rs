//! Setters.

use super::*;

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
        profile.set_io_weight(Some(1001)),
        profile.add_throttle(Path::new("dev/sda"), Throttled::ReadBps, 1),
        profile.add_throttle(Path::new("/dev/sda"), Throttled::ReadBps, 0),
        profile.add_throttle(Path::new("/dev/sda"), Throttled::WriteIops, 1 << 32),
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
    let profile = Profile::from_toml(text, "p").unwrap();
    let data = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    let MountKind::Filesystem { data: scratch, .. } = &mount(&profile, "/scratch").unwrap().kind else {
        panic!()
    };
    let limits = [data("size", "1048576"), data("nr_inodes", "8192"), data("mode", "1777"), data("uid", "7")];
    assert_eq!(*scratch, limits);
    assert!(mount(&profile, "/data").unwrap().readonly);
    assert_eq!(Profile::from_toml(&profile.to_toml(), "strict").unwrap().mounts, profile.mounts);
}
