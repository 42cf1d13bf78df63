//! `belljar completions`: scripts for shells.

use clap::builder::PossibleValuesParser;
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
    // A name or a file is completed as a name: a file is named by a path, which shells complete by themselves
    // after a `./`.
    let profiles = PossibleValuesParser::new(crate::profile::builtin_names());
    let mut command = Cli::command()
        .mut_subcommand("run", |run| run.mut_arg("profile", |arg| arg.value_parser(profiles.clone())))
        .mut_subcommand("profile", |profile| {
            profile.mut_subcommand("show", |show| show.mut_arg("profile", |arg| arg.value_parser(profiles)))
        });
    clap_complete::generate(shell, &mut command, "belljar", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn names_of_profiles_are_completed() {
        let script = String::from_utf8(script(Shell::Bash)).expect("UTF-8");
        let (_, after) = script.split_once("belljar__subcmd__run)").expect("the part of run");
        let (_, values) = after.split_once("--profile)").expect("its option");
        assert!(
            values.trim_start().starts_with("COMPREPLY=($(compgen -W \"strict standard"),
            "{values:.200}"
        );
    }

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
