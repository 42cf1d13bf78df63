//! The options of a mount, in the words of mount(8) and of the OCI runtime-spec.

use super::reader::Value;
use super::value_error::ValueError;
use super::{Atime, Attributes, ProfileError, Propagation, units};

/// Options as they are collected; `None` is "not said".
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) readonly: Option<bool>,
    pub(super) noexec: Option<bool>,
    pub(super) optional: bool,
    pub(super) system: bool,
    pub(super) idmap: bool,
    pub(super) size: Option<u64>,
    pub(super) inodes: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) subset_pid: bool,
    atime: Option<Atime>,
    nodiratime: Option<bool>,
    nosymfollow: Option<bool>,
    propagation: Option<Propagation>,
    /// What only the file system knows.
    pub(super) data: Vec<(String, Option<String>)>,
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

/// The options that only the file system knows: of those that a user namespace can mount, what it may say.
#[rustfmt::skip] // Lists of words.
const FILESYSTEMS: [(&str, &[&str]); 7] = [
    ("tmpfs", &["size=", "nr_inodes=", "mode=", "uid=", "gid=", "huge=", "mpol=", "inode32", "inode64"]),
    ("proc", &["subset=pid", "hidepid=", "gid="]),
    ("sysfs", &[]),
    ("cgroup2", &[
        "nsdelegate", "favordynmods", "memory_localevents", "memory_recursiveprot",
        "memory_hugetlb_accounting", "pids_localevents",
    ]),
    ("devpts", &["newinstance", "ptmxmode=", "mode=", "uid=", "gid=", "max="]),
    ("mqueue", &[]),
    ("binfmt_misc", &[]),
];

/// The options that only a file system of this type knows; `None` for one that is never mounted.
pub(crate) fn filesystem_options(fstype: &str) -> Option<&'static [&'static str]> {
    FILESYSTEMS.iter().find(|(name, _)| *name == fstype).map(|(_, words)| *words)
}

#[rustfmt::skip] // A list of words.
pub(super) const OPTIONS: [&str; 27] = [
    "ro", "rw", "exec", "noexec", "optional", "system", "idmap", "size=", "nr_inodes=", "mode=", "subset=pid",
    "nosuid", "nodev", "relatime", "noatime", "strictatime", "nodiratime", "nosymfollow", "rprivate", "rslave",
    "runbindable", "uid=", "gid=", "major=", "minor=", "bind", "rbind",
];

impl Options {
    pub(super) fn read(v: &Value<'_>) -> Result<Self, ProfileError> {
        let mut all = Self::default();
        for entry in v.list()? {
            entry.parse(|text| option(&mut all, text))?;
        }
        Ok(all)
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes {
            atime: self.atime,
            nodiratime: self.nodiratime.unwrap_or(false),
            nosymfollow: self.nosymfollow.unwrap_or(false),
            propagation: self.propagation.unwrap_or_default(),
        }
    }
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
    let words = || OPTIONS.into_iter().chain(FILESYSTEMS.iter().flat_map(|(_, words)| *words).copied());
    let known = words().any(|known| known == word);
    let similar = crate::text::nearest(&word, words()).is_some();
    if key.is_empty() || text.chars().any(char::is_control) || (similar && !known) {
        return Err(ValueError::unknown(text, "mount option", words()));
    }
    if all.data.iter().any(|(other, _)| other == key) {
        return Err(ValueError::Duplicate { entry: key.to_owned() });
    }
    all.data.push((key.to_owned(), value));
    Ok(())
}
