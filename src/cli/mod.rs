//! The command line: reads the arguments, calls the library, prints the result. One file per subcommand.

mod args;
mod completions;
mod doctor;
mod dry_run;
mod ended;
mod error;
mod escape;
mod logging;
mod man;
mod named;
mod profile;
mod ps;
mod report;
mod run;
mod running;
mod selftest;
mod signals;
mod sink;
mod start;
mod stdio;
mod terminal;
mod units;
pub(crate) mod values;

use std::process::ExitCode;

use args::{Cli, Command, Parsed};
use clap::CommandFactory as _;
use error::Error;

use crate::sandbox::timing::Stopwatch;

/// Runs the command line. The exit status is the program's own; 124 to 127 and 128+N as `belljar --help`
/// says.
pub fn main() -> ExitCode {
    let stopwatch = Stopwatch::start();
    let done = start::prepare().and_then(|()| dispatch(stopwatch));
    ExitCode::from(done.unwrap_or_else(|error| {
        stdio::complain(&error.render());
        error.exit_code()
    }))
}

fn dispatch(stopwatch: Stopwatch) -> Result<u8, Error> {
    let argv: Vec<_> = std::env::args_os().collect();
    let cli = match args::parse(&argv) {
        Ok(Parsed::Do(cli)) => cli,
        Ok(Parsed::Printed) => return Ok(0),
        Err(error) => return Err(run::report_refusal(&argv, error)),
    };
    logging::start(cli.log.verbose, cli.log.quiet);
    match &cli.command {
        Command::Run(args) => run::main(args, stopwatch),
        Command::Doctor(args) => doctor::main(args),
        Command::Profile(args) => profile::main(args),
        Command::Ps(args) => ps::main(args),
        Command::Exec(args) => named::exec(args),
        Command::Kill(args) => named::kill(args),
        Command::Wait(args) => named::wait(args),
        Command::Selftest(args) => selftest::main(args),
        Command::Completions(args) => completions::main(args, Cli::command()),
        Command::Man(args) => man::main(args, Cli::command()),
    }
}
