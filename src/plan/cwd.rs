//! The working directory inside.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::text::normal;
use super::view::{Found, Stop, View};
use super::{Call, PlanError};
use crate::host::plain::PlainPath;
use crate::host::{Facts, Files};
use crate::profile::{Profile, Workdir};

/// The working directory that was asked for: the call's, else the profile's, else the caller's where it is shown.
pub(super) fn asked(profile: &Profile, facts: &Facts, call: &Call) -> Result<Option<PathBuf>, PlanError> {
    let path = match (&call.cwd, &profile.process.cwd) {
        (Some(path), _) if path.is_relative() => facts.cwd.as_deref().ok_or(PlanError::NoCwd)?.join(path),
        (Some(path), _) | (None, Some(path)) => path.clone(),
        (None, None) if profile.workdir != Workdir::None => facts.cwd.clone().ok_or(PlanError::NoCwd)?,
        (None, None) => return Ok(None),
    };
    match normal(&path) {
        // A magic link there (/proc/self/fd/N) is the way out of CVE-2024-21626.
        Ok(path) if path.starts_with("/proc") => {
            Err(PlanError::Cwd { path, problem: "nothing in /proc can be a working directory" })
        }
        Ok(path) => Ok(Some(path)),
        Err(_) => Err(PlanError::Cwd { path, problem: "it is not an absolute path without `..`" }),
    }
}

/// A working directory that is shown must not bring the caller's home with it: a slip that shows every key and token to what runs.
/// Whoever means it binds the folder by name.
pub(super) fn is_not_the_home(
    profile: &Profile,
    facts: &Facts,
    files: &dyn Files,
    call: &Call,
) -> Result<(), PlanError> {
    let Some(cwd) = facts.cwd.as_ref().filter(|_| profile.workdir != Workdir::None) else { return Ok(()) };
    let home = call.caller_env.get(OsStr::new("HOME")).map(Path::new).filter(|home| home.is_absolute());
    // A home that is not there, or out of reach, is not below the working directory either.
    let Some(home) = home.and_then(|home| files.canonicalize(home).ok()) else { return Ok(()) };
    let bound = profile.mounts.iter().any(|mount| mount.destination == *cwd);
    if bound || !home.starts_with(cwd) || home == Path::new("/") {
        return Ok(());
    }
    Err(PlanError::Cwd {
        path: cwd.clone(),
        problem: "showing it would show all of the caller's home directory, keys and tokens included",
    })
}

/// The working directory as it is inside, without symlinks. Where none was asked for: `/tmp` if there is one, else `/`.
pub(super) fn cwd(asked: Option<&Path>, view: &View<'_>) -> Result<PathBuf, PlanError> {
    let Some(path) = asked else {
        let usable = matches!(view.look(PlainPath::TMP), Ok(Found::Folder(_)));
        return Ok(if usable { PlainPath::TMP } else { PlainPath::ROOT }.path().to_owned());
    };
    let wrong = |problem| PlanError::Cwd { path: path.to_owned(), problem };
    let resolved = view.resolve(path).map_err(|stop| match stop {
        Stop::NotAFolder => wrong("something on its way is not a folder"),
        Stop::Loop => wrong("symlinks on its way lead in a circle"),
        Stop::Parent => wrong("a symlink on its way leads nowhere"),
        Stop::Unknown => wrong("it is on a file system whose content is not known before it is mounted"),
        Stop::Host { path, source } => PlanError::Read { path, source },
    })?;
    match resolved.found {
        Found::Folder(_) if resolved.path.plain().is_in(PlainPath::PROC) => Err(wrong("it leads into /proc")),
        Found::Folder(_) => Ok(resolved.path.into_path()),
        Found::Missing => Err(wrong("it is not there inside the sandbox")),
        Found::Unknown => {
            Err(wrong("it is on a file system whose content is not known before it is mounted"))
        }
        _ => Err(wrong("it is not a folder")),
    }
}
