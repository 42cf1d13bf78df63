//! Single system calls and readings.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::getpid;

use super::{At, Miss, Step, Trial, sys};
use crate::host::kernel::{NAMESPACES_NEED, Version};
use crate::host::symptoms::proc_masks;
use crate::host::{Facts, read};

pub(in crate::doctor) fn kernel() -> Trial {
    let names = nix::sys::utsname::uname().at(Step::Call, "uname", "")?;
    let release = names.release().to_string_lossy();
    let detail = format!("Linux {release}, {}", names.machine().to_string_lossy());
    match Version::parse(&release) {
        Some(version) if version < NAMESPACES_NEED => {
            Err(Miss::Without(format!("{detail}: namespaces need Linux {NAMESPACES_NEED} (mount_setattr)")))
        }
        _ => Ok(detail),
    }
}

pub(super) fn ordinary_user() -> Trial {
    let facts = Facts::detect().map_err(|error| Miss::Without(error.to_string()))?;
    let becomes_another = facts.can_step_down() && facts.spare_ids.is_some();
    match facts.uid {
        0 if becomes_another => Ok("root, who becomes another".to_owned()),
        0 if !facts.ordinary_outside() => {
            Err(Miss::Without("this is root, who would stay root without namespaces".to_owned()))
        }
        _ => Ok(String::new()),
    }
}

pub(super) fn proc() -> Trial {
    let kind = nix::sys::statfs::statfs("/proc").at(Step::Call, "statfs", "/proc")?.filesystem_type();
    if kind != nix::sys::statfs::PROC_SUPER_MAGIC {
        return Err(Miss::Without("/proc is not a procfs".to_owned()));
    }
    std::fs::read_link("/proc/self/exe").at(Step::Call, "readlink", "/proc/self/exe")?;
    let masks = read::text("/proc/self/mountinfo").map_or(0, |mounts| proc_masks(&mounts).len());
    Ok(if masks == 0 { "whole".to_owned() } else { format!("{masks} mounts hide parts of it") })
}

pub(super) fn clone3() -> Trial {
    let (pid, pidfd) = sys::clone3_pidfd().at(Step::Call, "clone3", "CLONE_PIDFD")?;
    if pid == 0 {
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(3) }
    }
    // SAFETY: clone3 made it for this process; nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).at(Step::Call, "waitid", "P_PIDFD")? {
        WaitStatus::Exited(_, 3) => Ok(String::new()),
        other => {
            Err(Miss::Without(format!("the child ended otherwise: {}", super::process::describe(other))))
        }
    }
}

pub(super) fn clone_into_cgroup() -> Trial {
    match sys::clone_into_nowhere() {
        Errno::EBADF => Ok("the call; it needs a cgroup v2 folder".to_owned()),
        // What a kernel says to a flag it does not know.
        Errno::EINVAL | Errno::E2BIG => Err(Errno::ENOSYS).at(Step::Call, "CLONE_INTO_CGROUP", ""),
        errno => Err(errno).at(Step::Call, "clone3", "CLONE_INTO_CGROUP"),
    }
}

pub(super) fn pidfd() -> Trial {
    let own = crate::sys::process::pidfd_open(getpid().as_raw()).at(Step::Call, "pidfd_open", "")?;
    crate::sys::process::pidfd_send_signal(own.as_fd(), 0).at(Step::Call, "pidfd_send_signal", "")?;
    Ok(String::new())
}

pub(super) fn openat2() -> Trial {
    sys::openat2(c"/", libc::RESOLVE_NO_SYMLINKS).at(Step::Call, "openat2", "/")?;
    match sys::openat2(c"/proc/self", libc::RESOLVE_NO_SYMLINKS) {
        Err(Errno::ELOOP | Errno::ENOENT) => Ok(String::new()),
        Err(errno) => Err(errno).at(Step::Call, "openat2", "/proc/self"),
        Ok(_) => Err(Miss::Without("RESOLVE_NO_SYMLINKS follows a symlink".to_owned())),
    }
}

pub(super) fn close_range() -> Trial {
    let root = std::fs::File::open("/").at(Step::Call, "open", "/")?;
    // Far above all that the trial itself holds.
    let copy = nix::fcntl::fcntl(&root, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(100)).at(
        Step::Call,
        "fcntl",
        "F_DUPFD",
    )?;
    sys::close_from(copy).at(Step::Call, "close_range", "")?;
    // SAFETY: asks about a number only.
    match Errno::result(unsafe { libc::fcntl(copy, libc::F_GETFD) }) {
        Err(Errno::EBADF) if root.as_raw_fd() < copy => Ok(String::new()),
        _ => Err(Miss::Without("a descriptor is still open".to_owned())),
    }
}

pub(super) fn no_new_privs() -> Trial {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).at(Step::Call, "prctl", "PR_SET_NO_NEW_PRIVS")?;
    match sys::prctl(libc::PR_GET_NO_NEW_PRIVS, 0).at(Step::Call, "prctl", "PR_GET_NO_NEW_PRIVS")? {
        1 => Ok(String::new()),
        _ => Err(Miss::Without("the flag does not stay".to_owned())),
    }
}
