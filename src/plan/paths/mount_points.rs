//! The mount points in a root directory of the host's: they are there, or they are made where the host does
//! not see it.

use std::path::{Path, PathBuf};

use super::convert::path_of;
use super::places::{Entry, Places};
use super::view::missing;
use crate::host::plain::PlainPath;
use crate::host::{FileKind, Files};
use crate::plan::error::PlanError;
use crate::plan::model::{BLOCK, Base, HostIdentity, Mapped, Node, Ranges, Tmpfs};
use crate::plan::ranges;

/// A root directory of the host's.
pub(crate) struct Directory<'a> {
    pub path: &'a Path,
    /// Whose files the sandbox owns.
    pub owner: Option<Mapped>,
    pub identity: &'a HostIdentity,
    pub files: &'a dyn Files,
}

impl Directory<'_> {
    /// The root with a place for every node. What is missing in a read-only root is made in a tmpfs over it;
    /// in one that is written to, nothing but the task makes anything.
    pub fn settle(
        &self,
        base: Base,
        readonly: bool,
        upper: Tmpfs,
        nodes: &mut Places<Node>,
    ) -> Result<Base, PlanError> {
        self.keep_symlinks(nodes)?;
        let missing = self.missing(nodes)?;
        let base = match (base, missing.first()) {
            (base, None) => base,
            (overlay @ Base::Overlay { .. }, Some(_)) => overlay,
            (Base::Directory(lower), Some(_)) if readonly && self.mounted_below()?.is_none() => {
                Base::Overlay { lower, upper }
            }
            (_, Some((destination, host))) => return Err(mount_point(destination, host)),
        };
        if !matches!(base, Base::Overlay { .. }) {
            return Ok(base);
        }
        // An overlay shows the one file system, with what a mount on it hides.
        if let Some(mount) = self.mounted_below()? {
            return Err(PlanError::RootMount { path: self.path.to_owned(), mount });
        }
        // It copies a directory in which something is made, and cannot give the copy an owner that has no id
        // inside.
        match missing.iter().find_map(|(destination, host)| self.not_copied(destination, host).transpose()) {
            Some(error) => Err(error?),
            None => Ok(base),
        }
    }

    /// The symlinks of the host's system that the root has already need not be made.
    fn keep_symlinks(&self, nodes: &mut Places<Node>) -> Result<(), PlanError> {
        let mut there = Vec::new();
        for (path, node) in on_the_root(nodes) {
            let Node::Symlink { target } = node else { continue };
            let host = self.host(path);
            if !self.is_there(&host)? {
                continue;
            }
            let target = path_of(target);
            let found = self.files.readlink(&host).ok();
            if found.as_deref() != Some(target) {
                let (path, destination) = (target.to_owned(), path.path().to_owned());
                return Err(PlanError::Mismatch { path, destination });
            }
            there.push(path.to_buf());
        }
        if !there.is_empty() {
            let kept = nodes.iter().filter(|(path, _)| !there.iter().any(|at| at.plain() == *path));
            *nodes = kept.map(|(path, node)| (path.to_buf(), node.clone())).collect();
        }
        Ok(())
    }

    /// What the root lacks: the place inside and on the host.
    fn missing(&self, nodes: &Places<Node>) -> Result<Vec<(PathBuf, PathBuf)>, PlanError> {
        let mut missing = Vec::new();
        for (path, _) in on_the_root(nodes) {
            let host = self.host(path);
            if !self.is_there(&host)? {
                missing.push((path.path().to_owned(), host));
            }
        }
        Ok(missing)
    }

    fn host(&self, path: PlainPath<'_>) -> PathBuf {
        self.path.join(path.rest(PlainPath::ROOT).unwrap_or(path.path()))
    }

    fn is_there(&self, host: &Path) -> Result<bool, PlanError> {
        match self.files.lstat(host) {
            Ok(_) => Ok(true),
            Err(error) if missing(&error) => Ok(false),
            Err(source) => Err(PlanError::Read { path: host.to_owned(), source }),
        }
    }

    fn mounted_below(&self) -> Result<Option<PathBuf>, PlanError> {
        let read = |source| PlanError::Read { path: self.path.to_owned(), source };
        self.files.mounted_below(self.path).map_err(read)
    }

    /// Whether an owner of the host's has an id inside.
    fn has_id(&self, uid: u32, gid: u32) -> bool {
        match (self.owner, self.identity) {
            (Some(Mapped::Owner(owner, group)), _) => (owner, group) == (uid, gid),
            (Some(Mapped::All), HostIdentity::Ranges(Ranges { users, groups, .. })) => {
                ranges::outside(users, uid).is_some() && ranges::outside(groups, gid).is_some()
            }
            (Some(Mapped::All), HostIdentity::UniqueRange) => uid < BLOCK && gid < BLOCK,
            (None, HostIdentity::Own { uid: own, gid: group }) => (*own, *group) == (uid, gid),
            (None, HostIdentity::Ranges(Ranges { users, groups, .. })) => {
                ranges::inside(users, uid).is_some() && ranges::inside(groups, gid).is_some()
            }
            (None | Some(Mapped::All), _) => false,
        }
    }

    /// An error where the directory that something is made in cannot be copied.
    fn not_copied(&self, destination: &Path, host: &Path) -> Result<Option<PlanError>, PlanError> {
        for above in host.ancestors().skip(1).take_while(|above| *above != self.path) {
            match self.files.lstat(above) {
                Ok(stat) if stat.kind == FileKind::Directory && !self.has_id(stat.uid, stat.gid) => {
                    return Ok(Some(mount_point(destination, host)));
                }
                Ok(_) => {}
                Err(error) if missing(&error) => {}
                Err(source) => return Err(PlanError::Read { path: above.to_owned(), source }),
            }
        }
        Ok(None)
    }
}

/// What is not on another mount.
fn on_the_root(nodes: &Places<Node>) -> impl Iterator<Item = (PlainPath<'_>, &Node)> {
    let own = nodes.entries().filter(|entry| match entry.above {
        None | Some((_, Node::Directory { .. })) => true,
        Some(_) => false,
    });
    own.map(|Entry { path, value, .. }| (path, value))
}

fn mount_point(destination: &Path, host: &Path) -> PlanError {
    PlanError::MountPoint { destination: destination.to_owned(), host: host.to_owned() }
}
