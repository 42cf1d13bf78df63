//! What this kernel and this user can do: readings, and their diagnosis.

pub(crate) mod diagnosis;
pub(crate) mod facts;
pub(crate) mod files;

#[cfg(feature = "doctor")]
pub use diagnosis::cause::Cause;
#[cfg(feature = "doctor")]
pub use diagnosis::diagnose::{Diagnosis, capabilities_withheld, diagnose, kernel_for_namespaces};
#[cfg(feature = "doctor")]
pub(crate) use diagnosis::failure;
#[cfg(feature = "doctor")]
pub use diagnosis::failure::{Failure, Step};
#[cfg(feature = "doctor")]
pub use diagnosis::symptoms::Symptoms;
#[cfg(feature = "doctor")]
pub(crate) use diagnosis::{apparmor, cause, diagnose, symptoms};
#[cfg(feature = "doctor")]
pub(crate) use facts::id_mapped;
pub(crate) use facts::subordinate::{NEWGIDMAP, NEWUIDMAP};
pub use facts::subordinate::{Subordinate, SubordinateError, SubordinateRange};
pub use facts::{Facts, FactsError, HostLimit};
pub(crate) use facts::{kernel, subordinate};
#[cfg(feature = "doctor")]
pub(crate) use facts::{namespace, read};
#[cfg(any(test, feature = "internals"))]
#[doc(hidden)]
pub use files::memory_files::MemoryFiles;
pub(crate) use files::remembered::Remembered;
pub use files::{FileKind, Files, Followed, RealFiles, Stat};
pub(crate) use files::{plain, steps};
