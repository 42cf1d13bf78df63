//! System-call filters: one is loaded and must show.

use libc::{c_uint, c_ulong, sock_filter, sock_fprog};
use nix::errno::Errno;

use super::{At, Miss, Step, Trial, sys};

const SET_MODE_FILTER: c_uint = 1;
const GET_ACTION_AVAIL: c_uint = 2;
const FILTER_FLAG_NEW_LISTENER: c_ulong = 1 << 3;

/// An errno that `getppid` never gives by itself.
const MARK: Errno = Errno::EBADFD;

/// Loads a filter that answers `getppid` with this `SECCOMP_RET_*` and lets everything else pass. It says nothing of the
/// architecture: the process that loads it makes no foreign calls.
fn load(answer: u32, flags: c_ulong) -> Result<libc::c_long, Miss> {
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let getppid =
        u32::try_from(libc::SYS_getppid).map_err(|_| Miss::Without("no number for getppid".to_owned()))?;
    // BPF_LD | BPF_W | BPF_ABS of the number; BPF_JMP | BPF_JEQ | BPF_K; BPF_RET | BPF_K.
    let mut program = [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 1, getppid),
        instruction(0x06, 0, 0, answer),
        instruction(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = sock_fprog { len: 4, filter: program.as_mut_ptr() };
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).at(Step::Call, "prctl", "PR_SET_NO_NEW_PRIVS")?;
    sys::seccomp(SET_MODE_FILTER, flags, &raw const program).at(
        Step::Seccomp,
        "seccomp",
        "SECCOMP_SET_MODE_FILTER",
    )
}

pub(super) fn filter() -> Trial {
    load(libc::SECCOMP_RET_ERRNO | MARK as u32, 0)?;
    if sys::getppid() != Err(MARK) {
        return Err(Miss::Without("the filter is loaded and does nothing".to_owned()));
    }
    let actions = [
        ("kill-process", libc::SECCOMP_RET_KILL_PROCESS),
        ("kill-thread", libc::SECCOMP_RET_KILL_THREAD),
        ("trap", libc::SECCOMP_RET_TRAP),
        ("errno", libc::SECCOMP_RET_ERRNO),
        ("notify", libc::SECCOMP_RET_USER_NOTIF),
        ("trace", libc::SECCOMP_RET_TRACE),
        ("log", libc::SECCOMP_RET_LOG),
        ("allow", libc::SECCOMP_RET_ALLOW),
    ];
    let (known, unknown): (Vec<_>, Vec<_>) = actions.into_iter().partition(|(_, action)| {
        sys::seccomp(GET_ACTION_AVAIL, 0, std::ptr::from_ref::<u32>(action)).is_ok()
    });
    let names =
        |list: Vec<(&'static str, u32)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
    if unknown.iter().any(|(name, _)| matches!(*name, "kill-process" | "errno" | "allow")) {
        return Err(Miss::Without(format!("the kernel lacks the actions {}", names(unknown))));
    }
    Ok(names(known))
}

pub(super) fn notify() -> Trial {
    load(libc::SECCOMP_RET_USER_NOTIF, FILTER_FLAG_NEW_LISTENER)?;
    Ok(String::new())
}
