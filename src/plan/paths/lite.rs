//! *Lite*: no namespaces, so no root of one's own. The mounts of the profile become rights to the host's own
//! paths; what only a mount could give is refused.

use std::path::{Path, PathBuf};

use super::convert::{normal, path_of};
use super::dev::dev;
use super::inputs::Inputs;
use super::landlock::{self, Rules};
use super::mounts;
use super::source::{LeftOut, locate};
use super::view::missing;
use crate::host::Files;
use crate::host::plain::{PlainPath, PlainPathBuf};
use crate::plan::error::{PlanError, WallProblem};
use crate::plan::model::{Bind, HostIdentity, Node};
use crate::plan::show::note::Note;
use crate::profile::{Attributes, Mount, MountKind, Profile, Workdir};

fn refused(key: String, reason: &'static str, hint: &'static str) -> PlanError {
    PlanError::Unenforceable { key, reason, hint }
}

/// What needs a namespace, and is asked for all the same.
pub(crate) fn possible(profile: &Profile, terminal: bool) -> Result<(), PlanError> {
    const HINT: &str = "use a profile with namespaces, or leave it out";
    let asked = [
        ("root.path", profile.root.path.is_some() || profile.root.path_required),
        ("root.overlay", profile.root.overlay),
        ("hostname", profile.hostname.is_some()),
        ("process.capabilities", !profile.process.capabilities.is_empty()),
        ("process.no_new_privileges = false", !profile.process.no_new_privileges),
        ("a terminal of its own", terminal),
    ];
    let paths =
        !profile.mounts.is_empty() || !profile.masked_paths.is_empty() || profile.workdir != Workdir::None;
    match asked.iter().find(|(_, asked)| *asked) {
        Some((key, _)) => Err(refused((*key).to_owned(), "the profile has no namespaces", HINT)),
        None if paths && !profile.landlock.require => {
            let hint = "require Landlock, or use a profile with namespaces";
            Err(refused(
                "mounts".to_owned(),
                "without namespaces only Landlock holds paths, and it is off",
                hint,
            ))
        }
        None => Ok(()),
    }
}

/// The Landlock rules, by path on the host.
pub(crate) fn rules(
    inputs: &Inputs<'_>,
    shown: Option<&Path>,
    notes: &mut Vec<Note>,
) -> Result<Rules, PlanError> {
    let Inputs { profile, .. } = *inputs;
    let mut rules = Rules::new();
    let mut left_out = Vec::new();
    for (path, mount) in mounts::asked(profile, shown)?.iter() {
        match granted(inputs, path.path(), mount, notes)? {
            Ok(granted) => {
                for (path, access) in granted {
                    *rules.get_or_insert(PlainPathBuf::from(path).plain(), 0) |= access;
                }
            }
            Err(missing) => left_out.push(missing),
        }
    }
    let write = landlock::access::WRITE_FILE | landlock::access::MAKE_REG | landlock::access::REMOVE_FILE;
    for missing in left_out {
        let directory = PlainPathBuf::from(missing.directory.clone());
        if landlock::granted(&rules, directory.plain()) & write != 0 && !missing.roots {
            return Err(missing.refuse());
        }
        notes.push(missing.note());
    }
    no_more_from_above(&rules)?;
    denied(&rules, "maskedPaths", &profile.masked_paths, u64::MAX)?;
    denied(&rules, "readonlyPaths", &profile.readonly_paths, write)?;
    Ok(rules)
}

/// Landlock cannot take back what a directory above grants: what is read-only or not executable below one
/// that is more is refused.
fn no_more_from_above(rules: &Rules) -> Result<(), PlanError> {
    use landlock::access::{EXECUTE, WRITE_FILE};
    for entry in rules.entries() {
        let Some((above, _)) = entry.above else { continue };
        // A device is never executed, even where that is granted.
        let telling = if entry.path.is_in(PlainPath::DEV) { WRITE_FILE } else { WRITE_FILE | EXECUTE };
        if landlock::granted(rules, above) & !*entry.value & telling != 0 {
            let (path, above) = (entry.path.path().to_owned(), above.path().to_owned());
            return Err(PlanError::Wall { path, problem: WallProblem::AddsUp { above } });
        }
    }
    Ok(())
}

