//! New file systems by their type: which of them a sandbox may have, with what limits. The kernel mounts in a
//! user namespace what has `FS_USERNS_MOUNT`; of those, what has no limit or would show files of the host
//! past the checks of a bind is refused.

use std::ffi::{CStr, CString};

use super::inputs::Inputs;
use crate::plan::error::PlanError;
use crate::plan::model::{Filesystem, Node, Tmpfs};
use crate::profile::{Atime, Attributes, Mount, MountKind, Namespace, Propagation, filesystem_options};
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY};

/// Options of a devpts. Without a maximum of its own one sandbox can take every terminal of the host but those
/// that are kept back for the host's own instance (kernel.pty.max). A kernel that does not know the option
/// refuses to mount.
const OWN_TERMINALS: [(&CStr, Option<&CStr>); 3] =
    [(c"max", Some(c"64")), (c"ptmxmode", Some(c"0666")), (c"newinstance", None)];
/// Of a file system that holds neither devices nor programs.
const DATA: u64 = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
/// More options than any file system has.
const MAX_DATA: usize = 64;
/// fsconfig(2): a value has at most 255 bytes.
const MAX_VALUE: usize = 255;

/// One that can be mounted.
struct Known {
    name: &'static CStr,
    /// include/uapi/linux/magic.h.
    magic: u64,
    /// A namespace of the sandbox's own that it shows; otherwise it would show the host's.
    namespace: Option<Namespace>,
    /// The first kernel with `FS_USERNS_MOUNT` for it, where not all have it.
    since: (u32, u32),
}

const TMPFS: Known = Known { name: c"tmpfs", magic: 0x0102_1994, namespace: None, since: (0, 0) };
const DEVPTS: Known = Known { name: c"devpts", magic: 0x1cd1, namespace: None, since: (0, 0) };
const KNOWN: [&Known; 7] = [
    &TMPFS,
    &Known { name: c"proc", magic: 0x9fa0, namespace: Some(Namespace::Pid), since: (0, 0) },
    &Known { name: c"sysfs", magic: 0x6265_6572, namespace: Some(Namespace::Network), since: (0, 0) },
    &Known { name: c"cgroup2", magic: 0x6367_7270, namespace: Some(Namespace::Cgroup), since: (0, 0) },
    &DEVPTS,
    &Known { name: c"mqueue", magic: 0x1980_0202, namespace: Some(Namespace::Ipc), since: (0, 0) },
    &Known { name: c"binfmt_misc", magic: 0x4249_4e4d, namespace: None, since: (6, 7) },
];

/// Why one is not mounted, and what to do instead.
fn refused(fstype: &str) -> (&'static str, &'static str) {
    match fstype {
        "ramfs" => (
            "it has no limit: what is written to it is the host's memory",
            "use type \"tmpfs\", which has a size",
        ),
        "cgroup" => (
            "control groups of version 1 show the host's, and cannot be mounted in a user namespace",
            "use type \"cgroup2\", or leave it out",
        ),
        "overlay" => (
            "its layers are paths of the host, which only a bind mount checks",
            "use root.overlay for the root, or mount the overlay on the host and bind it",
        ),
        "fuse" => ("its server is a process outside", "mount it on the host and bind it"),
        "bpf" => ("it holds programs of the kernel", "leave it out"),
        _ => (
            "the kernel does not mount it in a user namespace (it lacks FS_USERNS_MOUNT)",
            "mount it on the host and bind it",
        ),
    }
}

/// A tmpfs of the plan's own: writable, and nothing on it is executed.
pub(crate) fn tmpfs(limits: Tmpfs) -> Node {
    new(&TMPFS, Vec::new(), Some(limits), DATA, Propagation::Private)
}

/// The terminals of the minimal `/dev`. Its nodes are terminals: `nodev` would make them useless.
pub(crate) fn devpts() -> Node {
    let options = OWN_TERMINALS.into_iter().chain([(c"mode", Some(c"0620"))]);
    let data = options.map(|(key, value)| (key.into(), value.map(Into::into))).collect();
    new(&DEVPTS, data, None, ATTR_NOSUID | ATTR_NOEXEC, Propagation::Private)
}

fn new(
    known: &Known,
    data: Vec<(CString, Option<CString>)>,
    limits: Option<Tmpfs>,
    attributes: u64,
    propagation: Propagation,
) -> Node {
    let (fstype, magic) = (known.name.into(), known.magic);
    Node::Filesystem(Filesystem { fstype, data, limits, attributes, propagation, magic })
}

