//! Profile × host × call → [`Plan`]: everything is decided, and everything that can be wrong is found, before
//! anything is built.
//!
//! A start decides first what needs no file, by which init can be on its way, and the rest while it is: init
//! does nothing that only the Plan decides before it has it, and ends where there is none.
//!
//! The resolution is a pure function of what it is given: the profile, the host's
//! [`Facts`](crate::host::Facts) and [`Files`](crate::host::Files), and the [`Call`]. init executes the plan
//! and chooses nothing.
//!
//! # The rules for paths
//!
//! **Precedence.** The most specific destination wins, in any order of the list: a mount at
//! `/usr/local/x` shows in a mount at `/usr`, read-only in writable and writable in read-only. At the *same*
//! destination the later mount of the list replaces the earlier (the call's come after the profile's); two
//! destinations that symlinks lead to one place are an error, and so is one that they lead to a place above
//! itself. The working directory (`workdir`) gives way to a bind mount at its own path and replaces anything
//! else there. Nodes are listed parents before children.
//!
//! **Missing.** A source that does not exist is an error; an `optional` one is left out, with a note, unless
//! its source or destination is below something that the task can write to on the host. A dangling symlink is
//! missing. A mount point that does not exist is made on the sandbox's own file systems, with parents of mode
//! 0755, and for a read-only root directory in a tmpfs over it (an overlay); where the host's own files are
//! shown or written to it must exist already, as nothing is created on the host. An overlay over a directory
//! that something is mounted in is refused: it would show what the mount hides.
//!
//! **Symlinks.** A source is followed once, by the caller, and written down as canonical path, device and
//! inode: init opens that without following anything, and stops if it is not the same file. Unless `symlinks`
//! says otherwise, only the system's own symlinks are followed: what an earlier run left in a directory that
//! it could write to must not lead the next one elsewhere. A symlink at a `system` source (`/bin -> usr/bin`)
//! is kept as it is, if inside it leads to the same file of the host with the same rights; else what it leads
//! to is mounted in its place. A destination is resolved inside, through the symlinks that the sandbox itself
//! will see, and never leaves the root; below `/proc` and `/dev` symlinks are refused.
//!
//! **Owners.** An ordinary user's sandbox has that user's rights. Where root is the caller, a source that
//! only root can reach is handed over by the caller; one that is writable, marked `idmap` or the working
//! directory shows its owner's files as the sandbox's own, so that what is written there keeps that owner.
//!
//! **Kinds.** A directory cannot cover a file, nor the reverse. Sources are files and directories; a
//! character device only below `/dev`; sockets, pipes and block devices never. A directory in which a bounded
//! look finds a socket or FIFO is refused or told of, as `sockets` says, where Landlock does not hold them. A
//! source that is, or is reached through, the host's `/proc` is refused.
//!
//! **Places.** `/` cannot be mounted over. At `/proc` only the sandbox's own procfs can be, and nothing below
//! it. Below `/dev` only devices, `/dev/shm` and `/dev/mqueue`.
//!
//! **Masks.** `maskedPaths` and `readonlyPaths` apply last. A mount at or below a masked path, or a
//! writable one at or below a read-only path, is a contradiction and an error. A symlink on the way to one is
//! an error, and so is one that is missing where the task could make it on the host (below `/proc` and `/sys`
//! it is merely absent).
//!
//! **Pins.** A directory of the host between a writable mount and a mount or mark below it is mounted onto
//! itself, so that it cannot be renamed: the next run finds every wall at its place.
//!
//! **Synthetic `/etc`.** Each file gives way to a mount over it; a mount at `/etc` replaces all of them. The
//! same holds for the directories of installed programs in it (`configuration`), and one that a mount is
//! asked for in is left out.
//!
//! **Working directory.** The call's, else the profile's, else the caller's where `workdir` shows it, or
//! where something is bound by name at its own path in it or above it, else `/tmp`, else `/`. `workdir` shows
//! the caller's, or the call's where that is not below the caller's and nothing else shows it. It must be a
//! directory inside, is written down without symlinks, and is never in `/proc` (CVE-2024-21626).
//!
//! **Lite** (no namespaces). A bind mount at its own path is a right to it. Everything else that only a mount
//! or a namespace can give is an error. TCP is refused by Landlock unless the system-call filter allows
//! internet sockets.

mod call;
mod check;
mod encode;
mod error;
mod identity;
mod model;
mod partial;
pub(crate) mod paths;
pub(crate) mod ranges;
mod resolve;
pub(crate) mod resources;
#[cfg(any(test, feature = "internals"))]
mod sample;
pub(crate) mod show;
pub(crate) mod task;
#[cfg(test)]
mod tests;

pub use call::{Call, TaskRequest};
pub use encode::MAX_ENCODED;
pub use error::PlanError;
pub use model::*;
pub(crate) use partial::PartialPlan;
#[cfg(any(test, feature = "internals"))]
pub use resolve::resolve;
pub use resolve::resolve_with_notes;
#[cfg(any(test, feature = "internals"))]
pub(crate) use sample::empty;
pub(crate) use show::note::NOTICE;
pub use show::note::Note;
#[cfg(test)]
pub(crate) use task::elf::sample as sample_elf;
