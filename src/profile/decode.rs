//! From a TOML table to a [`Layer`]: the keys that a profile has, and what each of them takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::layer::{LandlockLayer, Layer, LimitsLayer, List, ProcessLayer, ResourcesLayer, RootLayer};
use super::reader::{Source, Table, Value, word};
use super::{
    Enforce, IdMap, IdRange, Namespace, ProfileError, Rlimit, Scope, Sockets, Symlinks, Throttle, Throttled,
    User, ValueError, Workdir,
};
use super::{check, filter, mounts, names, units};
use crate::capability::CapabilitySet;

pub(crate) const NAMESPACES: [(&str, Namespace); 8] = [
    ("user", Namespace::User),
    ("mount", Namespace::Mount),
    ("pid", Namespace::Pid),
    ("ipc", Namespace::Ipc),
    ("uts", Namespace::Uts),
    ("network", Namespace::Network),
    ("cgroup", Namespace::Cgroup),
    ("time", Namespace::Time),
];

pub(crate) const SCOPES: [(&str, Scope); 2] =
    [("signal", Scope::Signal), ("abstract-unix-socket", Scope::AbstractUnixSocket)];

pub(crate) const WORKDIRS: [(&str, Workdir); 3] =
    [("none", Workdir::None), ("readonly", Workdir::Readonly), ("writable", Workdir::Writable)];

pub(crate) const SYMLINKS: [(&str, Symlinks); 2] =
    [("system", Symlinks::System), ("follow", Symlinks::Follow)];

pub(crate) const SOCKETS: [(&str, Sockets); 3] =
    [("refuse", Sockets::Refuse), ("tell", Sockets::Tell), ("allow", Sockets::Allow)];

/// Whether it is chosen by belljar.
const ID_MAPS: [(&str, bool); 2] = [("auto", true), ("default", false)];

pub(crate) const THROTTLES: [(&str, Throttled); 4] = [
    ("throttleReadBpsDevice", Throttled::ReadBps),
    ("throttleWriteBpsDevice", Throttled::WriteBps),
    ("throttleReadIOPSDevice", Throttled::ReadIops),
    ("throttleWriteIOPSDevice", Throttled::WriteIops),
];

pub(crate) const ENFORCE: [(&str, Enforce); 2] = [("cgroup", Enforce::Cgroup), ("rlimit", Enforce::Rlimit)];

/// A whole text: the layer, and what it extends.
///
/// # Errors
/// Not TOML, or a key or value that no profile has.
pub(crate) fn text(source: &Source<'_>) -> Result<(Layer, Option<String>), ProfileError> {
    let document = toml::de::DeTable::parse(source.text).map_err(|error| source.syntax(error))?;
    let root = Table::root(source, document.get_ref());
    let extends = root.read("extends", |v| Ok(v.string()?.to_owned()))?;
    let layer = layer(&root)?;
    root.done()?;
    Ok((layer, extends))
}

/// Everything but `extends`.
pub(crate) fn layer(t: &Table<'_>) -> Result<Layer, ProfileError> {
    let (list_of_new, joined) = t
        .read("namespaces", namespaces)?
        .map_or((None, BTreeMap::new()), |(new, joined)| (Some(new), joined));
    Ok(Layer {
        description: t.read("description", |v| v.parse(|text| check::line(text).map(str::to_owned)))?,
        hostname: t.read("hostname", |v| {
            v.parse(|text| if text.is_empty() { Ok(None) } else { check::hostname(text).map(Some) })
        })?,
        workdir: t.read("workdir", |v| v.parse(|text| word(text, "workdir mode", &WORKDIRS)))?,
        symlinks: t.read("symlinks", |v| v.parse(|text| word(text, "symlinks mode", &SYMLINKS)))?,
        sockets: t.read("sockets", |v| v.parse(|text| word(text, "sockets mode", &SOCKETS)))?,
        namespaces: list_of_new,
        joined,
        uid_mappings: t.read("uidMappings", id_map)?,
        gid_mappings: t.read("gidMappings", id_map)?,
        root: t.read("root", |v| v.keys(root))?.unwrap_or_default(),
        process: t.read("process", |v| v.keys(process))?.unwrap_or_default(),
        mounts: t.read("mounts", mounts::list)?.unwrap_or_default(),
        masked_paths: t.read("maskedPaths", |v| list(v, check::inside))?,
        readonly_paths: t.read("readonlyPaths", |v| list(v, check::inside))?,
        seccomp: t.read("seccomp", |v| v.keys(filter::layer))?.unwrap_or_default(),
        landlock: t.read("landlock", |v| v.keys(landlock))?.unwrap_or_default(),
        limits: t.read("limits", |v| v.keys(limits))?.unwrap_or_default(),
        resources: t.read("resources", |v| v.keys(resources))?.unwrap_or_default(),
    })
}

