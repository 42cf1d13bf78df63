//! The profiles that ship, planned for this host's files as ordinary users and root would have them. Nothing
//! is started.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use belljar::internals::host::{Facts, RealFiles};
use belljar::internals::plan::{
    Call, HostIdentity, Namespaces, Node, Plan, PlanError, Via, Workload, resolve, resolve_with_notes,
};
use belljar::internals::profile::{Capability, CapabilitySet, Profile};

/// This host, as an ordinary user has it.
fn facts(cwd: &Path) -> Facts {
    let detected = Facts::detect().unwrap();
    let unprivileged =
        Facts { uid: 65534, gid: 65534, groups: vec![], capabilities: CapabilitySet::EMPTY, ..detected };
    Facts { landlock_abi: Some(7), mapped_ids: Some(1 << 32), cwd: Some(cwd.to_owned()), ..unprivileged }
}

fn root(cwd: &Path) -> Facts {
    let spare_ids = Some((0x7000_0000, 0x7ffe_0000));
    Facts { uid: 0, gid: 0, root_outside: true, spare_ids, capabilities: CapabilitySet::NAMED, ..facts(cwd) }
}

fn load(name: &str) -> Profile {
    Profile::load(name).unwrap()
}

fn sh() -> Call {
    Call::program(["sh", "-c", "true"])
}

fn path(path: &CString) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

/// Bind mounts: destination, source, read-only, how.
fn binds(plan: &Plan) -> Vec<(PathBuf, PathBuf, bool, Via)> {
    let nodes = plan.walls.root.iter().flat_map(|root| &root.nodes);
    nodes
        .filter_map(|node| match node {
            (at, Node::Bind(bind)) => {
                Some((path(at), path(&bind.source.path), bind.readonly, bind.source.via))
            }
            _ => None,
        })
        .collect()
}

fn settled(plan: &Plan) {
    plan.check().unwrap();
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), *plan);
    assert!(plan.to_text(&[]).ends_with('\n'));
    assert_eq!(plan.to_json(&[])["hash"], plan.hash().unwrap());
    let seccomp = plan.task.seccomp.as_ref().unwrap();
    seccomp.program.validate().unwrap();
    assert!(plan.task.landlock.is_some() && plan.task.no_new_privileges);
}

#[test]
fn every_profile_has_a_plan_here() {
    let cwd = tempfile::tempdir().unwrap();
    let work = cwd.path().canonicalize().unwrap();
    for name in ["strict", "standard", "build", "network", "nested", "lite"] {
        for facts in [facts(&work), root(&work)] {
            let (plan, notes) = resolve_with_notes(&load(name), &facts, &RealFiles, &sh())
                .unwrap_or_else(|e| panic!("{name}: {e}: {:?}", e.hint()));
            settled(&plan);
            assert!(
                matches!(&plan.task.workload, Workload::Program { path: p, .. } if path(p).ends_with("sh")),
                "{name}"
            );
            // A shipped profile names no system call that does not exist.
            assert!(
                !notes.iter().any(|note| note.to_string().contains("unknown system calls")),
                "{name}: {notes:?}"
            );
        }
    }
}

#[test]
fn strict_shows_the_system_and_nothing_else() {
    let cwd = tempfile::tempdir().unwrap();
    let work = cwd.path().canonicalize().unwrap();
    let plan = resolve(&load("strict"), &facts(&work), &RealFiles, &sh()).unwrap();
    assert!(!binds(&plan).is_empty());
    for (destination, source, readonly, _) in binds(&plan) {
        assert!(readonly, "{destination:?}");
        let system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc"];
        assert!(system.iter().any(|directory| source.starts_with(directory)), "{source:?}");
    }
    assert!(
        plan.walls.root.as_ref().unwrap().readonly
            && plan.walls.loopback
            && plan.task.capabilities.is_empty()
    );
    assert_eq!(path(&plan.task.cwd), Path::new("/tmp"));
    assert!(
        plan.task.env.iter().all(|entry| entry.as_bytes().starts_with(b"PATH=")
            || entry.as_bytes().starts_with(b"HOME=")
            || entry.as_bytes().starts_with(b"LANG=")),
        "{:?}",
        plan.task.env
    );
}

