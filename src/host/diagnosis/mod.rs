//! Why the kernel refused, and what fixes it.

#[cfg(feature = "doctor")]
pub(crate) mod apparmor;
#[cfg(feature = "doctor")]
pub(crate) mod cause;
#[cfg(feature = "doctor")]
pub(crate) mod diagnose;
#[cfg(feature = "doctor")]
pub(crate) mod failure;
#[cfg(feature = "doctor")]
pub(crate) mod symptoms;
