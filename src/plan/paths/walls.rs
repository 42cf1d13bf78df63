//! What keeps a wall where it is, and whether it holds for every kind of file. Pure.
//!
//! A mount hides or protects a path, not a file: who can rename a directory above the path leaves the wall at
//! the new name until the end of this run, and the next run, with the same options, finds the files without
//! it. So
//!
//! * a masked or read-only path must be there where the task could make it (an earlier run may have moved it
//!   away), and so must the source of an optional mount, or it would be the task that chooses the next run's
//!   mounts;
//! * the directories between a writable directory of the host and a mount or mark below it are pinned: each
//!   is mounted onto itself, and a mount point can be neither renamed nor removed (`EBUSY`, `rename(2)`,
//!   `rmdir(2)`);
//! * what a read-only mount does not hold (`open(2)` of a named pipe or a device for writing asks no mount)
//!   is held by Landlock, whose rights add up from every directory above. Where one above grants writing,
//!   nothing holds, and it is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::landlock::{self, Rules};
use super::marks::Mark;
use super::places::Places;
use super::source::LeftOut;
use super::view::{Found, RootBase, Stop, View};
use crate::host::plain::{self, PlainPath, PlainPathBuf};
use crate::host::{FileKind, Files};
use crate::plan::error::{PlanError, WallProblem};
use crate::plan::model::{Bind, Node, Presence};

/// What is looked at below one read-only directory; a hundred thousand entries take about 0.1 s.
const MAX_LOOKED_AT: usize = 400_000;
/// Static data that the system's packages own (FHS 3.0, chapter 4): nothing else makes files there, and no
/// package makes pipes.
const SYSTEM: PlainPath<'_> = PlainPath::USR;

/// Everything that is in the root, before the marks are made.
pub(crate) struct Standing<'a> {
    pub files: &'a dyn Files,
    pub root_base: &'a RootBase,
    pub nodes: &'a Places<Node>,
    /// Whether the root is a directory of the host that the task writes to.
    pub root_shared: bool,
}

