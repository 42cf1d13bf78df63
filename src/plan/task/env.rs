//! The environment and the arguments: from an allow-list, and of a size that the kernel takes.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::plan::call::Call;
use crate::plan::error::PlanError;
use crate::plan::show::text::shown;
use crate::profile::{Profile, environment};

/// `MAX_ARG_STRLEN`: one argument or variable with its NUL, see `execve(2)`.
pub(crate) const MAX_STRING: u64 = 128 << 10;
/// `ARG_MAX`: what `execve` takes in any case.
const MIN_TOTAL: u64 = 128 << 10;
/// Three quarters of `_STK_LIM`: what it never takes more of.
const MAX_TOTAL: u64 = 6 << 20;
/// Room for what the kernel itself lays on the new stack: the program's name and the auxiliary vector's
/// strings.
const RESERVE: u64 = 4096;

/// The variables of the task in the order of their first mention; for each the last word counts.
pub(crate) fn variables(profile: &Profile, call: &Call) -> Result<Vec<(OsString, OsString)>, PlanError> {
    let mut out: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &OsStr, value: Option<&OsStr>| -> Result<(), PlanError> {
        let wrong = |problem| PlanError::Env { name: shown(name), problem };
        environment(name.as_bytes(), value.map(OsStr::as_bytes)).map_err(wrong)?;
        let Some(value) = value.or_else(|| call.caller_env.get(name).map(OsString::as_os_str)) else {
            return Ok(());
        };
        match out.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => out.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    };
    for entry in &profile.process.env {
        match entry.split_once('=') {
            Some((name, value)) => set(OsStr::new(name), Some(OsStr::new(value)))?,
            None => set(OsStr::new(entry), None)?,
        }
    }
    for (name, value) in &call.env {
        set(name, value.as_deref())?;
    }
    Ok(out)
}

/// A variable's value.
pub(crate) fn get<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
}

/// `K=V` for the kernel.
pub(crate) fn strings(variables: &[(OsString, OsString)]) -> Result<Vec<CString>, PlanError> {
    let mut out = Vec::with_capacity(variables.len());
    for (name, value) in variables {
        let mut entry = name.clone().into_vec();
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        measure(entry.len(), || format!("environment variable {}", shown(name)))?;
        let problem = "an environment variable has no NUL byte in it";
        out.push(CString::new(entry).map_err(|_| PlanError::Env { name: shown(name), problem })?);
    }
    Ok(out)
}

/// The arguments for the kernel.
pub(crate) fn arguments(args: &[OsString]) -> Result<Vec<CString>, PlanError> {
    let mut out = Vec::with_capacity(args.len());
    for (i, arg) in args.iter().enumerate() {
        measure(arg.len(), || format!("argument {i}"))?;
        let wrong = |_| PlanError::Value {
            key: "argument",
            value: arg.to_string_lossy().into_owned(),
            problem: "it has a NUL byte in it",
        };
        out.push(CString::new(arg.as_bytes()).map_err(wrong)?);
    }
    Ok(out)
}

fn measure(len: usize, what: impl Fn() -> String) -> Result<(), PlanError> {
    let bytes = len as u64 + 1;
    if bytes > MAX_STRING {
        return Err(PlanError::TooLong { what: what(), bytes, limit: MAX_STRING });
    }
    Ok(())
}

/// Whether arguments and environment fit together, under the stack limit that the task will have.
pub(crate) fn fits(argv: &[CString], env: &[CString], stack: u64) -> Result<(), PlanError> {
    let pointer = size_of::<usize>() as u64;
    let bytes: u64 = argv.iter().chain(env).map(|s| s.as_bytes_with_nul().len() as u64 + pointer).sum();
    let limit = (stack / 4).clamp(MIN_TOTAL, MAX_TOTAL) - RESERVE;
    if bytes > limit {
        return Err(PlanError::TooLong {
            what: "arguments and environment together".to_owned(),
            bytes,
            limit,
        });
    }
    Ok(())
}
