//! `belljar selftest`: known attacks, tried on this machine.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::error::Error;
use super::stdio;
use crate::profile::builtin_names;
use crate::selftest::{self, Selection, Summary};

/// Try known attacks against each built-in profile, on this machine and this kernel
///
/// Each is tried outside (where it must work), inside (where it must not), and inside without the walls that are said to
/// hold it (where it must work again). Nothing is harmed. Exits 0 where nothing failed, else 1.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Only this built-in profile
    #[arg(short, long, value_parser = PossibleValuesParser::new(builtin_names()))]
    profile: Option<String>,
    /// Print a line of JSON for each attack
    #[arg(long)]
    json: bool,
    /// Only these attacks (T1, M13, …); else all
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
}

/// Runs it.
pub fn main(args: &SelftestArgs) -> Result<u8, Error> {
    let mut selection = Selection::default();
    selection.profile.clone_from(&args.profile);
    selection.rows.clone_from(&args.rows);
    // What the sandbox must not get to see of this process.
    // SAFETY: this program has one thread at this point.
    unsafe { std::env::set_var(selftest::SECRET, selftest::SECRET_VALUE) };
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
