//! Everything that is asked to be in the root, gathered from the profile, the call and the host.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::host::plain::{PlainPath, PlainPathBuf};
use crate::host::{Facts, FileKind, Files};
use crate::plan::configuration::directories;
use crate::plan::dev::dev;
use crate::plan::etc::{Setting, etc, localtime};
use crate::plan::filesystem::filesystem;
use crate::plan::item::Item;
use crate::plan::landlock::Rules;
use crate::plan::mount_points::Directory;
use crate::plan::node::node;
use crate::plan::place::{Candidate, Rank, place};
use crate::plan::places::Places;
use crate::plan::sockets::Look;
use crate::plan::source::{
    LeftOut, Located, Sought, Wanted, absolute, can_be_mapped, locate, only_system_links, via,
};
use crate::plan::text::{c_path, normal};
use crate::plan::view::{Found, RootBase, View};
use crate::plan::walls::{Mark, Standing};
use crate::plan::{
    Base, Call, DestinationProblem, HostIdentity, Mapped, Node, Note, PlanError, Root, Source, Tmpfs, Via,
};
use crate::profile::{Attributes, Mount, MountKind, Namespace, Profile, Propagation, Symlinks, Workdir};

use crate::sys::mount::ATTR_RDONLY;

/// More mounts than any profile has; each costs init two system calls or more.
const MAX_MOUNTS: usize = 512;

/// The root, and what it looks like from inside.
#[derive(Debug)]
pub(crate) struct Built {
    pub root: Root,
    pub root_base: RootBase,
    pub items: Places<Item>,
    pub masked: Vec<PlainPathBuf>,
    pub marks: Vec<Mark>,
}

impl Built {
    pub fn view<'a>(&'a self, files: &'a dyn Files) -> View<'a> {
        View { files, root_base: &self.root_base, items: &self.items, masked: &self.masked, except: None }
    }
}

impl Built {
    /// Whether what is read-only is so for every kind of file.
    pub fn hold(&self, profile: &Profile, files: &dyn Files, rules: &Rules) -> Result<(), PlanError> {
        // No pins and no absent marks are looked for here.
        let standing = Standing { files, root_base: &self.root_base, items: &self.items, root_shared: false };
        let rules = profile.landlock.require.then_some(rules);
        let root_readonly = profile.root.readonly && matches!(self.root.base, Base::Directory(_));
        standing.hold(rules, &self.marks, root_readonly)
    }
}

/// Builds the root.
pub(crate) fn build(
    profile: &Profile,
    facts: &Facts,
    files: &dyn Files,
    setting: &Setting<'_>,
    call: &Call,
    workdir: Option<&Path>,
    notes: &mut Vec<Note>,
) -> Result<Built, PlanError> {
    let host = &setting.identity.host;
    let (base, root_base) = base(profile, host, facts, files)?;
    let mut candidates = Vec::new();
    if profile.root.synthetic_etc && profile.root.path.is_none() {
        for (asked, item) in etc(setting, files, notes)? {
            candidates.push(Candidate { asked: asked.into(), item, rank: Rank::Synthetic, link: None });
        }
    }
    let wanted = wanted(profile, workdir)?;
    if profile.root.synthetic_etc && profile.root.path.is_none() {
        candidates.extend(programs(profile, &wanted, host, facts, files, notes)?);
    }
    let mut left_out = Vec::new();
    let look = Look::new(profile, facts, &call.caller_env, files);
    for (destination, mount) in wanted.iter() {
        let new = candidate(profile, destination.path(), mount, host, facts, files, &mut left_out)?;
        if let Some(look) = look.as_ref().filter(|_| !mount.system) {
            for bind in new.iter().filter_map(|candidate| candidate.item.directory()) {
                look.at(bind, destination.path(), notes)?;
            }
        }
        candidates.extend(new);
    }
    if let (Some(look), RootBase::Directory { path, .. }) = (&look, &root_base) {
        look.at(path, Path::new("/"), notes)?;
    }
    let mut items = place(&candidates, &root_base, files)?;
    if profile.root.synthetic_etc && profile.root.path.is_none() {
        add_localtime(&mut candidates, &mut items, &root_base, files)?;
    }
    let masked = paths("masked_paths", &profile.masked_paths)?;
    let readonly = paths("readonly_paths", &profile.readonly_paths)?;
    contradictions(&items, &candidates, &masked, &readonly)?;
    let base = match &root_base {
        RootBase::Directory { path, owner } => {
            let directory = Directory { path, owner: *owner, identity: host, files };
            directory.settle(base, profile.root.readonly, upper(profile), &mut items)?
        }
        RootBase::Tmpfs => base,
    };
    let root_shared = matches!(base, Base::Directory(_)) && !profile.root.readonly;
    let standing = Standing { files, root_base: &root_base, items: &items, root_shared };
    for missing in left_out {
        if standing.task_could_make(&missing)? {
            return Err(missing.refuse());
        }
        notes.push(missing.note());
    }
    let marks = standing.marks(&masked, &readonly)?;
    let nodes = nodes(&items, &standing.pins(&marks), &marks)?;
    Ok(Built { root: Root { base, readonly: profile.root.readonly, nodes }, root_base, items, masked, marks })
}