/// `auto`, `default`, or a list of `{ containerID, hostID, size }`.
fn id_map(v: &Value<'_>) -> Result<IdMap, ProfileError> {
    if v.is_list() {
        let ranges = v.each(|entry| {
            entry.keys(|t| {
                let id = |v: &Value<'_>| v.number(units::id_in_range);
                let (inside, outside) = (t.read("containerID", id)?, t.read("hostID", id)?);
                let count = t.read("size", |v| v.number(units::id_count))?;
                Ok(IdRange {
                    inside: t.need("containerID", inside)?,
                    outside: t.need("hostID", outside)?,
                    count: t.need("size", count)?,
                })
            })
        })?;
        return Ok(IdMap::Ranges(ranges));
    }
    v.parse(|text| word(text, "id map", &ID_MAPS)).map(|auto| if auto { IdMap::Auto } else { IdMap::One })
}

fn root(t: &Table<'_>) -> Result<RootLayer, ProfileError> {
    Ok(RootLayer {
        path: t.read("path", |v| v.parse(check::host_path))?,
        path_required: t.read("pathRequired", Value::boolean)?,
        readonly: t.read("readonly", Value::boolean)?,
        overlay: t.read("overlay", Value::boolean)?,
        size: t.read("size", |v| v.number(units::size))?,
        inodes: t.read("inodes", |v| v.number(units::count))?,
        synthetic_etc: t.read("etc", |v| {
            v.parse(|text| word(text, "way to make /etc", &[("synthetic", true), ("none", false)]))
        })?,
        etc_programs: t
            .read("etcPrograms", |v| list(v, |text| check::program_name(text).map(str::to_owned)))?,
    })
}

fn process(t: &Table<'_>) -> Result<ProcessLayer, ProfileError> {
    Ok(ProcessLayer {
        cwd: t.read("cwd", |v| v.parse(check::cwd))?,
        env: t.read("env", environment)?.unwrap_or_default(),
        user: t.read("user", |v| {
            if v.is_table() {
                v.keys(user).map(Some)
            } else {
                v.number(|text| if text == "default" { Ok(None) } else { units::user(text).map(Some) })
            }
        })?,
        capabilities: t
            .read("capabilities", |v| list(v, |text| names::capability(text).map(CapabilitySet::from)))?,
        no_new_privileges: t.read("noNewPrivileges", Value::boolean)?,
        umask: t.read("umask", |v| v.octal(0o777))?,
        rlimits: t.read("rlimits", rlimits)?.unwrap_or_default(),
    })
}

fn environment(v: &Value<'_>) -> Result<BTreeMap<String, String>, ProfileError> {
    let mut all = BTreeMap::new();
    for entry in v.list()? {
        let (name, text) = entry.parse(|text| Ok((check::variable(text)?.to_owned(), text.to_owned())))?;
        if all.insert(name.clone(), text).is_some() {
            return Err(entry.fail(ValueError::Duplicate { entry: name }));
        }
    }
    Ok(all)
}

fn user(t: &Table<'_>) -> Result<User, ProfileError> {
    let id = |v: &Value<'_>| v.number(|text| units::user(text).map(|user| user.uid));
    let (uid, gid) = (t.read("uid", id)?, t.read("gid", id)?);
    let uid = t.need("uid", uid)?;
    Ok(User { uid, gid: gid.unwrap_or(uid) })
}

fn rlimits(v: &Value<'_>) -> Result<BTreeMap<String, Rlimit>, ProfileError> {
    let mut all = BTreeMap::new();
    for (name, value) in v.table()?.entries() {
        let name = names::rlimit(name).map_err(|error| value.fail(error))?;
        let limit = if value.is_table() {
            value.keys(|t| {
                let number = |v: &Value<'_>| v.number(units::rlimit);
                let (soft, hard) = (t.read("soft", number)?, t.read("hard", number)?);
                Ok(Rlimit { soft: t.need("soft", soft)?, hard: t.need("hard", hard)? })
            })?
        } else {
            let both = value.number(units::rlimit)?;
            Rlimit { soft: both, hard: both }
        };
        check::rlimit(limit).map_err(|error| value.fail(error))?;
        if all.insert(name.to_owned(), limit).is_some() {
            return Err(value.fail(ValueError::Duplicate { entry: name.to_owned() }));
        }
    }
    Ok(all)
}

fn landlock(t: &Table<'_>) -> Result<LandlockLayer, ProfileError> {
    Ok(LandlockLayer {
        require: t.read("mode", |v| {
            v.parse(|text| word(text, "Landlock mode", &[("require", true), ("off", false)]))
        })?,
        scopes: t.read("scopes", |v| list(v, |text| word(text, "Landlock scope", &SCOPES)))?,
    })
}

fn limits(t: &Table<'_>) -> Result<LimitsLayer, ProfileError> {
    Ok(LimitsLayer {
        timeout: t.read("timeout", |v| v.number(|text| units::limit(text, check::timeout)))?,
        cpu_time: t.read("cpuTime", |v| v.number(|text| units::limit(text, check::cpu_time)))?,
        output: t.read("output", |v| v.number(|text| units::limit(text, units::output)))?,
        file_size: t.read("fileSize", |v| v.number(|text| units::limit(text, units::size)))?,
    })
}

