//! What this kernel and this user can do: readings, their diagnosis, and the doctor that tries each layer.

mod apparmor;
mod cause;
mod diagnose;
pub mod doctor;
mod failure;
mod finding;
pub mod kernel;
mod layer;
pub(crate) mod namespace;
pub(crate) mod read;
mod report;
mod symptoms;
mod trial;

pub use cause::Cause;
pub use diagnose::{Diagnosis, diagnose, kernel_for_namespaces};
pub use doctor::Doctor;
pub(crate) use failure::errno_name;
pub use failure::{Failure, Step};
pub use finding::{Finding, State, Verdict};
pub use layer::{Layer, needed};
pub use symptoms::{Container, Symptoms};