/// In the order in which init makes them: pins among the mounts by path, marks over everything.
fn nodes(items: &Places<Item>, pins: &[PlainPathBuf], marks: &[Mark]) -> Result<Vec<Node>, PlanError> {
    let mut nodes = Vec::new();
    let mut pins = pins.iter().peekable();
    for (path, item) in items.iter() {
        while let Some(pin) = pins.next_if(|pin| pin.plain() < path) {
            nodes.push(Node::Pin { path: c_path(pin.path())? });
        }
        nodes.push(item.node(path.path())?);
    }
    for pin in pins {
        nodes.push(Node::Pin { path: c_path(pin.path())? });
    }
    for mark in marks {
        nodes.push(mark.node()?);
    }
    Ok(nodes)
}

/// The mounts by destination: the last one for each. Sorted by path, so that the order of the list plays no
/// part.
fn wanted<'a>(profile: &'a Profile, shown: Option<&Path>) -> Result<Places<Cow<'a, Mount>>, PlanError> {
    let mut wanted = Places::new();
    for mount in &profile.mounts {
        let path = normal(&mount.destination)
            .map(PlainPathBuf::from)
            .and_then(|path| if path.plain().is_root() { Err(DestinationProblem::Root) } else { Ok(path) })
            .map_err(|problem| PlanError::Destination { path: mount.destination.clone(), problem })?;
        wanted.insert(path, Cow::Borrowed(mount));
    }
    if let Some(mount) = workdir(profile, shown)? {
        let path = PlainPathBuf::from(mount.destination.clone());
        let there = wanted.get_or_insert(path.plain(), Cow::Owned(mount.clone()));
        // What the profile binds there on purpose stays; an empty file system gives way to the caller's
        // files.
        if !matches!(there.kind, MountKind::Bind { .. }) {
            *there = Cow::Owned(mount);
        }
    }
    let count = wanted.values().count();
    if count > MAX_MOUNTS {
        return Err(PlanError::TooMany { what: "mounts", count, limit: MAX_MOUNTS });
    }
    Ok(wanted)
}

/// The directories of installed programs in `/etc`, but for those that a mount is asked for in: its mount
/// point need not be there.
fn programs(
    profile: &Profile,
    wanted: &Places<Cow<'_, Mount>>,
    host: &HostIdentity,
    facts: &Facts,
    files: &dyn Files,
    notes: &mut Vec<Note>,
) -> Result<Vec<Candidate>, PlanError> {
    let mut candidates = Vec::new();
    for path in directories(&profile.root.etc_programs, files, notes)? {
        let asked = PlainPathBuf::from(path.clone());
        if wanted.iter().any(|(destination, _)| destination.is_in(asked.plain())) {
            continue;
        }
        // Nothing is executed there: what a directory has of scripts, an interpreter reads.
        let (source, destination) = (path.as_path(), path.as_path());
        let bind = Wanted {
            source,
            destination,
            readonly: true,
            noexec: true,
            attributes: Attributes::default(),
            idmap: false,
            optional: true,
            system: false,
            symlinks: Symlinks::System,
        };
        if let Sought::Found(Located { item, .. }) = locate(bind, host, facts, files)? {
            candidates.push(Candidate { asked, item, rank: Rank::Synthetic, link: None });
        }
    }
    Ok(candidates)
}

/// The working directory that is shown, as a mount.
pub(crate) fn workdir(profile: &Profile, shown: Option<&Path>) -> Result<Option<Mount>, PlanError> {
    let Some(path) = shown else { return Ok(None) };
    let destination =
        normal(path).map_err(|problem| PlanError::Destination { path: path.to_owned(), problem })?;
    let kind = MountKind::Bind { source: path.to_owned(), idmap: true };
    let readonly = profile.workdir == Workdir::Readonly;
    let attributes = Attributes::default();
    Ok(Some(Mount { destination, kind, readonly, noexec: false, optional: false, system: false, attributes }))
}

