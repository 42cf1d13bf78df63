//! The task: its program, environment, descriptors, limits, and the rights it keeps.

pub(super) mod cwd;
pub(super) mod elf;
pub(super) mod env;
pub(super) mod filter;
pub(super) mod kept;
pub(crate) mod limits;
pub(super) mod program;
