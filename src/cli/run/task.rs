//! What runs: a role, or a program.

use std::ffi::{OsStr, OsString};

use super::options::RunArgs;
use crate::cli::error::{Error, display_name};
use crate::sandbox::{Command, Sandbox};

/// What runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task<'a> {
    Role { name: &'a str, args: &'a [OsString] },
    Program { path: &'a OsString, args: &'a [OsString] },
}

/// The name of the built-in role on the command line.
const PROBE: &str = "probe";

impl RunArgs {
    /// Decides between a program and a role, by whether `--` comes first. clap does not keep that. `argv` is
    /// the whole command line.
    pub fn split_task(&mut self, argv: &[OsString]) -> Result<(), Error> {
        // The task is the end of `argv`.
        let before = argv.len().checked_sub(self.task.len() + 1).and_then(|at| argv.get(at));
        self.is_program = before.is_some_and(|word| word == OsStr::new("--"));
        self.task().map(drop)
    }

    pub(super) fn task(&self) -> Result<Task<'_>, Error> {
        let usage = |message: &str, hint: &str| Error::Usage {
            message: message.to_owned(),
            hints: vec![hint.to_owned(), "see belljar run --help".to_owned()],
        };
        match (self.is_program, self.task.as_slice()) {
            (true, []) => Err(usage("no command after --", "name one: belljar run -- COMMAND [ARGS]...")),
            (false, []) => Err(usage(
                "neither a role nor a command is given",
                "name one: belljar run ROLE [ARGS]..., or belljar run -- COMMAND [ARGS]...",
            )),
            (true, [path, args @ ..]) => Ok(Task::Program { path, args }),
            (false, [name, args @ ..]) => match name.to_str() {
                Some(name) => Ok(Task::Role { name, args }),
                None => {
                    Err(Error::UnknownRole { name: display_name(name), known: Vec::new(), command: None })
                }
            },
        }
    }
}

impl Task<'_> {
    /// An error for a role that does not exist.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Task::Role { name, args } = self else { return Ok(()) };
        known_role(name, args, std::iter::once(PROBE.to_owned()).chain(crate::reexec::roles()).collect())
    }

    pub(super) fn command<'a>(&self, sandbox: &'a Sandbox) -> Command<'a> {
        let (mut command, args) = match *self {
            Task::Role { name: PROBE, args } => (sandbox.role(crate::probe::ROLE), args),
            Task::Role { name, args } => (sandbox.role(name), args),
            Task::Program { path, args } => (sandbox.command(path), args),
        };
        command.own = matches!(self, Task::Role { name: PROBE, .. });
        command.args(args);
        command
    }
}

/// An unknown role is usually a program that lacks the `--`.
fn known_role(name: &str, args: &[OsString], known: Vec<String>) -> Result<(), Error> {
    if known.iter().any(|role| role == name) {
        return Ok(());
    }
    let more = args.get(1).map(|_| "...".to_owned());
    let words = std::iter::once(name.to_owned()).chain(args.iter().take(1).map(display_name)).chain(more);
    let command = words.collect::<Vec<_>>().join(" ");
    Err(Error::UnknownRole { name: name.to_owned(), known, command: Some(command) })
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
