//! `mounts`: what is mounted inside, in the words of the OCI runtime-spec and mount(8).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::form::{Form, Written, list, quote, quote_path};
use super::mount_options::{OPTIONS, Options, filesystem_options};
use super::reader::{Table, Value};
use super::value_error::{ValueError, word};
use super::{Attributes, Mount, MountKind, ProfileError, check, units};

/// `size=` of a tmpfs that does not say.
pub(crate) const DEFAULT_SIZE: u64 = 64 << 20;
/// `nr_inodes=` of a tmpfs that does not say.
pub(crate) const DEFAULT_INODES: u64 = 8192;
/// `mode=` of a tmpfs that does not say, which is the kernel's own.
pub(crate) const DEFAULT_MODE: u32 = 0o1777;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bind,
    Tmpfs,
    Proc,
    Dev,
    Mqueue,
    Node {
        block: bool,
    },
    /// By its name alone.
    Other(&'static str),
}

/// File systems without a short form of their own. Which of them are possible the plan decides, and says why
/// not.
#[rustfmt::skip] // A list of words.
const OTHERS: [&str; 24] = [
    "sysfs", "cgroup2", "devpts", "binfmt_misc", "cgroup", "ramfs", "overlay", "fuse", "bpf", "devtmpfs",
    "debugfs", "tracefs", "securityfs", "ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "iso9660", "squashfs", "nfs", "9p", "virtiofs",
];

/// What is mounted, each destination once: an entry takes the place of the inherited one, or of nothing.
pub(super) struct Mounts;

impl Form for Mounts {
    type Value = Vec<Mount>;

    fn takes(&self) -> String {
        "list of tables: `destination`, `type`, `source`, `options`, `remove`".to_owned()
    }

    fn read(&self, at: &mut Vec<Mount>, value: &Value<'_>) -> Result<(), ProfileError> {
        let by_destination = |mount: Mount| (mount.destination.clone(), mount);
        let mut all: BTreeMap<PathBuf, Mount> = std::mem::take(at).into_iter().map(by_destination).collect();
        let mut seen = BTreeSet::new();
        for entry in value.list()? {
            let (destination, mount) = entry.keys(mount)?;
            let text = || destination.to_string_lossy().into_owned();
            if !seen.insert(destination.clone()) {
                return Err(entry.fail(ValueError::Duplicate { entry: text() }));
            }
            match mount {
                Some(mount) => all.insert(destination, mount),
                None => match all.remove(&destination) {
                    None => return Err(value.fail_at(&entry, ValueError::NothingToRemove { entry: text() })),
                    removed => removed,
                },
            };
        }
        *at = all.into_values().collect();
        Ok(())
    }

    fn check(&self, at: &Vec<Mount>) -> Result<(), ValueError> {
        at.iter().try_for_each(|mount| {
            check::destination(&mount.destination)?;
            match &mount.kind {
                MountKind::Bind { source, .. } => check::real_host_path(source),
                MountKind::Tmpfs { size, inodes, .. } => {
                    units::within(*size, 1, units::MAX)?;
                    units::within(*inodes, 1, units::MAX)
                }
                _ => Ok(()),
            }
        })
    }

    fn write(&self, at: &Vec<Mount>) -> Written {
        Written::Tables(at.iter().map(written).collect())
    }
}

fn written(mount: &Mount) -> Vec<(&'static str, String)> {
    let mut keys = vec![("destination", quote_path(&mount.destination))];
    let mut options = Vec::new();
    let kind = match &mount.kind {
        MountKind::Bind { source, idmap } => {
            keys.push(("source", quote_path(source)));
            options.extend(idmap.then(|| "idmap".to_owned()));
            "bind"
        }
        MountKind::Tmpfs { size, inodes, mode } => {
            options.push(format!("size={}", units::show_size(*size)));
            options.push(format!("nr_inodes={inodes}"));
            options.push(format!("mode={mode:04o}"));
            "tmpfs"
        }
        MountKind::Proc { subset_pid } => {
            options.extend(subset_pid.then(|| "subset=pid".to_owned()));
            "proc"
        }
        MountKind::Dev => "dev",
        MountKind::Mqueue => "mqueue",
        MountKind::Filesystem { fstype, data } => {
            options.extend(data.iter().map(|(key, value)| match value {
                // Sizes are written with their unit.
                Some(value) if fstype == "tmpfs" && key == "size" => {
                    let size = value.parse().map_or_else(|_| value.clone(), units::show_size);
                    format!("{key}={size}")
                }
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            }));
            fstype
        }
        MountKind::Node { block, major, minor, mode, uid, gid } => {
            options.extend([format!("major={major}"), format!("minor={minor}")]);
            options.extend(mode.map(|mode| format!("mode={mode:04o}")));
            options.extend(uid.map(|uid| format!("uid={uid}")));
            options.extend(gid.map(|gid| format!("gid={gid}")));
            if *block { "b" } else { "c" }
        }
    };
    keys.push(("type", quote(kind)));
    let mut say = |option: &str| options.push(option.to_owned());
    let fixed = matches!(mount.kind, MountKind::Proc { .. } | MountKind::Dev | MountKind::Mqueue);
    if !fixed {
        say(if mount.readonly { "ro" } else { "rw" });
    }
    if !fixed && !matches!(mount.kind, MountKind::Node { .. }) {
        say(if mount.noexec { "noexec" } else { "exec" });
    }
    options.extend(mount.optional.then(|| "optional".to_owned()));
    options.extend(mount.system.then(|| "system".to_owned()));
    options.extend(mount.attributes.words().map(str::to_owned));
    keys.push(("options", list(options.iter().map(|option| quote(option)))));
    keys
}

