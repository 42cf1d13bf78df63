//! `belljar exec`, `kill` and `wait`.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use nix::sys::signal::Signal;

use super::asked::Asked;
use super::name;
use super::request::{Answer, Request};
use crate::cli::error::Error;
use crate::cli::signals::{Forwarder, Receiver, Target};
use crate::cli::terminal::{self, Terminal};
use crate::cli::values::{self, Variable};
use crate::protocol::Channel;
use crate::sandbox::Exec;

/// How long it may take until the end of a run is told, after a task in it has met that end.
const TOLD: Duration = Duration::from_secs(10);

/// The same, after a task was killed, by whomever.
const TOLD_SOON: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The name of the sandbox
    #[arg(value_parser = name)]
    name: String,
    /// The program and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Give the program its own terminal
    #[arg(short, long)]
    tty: bool,
    /// Set a variable, or without =V pass on the caller's (repeatable)
    #[arg(short, long, value_name = "K[=V]", value_parser = OsStringValueParser::new().try_map(values::variable))]
    env: Vec<Variable>,
    /// The working directory inside
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct KillArgs {
    /// The name of the sandbox
    #[arg(value_parser = name)]
    name: String,
    /// TERM, INT, HUP, QUIT, TSTP, CONT, USR1, USR2, WINCH or KILL, by name or number
    #[arg(short, long, default_value = "TERM", value_name = "SIGNAL", value_parser = signal)]
    signal: Signal,
}

#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The name of the sandbox
    #[arg(value_parser = name)]
    name: String,
}

fn signal(text: &str) -> Result<Signal, String> {
    let named = |text: &str| text.to_ascii_uppercase().parse();
    let number = text.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    let signal = number.or_else(|| named(text).ok()).or_else(|| named(&format!("SIG{text}")).ok());
    signal.ok_or_else(|| format!("no signal is called {text}"))
}

/// Runs `exec`.
pub fn exec(args: &ExecArgs) -> Result<u8, Error> {
    if args.tty {
        terminal::check()?;
    }
    let env = args.env.iter().filter_map(|Variable { name, value }| {
        let value = value.clone().or_else(|| std::env::var_os(name))?;
        Some((name.as_os_str().into(), value.as_os_str().into()))
    });
    let request = Request::Exec {
        argv: args.command.iter().map(|word| word.as_os_str().into()).collect(),
        env: env.collect(),
        cwd: args.workdir.as_ref().map(|path| path.as_os_str().into()),
        tty: args.tty,
    };
    let streams = [std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()]
        .map(|stream| stream.try_clone_to_owned());
    let [input, output, error] = streams;
    let failed = |source| Error::Signals { action: "dup", source };
    let streams = [input.map_err(failed)?, output.map_err(failed)?, error.map_err(failed)?];
    let borrowed: Vec<BorrowedFd<'_>> = streams.iter().map(AsFd::as_fd).collect();
    // From now on they are the task's: it may run before we know that it does.
    let mut signals = Forwarder::new();
    signals.block().map_err(|source| Error::Signals { action: "block", source })?;
    let asked = Asked::new(&args.name, &request)?;
    let Some((answer, sent)) = asked.answer(&borrowed, &mut signals)? else {
        return Err(crate::Error::Over.into());
    };
    let Answer::Started = answer else { return answered(answer) };
    let mut sent = sent.into_iter();
    let (task, outer) = (sent.next(), sent.next());
    let task = task.ok_or(crate::Error::Protocol)?;
    let program = args.command.first().map(OsString::as_os_str).unwrap_or(OsStr::new(""));
    let followed = follow(Exec::of_descriptors(task, streams, &program.to_string_lossy())?, outer, signals);
    let why = match &followed {
        Err(Error::Sandbox(error)) if matches!(**error, crate::Error::Over) => asked.why(TOLD),
        // A limit of the sandbox's kills everything in it.
        Ok(status) if status.signal() == Some(libc::SIGKILL) => asked.why(TOLD_SOON),
        _ => None,
    };
    if let Some(why) = why {
        return Err(Error::Ended { why });
    }
    let status = followed?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(u8::MAX),
    })
}

/// Passes signals and the terminal on until the task has ended.
fn follow(mut exec: Exec, outer: Option<OwnedFd>, mut signals: Forwarder) -> Result<ExitStatus, Error> {
    let dup = |source| Error::Signals { action: "dup", source };
    let terminal = outer.as_ref().map(OwnedFd::try_clone).transpose().map_err(dup)?;
    let task = exec.descriptor().map_err(dup)?;
    signals.attach(Receiver { target: Target::Task(Channel::new(task)), terminal });
    let connected = outer.map(Terminal::connect).transpose()?;
    let status = exec.wait_supervised(&mut signals);
    let carried = connected.map_or(Ok(()), Terminal::finish);
    let status = status?;
    carried?;
    Ok(status)
}

/// Runs `kill`.
pub fn kill(args: &KillArgs) -> Result<u8, Error> {
    let asked = Asked::new(&args.name, &Request::Signal { number: args.signal as i32 })?;
    match asked.answer(&[], &mut ())? {
        // By KILL. Or it is gone: there is nothing left to be ended.
        Some((Answer::Ended { .. }, _)) => Ok(0),
        None => Err(crate::Error::Over.into()),
        Some((answer, _)) => answered(answer),
    }
}

/// Runs `wait`.
pub fn wait(args: &WaitArgs) -> Result<u8, Error> {
    let asked = Asked::new(&args.name, &Request::Wait).map_err(|error| match error {
        Error::NoSandbox { name } => Error::NoneToWaitFor { name },
        error => error,
    })?;
    match asked.end()? {
        Some(answer) => answered(answer),
        None => Err(Error::EndUnknown { name: args.name.clone() }),
    }
}

fn answered(answer: Answer) -> Result<u8, Error> {
    match answer {
        Answer::Done => Ok(0),
        Answer::Ended { code, .. } => Ok(code),
        Answer::Refused { message, hints, code } => Err(Error::Refused { message, hints, code }),
        Answer::Ready | Answer::Started => Err(crate::Error::Protocol.into()),
    }
}
