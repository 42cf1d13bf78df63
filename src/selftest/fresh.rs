//! Fresh namespaces for a control that would touch the host.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getegid, geteuid};

use super::SelfTestError;
use super::answer::errno_of;

/// Enters new namespaces as their root. Gives true in the process that goes on there, PID 1 of its pid
/// namespace, and false in the one that waited for it.
pub(super) fn enter() -> Result<bool, SelfTestError> {
    let on = |call| move |source| SelfTestError::Fresh { call, source };
    let (uid, gid) = (geteuid(), getegid());
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(flags).map_err(on("unshare"))?;
    let write = |path: &'static str, text: String| {
        std::fs::write(path, text)
            .map_err(|error| SelfTestError::Fresh { call: path, source: errno_of(&error) })
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(on("mount"))?;
    // SAFETY: a role's process has one thread.
    match unsafe { fork() }.map_err(on("fork"))? {
        ForkResult::Child => {
            nix::unistd::alarm::set(8);
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("proc"), "/proc", Some("proc"), flags, none).map_err(on("mount proc"))?;
            Ok(true)
        }
        ForkResult::Parent { child } => loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                Ok(WaitStatus::Exited(_, 0)) => return Ok(false),
                Ok(_) => return Err(SelfTestError::Fresh { call: "the probe", source: Errno::ECHILD }),
                Err(source) => return Err(SelfTestError::Fresh { call: "waitpid", source }),
            }
        },
    }
}
