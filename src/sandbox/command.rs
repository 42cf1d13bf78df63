//! A task to be run in a sandbox, with the habits of `std::process::Command`.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::Sandbox;
use super::accepted::{self, Accepted};
use super::child::{Child, Output};
use super::created::Created;
use super::dry_run::DryRun;
use super::error::{Error, Step};
use super::hooks::{self, Hook};
use super::joined::Joined;
use super::kill_handle::KillHandle;
use super::lent::Lent;
use super::relay::{Limit, Relay, Stream as Relayed};
use super::spawn::{self, Handed, errno_of};
use super::supervisor::Supervisor;
use super::timing::Stopwatch;
use crate::host::Facts;
use crate::plan::{self, Call, Note, PartialPlan, Plan, TaskRequest};
use crate::profile::IdMap;
use crate::reexec::{self, LookupError, Prepared, Stdio, Stream};

/// A program or a role to be run in a [`Sandbox`].
#[derive(Debug)]
pub struct Command<'a> {
    sandbox: &'a Sandbox,
    task: TaskRequest,
    env: Vec<(OsString, Option<OsString>)>,
    cwd: Option<PathBuf>,
    stdio: [Option<Stdio>; 3],
    kept: Vec<(OwnedFd, i32)>,
    terminal: bool,
    /// One that was started before, to go on with.
    pub(crate) stopwatch: Option<Stopwatch>,
    /// Whether the outcome has the hashes: to make them takes as long as some walls, and only a report shows
    /// them.
    pub(crate) hashes: bool,
    /// Whether a descriptor of any kind may be given: for the selftest, which shows what each would let
    /// through.
    #[cfg(feature = "cli")]
    pub(crate) every_kind: bool,
    /// See [`more_tasks`](Self::more_tasks).
    more_tasks: bool,
    seccomp_listener: bool,
    hooks: Vec<Hook>,
    /// Whether one of belljar's own roles is meant.
    pub(crate) own: bool,
    /// Changes the plan before init gets it: for the selftest, which takes away by it what no profile can.
    #[cfg(feature = "cli")]
    pub(crate) amend: Option<fn(&mut Plan)>,
}

/// The standard streams of a task.
pub(super) struct Streams {
    /// The task's.
    pub(super) ends: [OwnedFd; 3],
    /// The caller's ends of those that are piped.
    pub(super) ours: [Option<OwnedFd>; 3],
    /// Those that are the caller's terminal.
    pub(super) lent: Lent,
}

const STREAMS: [Stream; 3] = [Stream::Stdin, Stream::Stdout, Stream::Stderr];

impl<'a> Command<'a> {
    pub(super) fn new(sandbox: &'a Sandbox, task: TaskRequest) -> Self {
        Self {
            sandbox,
            task,
            env: Vec::new(),
            cwd: None,
            stdio: [const { None }; 3],
            kept: Vec::new(),
            terminal: false,
            stopwatch: None,
            hashes: true,
            #[cfg(feature = "cli")]
            every_kind: false,
            more_tasks: false,
            seccomp_listener: false,
            hooks: Vec::new(),
            own: false,
            #[cfg(feature = "cli")]
            amend: None,
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        let arg = arg.as_ref().to_owned();
        match &mut self.task {
            TaskRequest::Program { argv } => argv.push(arg),
            TaskRequest::Role { args, .. } => args.push(arg),
            TaskRequest::Function { .. } => {}
        }
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Sets a variable inside. Nothing of the caller's environment goes in but what the profile or
    /// [`env_pass`](Self::env_pass) names.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Passes a variable of the caller's on, if it is set.
    pub fn env_pass(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.env.push((key.as_ref().to_owned(), None));
        self
    }

    /// The working directory inside.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Standard input; inherited by default, except for [`output`](Self::output), where it is `/dev/null`.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.stdio[0] = Some(stdio.into());
        self
    }

    /// Standard output; inherited by default, except for [`output`](Self::output), where it is piped.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.stdio[1] = Some(stdio.into());
        self
    }

