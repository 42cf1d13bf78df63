//! `belljar run`: a role, or a program, in isolation.

mod apply;
pub(super) mod descriptors;
mod options;
mod stats;

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::Signal;

pub use options::RunArgs;
use stats::Stats;

use super::error::{Error, display_name};
use super::named::detach::{self, Side, Started};
use super::named::{Name, Server};
use super::report::Report;
use super::signals::{self, Forwarder, Heard, Receiver, Target};
use super::sink::Sink;
use super::terminal::{self, Terminal};
use super::{ended, stdio};
use crate::profile::{Enforce, Limits};
use crate::sandbox::timing::Stopwatch;
use crate::sandbox::{Child, Command, Ended, Outcome, TimedProcess, TimedStep, Timing};

/// What runs.
#[derive(Debug, PartialEq, Eq)]
enum Task<'a> {
    Role { name: &'a str, args: &'a [OsString] },
    Program { path: &'a OsString, args: &'a [OsString] },
}

/// How far it came.
#[derive(Debug)]
enum Done {
    /// The plan was printed.
    Planned,
    /// It ran.
    Ran(Box<Ran>),
}

/// A run that is over.
#[derive(Debug)]
struct Ran {
    outcome: Outcome,
    limits: Limits,
    heard: Heard,
    /// Of one that has a name: told how it ended.
    server: Option<Server>,
}

/// Runs it. The result is the exit status that belljar ends with.
pub fn main(args: &RunArgs, stopwatch: Stopwatch) -> Result<u8, Error> {
    let started = match args.process.detach.then(detach::split).transpose()? {
        Some(Side::Caller(code)) => return Ok(code),
        Some(Side::Runner(started)) => Some(started),
        None => None,
    };
    // First of all: what is opened from here on has numbers that the caller did not choose.
    let kept = descriptors::take(&args.process.keep_fd);
    let mut sink = Sink::of_options(args.output.report.as_deref(), args.output.report_fd)?;
    let done = kept.and_then(|kept| execute(args, kept, started, stopwatch));
    let report = match &done {
        Ok(Done::Planned) => return Ok(0),
        Ok(Done::Ran(ran)) => {
            let Ran { outcome, heard, .. } = ran.as_ref();
            Report::of_outcome(outcome, exit_code(outcome, heard)).with_timing(args.output.timing, outcome)
        }
        Err(error) => Report::of_error(error),
    };
    let reported = sink.as_mut().map_or(Ok(()), |sink| sink.write(&report));
    let code = match &done {
        Ok(Done::Ran(ran)) => {
            let Ran { outcome, limits, heard, .. } = ran.as_ref();
            let name = args.task.first().map(display_name).unwrap_or_default();
            let cpu = outcome.user.unwrap_or_default().saturating_add(outcome.system.unwrap_or_default());
            if let Some(line) = ended::line(&outcome.ended, &name, &outcome.profile, limits, cpu) {
                stdio::complain(&line);
            }
            if let Some(line) = ended::survived(&outcome.ended, &name, outcome.account.as_ref()) {
                stdio::complain(&line);
            }
            if let Some(line) = ended::truncated(outcome.output_discarded, &name, limits) {
                stdio::complain(&line);
            }
            if args.output.timing {
                stdio::complain(&timing_lines(&outcome.timing));
            }
            exit_code(outcome, heard)
        }
        _ => 0,
    };
    match (done, reported) {
        // Both are told: the first is what the exit status is about.
        (Err(error), Err(unreported)) => {
            stdio::complain(&unreported.render());
            Err(error)
        }
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Ok(Done::Ran(ran)), Ok(())) => {
            let Ran { outcome, heard, server, .. } = *ran;
            if let Some(server) = server {
                server.finish(code);
            }
            match fatal(&outcome, &heard) {
                Some(signal) => {
                    drop(sink);
                    signals::die(signal)
                }
                None => Ok(code),
            }
        }
        (Ok(Done::Planned), Ok(())) => Ok(code),
    }
}

