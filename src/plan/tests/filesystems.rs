//! New file systems by type, attributes of mounts and devices by number.

use super::fixtures::*;
use crate::host::{Facts, FileKind};
use crate::plan::{Call, Device, Filesystem, Node, PlanError, Via, resolve};
use crate::profile::{Atime, Attributes, IdMap, IdRange, Mount, MountKind, Namespace, Profile, Propagation};

fn new(destination: &str, fstype: &str, data: &[(&str, &str)]) -> Mount {
    let option =
        |(key, value): &(&str, &str)| ((*key).to_owned(), (!value.is_empty()).then(|| (*value).to_owned()));
    let data = data.iter().map(option).collect();
    let kind = MountKind::Filesystem { fstype: fstype.to_owned(), data };
    Mount { readonly: true, noexec: true, ..mount(destination, kind) }
}

fn made(profile: &Profile, path: &str) -> Filesystem {
    match node(&plan(profile).unwrap(), path) {
        Some(Node::Filesystem(filesystem)) => filesystem.clone(),
        other => panic!("{other:?}"),
    }
}

fn reason(profile: &Profile) -> &'static str {
    match plan(profile) {
        Err(PlanError::Unenforceable { reason, hint, .. }) if !hint.is_empty() => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_user_namespace_can_mount_is_planned_with_its_options() {
    let sys = made(&with([new("/sys", "sysfs", &[])]), "/sys");
    assert_eq!((sys.attributes, sys.magic, sys.limits), (0xf, 0x6265_6572, None));
    let both = with([new("/sys", "sysfs", &[]), new("/sys/fs/cgroup", "cgroup2", &[("nsdelegate", "")])]);
    let cgroup = made(&both, "/sys/fs/cgroup");
    assert_eq!(cgroup.data, [(c"nsdelegate".into(), None)]);
    let limits = [("size", "4096"), ("nr_inodes", "9"), ("mode", "0750")];
    let data = [&limits[..], &[("uid", "1000")]].concat();
    let tmpfs = Mount { readonly: false, noexec: false, ..new("/scratch", "tmpfs", &data) };
    let tmpfs = made(&with([tmpfs]), "/scratch");
    assert_eq!(tmpfs.data, [(c"uid".into(), Some(c"1000".into()))]);
    let limits = tmpfs.limits.unwrap();
    assert_eq!((limits.size, limits.inodes, limits.mode, tmpfs.attributes), (4096, 9, 0o750, 0x6));
    // Its terminals are bounded, with any other options, and can be used.
    let pts = made(&with([new("/dev/pts", "devpts", &[("gid", "1000")])]), "/dev/pts");
    assert_eq!(pts.data.iter().filter(|(key, _)| key.as_c_str() == c"max").count(), 1);
    assert_eq!(pts.attributes & 0x4, 0);
}

#[test]
fn what_would_show_the_host_s_needs_a_namespace() {
    for (fstype, at, namespace) in [
        ("sysfs", "/sys", Namespace::Network),
        ("cgroup2", "/groups", Namespace::Cgroup),
        ("mqueue", "/dev/mqueue", Namespace::Ipc),
    ] {
        let mut profile = with([new(at, fstype, &[])]);
        plan(&profile).unwrap();
        profile.namespaces.remove(&namespace);
        assert!(!reason(&profile).is_empty());
    }
}

#[test]
fn what_has_no_limit_or_belongs_to_the_host_is_refused() {
    assert!(reason(&with([new("/x", "ramfs", &[])])).contains("no limit"));
    for fstype in ["ext4", "overlay", "fuse", "cgroup", "bpf", "debugfs", "nonsense", ""] {
        assert!(!reason(&with([new("/x", fstype, &[])])).is_empty(), "{fstype}");
    }
    let writable = Mount { readonly: false, ..new("/groups", "cgroup2", &[]) };
    assert!(reason(&with([writable])).contains("limits"));
    let old = Facts { kernel: (6, 6), ..facts() };
    let profile = with([new("/formats", "binfmt_misc", &[])]);
    let refused = resolve(&profile, &old, &files(), &Call::program(["sh"]));
    assert!(matches!(refused, Err(PlanError::Unenforceable { .. })), "{refused:?}");
    let value = |data: &[(&str, &str)]| match plan(&with([new("/x", "tmpfs", data)])) {
        Err(PlanError::Value { problem, .. }) => problem,
        other => panic!("{data:?}: {other:?}"),
    };
    // 0 is "no limit" to the kernel, and `nr_blocks` another word for the size.
    for data in [
        &[][..],
        &[("size", "4096")],
        &[("size", "0"), ("nr_inodes", "1")],
        &[("size", "4096"), ("nr_inodes", "0")],
        &[("size", "50%"), ("nr_inodes", "1")],
        &[("size", "4096"), ("nr_inodes", "1"), ("nr_blocks", "0")],
        &[("size", "4096"), ("nr_inodes", "1"), ("size", "8192"), ("size", "0")],
    ] {
        value(data);
    }
    for (size, inodes, mode) in [(0, 1, 0), (1, 0, 0), (1, 1, 0o10000)] {
        let short = with([mount("/x", MountKind::Tmpfs { size, inodes, mode })]);
        assert!(matches!(plan(&short), Err(PlanError::Value { .. })), "{size} {inodes} {mode}");
    }
    let pts = with([new("/dev/pts", "devpts", &[("max", "100000")])]);
    assert!(matches!(plan(&pts), Err(PlanError::Value { .. })));
}

fn attributes(attributes: Attributes) -> Profile {
    with([Mount { attributes, ..bind("/opt", "/x", false) }])
}

#[test]
fn a_bind_s_access_times_are_changed_in_the_host_s_namespace_alone() {
    let noatime = attributes(Attributes { atime: Some(Atime::Noatime), ..Attributes::default() });
    assert!(reason(&noatime).contains("user namespace"));
    let plan = resolve(&noatime, &root_facts(), &files(), &Call::program(["sh"])).unwrap();
    assert!(matches!(bound(&plan, "/x").unwrap().0.via, Via::Tree { .. }));
}

#[test]
fn a_read_only_slave_needs_landlock() {
    let slave = Attributes { propagation: Propagation::Slave, ..Attributes::default() };
    let mut profile = attributes(slave);
    assert!(bound(&plan(&profile).unwrap(), "/x").unwrap().0.slave);
    profile.landlock.require = false;
    plan(&profile).unwrap();
    for mount in &mut profile.mounts {
        mount.readonly |= mount.destination.as_os_str() == "/x";
    }
    assert!(reason(&profile).contains("Landlock"));
    profile.landlock.require = true;
    plan(&profile).unwrap();
}

#[test]
fn a_device_by_number_is_the_host_s_node_and_no_other() {
    let device = |block, minor, mode, uid| MountKind::Node { block, major: 10, minor, mode, uid, gid: None };
    let files = files().device("/dev/kvm", 10, 232).special("/dev/sda", FileKind::BlockDevice);
    let at = |kind| {
        let profile = with([mount("/dev/machine", kind)]);
        resolve(&profile, &facts(), &files, &Call::program(["sh"]))
    };
    let plan = at(device(false, 232, None, Some(0))).unwrap();
    let kvm = Device { source: c"/dev/kvm".into(), block: false, major: 10, minor: 232, readonly: false };
    assert_eq!(node(&plan, "/dev/machine"), Some(&Node::Device(kvm)));
    for other in [device(false, 231, None, None), device(true, 232, None, None)] {
        assert!(matches!(at(other), Err(PlanError::Device { major: 10, .. })));
    }
    // The host's node permits more than is asked, or is another user's.
    for other in [device(false, 232, Some(0o600), None), device(false, 232, None, Some(7))] {
        assert!(matches!(at(other), Err(PlanError::Unenforceable { .. })));
    }
    at(device(false, 232, Some(0o666), None)).unwrap();
}

/// What the kernel would refuse at the start is refused before: nothing of the dry run is untrue.
#[test]
fn options_are_those_of_the_file_system_and_ids_are_mapped() {
    let own = |data: &[(&str, &str)]| plan(&with([new("/x", "tmpfs", data)]));
    let limits = [("size", "4096"), ("nr_inodes", "9")];
    for id in ["uid", "gid"] {
        own(&[&limits[..], &[(id, "1000")]].concat()).unwrap();
        for unmapped in ["77", "0"] {
            let error = own(&[&limits[..], &[(id, unmapped)]].concat()).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{id}={unmapped} of the tmpfs at \"/x\"")),
                "{error}"
            );
            assert!(error.hint().unwrap().contains("--userns auto"));
        }
        for no_id in ["", "x", "01000", "+1000", "4294967296"] {
            assert!(
                matches!(own(&[&limits[..], &[(id, no_id)]].concat()), Err(PlanError::Value { .. })),
                "{no_id}"
            );
        }
    }
    let oci = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    let pts = |profile: &Profile, facts: &Facts, data| {
        let mut profile = profile.clone();
        profile.mounts.push(new("/dev/pts", "devpts", data));
        resolve(&profile, facts, &files(), &Call::program(["sh"]))
    };
    pts(&profile(), &facts(), &oci[..3]).unwrap();
    assert!(matches!(pts(&profile(), &facts(), &oci), Err(PlanError::Unenforceable { .. })));
    let mut many = profile();
    (many.uid_mappings, many.gid_mappings) = (IdMap::Auto, IdMap::Auto);
    let root = Facts { spare_blocks: Some((1 << 16, 1 << 17)), ..root_facts() };
    pts(&many, &root, &oci).unwrap();
    assert!(matches!(pts(&many, &root, &[("gid", "65536")]), Err(PlanError::Unenforceable { .. })));
    let range = |outside, count| IdMap::Ranges(vec![IdRange { inside: 1000, outside, count }]);
    (many.uid_mappings, many.gid_mappings) = (range(5000, 3), range(5000, 2));
    pts(&many, &root, &[("uid", "1002"), ("gid", "1001")]).unwrap();
    assert!(matches!(pts(&many, &root, &[("gid", "1002")]), Err(PlanError::Unenforceable { .. })));
    for (at, fstype, option) in [
        ("/x", "tmpfs", ("noswap", "")),
        ("/x", "tmpfs", ("uid", "")),
        ("/x", "tmpfs", ("huge", "yes")),
        ("/proc", "proc", ("hidepid", "3")),
        ("/proc", "proc", ("mode", "0700")),
        ("/dev/mqueue", "mqueue", ("gid", "1000")),
        ("/sys", "sysfs", ("x", "1")),
        ("/dev/pts", "devpts", ("newinstance", "1")),
        ("/dev/pts", "devpts", ("ptmxmode", "rw")),
    ] {
        let limits = if fstype == "tmpfs" { &limits[..] } else { &[] };
        let error = plan(&with([new(at, fstype, &[limits, &[option]].concat())])).unwrap_err();
        assert!(matches!(error, PlanError::Value { .. }), "{option:?}: {error}");
    }
}

