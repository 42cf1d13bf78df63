//! The command line as a whole, and how it is read.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::error::Error;
use super::{completions, doctor, escape, man, named, profile, ps, run, selftest, stdio};

/// Run untrusted programs in a sandbox
///
/// belljar isolates a program with namespaces, Landlock, a system-call filter, no capabilities and resource
/// limits, as a profile says. If the host lacks a protection that the profile asks for, belljar says so and
/// does not run the program.
#[derive(Debug, Parser)]
#[command(name = "belljar", version, arg_required_else_help = true, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub log: Log,
    #[command(subcommand)]
    pub command: Command,
}

/// The end of `--help`.
const AFTER_HELP: &str = "\
Exit status:
  0-255  the program's own exit status
  128+N  the program was killed by signal N
  124    the program was killed at its time limit
  125    belljar itself failed, or refused to run the program
  126    the program cannot be executed
  127    the program was not found

Environment:
  BELLJAR_LOG  what is logged, in the syntax of env_logger (debug,
               belljar::plan=trace); -v and -q override it";

#[derive(Debug, Args)]
pub struct Log {
    /// Log more: -v for steps, -vv for reasons, -vvv for everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log nothing, not even errors that do not end the run
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
}

/// The subcommands. clap defines the options of a subcommand only if it is named (`defer`): defining all of
/// them takes a twentieth of a start.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Run a program, or a built-in role, in a sandbox
    ///
    /// The only built-in role is `probe`. It reports what it can see and do inside the sandbox.
    Run(Box<run::RunArgs>),
    /// Check what this host supports, and how to fix what it lacks
    ///
    /// Each layer is tried in a child process. The exit status is 0 if the default profile works here, and 1
    /// if it does not.
    Doctor(doctor::DoctorArgs),
    /// List, show and check profiles
    Profile(profile::ProfileArgs),
    /// List the running sandboxes and what they use
    ///
    /// PID is the sandbox's init. CALLER is the process that started it, and UID the user of that process.
    /// Memory, processes and CPU time are those of the whole sandbox, if it has a control group. COMMAND is
    /// what the program inside says of itself.
    Ps(ps::PsArgs),
    /// Run another program in a named sandbox
    ///
    /// The sandbox was started by `belljar run --name`. The program gets the profile's filter and limits. It
    /// ends when the sandbox ends, and when this belljar does; what it has started in a session or process group
    /// of its own goes on until the sandbox ends. It is in a Landlock domain of its own: it can neither signal
    /// nor trace the sandbox's other programs, nor reach their abstract sockets.
    ///
    /// The exit status is the program's. It is 125 also if the sandbox has ended meanwhile. If the sandbox's
    /// belljar does not answer within 10 seconds it is 125, and the program does not start later either.
    Exec(named::ExecArgs),
    /// Send a signal to the program in a named sandbox
    ///
    /// KILL ends the whole sandbox, and returns when nothing of it is left: its report is written and its name is
    /// free. With another signal, `belljar wait` tells the end.
    Kill(named::KillArgs),
    /// Wait until a named sandbox ends
    ///
    /// The exit status is that of its `belljar run`. Nothing is kept of a sandbox that has ended: wait has to be
    /// there before. After the end, as when there was no such sandbox, the exit status is 125.
    Wait(named::WaitArgs),
    /// Try known attacks against the built-in profiles
    ///
    /// Each attack is tried three times: outside, where it must work; inside, where it must fail; and inside
    /// without the protection against it, where it must work again. The attacks do no harm. The exit status
    /// is 0 if none of these failed, and 1 otherwise.
    Selftest(selftest::SelftestArgs),
    /// Print a completion script for a shell
    ///
    /// For bash: belljar completions bash > ~/.local/share/bash-completion/completions/belljar
    Completions(completions::CompletionsArgs),
    /// Print a manual page
    ///
    /// To read one: belljar man run | man -l -
    Man(man::ManArgs),
}

/// The result of reading a command line.
#[derive(Debug)]
pub enum Parsed {
    /// A subcommand to run.
    Do(Cli),
    /// Help or the version, which has been printed.
    Printed,
}

/// Reads a command line (with the program's name in front).
pub fn parse(argv: &[OsString]) -> Result<Parsed, Error> {
    let matches = Cli::command().try_get_matches_from(argv);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(mut cli) => {
            if let Command::Run(run) = &mut cli.command {
                run.split_task(argv)?;
            }
            Ok(Parsed::Do(cli))
        }
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            stdio::finish(error.print())?;
            Ok(Parsed::Printed)
        }
        Err(error) => Err(usage(error, argv)),
    }
}

/// clap's error in belljar's form: one line, then hints, with control characters escaped.
fn usage(mut error: clap::Error, argv: &[OsString]) -> Error {
    let escaped: Vec<_> = error.context().map(|(kind, value)| (kind, escape_context(value))).collect();
    for (kind, value) in escaped {
        error.insert(kind, value);
    }
    let help = match argv.get(1).and_then(|name| name.to_str()) {
        Some(name) if Cli::command().find_subcommand(name).is_some() => format!("belljar {name} --help"),
        _ => "belljar --help".to_owned(),
    };
    // The first paragraph is the message. Of the others only tips are kept; --help prints the usage.
    let missing_command = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let text = if missing_command { String::new() } else { error.render().to_string() };
    let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let message = match one_line(first).strip_prefix("error: ") {
        Some(message) => message.to_owned(),
        None => "no subcommand is given".to_owned(),
    };
    let tips = rest.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    // clap suggests `-- --option`, which would be a program of that name.
    let mut hints: Vec<String> = tips.filter(|tip| !tip.contains(" as a value, ")).map(one_line).collect();
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && argv.get(1).is_some_and(|name| name == "exec")
        && !word.starts_with('-')
    {
        hints.push("put -- before the command: belljar exec NAME -- COMMAND".to_owned());
    }
    hints.push(format!("see {help}"));
    Error::Usage { message, hints }
}

fn escape_context(value: &ContextValue) -> ContextValue {
    match value {
        ContextValue::String(text) => ContextValue::String(escape::text(text)),
        ContextValue::Strings(texts) => {
            ContextValue::Strings(texts.iter().map(|text| escape::text(text)).collect())
        }
        other => other.clone(),
    }
}

fn one_line(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
