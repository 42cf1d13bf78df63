//! `mounts`: what is mounted inside, in the words of the OCI runtime-spec and mount(8).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layer::MountEntry;
use super::reader::{Table, Value, unknown, word};
use super::{Atime, Attributes, Mount, MountKind, ProfileError, Propagation, ValueError, check, units};

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

impl Type {
    /// The name of a new file system.
    fn filesystem(self) -> Option<&'static str> {
        match self {
            Self::Tmpfs => Some("tmpfs"),
            Self::Proc => Some("proc"),
            Self::Mqueue => Some("mqueue"),
            Self::Other(name) => Some(name),
            Self::Bind | Self::Dev | Self::Node { .. } => None,
        }
    }
}

/// File systems without a short form of their own. Which of them are possible the plan decides, and says why
/// not.
const OTHERS: [&str; 24] = [
    "sysfs",
    "cgroup2",
    "devpts",
    "binfmt_misc",
    "cgroup",
    "ramfs",
    "overlay",
    "fuse",
    "bpf",
    "devtmpfs",
    "debugfs",
    "tracefs",
    "securityfs",
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "vfat",
    "iso9660",
    "squashfs",
    "nfs",
    "9p",
    "virtiofs",
];

/// Options as they are collected; `None` is "not said".
#[derive(Debug, Default)]
struct Options {
    readonly: Option<bool>,
    noexec: Option<bool>,
    optional: bool,
    system: bool,
    idmap: bool,
    size: Option<u64>,
    inodes: Option<u64>,
    mode: Option<u32>,
    subset_pid: bool,
    atime: Option<Atime>,
    nodiratime: Option<bool>,
    nosymfollow: Option<bool>,
    propagation: Option<Propagation>,
    /// What only the file system knows.
    data: Vec<(String, Option<String>)>,
}

/// Words for access times. Without `noatime` and `strictatime` the kernel has `relatime`.
const ATIMES: [(&str, Atime); 6] = [
    ("relatime", Atime::Relatime),
    ("noatime", Atime::Noatime),
    ("strictatime", Atime::Strictatime),
    ("atime", Atime::Relatime),
    ("norelatime", Atime::Relatime),
    ("nostrictatime", Atime::Relatime),
];

/// Words for propagation: `rslave` is the same, as a bind always holds everything below.
const PROPAGATIONS: [(&str, Propagation); 6] = [
    ("rprivate", Propagation::Private),
    ("rslave", Propagation::Slave),
    ("runbindable", Propagation::Unbindable),
    ("private", Propagation::Private),
    ("slave", Propagation::Slave),
    ("unbindable", Propagation::Unbindable),
];

impl Attributes {
    /// The options that say it.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static str> {
        let atime = ATIMES.iter().find(|(_, atime)| Some(*atime) == self.atime).map(|(word, _)| *word);
        let propagation = PROPAGATIONS.iter().find(|(_, propagation)| {
            *propagation == self.propagation && self.propagation != Propagation::Private
        });
        atime
            .into_iter()
            .chain(self.nodiratime.then_some("nodiratime"))
            .chain(self.nosymfollow.then_some("nosymfollow"))
            .chain(propagation.map(|(word, _)| *word))
    }
}

const OPTIONS: [&str; 27] = [
    "ro",
    "rw",
    "exec",
    "noexec",
    "optional",
    "system",
    "idmap",
    "size=",
    "nr_inodes=",
    "mode=",
    "subset=pid",
    "nosuid",
    "nodev",
    "relatime",
    "noatime",
    "strictatime",
    "nodiratime",
    "nosymfollow",
    "rprivate",
    "rslave",
    "runbindable",
    "uid=",
    "gid=",
    "major=",
    "minor=",
    "bind",
    "rbind",
];

/// The whole list; a destination that is there twice is an error.
pub(crate) fn list(v: &Value<'_>) -> Result<BTreeMap<PathBuf, MountEntry>, ProfileError> {
    let mut all = BTreeMap::new();
    for entry in v.list()? {
        let (destination, mount) = entry.keys(mount)?;
        let place = entry.place();
        if all.insert(destination.clone(), MountEntry { mount, place }).is_some() {
            let entry_text = destination.to_string_lossy().into_owned();
            return Err(entry.fail(ValueError::Duplicate { entry: entry_text }));
        }
    }
    Ok(all)
}

