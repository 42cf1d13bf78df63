//! What this kernel and this user can do: readings, and their diagnosis.

#[cfg(feature = "doctor")]
mod apparmor;
#[cfg(feature = "doctor")]
mod cause;
#[cfg(feature = "doctor")]
pub(crate) mod diagnose;
mod facts;
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub(crate) mod failure;
mod files;
#[cfg(feature = "doctor")]
pub(crate) mod id_mapped;
pub mod kernel;
#[cfg(any(test, feature = "fuzzing"))]
mod memory_files;
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub(crate) mod namespace;
pub(crate) mod plain;
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub(crate) mod read;
mod remembered;
pub(crate) mod steps;
mod subordinate;
#[cfg(feature = "doctor")]
pub(crate) mod symptoms;

#[cfg(feature = "doctor")]
pub use cause::Cause;
#[cfg(feature = "doctor")]
pub use diagnose::{Diagnosis, capabilities_withheld, diagnose, kernel_for_namespaces};
pub use facts::{Facts, FactsError, HostLimit};
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub use failure::{Failure, Step};
pub use files::{FileKind, Files, Followed, RealFiles, Stat, Stopped};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use memory_files::MemoryFiles;
pub(crate) use remembered::Remembered;
pub(crate) use subordinate::{NEWGIDMAP, NEWUIDMAP};
pub use subordinate::{Subordinate, SubordinateError, SubordinateRange};
#[cfg(feature = "doctor")]
pub use symptoms::{Container, Symptoms};
