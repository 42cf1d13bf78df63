//! The usual command lines of `belljar run`, read without clap.
//!
//! clap first describes all options of all subcommands to itself, which takes a twentieth of a whole start:
//! code and memory that are touched once. This reads `belljar run [OPTIONS] -- COMMAND [ARGS]...` with the
//! options that stand alone, and gives everything else (another form, an option that goes with another,
//! anything wrong) back to it: what is an error, and how it is told, is clap's alone. A test compares the
//! two.

use std::ffi::{OsStr, OsString};

use clap::ValueEnum as _;
use lexopt::{Arg, Parser};

use super::options::{Net, RunArgs, Way};
use crate::cli::{units, values};
use crate::profile::units as ids;

/// What a command line (with the program's name in front) asks for; `None`: it is clap's to read.
pub fn read(argv: &[OsString]) -> Option<RunArgs> {
    let (_, [subcommand, words @ ..]) = argv.split_first()? else { return None };
    if subcommand != "run" {
        return None;
    }
    let mut run = RunArgs { is_program: true, ..RunArgs::default() };
    let mut profile = None;
    let mut words = Parser::from_args(words);
    loop {
        if let Some(mut rest) = words.try_raw_args()
            && rest.next_if(|word| word == "--").is_some()
        {
            run.task = rest.collect();
            break;
        }
        let option = match words.next().ok()?? {
            Arg::Short('p') | Arg::Long("profile") => {
                once(&mut profile, text(value(&mut words)?))?;
                continue;
            }
            Arg::Short(short) => long(short)?,
            Arg::Long(name) => OPTIONS.iter().find(|known| **known == name)?,
            Arg::Value(_) => return None,
        };
        set(&mut run, option, &mut words)?;
    }
    run.profile.profile = profile.unwrap_or_else(|| "strict".to_owned());
    (!run.task.is_empty()).then_some(run)
}

/// The options that mean the same whatever stands beside them.
const OPTIONS: [&str; 26] = [
    "allow-sockets",
    "bind",
    "cgroup-parent",
    "cpu-time",
    "cpus",
    "env",
    "file-size",
    "follow-symlinks",
    "hostname",
    "keep-fd",
    "limits",
    "memory",
    "net",
    "output-limit",
    "overlay-tmp",
    "pids",
    "report",
    "ro-bind",
    "rootfs",
    "set",
    "timeout",
    "timing",
    "tmpfs",
    "tty",
    "user",
    "workdir",
];

fn long(short: char) -> Option<&'static str> {
    match short {
        'e' => Some("env"),
        'm' => Some("memory"),
        't' => Some("tty"),
        'w' => Some("workdir"),
        _ => None,
    }
}

fn set(run: &mut RunArgs, option: &str, words: &mut Parser) -> Option<()> {
    let RunArgs { profile, files, process, limits, output, .. } = run;
    let flag = match option {
        "allow-sockets" => Some(&mut files.allow_sockets),
        "follow-symlinks" => Some(&mut files.follow_symlinks),
        "overlay-tmp" => Some(&mut files.overlay_tmp),
        "timing" => Some(&mut output.timing),
        "tty" => Some(&mut process.tty),
        _ => None,
    };
    if let Some(flag) = flag {
        // With a value, or given twice, it is an error.
        return (words.optional_value().is_none() && !std::mem::replace(flag, true)).then_some(());
    }
    let value = value(words)?;
    match option {
        "bind" => files.bind.push(values::bind(value).ok()?),
        "ro-bind" => files.ro_bind.push(values::bind(value).ok()?),
        "tmpfs" => files.tmpfs.push(values::tmpfs(value).ok()?),
        "rootfs" => once(&mut files.rootfs, values::host_path(value).ok())?,
        "set" => profile.set.push(text(value)?),
        "net" => once(&mut profile.net, Net::from_str(value.to_str()?, false).ok())?,
        "workdir" => once(&mut process.workdir, values::host_path(value).ok())?,
        "env" => process.env.push(values::variable(value).ok()?),
        "hostname" => once(&mut process.hostname, text(value))?,
        "user" => once(&mut process.user, ids::user(value.to_str()?).ok())?,
        "keep-fd" => process.keep_fd.push(values::descriptor(value.to_str()?).ok()?),
        "memory" => once(&mut limits.memory, units::limit(units::size)(value.to_str()?).ok())?,
        "pids" => once(&mut limits.pids, units::limit(units::count)(value.to_str()?).ok())?,
        "cpus" => once(&mut limits.cpus, units::limit(units::cpus)(value.to_str()?).ok())?,
        "cgroup-parent" => once(&mut limits.cgroup_parent, Some(value.into()))?,
        "limits" => once(&mut limits.limits, Way::from_str(value.to_str()?, false).ok())?,
        "timeout" => once(&mut limits.timeout, units::limit(units::duration)(value.to_str()?).ok())?,
        "cpu-time" => once(&mut limits.cpu_time, units::limit(units::duration)(value.to_str()?).ok())?,
        "file-size" => once(&mut limits.file_size, units::limit(units::size)(value.to_str()?).ok())?,
        "output-limit" => once(&mut limits.output_limit, units::limit(units::output)(value.to_str()?).ok())?,
        "report" => once(&mut output.report, values::host_path(value).ok())?,
        _ => return None,
    }
    Some(())
}

/// An option's value: after `=`, or the next word, unless that looks like an option.
fn value(words: &mut Parser) -> Option<OsString> {
    let value = match words.optional_value() {
        Some(value) => value,
        None => words.try_raw_args()?.next().filter(|word| !is_option(word))?,
    };
    (!value.is_empty()).then_some(value)
}

fn is_option(word: &OsStr) -> bool {
    word != "-" && word.as_encoded_bytes().starts_with(b"-")
}

fn text(value: OsString) -> Option<String> {
    value.into_string().ok()
}

/// Sets what may be given once.
fn once<T>(field: &mut Option<T>, value: Option<T>) -> Option<()> {
    if field.is_some() {
        return None;
    }
    *field = Some(value?);
    Some(())
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
