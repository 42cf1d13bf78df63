//! Calls by another architecture's door (K8 to K10), and filters' reach (K25, K26).

#[cfg(target_arch = "x86_64")]
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::{ForkResult, fork},
};

use super::probe;
use crate::selftest::answer::call;
use crate::selftest::row::nothing;
#[cfg(target_arch = "x86_64")]
use crate::selftest::under::is_other;
use crate::selftest::{Answer, Row, Scene};

pub(super) const ROWS: &[Row] = &[
    probe("K8", "calls of the x32 ABI", "seccomp(2), Caveats", x32, nothing, &[super::FILTER]),
    probe(
        "K9",
        "calls of i386 by int 0x80",
        "seccomp(2), Caveats",
        |_| int80("getpid", 20),
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K10",
        "many calls in one: socketcall and ipc of i386",
        "socketcall(2), ipc(2)",
        |_| Answer::any([int80("socketcall", 102), int80("ipc", 117)]),
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K25",
        "a thread without the filter",
        "seccomp(2)",
        |_| {
            let mode = || call!(libc::SYS_prctl, libc::PR_GET_SECCOMP, 0, 0, 0, 0).ok();
            let modes = [mode(), std::thread::spawn(mode).join().ok().flatten()];
            let seen = format!("PR_GET_SECCOMP in two threads: {modes:?}");
            if modes == [Some(2); 2] { Answer::blocked(seen) } else { Answer::allowed(seen) }
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K26",
        "a thread that is killed leaves its process behind",
        "seccomp(2), SECCOMP_RET_KILL_THREAD",
        left_behind,
        nothing,
        &[super::FILTER],
    ),
    Row::tests(
        "K27",
        "pointers that change after a supervisor has looked",
        "seccomp_unotify(2)",
        &["tests/profiles/refusals.rs: errors_name_the_key_the_line_and_the_nearest_key"],
    ),
];

/// Runs it in a child: what it gave, or the signal that killed it.
#[cfg(target_arch = "x86_64")]
fn child(body: impl FnOnce() -> Result<(), Errno>) -> Result<Result<(), Errno>, Signal> {
    // SAFETY: a probe's process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            nix::unistd::alarm::set(3);
            let code = body().err().map_or(0, |errno| errno as i32);
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Signaled(_, signal, _)) => Err(signal),
            Ok(WaitStatus::Exited(_, 0)) => Ok(Ok(())),
            Ok(WaitStatus::Exited(_, code)) => Ok(Err(Errno::from_raw(code))),
            Ok(_) => Ok(Err(Errno::EIO)),
            Err(errno) => Ok(Err(errno)),
        },
        Err(errno) => Ok(Err(errno)),
    }
}

/// Whether the call reached the kernel's table: even one that says ENOSYS (a kernel without x32) was not
/// stopped before.
#[cfg(target_arch = "x86_64")]
fn x32(_: &Scene) -> Answer {
    let tried = "getpid | __X32_SYSCALL_BIT";
    match child(|| call!(X32_GETPID).map(drop)) {
        Err(signal) => Answer::blocked(format!("{tried}: {signal}")),
        Ok(Ok(())) => Answer::allowed(tried),
        Ok(Err(errno)) => Answer::of_reached(tried, Err(errno), &[Errno::ENOSYS]),
    }
}

#[cfg(target_arch = "x86_64")]
const X32_GETPID: libc::c_long = 0x4000_0000 | libc::SYS_getpid;

/// A 32-bit call without arguments: `EINVAL` is the kernel's own answer to a multiplexer that is told
/// nothing.
#[cfg(target_arch = "x86_64")]
fn int80(name: &str, number: i64) -> Answer {
    let tried = format!("int 0x80: {name}");
    let result = child(|| {
        let result: i64;
        // SAFETY: the calls get zeros and touch no memory; the kernel clears r8 to r11. rbx is LLVM's own: it
        // is put back.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {zero}",
                "int 0x80",
                "xchg rbx, {zero}",
                zero = inout(reg) 0_i64 => _,
                inlateout("rax") number => result,
                in("rcx") 0_i64, in("rdx") 0_i64, in("rsi") 0_i64, in("rdi") 0_i64,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                options(nostack),
            );
        }
        match i32::try_from(result) {
            Ok(error @ ..0) => Err(Errno::from_raw(-error)),
            _ => Ok(()),
        }
    });
    match result {
        // A kernel without the door: a fault.
        Err(Signal::SIGSEGV) => Answer::blocked(format!("{tried}: no such door")),
        Err(signal) => Answer::blocked(format!("{tried}: {signal}")),
        Ok(result) => Answer::of_reached(tried, result, &[Errno::EINVAL]),
    }
}

/// A process with two threads, one of which makes a call that is killed for: it has to end whole.
#[cfg(target_arch = "x86_64")]
fn left_behind(scene: &Scene) -> Answer {
    let tried = "one of two threads calls by the x32 door";
    // SAFETY: a probe's process has one thread.
    let pid = match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => child,
        Ok(ForkResult::Child) => two_threads(is_other(scene) && scene.stage() == "inside"),
        Err(errno) => return Answer::na(format!("fork: {errno}")),
    };
    for _ in 0..100 {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _)) => {
                return Answer::blocked(format!("{tried}: it ends"));
            }
            other => return Answer::na(format!("{tried}: {other:?}")),
        }
    }
    if let Err(errno) = kill(pid, Signal::SIGKILL).and_then(|()| waitpid(pid, None)) {
        return Answer::na(format!("{tried}: it cannot be ended: {errno}"));
    }
    Answer::allowed(format!("{tried}: the other one is still there after a second"))
}

#[cfg(target_arch = "x86_64")]
fn two_threads(other: bool) -> ! {
    // SAFETY: ends this process.
    let end = |code| unsafe { libc::_exit(code) };
    // Where there is no filter, one that kills only the thread shows what the difference would be; another
    // sandbox without one has nothing that kills.
    let unfiltered = call!(libc::SYS_prctl, libc::PR_GET_SECCOMP, 0, 0, 0, 0) == Ok(0);
    if unfiltered && (other || kill_threads().is_err()) {
        end(2);
    }
    std::thread::spawn(move || {
        let result = call!(X32_GETPID);
        // A filter that does not kill is another matter; one of belljar's has to.
        if other {
            end(if result.is_ok() { 3 } else { 4 });
        }
    });
    loop {
        std::thread::park();
    }
}

/// Loads a filter that kills a thread for `X32_GETPID`.
#[cfg(target_arch = "x86_64")]
fn kill_threads() -> Result<(), Errno> {
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 1, X32_GETPID as u32),
        instruction(0x06, 0, 0, libc::SECCOMP_RET_KILL_THREAD),
        instruction(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    call!(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program).map(drop)
}

#[cfg(not(target_arch = "x86_64"))]
fn x32(_: &Scene) -> Answer {
    Answer::na("only x86-64 has it")
}

#[cfg(not(target_arch = "x86_64"))]
fn int80(_: &str, _: i64) -> Answer {
    Answer::na("only x86-64 has it")
}

#[cfg(not(target_arch = "x86_64"))]
fn left_behind(_: &Scene) -> Answer {
    Answer::na("the call that this kills for is x86-64's")
}