/// For a command line that cannot be read: the report says so, in the place of an earlier one. Gives the
/// error back.
pub fn report_refusal(argv: &[OsString], error: Error) -> Error {
    let [_, subcommand, words @ ..] = argv else { return error };
    if subcommand != "run" {
        return error;
    }
    let reported = Sink::of_words(words).and_then(|sink| match sink {
        Some(mut sink) => sink.write(&Report::of_error(&error)),
        None => Ok(()),
    });
    if let Err(unreported) = reported {
        stdio::complain(&unreported.render());
    }
    error
}

fn execute(
    args: &RunArgs,
    kept: Vec<(OwnedFd, i32)>,
    started: Option<Started>,
    mut stopwatch: Stopwatch,
) -> Result<Done, Error> {
    let task = args.task()?;
    if let Task::Role { name, args } = task {
        known_role(name, args, &roles())?;
    }
    if args.process.tty {
        terminal::check()?;
    }
    stopwatch.mark("arguments");
    let sandbox = apply::sandbox(args)?;
    let resources = &sandbox.profile().resources;
    if args.output.stats.is_some() && !crate::plan::resources::asks_for_group(resources) {
        return Err(Error::StatsWithoutGroup);
    }
    stopwatch.mark("profile");

    let (mut command, task_args) = match task {
        Task::Role { name: PROBE, args } => (sandbox.role(crate::probe::ROLE), args),
        Task::Role { name, args } => (sandbox.role(name), args),
        Task::Program { path, args } => (sandbox.command(path), args),
    };
    command.own = matches!(task, Task::Role { name: PROBE, .. });
    command.args(task_args).terminal(args.process.tty);
    if args.output.report.is_none() && args.output.report_fd.is_none() {
        command.hashes = false;
    }
    for variable in &args.process.env {
        match &variable.value {
            Some(value) => command.env(&variable.name, value),
            None => command.env_pass(&variable.name),
        };
    }
    if let Some(directory) = &args.process.workdir {
        command.current_dir(directory);
    }
    for (descriptor, number) in kept {
        command.keep_fd(descriptor, number);
    }

    if args.output.dry_run {
        let (plan, notes) = command.dry_run()?;
        let text = if args.output.json {
            serde_json::to_string_pretty(&plan.to_json(&notes)).map_err(|source| Error::Json { source })?
                + "\n"
        } else {
            plan.to_text(&notes)
        };
        stdio::print(text.as_bytes())?;
        return Ok(Done::Planned);
    }
    command.stopwatch = Some(stopwatch);
    let name = args.process.name.as_deref().map(Name::claim).transpose()?;
    command.more_tasks(name.is_some());
    let run = Supervised::start(&mut command)?;
    drop(command);
    let server = name.map(|name| Server::start(name, &sandbox, &run.child)).transpose();
    let (outcome, heard, server) = run.follow(args.output.stats, server, started)?;
    let mut limits = sandbox.profile().limits.clone();
    let resources = &sandbox.profile().resources;
    if resources.enforce == Enforce::Rlimit {
        // It is each process's then.
        limits.cpu_time = limits.cpu_time.into_iter().chain(resources.cpu_time).min();
    }
    // The process is about to end: nobody needs the memory of a profile's many names back.
    std::mem::forget(sandbox);
    Ok(Done::Ran(Box::new(Ran { outcome, limits, heard, server })))
}

/// The task's own; for a run that a signal to belljar ended by force, that signal's.
fn exit_code(outcome: &Outcome, heard: &Heard) -> u8 {
    match (heard.forced, outcome.ended) {
        (Some(signal), Ended::KilledByCaller) => u8::try_from(128 + signal as i32).unwrap_or(u8::MAX),
        (_, ended) => ended.exit_code(),
    }
}

/// The signal that belljar ends by, as the task did: one that was sent to belljar, to end the run.
fn fatal(outcome: &Outcome, heard: &Heard) -> Option<Signal> {
    match outcome.ended {
        Ended::KilledByCaller => heard.forced,
        Ended::Signal { signal, .. } => heard.request(signal),
        _ => None,
    }
}

