//! `belljar man`: the manual pages, in roff.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::error::Error;
use super::stdio;

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Print the page of this subcommand, instead of belljar's own
    #[arg(value_name = "SUBCOMMAND")]
    subcommand: Option<String>,
    /// Write the pages of belljar and all its subcommands to this directory (belljar.1, belljar-run.1, ...)
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    all: Option<PathBuf>,
}

/// Runs it, for the whole command line `belljar`.
pub fn main(args: &ManArgs, belljar: Command) -> Result<u8, Error> {
    let belljar = belljar.disable_help_subcommand(true);
    if let Some(directory) = &args.all {
        clap_mangen::generate_to(belljar, directory)
            .map_err(|source| Error::ManPages { path: directory.clone(), source })?;
        return Ok(0);
    }
    let page = page(belljar, args.subcommand.as_deref())?;
    stdio::print(&page)?;
    Ok(0)
}

fn page(mut belljar: Command, subcommand: Option<&str>) -> Result<Vec<u8>, Error> {
    belljar.build();
    let command = match subcommand {
        None => belljar,
        Some(name) => {
            let Some(found) = belljar.find_subcommand(name).filter(|found| !found.is_hide_set()) else {
                let known: Vec<_> = belljar.get_subcommands().map(Command::get_name).collect();
                return Err(Error::Usage {
                    message: format!("no subcommand {name}"),
                    hints: vec![format!("there is a page for each of: {}", known.join(", "))],
                });
            };
            // A page of its own has the options that every subcommand takes, too; clap copied them in
            // `build`.
            found.clone().version(env!("CARGO_PKG_VERSION"))
        }
    };
    render(command).map_err(|source| Error::Output { source })
}

fn render(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).manual("belljar").render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Cli;

    /// A page names others under SEE ALSO and its subcommands: they are files, too.
    #[test]
    fn every_page_that_a_page_names_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let args = ManArgs { subcommand: None, all: Some(directory.path().to_owned()) };
        assert_eq!(main(&args, Cli::command()).expect("written"), 0);
        let page = std::fs::read_to_string(directory.path().join("belljar.1")).expect("a page");
        let named: Vec<&str> = page
            .split("belljar\\-")
            .skip(1)
            .filter_map(|rest| rest.split_once("(1)"))
            .map(|(name, _)| name)
            .collect();
        assert!(named.contains(&"run") && named.contains(&"doctor"), "{named:?}");
        for name in named {
            assert!(directory.path().join(format!("belljar-{name}.1")).exists(), "{name}");
        }
    }

    #[test]
    fn there_is_a_page_for_belljar_and_each_subcommand() {
        for (name, word) in [
            (None, "Exit status"),
            (Some("run"), "ro\\-bind"),
            (Some("doctor"), "json"),
            (Some("profile"), "check"),
            (Some("ps"), "json"),
            (Some("completions"), "bash"),
            (Some("man"), "SUBCOMMAND"),
        ] {
            let page = String::from_utf8(page(Cli::command(), name).expect("a page")).expect("UTF-8");
            assert!(page.contains(".TH belljar"), "{name:?}: {page}");
            assert!(page.contains(word), "{name:?}: {page}");
        }
    }

    #[test]
    fn an_unknown_page_names_the_known_ones() {
        let error = page(Cli::command(), Some("rn")).expect_err("no such page");
        assert_eq!(error.message(), "no subcommand rn");
        assert!(error.render().contains("run, doctor, profile"), "{}", error.render());
    }
}
