//! The call: what is to run, with what, besides the profile.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::HookProgram;

/// One call of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// What runs.
    pub task: TaskRequest,
    /// Variables beyond the profile's: `Some` sets one, `None` passes the caller's on, if it is set.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The caller's environment, for variables that are passed on. Nothing else of it goes in.
    pub caller_env: BTreeMap<OsString, OsString>,
    /// Working directory inside; a relative one is joined to the caller's.
    pub cwd: Option<PathBuf>,
    /// Numbers, inside, of descriptors beyond 2 that the task gets.
    pub descriptors: Vec<i32>,
    /// Whether any descriptor that the task gets, the standard streams too, is a regular file.
    pub files_given: bool,
    /// Whether the task gets a terminal of its own.
    pub terminal: bool,
    /// Whether the caller takes the listener of a filter that notifies of system calls.
    pub seccomp_listener: bool,
    /// See [`Plan::hooks`](super::Plan::hooks).
    #[doc(hidden)]
    pub create_container: Vec<HookProgram>,
    /// See [`Task::hooks`](super::Task::hooks).
    #[doc(hidden)]
    pub start_container: Vec<HookProgram>,
}

/// What is asked to run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskRequest {
    /// A program, looked up as the sandbox sees it; its name first, then its arguments.
    Program {
        /// Name or path, and arguments.
        argv: Vec<OsString>,
    },
    /// A registered role. Its arguments become init's own `argv`; here they are only measured.
    Role {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Vec<OsString>,
    },
    /// A typed call, by offsets from the image's anchor.
    Function {
        /// The call's entry.
        entry: i64,
        /// The function.
        function: i64,
    },
}

impl Call {
    /// A call with nothing but a task.
    #[must_use]
    pub fn new(task: TaskRequest) -> Self {
        Self {
            task,
            env: Vec::new(),
            caller_env: BTreeMap::new(),
            cwd: None,
            descriptors: Vec::new(),
            files_given: false,
            terminal: false,
            seccomp_listener: false,
            create_container: Vec::new(),
            start_container: Vec::new(),
        }
    }

    /// A call of a program: its name or path, and its arguments.
    #[cfg(any(test, feature = "internals"))]
    #[must_use]
    pub fn program<I: Into<OsString>>(argv: impl IntoIterator<Item = I>) -> Self {
        Self::new(TaskRequest::Program { argv: argv.into_iter().map(Into::into).collect() })
    }

    /// Takes this process's environment as the caller's.
    #[must_use]
    pub fn with_caller_env(mut self) -> Self {
        self.caller_env = std::env::vars_os().collect();
        self
    }
}
