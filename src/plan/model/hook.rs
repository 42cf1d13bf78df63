//! Programs that run at points of the start.

use std::ffi::CString;

use serde::{Deserialize, Serialize};

/// A program that runs at a point of the start (OCI's `hook`). The start fails unless it ends with status 0.
/// Its standard input is empty; what it writes to standard output goes to standard error, which is the
/// task's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct HookProgram {
    /// What is executed: an absolute path.
    pub path: CString,
    /// Its arguments, `argv[0]` first.
    pub argv: Vec<CString>,
    /// Its whole environment, `K=V`.
    pub env: Vec<CString>,
    /// How long it may take, milliseconds; it is killed then. `None`: as long as it likes.
    pub timeout_ms: Option<u64>,
}
