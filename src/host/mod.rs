//! The host: what this kernel and this user can do, and what its file system holds.

mod facts;
mod files;
mod memory_files;

pub use facts::{Facts, FactsError, HostLimit};
pub use files::{FileKind, Files, Followed, RealFiles, Stat};
pub use memory_files::MemoryFiles;
