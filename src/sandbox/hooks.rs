//! What is done at points of a start and at its end: the points of OCI's runtime specification.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::error::Error;
use crate::plan::Call;
pub use crate::plan::HookProgram;

/// A function of the caller's. It gets the process id of the sandbox's init, on the host.
pub type HookFn = Arc<dyn Fn(u32) -> io::Result<()> + Send + Sync>;

/// Something to be done at a point of a start, in the order of the variants; those of one point in the order
/// in which they were given. Where one fails the start fails, and what there is of the sandbox ends. The
/// functions run in the caller's process, the programs in the sandbox's.
#[derive(Clone)]
#[non_exhaustive]
pub enum Hook {
    /// As `CreateRuntime`, before those.
    Prestart(HookFn),
    /// The namespaces are there and the root is built; the host's root is still there.
    CreateRuntime(HookFn),
    /// Then, by init, in the sandbox's namespaces and with init's rights; the path is the host's. What it
    /// leaves running is ended.
    CreateContainer(HookProgram),
    /// Before the task, within its walls, below its filter and in its control group; the path is the
    /// sandbox's.
    StartContainer(HookProgram),
    /// The task has started. Where it fails the task is ended.
    Poststart(HookFn),
    /// The sandbox is gone, also where it did not start. An error is logged.
    Poststop(HookFn),
}

impl Hook {
    /// OCI's name of the point.
    fn point(&self) -> &'static str {
        match self {
            Self::Prestart(_) => "prestart",
            Self::CreateRuntime(_) => "createRuntime",
            Self::CreateContainer(_) => "createContainer",
            Self::StartContainer(_) => "startContainer",
            Self::Poststart(_) => "poststart",
            Self::Poststop(_) => "poststop",
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.point())
    }
}

/// Adds the programs to the call.
pub(super) fn ask(hooks: &[Hook], call: &mut Call) {
    for hook in hooks {
        match hook {
            Hook::CreateContainer(program) => call.create_container.push(program.clone()),
            Hook::StartContainer(program) => call.start_container.push(program.clone()),
            _ => {}
        }
    }
}

/// Those of a sandbox whose init is there. Dropped, once the rest of it is gone, it calls the last ones.
#[derive(Debug)]
pub(super) struct Hooks {
    hooks: Vec<Hook>,
    pid: u32,
}

impl Hooks {
    pub(super) fn new(hooks: &[Hook], pid: i32) -> Self {
        Self { hooks: hooks.to_vec(), pid: pid.cast_unsigned() }
    }

    /// Whether init has to wait before the old root goes.
    pub(super) fn any_before_pivot(&self) -> bool {
        self.hooks.iter().any(|hook| matches!(hook, Hook::Prestart(_) | Hook::CreateRuntime(_)))
    }

    /// Calls prestart and createRuntime hooks.
    pub(super) fn root_built(&self) -> Result<(), Error> {
        self.call(|hook| if let Hook::Prestart(function) = hook { Some(function) } else { None })?;
        self.call(|hook| if let Hook::CreateRuntime(function) = hook { Some(function) } else { None })
    }

    /// Calls poststart hooks.
    pub(super) fn started(&self) -> Result<(), Error> {
        self.call(|hook| if let Hook::Poststart(function) = hook { Some(function) } else { None })
    }

    fn call(&self, wanted: impl Fn(&Hook) -> Option<&HookFn>) -> Result<(), Error> {
        self.hooks.iter().try_for_each(|hook| match wanted(hook) {
            Some(function) => {
                function(self.pid).map_err(|source| Error::Hook { point: hook.point(), source })
            }
            None => Ok(()),
        })
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        for hook in &self.hooks {
            if let Hook::Poststop(function) = hook
                && let Err(error) = function(self.pid)
            {
                log::error!("a poststop hook failed: {error}");
            }
        }
    }
}
