use std::fmt;

use thiserror::Error;

use super::{MAX_RULES, MAX_SIZE};
use crate::text::Escaped;

/// What serde_json says: it repeats unknown keys and words as they are, so they are escaped here.
#[derive(Debug)]
pub struct SyntaxError(pub(super) Box<serde_json::Error>);

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.0.to_string()))
    }
}

impl std::error::Error for SyntaxError {}

/// A JSON profile cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OciError {
    /// More than 1 MiB.
    #[error("a seccomp profile has at most {max} bytes, not {size}", max = MAX_SIZE)]
    Size {
        /// Its size in bytes.
        size: usize,
    },
    /// Not JSON, an unknown key or word, or a value of the wrong type.
    #[error("line {line}, column {column}: not a seccomp profile")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        source: SyntaxError,
    },
    /// Too many rules.
    #[error("the profile has more than {max} rules", max = MAX_RULES)]
    TooManyRules,
    /// Both `architectures` (OCI) and `archMap` (Docker).
    #[error("architectures and archMap exclude each other")]
    Architectures,
    /// `name` and `names`, or neither.
    #[error("{place}: give either name or names")]
    Names {
        /// Where.
        place: Place,
    },
    /// An errno with an action that has none, or one above 4095.
    #[error("{place}: errno {errno} does not go with the action (ERRNO and TRACE have one, up to 4095)")]
    Errno {
        /// Where.
        place: Place,
        /// The number.
        errno: u32,
    },
    /// An argument that no system call has.
    #[error("{place}: argument {index}, they are numbered 0 to 5")]
    Index {
        /// Where.
        place: Place,
        /// The index.
        index: u32,
    },
    /// `SCMP_ACT_NOTIFY` as the default action, or a flag for it without an entry that has it.
    #[error(
        "{place}: SCMP_ACT_NOTIFY is for entries, not the default, and the flags for it need such an entry"
    )]
    Notify {
        /// Where.
        place: Place,
    },
    /// A name that no known system call has; only where unknown names are refused.
    #[error("{place}: unknown system call {name:?}{}", hint(*nearest))]
    Unknown {
        /// Where.
        place: Place,
        /// The name.
        name: String,
        /// A system call with nearly that name.
        nearest: Option<&'static str>,
    },
    /// Two conditions on one argument; only where unknown names are refused.
    #[error("{place}: several conditions on argument {index}: container engines take any of them as enough")]
    Repeated {
        /// Where.
        place: Place,
        /// The argument.
        index: u8,
    },
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

/// Where in the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The default action.
    Default,
    /// The filter's flags.
    Flags,
    /// An entry of `syscalls`, from 0.
    Entry(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("defaultAction"),
            Self::Flags => f.write_str("flags"),
            Self::Entry(at) => write!(f, "syscalls[{at}]"),
        }
    }
}
