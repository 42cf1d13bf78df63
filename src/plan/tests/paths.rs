//! Missing, symlinked and overlapping paths, kinds and places: one test for each rule of the module's
//! documentation.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::fixtures::*;
use crate::host::{Facts, FileKind, MemoryFiles};
use crate::plan::error::DestinationProblem as P;
use crate::plan::{Base, Call, Device, Node, Note, PlanError, Presence, Via, resolve};
use crate::profile::{Mount, MountKind, Namespace, Profile, Symlinks, Workdir};

fn at(profile: &Profile, files: &MemoryFiles) -> Result<crate::plan::Plan, PlanError> {
    resolve(profile, &facts(), files, &Call::program(["sh"]))
}

fn problem(profile: &Profile) -> P {
    match plan(profile) {
        Err(PlanError::Destination { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn read_only_in_writable_and_the_reverse() {
    let inner = |ro: bool| {
        with([bind("/home/me", "/home/me", !ro), bind("/home/me/project", "/home/me/project", ro)])
    };
    for ro in [true, false] {
        let plan = plan(&inner(ro)).unwrap();
        assert_eq!(bound(&plan, "/home/me").unwrap().1, !ro);
        assert_eq!(bound(&plan, "/home/me/project").unwrap().1, ro);
    }
}

#[test]
fn the_later_one_replaces_the_earlier_at_the_same_place() {
    let plan = plan(&with([bind("/home/me", "/x", true), bind("/opt", "/x/", false)])).unwrap();
    let (source, readonly) = bound(&plan, "/x").unwrap();
    assert_eq!((text(&source.path), readonly), (PathBuf::from("/opt"), false));
}

#[test]
fn a_missing_source_is_an_error_unless_optional() {
    for path in ["/nowhere", "/home/me/dangling", "/home/me/project/data/x"] {
        let missing = bind(path, "/x", true);
        assert!(matches!(plan(&with([missing.clone()])), Err(PlanError::SourceMissing { .. })), "{path}");
        let (plan, notes) = noted(&with([Mount { optional: true, ..missing }])).unwrap();
        assert_eq!(node(&plan, "/x"), None);
        assert_eq!(notes, [Note::Skipped { path: path.into(), destination: "/x".into() }]);
    }
}

#[test]
fn a_source_is_written_down_canonical() {
    let mut profile = with([bind("/home/me/link", "/x", true), bind("sub", "/y", true)]);
    profile.symlinks = Symlinks::Follow;
    let plan = plan(&profile).unwrap();
    let (source, _) = bound(&plan, "/x").unwrap();
    let stat = crate::host::Files::lstat(&files(), Path::new("/home/me/project")).unwrap();
    assert_eq!(text(&source.path), Path::new("/home/me/project"));
    assert_eq!(
        (source.device, source.inode, source.directory, source.via),
        (stat.device, stat.inode, true, Via::Path)
    );
    // Relative to the caller's working directory.
    assert_eq!(text(&bound(&plan, "/y").unwrap().0.path), Path::new("/home/me/project/sub"));
}

#[test]
fn system_symlinks_are_kept() {
    let plan = plan(&profile()).unwrap();
    let target = |path| match node(&plan, path) {
        Some(Node::Symlink { target, .. }) => text(target),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(target("/bin"), Path::new("usr/bin"));
    assert_eq!(target("/lib64"), Path::new("usr/lib64"));
}

#[test]
fn system_symlinks_become_mounts_where_they_would_lead_elsewhere() {
    // Nothing inside where it leads, or with other rights, or something else there.
    let alone = Profile { mounts: vec![system("/bin"), system("/lib64")], ..profile() };
    let cover = with([bind("/home/me/project", "/usr/bin", true)]);
    let mut writable = profile();
    writable.mounts[0].readonly = false;
    for (name, mut profile) in [("alone", alone), ("covered", cover), ("writable", writable)] {
        profile.process.env = vec!["PATH=/bin".into()];
        let plan = match at(&profile, &files().directory("/usr/bin/x")) {
            Ok(plan) => plan,
            Err(e) => panic!("{name}: {e}"),
        };
        let (source, readonly) =
            bound(&plan, "/bin").unwrap_or_else(|| panic!("{name}: {:?}", node(&plan, "/bin")));
        assert_eq!((text(&source.path), readonly), (PathBuf::from("/usr/bin"), true), "{name}");
    }
    // The same link at another place, or not marked as the system's, is followed.
    let elsewhere = plan(&with([bind("/bin", "/tools", true), bind("/bin", "/bin", true)])).unwrap();
    assert_eq!(text(&bound(&elsewhere, "/tools").unwrap().0.path), Path::new("/usr/bin"));
    assert_eq!(text(&bound(&elsewhere, "/bin").unwrap().0.path), Path::new("/usr/bin"));
}

#[test]
fn chains_of_system_symlinks_are_kept() {
    let files = files().symlink("/sbin", "bin");
    let plan = at(&with([system("/sbin")]), &files).unwrap();
    assert!(matches!(node(&plan, "/sbin"), Some(Node::Symlink { .. })));
    // Without the second link of the chain the first one is a mount.
    let mut profile = with([system("/sbin")]);
    profile.mounts.retain(|m| m.destination != Path::new("/bin"));
    let plan = at(&profile, &files).unwrap();
    assert!(bound(&plan, "/sbin").is_some());
}

#[test]
fn a_destination_is_resolved_inside() {
    // /bin is a symlink inside: what is mounted "below" it lands in /usr/bin.
    let plan = plan(&with([bind("/opt/tool/bin/tool", "/bin/env", true)])).unwrap();
    assert!(bound(&plan, "/usr/bin/env").is_some());
    assert!(node(&plan, "/bin/env").is_none());
}

#[test]
fn a_destination_never_leaves_a_root_of_ones_own() {
    let files = files()
        .file("/image/bin/sh", 0o755, crate::plan::task::elf::sample(62, None))
        .symlink("/image/up", "../../../../etc")
        .symlink("/image/abs", "/home/me")
        .symlink("/image/a", "b")
        .symlink("/image/b", "a")
        .symlink("/image/dev", "/etc")
        .directory("/image/etc")
        .owned("/image/etc", 1000, 1000, 0o755);
    let root = |mounts: Vec<Mount>| {
        let mut profile = Profile { mounts, ..profile() };
        profile.root.path = Some("/image".into());
        profile.root.synthetic_etc = false;
        profile.process.env = vec!["PATH=/bin".into()];
        at(&profile, &files)
    };
    let plan = root(vec![bind("/opt", "/up/opt", true), bind("/opt", "/abs/opt", true)]).unwrap();
    assert!(bound(&plan, "/etc/opt").is_some());
    // The host's /home/me plays no part, and directories that are missing are made.
    assert!(bound(&plan, "/home/me/opt").is_some());
    assert!(matches!(node(&plan, "/home/me"), Some(Node::Directory { mode: 0o755, .. })));
    let failed = |mounts| match root(mounts) {
        Err(PlanError::Destination { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(vec![bind("/opt", "/a/x", true)]), P::Loop);
    assert_eq!(failed(vec![mount("/dev", MountKind::Dev)]), P::Dev);
    assert_eq!(failed(vec![bind("/opt", "/bin/sh/x", true)]), P::NotADirectory);
}

#[test]
fn a_root_of_ones_own_has_only_what_is_asked_for() {
    let files = files()
        .file("/image/bin/sh", 0o755, crate::plan::task::elf::sample(62, None))
        .directory("/image/dev")
        .symlink("/img", "image");
    let mut profile = Profile { mounts: vec![mount("/dev", MountKind::Dev)], ..profile() };
    profile.root.path = Some("/img".into());
    let made = at(&profile, &files).unwrap();
    let Base::Directory(source) = &made.walls.root.as_ref().unwrap().base else { panic!() };
    assert_eq!(text(&source.path), Path::new("/image"));
    // No synthetic /etc, and a /dev that leaves nothing behind.
    assert!(made.walls.root.as_ref().unwrap().nodes.iter().all(|node| node_path(node).starts_with("/dev")));
    assert!(node(&made, "/dev").unwrap().is_filesystem("tmpfs"));
    profile.root.overlay = true;
    assert!(matches!(at(&profile, &files).unwrap().walls.root.unwrap().base, Base::Overlay { .. }));
    for (path, word) in [("/", "own root"), ("/usr/bin/sh", "not a directory")] {
        profile.root.path = Some(path.into());
        let error = at(&profile, &files).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    profile.root.path = Some("/proc/self/cwd".into());
    assert!(
        at(&profile, &files.symlink("/proc/self/cwd", "/image")).unwrap_err().to_string().contains("/proc")
    );
    profile.root = crate::profile::Root { path: None, path_required: true, overlay: false, ..profile.root };
    assert!(matches!(plan(&profile), Err(PlanError::NoRoot)));
    profile.root = crate::profile::Root { path_required: false, overlay: true, ..profile.root };
    assert!(matches!(plan(&profile), Err(PlanError::Unenforceable { .. })));
}

#[test]
fn nothing_is_created_on_the_host() {
    let inside = with([bind("/home/me/project", "/w", false), bind("/opt", "/w/new/deep", true)]);
    match plan(&inside) {
        Err(PlanError::MountPoint { host, .. }) => assert!(host.starts_with("/home/me/project/new")),
        other => panic!("{other:?}"),
    }
    assert!(plan(&with([bind("/home/me/project", "/w", false), bind("/opt", "/w/sub", true)])).is_ok());
    // The sandbox's own file systems are another matter.
    let plan = plan(&with([bind("/opt", "/tmp/deep/opt", true)])).unwrap();
    assert!(matches!(node(&plan, "/tmp/deep"), Some(Node::Directory { mode: 0o755, .. })));
}

#[test]
fn files_and_directories_do_not_cover_each_other() {
    for (source, destination) in [
        ("/usr/bin/sh", "/tmp"),
        ("/home/me/project", "/usr/bin/env"),
        ("/home/me/project", "/etc/passwd"),
        ("/usr/bin/sh", "/usr/local"),
    ] {
        let profile = with([bind(source, destination, true)]);
        // At exactly the place of another mount it takes that one's place.
        let expect_ok = destination == "/tmp" || destination == "/etc/passwd";
        match plan(&profile) {
            Ok(_) if expect_ok => {}
            Err(PlanError::Mismatch { .. }) if !expect_ok => {}
            other => panic!("{source} {destination}: {other:?}"),
        }
    }
    let file_above = with([bind("/usr/bin/sh", "/x", true), bind("/opt", "/x/y", true)]);
    assert!(matches!(plan(&file_above), Err(PlanError::Destination { problem: P::NotADirectory, .. })));
}

#[test]
fn sockets_pipes_and_devices_are_refused() {
    let files = files()
        .special("/run/sock", FileKind::Socket)
        .special("/run/pipe", FileKind::Fifo)
        .special("/run/disk", FileKind::BlockDevice)
        .special("/dev/sda", FileKind::BlockDevice);
    for (source, destination, kind) in [
        ("/run/sock", "/run/sock", FileKind::Socket),
        ("/run/sock", "/dev/log", FileKind::Socket),
        ("/run/pipe", "/x", FileKind::Fifo),
        ("/run/disk", "/x", FileKind::BlockDevice),
        ("/dev/sda", "/dev/sda", FileKind::BlockDevice),
        ("/dev/kvm", "/kvm", FileKind::CharDevice),
    ] {
        match at(&with([bind(source, destination, true)]), &files) {
            Err(PlanError::SourceKind { kind: found, .. }) => assert_eq!(found, kind),
            other => panic!("{source}: {other:?}"),
        }
    }
    let plan = at(&with([bind("/dev/kvm", "/dev/kvm", false)]), &files).unwrap();
    let kvm = Device { source: c"/dev/kvm".into(), block: false, major: 10, minor: 232, readonly: false };
    assert_eq!(node(&plan, "/dev/kvm"), Some(&Node::Device(kvm)));
}

#[test]
fn the_hosts_proc_is_out_of_reach() {
    let files = files()
        .symlink("/proc/self/fd/3", "/home/me")
        .directory("/proc/1")
        .symlink("/way", "/proc/self/fd/3");
    for source in
        ["/proc", "/proc/1", "/proc/self/fd/3", "/proc/self/fd/99", "/way", "/way/project", "/usr/../proc/1"]
    {
        let result = at(&with([Mount { optional: true, ..bind(source, "/x", true) }]), &files);
        assert!(matches!(result, Err(PlanError::SourceProc { .. })), "{source}: {result:?}");
    }
}

#[test]
fn places_that_are_not_for_mounts() {
    for (destination, expected) in [
        ("/", P::Root),
        ("//.", P::Root),
        ("relative", P::Relative),
        ("/a/../b", P::Parent),
        ("/a\0b", P::Nul),
        ("/proc", P::Proc),
        ("/proc/cpuinfo", P::Proc),
        ("/dev/x", P::Dev),
        ("/dev/shm/x", P::Dev),
        ("/dev/pts", P::Dev),
    ] {
        assert_eq!(problem(&with([bind("/opt", destination, true)])), expected, "{destination:?}");
    }
    let elsewhere = MountKind::Proc { subset_pid: true };
    assert_eq!(problem(&with([mount("/srv/proc", elsewhere)])), P::Proc);
    assert_eq!(problem(&with([mount("/srv/dev", MountKind::Dev)])), P::Dev);
    assert_eq!(problem(&with([tmpfs("/dev/null")])), P::Dev);
}

#[test]
fn dev_shm_can_be_given_another_size_wherever_it_is_listed() {
    let big = mount("/dev/shm", MountKind::Tmpfs { size: 1 << 30, inodes: 9, mode: 0o1777 });
    let mut first = profile();
    first.mounts.insert(0, big.clone());
    for profile in [first, with([big])] {
        let plan = plan(&profile).unwrap();
        let Some(Node::Filesystem(shm)) = node(&plan, "/dev/shm") else { panic!() };
        assert_eq!(shm.limits.unwrap().size, 1 << 30);
    }
}

#[test]
fn the_minimal_dev() {
    let plan = plan(&profile()).unwrap();
    let names: Vec<String> = plan
        .walls
        .root
        .as_ref()
        .unwrap()
        .nodes
        .iter()
        .map(node_path)
        .filter(|p| p.starts_with("/dev"))
        .map(|p| p.to_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<String> = [
        "null", "zero", "full", "random", "urandom", "tty", "shm", "pts", "ptmx", "fd", "stdin", "stdout",
        "stderr",
    ]
    .iter()
    .map(|name| format!("/dev/{name}"))
    .collect();
    expected.push("/dev".into());
    expected.sort();
    assert_eq!(names, expected);
    let ptmx = Node::Symlink { target: c"pts/ptmx".into() };
    assert_eq!(node(&plan, "/dev/ptmx"), Some(&ptmx));
    // A host whose null is something else (CVE-2025-31133).
    let fake = files().symlink("/dev/null", "/proc/sys/kernel/core_pattern");
    assert!(matches!(at(&profile(), &fake), Err(PlanError::Device { major: 1, minor: 3, .. })));
    let other = files().device("/dev/urandom", 1, 3);
    assert!(matches!(at(&profile(), &other), Err(PlanError::Device { major: 1, minor: 9, .. })));
}

#[test]
fn the_synthetic_etc_gives_way() {
    let made = plan(&profile()).unwrap();
    for name in ["passwd", "group", "hosts", "hostname", "nsswitch.conf", "resolv.conf"] {
        assert!(
            matches!(node(&made, &format!("/etc/{name}")), Some(Node::File { mode: 0o644, .. })),
            "{name}"
        );
    }
    let localtime = Node::Symlink { target: c"/usr/share/zoneinfo/Etc/UTC".into() };
    assert_eq!(node(&made, "/etc/localtime"), Some(&localtime));
    // One file of it,
    let one = plan(&with([bind("/home/me/project/data", "/etc/passwd", true)])).unwrap();
    assert!(bound(&one, "/etc/passwd").is_some());
    assert!(matches!(node(&one, "/etc/group"), Some(Node::File { .. })));
    // or all.
    let all = plan(&with([bind("/etc", "/etc", true)])).unwrap();
    assert!(bound(&all, "/etc").is_some());
    assert!(node(&all, "/etc/group").is_none() && node(&all, "/etc/localtime").is_none());
    let both = with([bind("/etc", "/etc", true), bind("/etc/resolv.conf", "/etc/resolv.conf", true)]);
    assert!(node(&plan(&both).unwrap(), "/etc/localtime").is_none());
}

#[test]
fn masks_and_mounts_must_not_contradict_each_other() {
    let marked = |masked: &str, readonly: &str, mounts: Vec<Mount>| {
        let mut profile = with(mounts);
        profile.masked_paths = vec![masked.into()];
        profile.readonly_paths = vec![readonly.into()];
        plan(&profile)
    };
    let plan = marked("/proc/kcore", "/proc/sys", vec![]).unwrap();
    let nodes = &plan.walls.root.as_ref().unwrap().nodes;
    let presence = Presence::Unknown;
    let marks = [
        (c"/proc/kcore".into(), Node::Mask { presence }),
        (c"/proc/sys".into(), Node::Readonly { presence }),
    ];
    assert_eq!(nodes[nodes.len() - 2..], marks);
    let contradicts = |result| matches!(result, Err(PlanError::Contradiction { .. }));
    assert!(contradicts(marked("/x", "/y", vec![bind("/opt", "/x/z", true)])));
    assert!(contradicts(marked("/x", "/y", vec![bind("/opt", "/x", true)])));
    assert!(contradicts(marked("/x", "/y", vec![bind("/opt", "/y/z", false)])));
    assert!(marked("/x", "/y", vec![bind("/opt", "/y/z", true)]).is_ok());
    assert!(matches!(marked("rel", "/y", vec![]), Err(PlanError::Path { .. })));
    assert!(matches!(marked("/x", "/a/../b", vec![]), Err(PlanError::Path { .. })));
    assert!(matches!(marked("/", "/b", vec![]), Err(PlanError::Value { key: "maskedPaths", .. })));
}

#[test]
fn the_working_directory() {
    let call = |cwd: Option<&str>| Call { cwd: cwd.map(PathBuf::from), ..Call::program(["sh"]) };
    let cwd = |profile: &Profile, asked: Option<&str>| {
        resolve(profile, &facts(), &files(), &call(asked)).map(|plan| text(&plan.task.cwd))
    };
    assert_eq!(cwd(&profile(), None).unwrap(), Path::new("/tmp"));
    assert_eq!(cwd(&profile(), Some("/bin")).unwrap(), Path::new("/usr/bin"));
    let mut bare = profile();
    bare.mounts.retain(|m| m.destination != Path::new("/tmp"));
    assert_eq!(cwd(&bare, None).unwrap(), Path::new("/"));
    let work = Profile { workdir: Workdir::Writable, ..profile() };
    assert_eq!(cwd(&work, None).unwrap(), Path::new("/home/me/project"));
    assert_eq!(cwd(&work, Some("sub")).unwrap(), Path::new("/home/me/project/sub"));
    let mut own = profile();
    own.process.cwd = Some("/usr/local".into());
    assert_eq!(cwd(&own, None).unwrap(), Path::new("/usr/local"));
    for wrong in [
        "/proc/self/fd/3",
        "/proc/self/cwd",
        "/proc",
        "/dev/fd/3",
        "/dev/fd",
        "/home/me",
        "/usr/bin/sh",
        "/tmp/x",
        "/../x",
        "../x",
    ] {
        let result = cwd(&profile(), Some(wrong));
        assert!(matches!(result, Err(PlanError::Cwd { .. })), "{wrong}: {result:?}");
    }
}

#[test]
fn the_callers_directory_as_working_directory() {
    let work = |workdir| Profile { workdir, ..profile() };
    let made = plan(&work(Workdir::Readonly)).unwrap();
    assert!(bound(&made, "/home/me/project").unwrap().1);
    let made = plan(&work(Workdir::Writable)).unwrap();
    assert!(!bound(&made, "/home/me/project").unwrap().1);
    let elsewhere = |cwd: Option<&str>| {
        let facts = Facts { cwd: cwd.map(PathBuf::from), ..facts() };
        resolve(&work(Workdir::Writable), &facts, &files(), &Call::program(["sh"]))
    };
    assert!(matches!(elsewhere(Some("/")), Err(PlanError::Cwd { .. })));
    assert!(matches!(elsewhere(None), Err(PlanError::NoCwd)));
    // Where the profile has an empty file system the caller's files are shown; what it binds on purpose
    // stays.
    assert_eq!(text(&bound(&elsewhere(Some("/tmp")).unwrap(), "/tmp").unwrap().0.path), Path::new("/tmp"));
    let mut bound_there = work(Workdir::Writable);
    bound_there.mounts.push(bind("/opt", "/home/me/project", true));
    assert_eq!(
        text(&bound(&plan(&bound_there).unwrap(), "/home/me/project").unwrap().0.path),
        Path::new("/opt")
    );
}

#[test]
fn the_calls_working_directory_is_shown_where_the_callers_is_not_it() {
    let work = Profile { workdir: Workdir::Writable, ..profile() };
    let go = |profile: &Profile, cwd: &str, asked: &str| {
        let facts = Facts { cwd: Some(cwd.into()), ..facts() };
        let mut call = Call { cwd: Some(asked.into()), ..Call::program(["sh"]) };
        call.caller_env = [("HOME".into(), "/home/me".into())].into();
        resolve(profile, &facts, &files(), &call)
    };
    let project = "/home/me/project";
    // From the root, from the home, by a path from there, and from a directory beside it.
    for (cwd, asked) in [("/", project), ("/home/me", project), ("/home/me", "project"), ("/opt", project)] {
        let plan = go(&work, cwd, asked).unwrap();
        assert_eq!(text(&plan.task.cwd), Path::new(project));
        assert!(!bound(&plan, project).unwrap().1);
        assert!(bound(&plan, cwd).is_none(), "{cwd}");
        // What shows it already stays as it is.
        let mut named = work.clone();
        named.mounts.push(bind(project, project, true));
        let plan = go(&named, cwd, asked).unwrap();
        assert_eq!(text(&plan.task.cwd), Path::new(project));
        assert!(bound(&plan, project).unwrap().1);
    }
    // Below the caller's, that is shown.
    let plan = go(&work, project, "sub").unwrap();
    assert_eq!(text(&plan.task.cwd), Path::new("/home/me/project/sub"));
    assert!(bound(&plan, project).is_some() && bound(&plan, "/home/me/project/sub").is_none());
    // What the sandbox has of its own is not the host's.
    for own in ["/tmp", "/etc", "/usr", "/"] {
        for cwd in ["/", project] {
            let plan = go(&work, cwd, own).unwrap();
            assert_eq!(text(&plan.task.cwd), Path::new(own));
            assert_eq!(bound(&plan, project).is_some(), cwd == project);
            assert!(own == "/usr" || bound(&plan, own).is_none());
        }
    }
    // The home is as little shown by its name.
    for home in ["/home/me", "/home"] {
        assert!(matches!(go(&work, "/", home), Err(PlanError::Cwd { .. })), "{home}");
    }
    // Nothing is shown that was not asked for.
    assert!(go(&profile(), "/", project).is_err());
}

#[test]
fn a_relative_path_leads_inside_to_what_is_bound_by_it() {
    let go = |profile: &Profile, cwd: &str| {
        let facts = Facts { cwd: Some(cwd.into()), ..facts() };
        resolve(profile, &facts, &files(), &Call::program(["sh"])).map(|plan| text(&plan.task.cwd))
    };
    let shows = |source: &str| with([bind(source, source, true)]);
    let (project, data) = ("/home/me/project", "/home/me/project/data");
    for (profile, cwd, expected) in [
        (shows(data), project, project),
        (shows(data), "/home/me", "/home/me"),
        (shows(project), "/home/me/project/sub", "/home/me/project/sub"),
        // Somewhere else, under another name, or everything.
        (shows(data), "/opt", "/tmp"),
        (shows(data), "/", "/tmp"),
        (with([bind(data, "/data", true)]), project, "/tmp"),
        (profile(), "/usr/bin", "/tmp"),
    ] {
        assert_eq!(go(&profile, cwd).unwrap(), Path::new(expected), "{cwd}");
    }
    let mut lite = lite();
    lite.mounts.push(bind(data, data, true));
    assert_eq!(go(&lite, project).unwrap(), Path::new(project));
    assert_eq!(go(&lite, "/opt").unwrap(), Path::new("/"));
}

#[test]
fn message_queues_need_their_namespace() {
    let mut profile = with([mount("/dev/mqueue", MountKind::Mqueue)]);
    assert!(plan(&profile).is_ok());
    profile.namespaces.remove(&Namespace::Ipc);
    assert!(matches!(plan(&profile), Err(PlanError::Unenforceable { .. })));
}

#[test]
fn mounts_that_move_each_other_are_refused_or_settle() {
    // /x shows a symlink that leads to where the second mount goes, through the first.
    let files = files().symlink("/src/l", "/x/d").directory("/src/d").directory("/opt/d");
    let plan = at(&with([bind("/src", "/x", true), bind("/opt", "/x/l", true)]), &files).unwrap();
    assert_eq!(text(&bound(&plan, "/x/d").unwrap().0.path), Path::new("/opt"));
    let many = (0..600).map(|i| tmpfs(&format!("/t{i}")));
    assert!(matches!(at(&with(many), &files), Err(PlanError::TooMany { .. })));
}

#[test]
fn names_that_are_not_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/odd\xff"));
    let files = files().directory(&odd);
    let mount = Mount { destination: odd.clone(), ..bind("/odd", "/odd", true) };
    let mount = Mount { kind: MountKind::Bind { source: odd, idmap: false }, ..mount };
    let plan = at(&with([mount]), &files).unwrap();
    let at = CString::new(b"/odd\xff".to_vec()).unwrap();
    assert!(
        plan.walls
            .root
            .as_ref()
            .unwrap()
            .nodes
            .iter()
            .any(|(path, node)| *path == at && matches!(node, Node::Bind(_)))
    );
    assert!(plan.to_text(&[]).contains("/odd\\xff"));
    assert!(plan.to_json(&[]).to_string().contains("/odd\\\\xff"));
}
