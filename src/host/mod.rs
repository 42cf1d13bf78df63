//! What this kernel and this user can do: readings, and their diagnosis.

mod apparmor;
mod cause;
pub(crate) mod diagnose;
mod facts;
pub(crate) mod failure;
mod files;
pub mod kernel;
#[cfg(any(test, feature = "fuzzing"))]
mod memory_files;
pub(crate) mod namespace;
pub(crate) mod plain;
pub(crate) mod read;
mod remembered;
pub(crate) mod steps;
pub(crate) mod symptoms;

pub use cause::Cause;
pub use diagnose::{Diagnosis, capabilities_withheld, diagnose, kernel_for_namespaces};
pub use facts::{Facts, FactsError, HostLimit};
pub use failure::{Failure, Step};
pub use files::{FileKind, Files, Followed, RealFiles, Stat, Stopped};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use memory_files::MemoryFiles;
pub(crate) use remembered::Remembered;
pub use symptoms::{Container, Symptoms};