impl Standing<'_> {
    fn view(&self) -> View<'_> {
        View { files: self.files, root_base: self.root_base, nodes: self.nodes, masked: &[], except: None }
    }

    /// Whether what is made or renamed in the directory `path` is made or renamed on the host.
    fn shared(&self, path: PlainPath<'_>) -> bool {
        match self.nodes.nearest(path, None) {
            Some((_, Node::Bind(bind))) => !bind.readonly,
            Some(_) => false,
            None => self.root_shared,
        }
    }

    /// The marks, each with what is there. What is below a mask needs none.
    pub fn marks(&self, masked: &[PlainPathBuf], readonly: &[PlainPathBuf]) -> Result<Vec<Mark>, PlanError> {
        let mut marks: Vec<Mark> = Vec::new();
        let lists = masked.iter().map(|path| (path, true)).chain(readonly.iter().map(|path| (path, false)));
        for (path, is_mask) in lists {
            if marks.iter().any(|mark| mark.masked && path.plain().is_in(mark.path.plain())) {
                continue;
            }
            let presence = self.presence(path.plain())?;
            marks.push(Mark { path: path.clone(), masked: is_mask, presence });
        }
        Ok(marks)
    }

    fn presence(&self, path: PlainPath<'_>) -> Result<Presence, PlanError> {
        let view = self.view();
        let wrong = |problem| Err(PlanError::Wall { path: path.path().to_owned(), problem });
        match view.resolve(path.path()) {
            Ok(resolved) if resolved.path.plain() != path => {
                wrong(WallProblem::Symlink { leads: Some(resolved.path.into_path()) })
            }
            Err(Stop::Loop | Stop::Parent) => wrong(WallProblem::Symlink { leads: None }),
            Err(Stop::Host { path, source }) => Err(PlanError::Read { path, source }),
            Err(Stop::Unknown) => Ok(Presence::Unknown),
            Ok(resolved) if resolved.found == Found::Unknown => Ok(Presence::Unknown),
            Ok(resolved) if resolved.found != Found::Missing => Ok(Presence::There),
            // Nothing of the host's own lies below these two in a root directory that is not the host's.
            Ok(_) | Err(Stop::NotADirectory)
                if path.is_in(PlainPath::PROC) || path.path().starts_with("/sys") =>
            {
                Ok(Presence::Absent)
            }
            Ok(_) | Err(Stop::NotADirectory) if self.could_be_made(path)? => wrong(WallProblem::Missing),
            Ok(_) | Err(Stop::NotADirectory) => Ok(Presence::Absent),
        }
    }

    /// Whether the task could make what is missing at `path`, on the host.
    fn could_be_made(&self, path: PlainPath<'_>) -> Result<bool, PlanError> {
        let view = self.view();
        for at in path.ancestors().skip(1) {
            match view.look(at) {
                Ok(Found::Directory(_)) => return Ok(self.shared(at)),
                // A file in the way may be removed, or was put there.
                Ok(_) | Err(Stop::NotADirectory) => {}
                Err(Stop::Host { path, source }) => return Err(PlanError::Read { path, source }),
                Err(_) => return Ok(true),
            }
        }
        Ok(self.root_shared)
    }

    /// Whether the task could make the source of an optional mount, on the host, or choose where its
    /// destination leads.
    pub fn task_could_make(&self, missing: &LeftOut) -> Result<bool, PlanError> {
        if self.shows_writable(missing) {
            return Ok(true);
        }
        // The system's own shows the same in any case.
        if missing.system {
            return Ok(false);
        }
        let destination = match self.view().resolve(&missing.destination) {
            Ok(resolved) => resolved.path,
            Err(Stop::Host { path, source }) => return Err(PlanError::Read { path, source }),
            Err(Stop::NotADirectory) => missing.destination.clone().into(),
            Err(Stop::Unknown) => return Ok(false),
            Err(Stop::Loop | Stop::Parent) => return Ok(true),
        };
        self.could_be_made(destination.plain())
    }

    /// Whether the directory is seen inside, at a place where the task can write to it.
    fn shows_writable(&self, missing: &LeftOut) -> bool {
        let root = match self.root_base {
            RootBase::Directory { path, owner } => Some((PlainPath::ROOT, path.as_path(), *owner)),
            RootBase::Tmpfs => None,
        };
        let binds = self.nodes.iter().filter_map(|(at, item)| match item {
            Node::Bind(Bind { source, .. }) if source.directory => {
                Some((at, source.host_path(), source.mapped()))
            }
            _ => None,
        });
        let mut shown = root.into_iter().chain(binds).filter(|(.., owner)| !missing.roots || owner.is_some());
        shown.any(|(at, host, _)| {
            missing.directory.strip_prefix(host).is_ok_and(|rest| {
                let inside = PlainPathBuf::from(at.path().join(rest));
                let nearest = self.nodes.nearest(inside.plain(), None).map_or(PlainPath::ROOT, |(at, _)| at);
                nearest == at && self.shared(inside.plain())
            })
        })
    }

    /// The directories above mounts and marks that the task could rename on the host.
    pub fn pins(&self, marks: &[Mark]) -> Vec<PlainPathBuf> {
        let marks = marks.iter().filter(|mark| mark.presence == Presence::There);
        let walls = self.nodes.iter().map(|(path, _)| path).chain(marks.map(|mark| mark.path.plain()));
        let mut pins = BTreeSet::new();
        for wall in walls {
            for above in wall.ancestors().skip(1).take_while(|above| !above.is_root()) {
                // A mount point already; what is above that one is seen to in its turn.
                if self.nodes.nearest(above, None).is_some_and(|(at, _)| at == above) {
                    break;
                }
                if self.shared(above) {
                    pins.insert(above.to_buf());
                }
            }
        }
        pins.into_iter().collect()
    }

    /// Whether what is read-only is so for every kind of file. `rules`: of Landlock, `None` where it is off.
    pub fn hold(&self, rules: Option<&Rules>, marks: &[Mark], root_readonly: bool) -> Result<(), PlanError> {
        let by_landlock = |path| {
            rules.is_some_and(|rules| landlock::granted(rules, path) & landlock::access::WRITE_FILE == 0)
        };
        for (path, node) in self.nodes.iter().filter(|(path, _)| !by_landlock(*path)) {
            self.node_holds(path, node, marks)?;
        }
        for mark in marks.iter().filter(|mark| !by_landlock(mark.path.plain())) {
            self.mark_holds(mark, marks)?;
        }
        match self.root_base {
            RootBase::Directory { path, .. } if root_readonly && !by_landlock(PlainPath::ROOT) => {
                self.look_through(PlainPath::ROOT, path, marks)
            }
            _ => Ok(()),
        }
    }

    /// Without Landlock's help.
    fn node_holds(&self, path: PlainPath<'_>, node: &Node, marks: &[Mark]) -> Result<(), PlanError> {
        let is_marked = || marks.iter().any(|mark| !mark.masked && path.is_in(mark.path.plain()));
        match node {
            Node::Device(device) if device.readonly || is_marked() => {
                Err(PlanError::Wall { path: path.path().to_owned(), problem: WallProblem::Device })
            }
            Node::Bind(bind) if bind.readonly && bind.source.directory => {
                self.look_through(path, bind.source.host_path(), marks)
            }
            _ => Ok(()),
        }
    }

    /// Without Landlock's help.
    fn mark_holds(&self, mark: &Mark, marks: &[Mark]) -> Result<(), PlanError> {
        if mark.masked || mark.presence != Presence::There {
            return Ok(());
        }
        let path = mark.path.plain();
        match self.view().look(path) {
            Ok(Found::Directory(Some(file))) => self.look_through(path, &file.path, marks),
            Ok(Found::File(file)) if file.stat.kind == FileKind::Fifo => {
                let problem = WallProblem::Pipe { found: file.path };
                Err(PlanError::Wall { path: path.path().to_owned(), problem })
            }
            // Devices in a directory of the host's are of no use on a `nodev` mount.
            _ => Ok(()),
        }
    }

    /// Looks for named pipes in the directory `host`, which is shown at `inside`, as far as nothing covers
    /// them.
    fn look_through(&self, inside: PlainPath<'_>, host: &Path, marks: &[Mark]) -> Result<(), PlanError> {
        if plain::is_in(host, SYSTEM) {
            return Ok(());
        }
        let wrong = |problem| Err(PlanError::Wall { path: inside.path().to_owned(), problem });
        let covered = |path: PlainPath<'_>| {
            self.nodes.nearest(path, None).is_some_and(|(at, _)| at == path)
                || marks.iter().any(|mark| mark.masked && mark.path.plain() == path)
        };
        let mut left = MAX_LOOKED_AT;
        let mut todo = vec![(inside.to_buf(), host.to_owned())];
        while let Some((inside, host)) = todo.pop() {
            let list = match self.files.list(&host, left) {
                Ok(list) => list,
                Err(_) if self.out_of_reach(&host) => continue,
                Err(source) if source.raw_os_error() == Some(libc::EACCES) => {
                    return wrong(WallProblem::Closed { directory: host });
                }
                Err(source) => return Err(PlanError::Read { path: host, source }),
            };
            if list.len() >= left {
                return wrong(WallProblem::Unseen { limit: MAX_LOOKED_AT });
            }
            left -= list.len();
            for (name, kind) in list {
                let mut at = inside.clone();
                at.push(&name);
                match kind {
                    FileKind::Directory | FileKind::Fifo if covered(at.plain()) => {}
                    FileKind::Directory => todo.push((at, host.join(name))),
                    FileKind::Fifo => return wrong(WallProblem::Pipe { found: host.join(name) }),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether this user cannot even pass through a directory: then neither can the sandbox.
    fn out_of_reach(&self, directory: &Path) -> bool {
        let inside: PathBuf = directory.join("x");
        self.files.lstat(&inside).is_err_and(|error| error.raw_os_error() == Some(libc::EACCES))
    }
}