    /// Standard error; inherited by default, except for [`output`](Self::output), where it is piped.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.stdio[2] = Some(stdio.into());
        self
    }

    /// Gives the task a descriptor beyond 2, under the given number. Everything that is not named is closed.
    ///
    /// Regular files, pipes, terminals, ordinary unix(7) and ip(7) sockets and `/dev/null` and the like are
    /// accepted; of other kinds the start is refused ([`Error::DescriptorKind`]).
    pub fn keep_fd(&mut self, fd: impl Into<OwnedFd>, number: i32) -> &mut Self {
        self.kept.push((fd.into(), number));
        self
    }

    /// Gives the task a terminal of its own, of the sandbox's `/dev/pts`, as its three standard streams: none
    /// of them may be set ([`Error::Terminal`]). The caller's end is [`Child::terminal`], which
    /// [`output`](Self::output) does not read: it is refused. Its size is that of the caller's terminal, if one
    /// of the caller's standard streams is one. A profile without a devpts, and one with a limit of output, are
    /// refused.
    pub fn terminal(&mut self, on: bool) -> &mut Self {
        self.terminal = on;
        self
    }

    /// Lets more tasks follow in the same sandbox, by [`Child::exec`], as long as this one runs. init then
    /// keeps what it takes to start them: the capabilities SETPCAP and SYS_ADMIN in the sandbox's own user
    /// namespace, where otherwise it keeps none.
    pub fn more_tasks(&mut self, on: bool) -> &mut Self {
        self.more_tasks = on;
        self
    }

    /// Takes the listener of a filter that notifies of system calls: rules with the action `notify`
    /// (`SCMP_ACT_NOTIFY`). Without this such a profile is refused. The listener is
    /// [`Child::seccomp_listener`], and `None` where the filter notifies of nothing. It has to be served, or
    /// what is notified of waits until the run ends. The `execve` that starts the program is let through
    /// before; every other call is the owner's to answer.
    pub fn seccomp_listener(&mut self, on: bool) -> &mut Self {
        self.seccomp_listener = on;
        self
    }

    /// Adds what is done at a point of the start; see [`Hook`].
    #[doc(hidden)]
    pub fn hook(&mut self, hook: Hook) -> &mut Self {
        self.hooks.push(hook);
        self
    }

    fn planned(&self, files_given: bool) -> Result<(Plan, Vec<Note>), Error> {
        let (call, facts) = (Call { files_given, ..self.call() }, self.facts()?);
        let files = crate::host::Remembered::new(&crate::host::RealFiles);
        Ok(plan::resolve_with_notes(&self.sandbox.profile, &facts, &files, &call)?)
    }

    pub(super) fn facts(&self) -> Result<Facts, Error> {
        let facts = Facts::detect()?;
        let has_ranges = self.sandbox.profile.uid_mappings != IdMap::One;
        Ok(if has_ranges && facts.uid != 0 { facts.with_subordinate() } else { facts })
    }

    pub(super) fn call(&self) -> Call {
        let mut call = Call::new(self.task.clone()).with_caller_env();
        call.env.clone_from(&self.env);
        call.cwd.clone_from(&self.cwd);
        call.descriptors = self.kept.iter().map(|(_, number)| *number).collect();
        call.descriptors.sort_unstable();
        call.terminal = self.terminal;
        call.seccomp_listener = self.seccomp_listener;
        hooks::ask(&self.hooks, &mut call);
        call
    }

    /// What would be done: everything is decided and checked, and whether the control group can be made that
    /// is asked for, and the namespaces joined, by the calling thread, which comes back. Nothing is started, and
    /// nothing is made.
    ///
    /// # Errors
    /// [`Error::Profile`], [`Error::Plan`], [`Error::Cgroup`]: the profile cannot be had on this host, or for
    /// this task.
    pub fn dry_run(&self) -> Result<DryRun, Error> {
        self.check_terminal()?;
        let mut files = self.accept_kept()?;
        let inherited = Stdio::inherit();
        // A terminal of its own takes the place of all three.
        for (stdio, stream) in self.stdio.iter().zip(STREAMS).filter(|_| !self.terminal) {
            let end = stdio.as_ref().unwrap_or(&inherited).prepare(stream).map_err(|source| {
                Error::prepare(Step::Descriptors, "open", "standard streams")(errno_of(&source))
            })?;
            files |= accept(end.as_fd(), || format!("standard {stream}"))? == Accepted::File;
        }
        let (plan, mut notes) = self.planned(files)?;
        Joined::open(&plan.walls.joined)?.with(|| ())?;
        if let Some(cgroup) = &plan.cgroup {
            let parents = crate::cgroup::look(cgroup)?;
            notes.push(Note::ControlGroup { parents });
        }
        Ok(DryRun { plan, notes })
    }

    /// Starts the task. Once this returns, all walls stand and were read back, and the program was executed.
    ///
    /// # Errors
    /// Anything that stands in the way. Nothing untrusted has run then, and nothing is left behind.
    pub fn spawn(&mut self) -> Result<Child, Error> {
        self.spawn_supervised(&mut ())
    }

    /// Has the walls built, and starts nothing within them. The caller may do meanwhile what it likes with
    /// the sandbox (hooks, its network, its control group); [`Created::start`] starts the task.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn create(&mut self) -> Result<Created, Error> {
        let supervisor = &mut ();
        let created = self.build([Stdio::inherit, Stdio::inherit, Stdio::inherit], None, true, supervisor)?;
        created.built.wait(supervisor)?;
        Ok(created)
    }

    /// Runs the task to its end and gives its status.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_outcome`].
    pub fn status(&mut self) -> Result<ExitStatus, Error> {
        self.spawn()?.wait()
    }

    /// Runs the task to its end and gives what it wrote: all of it, however much, unless
    /// [`Limits::output`](super::Limits::output) is set.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    pub fn output(&mut self) -> Result<Output, Error> {
        if self.terminal {
            return Err(Error::Terminal {
                problem: "output() does not read it: spawn, and read Child::terminal",
            });
        }
        self.spawn_with([Stdio::null, Stdio::piped, Stdio::piped], None, &mut ())?.wait_with_output()
    }

    /// As [`spawn`](Self::spawn), for a caller that has something to do meanwhile.
    pub(crate) fn spawn_supervised(&mut self, supervisor: &mut dyn Supervisor) -> Result<Child, Error> {
        self.spawn_with([Stdio::inherit, Stdio::inherit, Stdio::inherit], None, supervisor)
    }

    pub(super) fn spawn_with(
        &mut self,
        defaults: [fn() -> Stdio; 3],
        call: Option<(OwnedFd, OwnedFd)>,
        supervisor: &mut dyn Supervisor,
    ) -> Result<Child, Error> {
        self.build(defaults, call, false, supervisor)?.run(supervisor)
    }

    /// Has the walls built; with `hold` init stops there.
    fn build(
        &mut self,
        defaults: [fn() -> Stdio; 3],
        call: Option<(OwnedFd, OwnedFd)>,
        hold: bool,
        supervisor: &mut dyn Supervisor,
    ) -> Result<Created, Error> {
        if let TaskRequest::Role { name, .. } = &self.task {
            // Looked up here too, where the error can say what there is.
            if reexec::is_reserved(name) && !self.own {
                return Err(LookupError::unknown(name).into());
            }
            reexec::find(name)?;
        }
        self.check_terminal()?;
        super::spawn::fill_streams()?;
        let mut stopwatch = self.stopwatch.take().unwrap_or_else(Stopwatch::start);
        let (asked, facts) = (self.call(), self.facts()?);
        let mut partial = PartialPlan::new(&self.sandbox.profile, &facts, &asked)?;
        stopwatch.mark("decisions");
        let Streams { ends: [input, output, error], ours, lent } =
            self.open_streams(defaults, &mut partial.files_given)?;
        let (stdio, relayed) = match partial.limits.output {
            Some(_) => through_pipes(input, output, error)?,
            None => ([input, output, error], Vec::new()),
        };
        let handed = Handed {
            stdio,
            descriptors: self.kept(),
            call,
            argv: self.argv()?,
            #[cfg(feature = "cli")]
            amend: self.amend,
            more_tasks: self.more_tasks,
            hooks: &self.hooks,
            hold,
        };
        stopwatch.mark("streams");
        let hashes = self.hashes;
        let (mut profile_hash, mut plan_hash) = (String::new(), String::new());
        let afterwards = |plan: &Plan| {
            if hashes {
                self.sandbox.profile_hash().clone_into(&mut profile_hash);
                plan_hash = plan.hash()?;
            }
            Ok(())
        };
        let built = spawn::build(partial, &handed, supervisor, afterwards, &mut stopwatch)?;
        drop(handed);
        Ok(Created { built, ours, lent, relayed, profile_hash, plan_hash, stopwatch })
    }

    pub(super) fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    pub(super) fn request(&self) -> &TaskRequest {
        &self.task
    }

    pub(super) fn profile(&self) -> &'a crate::profile::Profile {
        &self.sandbox.profile
    }

    /// Opens what the streams were set to, or the defaults. `files_given` becomes true where the task gets a
    /// regular file.
    pub(super) fn open_streams(
        &self,
        defaults: [fn() -> Stdio; 3],
        files_given: &mut bool,
    ) -> Result<Streams, Error> {
        // init puts a terminal of its own in the place of all three.
        let defaults = defaults.map(|default| if self.terminal { Stdio::null() } else { default() });
        let mut prepared: Vec<Prepared<'_>> = Vec::new();
        for ((stdio, default), stream) in self.stdio.iter().zip(&defaults).zip(STREAMS) {
            prepared.push(stdio.as_ref().unwrap_or(default).prepare(stream).map_err(prepare)?);
        }
        let (mut ends, mut lent) = (Vec::new(), Lent::default());
        let noted = |errno| Error::prepare(Step::Descriptors, "ioctl", "terminal")(errno);
        for (end, stream) in prepared.iter().zip(STREAMS) {
            match accept(end.as_fd(), || format!("standard {stream}"))? {
                Accepted::File => *files_given = true,
                Accepted::Terminal => lent.note(end.as_fd()).map_err(noted)?,
                Accepted::Other => {}
            }
            ends.push(end.as_fd().try_clone_to_owned().map_err(prepare)?);
        }
        *files_given |= self.accept_kept()?;
        let mut ours = prepared.into_iter().map(Prepared::into_ours);
        let ours = [ours.next().flatten(), ours.next().flatten(), ours.next().flatten()];
        let ends = ends.try_into().map_err(|_| prepare(std::io::ErrorKind::InvalidInput.into()))?;
        Ok(Streams { ends, ours, lent })
    }

    /// A stream that was set and a terminal in its place cannot both be had.
    pub(super) fn check_terminal(&self) -> Result<(), Error> {
        const SET: [&str; 3] =
            ["standard input was set", "standard output was set", "standard error was set"];
        match self.stdio.iter().zip(SET).find(|(stdio, _)| self.terminal && stdio.is_some()) {
            Some((_, problem)) => Err(Error::Terminal { problem }),
            None => Ok(()),
        }
    }

    /// The descriptors beyond 2, in the order of their numbers inside.
    pub(super) fn kept(&self) -> Vec<BorrowedFd<'_>> {
        let mut kept: Vec<_> = self.kept.iter().map(|(fd, number)| (fd.as_fd(), *number)).collect();
        kept.sort_unstable_by_key(|(_, number)| *number);
        kept.into_iter().map(|(fd, _)| fd).collect()
    }

    /// Refuses descriptors of kinds that a task is not given; whether one is a regular file.
    fn accept_kept(&self) -> Result<bool, Error> {
        #[cfg(feature = "cli")]
        if self.every_kind {
            return Ok(true);
        }
        self.kept.iter().try_fold(false, |files, (fd, number)| {
            Ok(accept(fd.as_fd(), || format!("descriptor {number}"))? == Accepted::File || files)
        })
    }

    /// A role finds its arguments in `std::env::args`, which is init's own argument list.
    fn argv(&self) -> Result<Vec<CString>, Error> {
        let strings: Vec<OsString> = match &self.task {
            TaskRequest::Role { name, args } => {
                std::iter::once(OsString::from(name)).chain(args.iter().cloned()).collect()
            }
            _ => {
                // The sandbox can read it: of a profile's path it gets the file's name alone.
                let name = Path::new(&self.sandbox.profile.name);
                vec![OsString::from("belljar-init"), name.file_name().unwrap_or_default().to_owned()]
            }
        };
        strings
            .into_iter()
            .map(|string| {
                CString::new(string.into_vec()).map_err(|_| {
                    Error::prepare(Step::Descriptors, "execve", "an argument with a NUL byte")(
                        nix::errno::Errno::EINVAL,
                    )
                })
            })
            .collect()
    }
}

