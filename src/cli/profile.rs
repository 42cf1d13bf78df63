//! `belljar profile`: the profiles that there are, and whether a file is one.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Subcommand};

use super::error::Error;
use super::{engine, escape, stdio, values};

/// List, show and check profiles
#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the profiles that -p knows: those built in, and those in the user's folder
    List,
    /// Print a profile as it was written
    Show {
        /// A name, or a path with a / in it
        #[arg(value_name = "NAME|FILE")]
        profile: OsString,
        /// Print what it comes to, with all that it extends, as one file
        #[arg(long)]
        effective: bool,
    },
    /// Check a file; says nothing where it is good
    Check {
        /// The file
        #[arg(value_parser = OsStringValueParser::new().try_map(values::host_path))]
        file: PathBuf,
    },
}

/// Runs it.
pub fn main(args: &ProfileArgs) -> Result<u8, Error> {
    match &args.action {
        Action::List => stdio::print(table(&engine::profile_list()?).as_bytes())?,
        Action::Show { profile, effective: false } => {
            stdio::print(engine::profile_source(profile)?.as_bytes())?;
        }
        Action::Show { profile, effective: true } => {
            stdio::print(engine::profile_effective(profile)?.as_bytes())?;
        }
        Action::Check { file } => engine::profile_check(file)?,
    }
    Ok(0)
}

/// Names and descriptions in two columns.
fn table(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, text): &(String, String)| {
        let line = format!("{:width$}  {}", escape::text(name), escape::text(text));
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_is_padded() {
        let rows = [("strict", "untrusted code"), ("a-long-name", ""), ("x", "y\u{1b}")];
        let rows = rows.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(table(&rows), "strict       untrusted code\na-long-name\nx            y\\x1b\n");
        assert_eq!(table(&[]), "");
    }
}
