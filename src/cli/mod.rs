//! The command line: reads the arguments, asks the library, tells the result. One file a subcommand.

mod args;
mod completions;
mod doctor;
mod ended;
mod error;
mod escape;
mod logging;
mod man;
mod profile;
mod ps;
mod report;
mod run;
mod selftest;
mod signals;
mod start;
mod stdio;
mod terminal;
mod units;
pub(crate) mod values;

use std::process::ExitCode;

use args::{Command, Parsed};
use error::Error;

/// Runs the command line. The exit status is the program's own; 124 to 127 and 128+N as `belljar --help` says.
pub fn main() -> ExitCode {
    let done = start::prepare().and_then(|()| dispatch());
    ExitCode::from(done.unwrap_or_else(|error| {
        stdio::complain(&error.render());
        error.exit_code()
    }))
}

fn dispatch() -> Result<u8, Error> {
    let Parsed::Do(cli) = args::parse(std::env::args_os().collect())? else { return Ok(0) };
    logging::start(cli.log.verbose, cli.log.quiet);
    match &cli.command {
        Command::Run(args) => run::main(args),
        Command::Doctor(args) => doctor::main(args),
        Command::Profile(args) => profile::main(args),
        Command::Ps(args) => ps::main(args),
        Command::Selftest(args) => selftest::main(args),
        Command::Completions(args) => completions::main(args),
        Command::Man(args) => man::main(args),
    }
}