#[test]
fn build_writes_where_it_works_and_keeps_the_owner() {
    let cwd = tempfile::tempdir().unwrap();
    let work = cwd.path().canonicalize().unwrap();
    for (facts, expected) in [(facts(&work), false), (root(&work), true)] {
        let plan = resolve(&load("build"), &facts, &RealFiles, &sh()).unwrap();
        let writable: Vec<_> = binds(&plan).into_iter().filter(|bind| !bind.2).collect();
        assert_eq!(writable.len(), 1);
        assert_eq!((&writable[0].0, &writable[0].1), (&work, &work));
        assert_eq!(matches!(writable[0].3, Via::Tree { idmap: Some(_) }), expected);
        assert_eq!(path(&plan.task.cwd), work);
        assert_eq!(plan.walls.identity.host == HostIdentity::Unique, facts.uid == 0);
    }
}

#[test]
fn container_has_a_root_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().canonicalize().unwrap().join("image");
    std::fs::create_dir_all(image.join("usr/bin")).unwrap();
    std::fs::copy("/proc/self/exe", image.join("usr/bin/tool")).unwrap();
    std::os::unix::fs::symlink("usr/bin", image.join("bin")).unwrap();
    // Nothing is made in a root that can be written to: the mount points are there, as in every image.
    for name in ["dev", "proc"] {
        std::fs::create_dir(image.join(name)).unwrap();
    }
    let facts = facts(&image);
    let bare = resolve(&load("container"), &facts, &RealFiles, &sh());
    assert!(matches!(bare, Err(PlanError::NoRoot)), "{bare:?}");
    let mut profile = load("container");
    profile.set_rootfs(&image).unwrap();
    // The root has no loader for a dynamic program: named, before anything is started.
    let without = resolve(&profile, &facts, &RealFiles, &Call::program(["tool"]));
    match without {
        Ok(_) => {}
        Err(PlanError::Program { problem, .. }) => {
            assert!(problem.to_string().contains("loader"), "{problem}")
        }
        Err(other) => panic!("{other}"),
    }
    // The host's own shell is not the root's.
    let missing = resolve(&profile, &facts, &RealFiles, &sh()).unwrap_err();
    assert_eq!(missing.exit_code(), 127);
    std::fs::write(image.join("usr/bin/sh"), std::fs::read(image.join("usr/bin/tool")).unwrap()).unwrap();
    let role = belljar::internals::plan::TaskRequest::Role { name: "probe".into(), args: vec![] };
    let plan = resolve(&profile, &facts, &RealFiles, &Call::new(role)).unwrap();
    settled(&plan);
    // Without CAP_SETFCAP: others can reach what is written here.
    assert_eq!(
        (
            plan.walls.identity.uid,
            plan.task.capabilities.len(),
            plan.task.capabilities.contains(Capability::CAP_SETFCAP)
        ),
        (0, 13, false)
    );
    assert!(binds(&plan).is_empty());
}

#[test]
fn what_the_command_line_adds_comes_last() {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().canonicalize().unwrap();
    let mut profile = load("strict");
    profile.add_bind(&work, Path::new("/tmp"), false).unwrap();
    profile.add_tmpfs(Path::new("/scratch"), Some(1 << 20)).unwrap();
    let plan = resolve(&profile, &facts(&work), &RealFiles, &sh()).unwrap();
    assert!(binds(&plan).iter().any(|bind| bind.0 == Path::new("/tmp") && bind.1 == work && !bind.2));
    profile.add_bind(&work.join("nothing"), Path::new("/x"), true).unwrap();
    let error = resolve(&profile, &facts(&work), &RealFiles, &sh()).unwrap_err();
    assert!(matches!(error, PlanError::SourceMissing { .. }) && error.exit_code() == 125);
}

#[test]
fn the_same_decisions_have_the_same_hash() {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().canonicalize().unwrap();
    let plan =
        |name, call: &Call| resolve(&load(name), &facts(&work), &RealFiles, call).unwrap().hash().unwrap();
    assert_eq!(plan("strict", &sh()), plan("strict", &sh()));
    assert_ne!(plan("strict", &sh()), plan("standard", &sh()));
    assert_ne!(plan("strict", &sh()), plan("strict", &Call::program(["sh"])));
}

