//! Whether read-only and masked paths are held, for every kind of file and for the next run too.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::fixtures::*;
use crate::host::{Facts, FileKind, Files, MemoryFiles, Stat};
use crate::plan::error::WallProblem;
use crate::plan::task::elf;
use crate::plan::{Base, Call, Node, Plan, PlanError, Presence, resolve};
use crate::profile::{Mount, Profile, Root, Workdir};

fn on(profile: &Profile, files: &dyn Files) -> Result<Plan, PlanError> {
    resolve(profile, &facts(), files, &Call::program(["/usr/bin/sh"]))
}

fn problem(profile: &Profile, files: &dyn Files) -> WallProblem {
    match on(profile, files) {
        Err(error @ PlanError::Wall { .. }) => {
            assert!(error.hint().is_some());
            let PlanError::Wall { problem, .. } = error else { unreachable!() };
            problem
        }
        other => panic!("{other:?}"),
    }
}

fn masked(path: &str, profile: Profile) -> Profile {
    Profile { masked_paths: vec![path.into()], ..profile }
}

fn read_only(path: &str, profile: Profile) -> Profile {
    Profile { readonly_paths: vec![path.into()], ..profile }
}

/// A root of one's own, with a pipe in it.
fn container(readonly: bool) -> (Profile, MemoryFiles) {
    let mut profile = with([bind("/usr", "/usr", true)]);
    profile.mounts.retain(|mount| !mount.system);
    profile.root.path = Some("/image".into());
    profile.root.readonly = readonly;
    let mut files = files();
    for name in ["usr", "proc", "dev", "tmp", "etc/secret/deep"] {
        files = files.directory(Path::new("/image").join(name));
    }
    let files = files.symlink("/image/bin", "usr/bin").symlink("/image/lib64", "usr/lib64");
    (profile, files.special("/image/run/pipe", FileKind::Fifo))
}

fn pins(plan: &Plan) -> Vec<PathBuf> {
    let nodes = plan.walls.root.as_ref().unwrap().nodes.iter();
    nodes.filter(|node| matches!(node, (_, Node::Pin))).map(node_path).collect()
}

#[test]
fn what_is_above_a_wall_in_a_writable_directory_is_pinned() {
    let files = files().directory("/w/a/b/c").directory("/w/a/d").directory("/x");
    let wall = |mount| with([bind("/w", "/w", false), mount]);
    let above: Vec<PathBuf> = vec!["/w/a".into(), "/w/a/b".into()];
    for mount in [bind("/x", "/w/a/b/c", true), bind("/x", "/w/a/b/c", false), tmpfs("/w/a/b/c")] {
        let plan = on(&wall(mount), &files).unwrap();
        assert_eq!(pins(&plan), above);
        // Each comes before what is mounted below it.
        let nodes: Vec<PathBuf> = plan.walls.root.as_ref().unwrap().nodes.iter().map(node_path).collect();
        assert!(nodes.is_sorted_by_key(|path| path.components().collect::<Vec<_>>()), "{nodes:?}");
    }
    let writable = || with([bind("/w", "/w", false)]);
    for marked in [masked("/w/a/b/c", writable()), read_only("/w/a/b/c", writable())] {
        assert_eq!(pins(&on(&marked, &files).unwrap()), above);
    }
    // A mount point on the way is one already, and what is above it has a pin of its own.
    let both = with([bind("/w", "/w", false), bind("/x", "/w/a/d", false), bind("/w/a/b", "/w/a/b", true)]);
    assert_eq!(pins(&on(&both, &files).unwrap()), [Path::new("/w/a")]);
    // Nothing is pinned where nothing can be renamed on the host.
    let readonly = with([bind("/w", "/w", true), bind("/x", "/w/a/b/c", true)]);
    assert!(pins(&on(&readonly, &files).unwrap()).is_empty());
    assert!(pins(&on(&profile(), &files).unwrap()).is_empty());
    // The working directory and a root of one's own are writable in their ways.
    let work =
        Profile { workdir: Workdir::Writable, ..with([bind("/x", "/home/me/project/sub/.git", true)]) };
    let files = files.directory("/home/me/project/sub/.git");
    assert_eq!(pins(&on(&work, &files).unwrap()), [Path::new("/home/me/project/sub")]);
    for (readonly, expected) in [(true, vec![]), (false, vec![PathBuf::from("/etc"), "/etc/secret".into()])] {
        let (profile, files) = container(readonly);
        assert_eq!(pins(&on(&masked("/etc/secret/deep", profile), &files).unwrap()), expected);
    }
}

