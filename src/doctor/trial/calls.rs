//! Single system calls and readings.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::prctl::{get_no_new_privs, set_no_new_privs};
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
    let pidfd = clone3_and_exit(libc::CLONE_PIDFD as u64, 0).at(Step::Call, "clone3", "CLONE_PIDFD")?;
    match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).at(Step::Call, "waitid", "P_PIDFD")? {
        WaitStatus::Exited(_, 3) => Ok(String::new()),
        other => {
            Err(Miss::Without(format!("the child ended otherwise: {}", super::process::describe(other))))
        }
    }
}

pub(super) fn clone_into_cgroup() -> Trial {
    // CLONE_INTO_CGROUP does not fit libc's c_int constants. The descriptor is above any limit that is in
    // use: EBADF where the kernel knows the flag.
    match clone3_and_exit(0x2_0000_0000, u64::from(u16::MAX) * 16) {
        Err(Errno::EBADF) => Ok("the call; it needs a cgroup v2 directory".to_owned()),
        // What a kernel says to a flag it does not know.
        Err(Errno::EINVAL | Errno::E2BIG) => Err(Errno::ENOSYS).at(Step::Call, "CLONE_INTO_CGROUP", ""),
        Err(errno) => Err(errno).at(Step::Call, "clone3", "CLONE_INTO_CGROUP"),
        Ok(_) => Err(Miss::Without("a descriptor that is not open is taken for a cgroup".to_owned())),
    }
}

pub(super) fn pidfd() -> Trial {
    let own = sys::process::pidfd_open(getpid().as_raw()).at(Step::Call, "pidfd_open", "")?;
    sys::process::pidfd_send_signal(own.as_fd(), 0).at(Step::Call, "pidfd_send_signal", "")?;
    Ok(String::new())
}

pub(super) fn openat2() -> Trial {
    sys::open_without_symlinks(c"/", OFlag::O_PATH).at(Step::Call, "openat2", "/")?;
    match sys::open_without_symlinks(c"/proc/self", OFlag::O_PATH) {
        Err(Errno::ELOOP | Errno::ENOENT) => Ok(String::new()),
        Err(errno) => Err(errno).at(Step::Call, "openat2", "/proc/self"),
        Ok(_) => Err(Miss::Without("RESOLVE_NO_SYMLINKS follows a symlink".to_owned())),
    }
}

pub(super) fn close_range() -> Trial {
    let root = File::open("/").at(Step::Call, "open", "/")?;
    // It stays open over an execution until it is marked.
    fcntl(&root, FcntlArg::F_SETFD(FdFlag::empty())).at(Step::Call, "fcntl", "F_SETFD")?;
    match sys::close_on_exec_from(3) {
        // What Linux 5.9 and 5.10 say to the flag.
        Err(Errno::EINVAL) => return Err(Errno::ENOSYS).at(Step::Call, "CLOSE_RANGE_CLOEXEC", ""),
        done => done.at(Step::Call, "close_range", "CLOSE_RANGE_CLOEXEC")?,
    }
    match fcntl(&root, FcntlArg::F_GETFD).at(Step::Call, "fcntl", "F_GETFD")? {
        libc::FD_CLOEXEC => Ok(String::new()),
        _ => Err(Miss::Without("a descriptor is not marked".to_owned())),
    }
}

pub(super) fn no_new_privs() -> Trial {
    set_no_new_privs().at(Step::Call, "prctl", "PR_SET_NO_NEW_PRIVS")?;
    match get_no_new_privs().at(Step::Call, "prctl", "PR_GET_NO_NEW_PRIVS")? {
        true => Ok(String::new()),
        false => Err(Miss::Without("the flag does not stay".to_owned())),
    }
}

/// clone3(2) of a process that shares nothing and ends at once, with exit code 3; its pidfd.
fn clone3_and_exit(flags: u64, cgroup: u64) -> Result<OwnedFd, Errno> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = cgroup;
    // SAFETY: without CLONE_VM the child has copies of everything, as after fork; `pidfd` lives through the
    // call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    if sys::check(pid)? == 0 {
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(3) }
    }
    sys::owned(pidfd.into())
}
