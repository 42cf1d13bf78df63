//! [`command()`]: a role as a child process, with `std::process::Command`'s habits.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError, OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use super::launch::{Launch, launch};
use super::launch_error::LaunchError;
use super::process::Child;
use super::registry;
use super::stdio::{Prepared, Stdio, Stream};
use crate::capability::CapabilitySet;

/// How long a child may take until it is in its role. Its own guard ends it well before.
const READY: Duration = Duration::from_secs(10);

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No such role.
    #[error("cannot run role {role:?}")]
    Role {
        /// The role's name.
        role: String,
        /// Why: none, or more than one, has the name.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The name is one of belljar's own.
    #[error("role {role:?} is belljar's own and cannot be run by name")]
    Reserved {
        /// The role's name.
        role: String,
    },
    /// An argument, a variable or the working directory has a NUL byte.
    #[error("{what} of role {role:?} has a NUL byte")]
    Nul {
        /// The role's name.
        role: String,
        /// Which of them.
        what: &'static str,
    },
    /// A standard stream could not be made ready.
    #[error("cannot prepare standard {stream} of role {role:?} (pipe, or /dev/null)")]
    Stdio {
        /// The role's name.
        role: String,
        /// Which: `input`, `output` or `error`.
        stream: String,
        /// From the kernel.
        source: io::Error,
    },
    /// It could not be started.
    #[error("cannot start role {role:?}")]
    Launch {
        /// The role's name.
        role: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Waiting for it, or reading its output, failed.
    #[error("cannot wait for role {role:?}")]
    Wait {
        /// The role's name.
        role: String,
        /// From the kernel.
        source: io::Error,
    },
}

/// A role to be run in a fresh process of this program; made by [`command()`].
///
/// The habits are those of [`std::process::Command`]; what differs:
///
/// * The child inherits the standard streams and nothing else: no other descriptor reaches it, close-on-exec
///   or not.
/// * By default it ends (`SIGKILL`) when this process does, however that happens: see
///   [`death_with_parent`](Command::death_with_parent).
/// * [`spawn`](Command::spawn) returns when the child has reached [`init`](super::init), and fails if it does
///   not.
#[derive(Debug)]
pub struct Command {
    role: String,
    /// It may be one of belljar's own.
    /// Whether one of belljar's own roles is meant.
    pub(crate) own: bool,
    args: Vec<OsString>,
    clear_env: bool,
    env: BTreeMap<OsString, Option<OsString>>,
    cwd: Option<PathBuf>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    death_with_parent: bool,
}

/// Runs a registered role in a fresh process of this program.
///
/// The role sees its name as `argv[0]` and the arguments after it ([`std::env::args`]).
///
/// ```standalone_crate
/// fn shout() {
///     let words: Vec<String> = std::env::args().skip(1).collect();
///     println!("{}!", words.join(" ").to_uppercase());
/// }
/// belljar::role!("shout", shout);
///
/// fn main() -> Result<(), belljar::reexec::CommandError> {
///     belljar::init();
///     let output = belljar::reexec::command("shout").args(["mind", "the", "gap"]).output()?;
///     assert_eq!(output.stdout, b"MIND THE GAP!\n");
///     Ok(())
/// }
/// ```
pub fn command(role: impl Into<String>) -> Command {
    Command {
        role: role.into(),
        own: false,
        args: Vec::new(),
        clear_env: false,
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        stdout: None,
        stderr: None,
        death_with_parent: true,
    }
}

impl Command {
    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Command {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Sets a variable; the others are inherited.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.env.insert(key.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets variables.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Command {
        for (key, value) in variables {
            self.env(key, value);
        }
        self
    }

    /// Does not hand a variable on.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Command {
        self.env.insert(key.as_ref().to_owned(), None);
        self
    }

    /// Hands no variable on but those that are set after this.
    pub fn env_clear(&mut self) -> &mut Command {
        self.clear_env = true;
        self.env.clear();
        self
    }

    /// Starts in this directory instead of the caller's.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.cwd = Some(directory.as_ref().to_owned());
        self
    }

    /// Standard input; inherited if nothing is said ([`output`](Command::output): `/dev/null`).
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.stdin = Some(stdio.into());
        self
    }

    /// Standard output; inherited if nothing is said ([`output`](Command::output): a pipe).
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.stdout = Some(stdio.into());
        self
    }

    /// Standard error; inherited if nothing is said ([`output`](Command::output): a pipe).
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.stderr = Some(stdio.into());
        self
    }

    /// Does the child end when this process does; yes if nothing is said.
    ///
    /// "This process", not the thread that calls [`spawn`](Command::spawn): the well-known way,
    /// `PR_SET_PDEATHSIG` (prctl(2)), follows the *thread*, and kills children of a pool's threads early. It
    /// is set as well, but only when the main thread launches. What holds always is a socket between the two:
    /// the kernel kills the child when the last copy of the parent's end is closed. A copy that `fork(2)`
    /// made without an exec keeps the child alive. The child's role loses that tie when it executes another
    /// program.
    pub fn death_with_parent(&mut self, yes: bool) -> &mut Command {
        self.death_with_parent = yes;
        self
    }

    /// Starts the role, with the caller's standard streams if nothing else was said.
    ///
    /// # Errors
    /// The role is not registered, the process could not be made, or the program did not reach
    /// [`init`](super::init) in it.
    pub fn spawn(&mut self) -> Result<Child, CommandError> {
        self.start(Stdio::inherit, Stdio::inherit)
    }

    /// Runs the role and waits for its end.
    ///
    /// # Errors
    /// As for [`spawn`](Command::spawn).
    pub fn status(&mut self) -> Result<ExitStatus, CommandError> {
        let mut child = self.spawn()?;
        child.wait().map_err(|source| self.wait_error(source))
    }

    /// Runs the role, waits for its end, and collects its output.
    ///
    /// # Errors
    /// As for [`spawn`](Command::spawn).
    pub fn output(&mut self) -> Result<Output, CommandError> {
        let child = self.start(Stdio::null, Stdio::piped)?;
        child.wait_with_output().map_err(|source| self.wait_error(source))
    }

    fn wait_error(&self, source: io::Error) -> CommandError {
        CommandError::Wait { role: self.role.clone(), source }
    }

    fn start(&self, input: fn() -> Stdio, output: fn() -> Stdio) -> Result<Child, CommandError> {
        let role = || self.role.clone();
        if registry::is_reserved(&self.role) && !self.own {
            return Err(CommandError::Reserved { role: role() });
        }
        // The child would refuse too, but here the error costs no process and lists the names.
        registry::find(&self.role)
            .map_err(|source| CommandError::Role { role: role(), source: source.into() })?;

        let nul = |what| move |_: NulError| CommandError::Nul { role: role(), what };
        let argv = std::iter::once(OsStr::new(&self.role))
            .chain(self.args.iter().map(OsString::as_os_str))
            .map(|arg| CString::new(arg.as_bytes()))
            .collect::<Result<Vec<CString>, _>>()
            .map_err(nul("an argument"))?;
        let env = self.environment().map_err(nul("a variable"))?;
        let cwd = match &self.cwd {
            Some(path) => {
                Some(CString::new(path.as_os_str().as_bytes()).map_err(nul("the working directory"))?)
            }
            None => None,
        };

        // So that no descriptor that is made here is one of them.
        crate::sys::streams::fill().map_err(|source| CommandError::Stdio {
            role: role(),
            stream: Stream::Stdin.to_string(),
            source,
        })?;
        let (default_input, default_output) = (input(), output());
        let stdin = self.prepare(self.stdin.as_ref().unwrap_or(&default_input), Stream::Stdin)?;
        let stdout = self.prepare(self.stdout.as_ref().unwrap_or(&default_output), Stream::Stdout)?;
        let stderr = self.prepare(self.stderr.as_ref().unwrap_or(&default_output), Stream::Stderr)?;

        let failed = |source: LaunchError| CommandError::Launch { role: role(), source: source.into() };
        let launched = launch(&Launch {
            role: &self.role,
            payload: &[],
            argv: &argv,
            env: &env,
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            extra: &[],
            clone_flags: 0,
            raise_capabilities: CapabilitySet::EMPTY,
            cwd: cwd.as_deref(),
            death_signal: self.death_with_parent,
            death_watch: self.death_with_parent,
            new_session: false,
            cgroup: None,
        })
        .map_err(failed)?;
        launched.wait_ready(READY).map_err(failed)?;
        Ok(Child::new(
            launched,
            stdin.into_ours().map(Into::into),
            stdout.into_ours().map(Into::into),
            stderr.into_ours().map(Into::into),
        ))
    }

    fn prepare<'a>(&self, stdio: &'a Stdio, stream: Stream) -> Result<Prepared<'a>, CommandError> {
        stdio.prepare(stream).map_err(|source| CommandError::Stdio {
            role: self.role.clone(),
            stream: stream.to_string(),
            source,
        })
    }

    /// `NAME=value` of the caller's variables and the changes to them.
    fn environment(&self) -> Result<Vec<CString>, NulError> {
        let mut all: BTreeMap<OsString, OsString> =
            if self.clear_env { BTreeMap::new() } else { std::env::vars_os().collect() };
        for (key, value) in &self.env {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        all.into_iter()
            .map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect()
    }
}
