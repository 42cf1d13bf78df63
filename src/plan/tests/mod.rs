//! Plans for hosts in memory, without privileges.

mod decisions;
mod fixtures;
mod paths;
mod precedence;
mod programs;
mod walls;
