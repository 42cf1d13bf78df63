//! `belljar selftest`: known attacks, tried on this machine.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::error::Error;
use super::stdio;
use crate::profile::builtin_names;
use crate::selftest::{self, Selection, Summary};

#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Use only this built-in profile
    #[arg(short, long, value_parser = PossibleValuesParser::new(builtin_names()))]
    profile: Option<String>,
    /// Print a line of JSON for each attack
    #[arg(long)]
    json: bool,
    /// Try them under another sandbox instead: a program that puts the command that is its arguments in one
    ///
    /// For docs/comparison. Prints a line of JSON for each attack that has a probe.
    #[arg(long, value_name = "PROGRAM", hide = true, conflicts_with_all = ["profile", "json"])]
    under: Option<PathBuf>,
    /// Try this one attack in this very process, with what is told as NAME=VALUE
    #[arg(long, value_name = "ROW", hide = true, conflicts_with_all = ["profile", "json", "under"])]
    probe: Option<String>,
    /// Try only these attacks (T1, M13, ...); all if none is named
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
}

/// Runs it.
pub fn main(args: &SelftestArgs) -> Result<u8, Error> {
    if let Some(id) = &args.probe {
        selftest::probe(id, &args.rows).map_err(|source| Error::SelfTest { source: Box::new(source) })?;
        return Ok(0);
    }
    let mut selection = Selection::default();
    selection.profile.clone_from(&args.profile);
    selection.rows.clone_from(&args.rows);
    // What the sandbox must not get to see of this process.
    // SAFETY: this program has one thread at this point.
    unsafe { std::env::set_var(selftest::SECRET, selftest::SECRET_VALUE) };
    if let Some(program) = &args.under {
        return under(program, &args.rows);
    }
    let mut summary = Summary::default();
    let mut printed = Ok(());
    let run = selftest::run(&selection, |report| {
        summary.add(report);
        let mut text = Vec::new();
        let written = if args.json {
            selftest::json_line(report, &mut text)
        } else {
            selftest::render(report, &mut text)
        };
        if printed.is_ok() {
            printed = written.map_err(|source| Error::Output { source }).and_then(|()| stdio::print(&text));
        }
    });
    run.map_err(|source| Error::SelfTest { source: Box::new(source) })?;
    printed?;
    if !args.json {
        stdio::print(format!("\n{summary}\n").as_bytes())?;
    }
    Ok(u8::from(summary.failed > 0))
}

/// The same probes under another sandbox. The exit status is 0: belljar is not tested.
fn under(program: &Path, rows: &[String]) -> Result<u8, Error> {
    let mut printed = Ok(());
    let run = selftest::under(program, rows, |report| {
        let mut line = serde_json::to_vec(report).map_err(std::io::Error::from);
        if let Ok(line) = &mut line {
            line.push(b'\n');
        }
        if printed.is_ok() {
            printed = line.map_err(|source| Error::Output { source }).and_then(|line| stdio::print(&line));
        }
    });
    run.map_err(|source| Error::SelfTest { source: Box::new(source) })?;
    printed?;
    Ok(0)
}