/// What a mount puts where.
fn candidate(
    profile: &Profile,
    destination: &Path,
    mount: &Mount,
    host: &HostIdentity,
    facts: &Facts,
    files: &dyn Files,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Candidate>, PlanError> {
    let needs = |namespace, key: &str| {
        if profile.namespaces.contains(&namespace) {
            return Ok(());
        }
        let reason = "it needs a namespace of its own";
        Err(PlanError::Unenforceable {
            key: key.to_owned(),
            reason,
            hint: "add the namespace to the profile",
        })
    };
    let asked = destination.to_owned();
    let (item, link) = match &mount.kind {
        MountKind::Bind { source, idmap } => {
            let Mount { readonly, noexec, optional, system, attributes, .. } = *mount;
            let symlinks = profile.symlinks;
            let idmap = *idmap;
            let wanted = Wanted {
                source,
                destination,
                readonly,
                noexec,
                attributes,
                idmap,
                optional,
                system,
                symlinks,
            };
            slave_holds(profile, mount)?;
            match locate(wanted, host, facts, files)? {
                Sought::Found(Located { item: Item::Device { readonly: true, .. }, .. })
                    if !profile.landlock.require =>
                {
                    let reason = "only Landlock can make a device read-only, and it is off";
                    let (key, hint) = (format!("a read-only {destination:?}"), "require Landlock");
                    return Err(PlanError::Unenforceable { key, reason, hint });
                }
                Sought::Found(Located { item, link }) => (item, link),
                Sought::Missing(missing) => {
                    left_out.push(missing);
                    return Ok(Vec::new());
                }
            }
        }
        // The short forms have no attributes but these.
        MountKind::Tmpfs { size, inodes, mode } if mount.attributes != Attributes::default() => {
            let data = [
                ("size", size.to_string()),
                ("nr_inodes", inodes.to_string()),
                ("mode", format!("{mode:o}")),
            ];
            let data = data.map(|(key, value)| (key.to_owned(), Some(value)));
            (filesystem(profile, mount, "tmpfs", &data, facts)?, None)
        }
        MountKind::Proc { .. } | MountKind::Mqueue | MountKind::Dev | MountKind::Node { .. }
            if mount.attributes != Attributes::default() =>
        {
            return Err(PlanError::Unenforceable {
                key: format!("access times or propagation of {destination:?}"),
                reason: "this form of a mount has none",
                hint: "give its type as a file system's (MountKind::Filesystem), or leave them out",
            });
        }
        MountKind::Filesystem { fstype, data } => (filesystem(profile, mount, fstype, data, facts)?, None),
        MountKind::Node { .. } => (node(mount, files)?, None),
        MountKind::Tmpfs { size, inodes, mode } => {
            let limits = Tmpfs { size: *size, inodes: *inodes, mode: *mode };
            (Item::Tmpfs { limits, noexec: mount.noexec, readonly: mount.readonly }, None)
        }
        MountKind::Proc { subset_pid } => (Item::Proc { subset_pid: *subset_pid }, None),
        MountKind::Mqueue => {
            needs(Namespace::Ipc, "a mount of message queues")?;
            (Item::Mqueue, None)
        }
        MountKind::Dev if destination != Path::new("/dev") => {
            return Err(PlanError::Destination { path: asked, problem: DestinationProblem::Dev });
        }
        MountKind::Dev => {
            let items = dev(profile.root.path.is_some(), files)?;
            return Ok(items
                .into_iter()
                .map(|(asked, item)| Candidate { asked: asked.into(), item, rank: Rank::Device, link: None })
                .collect());
        }
    };
    Ok(vec![Candidate { asked: asked.into(), item, rank: Rank::Mount, link }])
}

/// What the host mounts below a slave later has the host's attributes: only Landlock, which holds a path with
/// everything below, keeps that from being written to or executed.
fn slave_holds(profile: &Profile, mount: &Mount) -> Result<(), PlanError> {
    let slave = mount.attributes.propagation == Propagation::Slave;
    if slave && (mount.readonly || mount.noexec) && !profile.landlock.require {
        return Err(PlanError::Unenforceable {
            key: format!("\"ro\" or \"noexec\" of {:?} with \"rslave\"", mount.destination),
            reason: "only Landlock keeps them for what the host mounts there later, and it is off",
            hint: "require Landlock, or leave \"rslave\" out",
        });
    }
    Ok(())
}

/// What is written to the root, where the host does not see it.
fn upper(profile: &Profile) -> Tmpfs {
    Tmpfs { size: profile.root.size, inodes: profile.root.inodes, mode: 0o755 }
}

/// The root itself.
fn base(
    profile: &Profile,
    host: &HostIdentity,
    facts: &Facts,
    files: &dyn Files,
) -> Result<(Base, RootBase), PlanError> {
    let tmpfs = upper(profile);
    let Some(asked) = &profile.root.path else {
        if profile.root.path_required {
            return Err(PlanError::NoRoot);
        }
        if profile.root.overlay {
            let hint = "give a root directory with --rootfs, or leave the overlay out: the minimal root is thrown away anyway";
            let reason = "there is no root directory to lay it over";
            return Err(PlanError::Unenforceable { key: "root.overlay".to_owned(), reason, hint });
        }
        return Ok((Base::Tmpfs(tmpfs), RootBase::Tmpfs));
    };
    let asked = absolute(asked, facts)?;
    let wrong = |problem| PlanError::Root { path: asked.clone(), problem };
    let followed = files.follow(&asked).map_err(|source| PlanError::Read { path: asked.clone(), source })?;
    if followed.through_proc {
        return Err(wrong("it leads through the host's /proc"));
    }
    if profile.symlinks == Symlinks::System {
        only_system_links(&followed, Path::new("/"), files)?;
    }
    let path = followed.path;
    if path == Path::new("/") {
        return Err(wrong("it is the host's own root"));
    }
    let read = |source| PlanError::Read { path: path.clone(), source };
    let stat = files.lstat(&path).map_err(read)?;
    if stat.kind != FileKind::Directory {
        return Err(wrong("it is not a directory"));
    }
    let via = via(host, Some(Mapped::All).filter(|_| host.has_ranges()), true, &path, &stat, files)
        .map_err(read)?;
    can_be_mapped(via, &path, files)?;
    let owner = match via {
        Via::Tree { idmap } => idmap,
        Via::Path => None,
    };
    let source = Source {
        path: c_path(&path)?,
        device: stat.device,
        inode: stat.inode,
        directory: true,
        slave: false,
        via,
    };
    let base = if profile.root.overlay {
        Base::Overlay { lower: source, upper: tmpfs }
    } else {
        Base::Directory(source)
    };
    Ok((base, RootBase::Directory { path, owner }))
}

/// `/etc/localtime` depends on whether the host's time zones are visible.
fn add_localtime(
    candidates: &mut Vec<Candidate>,
    items: &mut Places<Item>,
    root_base: &RootBase,
    files: &dyn Files,
) -> Result<(), PlanError> {
    let path = PlainPath::LOCALTIME;
    let view = View { files, root_base, items, masked: &[], except: None };
    // A mount over it, or over all of /etc, is what the profile wants there.
    if !matches!(view.cover(path), Some((_, Item::Directory { .. }))) {
        return Ok(());
    }
    let shown = |zone: &Path| match view.resolve(zone).map(|resolved| resolved.found) {
        Ok(Found::File(file)) => file.path == zone,
        _ => false,
    };
    if let Some(item) = localtime(files, shown)? {
        candidates.push(Candidate {
            asked: path.to_buf(),
            item: item.clone(),
            rank: Rank::Synthetic,
            link: None,
        });
        items.insert(path.to_buf(), item);
    }
    Ok(())
}

/// A list of paths, normalised, each once.
fn paths(key: &'static str, list: &[PathBuf]) -> Result<Vec<PlainPathBuf>, PlanError> {
    if list.len() > MAX_MOUNTS {
        return Err(PlanError::TooMany { what: key, count: list.len(), limit: MAX_MOUNTS });
    }
    let mut out = Vec::new();
    for path in list {
        match normal(path) {
            Ok(path) if path != Path::new("/") => out.push(path.into()),
            _ => return Err(PlanError::Path { key, path: path.clone() }),
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// Masks and read-only marks are applied last, over everything: a mount that one would hide, or a writable
/// one that would stop being so, is a contradiction that somebody has to settle.
fn contradictions(
    items: &Places<Item>,
    candidates: &[Candidate],
    masked: &[PlainPathBuf],
    readonly: &[PlainPathBuf],
) -> Result<(), PlanError> {
    for (path, item) in items.iter() {
        let writable = match item {
            Item::Bind(bind) => !bind.readonly,
            Item::Tmpfs { readonly, .. } => !readonly,
            Item::Filesystem(filesystem) => filesystem.attributes & ATTR_RDONLY == 0,
            _ => false,
        };
        let lists = [("masked_paths", masked, true), ("readonly_paths", readonly, writable)];
        for (key, list, matters) in lists {
            let Some(mark) = list.iter().find(|mark| matters && path.is_in(mark.plain())) else { continue };
            if candidates.iter().any(|c| c.rank == Rank::Mount && c.item == *item) {
                let (destination, path) = (path.path().to_owned(), mark.path().to_owned());
                return Err(PlanError::Contradiction { destination, key, path });
            }
        }
    }
    Ok(())
}
