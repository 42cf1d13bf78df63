//! What a bind mount shows: found, checked and written down once, by the caller.

use std::borrow::Cow;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use super::candidate::{Candidate, Rank};
use super::convert::c_path;
use super::inputs::Inputs;
use super::view::missing;
use crate::host::plain::{self, PlainPath};
use crate::host::{FileKind, Files, Followed, Stat};
use crate::plan::error::PlanError;
use crate::plan::model::{Bind, Device, HostIdentity, Mapped, Node, Source, Via};
use crate::plan::ranges;
use crate::plan::show::note::Note;
use crate::profile::{Attributes, Mount, Propagation, Symlinks};

/// An optional mount whose source is missing.
#[derive(Debug, Clone)]
pub(crate) struct LeftOut {
    /// The source on the host, as it was asked for.
    pub source: PathBuf,
    pub destination: PathBuf,
    /// The directory of the host in which something would have to be made for the source to be there.
    pub directory: PathBuf,
    /// Whether it would have been the system's own.
    pub system: bool,
    /// Whether only the host's root can make anything in `directory`. Where its files are shown as the
    /// sandbox's own, the task can, too.
    pub roots: bool,
}

impl LeftOut {
    pub fn note(&self) -> Note {
        Note::Skipped { path: self.source.clone(), destination: self.destination.clone() }
    }

    /// Who can write there, or at the destination, would choose the next run's mounts.
    pub fn refuse(self) -> PlanError {
        PlanError::Optional { path: self.source, destination: self.destination }
    }
}

/// What a bind mount shows, or that it is left out.
pub(crate) fn locate(
    inputs: &Inputs<'_>,
    mount: &Mount,
    (source, idmap): (&Path, bool),
    destination: &Path,
) -> Result<Result<Candidate, LeftOut>, PlanError> {
    let asked = inputs.absolute(source)?;
    let path = match follow(inputs, mount, &asked, destination)? {
        Ok(path) => path,
        Err(left_out) => return Ok(Err(left_out)),
    };
    let fail = |source| lookup(source, &asked, destination);
    let stat = inputs.files.lstat(&path).map_err(fail)?;
    let directory = match stat.kind {
        FileKind::Directory => true,
        FileKind::File => false,
        FileKind::CharDevice if destination.starts_with("/dev") => {
            let (major, minor) = (libc::major(stat.rdev), libc::minor(stat.rdev));
            let readonly = mount.readonly;
            let node = Node::Device(Device { source: c_path(&path)?, major, minor, block: false, readonly });
            return Ok(Ok(Candidate::new(destination.to_owned(), node, Rank::Mount)));
        }
        kind => return Err(PlanError::SourceKind { path: asked, destination: destination.to_owned(), kind }),
    };
    // What root's sandbox writes on the host must be the owner's there, not some stranger's.
    let via = via(inputs, None, idmap || !mount.readonly, &path, &stat).map_err(fail)?;
    let via = changed(via, mount, &inputs.identity.host)?;
    can_be_mapped(via, &path, inputs.files)?;
    let Mount { readonly, noexec, attributes, .. } = *mount;
    let source = Source {
        path: c_path(&path)?,
        device: stat.device,
        inode: stat.inode,
        directory,
        slave: attributes.propagation == Propagation::Slave,
        via,
    };
    let node = Node::Bind(Bind { source, readonly, noexec, attributes });
    let link = if mount.system { link_text(&asked, inputs.files) } else { None };
    Ok(Ok(Candidate { link, ..Candidate::new(destination.to_owned(), node, Rank::Mount) }))
}

/// Where a source leads on the host, through the symlinks that may be followed.
fn follow(
    inputs: &Inputs<'_>,
    mount: &Mount,
    asked: &Path,
    destination: &Path,
) -> Result<Result<PathBuf, LeftOut>, PlanError> {
    let Inputs { profile, files, identity, .. } = *inputs;
    // What is below /proc is refused by its text, before the kernel is asked.
    let proc = || PlanError::SourceProc { path: asked.to_owned(), destination: destination.to_owned() };
    if plain::is_in(asked, PlainPath::PROC) {
        return Err(proc());
    }
    let followed = match files.follow_until(asked) {
        Err(stopped) if mount.optional && missing(&stopped.error) => {
            let directory = stopped.at.parent().unwrap_or(Path::new("/")).to_owned();
            let roots = is_roots(&directory, &identity.host, files);
            let (source, destination) = (asked.to_owned(), destination.to_owned());
            return Ok(Err(LeftOut { source, destination, directory, system: mount.system, roots }));
        }
        followed => followed.map_err(|stopped| lookup(stopped.error, asked, destination))?,
    };
    if followed.through_proc {
        return Err(proc());
    }
    if !mount.system && profile.symlinks == Symlinks::System {
        only_system_links(&followed, destination, files)?;
    }
    Ok(Ok(followed.path))
}

fn lookup(source: std::io::Error, asked: &Path, destination: &Path) -> PlanError {
    let (path, destination) = (asked.to_owned(), destination.to_owned());
    if missing(&source) {
        PlanError::SourceMissing { path, destination }
    } else {
        PlanError::SourceLookup { path, destination, source }
    }
}

