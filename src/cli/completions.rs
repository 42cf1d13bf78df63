//! `belljar completions`: scripts for shells.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::args::Cli;
use super::error::Error;
use super::stdio;

/// Print a completion script for a shell
///
/// For bash: belljar completions bash > ~/.local/share/bash-completion/completions/belljar
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs it.
pub fn main(args: &CompletionsArgs) -> Result<u8, Error> {
    stdio::print(&script(args.shell))?;
    Ok(0)
}

fn script(shell: Shell) -> Vec<u8> {
    // Into memory first: clap_complete panics when a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "belljar", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_shell_completes_the_options_of_run() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).expect("UTF-8");
            for word in ["ro-bind", "profile", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