/// What is at `mount.destination`. The `limits` of a tmpfs are among the options where they are not given.
pub(crate) fn filesystem(
    inputs: &Inputs<'_>,
    mount: &Mount,
    fstype: &str,
    mut data: Vec<(String, Option<String>)>,
    limits: Option<Tmpfs>,
) -> Result<Node, PlanError> {
    let known = possible(inputs, mount, fstype)?;
    let limits = match limits {
        None if fstype == "tmpfs" => Some(limits_among(mount, &mut data)?),
        limits => limits,
    };
    // 0 is "no limit" to the kernel.
    if limits.is_some_and(|Tmpfs { size, inodes, mode }| size == 0 || inodes == 0 || mode > 0o7777) {
        let problem = "size and nr_inodes are above 0, the mode at most 7777";
        return Err(value(mount, "tmpfs".to_owned(), problem));
    }
    if fstype == "devpts" {
        own_terminals(mount, &mut data)?;
    }
    check_options(inputs, mount, fstype, &data)?;
    if data.len() > MAX_DATA {
        return Err(PlanError::TooMany { what: "options of a mount", count: data.len(), limit: MAX_DATA });
    }
    let text = |text: &str| {
        let fits = text.len() <= MAX_VALUE;
        CString::new(text)
            .ok()
            .filter(|_| fits)
            .ok_or_else(|| value(mount, text.to_owned(), "an option has at most 255 bytes and no NUL"))
    };
    let data = data
        .iter()
        .map(|(key, value)| Ok((text(key)?, value.as_deref().map(text).transpose()?)))
        .collect::<Result<_, PlanError>>()?;
    // The short forms of these have no `exec`.
    let noexec = mount.noexec || matches!(mount.kind, MountKind::Proc { .. } | MountKind::Mqueue);
    let attributes = ATTR_NOSUID
        | if fstype == "devpts" { 0 } else { ATTR_NODEV }
        | if mount.readonly { ATTR_RDONLY } else { 0 }
        | if noexec { ATTR_NOEXEC } else { 0 }
        | mount.attributes.bits();
    Ok(new(known, data, limits, attributes, mount.attributes.propagation))
}