#[test]
fn lite_has_rights_in_place_of_mounts() {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().canonicalize().unwrap();
    let mut profile = load("lite");
    profile.add_bind(&work, &work, false).unwrap();
    let plan = resolve(&profile, &facts(&work), &RealFiles, &sh()).unwrap();
    settled(&plan);
    let landlock = plan.task.landlock.as_ref().unwrap();
    assert_eq!((plan.walls.namespaces, &plan.walls.root), (Namespaces::Lite, &None));
    assert!(landlock.rules.iter().any(|rule| path(&rule.path) == work));
    assert!(landlock.handled_net != 0 && landlock.scoped == 3);
    let old = Facts { landlock_abi: Some(5), ..facts(&work) };
    assert!(matches!(resolve(&profile, &old, &RealFiles, &sh()), Err(PlanError::Landlock { .. })));
    // Root gives it an id of its own, which nothing here keeps out.
    std::fs::set_permissions(&work, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let plan = resolve(&profile, &root(&work), &RealFiles, &sh()).unwrap();
    assert_eq!(plan.walls.identity.host, HostIdentity::Unique);
    let unable = Facts { capabilities: CapabilitySet::EMPTY, ..root(&work) };
    assert!(matches!(resolve(&profile, &unable, &RealFiles, &sh()), Err(PlanError::RootWithoutNamespaces)));
}

/// `struct landlock_ruleset_attr` and `struct landlock_path_beneath_attr` of `linux/landlock.h`.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// The kernel takes the rules as they are: no right that does not fit a file, none that it does not know.
/// Nothing is enforced: the ruleset is dropped.
#[test]
fn the_kernel_takes_the_landlock_rules() {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    let Some(abi) = Facts::detect().unwrap().landlock_abi else {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().canonicalize().unwrap();
    std::fs::write(work.join("file"), "").unwrap();
    let mut profile = load("lite");
    profile.add_bind(&work.join("file"), &work.join("file"), false).unwrap();
    profile.add_bind(Path::new("/dev/tty"), Path::new("/dev/tty"), false).unwrap();
    profile.landlock.scopes.clear();
    let facts = Facts { landlock_abi: Some(abi), ..facts(&work) };
    let ruleset = resolve(&profile, &facts, &RealFiles, &sh()).unwrap().task.landlock.unwrap();
    let attr = RulesetAttr {
        handled_access_fs: ruleset.handled_fs,
        handled_access_net: ruleset.handled_net,
        scoped: ruleset.scoped,
    };
    // SAFETY: the attribute lives through the call, and its size is given.
    let fd = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size_of::<RulesetAttr>(), 0_u32)
    };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: a descriptor that the kernel just made, and nothing else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    assert!(ruleset.rules.len() > 5);
    for rule in &ruleset.rules {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path(&rule.path)).unwrap();
        let beneath = PathBeneathAttr { allowed_access: rule.access, parent_fd: file.as_raw_fd() };
        // SAFETY: LANDLOCK_RULE_PATH_BENEATH (1) takes this struct, which lives through the call.
        let result = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, fd.as_raw_fd(), 1_u32, &raw const beneath, 0_u32)
        };
        assert_eq!(result, 0, "{:?}: {}", rule.path, std::io::Error::last_os_error());
    }
}

#[test]
fn the_callers_limits_decide_about_the_scheduler() {
    let (here, nice, rtprio) = (Path::new("/tmp"), 13, 14);
    let planned = |scheduler: &str, limit: u64, of_root: bool| {
        let profile = Profile::load_with("strict", &[format!("process.scheduler={scheduler}")]).unwrap();
        let mut facts = if of_root { root(here) } else { facts(here) };
        for own in facts.limits.iter_mut().filter(|own| [nice, rtprio].contains(&own.resource)) {
            (own.soft, own.hard) = (limit, 99);
        }
        resolve(&profile, &facts, &RealFiles, &sh())
    };
    // CAP_SYS_NICE of root's does not reach into the sandbox.
    for of_root in [false, true] {
        for (scheduler, limit) in
            [("fifo:7", 7), ("rr:1", 1), ("other:-10", 30), ("batch:-20", 40), ("batch:19", 0), ("idle", 0)]
        {
            let plan = planned(scheduler, limit, of_root).expect(scheduler);
            assert_eq!(plan.task.attributes.scheduler.map(|found| found.to_string()), Some(scheduler.into()));
        }
        for (scheduler, limit, name) in [
            ("fifo:7", 6, "RLIMIT_RTPRIO"),
            ("rr:1", 0, "RLIMIT_RTPRIO"),
            ("other:-10", 29, "RLIMIT_NICE"),
            ("batch:-1", 0, "RLIMIT_NICE"),
        ] {
            match planned(scheduler, limit, of_root) {
                Err(PlanError::Unenforceable { key, reason, hint }) => {
                    assert!(key.contains(scheduler) && reason.contains(name), "{key}: {reason}");
                    assert!(hint.contains("prlimit"), "{hint}");
                }
                other => panic!("{scheduler} {limit}: {other:?}"),
            }
        }
    }
}
