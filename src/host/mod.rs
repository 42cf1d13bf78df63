//! The host: what this kernel and this user can do, and what its file system holds.

mod facts;
mod files;

pub use facts::{Facts, FactsError, HostLimit};
pub use files::{FileKind, Files, Followed, MemoryFiles, RealFiles, Stat};
