//! System-call filters: a [`Policy`] as the kernel takes it. Pure; no kernel in reach.
//!
//! What a sandbox needs of it is said in a profile (`seccomp.syscalls`, `seccomp.profile`); this is for a
//! program that loads a filter itself.
//!
//! * [`parse_oci`]: Docker's and the OCI runtime-spec's JSON profiles.
//! * [`compile()`]: a [`Policy`] to a [`Program`] of BPF instructions.

mod arch;
mod compile;
pub(crate) mod errno;
pub(crate) mod groups;
pub(crate) mod interpret;
pub(crate) mod names;
pub(crate) mod oci;
mod packed;
mod policy;
mod program;
pub(crate) mod rules;
mod tables;
pub(crate) mod validate;

pub use arch::Arch;
pub use compile::{CompileError, Compiled, Unknown, compile};
pub(crate) use errno::errno;
pub(crate) use interpret::Data;
pub use oci::{Context as OciContext, OciError, parse as parse_oci};
pub use policy::{Action, Condition, Op, Policy, Rule};
pub use program::{Instruction, Program};
pub(crate) use rules::Rules;
