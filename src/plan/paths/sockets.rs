//! Sockets and FIFOs of the host in what is shown: a task that reaches one talks to a process outside.
//!
//! Before Landlock's ABI 9 nothing holds a connection to a socket by its path but the socket's own mode, and
//! a read-only mount does not either. The look is bounded: it finds what is in plain sight, not what
//! is hidden on purpose.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::host::{Facts, FileKind, Files};
use crate::plan::error::{PlanError, SocketsFound};
use crate::plan::show::note::Note;
use crate::profile::{Profile, Sockets};

/// How far below the directory is looked.
const DEPTH: usize = 3;
/// How many entries are looked at.
const ENTRIES: usize = 1024;
/// The first ABI of Landlock that holds sockets by their paths.
const LANDLOCK_HOLDS: u32 = 9;
/// Where programs keep their sockets.
const PLACES: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

/// What is looked for, and what is done then.
pub(crate) struct Look<'a> {
    sockets: Sockets,
    places: Vec<PathBuf>,
    files: &'a dyn Files,
}

impl<'a> Look<'a> {
    /// `None` where nothing is looked for.
    pub fn new(
        profile: &Profile,
        facts: &Facts,
        caller_env: &BTreeMap<OsString, OsString>,
        files: &'a dyn Files,
    ) -> Option<Self> {
        let held = profile.landlock.require && facts.landlock_abi.is_some_and(|abi| abi >= LANDLOCK_HOLDS);
        if held || profile.sockets == Sockets::Allow {
            return None;
        }
        let variable =
            |name| caller_env.get(OsStr::new(name)).map(Path::new).filter(|path| path.is_absolute());
        let callers = ["HOME", "XDG_RUNTIME_DIR"].into_iter().filter_map(variable);
        // A place that is not there, or out of reach, is shown by nothing.
        let places = PLACES.into_iter().map(Path::new).chain(callers);
        let places = places.filter_map(|path| files.canonicalize(path).ok());
        Some(Self {
            sockets: profile.sockets,
            places: places.filter(|path| path != Path::new("/")).collect(),
            files,
        })
    }

    /// Looks at a directory of the host that is to be shown.
    pub fn at(&self, path: &Path, destination: &Path, notes: &mut Vec<Note>) -> Result<(), PlanError> {
        let Some(found) = self.find(path) else { return Ok(()) };
        let path = path.to_owned();
        if self.sockets == Sockets::Refuse {
            return Err(PlanError::Sockets { path, destination: destination.to_owned(), found });
        }
        notes.push(Note::Sockets { path, found });
        Ok(())
    }

    fn find(&self, top: &Path) -> Option<SocketsFound> {
        if let Some(place) = self.places.iter().find(|place| place.starts_with(top)) {
            return Some(SocketsFound::Place(place.clone()));
        }
        let mut rest = ENTRIES;
        let mut todo = VecDeque::from([(top.to_owned(), 1)]);
        while let Some((directory, depth)) = todo.pop_front() {
            // What the caller cannot list is passed over, as is what is beyond the bounds.
            for (name, kind) in self.files.list(&directory, rest).unwrap_or_default() {
                rest -= 1;
                match kind {
                    FileKind::Socket | FileKind::Fifo => {
                        return Some(SocketsFound::File { path: directory.join(name), kind });
                    }
                    FileKind::Directory if depth < DEPTH => todo.push_back((directory.join(name), depth + 1)),
                    _ => {}
                }
            }
            if rest == 0 {
                break;
            }
        }
        None
    }
}
