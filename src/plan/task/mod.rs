//! The task: its program, environment, descriptors, limits, and the rights it keeps.

pub(crate) mod cwd;
pub(crate) mod elf;
pub(crate) mod env;
pub(crate) mod filter;
pub(crate) mod kept;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod program;
pub(crate) mod program_problem;