fn mount(t: &Table<'_>) -> Result<(PathBuf, Option<Mount>), ProfileError> {
    let destination = t.read("destination", |v| v.parse(|text| check::destination(Path::new(text))))?;
    let kind = t.read("type", |v| v.parse(kind))?;
    let source = t.read("source", |v| v.parse(check::host_path))?;
    let options = t.read("options", options)?;
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
    let only =
        |used: bool, with: &'static str| if used { Err(ValueError::OnlyWith { with }) } else { Ok(()) };
    if kind != Type::Bind {
        only(o.optional, "type \"bind\" (option optional)")?;
        only(o.system, "type \"bind\" (option system)")?;
        only(o.idmap, "type \"bind\" (option idmap)")?;
    }
    if kind != Type::Tmpfs {
        only(o.size.is_some(), "type \"tmpfs\" (option size=)")?;
        only(o.inodes.is_some(), "type \"tmpfs\" (option nr_inodes=)")?;
    }
    if kind.filesystem().is_none() && !matches!(kind, Type::Node { .. }) {
        only(o.mode.is_some(), "a new file system or a device (option mode=)")?;
        if let Some((key, value)) = o.data.first() {
            let text = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
            return Err(unknown(&text, "mount option", OPTIONS));
        }
    }
    if kind != Type::Proc {
        only(o.subset_pid, "type \"proc\" (option subset=pid)")?;
    }
    let attributes = Attributes {
        atime: o.atime,
        nodiratime: o.nodiratime.unwrap_or(false),
        nosymfollow: o.nosymfollow.unwrap_or(false),
        propagation: o.propagation.unwrap_or_default(),
    };
    if kind == Type::Dev {
        // Its access is fixed.
        only(o.readonly.is_some(), "another type than \"dev\" (options ro and rw)")?;
        only(o.noexec == Some(false), "another type than \"dev\" (option exec)")?;
    }
    if matches!(kind, Type::Dev | Type::Node { .. }) {
        only(
            attributes != Attributes::default(),
            "a bind or a new file system (access times and propagation)",
        )?;
    }
    let short = attributes == Attributes::default() && o.data.is_empty();
    let changed = o.readonly == Some(true) || o.noexec == Some(false) || o.mode.is_some();
    let (kind, readonly, noexec) = match kind {
        Type::Tmpfs if !short => {
            (general("tmpfs", o), o.readonly.unwrap_or(false), o.noexec.unwrap_or(false))
        }
        Type::Proc | Type::Mqueue | Type::Other(_) if changed || !short || matches!(kind, Type::Other(_)) => {
            let name = kind.filesystem().unwrap_or_default();
            (general(name, o), o.readonly.unwrap_or(false), o.noexec.unwrap_or(true))
        }
        Type::Node { block } => (node(block, o)?, o.readonly.unwrap_or(false), true),
        Type::Bind => {
            let readonly = o.readonly.ok_or(ValueError::BindAccess)?;
            let source = source.unwrap_or_else(|| destination.clone());
            (MountKind::Bind { source, idmap: o.idmap }, readonly, o.noexec.unwrap_or(false))
        }
        Type::Tmpfs => {
            let kind = MountKind::Tmpfs {
                size: o.size.unwrap_or(DEFAULT_SIZE),
                inodes: o.inodes.unwrap_or(DEFAULT_INODES),
                mode: o.mode.unwrap_or(DEFAULT_MODE),
            };
            (kind, o.readonly.unwrap_or(false), o.noexec.unwrap_or(false))
        }
        Type::Proc => (MountKind::Proc { subset_pid: o.subset_pid }, false, true),
        Type::Dev => (MountKind::Dev, false, true),
        Type::Mqueue => (MountKind::Mqueue, false, true),
        // All of these are matched above.
        Type::Other(name) => (general(name, o), false, true),
    };
    Ok(Mount { destination, kind, readonly, noexec, optional: o.optional, system: o.system, attributes })
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
            _ => return Err(unknown(key, WHAT, ["major", "minor", "uid", "gid"])),
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

fn options(v: &Value<'_>) -> Result<Options, ProfileError> {
    let mut all = Options::default();
    for entry in v.list()? {
        entry.parse(|text| option(&mut all, text))?;
    }
    Ok(all)
}

fn option(all: &mut Options, text: &str) -> Result<(), ValueError> {
    let refused = |why| Err(ValueError::Refused { word: text.to_owned(), why });
    let duplicate = || ValueError::Duplicate { entry: text.to_owned() };
    fn once<T: PartialEq>(
        slot: &mut Option<T>,
        value: T,
        twice: impl Fn() -> ValueError,
    ) -> Result<(), ValueError> {
        match slot {
            None => {
                *slot = Some(value);
                Ok(())
            }
            Some(said) if *said == value => Err(twice()),
            Some(_) => Err(ValueError::NotWith { with: "an option that says otherwise" }),
        }
    }
    fn flag(slot: &mut bool, twice: impl Fn() -> ValueError) -> Result<(), ValueError> {
        if std::mem::replace(slot, true) { Err(twice()) } else { Ok(()) }
    }
    let known = |text| (ATIMES.iter().find(|(word, _)| *word == text)).map(|(_, atime)| *atime);
    if let Some(atime) = known(text).or_else(|| text.strip_prefix('r').and_then(known)) {
        return once(&mut all.atime, atime, duplicate);
    }
    if let Some((_, propagation)) = PROPAGATIONS.iter().find(|(word, _)| *word == text) {
        return once(&mut all.propagation, *propagation, duplicate);
    }
    // A bind's options hold for everything below in any case, and of the others there is one mount only.
    let plain = match text {
        "rro" | "rrw" | "rexec" | "rnoexec" | "rnosuid" | "rnodev" | "rsuid" | "rdev" | "rdiratime"
        | "rnodiratime" | "rsymfollow" | "rnosymfollow" => text.split_at(1).1,
        _ => text,
    };
    match plain {
        "nodiratime" => once(&mut all.nodiratime, true, duplicate),
        "diratime" => once(&mut all.nodiratime, false, duplicate),
        "nosymfollow" => once(&mut all.nosymfollow, true, duplicate),
        "symfollow" => once(&mut all.nosymfollow, false, duplicate),
        "shared" | "rshared" => refused("what is mounted inside would appear on the host"),
        // A bind is one.
        "bind" | "rbind" | "defaults" => Ok(()),
        "ro" => once(&mut all.readonly, true, duplicate),
        "rw" => once(&mut all.readonly, false, duplicate),
        "noexec" => once(&mut all.noexec, true, duplicate),
        "exec" => once(&mut all.noexec, false, duplicate),
        "optional" => flag(&mut all.optional, duplicate),
        "system" => flag(&mut all.system, duplicate),
        "idmap" => flag(&mut all.idmap, duplicate),
        "subset=pid" => flag(&mut all.subset_pid, duplicate),
        // They always hold.
        "nosuid" | "nodev" => Ok(()),
        "suid" => refused("no mount inside ever honours set-user-ID bits"),
        "dev" => refused("no mount inside ever honours device files; type \"dev\" brings the usual ones"),
        _ => match text.split_once('=') {
            Some(("size", size)) => once(&mut all.size, units::size(size)?, duplicate),
            Some(("nr_inodes", count)) => once(&mut all.inodes, units::count(count)?, duplicate),
            Some(("mode", mode)) => once(&mut all.mode, units::octal(mode, 0o7777)?, duplicate),
            _ => data(all, text),
        },
    }
}

/// An option that only the file system knows, unless it looks like one of ours that is mistyped.
fn data(all: &mut Options, text: &str) -> Result<(), ValueError> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    let word = if value.is_some() { format!("{key}=") } else { key.to_owned() };
    let known = OPTIONS.contains(&word.as_str());
    let similar = crate::text::nearest(&word, OPTIONS).is_some();
    if key.is_empty() || text.chars().any(char::is_control) || (similar && !known) {
        return Err(unknown(text, "mount option", OPTIONS));
    }
    if all.data.iter().any(|(other, _)| other == key) {
        return Err(ValueError::Duplicate { entry: key.to_owned() });
    }
    all.data.push((key.to_owned(), value));
    Ok(())
}