/// The file system, if a sandbox may have it.
fn possible(inputs: &Inputs<'_>, mount: &Mount, fstype: &str) -> Result<&'static Known, PlanError> {
    let fail = |reason, hint| {
        Err(PlanError::Unenforceable {
            key: format!("a mount of {fstype} at {:?}", mount.destination),
            reason,
            hint,
        })
    };
    let Some(known) = KNOWN.into_iter().find(|known| known.name.to_bytes() == fstype.as_bytes()) else {
        let (reason, hint) = refused(fstype);
        return fail(reason, hint);
    };
    if known.namespace.is_some_and(|namespace| !inputs.profile.namespaces.contains(&namespace)) {
        return fail(
            "it would show the host's: it needs a namespace of its own",
            "add the namespace to the profile",
        );
    }
    if inputs.facts.kernel < known.since {
        return fail(
            "this kernel does not mount it in a user namespace",
            "use Linux 6.7 or later, or leave it out",
        );
    }
    if fstype == "cgroup2" && !mount.readonly {
        let reason = "who writes to its own control group can leave it, and its limits with it";
        return fail(reason, "mount it read-only (options = [\"ro\"])");
    }
    Ok(known)
}

const HUGE: [&str; 4] = ["never", "always", "within_size", "advise"];
const HIDEPID: [&str; 8] = ["off", "noaccess", "invisible", "ptraceable", "0", "1", "2", "4"];

/// What the kernel would refuse at the start: options that the file system has not, and ids that the sandbox's
/// user namespace does not map.
fn check_options(
    inputs: &Inputs<'_>,
    mount: &Mount,
    fstype: &str,
    data: &[(String, Option<String>)],
) -> Result<(), PlanError> {
    let known = filesystem_options(fstype).unwrap_or_default();
    for (key, given) in data {
        let option = given.as_ref().map_or_else(|| key.clone(), |given| format!("{key}={given}"));
        let wrong = |problem| Err(value(mount, option.clone(), problem));
        let word = if given.is_some() { format!("{key}=") } else { key.clone() };
        if !known.contains(&word.as_str()) && !known.contains(&option.as_str()) {
            return wrong("a new file system of this type has no such option");
        }
        let given = given.as_deref().unwrap_or_default();
        // The kernel reads 010 as octal.
        let id = given.parse().ok().filter(|id: &u32| id.to_string() == given);
        let (is_mapped, reason) = match (key.as_str(), id) {
            ("uid" | "gid", None) => return wrong("it is not an id"),
            ("uid", Some(id)) => {
                (inputs.identity.maps_user(id), "the sandbox has no such user (uidMappings does not map it)")
            }
            ("gid", Some(id)) => (
                inputs.identity.maps_group(id),
                "the sandbox has no such group (gidMappings does not map it)",
            ),
            ("mode" | "ptmxmode", _) if !u32::from_str_radix(given, 8).is_ok_and(|mode| mode <= 0o7777) => {
                return wrong("a mode is octal, at most 7777");
            }
            ("huge", _) if !HUGE.contains(&given) => {
                return wrong("it is never, always, within_size or advise (tmpfs(5))");
            }
            ("hidepid", _) if !HIDEPID.contains(&given) => {
                return wrong(
                    "it is off, noaccess, invisible or ptraceable, or the number 0, 1, 2 or 4 (proc(5))",
                );
            }
            _ => continue,
        };
        if !is_mapped {
            return Err(PlanError::Unenforceable {
                key: format!("option {option} of the {fstype} at {:?}", mount.destination),
                reason,
                hint: "leave it out, or map the id: --userns auto, or --uidmap and --gidmap",
            });
        }
    }
    Ok(())
}

fn value(mount: &Mount, value: String, problem: &'static str) -> PlanError {
    let value = format!("{value} ({})", mount.destination.display());
    PlanError::Value { key: "mounts.options", value, problem }
}

/// Takes the limits of a tmpfs out of its options: init reads them back.
fn limits_among(mount: &Mount, data: &mut Vec<(String, Option<String>)>) -> Result<Tmpfs, PlanError> {
    let mut take =
        |key: &str, radix| {
            let at = data.iter().position(|(other, _)| other == key)?;
            let (_, text) = data.remove(at);
            Some(u64::from_str_radix(text.as_deref().unwrap_or_default(), radix).map_err(|_| {
                value(mount, format!("{key}={}", text.unwrap_or_default()), "it is not a number")
            }))
        };
    let (size, inodes, mode) = (take("size", 10), take("nr_inodes", 10), take("mode", 8));
    let (Some(size), Some(inodes)) = (size.transpose()?, inodes.transpose()?) else {
        return Err(value(mount, "tmpfs".to_owned(), "it needs limits: size and nr_inodes"));
    };
    // Another word for the size, or the same once more, would undo it: the last one is the kernel's.
    let again = ["size", "nr_inodes", "mode", "nr_blocks"];
    if let Some((key, _)) = data.iter().find(|(key, _)| again.contains(&key.as_str())) {
        return Err(value(mount, key.clone(), "the limits of a tmpfs are given once, by size and nr_inodes"));
    }
    let mode = u32::try_from(mode.transpose()?.unwrap_or(0o1777)).unwrap_or(u32::MAX);
    Ok(Tmpfs { size, inodes, mode })
}

/// A devpts has terminals of its own, and not all of the host's.
fn own_terminals(mount: &Mount, data: &mut Vec<(String, Option<String>)>) -> Result<(), PlanError> {
    if let Some((_, max)) = data.iter().find(|(key, _)| key == "max") {
        let text = max.as_deref().unwrap_or_default();
        if !text.parse::<u32>().is_ok_and(|number| (1..=4096).contains(&number)) {
            return Err(value(mount, format!("max={text}"), "a devpts has 1 to 4096 terminals"));
        }
    }
    let text = |text: &CStr| text.to_string_lossy().into_owned();
    for (key, value) in OWN_TERMINALS {
        if !data.iter().any(|(given, _)| given.as_bytes() == key.to_bytes()) {
            data.push((text(key), value.map(text)));
        }
    }
    Ok(())
}

impl Attributes {
    /// As the `MOUNT_ATTR_*` bits of `mount_setattr(2)`; `relatime` is none of them.
    pub(crate) fn bits(self) -> u64 {
        let atime = match self.atime {
            None | Some(Atime::Relatime) => 0,
            Some(Atime::Noatime) => 0x10,
            Some(Atime::Strictatime) => 0x20,
        };
        atime | if self.nodiratime { 0x80 } else { 0 } | if self.nosymfollow { 0x0020_0000 } else { 0 }
    }
}
