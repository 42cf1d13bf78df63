//! System-call filters: one is loaded and must show.

use nix::errno::Errno;
use nix::sys::prctl::set_no_new_privs;
use nix::sys::utsname::uname;

use super::{At, Miss, Step, Trial, sys};
use crate::seccomp::Instruction;

/// An errno that `uname` never gives by itself.
const MARK: Errno = Errno::EBADFD;

/// A filter that answers `uname` with this `SECCOMP_RET_*` and lets everything else pass. It says nothing of
/// the architecture: the process that loads it makes no foreign calls.
fn program(answer: u32) -> [Instruction; 4] {
    let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
    // BPF_LD | BPF_W | BPF_ABS of the number; BPF_JMP | BPF_JEQ | BPF_K; BPF_RET | BPF_K.
    [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 1, libc::SYS_uname as u32),
        instruction(0x06, 0, 0, answer),
        instruction(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

pub(super) fn filter() -> Trial {
    set_no_new_privs().at(Step::Call, "prctl", "PR_SET_NO_NEW_PRIVS")?;
    let answer = libc::SECCOMP_RET_ERRNO | MARK as u32;
    sys::process::load_filter(&program(answer), 0).at(Step::Seccomp, "seccomp", "SECCOMP_SET_MODE_FILTER")?;
    if uname().err() != Some(MARK) {
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
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for (name, action) in actions {
        let is_known = sys::process::knows_filter_action(action);
        let is_known = is_known.at(Step::Seccomp, "seccomp", "SECCOMP_GET_ACTION_AVAIL")?;
        if is_known { known.push(name) } else { unknown.push(name) }
    }
    if unknown.iter().any(|name| matches!(*name, "kill-process" | "errno" | "allow")) {
        return Err(Miss::Without(format!("the kernel lacks the actions {}", unknown.join(" "))));
    }
    Ok(known.join(" "))
}

pub(super) fn notify() -> Trial {
    set_no_new_privs().at(Step::Call, "prctl", "PR_SET_NO_NEW_PRIVS")?;
    sys::process::load_filter_with_listener(&program(libc::SECCOMP_RET_USER_NOTIF), 0)
        .map(|_listener| String::new())
        .at(Step::Seccomp, "seccomp", "SECCOMP_SET_MODE_FILTER")
}