fn mount(t: &Table<'_>) -> Result<(PathBuf, Option<Mount>), ProfileError> {
    let destination = t.read("destination", |v| {
        v.parse(|text| check::destination(text.as_ref()).map(|()| PathBuf::from(text)))
    })?;
    let kind = t.read("type", |v| v.parse(kind))?;
    let source = t.read("source", Value::host_path)?;
    let options = t.read("options", Options::read)?;
    let remove = t.read("remove", Value::boolean)?;
    let destination = t.need("destination", destination)?;
    if remove == Some(true) {
        return match (kind, source, options) {
            (None, None, None) => Ok((destination, None)),
            _ => Err(t.fail("remove", ValueError::NotWith { with: "type, source or options" })),
        };
    }
    let kind = kind.unwrap_or(Type::Bind);
    let options = options.unwrap_or_default();
    if source.is_some() && kind != Type::Bind {
        return Err(t.fail("source", ValueError::OnlyWith { with: "type \"bind\"" }));
    }
    let mount = build(destination.clone(), kind, source, &options);
    mount.map(|mount| (destination, Some(mount))).map_err(|error| t.fail("options", error))
}

fn build(
    destination: PathBuf,
    kind: Type,
    source: Option<PathBuf>,
    o: &Options,
) -> Result<Mount, ValueError> {
    fits(kind, o)?;
    let readonly = match kind {
        Type::Bind => o.readonly.ok_or(ValueError::BindAccess)?,
        _ => o.readonly.unwrap_or(false),
    };
    let noexec = match kind {
        Type::Node { .. } => true,
        Type::Bind | Type::Tmpfs => o.noexec.unwrap_or(false),
        _ => o.noexec.unwrap_or(true),
    };
    let attributes = o.attributes();
    let short = attributes == Attributes::default() && o.data.is_empty();
    let usual = short && !readonly && noexec && o.mode.is_none();
    let kind = match kind {
        Type::Bind => {
            let source = source.unwrap_or_else(|| destination.clone());
            MountKind::Bind { source, idmap: o.idmap }
        }
        Type::Tmpfs if short => MountKind::Tmpfs {
            size: o.size.unwrap_or(DEFAULT_SIZE),
            inodes: o.inodes.unwrap_or(DEFAULT_INODES),
            mode: o.mode.unwrap_or(DEFAULT_MODE),
        },
        Type::Proc if usual => MountKind::Proc { subset_pid: o.subset_pid },
        Type::Mqueue if usual => MountKind::Mqueue,
        Type::Dev => MountKind::Dev,
        Type::Node { block } => node(block, o)?,
        Type::Tmpfs => general("tmpfs", o),
        Type::Proc => general("proc", o),
        Type::Mqueue => general("mqueue", o),
        Type::Other(name) => general(name, o),
    };
    Ok(Mount { destination, kind, readonly, noexec, optional: o.optional, system: o.system, attributes })
}

