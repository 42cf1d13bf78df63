//! Nothing that a task leaves on the host gives a user who executes it there the rights of another: no
//! set-user-ID and set-group-ID bits, no capabilities. A hostile program tries every call; then the host
//! looks.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

/// What it does in the directory that is its argument; prints how many ways led to a file with such a bit, as
/// seen inside.
const HOSTILE: &str = include_str!("traces.py");

/// How the directory is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Bind,
    Workdir,
    Rootfs,
    Overlay,
}

const PROFILES: [&str; 6] = ["strict", "standard", "build", "network", "container", "lite"];

/// Each profile in each way, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [
        (Caller::Root, &[Need::Root, Need::Program("python3")][..]),
        (Caller::User, &[Need::Program("python3")]),
    ] {
        for profile in PROFILES {
            for way in [Way::Bind, Way::Workdir, Way::Rootfs, Way::Overlay] {
                let lite = profile == "lite" && (caller == Caller::Root || way != Way::Bind);
                if lite || profile == "container" && matches!(way, Way::Bind | Way::Workdir) {
                    continue; // refused, or the same as with a root: a container has to have one
                }
                let name = format!("traces::{profile} by {way:?} as {caller:?}");
                trials.push(trial(name, needs, move || leaves_none(caller, profile, way)));
            }
        }
        let name = format!("traces::a_container_that_nobody_else_reaches_has_them as {caller:?}");
        trials.push(trial(name, needs, move || where_nobody_else_can_reach(caller)));
    }
    trials
}

/// A root with the host's system, which a profile with one of its own binds into it.
fn root(caller: Caller, at: &Path) -> Result<(), Failed> {
    std::fs::create_dir(at)?;
    for name in ["d", "usr", "proc", "dev", "tmp", "mnt"] {
        std::fs::create_dir(at.join(name))?;
        caller::give(caller, &at.join(name));
    }
    for name in ["bin", "lib", "lib64"] {
        if Path::new("/").join(name).is_symlink() {
            symlink(format!("usr/{name}"), at.join(name))?;
        }
    }
    caller::give(caller, at);
    Ok(())
}

fn attack(
    caller: Caller,
    profile: &str,
    way: Way,
    top: &Path,
    given: bool,
) -> Result<(Run, PathBuf), Failed> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("not UTF-8");
    let place = top.join("d");
    let mut options: Vec<String> = ["run", "-p", profile].map(str::to_owned).to_vec();
    let inside = match way {
        Way::Bind | Way::Workdir => {
            std::fs::create_dir(&place)?;
            caller::give(caller, &place);
            if way == Way::Bind {
                options.extend(["--bind".into(), text(&place)?]);
            } else {
                options.extend(["--set".into(), "workdir=writable".into()]);
            }
            text(&place)?
        }
        Way::Rootfs | Way::Overlay => {
            root(caller, &place)?;
            options.extend(["--rootfs".into(), text(&place)?, "--set".into(), "root.readonly=false".into()]);
            options.extend(["--ro-bind".into(), "/usr".into(), "--set".into(), "workdir=none".into()]);
            if way == Way::Overlay {
                // What strict gives of memory is less than the copies take.
                options.extend(["--set".into(), "root.size=100MiB".into()]);
                options.push("--overlay-tmp".into());
            }
            "/d".into()
        }
    };
    options.extend(["--".into(), "python3".into(), "-c".into(), HOSTILE.into(), inside]);
    let mut command = caller::belljar(caller, &options);
    command.current_dir(if way == Way::Workdir { &place } else { top });
    if given {
        // The caller's own file.
        let given = top.join("given");
        caller::file(caller, &given, "#!/bin/sh\n");
        command.stdin(File::open(given)?);
    }
    Ok((caller::finish(command), place))
}

fn leaves_none(caller: Caller, profile: &str, way: Way) -> Result<(), Failed> {
    let top = caller::directory(caller);
    for given in [true, false] {
        let top = top.path().join(given.to_string());
        std::fs::create_dir(&top)?;
        caller::give(caller, &top);
        let (run, _) = attack(caller, profile, way, &top, given)?;
        let marked = marked(&top)?;
        let made: usize = run.stdout.trim().parse().map_err(|_| format!("{run:#?}"))?;
        // An overlay's writes are thrown away: a container may have such files there. But a user's program
        // owns the file that it is given, which is no part of the overlay.
        let allowed = profile == "container" && way == Way::Overlay && !(given && caller == Caller::User);
        if run.code != Some(0) || !marked.is_empty() || (made > 0) != allowed {
            return Err(format!("given: {given} {marked:?} {run:#?}").into());
        }
    }
    Ok(())
}

/// The other half: the attack works where it does no harm, and packages can be installed.
fn where_nobody_else_can_reach(caller: Caller) -> Result<(), Failed> {
    let top = caller::directory(caller);
    std::fs::set_permissions(top.path(), Permissions::from_mode(0o700))?;
    let (run, place) = attack(caller, "container", Way::Rootfs, top.path(), false)?;
    let marked = marked(&place)?;
    if run.code != Some(0) || marked.len() < 10 {
        return Err(format!("{marked:?} {run:#?}").into());
    }
    // A private directory that the task itself could open to others does not count.
    let reachable = top.path().join("reachable");
    std::fs::create_dir(&reachable)?;
    caller::give(caller, &reachable);
    std::fs::set_permissions(top.path(), Permissions::from_mode(0o755))?;
    std::fs::set_permissions(&reachable, Permissions::from_mode(0o700))?;
    let (run, place) = attack(caller, "container", Way::Rootfs, &reachable, false)?;
    if run.code != Some(0) || self::marked(&place)?.is_empty() {
        return Err(format!("the control: {run:#?}").into());
    }
    let again = caller::directory(caller);
    let private = again.path().join("private");
    std::fs::create_dir(&private)?;
    std::fs::set_permissions(&private, Permissions::from_mode(0o700))?;
    caller::give(caller, &private);
    root(caller, &private.join("d"))?;
    let bind = format!("{}:/mnt", again.path().display());
    let run = caller::run(
        caller,
        [
            "run",
            "-p",
            "container",
            "--rootfs",
            private.join("d").to_str().ok_or("not UTF-8")?,
            "--ro-bind",
            "/usr",
            "--bind",
            &bind,
            "--",
            "python3",
            "-c",
            HOSTILE,
            "/d",
        ],
    );
    let marked = self::marked(again.path())?;
    if run.code != Some(0) || !marked.is_empty() {
        return Err(format!("{marked:?} {run:#?}").into());
    }
    Ok(())
}

/// Files with set-user-ID or set-group-ID bits, or with capabilities, below a directory of the host.
fn marked(top: &Path) -> Result<Vec<PathBuf>, Failed> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let stat = std::fs::symlink_metadata(&path)?;
        if stat.permissions().mode() & 0o6000 != 0 || has_capabilities(&path)? {
            found.push(path.clone());
        }
        if stat.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        }
    }
    Ok(found)
}

fn has_capabilities(path: &Path) -> Result<bool, Failed> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: asks for the length alone.
    let length =
        unsafe { libc::lgetxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    Ok(length >= 0)
}