/// How init gets hold of a source whose mount has attributes of its own.
fn changed(via: Via, mount: &Mount, host: &HostIdentity) -> Result<Via, PlanError> {
    let attributes = mount.attributes;
    // Only in the host's own namespace can access times be changed; slaves are copies of what propagates
    // there.
    let via = match via {
        Via::Path if host.is_given() && attributes != Attributes::default() => Via::Tree { idmap: None },
        via => via,
    };
    if attributes.atime.is_some() && via == Via::Path {
        return Err(PlanError::Unenforceable {
            key: format!("access times of {:?}", mount.destination),
            reason: "a user namespace keeps those of the host's mounts as they are (mount_setattr(2), EPERM)",
            hint: "mount it so on the host, or run belljar as root",
        });
    }
    Ok(via)
}

/// Refuses a path that led through a symlink which another user, or an earlier run, can have made.
pub(crate) fn only_system_links(
    followed: &Followed,
    destination: &Path,
    files: &dyn Files,
) -> Result<(), PlanError> {
    for link in &followed.links {
        let is_systems =
            is_systems(link, files).map_err(|source| PlanError::Read { path: link.clone(), source })?;
        if !is_systems {
            let (link, path) = (link.clone(), followed.path.clone());
            return Err(PlanError::SourceLink { link, path, destination: destination.to_owned() });
        }
    }
    Ok(())
}

/// Directories in which root's symlinks are the system's, though not below them: where a sandbox of root's
/// can have been given one.
const TOP: [&str; 4] = ["/", "/home", "/run", "/var"];
/// What a distribution's packages own.
const TREES: [&str; 10] =
    ["/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// Whether what is root's in `directory` is the distribution's.
fn is_distributions(directory: &Path) -> bool {
    TOP.iter().any(|top| directory == Path::new(top)) || TREES.iter().any(|tree| directory.starts_with(tree))
}

/// Whether a symlink is part of the system: root's, where no other user can write. That it is root's is not
/// enough, as what an earlier sandbox of root's wrote can be root's, too.
fn is_systems(link: &Path, files: &dyn Files) -> std::io::Result<bool> {
    let Some(above) = link.parent() else { return Ok(false) };
    if !is_distributions(above) || files.lstat(link)?.uid != 0 {
        return Ok(false);
    }
    let above = files.lstat(above)?;
    Ok(above.uid == 0 && above.mode & 0o022 == 0)
}

/// Whether only the host's root can write to `directory` and to all above it. The task is never that root: it
/// is a user of its own, or the caller. Elsewhere an earlier sandbox of root's can have been given files as
/// its own.
fn is_roots(directory: &Path, host: &HostIdentity, files: &dyn Files) -> bool {
    let only_root = |at: &Path| files.lstat(at).is_ok_and(|stat| stat.uid == 0 && stat.mode & 0o022 == 0);
    !matches!(host, HostIdentity::Own { uid: 0, .. })
        && is_distributions(directory)
        && directory.ancestors().all(only_root)
}

/// What the symlink at `path` holds, if there is one.
fn link_text(path: &Path, files: &dyn Files) -> Option<CString> {
    // A slash at its end would have it followed.
    let at = match PlainPath::new(path) {
        Some(_) => Cow::Borrowed(path),
        None => Cow::Owned(path.components().collect()),
    };
    match files.lstat(&at) {
        Ok(Stat { kind: FileKind::Symlink, .. }) => c_path(&files.readlink(&at).ok()?).ok(),
        _ => None,
    }
}

/// How init gets hold of a source. An ordinary user's sandbox has that user's own rights; one that root
/// starts has the rights of a stranger, so the caller hands over what a stranger cannot reach, or what shall
/// keep its owner.
///
/// `mapped` is whose files are to be shown as the sandbox's, if not the owner's. What belongs to one of the
/// sandbox's ids already is shown as it is. *Lite* mounts nothing.
pub(crate) fn via(
    inputs: &Inputs<'_>,
    mapped: Option<Mapped>,
    idmap: bool,
    path: &Path,
    stat: &Stat,
) -> std::io::Result<Via> {
    let lite = inputs.profile.namespaces.is_empty();
    if lite || !inputs.identity.host.is_given() {
        return Ok(Via::Path);
    }
    let is_sandboxes = match &inputs.identity.host {
        HostIdentity::Ranges(all) => ranges::inside(&all.users, stat.uid).is_some(),
        _ => false,
    };
    if idmap && !is_sandboxes {
        let owner = Mapped::Owner(stat.uid, stat.gid);
        return Ok(Via::Tree { idmap: Some(mapped.unwrap_or(owner)) });
    }
    for parent in path.ancestors().skip(1) {
        if inputs.files.lstat(parent)?.mode & 0o001 == 0 {
            return Ok(Via::Tree { idmap: None });
        }
    }
    Ok(Via::Path)
}

/// File systems that no kernel id-maps so far (`FS_ALLOW_IDMAP`), by `f_type` of `statfs(2)`.
const WITHOUT_IDMAP: [(u32, &str); 4] =
    [(0x794c_7630, "overlayfs"), (0x6969, "NFS"), (0x8584_58f6, "ramfs"), (0x0102_1997, "9p")];

/// What the caller would be refused when it hands the source over.
pub(crate) fn can_be_mapped(via: Via, path: &Path, files: &dyn Files) -> Result<(), PlanError> {
    if !matches!(via, Via::Tree { idmap: Some(_) }) {
        return Ok(());
    }
    let found = files.filesystem(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
    match WITHOUT_IDMAP.iter().find(|(magic, _)| *magic == found) {
        Some((_, filesystem)) => Err(PlanError::IdMap { path: path.to_owned(), filesystem }),
        None => Ok(()),
    }
}
