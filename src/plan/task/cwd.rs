//! The working directory inside.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::host::plain::PlainPath;
use crate::host::{Facts, Files};
use crate::plan::call::Call;
use crate::plan::error::PlanError;
use crate::plan::paths::convert::normal;
use crate::plan::paths::view::{Found, Stop, View};
use crate::profile::{Mount, MountKind, Profile, Workdir};

/// The working directory that was asked for: the call's, else the profile's, else the caller's where it is
/// shown.
pub(crate) fn asked(profile: &Profile, facts: &Facts, call: &Call) -> Result<Option<PathBuf>, PlanError> {
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

/// The directory of the host that `workdir` shows: the caller's working directory, or the call's where that
/// is neither below the caller's nor shown by anything else. `None` where none is to be, or need be.
pub(crate) fn shown(
    profile: &Profile,
    facts: &Facts,
    files: &dyn Files,
    call: &Call,
) -> Result<Option<PathBuf>, PlanError> {
    if profile.workdir == Workdir::None {
        return Ok(None);
    }
    let callers = || facts.cwd.clone().ok_or(PlanError::NoCwd);
    let check = |path: PathBuf| match unfit(&path, profile, files, call) {
        Some(problem) => Err(PlanError::Cwd { path, problem }),
        None => Ok(Some(path)),
    };
    // What is wrong with the call's is found when it is looked at inside.
    let asked = call.cwd.as_ref().and_then(|asked| normal(&facts.cwd.as_deref()?.join(asked)).ok());
    let Some(asked) = asked else { return check(callers()?) };
    let callers = callers().and_then(check);
    match callers {
        Ok(Some(callers)) if asked.starts_with(&callers) => Ok(Some(callers)),
        // One that is only inside, where something is mounted below it, needs nothing of the host.
        _ if is_covered(&asked, profile) || files.canonicalize(&asked).is_err() => {
            Ok(callers.unwrap_or_default())
        }
        _ => check(asked),
    }
}

/// Whether something else is at a path inside, or the root itself is.
fn is_covered(path: &Path, profile: &Profile) -> bool {
    if path == Path::new("/") || profile.root.path.is_some() {
        return true;
    }
    let nearest = path.ancestors().find_map(|at| profile.mounts.iter().find(|mount| mount.destination == at));
    match nearest {
        // An empty file system has only what is mounted in it.
        Some(Mount { kind: MountKind::Tmpfs { .. }, destination, .. }) if destination != path => {
            profile.mounts.iter().any(|mount| mount.destination.starts_with(path))
        }
        Some(_) => true,
        None => profile.root.synthetic_etc && path.starts_with("/etc"),
    }
}

/// Why a working directory cannot be shown: the host's root, or one that brings the caller's home with it, a
/// mistake that shows every key and token to what runs. To show it on purpose, bind it by name.
fn unfit(path: &Path, profile: &Profile, files: &dyn Files, call: &Call) -> Option<&'static str> {
    if path == Path::new("/") {
        return Some("the whole of the host would be its working directory");
    }
    let home = call.caller_env.get(OsStr::new("HOME")).map(Path::new).filter(|home| home.is_absolute())?;
    // A home that is not there, or out of reach, is not below the working directory either.
    let home = files.canonicalize(home).ok()?;
    let bound = profile.mounts.iter().any(|mount| mount.destination == path);
    let shows = !bound && home.starts_with(path) && home != Path::new("/");
    shows.then_some("showing it would show all of the caller's home directory, keys and tokens included")
}

/// The caller's working directory, where what the call or a profile shows by name is in it, or it is in that:
/// a path that starts from there leads to the same file inside.
pub(crate) fn callers(profile: &Profile, facts: &Facts) -> Option<PathBuf> {
    let cwd = facts.cwd.as_deref().filter(|cwd| *cwd != Path::new("/"))?;
    let shown = profile.mounts.iter().any(|mount| {
        let MountKind::Bind { source, .. } = &mount.kind else { return false };
        let at = &mount.destination;
        !mount.system && source == at && (at.starts_with(cwd) || cwd.starts_with(at))
    });
    shown.then(|| cwd.to_owned())
}

/// The working directory as it is inside, without symlinks. Where none was asked for: the caller's if it is
/// the same inside, else `/tmp` if there is one, else `/`.
pub(crate) fn cwd(
    asked: Option<&Path>,
    callers: Option<PathBuf>,
    view: &View<'_>,
) -> Result<PathBuf, PlanError> {
    let Some(path) = asked else {
        let same = |path: &PathBuf| {
            view.resolve(path)
                .is_ok_and(|inside| inside.path.path() == path && matches!(inside.found, Found::Directory(_)))
        };
        if let Some(callers) = callers.filter(same) {
            return Ok(callers);
        }
        let usable = matches!(view.look(PlainPath::TMP), Ok(Found::Directory(_)));
        return Ok(if usable { PlainPath::TMP } else { PlainPath::ROOT }.path().to_owned());
    };
    let wrong = |problem| PlanError::Cwd { path: path.to_owned(), problem };
    let resolved = view.resolve(path).map_err(|stop| match stop {
        Stop::NotADirectory => wrong("something on its way is not a directory"),
        Stop::Loop => wrong("symlinks on its way lead in a circle"),
        Stop::Parent => wrong("a symlink on its way leads nowhere"),
        Stop::Unknown => wrong("it is on a file system whose content is not known before it is mounted"),
        Stop::Host { path, source } => PlanError::Read { path, source },
    })?;
    match resolved.found {
        Found::Directory(_) if resolved.path.plain().is_in(PlainPath::PROC) => {
            Err(wrong("it leads into /proc"))
        }
        Found::Directory(_) => Ok(resolved.path.into_path()),
        Found::Missing => Err(wrong("it is not there inside the sandbox")),
        Found::Unknown => {
            Err(wrong("it is on a file system whose content is not known before it is mounted"))
        }
        _ => Err(wrong("it is not a directory")),
    }
}
