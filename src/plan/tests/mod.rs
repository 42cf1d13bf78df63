//! Plans for hosts in memory, without privileges.

mod callers;
mod decisions;
mod filesystems;
pub(super) mod fixtures;
mod held;
mod links;
mod paths;
mod precedence;
mod programs;
mod sources;
mod walls;