/// What a mount of the profile grants, by path on the host, or that it is left out.
fn granted(
    inputs: &Inputs<'_>,
    path: &Path,
    mount: &Mount,
    notes: &mut Vec<Note>,
) -> Result<Result<Vec<(PathBuf, u64)>, LeftOut>, PlanError> {
    let refuse = |hint| {
        Err(refused(format!("the mount at {path:?}"), "without namespaces nothing can be mounted", hint))
    };
    if mount.attributes != Attributes::default() {
        return refuse("leave access times and propagation out, or use a profile with namespaces");
    }
    match &mount.kind {
        MountKind::Bind { source, .. } => {
            let same = normal(&inputs.absolute(source)?).is_ok_and(|source| source == path);
            if !same {
                let (key, reason) =
                    (format!("the mount at {path:?}"), "without namespaces a path cannot be another's");
                return Err(refused(key, reason, "show it at its own path: --bind SRC without :DST"));
            }
            Ok(match locate(inputs, mount, (source, false), path)? {
                Ok(found) => {
                    if let (Node::Bind(bind), HostIdentity::Unique) = (&found.node, &inputs.identity.host) {
                        open_to_all(bind, inputs.files, notes)?;
                    }
                    Ok(access(&found.node).into_iter().collect())
                }
                Err(missing) => Err(missing),
            })
        }
        MountKind::Dev => {
            let devices = dev(false, inputs.files)?;
            Ok(Ok(devices.iter().filter_map(|device| access(&device.node)).collect()))
        }
        MountKind::Proc { subset_pid: false } if path == Path::new("/proc") => {
            Ok(Ok(vec![(path.to_owned(), landlock::bind(true, true, true))]))
        }
        MountKind::Proc { .. } => refuse("leave it out, or show the host's with subset_pid = false"),
        MountKind::Tmpfs { .. } => {
            refuse("show a directory of the host with --bind, or use a profile with namespaces")
        }
        MountKind::Mqueue | MountKind::Filesystem { .. } => {
            refuse("leave it out, or use a profile with namespaces")
        }
        MountKind::Node { .. } => refuse("show the host's node with --bind"),
    }
}

/// The rule is for what a path leads to: Landlock holds files, not names.
fn access(node: &Node) -> Option<(PathBuf, u64)> {
    match node {
        Node::Bind(b) => {
            let access = landlock::bind(b.source.directory, b.readonly, b.noexec);
            Some((b.source.host_path().to_owned(), access))
        }
        Node::Device(d) => {
            Some((path_of(&d.source).to_owned(), landlock::device(d.major, d.minor, d.readonly)))
        }
        _ => None,
    }
}

/// An id that nothing else has reaches what all users may: what it cannot reach is refused, what it cannot
/// use is told.
fn open_to_all(bind: &Bind, files: &dyn Files, notes: &mut Vec<Note>) -> Result<(), PlanError> {
    let path = bind.source.host_path();
    let mode = |path: &Path| match files.lstat(path) {
        Ok(stat) => Ok(stat.mode),
        Err(source) => Err(PlanError::Read { path: path.to_owned(), source }),
    };
    for closed in path.ancestors().skip(usize::from(!bind.source.directory)) {
        if mode(closed)? & 0o001 == 0 {
            return Err(PlanError::OutOfReach { path: path.to_owned(), closed: closed.to_owned() });
        }
    }
    let wanted = 0o004 | if bind.readonly { 0 } else { 0o002 };
    if mode(path)? & wanted != wanted {
        notes.push(Note::NotForAll { path: path.to_owned(), writable: !bind.readonly });
    }
    Ok(())
}

/// Landlock grants and cannot take back: a path that must not be reached may not lie where something is
/// granted.
fn denied(rules: &Rules, key: &'static str, paths: &[PathBuf], rights: u64) -> Result<(), PlanError> {
    for asked in paths {
        let path = normal(asked).map_err(|_| PlanError::Path { key, path: asked.clone() })?;
        let path = PlainPathBuf::from(path);
        if let Some((at, _)) =
            rules.iter().find(|(at, access)| **access & rights != 0 && path.plain().is_in(*at))
        {
            let destination = at.path().to_owned();
            return Err(PlanError::Contradiction { destination, key, path: asked.clone() });
        }
    }
    Ok(())
}

/// The working directory on the host, canonical. Where none was asked for: the caller's if something is shown
/// there, else `/`.
pub(crate) fn cwd(
    asked: Option<&Path>,
    callers: Option<PathBuf>,
    rules: &Rules,
    files: &dyn Files,
) -> Result<PathBuf, PlanError> {
    let Some(path) = asked else { return Ok(callers.unwrap_or_else(|| PathBuf::from("/"))) };
    let wrong = |problem| PlanError::Cwd { path: path.to_owned(), problem };
    let followed = match files.follow(path) {
        Err(e) if missing(&e) => return Err(wrong("it does not exist")),
        followed => followed.map_err(|source| PlanError::Read { path: path.to_owned(), source })?,
    };
    if followed.through_proc {
        return Err(wrong("it leads into /proc"));
    }
    let stat =
        files.lstat(&followed.path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
    if stat.kind != crate::host::FileKind::Directory {
        return Err(wrong("it is not a directory"));
    }
    let shown = PlainPathBuf::from(followed.path);
    if rules.nearest(shown.plain(), None).is_some() || shown.plain().is_root() {
        Ok(shown.into_path())
    } else {
        Err(wrong("nothing shows it to the sandbox"))
    }
}