/// Landlock holds a device, and its rights are those of the host's node.
#[test]
fn a_read_only_device_is_one_under_each_of_its_names() {
    let node = MountKind::Node { block: false, major: 1, minor: 3, mode: None, uid: None, gid: None };
    let null = Mount { readonly: true, ..mount("/dev/null", node) };
    let mut profile = with([null]);
    let (readonly, notes) = noted(&profile).unwrap();
    let text = readonly.to_text(&notes);
    assert!(text.lines().any(|line| line.split_whitespace().take(2).eq(["/dev/null", "ro"])), "{text}");
    // Without Landlock nothing holds it, whichever way it is asked for.
    profile.landlock.require = false;
    assert!(reason(&profile).contains("Landlock"));
    let second = |readonly| with([bind("/dev/zero", "/dev/second", readonly)]);
    plan(&second(false)).unwrap();
    assert!(reason(&second(true)).contains("one device node"));
    let mut both = second(true);
    both.mounts.push(bind("/dev/zero", "/dev/zero", true));
    plan(&both).unwrap();
    plan(&with([bind("/dev/kvm", "/dev/second", true)])).unwrap();
}

#[test]
fn a_namespace_that_is_joined_is_there() {
    let mut profile = profile();
    profile.namespaces.remove(&Namespace::Network);
    profile.joined.insert(Namespace::Network, "/run/netns/x".into());
    let at = |files: crate::host::MemoryFiles| {
        crate::plan::resolve_with_notes(&profile, &root_facts(), &files, &Call::program(["sh"]))
    };
    let there = || files().file("/run/netns/x", 0o444, "");
    for (files, problem) in [(files(), "looked up"), (there(), "no namespace")] {
        let error = at(files).unwrap_err();
        assert!(matches!(error, PlanError::Namespace { .. }) && error.hint().is_some(), "{error}");
        assert!(
            error.to_string().contains("\"/run/netns/x\"") && error.to_string().contains(problem),
            "{error}"
        );
    }
    let (plan, notes) = at(there().on(0x6e73_6673)).unwrap();
    let text = plan.to_text(&notes);
    assert!(text.contains("network         that of /run/netns/x"), "{text}");
}
