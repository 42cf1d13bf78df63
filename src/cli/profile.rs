//! `belljar profile`: the profiles that there are, and whether a file is one.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::error::Error;
use super::{escape, stdio};
use crate::profile::{self, Listed, Profile};

#[derive(Debug, Args)]
#[command(after_long_help = keys())]
pub struct ProfileArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the profiles that -p takes by name: the built-in ones, and those in the user's directory
    List,
    /// Print a profile as it was written
    Show {
        /// A name, or a path with a / in it
        #[arg(value_name = "NAME|FILE")]
        profile: String,
        /// Print the result as one file, with everything that the profile extends
        #[arg(long)]
        effective: bool,
    },
    /// Check a profile file. Prints nothing if it is valid
    Check {
        /// The file
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        file: String,
    },
}

/// Runs it.
pub fn main(args: &ProfileArgs) -> Result<u8, Error> {
    match &args.action {
        Action::List => {
            let rows: Vec<_> = profile::list()?.iter().map(row).collect();
            stdio::print(table(&rows).as_bytes())?;
        }
        Action::Show { profile, effective } => {
            let shown = profile::show(profile)?;
            let text = if *effective { shown.effective() } else { shown.source };
            stdio::print(text.as_bytes())?;
        }
        Action::Check { file } => {
            // Without a slash it would be a name.
            let path = if file.contains('/') { file.clone() } else { format!("./{file}") };
            Profile::load_with::<&str>(&path, &[])?;
        }
    }
    Ok(0)
}

/// Every key, for `belljar help profile`.
fn keys() -> String {
    let entry =
        |key: &profile::Key| format!("  {}\n      {}\n      takes {}\n", key.name, key.meaning, key.takes());
    let all: String = profile::KEYS.iter().map(entry).collect();
    format!("Keys of a profile (a TOML file; --set KEY=VALUE sets one):\n{all}")
}

fn row(listed: &Listed) -> (String, String) {
    let text = match &listed.description {
        _ if listed.shadowed => "(not used: the built-in profile has the same name)".to_owned(),
        Ok(description) => description.clone(),
        Err(error) => format!("(cannot be loaded: {})", crate::error_chain(error)),
    };
    (listed.name.clone(), text)
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