fn resources(t: &Table<'_>) -> Result<ResourcesLayer, ProfileError> {
    let mut layer = ResourcesLayer::default();
    if let Some(memory) = t.get("memory") {
        (layer.memory, layer.swap) = memory.keys(|t| {
            Ok((
                t.read("limit", |v| v.number(|text| units::limit(text, units::size)))?,
                t.read("swap", |v| v.number(|text| unless("none", text, units::size)))?,
            ))
        })?;
    }
    let pids = t.read("pids", |v| {
        v.keys(|t| t.read("limit", |v| v.number(|text| units::limit(text, units::count))))
    })?;
    layer.pids = pids.flatten();
    if let Some(cpu) = t.get("cpu") {
        cpu.keys(|t| {
            layer.quota = t.read("quota", |v| v.number(|text| units::limit(text, units::duration)))?;
            layer.period = t.read("period", |v| v.number(check::cpu_period))?;
            layer.shares =
                t.read("shares", |v| v.number(|text| unless("default", text, check::cpu_shares)))?;
            layer.cpu_time = t.read("time", |v| v.number(|text| units::limit(text, check::timeout)))?;
            Ok(())
        })?;
    }
    if let Some(io) = t.get("blockIO") {
        io.keys(|t| {
            layer.io_weight =
                t.read("weight", |v| v.number(|text| unless("default", text, check::io_weight)))?;
            for (key, kind) in THROTTLES {
                if let Some(all) = t.read(key, |v| throttles(v, kind))? {
                    layer.throttles.insert(kind, all);
                }
            }
            Ok(())
        })?;
    }
    layer.cgroup_parent = t.read("cgroupParent", |v| v.parse(|text| unless("own", text, check::inside)))?;
    layer.enforce = t.read("enforce", |v| v.parse(|text| word(text, "way to enforce limits", &ENFORCE)))?;
    Ok(layer)
}

/// `{ path, rate }`, each path once.
fn throttles(v: &Value<'_>, kind: Throttled) -> Result<Vec<Throttle>, ProfileError> {
    let mut all: Vec<Throttle> = Vec::new();
    for entry in v.list()? {
        let throttle = entry.keys(|t| {
            let path = t.read("path", |v| v.parse(check::inside))?;
            let rate = t.read("rate", |v| v.number(|text| units::rate(text, kind)))?;
            Ok(Throttle { path: t.need("path", path)?, kind, rate: t.need("rate", rate)? })
        })?;
        if all.iter().any(|other| other.path == throttle.path) {
            let path = throttle.path.to_string_lossy().into_owned();
            return Err(entry.fail(ValueError::Duplicate { entry: path }));
        }
        all.push(throttle);
    }
    Ok(all)
}

/// A value, or the word for none.
fn unless<T>(
    none: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Result<Option<T>, ValueError> {
    if text == none { Ok(None) } else { parse(text).map(Some) }
}

/// A list without order whose entries replace the inherited ones or, where all start with `+` or `-`, edit
/// them.
fn list<T: Ord>(
    v: &Value<'_>,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<List<T>, ProfileError> {
    list_of(v, v.list()?, parse)
}

/// Words for new ones, and tables with a `type` and a `path` for those that are joined.
fn namespaces(v: &Value<'_>) -> Result<(List<Namespace>, BTreeMap<Namespace, PathBuf>), ProfileError> {
    let (tables, words): (Vec<_>, Vec<_>) = v.list()?.into_iter().partition(Value::is_table);
    let list = list_of(v, words, |text| word(text, "namespace", &NAMESPACES))?;
    let mut joined = BTreeMap::new();
    for entry in tables {
        let (namespace, path) = entry.keys(|t| {
            let namespace = t.read("type", |v| v.parse(|text| word(text, "namespace", &NAMESPACES)))?;
            let path = t.read("path", |v| v.parse(check::inside))?;
            Ok((t.need("type", namespace)?, t.need("path", path)?))
        })?;
        let own = match &list {
            List::Replace(new) | List::Edit { add: new, .. } => new.contains(&namespace),
        };
        if joined.insert(namespace, path).is_some() || own {
            let entry_text = super::validate::namespace_name(namespace).to_owned();
            return Err(entry.fail(ValueError::Duplicate { entry: entry_text }));
        }
    }
    Ok((list, joined))
}

fn list_of<T: Ord>(
    v: &Value<'_>,
    entries: Vec<Value<'_>>,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<List<T>, ProfileError> {
    let (mut plain, mut add, mut remove) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut seen = BTreeSet::new();
    for entry in entries {
        let text = entry.string()?;
        let (to, bare) = match text.split_at_checked(1) {
            Some(("+", rest)) => (&mut add, rest),
            Some(("-", rest)) => (&mut remove, rest),
            _ => (&mut plain, text),
        };
        to.insert(parse(bare).map_err(|error| entry.fail(error))?);
        if !seen.insert(bare) {
            return Err(entry.fail(ValueError::Duplicate { entry: bare.to_owned() }));
        }
    }
    match (plain.is_empty(), add.is_empty() && remove.is_empty()) {
        (_, true) => Ok(List::Replace(plain)),
        (true, false) => Ok(List::Edit { add, remove }),
        (false, false) => Err(v.fail(ValueError::MixedEdit)),
    }
}
