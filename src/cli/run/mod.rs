//! `belljar run`: a program, or a role, in a sandbox.

mod apply;
pub(super) mod descriptors;
mod options;
mod stats;
mod supervised;
mod task;

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

pub use options::RunArgs;
use supervised::Supervised;
use task::Task;

use super::error::{Error, display_name};
use super::named::{Name, Server};
use super::report::Report;
use super::signals::{self, Heard};
use super::sink::Sink;
use super::{ended, stdio, terminal};
use crate::profile::{Enforce, Limits};
use crate::sandbox::timing::Stopwatch;
use crate::sandbox::{
    Command, Ended, Lifetime, Outcome, Sandbox, Side, StartNotifier, TimedProcess, TimedStep, Timing,
};

/// What has been done.
#[derive(Debug)]
enum Done {
    /// The plan was printed.
    Planned,
    /// The task has run.
    Ran(Box<Ran>),
}

/// A run that has ended.
#[derive(Debug)]
struct Ran {
    outcome: Outcome,
    limits: Limits,
    heard: Heard,
}

/// Runs it. The result is the exit status of belljar.
pub fn main(args: &RunArgs, stopwatch: Stopwatch) -> Result<u8, Error> {
    let lifetime = if args.process.detach { Lifetime::Kept } else { Lifetime::WithCaller };
    let started = match lifetime.begin()? {
        Side::Caller(code) => return Ok(code),
        Side::Owner(started) => started,
    };
    // First, before belljar opens descriptors that could have the same numbers.
    let kept = descriptors::take(&args.process.keep_fd);
    let mut sink = Sink::of_options(args.output.report.as_deref(), args.output.report_fd)?;
    // It tells of the end when all is done that follows here.
    let mut server = None;
    let done = kept.and_then(|kept| execute(args, kept, started, stopwatch, &mut server));
    let report = match &done {
        Ok(Done::Planned) => return Ok(0),
        Ok(Done::Ran(ran)) => {
            Report::of_outcome(&ran.outcome, ran.exit_code()).with_timing(args.output.timing, &ran.outcome)
        }
        Err(error) => Report::of_error(error),
    };
    let reported = sink.as_mut().map_or(Ok(()), |sink| sink.write(&report));
    if let Ok(Done::Ran(ran)) = &done {
        ran.print_messages(args);
    }
    let why = match &done {
        Ok(Done::Ran(ran)) => ran.why(args),
        Ok(Done::Planned) => None,
        Err(error) => Some(error.message()),
    };
    let result = match (done, reported) {
        // Both are printed. The exit status is that of the first.
        (Err(error), Err(unreported)) => {
            stdio::complain(&unreported.render());
            Err(error)
        }
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Ok(Done::Planned), Ok(())) => Ok((0, None)),
        (Ok(Done::Ran(ran)), Ok(())) => Ok((ran.exit_code(), ran.fatal())),
    };
    drop(sink);
    if let Some(server) = server {
        server.finish(result.as_ref().map_or_else(Error::exit_code, |(code, _)| *code), why.as_deref());
    }
    match result? {
        (_, Some(signal)) => signals::die(signal),
        (code, None) => Ok(code),
    }
}

/// Writes a report of a command line that is wrong, in place of an earlier report. Returns the error.
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
    started: StartNotifier,
    mut stopwatch: Stopwatch,
    server: &mut Option<Server>,
) -> Result<Done, Error> {
    let task = args.task()?;
    task.check()?;
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
    let mut command = command(args, &task, &sandbox, kept);
    if args.output.dry_run {
        print_plan(&command, args.output.json)?;
        return Ok(Done::Planned);
    }
    command.stopwatch = Some(stopwatch);
    let name = args.process.name.as_deref().map(Name::claim).transpose()?;
    command.more_tasks(name.is_some());
    let run = Supervised::start(&mut command)?;
    drop(command);
    let serving = name.map(|name| Server::start(name, &sandbox, &run.child)).transpose();
    let serving = serving.map(|started| *server = started);
    let (outcome, heard) = run.follow(args.output.stats, serving, started)?;
    let mut limits = sandbox.profile().limits.clone();
    let resources = &sandbox.profile().resources;
    if resources.enforce == Enforce::Rlimit {
        // The limit of the sandbox is then one of each process.
        limits.cpu_time = limits.cpu_time.into_iter().chain(resources.cpu_time).min();
    }
    // The process is about to exit: freeing the profile's many strings would take time for nothing.
    std::mem::forget(sandbox);
    Ok(Done::Ran(Box::new(Ran { outcome, limits, heard })))
}

/// The task, with the options that are about it.
fn command<'a>(
    args: &RunArgs,
    task: &Task<'_>,
    sandbox: &'a Sandbox,
    kept: Vec<(OwnedFd, i32)>,
) -> Command<'a> {
    let mut command = task.command(sandbox);
    command.terminal(args.process.tty);
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
    command
}

/// `--dry-run`.
fn print_plan(command: &Command<'_>, json: bool) -> Result<(), Error> {
    let plan = command.dry_run()?;
    let text = if json {
        serde_json::to_string_pretty(&plan).map_err(|source| Error::Json { source })? + "\n"
    } else {
        plan.to_string()
    };
    stdio::print(text.as_bytes())
}

impl Ran {
    /// The task's exit status. If a signal to belljar killed the run, that signal's.
    fn exit_code(&self) -> u8 {
        match (self.heard.forced, self.outcome.ended) {
            (Some(signal), Ended::KilledByCaller) => u8::try_from(128 + signal as i32).unwrap_or(u8::MAX),
            (_, ended) => ended.exit_code(),
        }
    }

    /// The signal that kills belljar, as it did the task: one that was sent to belljar to end the run.
    fn fatal(&self) -> Option<Signal> {
        match self.outcome.ended {
            Ended::KilledByCaller => self.heard.forced,
            Ended::Signal { signal, .. } => self.heard.request(signal),
            _ => None,
        }
    }

    /// What ended it, if not the program itself.
    fn line(&self, name: &str) -> Option<String> {
        let Ran { outcome, limits, .. } = self;
        let cpu = outcome.user.unwrap_or_default().saturating_add(outcome.system.unwrap_or_default());
        ended::line(&outcome.ended, name, &outcome.profile, limits, cpu)
    }

    /// The same, for those whose task ended with it.
    fn why(&self, args: &RunArgs) -> Option<String> {
        let line = self.line(&program(args))?;
        line.strip_prefix("belljar: ").map(|why| why.trim_end().to_owned())
    }

    /// Says on standard error what the exit status does not.
    fn print_messages(&self, args: &RunArgs) {
        let Ran { outcome, limits, .. } = self;
        let name = program(args);
        let lines = [
            self.line(&name),
            ended::survived(&outcome.ended, &name, outcome.account.as_ref()),
            ended::truncated(outcome.output_discarded, &name, limits),
            args.output.timing.then(|| timing_lines(&outcome.timing)),
        ];
        for line in lines.into_iter().flatten() {
            stdio::complain(&line);
        }
    }
}

/// What messages call the program.
fn program(args: &RunArgs) -> String {
    args.task.first().map(display_name).unwrap_or_default()
}

/// `--timing`: when each step ended, how long it took, in which process, and its name.
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

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