/// What it is, if a task may have it.
fn accept(fd: BorrowedFd<'_>, name: impl Fn() -> String) -> Result<Accepted, Error> {
    accepted::look(fd)
        .map_err(Error::prepare(Step::Descriptors, "fstat", &name()))?
        .map_err(|kind| Error::DescriptorKind { descriptor: name(), kind })
}

/// Whether both were opened in one way, and lead to one file.
fn is_same_file(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool, Errno> {
    let (first, second) = (crate::sys::fstat(one)?, crate::sys::fstat(other)?);
    let flags = |fd| fcntl(fd, FcntlArg::F_GETFL);
    Ok((first.st_dev, first.st_ino) == (second.st_dev, second.st_ino) && flags(one)? == flags(other)?)
}

fn prepare(source: std::io::Error) -> Error {
    Error::prepare(Step::Descriptors, "open", "standard streams")(errno_of(&source))
}

/// Streams whose output goes through pipes of ours, and what is relayed from these to where it should go.
fn through_pipes(
    input: OwnedFd,
    output: OwnedFd,
    error: OwnedFd,
) -> Result<([OwnedFd; 3], Vec<Relayed>), Error> {
    let same = is_same_file(output.as_fd(), error.as_fd()).map_err(Error::prepare(
        Step::Descriptors,
        "fstat",
        "standard streams",
    ))?;
    let (from_output, to_task) = std::io::pipe().map_err(prepare)?;
    let mut relayed = vec![Relayed { from: from_output.into(), to: output }];
    let to_task_error = if same {
        // One pipe for both keeps the order of what is written (2>&1).
        to_task.try_clone().map_err(prepare)?
    } else {
        let (from_error, to_task_error) = std::io::pipe().map_err(prepare)?;
        relayed.push(Relayed { from: from_error.into(), to: error });
        to_task_error
    };
    Ok(([input, to_task.into(), to_task_error.into()], relayed))
}

impl Child {
    /// Starts to relay its output where that is limited. An error ends it.
    pub(super) fn start_relay(&mut self, relayed: Vec<Relayed>) -> Result<(), Error> {
        let Some(limit) = self.plan.limits.output else { return Ok(()) };
        let limit = Limit { bytes: limit, truncate: self.plan.limits.output_truncated };
        let failed = |source| Error::Child { action: "relay the output of", source };
        match self.ender().and_then(|ender| Relay::start(relayed, limit, ender)) {
            Ok(relay) => {
                self.relay = Some(relay);
                Ok(())
            }
            Err(source) => {
                self.kill().map_err(failed)?;
                Err(failed(source))
            }
        }
    }

    /// What ends this run.
    pub(crate) fn ender(&self) -> std::io::Result<KillHandle> {
        let started = self.started()?;
        Ok(KillHandle {
            pidfd: started.pidfd.try_clone()?,
            channel: started.channel.as_fd().try_clone_to_owned()?,
            pid_namespace: !self.plan.walls.namespaces.is_lite(),
        })
    }
}
