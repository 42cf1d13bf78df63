//! The root and everything in it.

use std::ffi::CString;
use std::path::Path;

use super::candidate::Candidate;
use super::convert::c_path;
use super::etc::{self, Setting};
use super::inputs::Inputs;
use super::landlock::Rules;
use super::marks::{self, Mark};
use super::mount_points::Directory;
use super::mounts;
use super::place::place;
use super::places::Places;
use super::sockets::Look;
use super::source::{LeftOut, can_be_mapped, only_system_links, via};
use super::view::{RootBase, View};
use super::walls::Standing;
use crate::host::plain::PlainPathBuf;
use crate::host::{FileKind, Files};
use crate::plan::call::Call;
use crate::plan::error::PlanError;
use crate::plan::model::{Base, Mapped, Node, Root, Source, Tmpfs};
use crate::plan::show::note::Note;
use crate::profile::{Profile, Symlinks};

/// The root, and what it looks like from inside.
#[derive(Debug)]
pub(crate) struct Built {
    pub root: Root,
    pub root_base: RootBase,
    pub nodes: Places<Node>,
    pub masked: Vec<PlainPathBuf>,
    pub marks: Vec<Mark>,
}

impl Built {
    pub fn view<'a>(&'a self, files: &'a dyn Files) -> View<'a> {
        View { files, root_base: &self.root_base, nodes: &self.nodes, masked: &self.masked, except: None }
    }

    /// Whether what is read-only is so for every kind of file.
    pub fn hold(&self, inputs: &Inputs<'_>, rules: &Rules) -> Result<(), PlanError> {
        let Inputs { profile, files, .. } = *inputs;
        // No pins and no absent marks are looked for here.
        let standing = Standing { files, root_base: &self.root_base, nodes: &self.nodes, root_shared: false };
        let rules = profile.landlock.require.then_some(rules);
        let root_readonly = profile.root.readonly && matches!(self.root.base, Base::Directory(_));
        standing.hold(rules, &self.marks, root_readonly)
    }
}

/// Builds the root.
pub(crate) fn build(
    inputs: &Inputs<'_>,
    setting: &Setting<'_>,
    call: &Call,
    workdir: Option<&Path>,
    notes: &mut Vec<Note>,
) -> Result<Built, PlanError> {
    let Inputs { profile, files, identity, .. } = *inputs;
    let (base, root_base) = base(inputs)?;
    let (candidates, left_out) = candidates(inputs, setting, call, workdir, &root_base, notes)?;
    let mut nodes = place(&candidates, &root_base, files)?;
    mounts::devices_hold(&nodes, files)?;
    if has_own_etc(profile) {
        etc::add_localtime(&mut nodes, &root_base, files)?;
    }
    let masked = marks::paths("maskedPaths", &profile.masked_paths)?;
    let readonly = marks::paths("readonlyPaths", &profile.readonly_paths)?;
    marks::contradictions(&nodes, &candidates, &masked, &readonly)?;
    let base = match &root_base {
        RootBase::Directory { path, owner } => {
            let directory = Directory { path, owner: *owner, identity: &identity.host, files };
            directory.settle(base, profile.root.readonly, upper(profile), &mut nodes)?
        }
        RootBase::Tmpfs => base,
    };
    let root_shared = matches!(base, Base::Directory(_)) && !profile.root.readonly;
    let standing = Standing { files, root_base: &root_base, nodes: &nodes, root_shared };
    for missing in left_out {
        if standing.task_could_make(&missing)? {
            return Err(missing.refuse());
        }
        notes.push(missing.note());
    }
    let marks = standing.marks(&masked, &readonly)?;
    let ordered = in_order(&nodes, &standing.pins(&marks), &marks)?;
    let root = Root { base, readonly: profile.root.readonly, nodes: ordered };
    Ok(Built { root, root_base, nodes, masked, marks })
}

/// All that is asked for, and what of it is left out. What is shown of the host is looked at for sockets.
fn candidates(
    inputs: &Inputs<'_>,
    setting: &Setting<'_>,
    call: &Call,
    workdir: Option<&Path>,
    root_base: &RootBase,
    notes: &mut Vec<Note>,
) -> Result<(Vec<Candidate>, Vec<LeftOut>), PlanError> {
    let Inputs { profile, facts, files, .. } = *inputs;
    let asked = mounts::asked(profile, workdir)?;
    let mut candidates = Vec::new();
    if has_own_etc(profile) {
        candidates.extend(etc::etc(setting, files, notes)?);
        candidates.extend(mounts::programs(inputs, &asked, notes)?);
    }
    let look = Look::new(profile, facts, &call.caller_env, files);
    let (found, left_out) = mounts::candidates(inputs, &asked, look.as_ref(), notes)?;
    candidates.extend(found);
    if let (Some(look), RootBase::Directory { path, .. }) = (&look, root_base) {
        look.at(path, Path::new("/"), notes)?;
    }
    Ok((candidates, left_out))
}

/// Whether `/etc` is synthetic.
fn has_own_etc(profile: &Profile) -> bool {
    profile.root.synthetic_etc && profile.root.path.is_none()
}

/// In the order in which init makes them: pins among the mounts by path, marks over everything.
fn in_order(
    nodes: &Places<Node>,
    pins: &[PlainPathBuf],
    marks: &[Mark],
) -> Result<Vec<(CString, Node)>, PlanError> {
    let mut all = Vec::new();
    let mut pins = pins.iter().peekable();
    for (path, node) in nodes.iter() {
        while let Some(pin) = pins.next_if(|pin| pin.plain() < path) {
            all.push((c_path(pin.path())?, Node::Pin));
        }
        all.push((c_path(path.path())?, node.clone()));
    }
    for pin in pins {
        all.push((c_path(pin.path())?, Node::Pin));
    }
    for mark in marks {
        all.push((c_path(mark.path.path())?, mark.node()));
    }
    Ok(all)
}

/// What is written to the root, where the host does not see it.
fn upper(profile: &Profile) -> Tmpfs {
    Tmpfs { size: profile.root.size, inodes: profile.root.inodes, mode: 0o755 }
}

/// The root itself.
fn base(inputs: &Inputs<'_>) -> Result<(Base, RootBase), PlanError> {
    let Inputs { profile, files, identity, .. } = *inputs;
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
    let asked = inputs.absolute(asked)?;
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
    let mapped = Some(Mapped::All).filter(|_| identity.host.has_ranges());
    let via = via(inputs, mapped, true, &path, &stat).map_err(read)?;
    can_be_mapped(via, &path, files)?;
    let source = Source {
        path: c_path(&path)?,
        device: stat.device,
        inode: stat.inode,
        directory: true,
        slave: false,
        via,
    };
    let owner = source.mapped();
    let base = if profile.root.overlay {
        Base::Overlay { lower: source, upper: tmpfs }
    } else {
        Base::Directory(source)
    };
    Ok((base, RootBase::Directory { path, owner }))
}
