//! Profiles: what a sandbox is asked to be.

mod model;

pub use model::*;
