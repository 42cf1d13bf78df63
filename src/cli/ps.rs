//! `belljar ps`: the sandboxes that run on this host.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use clap::Args;
use serde_json::{Value, json};

use super::error::Error;
use super::running::{Running, running};
use super::{escape, named, stdio, units};

/// The most that is shown of a command, characters.
const COMMAND: usize = 60;

/// The most that is shown of a profile's name, which may be a path.
const PROFILE: usize = 24;

#[derive(Debug, Args)]
pub struct PsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn main(args: &PsArgs) -> Result<u8, Error> {
    let all = running().map_err(|source| Error::Processes { source })?;
    let names = named::all();
    let text = if args.json { json_text(&all, &names)? } else { table(&all, &names) };
    stdio::print(text.as_bytes())?;
    Ok(0)
}

/// The name of one, which the process that started it has.
fn name_of<'a>(one: &Running, names: &'a [(String, i32)]) -> Option<&'a str> {
    names.iter().find(|(_, caller)| *caller == one.caller).map(|(name, _)| name.as_str())
}

fn table(all: &[Running], names: &[(String, i32)]) -> String {
    let head = ["PID", "CALLER", "UID", "TIME", "MEMORY", "PROCS", "CPU", "NAME", "PROFILE", "COMMAND"];
    let mut rows = vec![head.map(str::to_owned)];
    for one in all {
        let usage = one.usage.clone().unwrap_or_default();
        let none = || "-".to_owned();
        rows.push([
            one.pid.to_string(),
            one.caller.to_string(),
            one.uid.to_string(),
            units::show_elapsed(one.elapsed),
            usage.memory_bytes.map_or_else(none, units::show_rounded),
            usage.pids.map_or_else(none, |pids| pids.to_string()),
            usage
                .cpu_micros
                .map_or_else(none, |micros| format!("{}.{}s", micros / 1_000_000, micros / 100_000 % 10)),
            name_of(one, names).map_or_else(none, str::to_owned),
            one.profile.as_deref().map_or_else(none, |profile| cut(&escape::text(profile), PROFILE)),
            cut(&command(&one.command), COMMAND),
        ]);
    }
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// On one line, with control characters escaped.
fn command(arguments: &[Vec<u8>]) -> String {
    arguments.iter().map(|argument| escape::os(OsStr::from_bytes(argument))).collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn json_text(all: &[Running], names: &[(String, i32)]) -> Result<String, Error> {
    let one = |running: &Running| -> Result<Value, Error> {
        let text = |argument: &Vec<u8>| String::from_utf8_lossy(argument).into_owned();
        Ok(json!({
            "pid": running.pid,
            "caller": running.caller,
            "uid": running.uid,
            "seconds": running.elapsed.as_secs_f64(),
            "name": name_of(running, names),
            "profile": running.profile,
            "command": running.command.iter().map(text).collect::<Vec<_>>(),
            "usage": running.usage,
        }))
    };
    let sandboxes = all.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let text = serde_json::to_string_pretty(&json!({ "version": 1, "sandboxes": sandboxes }));
    Ok(text.map_err(|source| Error::Json { source })? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_short_and_harmless() {
        let arguments = [b"\x1b[31mevil\nx".to_vec(), vec![b'a'; 100]];
        let text = cut(&command(&arguments), COMMAND);
        assert!(text.starts_with("\\x1b[31mevil\\nx aaa") && text.ends_with('…'), "{text}");
        assert_eq!(text.chars().count(), COMMAND);
    }

    #[test]
    fn without_sandboxes_there_is_a_head() {
        assert_eq!(table(&[], &[]), "PID  CALLER  UID  TIME  MEMORY  PROCS  CPU  NAME  PROFILE  COMMAND\n");
    }
}
