use std::time::Duration;

use super::*;
use crate::cli::args::{Command, Parsed, parse};
use crate::profile::{Enforce, Limits, Mount, MountKind, Namespace, Resources, Throttle, Throttled, User};

fn profile() -> Profile {
    Profile::load("strict").expect("a profile")
}

fn applied(options: &[&str], to: &Profile) -> Result<Profile, Error> {
    let words = ["belljar", "run"].iter().chain(options).chain(&["--", "true"]);
    let line: Vec<std::ffi::OsString> = words.map(Into::into).collect();
    let Ok(Parsed::Do(cli)) = parse(&line) else { panic!("{options:?}") };
    let Command::Run(args) = cli.command else { panic!("{options:?}") };
    let mut profile = to.clone();
    apply(&args, &mut profile).map(|()| profile)
}

fn mount<'a>(profile: &'a Profile, destination: &str) -> &'a Mount {
    let found: Vec<_> =
        profile.mounts.iter().filter(|mount| mount.destination == Path::new(destination)).collect();
    assert_eq!(found.len(), 1, "{destination}");
    found[0]
}

/// Source, and whether it is read-only.
fn bind(profile: &Profile, destination: &str) -> (PathBuf, bool) {
    let mount = mount(profile, destination);
    assert!(!mount.optional && !mount.system && !mount.noexec, "{mount:?}");
    match &mount.kind {
        MountKind::Bind { source, .. } => (source.clone(), mount.readonly),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_options_the_profile_stays() {
    for name in ["strict", "lite"] {
        let profile = Profile::load(name).expect("a profile");
        assert_eq!(applied(&[], &profile).expect("applied"), profile);
    }
}

#[test]
fn mounts_are_added_and_take_the_place_of_the_profiles() {
    let options =
        ["--bind=/a:/x", "--ro-bind", "/usr/lib", "--ro-bind=/no:/etc", "--tmpfs", "/tmp:2K", "--tmpfs=/y"];
    let result = applied(&options, &profile()).expect("applied");
    assert_eq!(bind(&result, "/x"), ("/a".into(), false));
    assert_eq!(bind(&result, "/usr/lib"), ("/usr/lib".into(), true));
    assert_eq!(bind(&result, "/etc"), ("/no".into(), true));
    let size = |destination| match mount(&result, destination).kind {
        MountKind::Tmpfs { size, .. } => size,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(size("/tmp"), 2048);
    assert_eq!(size("/y"), 64 << 20);
}

#[test]
fn a_relative_source_starts_from_here() {
    let here = std::env::current_dir().expect("a directory");
    let result = applied(&["--bind=sub/./x:/x", "--ro-bind=."], &profile()).expect("applied");
    assert_eq!(bind(&result, "/x").0, here.join("sub/x"));
    assert_eq!(bind(&result, here.to_str().expect("UTF-8")).0, here);
}

#[test]
fn dots_in_a_source_without_a_destination_are_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().canonicalize().expect("a path");
    std::os::unix::fs::symlink("/usr/lib", directory.join("link")).expect("symlink");
    let option = format!("--ro-bind={}/link/..", directory.display());
    let result = applied(&[&option], &profile()).expect("applied");
    assert!(bind(&result, "/usr").0.ends_with("link/.."));
    let option = format!("--ro-bind={}/missing/..", directory.display());
    let error = applied(&[&option], &profile()).expect_err("refused");
    assert!(matches!(error, Error::HostPath { option: "--ro-bind", .. }), "{error:?}");
}

#[test]
fn one_destination_twice_is_an_error() {
    for options in
        [["--bind=/a:/x", "--ro-bind=/b:/x/"], ["--tmpfs=/x", "--bind=/x"], ["--bind=/x", "--bind=/x"]]
    {
        let error = applied(&options, &profile()).expect_err("refused");
        assert!(matches!(&error, Error::DestinationTwice { path } if path == Path::new("/x")), "{error:?}");
    }
}

#[test]
fn the_root() {
    let result = applied(&["--rootfs=/r", "--overlay-tmp"], &profile()).expect("applied");
    assert_eq!(result.root.path.as_deref(), Some(Path::new("/r")));
    assert!(result.root.overlay && !result.root.synthetic_etc);
    assert!(!result.mounts.iter().any(|mount| mount.system), "{:?}", result.mounts);
    let error = applied(&["--overlay-tmp"], &profile()).expect_err("refused");
    assert!(error.message().starts_with("--overlay-tmp: "), "{}", error.message());
}

#[test]
fn the_network() {
    let result = applied(&["--net=host"], &profile()).expect("applied");
    assert!(!result.namespaces.contains(&Namespace::Network));
    assert!(result.namespaces.contains(&Namespace::Pid));
    let result = applied(&["--net=none"], &result).expect("applied");
    assert_eq!(result, profile());
}

#[test]
fn the_process() {
    let result = applied(&["--hostname=box", "--user=5:6"], &profile()).expect("applied");
    assert_eq!(result.hostname.as_deref(), Some("box"));
    assert_eq!(result.process.user, Some(User { uid: 5, gid: 6 }));
}

#[test]
fn limits_are_set_and_lifted() {
    let options = [
        "--timeout=unlimited",
        "--cpu-time=2s",
        "--file-size=3M",
        "--output-limit=4K",
        "-m=5M",
        "--pids=6",
        "--cpus=0.5",
        "--memory-swap=6M",
        "--cpu-weight=200",
        "--cgroup-parent=/a/b",
        "--io-weight=300",
        "--io-write-iops=/b:8",
        "--io-read-bps=/a:4M",
        "--io-read-bps=/a:5M",
    ];
    let result = applied(&options, &profile()).expect("applied");
    let (file_size, output) = (Some(3 << 20), Some(4 << 10));
    let limits = Limits { timeout: None, cpu_time: None, file_size, output, output_truncated: false };
    assert_eq!(result.limits, limits);
    let resources = Resources {
        memory: Some(5 << 20),
        swap: Some(6 << 20),
        pids: Some(6),
        cpus: Some(500),
        cpu_shares: Some(2048),
        cpu_time: Some(Duration::from_secs(2)),
        cgroup_parent: Some("/a/b".into()),
        io_weight: Some(300),
        throttles: vec![
            Throttle { path: "/a".into(), kind: Throttled::ReadBps, rate: 5 << 20 },
            Throttle { path: "/b".into(), kind: Throttled::WriteIops, rate: 8 },
        ],
        enforce: Enforce::Cgroup,
    };
    assert_eq!(result.resources, resources);
    let result = applied(&["--output-limit=4K:truncate"], &profile()).expect("applied");
    assert_eq!((result.limits.output, result.limits.output_truncated), (Some(4 << 10), true));
    let result = applied(&["--limits=rlimit", "--memory=5M"], &profile()).expect("applied");
    assert_eq!(
        result.resources,
        Resources { memory: Some(5 << 20), enforce: Enforce::Rlimit, ..Default::default() }
    );
}

#[test]
fn what_fits_no_sandbox_or_not_this_profile_is_an_error_that_names_the_option() {
    let lite = Profile::load("lite").expect("a profile");
    for (option, profile) in [
        ("--hostname=a b", &profile()),
        ("--hostname=", &profile()),
        ("--cpu-time=1500us", &profile()),
        ("--cgroup-parent=a/../b", &profile()),
        ("--io-read-bps=/a/../b:1M", &profile()),
        ("--net=none", &lite),
        ("--hostname=box", &lite),
        ("--user=5", &lite),
        ("--bind=/a:/b", &lite),
        ("--tmpfs=/a", &lite),
        ("--rootfs=/a", &lite),
        ("--overlay-tmp", &lite),
    ] {
        let message = applied(&[option], profile).expect_err(option).message();
        let name = option.split('=').next().expect("a name");
        assert!(message.starts_with(&format!("{name}: ")), "{option}: {message}");
    }
    // Without namespaces a bind at its own place is a right to it.
    applied(&["--ro-bind=/usr", "--timeout=1s"], &lite).expect("applied");
}
