use std::path::Path;
use std::time::Duration;

use clap::Args as _;

use super::*;
use crate::cli::args::{Command, Parsed, parse};
use crate::profile::{
    self, Enforce, IdRange, Mount, MountKind, Namespace, Profile, Resources, Throttle, Throttled, User,
};
use crate::sandbox::Limit as Lifted;

fn profile() -> Profile {
    Profile::load("strict").expect("a profile")
}

fn applied(options: &[&str]) -> Result<Profile, Error> {
    let words = ["belljar", "run"].iter().chain(options).chain(&["--", "true"]);
    let line: Vec<std::ffi::OsString> = words.map(Into::into).collect();
    let Ok(Parsed::Do(cli)) = parse(&line) else { panic!("{options:?}") };
    let Command::Run(args) = cli.command else { panic!("{options:?}") };
    sandbox(&args).map(|sandbox| sandbox.profile().clone())
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
        assert_eq!(applied(&["-p", name]).expect("applied"), profile);
    }
}

#[test]
fn mounts_are_added_and_take_the_place_of_the_profiles() {
    let options =
        ["--bind=/a:/x", "--ro-bind", "/usr/lib", "--ro-bind=/no:/etc", "--tmpfs", "/tmp:2K", "--tmpfs=/y"];
    let result = applied(&options).expect("applied");
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
    let result = applied(&["--bind=sub/./x:/x", "--ro-bind=."]).expect("applied");
    assert_eq!(bind(&result, "/x").0, here.join("sub/x"));
    assert_eq!(bind(&result, here.to_str().expect("UTF-8")).0, here);
}

#[test]
fn dots_in_a_source_without_a_destination_are_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().canonicalize().expect("a path");
    std::os::unix::fs::symlink("/usr/lib", directory.join("link")).expect("symlink");
    let option = format!("--ro-bind={}/link/..", directory.display());
    let result = applied(&[&option]).expect("applied");
    assert!(bind(&result, "/usr").0.ends_with("link/.."));
    let option = format!("--ro-bind={}/missing/..", directory.display());
    let error = applied(&[&option]).expect_err("refused");
    assert!(matches!(error, Error::HostPath { option: "--ro-bind", .. }), "{error:?}");
}

#[test]
fn one_destination_twice_is_an_error() {
    for options in
        [["--bind=/a:/x", "--ro-bind=/b:/x/"], ["--tmpfs=/x", "--bind=/x"], ["--bind=/x", "--bind=/x"]]
    {
        let message = applied(&options).expect_err("refused").message();
        assert!(message.ends_with(": \"/x\" is there twice"), "{message}");
    }
}

#[test]
fn the_root() {
    let result = applied(&["--rootfs=/r", "--overlay-tmp"]).expect("applied");
    assert_eq!(result.root.path.as_deref(), Some(Path::new("/r")));
    assert!(result.root.overlay && !result.root.synthetic_etc);
    assert!(!result.mounts.iter().any(|mount| mount.system), "{:?}", result.mounts);
    let error = applied(&["--overlay-tmp"]).expect_err("refused");
    assert!(error.message().starts_with("--overlay-tmp: "), "{}", error.message());
}

#[test]
fn the_network() {
    let result = applied(&["--net=host"]).expect("applied");
    assert!(!result.namespaces.contains(&Namespace::Network));
    assert!(result.namespaces.contains(&Namespace::Pid));
    let result = applied(&["--set=namespaces=-network", "--net=none"]).expect("applied");
    assert_eq!(result, profile());
}

#[test]
fn the_process() {
    let result = applied(&["--hostname=box", "--user=5:6"]).expect("applied");
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
    let result = applied(&options).expect("applied");
    let (file_size, output) = (Some(3 << 20), Some(4 << 10));
    let limits =
        profile::Limits { timeout: None, cpu_time: None, file_size, output, output_truncated: false };
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
    let result = applied(&["--output-limit=4K:truncate"]).expect("applied");
    assert_eq!((result.limits.output, result.limits.output_truncated), (Some(4 << 10), true));
    let result = applied(&["--limits=rlimit", "--memory=5M"]).expect("applied");
    assert_eq!(
        result.resources,
        Resources { memory: Some(5 << 20), enforce: Enforce::Rlimit, ..Default::default() }
    );
}

#[test]
fn what_fits_no_sandbox_or_not_this_profile_is_an_error_that_names_the_option() {
    let (strict, lite) = ("strict", "lite");
    for (option, name) in [
        ("--hostname=a b", strict),
        ("--hostname=", strict),
        ("--cpu-time=1500us", strict),
        ("--cgroup-parent=a/../b", strict),
        ("--io-read-bps=/a/../b:1M", strict),
        ("--net=none", lite),
        ("--hostname=box", lite),
        ("--user=5", lite),
        ("--bind=/a:/b", lite),
        ("--tmpfs=/a", lite),
        ("--rootfs=/a", lite),
        ("--overlay-tmp", lite),
    ] {
        let message = applied(&["-p", name, option]).expect_err(option).message();
        let flag = option.split('=').next().expect("a name");
        assert!(message.starts_with(&format!("{flag}: ")), "{option}: {message}");
    }
    // Without namespaces a bind at its own place is a right to it.
    applied(&["-p", "lite", "--ro-bind=/usr", "--timeout=1s"]).expect("applied");
}

/// What a method of the builder does, and the options that say the same.
type Same = (&'static [&'static str], fn(Builder) -> Builder);

