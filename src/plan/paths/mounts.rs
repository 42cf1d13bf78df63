//! The mounts that are asked for: those of the profile, the working directory and the programs' configuration,
//! each with what is found for it.

use std::borrow::Cow;
use std::path::Path;

use super::candidate::{Candidate, Rank};
use super::configuration::directories;
use super::convert::{normal, path_of};
use super::dev::dev;
use super::device::device;
use super::filesystem::filesystem;
use super::inputs::Inputs;
use super::places::Places;
use super::sockets::Look;
use super::source::{LeftOut, locate};
use crate::host::Files;
use crate::host::plain::PlainPathBuf;
use crate::plan::error::{DestinationProblem, PlanError};
use crate::plan::model::{Device, Node, Tmpfs};
use crate::plan::show::note::Note;
use crate::profile::{Attributes, Mount, MountKind, Profile, Propagation, Workdir};

/// More mounts than any profile has; each costs init two system calls or more.
pub(crate) const MAX_MOUNTS: usize = 512;

/// The mounts by destination.
pub(crate) type Asked<'a> = Places<Cow<'a, Mount>>;

/// The mounts by destination: the last one for each. Sorted by path, so that the order of the list plays no
/// part.
pub(crate) fn asked<'a>(profile: &'a Profile, shown: Option<&Path>) -> Result<Asked<'a>, PlanError> {
    let mut asked = Places::new();
    for mount in &profile.mounts {
        let path = normal(&mount.destination)
            .map(PlainPathBuf::from)
            .and_then(|path| if path.plain().is_root() { Err(DestinationProblem::Root) } else { Ok(path) })
            .map_err(|problem| PlanError::Destination { path: mount.destination.clone(), problem })?;
        asked.insert(path, Cow::Borrowed(mount));
    }
    if let Some(mount) = workdir(profile, shown)? {
        let path = PlainPathBuf::from(mount.destination.clone());
        let there = asked.get_or_insert(path.plain(), Cow::Owned(mount.clone()));
        // What the profile binds there on purpose stays; an empty file system gives way to the caller's
        // files.
        if !matches!(there.kind, MountKind::Bind { .. }) {
            *there = Cow::Owned(mount);
        }
    }
    let count = asked.values().count();
    if count > MAX_MOUNTS {
        return Err(PlanError::TooMany { what: "mounts", count, limit: MAX_MOUNTS });
    }
    Ok(asked)
}

/// What the mounts put where, and which of them are left out.
pub(crate) fn candidates(
    inputs: &Inputs<'_>,
    asked: &Asked<'_>,
    look: Option<&Look<'_>>,
    notes: &mut Vec<Note>,
) -> Result<(Vec<Candidate>, Vec<LeftOut>), PlanError> {
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    for (destination, mount) in asked.iter() {
        let destination = destination.path();
        match candidate(inputs, mount, destination)? {
            Ok(new) => {
                new.iter().try_for_each(|candidate| device_holds(inputs.profile, candidate))?;
                if let Some(look) = look.filter(|_| !mount.system) {
                    for source in new.iter().filter_map(|candidate| candidate.node.directory()) {
                        look.at(source, destination, notes)?;
                    }
                }
                candidates.extend(new);
            }
            Err(missing) => left_out.push(missing),
        }
    }
    Ok((candidates, left_out))
}

