//! Plans for hosts in memory, without privileges.

mod decisions;
pub(super) mod fixtures;
mod links;
mod paths;
mod precedence;
mod programs;
mod walls;
