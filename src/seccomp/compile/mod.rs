//! From a policy to a BPF program.
//!
//! The program looks at the architecture, then at the number: a balanced search over ranges of numbers that
//! share a verdict. Only a verdict with conditions loads arguments, so that the kernel's bitmap of
//! always-allowed calls (Linux 5.11, `seccomp_cache_prepare`) takes all the others, and such a call costs no
//! run of the filter at all.

mod assembler;
mod conditions;
mod dispatch;
mod error;
mod verdicts;

use super::{Arch, Policy, Program};
use assembler::Assembler;
pub use error::CompileError;

/// What is done about a name that no known system call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// Its part of the rule is left out, as container engines do; [`Compiled::skipped`] lists it.
    Skip,
    /// It is an error.
    Refuse,
}

/// A compiled policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compiled {
    /// The program.
    pub program: Program,
    /// Names that no known system call has, in the policy's order ([`Unknown::Skip`]). Names that only other
    /// architectures have are left out without a word.
    pub skipped: Vec<String>,
}

/// Compiles a policy for one architecture.
///
/// A call of any other architecture kills the process, and so does x32 on x86-64: their numbers mean other
/// calls. The number -1, by which a tracer skips a call, gets the default action. Among the rules that name a
/// call the first whose conditions all hold decides; if none does, the default.
///
/// # Errors
/// [`CompileError`]: an unknown name ([`Unknown::Refuse`]), an impossible condition or action, or a program
/// of more than 4096 instructions.
pub fn compile(policy: &Policy, arch: Arch, unknown: Unknown) -> Result<Compiled, CompileError> {
    let (verdicts, skipped) = verdicts::verdicts(policy, arch, unknown)?;
    let mut assembler = Assembler::new();
    let ranges = dispatch::ranges(&mut assembler, &verdicts, arch)?;
    let search = dispatch::search(&mut assembler, &ranges);
    dispatch::architecture(&mut assembler, search, arch);
    let program = assembler.finish().map_err(|instructions| verdicts.too_long(instructions))?;
    debug_assert_eq!(program.validate(), Ok(()));
    Ok(Compiled { program, skipped })
}