/// The directories of installed programs in `/etc`, but for those that a mount is asked for in: its mount
/// point need not be there.
pub(crate) fn programs(
    inputs: &Inputs<'_>,
    asked: &Asked<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Candidate>, PlanError> {
    let mut candidates = Vec::new();
    for path in directories(&inputs.profile.root.etc_programs, inputs.files, notes)? {
        let destination = PlainPathBuf::from(path.clone());
        if asked.iter().any(|(other, _)| other.is_in(destination.plain())) {
            continue;
        }
        let mount = Mount {
            destination: path.clone(),
            kind: MountKind::Bind { source: path.clone(), idmap: false },
            readonly: true,
            // What a directory has of scripts, an interpreter reads.
            noexec: true,
            optional: true,
            system: false,
            attributes: Attributes::default(),
        };
        if let Ok(found) = locate(inputs, &mount, (&path, false), &path)? {
            candidates.push(Candidate { rank: Rank::Synthetic, ..found });
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

/// What a mount puts where, or that it is left out.
fn candidate(
    inputs: &Inputs<'_>,
    mount: &Mount,
    destination: &Path,
) -> Result<Result<Vec<Candidate>, LeftOut>, PlanError> {
    let node = match &mount.kind {
        MountKind::Bind { source, idmap } => {
            slave_holds(inputs.profile, mount)?;
            let found = locate(inputs, mount, (source, *idmap), destination)?;
            return Ok(found.map(|candidate| vec![candidate]));
        }
        MountKind::Dev | MountKind::Node { .. } if mount.attributes != Attributes::default() => {
            return Err(PlanError::Unenforceable {
                key: format!("access times or propagation of {destination:?}"),
                reason: "this form of a mount has none",
                hint: "leave them out",
            });
        }
        MountKind::Dev if destination != Path::new("/dev") => {
            let problem = DestinationProblem::Dev;
            return Err(PlanError::Destination { path: destination.to_owned(), problem });
        }
        MountKind::Dev => return dev(inputs.profile.root.path.is_some(), inputs.files).map(Ok),
        MountKind::Node { .. } => device(mount, inputs.files)?,
        MountKind::Tmpfs { size, inodes, mode } => {
            let limits = Tmpfs { size: *size, inodes: *inodes, mode: *mode };
            filesystem(inputs, mount, "tmpfs", Vec::new(), Some(limits))?
        }
        MountKind::Proc { subset_pid } => {
            let subset = ("subset".to_owned(), Some("pid".to_owned()));
            filesystem(inputs, mount, "proc", subset_pid.then_some(subset).into_iter().collect(), None)?
        }
        MountKind::Mqueue => filesystem(inputs, mount, "mqueue", Vec::new(), None)?,
        MountKind::Filesystem { fstype, data } => filesystem(inputs, mount, fstype, data.clone(), None)?,
    };
    Ok(Ok(vec![Candidate::new(destination.to_owned(), node, Rank::Mount)]))
}

/// Landlock's rights are those of the host's node, under whatever name: at a second name it is not read-only.
pub(crate) fn devices_hold(nodes: &Places<Node>, files: &dyn Files) -> Result<(), PlanError> {
    let device = |node: &Node| match node {
        Node::Device(device) => Some(device.clone()),
        _ => None,
    };
    let inode = |device: &Device| {
        let path = path_of(&device.source);
        let stat = files.lstat(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        Ok((stat.device, stat.inode))
    };
    let devices: Vec<_> = nodes.iter().filter_map(|(path, node)| Some((path, device(node)?))).collect();
    for (path, readonly) in devices.iter().filter(|(_, device)| device.readonly) {
        let number = |device: &Device| (device.block, device.major, device.minor);
        let same = devices.iter().filter(|(_, other)| !other.readonly && number(other) == number(readonly));
        for (other, writable) in same {
            if inode(writable)? == inode(readonly)? {
                return Err(PlanError::Unenforceable {
                    key: format!("a read-only {:?} beside a writable {:?}", path.path(), other.path()),
                    reason: "they are one device node of the host, and Landlock's rights are the node's",
                    hint: "make both of them read-only, or both writable",
                });
            }
        }
    }
    Ok(())
}

/// Only Landlock keeps a device from being written to.
fn device_holds(profile: &Profile, candidate: &Candidate) -> Result<(), PlanError> {
    match &candidate.node {
        Node::Device(device) if device.readonly && !profile.landlock.require => {
            let reason = "only Landlock can make a device read-only, and it is off";
            let (key, hint) = (format!("a read-only {:?}", candidate.asked.path()), "require Landlock");
            Err(PlanError::Unenforceable { key, reason, hint })
        }
        _ => Ok(()),
    }
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
