//! System-call filters: groups, OCI JSON and the compiler. Pure; no kernel in reach.
//!
//! * [`groups`]: what a profile can name (`@file-system`, `@belljar-strict`, …), with the table of all names.
//! * [`oci::parse`]: Docker's and the OCI runtime-spec's JSON profiles.
//! * [`compile()`]: a [`Policy`] to a [`Program`] of BPF instructions.
//! * [`Program::evaluate`], [`Program::constant`], [`Program::validate`]: what the kernel would do with it.

mod arch;
mod compile;
mod errno;
pub mod groups;
mod interpret;
pub mod names;
pub mod oci;
mod packed;
mod policy;
mod program;
mod rules;
mod tables;
mod validate;

pub use arch::Arch;
pub use compile::{CompileError, Compiled, Unknown, compile};
pub use errno::errno;
pub use interpret::{Data, EvaluateError};
pub use policy::{Action, Condition, Op, Policy, Rule};
pub use program::{Instruction, Program};
pub use rules::Rules;
pub use validate::ValidateError;
