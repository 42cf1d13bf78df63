//! The command line as a whole, and how it is read.

use std::ffi::OsString;

use clap::error::{ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::error::Error;
use super::{completions, doctor, escape, man, named, profile, ps, run, selftest, stdio};

/// Puts untrusted work under glass.
///
/// belljar runs a program, or a function of its own, in isolation: namespaces, Landlock, a system-call
/// filter, no capabilities, and limits, as a profile says. What cannot be had is an error; nothing is ever
/// left out silently.
#[derive(Debug, Parser)]
#[command(name = "belljar", version, arg_required_else_help = true, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub log: Log,
    #[command(subcommand)]
    pub command: Command,
}

/// What `--help` ends with.
const AFTER_HELP: &str = "\
Exit status:
  0-255  the program's own
  128+N  signal N ended it
  124    it was ended at its time limit
  125    belljar itself failed or refused, wrong usage included
  126    the command could not be executed
  127    the command was not found

Environment:
  BELLJAR_LOG  what is logged, as env_logger reads it (debug,
               belljar::plan=trace); -v and -q win over it";

#[derive(Debug, Args)]
pub struct Log {
    /// Log more: -v what is done, -vv why, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log nothing, not even errors that belljar goes on from
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
}

/// The subcommands. The options of one are defined only when it is named: to describe them all to clap takes as
/// long as a twentieth of a start.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Run a program, or a role that is built in, in isolation
    ///
    /// `probe` is a role: it reports, from inside, what the sandbox can see and do.
    Run(Box<run::RunArgs>),
    /// Tell what this host supports, what it lacks, and how to fix it
    ///
    /// Each layer is tried in a child, not guessed. Exits 0 where the default profile can be had, 1 where it
    /// cannot.
    Doctor(doctor::DoctorArgs),
    /// List, show and check profiles
    Profile(profile::ProfileArgs),
    /// List the sandboxes that run on this host, and what they use
    ///
    /// PID is that of a sandbox's init, CALLER and UID those of the process that started it. Memory, processes
    /// and CPU time are the whole sandbox's, where a limit gave it a control group. The command is what the
    /// program says of itself.
    Ps(ps::PsArgs),
    /// Run one more program in a sandbox that `belljar run --name` has started
    ///
    /// It is within the same walls, with the profile's filter and limits, and ends with the sandbox at the
    /// latest. It ends, too, when this belljar does.
    Exec(named::ExecArgs),
    /// Send a signal to the program of a named sandbox; KILL ends the whole sandbox
    Kill(named::KillArgs),
    /// Wait for the end of a named sandbox; the exit status is that of its `belljar run`
    Wait(named::WaitArgs),
    /// Try known attacks against each built-in profile, on this machine and this kernel
    ///
    /// Each is tried outside (where it must work), inside (where it must not), and inside without the walls that
    /// are said to hold it (where it must work again). Nothing is harmed. Exits 0 where nothing failed, else 1.
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

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// To do something.
    Do(Cli),
    /// To print help or the version, which is done.
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

/// clap's error in belljar's form: one line, then hints, nothing in it that a terminal obeys.
fn usage(mut error: clap::Error, argv: &[OsString]) -> Error {
    let escaped: Vec<_> = error.context().map(|(kind, value)| (kind, escape_context(value))).collect();
    for (kind, value) in escaped {
        error.insert(kind, value);
    }
    let help = match argv.get(1).and_then(|name| name.to_str()) {
        Some(name) if Cli::command().find_subcommand(name).is_some() => format!("belljar {name} --help"),
        _ => "belljar --help".to_owned(),
    };
    // The first paragraph is the message; of the others, tips are kept, and the usage is what --help prints.
    let missing_command = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let text = if missing_command { String::new() } else { error.render().to_string() };
    let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let message = match one_line(first).strip_prefix("error: ") {
        Some(message) => message.to_owned(),
        None => "no subcommand is given".to_owned(),
    };
    let tips = rest.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    // clap's tip of writing `-- --option` means a program of that name here.
    let mut hints: Vec<String> = tips.filter(|tip| !tip.contains(" as a value, ")).map(one_line).collect();
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