/// Where the time went: when a step ended, how long it took, in which process, and what it was.
fn timing_lines(timing: &Timing) -> String {
    let line = |step: &TimedStep| {
        let process = match step.process {
            TimedProcess::Init => "init",
            TimedProcess::Caller => "caller",
        };
        let (at, took) = (step.at.as_micros(), step.took.as_micros());
        format!("belljar: timing: {at:>7} µs {took:>6} µs  {process:<6}  {}\n", step.step)
    };
    timing.steps.iter().map(line).collect()
}

/// A run, and the signals that come for it.
struct Supervised {
    child: Child,
    signals: Forwarder,
}

impl Supervised {
    fn start(command: &mut Command<'_>) -> Result<Self, Error> {
        let mut signals = Forwarder::new();
        let child = command.spawn_beside(&mut signals)?;
        Ok(Self { child, signals })
    }

    /// Passes signals and its terminal on, and waits for its end; `stats` is how often what it uses is told.
    /// An error of what stands beside it ends it.
    fn follow(
        self,
        stats: Option<Duration>,
        server: Result<Option<Server>, Error>,
        started: Option<Started>,
    ) -> Result<(Outcome, Heard, Option<Server>), Error> {
        let Self { mut child, mut signals } = self;
        let connected = server.and_then(|server| {
            let terminal = connect(&mut child, &mut signals)?;
            let stats = stats.map(|interval| Stats::start(&child, interval)).transpose()?;
            Ok((server, terminal, stats))
        });
        let (server, terminal, stats) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                // It must not run on where nobody can reach it.
                child.kill().map_err(|source| Error::Signals { action: "kill", source })?;
                child.wait_outcome()?;
                return Err(error);
            }
        };
        if let Some(started) = started {
            started.tell();
        }
        let outcome = child.wait_reading(&mut signals, &mut []);
        if let Some(stats) = stats {
            stats.stop();
        }
        let carried = terminal.map_or(Ok(()), Terminal::finish);
        let outcome = outcome?;
        carried?;
        Ok((outcome, signals.heard(), server))
    }
}

fn connect(child: &mut Child, signals: &mut Forwarder) -> Result<Option<Terminal>, Error> {
    let failed = |source| Error::Signals { action: "dup", source };
    let pidfd = child.pidfd().and_then(|pidfd| pidfd.try_clone_to_owned()).map_err(failed)?;
    let inner = child.terminal.take();
    let terminal = inner.as_ref().map(OwnedFd::try_clone).transpose().map_err(failed)?;
    signals.attach(Receiver { target: Target::Init(pidfd), terminal });
    inner.map(Terminal::connect).transpose()
}

impl RunArgs {
    /// Tells a program from a role by whether `--` came first, which clap does not keep. `argv` is what was
    /// parsed.
    pub fn split_task(&mut self, argv: &[OsString]) -> Result<(), Error> {
        self.is_program = follows_escape(argv, &self.task);
        self.task().map(drop)
    }

    fn task(&self) -> Result<Task<'_>, Error> {
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

/// Whether `task`, the positional arguments, which are the end of `argv`, come after a `--`. clap drops it.
fn follows_escape(argv: &[OsString], task: &[OsString]) -> bool {
    let before = argv.len().saturating_sub(task.len());
    before.checked_sub(1).and_then(|at| argv.get(at)).is_some_and(|word| word == OsStr::new("--"))
}

/// What the role that is built in is called on the command line.
const PROBE: &str = "probe";

/// The names that can be run here.
fn roles() -> Vec<String> {
    std::iter::once(PROBE.to_owned()).chain(crate::reexec::roles()).collect()
}

/// A name that no role has is mostly a program without its `--`.
fn known_role(name: &str, args: &[OsString], known: &[String]) -> Result<(), Error> {
    if known.iter().any(|role| role == name) {
        return Ok(());
    }
    let more = args.get(1).map(|_| "...".to_owned());
    let words = std::iter::once(name.to_owned()).chain(args.iter().take(1).map(display_name)).chain(more);
    let command = words.collect::<Vec<_>>().join(" ");
    Err(Error::UnknownRole { name: name.to_owned(), known: known.to_vec(), command: Some(command) })
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