#[test]
fn a_wall_whose_object_is_missing_is_refused_where_the_task_could_make_it() {
    let files = files().directory("/w/a").file("/w/file", 0o644, "");
    let writable = || with([bind("/w", "/w", false)]);
    for path in ["/w/s", "/w/s/in/deep", "/w/a/in", "/w/file/in"] {
        for marked in [masked(path, writable()), read_only(path, writable())] {
            assert_eq!(problem(&marked, &files), WallProblem::Missing, "{path}");
        }
    }
    let (image, image_files) = container(false);
    assert_eq!(problem(&masked("/etc/none", image.clone()), &image_files), WallProblem::Missing);
    let mut overlay = image.clone();
    overlay.root.overlay = true;
    let presence = |profile: &Profile, files: &MemoryFiles| {
        let plan = on(profile, files).unwrap();
        plan.walls.root.unwrap().nodes.into_iter().find_map(|node| match node {
            (_, Node::Mask { presence }) => Some(presence),
            _ => None,
        })
    };
    let readonly = || with([bind("/w", "/w", true)]);
    for (path, profile, files, expected) in [
        ("/w/a", writable(), &files, Presence::There),
        ("/w/s", readonly(), &files, Presence::Absent),
        ("/tmp/none", writable(), &files, Presence::Absent),
        ("/nowhere/at/all", writable(), &files, Presence::Absent),
        ("/proc/kcore", writable(), &files, Presence::Unknown),
        ("/proc/acpi/deep", writable(), &files, Presence::Unknown),
        ("/sys/firmware", image.clone(), &image_files, Presence::Absent),
        ("/etc/none", overlay, &image_files, Presence::Absent),
    ] {
        let found = presence(&masked(path, profile), files);
        assert_eq!(found, Some(expected), "{path}");
    }
    // /sys may be a file.
    let odd = image_files.file("/image/sys", 0o644, "");
    assert_eq!(presence(&masked("/sys/firmware", image), &odd), Some(Presence::Absent));
    // What is not there is told.
    let plan = on(&masked("/w/s", readonly()), &files).unwrap();
    let shown = plan.to_text(&[]);
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["/w/s", "absent"])), "{shown}");
    assert!(plan.to_json(&[]).to_string().contains(r#""presence":"absent""#));
}

#[test]
fn an_optional_mount_is_not_left_out_where_the_task_could_make_it() {
    let files = files().directory("/w/a/shut").file("/w/file", 0o644, "").directory("/x");
    let files = files.symlink("/x/link", "/w/a/none").symlink("/x/out", "/x/none");
    let with_it = |source: &str, destination: &str, system| {
        let missing = Mount { optional: true, system, ..bind(source, destination, true) };
        with([bind("/w", "/shown", false), bind("/x", "/shown/a/shut", true), missing])
    };
    let in_lite = |source: &str| {
        let mut profile = lite();
        let missing = Mount { optional: true, ..bind(source, source, true) };
        profile.mounts.extend([bind("/w", "/w", false), missing]);
        profile
    };
    for source in ["/w/none", "/w/a/none/deep", "/w/file/in", "/x/link", "/x/link/deep", "/x/../w/none"] {
        for profile in [with_it(source, "/there", false), with_it(source, "/there", true)] {
            let error = on(&profile, &files).unwrap_err();
            assert!(
                matches!(error, PlanError::Optional { .. }) && error.hint().is_some(),
                "{source}: {error:?}"
            );
        }
    }
    for source in ["/w/none", "/w/a/none/deep"] {
        let error = on(&in_lite(source), &files).unwrap_err();
        assert!(matches!(error, PlanError::Optional { .. }), "{source}: {error:?}");
    }
    // The place where it would be seen.
    for destination in ["/shown/none", "/shown/a", "/shown/a/none/deep", "/shown/file/in"] {
        let error = on(&with_it("/x/none", destination, false), &files).unwrap_err();
        assert!(matches!(error, PlanError::Optional { .. }), "{destination}: {error:?}");
        assert!(on(&with_it("/x/none", destination, true), &files).is_ok(), "{destination}");
    }
    for (source, destination) in [
        ("/x/none", "/there"),
        ("/x/out", "/there"),
        ("/none", "/tmp/there"),
        ("/x/none", "/shown/a/shut/none"),
    ] {
        let plan = on(&with_it(source, destination, false), &files);
        assert!(plan.is_ok(), "{source} at {destination}: {plan:?}");
    }
    assert!(on(&in_lite("/x/none"), &files).is_ok());
    // A root directory that the task writes to, one that it does not, and one whose changes are thrown away.
    for (readonly, overlay, refused) in [(false, false, true), (true, false, false), (false, true, false)] {
        let (mut profile, files) = container(readonly);
        profile.root.overlay = overlay;
        profile.mounts.push(Mount { optional: true, ..bind("/image/etc/none", "/tmp/there", true) });
        assert_eq!(on(&profile, &files).is_err(), refused, "{readonly} {overlay}");
    }
}

#[test]
fn an_optional_mount_is_left_out_where_only_the_hosts_root_could_make_it() {
    let missing = Mount { optional: true, ..bind("/etc/none/in", "/there", true) };
    let shown = with([bind("/", "/host", false), missing]);
    let mut in_lite = lite();
    in_lite.mounts.push(bind("/etc", "/etc", false));
    in_lite.mounts.push(Mount { optional: true, ..bind("/etc/none", "/etc/none", true) });
    let refused = |profile: &Profile, facts: &Facts, files: &MemoryFiles| match resolve(
        profile,
        facts,
        files,
        &Call::program(["/usr/bin/sh"]),
    ) {
        Ok(_) => false,
        Err(PlanError::Optional { .. }) => true,
        Err(other) => panic!("{other:?}"),
    };
    for profile in [&shown, &in_lite] {
        assert!(!refused(profile, &facts(), &files()));
        for (uid, mode) in [(1000, 0o755), (0, 0o775), (0, 0o757)] {
            assert!(refused(profile, &facts(), &files().owned("/etc", uid, 0, mode)), "{uid} {mode:o}");
        }
        // A directory above that others may write to.
        assert!(refused(profile, &facts(), &files().owned("/", 0, 0, 0o777)));
    }
    // What root shows writable keeps its owner's id, and is the sandbox's own.
    assert!(refused(&shown, &root_facts(), &files()));
    assert!(!refused(&in_lite, &root_facts(), &files()));
}

#[test]
fn a_wall_behind_a_symlink_is_refused() {
    let files = files().directory("/w/real/in").symlink("/w/link", "real").symlink("/w/loop", "loop");
    let leads = |path: &str| WallProblem::Symlink { leads: Some(path.into()) };
    for (path, expected) in [
        ("/w/link", leads("/w/real")),
        ("/w/link/in", leads("/w/real/in")),
        ("/bin/sh", leads("/usr/bin/sh")),
        ("/w/loop", WallProblem::Symlink { leads: None }),
    ] {
        assert_eq!(problem(&masked(path, with([bind("/w", "/w", true)])), &files), expected, "{path}");
    }
}

#[test]
fn a_named_pipe_is_not_shown_read_only_below_a_writable_directory() {
    let files =
        files().directory("/w/f").directory("/w/g").special("/fi/deep/p", FileKind::Fifo).directory("/fi/x");
    let pipe = |path: &str| WallProblem::Pipe { found: path.into() };
    let order = [bind("/w", "/d", false), bind("/fi", "/d/f", true)];
    let mut reversed = order.clone();
    reversed.reverse();
    for mounts in [order, reversed] {
        assert_eq!(problem(&with(mounts), &files), pipe("/fi/deep/p"));
    }
    // Landlock holds what no writable directory is above.
    let beside = with([bind("/w", "/d", false), bind("/fi", "/e", true)]);
    assert!(on(&beside, &files).is_ok());
    let mut alone = with([bind("/fi", "/e", true)]);
    alone.landlock.require = false;
    assert_eq!(problem(&alone, &files), pipe("/fi/deep/p"));
    // So does what hides it.
    let hidden = || with([bind("/w", "/d", false), bind("/fi", "/d/f", true)]);
    assert!(on(&masked("/d/f/deep", hidden()), &files).is_ok());
    assert!(on(&masked("/d/f/deep/p", hidden()), &files).is_ok());
    let mut covered = hidden();
    covered.mounts.push(tmpfs("/d/f/deep"));
    assert!(on(&covered, &files).is_ok());
    for (path, found) in [("/run", true), ("/run/pipe", true), ("/etc", false)] {
        let (profile, files) = container(false);
        match on(&read_only(path, profile), &files) {
            Ok(_) => assert!(!found),
            Err(error) => assert!(found && error.to_string().contains("/image/run/pipe"), "{error}"),
        }
        let (profile, files) = container(true);
        assert!(on(&read_only(path, profile), &files).is_ok());
    }
    let below = with([bind("/w", "/d", false), bind("/fi", "/d/g", true)]);
    assert_eq!(problem(&below, &Endless(files)), WallProblem::Unseen { limit: 400_000 });
}

/// In every directory is as much as is looked for.
struct Endless(MemoryFiles);

impl Files for Endless {
    fn lstat(&self, path: &Path) -> io::Result<Stat> {
        self.0.lstat(path)
    }

    fn readlink(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.readlink(path)
    }

    fn filesystem(&self, path: &Path) -> io::Result<u32> {
        self.0.filesystem(path)
    }

    fn noexec(&self, path: &Path) -> io::Result<bool> {
        self.0.noexec(path)
    }

    fn mounted_below(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.0.mounted_below(path)
    }

    fn list(&self, _: &Path, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        Ok(vec![("x".into(), FileKind::File); most])
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read_at(path, offset, len)
    }
}

#[test]
fn a_device_is_read_only_where_landlock_holds_it() {
    let zero = || bind("/dev/zero", "/dev/zero", true);
    assert!(on(&with([zero()]), &files()).is_ok());
    let marked = |mut profile: Profile, mount: bool| {
        if mount {
            profile.mounts.push(zero());
            profile
        } else {
            read_only("/dev/zero", profile)
        }
    };
    for mount in [true, false] {
        // Over a root of one's own, /dev is a tmpfs that can be written to.
        for readonly in [true, false] {
            let (image, image_files) = container(readonly);
            assert_eq!(problem(&marked(image, mount), &image_files), WallProblem::Device);
        }
        let rules = on(&marked(profile(), mount), &files()).unwrap().task.landlock.unwrap().rules;
        let zero = rules.iter().find(|rule| text(&rule.path) == Path::new("/dev/zero")).unwrap();
        assert_eq!(zero.access & crate::plan::paths::landlock::access::WRITE_FILE, 0);
    }
}

#[test]
fn nothing_is_granted_below_a_mask() {
    // Its rule's path would not even be there.
    let plan = on(&masked("/dev", profile()), &files()).unwrap();
    let below = |path: &std::ffi::CString| text(path).starts_with("/dev");
    assert!(!plan.task.landlock.unwrap().rules.iter().any(|rule| below(&rule.path)));
}

#[test]
fn lite_refuses_less_below_more() {
    let files = files().directory("/w/f");
    let in_lite = |mounts: Vec<crate::profile::Mount>| {
        let mut profile = lite();
        profile.mounts.extend(mounts);
        on(&profile, &files)
    };
    let noexec = |path| crate::profile::Mount { noexec: true, ..bind(path, path, false) };
    for mounts in [
        vec![bind("/w", "/w", false), bind("/w/f", "/w/f", true)],
        vec![bind("/w", "/w", false), noexec("/w/f")],
        vec![bind("/dev", "/dev", false), bind("/dev/zero", "/dev/zero", true)],
    ] {
        let refused = in_lite(mounts);
        let adds_up = matches!(&refused, Err(PlanError::Wall { problem: WallProblem::AddsUp { .. }, .. }));
        assert!(adds_up, "{refused:?}");
    }
    for mounts in [
        vec![bind("/w", "/w", true), bind("/w/f", "/w/f", false)],
        vec![bind("/w", "/w", false), bind("/w/f", "/w/f", false)],
        vec![bind("/dev", "/dev", true), bind("/dev/zero", "/dev/zero", false)],
    ] {
        assert!(in_lite(mounts).is_ok());
    }
}

#[test]
fn a_plan_with_a_pin_over_what_is_mounted_is_none() {
    let plan = on(&with([bind("/opt", "/opt", false)]), &files()).unwrap();
    let mut wrong = plan;
    let root = wrong.walls.root.as_mut().unwrap();
    assert!(root.nodes.iter().any(|(path, node)| *path == *c"/opt" && matches!(node, Node::Bind(_))));
    root.nodes.push((c"/opt".into(), Node::Pin));
    assert!(matches!(wrong.check(), Err(PlanError::Decode { .. })));
}

/// A root with a program and nothing to mount at.
fn bare(readonly: bool, overlay: bool) -> (Profile, MemoryFiles) {
    let mut profile = Profile { mounts: vec![tmpfs("/tmp")], ..profile() };
    profile.root = Root { path: Some("/image".into()), readonly, overlay, ..profile.root };
    (profile, files().file("/image/usr/bin/sh", 0o755, elf::sample(62, None)))
}

#[test]
fn a_root_of_ones_own_is_as_it_was() {
    let base =
        |(profile, files): (Profile, MemoryFiles)| on(&profile, &files).map(|p| p.walls.root.unwrap().base);
    // What is missing is made in a tmpfs over it,
    assert!(matches!(base(bare(true, false)), Ok(Base::Overlay { .. })));
    assert!(matches!(base(bare(false, true)), Ok(Base::Overlay { .. })));
    // not where the task's writes are for the host,
    assert!(matches!(base(bare(false, false)), Err(PlanError::MountPoint { .. })));
    // and nothing has to be where all is there.
    for readonly in [true, false] {
        let (profile, files) = bare(readonly, false);
        assert!(matches!(base((profile, files.directory("/image/tmp"))), Ok(Base::Directory(_))));
    }
    // A directory of an owner who has no id inside cannot be copied by an overlay.
    for (uid, possible) in [(0, false), (1000, true)] {
        let (mut profile, files) = bare(true, false);
        profile.mounts = vec![tmpfs("/data/deep/new")];
        let files = files.directory("/image/data/deep").owned("/image/data", 1000, 1000, 0o755);
        let made = base((profile, files.owned("/image/data/deep", uid, uid, 0o755)));
        assert_eq!(made.is_ok(), possible, "{made:?}");
    }
}

#[test]
fn an_overlay_does_not_show_what_a_mount_hides() {
    let mounted = |(profile, files): (Profile, MemoryFiles)| {
        on(&profile, &files.directory("/image/secret").mounted("/image/secret").mounted("/image-2/x"))
    };
    let error = mounted(bare(false, true)).unwrap_err();
    assert!(error.to_string().contains("/image/secret") && error.hint().is_some(), "{error}");
    assert!(matches!(mounted(bare(true, false)), Err(PlanError::MountPoint { .. })));
    let (profile, files) = bare(true, false);
    assert!(mounted((profile, files.directory("/image/tmp"))).is_ok());
}

#[test]
fn a_symlink_that_a_root_has_already_is_not_made_again() {
    let (mut profile, files) = bare(false, false);
    profile.mounts = vec![system("/usr"), system("/bin"), system("/lib64")];
    let files = files.symlink("/image/lib64", "usr/lib64").symlink("/image/bin", "usr/bin");
    let plan = on(&profile, &files).unwrap();
    assert!(node(&plan, "/bin").is_none() && node(&plan, "/lib64").is_none());
}

#[test]
fn what_cannot_be_id_mapped_is_refused_in_the_plan() {
    let overlay = files().directory("/w").on(0x794c_7630);
    let as_root =
        |profile: &Profile| resolve(profile, &root_facts(), &overlay, &Call::program(["/usr/bin/sh"]));
    let error = as_root(&with([bind("/w", "/w", false)])).unwrap_err();
    assert!(error.to_string().contains("overlayfs") && error.hint().is_some(), "{error}");
    assert!(as_root(&with([bind("/w", "/w", true)])).is_ok());
    assert!(on(&with([bind("/w", "/w", false)]), &overlay).is_ok());
    // *Lite* mounts nothing, and so maps nothing: a container's own root is an overlay.
    let mut lite = lite();
    lite.mounts.push(bind("/w", "/w", false));
    as_root(&lite).unwrap();
    let (mut image, _) = bare(true, false);
    image.mounts.clear();
    let overlay = overlay.file("/image/usr/bin/sh", 0o755, elf::sample(62, None));
    let root = resolve(&image, &root_facts(), &overlay, &Call::program(["/usr/bin/sh"]));
    assert!(matches!(root, Err(PlanError::IdMap { .. })), "{root:?}");
}