/// Whether the options are some of this type's.
fn fits(kind: Type, o: &Options) -> Result<(), ValueError> {
    let (bind, tmpfs, dev) = (kind == Type::Bind, kind == Type::Tmpfs, kind == Type::Dev);
    let node = matches!(kind, Type::Node { .. });
    let attributes = o.attributes() != Attributes::default();
    let others = [
        (!bind && o.optional, "type \"bind\" (option optional)"),
        (!bind && o.system, "type \"bind\" (option system)"),
        (!bind && o.idmap, "type \"bind\" (option idmap)"),
        (!tmpfs && o.size.is_some(), "type \"tmpfs\" (option size=)"),
        (!tmpfs && o.inodes.is_some(), "type \"tmpfs\" (option nr_inodes=)"),
        ((bind || dev) && o.mode.is_some(), "a new file system or a device (option mode=)"),
        (kind != Type::Proc && o.subset_pid, "type \"proc\" (option subset=pid)"),
        // Its access is fixed.
        (dev && o.readonly.is_some(), "another type than \"dev\" (options ro and rw)"),
        (dev && o.noexec == Some(false), "another type than \"dev\" (option exec)"),
        ((dev || node) && attributes, "a bind or a new file system (access times and propagation)"),
    ];
    if let Some((_, with)) = others.into_iter().find(|(used, _)| *used) {
        return Err(ValueError::OnlyWith { with });
    }
    let name = match kind {
        // Its options are read as numbers.
        Type::Node { .. } => return Ok(()),
        Type::Bind | Type::Dev => {
            return o.data.first().map_or(Ok(()), |data| Err(unknown(data, "mount option", OPTIONS)));
        }
        Type::Tmpfs => "tmpfs",
        Type::Proc => "proc",
        Type::Mqueue => "mqueue",
        Type::Other(name) => name,
    };
    // Of another the plan says why it is not mounted.
    let Some(known) = filesystem_options(name) else { return Ok(()) };
    if o.mode.is_some() && !known.contains(&"mode=") {
        return Err(ValueError::OnlyWith {
            with: "type \"tmpfs\" or \"devpts\", or a device (option mode=)",
        });
    }
    let is_known = |(key, value): &&(String, Option<String>)| {
        let word = if value.is_some() { format!("{key}=") } else { key.clone() };
        known.contains(&word.as_str())
    };
    let what = match name {
        "tmpfs" => "option of a tmpfs",
        "proc" => "option of a proc",
        "sysfs" => "option of a sysfs",
        "cgroup2" => "option of a cgroup2",
        "devpts" => "option of a devpts",
        "mqueue" => "option of an mqueue",
        _ => "option of this file system",
    };
    match o.data.iter().find(|option| !is_known(option)) {
        Some(option) => Err(unknown(option, what, known.iter().copied())),
        None => Ok(()),
    }
}

fn unknown<'w>(
    (key, value): &(String, Option<String>),
    what: &'static str,
    known: impl IntoIterator<Item = &'w str>,
) -> ValueError {
    let text = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
    ValueError::unknown(&text, what, known)
}

/// The general form.
fn general(name: &str, o: &Options) -> MountKind {
    let mut data = Vec::new();
    let mut add = |key: &str, value: String| data.push((key.to_owned(), Some(value)));
    if name == "tmpfs" {
        add("size", o.size.unwrap_or(DEFAULT_SIZE).to_string());
        add("nr_inodes", o.inodes.unwrap_or(DEFAULT_INODES).to_string());
        add("mode", format!("{:04o}", o.mode.unwrap_or(DEFAULT_MODE)));
    } else if let Some(mode) = o.mode {
        add("mode", format!("{mode:04o}"));
    }
    if o.subset_pid {
        add("subset", "pid".to_owned());
    }
    data.extend(o.data.iter().cloned());
    MountKind::Filesystem { fstype: name.to_owned(), data }
}

/// A device by its number.
fn node(block: bool, o: &Options) -> Result<MountKind, ValueError> {
    const WHAT: &str = "device option (of a device are major=, minor=, mode=, uid=, gid=, ro and rw)";
    let (mut major, mut minor, mut uid, mut gid) = (None, None, None, None);
    for (key, value) in &o.data {
        let slot = match key.as_str() {
            "major" => &mut major,
            "minor" => &mut minor,
            "uid" => &mut uid,
            "gid" => &mut gid,
            _ => return Err(ValueError::unknown(key, WHAT, ["major", "minor", "uid", "gid"])),
        };
        let text = value.as_deref().unwrap_or_default();
        let number = text.parse::<u32>().map_err(|_| ValueError::Malformed {
            text: text.to_owned(),
            expected: "a number from 0 to 4294967295",
        })?;
        *slot = Some(number);
    }
    match (major, minor) {
        (Some(major), Some(minor)) => Ok(MountKind::Node { block, major, minor, mode: o.mode, uid, gid }),
        _ => Err(ValueError::Malformed {
            text: if block { "b" } else { "c" }.to_owned(),
            expected: "a device with its number (options major= and minor=)",
        }),
    }
}

fn kind(text: &str) -> Result<Type, ValueError> {
    let refused = |why| Err(ValueError::Refused { word: text.to_owned(), why });
    match text {
        "none" | "rbind" => refused("write type \"bind\", which always holds everything below"),
        "p" => refused("a FIFO is made by a program inside"),
        _ => {
            let short = [
                ("bind", Type::Bind),
                ("tmpfs", Type::Tmpfs),
                ("proc", Type::Proc),
                ("dev", Type::Dev),
                ("mqueue", Type::Mqueue),
                ("c", Type::Node { block: false }),
                ("u", Type::Node { block: false }),
                ("b", Type::Node { block: true }),
            ];
            let others = OTHERS.map(|name| (name, Type::Other(name)));
            let words: Vec<_> = short.into_iter().chain(others).collect();
            word(text, "mount type", &words)
        }
    }
}
