//! `mounts`: what is mounted inside, in the words of the OCI runtime-spec and mount(8).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layer::MountEntry;
use super::reader::{Table, Value, unknown, word};
use super::{Mount, MountKind, ProfileError, ValueError, check, units};

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
}

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
}

const OPTIONS: [&str; 13] = [
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
        only(o.mode.is_some(), "type \"tmpfs\" (option mode=)")?;
    }
    if kind != Type::Proc {
        only(o.subset_pid, "type \"proc\" (option subset=pid)")?;
    }
    if !matches!(kind, Type::Bind | Type::Tmpfs) {
        // Their access is fixed: proc is writable where the kernel checks each write, dev and mqueue hold no programs.
        only(o.readonly.is_some(), "type \"bind\" or \"tmpfs\" (options ro and rw)")?;
        only(o.noexec == Some(false), "type \"bind\" or \"tmpfs\" (option exec)")?;
    }
    let (kind, readonly, noexec) = match kind {
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
    };
    Ok(Mount { destination, kind, readonly, noexec, optional: o.optional, system: o.system })
}

fn kind(text: &str) -> Result<Type, ValueError> {
    let refused = |why| Err(ValueError::Refused { word: text.to_owned(), why });
    match text {
        "sysfs" => refused("/sys shows the host's devices and kernel"),
        "cgroup" | "cgroup2" => refused("the host's control groups are not shown inside"),
        "devpts" => refused("type \"dev\" brings a devpts of its own"),
        "none" | "rbind" => refused("write type \"bind\", which always holds everything below"),
        _ => word(
            text,
            "mount type",
            &[
                ("bind", Type::Bind),
                ("tmpfs", Type::Tmpfs),
                ("proc", Type::Proc),
                ("dev", Type::Dev),
                ("mqueue", Type::Mqueue),
            ],
        ),
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
    match text {
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
            _ => Err(unknown(text, "mount option", OPTIONS)),
        },
    }
}
