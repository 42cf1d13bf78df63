//! Programs that run at points of the start. One that fails ends it.

use std::ffi::{CString, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use super::context::Context;
use super::ending::KillHandle;
use super::exit::exit;
use super::{seccomp, signals, sync};
use crate::plan::{HookProgram, Seccomp};
use crate::protocol::{Fault, shown};
use crate::{reexec, sys};

/// Once the root is built: what the caller does now, then the plan's programs, with init's rights. What they
/// leave running has these rights too, so it ends here.
pub(super) fn create_container(context: &mut Context) -> Result<(), Fault> {
    sync::root_built(context)?;
    if context.plan.hooks.is_empty() {
        return Ok(());
    }
    let ender = KillHandle::new(&context.plan)?;
    let done = context.plan.hooks.iter().try_for_each(|hook| run(hook, None));
    ender.end_all();
    done
}

/// In the task's process: the plan's programs, within its walls and below its filter.
pub(super) fn start_container(context: &mut Context) -> Result<(), Fault> {
    let task = &context.plan.task;
    task.hooks.iter().try_for_each(|hook| run(hook, task.seccomp.as_ref()))
}

/// What the child of [`run`] works with, in its parent's memory.
struct Execution<'a> {
    path: &'a CString,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    filter: Option<&'a Seccomp>,
    stdin: RawFd,
    /// Why it was not executed.
    fault: Option<Fault>,
}

/// Runs a program to its end.
fn run(hook: &HookProgram, filter: Option<&Seccomp>) -> Result<(), Fault> {
    // A pipe without a writer: the sandbox need not have a /dev/null.
    let (stdin, writer) = pipe2(OFlag::O_CLOEXEC).map_err(Fault::on("pipe2", b""))?;
    drop(writer);
    let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
    let mut execution = Execution {
        path: &hook.path,
        argv: pointers(&hook.argv),
        env: pointers(&hook.env),
        filter,
        stdin: stdin.as_raw_fd(),
        fault: None,
    };
    // SAFETY: this process has one thread, and is held until the child, on a stack of its own, has executed
    // or ended. `execute` ends in execve or _exit.
    let cloned = unsafe { reexec::clone_vfork(execute, ptr::from_mut(&mut execution).cast::<c_void>()) }
        .map_err(|error| {
            Fault::system("clone3", b"hook", Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        })?;
    let executed = sys::process::has_executed(cloned.pidfd.as_fd()).map_err(Fault::on("waitid", b"hook"))?;
    let ended = wait(hook, &cloned.pidfd);
    match execution.fault {
        Some(fault) => Err(fault),
        None if !executed => Err(Fault::mismatch(&named(hook), "executed", "killed before")),
        None => ended,
    }
}

/// For messages.
fn named(hook: &HookProgram) -> String {
    format!("the hook {}", shown(hook.path.as_bytes()))
}

/// Waits for its end; kills it where it takes too long.
fn wait(hook: &HookProgram, pidfd: &OwnedFd) -> Result<(), Fault> {
    let in_time = ends_in_time(hook, pidfd.as_fd())?;
    if !in_time {
        sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL)
            .map_err(Fault::on("pidfd_send_signal", b"hook"))?;
    }
    let waited = sys::process::wait_pidfd(pidfd.as_fd(), libc::__WALL);
    let waited = waited.and_then(|waited| waited.ok_or(Errno::ECHILD));
    let status = waited.map_err(Fault::on("waitid", b"hook"))?.status;
    let limit = hook.timeout_ms.unwrap_or_default();
    match (in_time, status & 0x7f, status >> 8) {
        (false, ..) => Err(Fault::mismatch(&named(hook), format!("over in {limit} ms"), "not")),
        (true, 0, 0) => Ok(()),
        (true, 0, code) => Err(Fault::mismatch(&named(hook), "status 0", format!("status {code}"))),
        (true, signal, _) => Err(Fault::mismatch(&named(hook), "status 0", format!("signal {signal}"))),
    }
}

fn ends_in_time(hook: &HookProgram, pidfd: BorrowedFd<'_>) -> Result<bool, Fault> {
    let Some(limit) = hook.timeout_ms.map(Duration::from_millis) else { return Ok(true) };
    let began = Instant::now();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        let patience = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], patience) {
            Ok(0) if began.elapsed() >= limit => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(Fault::system("poll", b"hook", errno)),
        }
    }
}

/// The child of [`run`].
extern "C" fn execute(argument: *mut c_void) -> ! {
    // SAFETY: `run` passes its Execution, and is held until this process has executed or ended.
    let execution = unsafe { &mut *argument.cast::<Execution<'_>>() };
    let fault = prepare(execution).err().unwrap_or_else(|| {
        // SAFETY: a C string and two arrays of C strings that end with a null pointer, all alive.
        unsafe { libc::execve(execution.path.as_ptr(), execution.argv.as_ptr(), execution.env.as_ptr()) };
        Fault::system("execve", execution.path.as_bytes(), Errno::last())
    });
    execution.fault = Some(fault);
    exit(1)
}

/// Nothing of its parent's but standard error.
fn prepare(execution: &Execution<'_>) -> Result<(), Fault> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
    signals::reset_all()?;
    for (from, to) in [(execution.stdin, 0), (2, 1)] {
        // SAFETY: numbers only, of this process's own table.
        Errno::result(unsafe { libc::dup2(from, to) })
            .map_err(Fault::on("dup2", to.to_string().as_bytes()))?;
    }
    sys::close_on_exec_from(3).map_err(Fault::on("close_range", b"3"))?;
    execution.filter.map_or(Ok(()), seccomp::load_alone)
}
