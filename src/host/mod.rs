//! What this kernel and this user can do: readings, and their diagnosis.

pub(crate) mod diagnosis;
pub(crate) mod facts;
pub(crate) mod files;

#[cfg(feature = "doctor")]
pub use diagnosis::cause::Cause;
#[cfg(feature = "doctor")]
pub use diagnosis::diagnose::{Diagnosis, capabilities_withheld, diagnose, kernel_for_namespaces};
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub(crate) use diagnosis::failure;
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub use diagnosis::failure::{Failure, Step};
#[cfg(feature = "doctor")]
pub use diagnosis::symptoms::{Container, Symptoms};
#[cfg(feature = "doctor")]
pub(crate) use diagnosis::{apparmor, cause, diagnose, symptoms};
#[cfg(feature = "doctor")]
pub(crate) use facts::id_mapped;
pub(crate) use facts::subordinate::{NEWGIDMAP, NEWUIDMAP};
pub use facts::subordinate::{Subordinate, SubordinateError, SubordinateRange};
pub use facts::{Facts, FactsError, HostLimit};
pub(crate) use facts::{kernel, subordinate};
#[cfg(any(feature = "doctor", feature = "selftest"))]
pub(crate) use facts::{namespace, read};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use files::memory_files::MemoryFiles;
pub(crate) use files::remembered::Remembered;
pub use files::{FileKind, Files, Followed, RealFiles, Stat, Stopped};
pub(crate) use files::{plain, steps};
