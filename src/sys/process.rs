//! Process attributes, pidfds and waiting.

use std::io::Read as _;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::{check, owned};
use crate::seccomp::Instruction;

/// `CLOCK_MONOTONIC`, nanoseconds; for measuring only. (A time namespace of the task's has no part in init's
/// clock.)
pub(crate) fn monotonic() -> u64 {
    // This clock cannot fail; if it did, the time would be 0.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
    (time.tv_sec().cast_unsigned()).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec().cast_unsigned())
}

/// `PR_GET_SECCOMP`: 0 is none, 2 is a filter; below a filter the filter's own answer may come.
pub(crate) fn seccomp_mode() -> Result<libc::c_long, Errno> {
    // SAFETY: no arguments.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) }))
}

/// `seccomp(SECCOMP_SET_MODE_FILTER)`: the filter holds for the calling thread and all it makes.
pub(crate) fn load_filter(program: &[Instruction], flags: libc::c_ulong) -> Result<(), Errno> {
    match set_filter(program, flags)? {
        0 => Ok(()),
        // With SECCOMP_FILTER_FLAG_TSYNC a positive number is a thread that could not be synchronized.
        _ => Err(Errno::EBUSY),
    }
}

/// As [`load_filter`], with `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0): the descriptor of its
/// notifications.
pub(crate) fn load_filter_with_listener(
    program: &[Instruction],
    flags: libc::c_ulong,
) -> Result<OwnedFd, Errno> {
    owned(set_filter(program, flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?)
}

fn set_filter(program: &[Instruction], flags: libc::c_ulong) -> Result<libc::c_long, Errno> {
    let len = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>() };
    // SAFETY: the program is sock_filters (repr(C)), which the kernel only reads, and its length is given.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog) })
}

/// `seccomp(SECCOMP_GET_ACTION_AVAIL)` (Linux 4.14): whether the kernel knows a `SECCOMP_RET_*`.
#[cfg(feature = "doctor")]
pub(crate) fn knows_filter_action(action: u32) -> Result<bool, Errno> {
    let operation = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: a number that lives through the call, which only reads it.
    match check(unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &raw const action) }) {
        Ok(_) => Ok(true),
        Err(Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// `pidfd_open(2)` (Linux 5.3). Only safe for oneself or for a child that has not been waited for.
pub(crate) fn pidfd_open(pid: libc::pid_t) -> Result<OwnedFd, Errno> {
    // SAFETY: numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// The number of a process as the procfs at `/proc` has it, which may be another pid namespace's (`Pid:` in
/// its pidfd's fdinfo, pidfd_open(2)). `ESRCH`: it has none there, or has ended.
pub(crate) fn number_in_proc(pidfd: BorrowedFd<'_>) -> Result<libc::pid_t, Errno> {
    let failed = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let mut text = [0; 512];
    let length = std::fs::File::open(path).and_then(|mut file| file.read(&mut text)).map_err(failed)?;
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.filter(|number| *number > 0).ok_or(Errno::ESRCH)
}

/// `pidfd_send_signal(2)` (Linux 5.1).
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int) -> Result<(), Errno> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: an open descriptor; a null siginfo means that the kernel fills it in.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) })
        .map(drop)
}

/// `kill(2)` of everything that this process may signal, but itself and, in a pid namespace, its init: only
/// where something keeps the user's other processes out of reach. `ESRCH`: there was nothing.
pub(crate) fn kill_all() -> Result<(), Errno> {
    kill(Pid::from_raw(-1), Signal::SIGKILL)
}

/// `kill(2)` of a child that has not been waited for: the number is still its own.
pub(crate) fn kill_child(pid: libc::pid_t) -> Result<(), Errno> {
    if pid <= 1 {
        return Err(Errno::EINVAL);
    }
    kill(Pid::from_raw(pid), Signal::SIGKILL)
}

/// `sigtimedwait(2)`: one of the signals, which are blocked, if it comes in time.
pub(crate) fn next_signal(
    signals: &nix::sys::signal::SigSet,
    patience: std::time::Duration,
) -> Result<Option<libc::c_int>, Errno> {
    let patience = TimeSpec::from_duration(patience);
    // SAFETY: a set and a time that live through the call; what came with the signal is not asked for.
    let signal = unsafe { libc::sigtimedwait(signals.as_ref(), std::ptr::null_mut(), patience.as_ref()) };
    match check(libc::c_long::from(signal)) {
        Ok(_) => Ok(Some(signal)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// How a child ended, as `wait4(2)` encodes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited {
    pub(crate) pid: libc::pid_t,
    pub(crate) status: i32,
}

/// `waitid(2)`. `Ok(None)`: with `WNOHANG`, nothing has ended yet.
pub(crate) fn wait(
    kind: libc::idtype_t,
    id: libc::id_t,
    options: libc::c_int,
) -> Result<Option<Waited>, Errno> {
    // SAFETY: plain data for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the struct is writable and lives through the call; no rusage is asked for.
        let done = check(unsafe {
            libc::syscall(libc::SYS_waitid, kind, id, &raw mut info, libc::WEXITED | options, 0_usize)
        });
        match done {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    // SAFETY: waitid filled in the SIGCHLD fields, or left the zeroes.
    let (pid, value) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let status = match info.si_code {
        libc::CLD_EXITED => (value & 0xff) << 8,
        libc::CLD_DUMPED => (value & 0x7f) | 0x80,
        _ => value & 0x7f,
    };
    Ok(Some(Waited { pid, status }))
}

/// Whether a child that was cloned with another exit signal than `SIGCHLD` has executed a program since: that
/// makes it `SIGCHLD` (clone(2), execve(2)), and to `__WCLONE` it is no child then. Also of one that has
/// ended, until it is reaped.
pub(crate) fn has_executed(pidfd: BorrowedFd<'_>) -> Result<bool, Errno> {
    match wait_pidfd(pidfd, libc::WNOHANG | libc::WNOWAIT | libc::__WCLONE) {
        Ok(_) => Ok(false),
        Err(Errno::ECHILD) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Waits for the process behind a pidfd (a child of the caller), and reaps it.
pub(crate) fn wait_pidfd(pidfd: BorrowedFd<'_>, options: libc::c_int) -> Result<Option<Waited>, Errno> {
    wait(libc::P_PIDFD, pidfd.as_raw_fd().cast_unsigned(), options)
}
