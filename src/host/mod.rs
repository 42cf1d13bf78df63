//! What this kernel and this user can do: readings, their diagnosis, and the doctor that tries each layer.

mod apparmor;
mod cause;
mod diagnose;
pub mod doctor;
mod facts;
pub(crate) mod failure;
mod files;
mod finding;
pub mod kernel;
mod layer;
mod memory_files;
pub(crate) mod namespace;
pub(crate) mod plain;
pub(crate) mod read;
mod remembered;
mod report;
pub(crate) mod steps;
mod symptoms;
mod trial;

pub use cause::Cause;
pub use diagnose::{Diagnosis, capabilities_withheld, diagnose, kernel_for_namespaces};
pub use doctor::Doctor;
pub use facts::{Facts, FactsError, HostLimit};
pub use failure::{Failure, Step};
pub use files::{FileKind, Files, Followed, RealFiles, Stat, Stopped};
pub use finding::{Finding, State, Verdict};
pub use layer::{Layer, needed};
pub use memory_files::MemoryFiles;
pub(crate) use remembered::Remembered;
pub use symptoms::{Container, Symptoms};
