//! What this kernel and this user can do: readings, their diagnosis, and the doctor that tries each layer.

mod apparmor;
mod cause;
mod diagnose;
mod facts;
mod failure;
mod files;
pub mod kernel;
mod namespace;
mod read;
mod symptoms;

pub use cause::Cause;
pub use diagnose::{Diagnosis, diagnose, kernel_for_namespaces};
pub use facts::{Facts, FactsError, HostLimit};
pub use failure::{Failure, Step};
pub use files::{FileKind, Files, Followed, MemoryFiles, RealFiles, Stat};
pub use symptoms::{Container, Symptoms};
