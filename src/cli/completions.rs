//! `belljar completions`: scripts for shells.

use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::Shell;

use super::error::Error;
use super::profile::ProfileArgs;
use super::run::RunArgs;
use super::stdio;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs it, for the whole command line `belljar`.
pub fn main(args: &CompletionsArgs, belljar: Command) -> Result<u8, Error> {
    stdio::print(&script(args.shell, belljar))?;
    Ok(0)
}

fn script(shell: Shell, belljar: Command) -> Vec<u8> {
    // Into memory first: clap_complete panics when a write fails.
    let mut script = Vec::new();
    let mut command = belljar
        .mut_subcommand("run", |run| run.defer(|run| with_keys(with_names(RunArgs::augment_args(run)))))
        .mut_subcommand("profile", |profile| {
            // Not deferred: `belljar help profile` is completed by its subcommands.
            ProfileArgs::augment_args(profile).mut_subcommand("show", with_names).defer(|profile| profile)
        });
    clap_complete::generate(shell, &mut command, "belljar", &mut script);
    script
}

/// Completes `profile` by the names of the built-in profiles. A file is named by a path, which shells complete
/// by themselves after a `./`.
fn with_names(command: Command) -> Command {
    let names = PossibleValuesParser::new(crate::profile::builtin_names());
    command.mut_arg("profile", |arg| arg.value_parser(names))
}

/// Completes `set` by the keys of a profile.
fn with_keys(command: Command) -> Command {
    // clap takes names that live as long as the program, which ends after this.
    let keys = crate::profile::KEYS.iter().map(|key| &*format!("{}=", key.name).leak());
    command.mut_arg("set", |arg| arg.value_parser(PossibleValuesParser::new(keys)))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::cli::args::Cli;

    #[test]
    fn names_of_profiles_are_completed() {
        let script = String::from_utf8(script(Shell::Bash, Cli::command())).expect("UTF-8");
        let (_, after) = script.split_once("belljar__subcmd__run)").expect("the part of run");
        let (_, values) = after.split_once("--profile)").expect("its option");
        assert!(
            values.trim_start().starts_with("COMPREPLY=($(compgen -W \"strict standard"),
            "{values:.200}"
        );
    }

    #[test]
    fn keys_of_profiles_are_completed() {
        let script = String::from_utf8(script(Shell::Bash, Cli::command())).expect("UTF-8");
        let (_, values) = script.split_once("--set)").expect("its option");
        let (values, _) = values.split_once(';').expect("its end");
        for key in crate::profile::KEYS {
            assert!(values.contains(&format!("{}=", key.name)), "{}: {values:.200}", key.name);
        }
    }

    #[test]
    fn every_shell_completes_the_options_of_run() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, Cli::command())).expect("UTF-8");
            for word in ["ro-bind", "profile", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
