use thiserror::Error;

use crate::seccomp::program::MAX_INSTRUCTIONS;

/// A policy cannot be compiled.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A name that no known system call has.
    #[error("unknown system call {syscall:?}{}", hint(*nearest))]
    Unknown {
        /// The name.
        syscall: String,
        /// A system call with nearly that name.
        nearest: Option<&'static str>,
    },
    /// A group that was not expanded.
    #[error("group {group:?} is not expanded")]
    Group {
        /// The group.
        group: String,
    },
    /// A condition on an argument that no system call has.
    #[error("a condition on argument {index} of {syscall}: they are numbered 0 to 5")]
    Index {
        /// The system call.
        syscall: String,
        /// The index.
        index: u8,
    },
    /// Conditions that seccompiler refuses.
    #[error("the conditions of {syscall}")]
    Conditions {
        /// The system call.
        syscall: String,
        /// Why.
        source: seccompiler::BackendError,
    },
    /// An errno that no system call can return.
    #[error("errno {errno} for {syscall}: the kernel has none above 4095")]
    Errno {
        /// The system call, or `the default`.
        syscall: String,
        /// The number.
        errno: u16,
    },
    /// User notification without a listener: every such call would fail with `ENOSYS`.
    #[error("{syscall} is to be decided by a supervisor, but the filter's flags ask for no listener")]
    Notify {
        /// The system call, or `the default`.
        syscall: String,
    },
    /// The program would be too long for the kernel.
    #[error(
        "the filter has {instructions} or more instructions and the kernel takes {max} \
         ({syscall} has most of them, with {rules} rules)",
        max = MAX_INSTRUCTIONS
    )]
    TooLong {
        /// Instructions that there were when the compiler stopped.
        instructions: usize,
        /// The system call with the most rules.
        syscall: String,
        /// How many rules.
        rules: usize,
    },
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}
