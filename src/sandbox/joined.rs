//! Namespaces that are there already. init is cloned while the calling thread is in them, and inherits them.
//!
//! setns(2) asks for `CAP_SYS_ADMIN` in the user namespace that owns the other one, which init, in a user
//! namespace of its own, never has: only the caller can have it, and for its own, or it would not get back.
//! Of its threads only the calling one is moved, and back again before anything else is done. (To move
//! between ipc namespaces applies what `SEM_UNDO` has kept for that thread, semop(2).)

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::sys::statfs::{FsType, fstatfs};

use super::error::{Error, JoinProblem, StartError, Step};
use crate::{init, plan, sys};

/// `NSFS_MAGIC` of linux/magic.h.
const NSFS: FsType = FsType(0x6e73_6673);

/// Those of a run.
#[derive(Debug)]
pub(super) struct Joined(Vec<Namespace>);

#[derive(Debug)]
struct Namespace {
    name: &'static str,
    kind: CloneFlags,
    path: String,
    other: OwnedFd,
    number: u64,
    own: OwnedFd,
}

impl Joined {
    /// Opens them, and the calling thread's own of the same kinds.
    pub(super) fn open(wanted: &[plan::Joined]) -> Result<Self, Error> {
        wanted.iter().map(Namespace::open).collect::<Result<_, _>>().map(Self)
    }

    /// Their numbers, by name.
    pub(super) fn numbers(&self) -> Vec<(String, u64)> {
        self.0.iter().map(|namespace| (namespace.name.to_owned(), namespace.number)).collect()
    }

    /// Does something in them.
    ///
    /// # Errors
    /// One cannot be joined, or the thread could not get back: then it must not be used for anything that
    /// needs its own.
    pub(super) fn with<T>(&self, act: impl FnOnce() -> T) -> Result<T, Error> {
        // Where the thread would not get back it does not go: its own may be another user namespace's.
        for namespace in &self.0 {
            namespace.back()?;
        }
        let mut entered = Ok(());
        let mut inside = Vec::new();
        for namespace in &self.0 {
            entered = namespace.enter();
            if entered.is_err() {
                break;
            }
            inside.push(namespace);
        }
        let done = entered.map(|()| act());
        for namespace in inside {
            namespace.back()?;
        }
        done
    }
}

impl Namespace {
    fn open(wanted: &plan::Joined) -> Result<Self, Error> {
        let path = wanted.path.to_string_lossy().into_owned();
        let failed = |problem| failed(&path, problem);
        let look = |call| failed(JoinProblem::Look(call));
        // It may be anything: a FIFO would be waited for, a terminal taken.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let other = open(wanted.path.as_c_str(), flags, Mode::empty()).map_err(failed(JoinProblem::Open))?;
        if fstatfs(&other).map_err(look("fstatfs"))?.filesystem_type() != NSFS {
            return Err(error(&path, JoinProblem::NotOne, None));
        }
        // SAFETY: NS_GET_NSTYPE takes no argument and gives a number (ioctl_ns(2), Linux 4.11).
        let kind = Errno::result(unsafe { libc::ioctl(other.as_raw_fd(), NS_GET_NSTYPE) })
            .map_err(look("ioctl(NS_GET_NSTYPE)"))?;
        let known = init::NAMESPACES.iter().find(|(_, flag)| u64::from(flag.cast_unsigned()) == wanted.flag);
        let Some((name, flag)) = known.filter(|(_, flag)| *flag == kind) else {
            return Err(error(&path, JoinProblem::Kind, None));
        };
        let number = sys::fstat(std::os::fd::AsFd::as_fd(&other)).map_err(look("fstat"))?.st_ino;
        let own = format!("/proc/thread-self/ns/{name}");
        let own = open(own.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(Error::prepare(Step::Namespaces, "open", &own))?;
        let kind = CloneFlags::from_bits_truncate(*flag);
        Ok(Self { name, kind, path, other, number, own })
    }

    fn enter(&self) -> Result<(), Error> {
        setns(&self.other, self.kind).map_err(failed(&self.path, JoinProblem::Enter))
    }

    fn back(&self) -> Result<(), Error> {
        let unshare = match self.name {
            "net" => 'n',
            "ipc" => 'i',
            "uts" => 'u',
            _ => 'C',
        };
        setns(&self.own, self.kind).map_err(failed(&self.path, JoinProblem::Back { unshare }))
    }
}

fn error(path: &str, problem: JoinProblem, source: Option<Errno>) -> Error {
    StartError::Join { path: path.to_owned(), problem, source }.into()
}

/// For `map_err`.
fn failed(path: &str, problem: JoinProblem) -> impl FnOnce(Errno) -> Error {
    move |source| error(path, problem, Some(source))
}

/// `_IO(0xb7, 0x3)` of linux/nsfs.h.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