const SAME: &[Same] = &[
    (&["--profile=standard"], |b| b.profile("standard")),
    (&["--set=root.inodes=99"], |b| b.set("root.inodes=99")),
    (&["--net=host"], |b| b.network(Network::Host)),
    (&["--profile=network", "--net=none"], |b| b.network(Network::None).profile("network")),
    (&["--bind=/a:/x"], |b| b.bind("/a", "/x")),
    (&["--ro-bind=a:/x"], |b| b.ro_bind("a", "/x")),
    (&["--tmpfs=/x:1M", "--tmpfs=/y"], |b| b.tmpfs("/x", 1 << 20).tmpfs("/y", None)),
    (&["--rootfs=/r"], |b| b.rootfs("/r")),
    (&["--overlay-tmp", "--rootfs=/r"], |b| b.overlay_tmp().rootfs("/r")),
    (&["--follow-symlinks"], |b| b.symlinks(Symlinks::Follow)),
    (&["--allow-sockets"], |b| b.sockets(Sockets::Allow)),
    (&["--hostname=box"], |b| b.hostname("box")),
    (&["--user=5:6"], |b| b.user(5, 6)),
    (&["--scheduler=batch:5"], |b| b.set("process.scheduler=batch:5")),
    (&["--ionice=idle"], |b| b.set("process.ioPriority=idle")),
    (&["--userns=auto"], |b| b.id_mappings(IdMap::Auto, IdMap::Auto)),
    (&["--uidmap=0:1000:5", "--gidmap=0:2000:5"], |b| {
        let range = |outside| IdMap::Ranges(vec![IdRange { inside: 0, outside, count: 5 }]);
        b.id_mappings(range(1000), range(2000))
    }),
    (&["--memory=5M", "--memory-swap=6M"], |b| b.limits(Limits::new().memory_swap(6 << 20).memory(5 << 20))),
    (&["--pids=6"], |b| b.limits(Limits::new().pids(6))),
    (&["--cpus=0.5"], |b| b.limits(Limits::new().cpus(0.5))),
    (&["--cpu-weight=200"], |b| b.limits(Limits::new().cpu_weight(200))),
    (&["--io-weight=300"], |b| b.limits(Limits::new().io_weight(300))),
    (&["--io-read-bps=/a:4M"], |b| b.limits(Limits::new().io_read_bps("/a", 4 << 20))),
    (&["--io-write-bps=/a:4M"], |b| b.limits(Limits::new().io_write_bps("/a", 4 << 20))),
    (&["--io-read-iops=/a:4"], |b| b.limits(Limits::new().io_read_iops("/a", 4))),
    (&["--io-write-iops=/a:4"], |b| b.limits(Limits::new().io_write_iops("/a", 4))),
    (&["--cgroup-parent=/a/b"], |b| b.cgroup_parent("/a/b")),
    (&["--limits=rlimit"], |b| b.enforce(Enforce::Rlimit)),
    (&["--timeout=5s"], |b| b.limits(Limits::new().timeout(Duration::from_secs(5)))),
    (&["--cpu-time=5s"], |b| b.limits(Limits::new().cpu_time(Duration::from_secs(5)))),
    (&["--file-size=3M"], |b| b.limits(Limits::new().file_size(3 << 20))),
    (&["--output-limit=4K"], |b| b.limits(Limits::new().output(4 << 10))),
    (&["--output-limit=4K:truncate"], |b| b.limits(Limits::new().output_truncated(4 << 10))),
];

#[test]
fn a_program_says_in_one_line_what_the_command_line_says() {
    let strict = profile();
    for (options, method) in SAME {
        let by_program = method(Sandbox::builder()).build().expect("built");
        let by_program = by_program.profile();
        let by_options = applied(options).expect("applied");
        assert_eq!(*by_program, by_options, "{options:?}");
        assert_ne!(by_options, strict, "{options:?} changes nothing");
    }
}

#[test]
fn a_limit_of_the_profile_is_lifted() {
    for (key, option, limit) in [
        ("resources.memory.limit=9M", "--memory=unlimited", Lifted::Memory),
        ("resources.pids.limit=9", "--pids=unlimited", Lifted::Pids),
        ("resources.cpu.quota=900ms", "--cpus=unlimited", Lifted::Cpus),
        ("resources.cpu.time=9s", "--cpu-time=unlimited", Lifted::CpuTime),
        ("limits.cpuTime=9s", "--cpu-time=unlimited", Lifted::CpuTime),
        ("limits.timeout=9s", "--timeout=unlimited", Lifted::Timeout),
        ("limits.fileSize=9M", "--file-size=unlimited", Lifted::FileSize),
        ("limits.output=9M", "--output-limit=unlimited", Lifted::Output),
    ] {
        let held = applied(&["--set", key]).expect("applied");
        let lifted = Sandbox::builder().set(key).limits(Limits::new().unlimited(limit)).build();
        let lifted = lifted.expect("built").profile().clone();
        assert_eq!(applied(&["--set", key, option]).expect("applied"), lifted, "{option}");
        assert_ne!(lifted, held, "{option} lifts nothing");
    }
}

/// Options that are no part of what a sandbox is: of one run of it (methods of `Command`: `env`,
/// `current_dir`, `terminal`, `keep_fd`, `dry_run`), or of the program `belljar` alone.
const OF_A_RUN: [&str; 12] = [
    "workdir",
    "env",
    "tty",
    "keep-fd",
    "dry-run",
    "json",
    "name",
    "detach",
    "report",
    "report-fd",
    "stats",
    "timing",
];

#[test]
fn no_option_is_left_out() {
    let command = RunArgs::augment_args(clap::Command::new("run"));
    for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
        let said =
            |words: &&[&str]| words.iter().any(|word| word.split('=').next() == Some(&format!("--{option}")));
        let as_method = SAME.iter().map(|(options, _)| options).any(said);
        assert_ne!(as_method, OF_A_RUN.contains(&option), "--{option}");
    }
}
