use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::cli::args::{Command, Parsed, parse};
use crate::profile::{Landlock, Limits, Process, Resources, Root, User, Workdir};

/// A profile with all namespaces and one mount.
fn profile() -> Profile {
    use Namespace::{Ipc, Mount, Network, Pid, User, Uts};
    Profile {
        name: "p".into(),
        description: String::new(),
        namespaces: [User, Mount, Pid, Ipc, Uts, Network].into(),
        hostname: None,
        workdir: Workdir::None,
        root: Root {
            path: None,
            path_required: false,
            readonly: true,
            overlay: false,
            size: 7,
            inodes: 8,
            synthetic_etc: true,
        },
        process: Process {
            cwd: None,
            env: vec![],
            user: None,
            capabilities: BTreeSet::new(),
            no_new_privileges: true,
            umask: 0o22,
            rlimits: BTreeMap::new(),
        },
        mounts: vec![mount("/tmp", MountKind::Dev, false)],
        masked_paths: vec![],
        readonly_paths: vec![],
        seccomp: None,
        landlock: Landlock::default(),
        limits: Limits { timeout: Some(Duration::from_secs(9)), ..Limits::default() },
        resources: Resources::default(),
    }
}

fn lite() -> Profile {
    Profile { name: "lite".into(), namespaces: BTreeSet::new(), ..profile() }
}

fn mount(destination: &str, kind: MountKind, readonly: bool) -> Mount {
    Mount { destination: destination.into(), kind, readonly, noexec: false, optional: false, system: false }
}

fn bind(source: impl Into<PathBuf>, destination: &str, readonly: bool) -> Mount {
    mount(destination, MountKind::Bind { source: source.into(), idmap: true }, readonly)
}

fn applied(options: &[&str], to: Profile) -> Result<Profile, Error> {
    let line = ["belljar", "run"].iter().chain(options).chain(&["--", "true"]).map(Into::into).collect();
    let Ok(Parsed::Do(cli)) = parse(line) else { panic!("{options:?}") };
    let Command::Run(args) = cli.command else { panic!("{options:?}") };
    let mut profile = to;
    apply(&args, &mut profile).map(|()| profile)
}

#[test]
fn without_options_the_profile_stays() {
    assert_eq!(applied(&[], profile()).expect("applied"), profile());
    assert_eq!(applied(&[], lite()).expect("applied"), lite());
}

#[test]
fn mounts_are_added_and_take_the_place_of_the_profiles() {
    let options = ["--bind=/a:/x", "--ro-bind", "/b", "--tmpfs", "/tmp:2K", "--tmpfs=/y"];
    let result = applied(&options, profile()).expect("applied");
    let tmpfs = |size| MountKind::Tmpfs { size, inodes: 8192, mode: 0o1777 };
    assert_eq!(
        result.mounts,
        [
            bind("/a", "/x", false),
            bind("/b", "/b", true),
            mount("/tmp", tmpfs(2048), false),
            mount("/y", tmpfs(64 << 20), false),
        ]
    );
}

#[test]
fn a_relative_source_starts_from_here() {
    let here = std::env::current_dir().expect("a directory");
    let result = applied(&["--bind=sub/./x:/x", "--ro-bind=."], profile()).expect("applied");
    let here_text = here.to_str().expect("UTF-8");
    assert_eq!(result.mounts[1..], [bind(here.join("sub/x"), "/x", false), bind(&here, here_text, true)]);
}

#[test]
fn dots_in_a_source_without_a_destination_are_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("a path");
    std::fs::create_dir(folder.join("real")).expect("mkdir");
    std::os::unix::fs::symlink("/usr/lib", folder.join("link")).expect("symlink");
    let option = format!("--ro-bind={}/link/..", folder.display());
    let result = applied(&[&option], profile()).expect("applied");
    assert_eq!(result.mounts[1].destination, Path::new("/usr"));
    let option = format!("--ro-bind={}/missing/..", folder.display());
    let error = applied(&[&option], profile()).expect_err("refused");
    assert!(matches!(error, Error::HostPath { option: "--ro-bind", .. }), "{error:?}");
}

#[test]
fn one_destination_twice_is_an_error() {
    for options in
        [["--bind=/a:/x", "--ro-bind=/b:/x/"], ["--tmpfs=/x", "--bind=/x"], ["--bind=/x", "--bind=/x"]]
    {
        let error = applied(&options, profile()).expect_err("refused");
        assert!(matches!(&error, Error::DestinationTwice { path } if path == Path::new("/x")), "{error:?}");
    }
}

#[test]
fn the_root() {
    let mut with_system = profile();
    with_system.mounts.push(Mount { system: true, ..bind("/usr", "/usr", true) });
    let result = applied(&["--rootfs=/r", "--overlay-tmp"], with_system).expect("applied");
    assert_eq!(result.mounts, profile().mounts);
    let root = Root { path: Some("/r".into()), overlay: true, synthetic_etc: false, ..profile().root };
    assert_eq!(result.root, root);
    assert!(matches!(
        applied(&["--overlay-tmp"], profile()),
        Err(Error::ProfileLacks { option: "--overlay-tmp", .. })
    ));
}

#[test]
fn the_network() {
    let result = applied(&["--net=host"], profile()).expect("applied");
    assert!(!result.namespaces.contains(&Namespace::Network));
    assert!(result.namespaces.contains(&Namespace::Pid));
    let result = applied(&["--net=none"], result).expect("applied");
    assert_eq!(result, profile());
}

#[test]
fn the_process() {
    let options = ["--hostname=box", "--user=5:6"];
    let result = applied(&options, profile()).expect("applied");
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
    ];
    let result = applied(&options, profile()).expect("applied");
    let limits = Limits {
        timeout: None,
        cpu_time: Some(Duration::from_secs(2)),
        file_size: Some(3 << 20),
        output: Some(4 << 10),
    };
    assert_eq!(result.limits, limits);
    assert_eq!(result.resources, Resources { memory: Some(5 << 20), pids: Some(6), cpus: Some(500) });
}

#[test]
fn what_a_profile_without_namespaces_cannot_do_is_an_error() {
    for option in [
        "--net=none",
        "--hostname=box",
        "--user=5",
        "--bind=/a",
        "--ro-bind=/a",
        "--tmpfs=/a",
        "--overlay-tmp",
    ] {
        let error = applied(&[option], lite()).expect_err("refused");
        let name = option.split('=').next().expect("a name");
        assert!(error.message().contains(name), "{option}: {}", error.message());
        assert!(error.message().contains("profile lite"), "{option}: {}", error.message());
    }
    // What it has already is no error.
    applied(&["--net=host", "--timeout=1s", "-w", "/"], lite()).expect("applied");
}
