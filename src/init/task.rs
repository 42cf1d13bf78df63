//! The task's process (PID 2): a program, by a clone that shares init's memory until the execution, or a
//! role, by a fork.

use std::ffi::{CString, c_void};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::unistd::ForkResult;

use super::context::Context;
use super::exit::{exit, trap};
use super::handover::Handover;
use super::{FOR_TASK, TASK, capabilities, descriptors, seccomp, signals, walk};
use crate::plan::{Seccomp, Workload};
use crate::protocol::{Failure, Fault, Message, Stage};
use crate::{reexec, sys};

/// The exit status of a task's process that could not hand over: never seen by the caller, who is told why.
const NOT_HANDED_OVER: i32 = 125;

/// The task's process.
pub(super) struct Running {
    pub(super) pid: libc::pid_t,
    pub(super) pidfd: OwnedFd,
    handover: Option<Handover>,
}

/// Signals that a terminal sends: they are for the task's whole process group. Others are for its first
/// process alone.
const OF_A_TERMINAL: [libc::c_int; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGCONT, libc::SIGHUP, libc::SIGWINCH];

impl Running {
    /// Gives the task a signal, as it would come outside.
    pub(super) fn signal(&self, number: libc::c_int) -> Result<(), Errno> {
        if OF_A_TERMINAL.contains(&number) {
            // The number is the group's as long as its first process has not been reaped, and that ends the
            // run. SAFETY: numbers only.
            match Errno::result(unsafe { libc::kill(self.pid.wrapping_neg(), number) }) {
                // It has left its group.
                Err(Errno::ESRCH) => {}
                sent => return sent.map(drop),
            }
        }
        sys::process::pidfd_send_signal(self.pidfd.as_fd(), number)
    }

    /// Ends it and its process group.
    pub(super) fn kill(&self) {
        // SAFETY: numbers only; see `signal`.
        unsafe { libc::kill(self.pid.wrapping_neg(), libc::SIGKILL) };
        // One that has ended needs none.
        sys::process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL).ok();
    }

    /// Whether the task's end is its own: a role's process could have stopped at the filter.
    pub(super) fn handed_over(&self) -> Result<(), Failure> {
        self.handover.as_ref().map_or(Ok(()), Handover::result)
    }
}

/// Starts the task; once this returns, untrusted code runs, and what fails is no refusal any more.
pub(super) fn start(context: &mut Context) -> Result<Running, Failure> {
    signals::block_all().map_err(Fault::at(Stage::Signals))?;
    walk(FOR_TASK, context)?;
    match &context.plan.task.workload {
        Workload::Program { path, argv } => program(path.clone(), argv.clone(), context),
        Workload::Role { name } => {
            let name = name.clone();
            let function = reexec::find(&name)
                .map_err(|_| Fault::UnknownRole { name: name.clone() })
                .map_err(Fault::at(Stage::Execute))?;
            role(context, Body::Role(name, function))
        }
        Workload::Call { entry, function } => {
            let body = Body::Call { entry: *entry, function: *function };
            role(context, body)
        }
    }
}

/// What is to be done once it runs: init gives up what only the start needed, and the caller is told.
pub(super) fn settle(context: &mut Context, running: &Running) -> Result<(), Failure> {
    descriptors::release(context);
    capabilities::drop_own(context).map_err(Fault::at(Stage::Capabilities))?;
    tell(context, running)
}

/// Tells the caller that it runs.
pub(super) fn tell(context: &Context, running: &Running) -> Result<(), Failure> {
    let send = |message: &Message| {
        context.channel.send(message).map_err(|_| Failure {
            stage: Stage::Process,
            fault: Fault::Protocol { what: "started".to_owned() },
        })
    };
    if running.handover.is_none() {
        // The process of a program wrote what it read back into this memory; a role's has sent it.
        send(&Message::Ready(context.readback.clone()))?;
    }
    send(&Message::Started)
}

/// What the child of `program` works with, in init's memory.
struct Execution<'a> {
    context: &'a mut Context,
    path: CString,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    /// Why the program was not executed. That the process was killed holds until all walls stand.
    failure: Option<Failure>,
}

fn program(path: CString, argv: Vec<CString>, context: &mut Context) -> Result<Running, Failure> {
    let env = context.plan.task.env.clone();
    let pointers = |strings: &[CString]| {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let mut execution =
        Execution { context, path, argv: pointers(&argv), env: pointers(&env), failure: Some(killed()) };
    // SAFETY: the child runs `execute` on a stack of its own and ends in execve or _exit; init is
    // single-threaded and held until then (CLONE_VFORK), so that the child may use this memory, the allocator
    // included.
    let cloned = unsafe { reexec::clone_vfork(execute, std::ptr::from_mut(&mut execution).cast::<c_void>()) }
        .map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Fault::at(Stage::Process)(Fault::system("clone3", b"", errno))
        })?;
    match execution.failure {
        None => {
            // It called execve, and may have been killed in it: arguments count as its memory.
            let executed = sys::process::has_executed(cloned.pidfd.as_fd());
            match executed.map_err(Fault::on("waitid", b"task")).map_err(Fault::at(Stage::Process))? {
                true => Ok(Running { pid: cloned.pid, pidfd: cloned.pidfd, handover: None }),
                false => Err(killed()),
            }
        }
        Some(failure) => Err(failure),
    }
}

/// What init finds if the task's process ends before it could say why.
fn killed() -> Failure {
    Fault::at(Stage::Process)(Fault::mismatch("the hand-over", "done", "not reached: the process was killed"))
}

/// The child of `program`: its stages, the filter, the program.
extern "C" fn execute(argument: *mut c_void) -> ! {
    // SAFETY: `program` passes its Execution, and is held until this process has executed or ended.
    let execution = unsafe { &mut *argument.cast::<Execution<'_>>() };
    let failure = walk(TASK, execution.context).err().or_else(|| {
        if let Some(filter) = &execution.context.plan.task.seccomp
            && let Err(fault) =
                execution.context.task_fds.channel().and_then(|own| seccomp::load(filter, own))
        {
            return Some(Fault::at(Stage::Seccomp)(fault));
        }
        // SAFETY: a valid place. Volatile, as the compiler knows nothing of the process that reads it once we
        // have executed; what it held is dropped with this image.
        unsafe { std::ptr::write_volatile(&raw mut execution.failure, None) };
        // SAFETY: a C string and two arrays of C strings that end with a null pointer, all alive.
        unsafe { libc::execve(execution.path.as_ptr(), execution.argv.as_ptr(), execution.env.as_ptr()) };
        let errno = Errno::last();
        let fault = Fault::system("execve", execution.path.to_bytes(), errno);
        Some(Fault::at(Stage::Execute)(fault))
    });
    execution.failure = failure;
    give_up(execution.context.plan.task.seccomp.as_ref())
}

/// The end of a process that could not hand over; the filter may be loaded.
fn give_up(filter: Option<&Seccomp>) -> ! {
    // Nothing answers yet for what it notifies of.
    if filter.is_some_and(Seccomp::has_listener) { trap() } else { exit(NOT_HANDED_OVER) }
}

/// What runs in a role's process.
enum Body {
    Role(String, reexec::RoleFn),
    Call { entry: i64, function: i64 },
}

fn role(context: &mut Context, body: Body) -> Result<Running, Failure> {
    let at = Fault::at(Stage::Process);
    let handover = Handover::new()
        .map_err(|errno| Failure { stage: Stage::Process, fault: Fault::system("mmap", b"", errno) })?;
    // SAFETY: init is single-threaded, so the child may do anything that init may.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Parent { child }) => {
            // Our child, not waited for: the number is its own.
            let pidfd = sys::process::pidfd_open(child.as_raw())
                .map_err(|errno| at(Fault::system("pidfd_open", b"task", errno)))?;
            Ok(Running { pid: child.as_raw(), pidfd, handover: Some(handover) })
        }
        Ok(ForkResult::Child) => become_role(context, body, handover),
        Err(errno) => Err(at(Fault::system("fork", b"", errno))),
    }
}

/// The child of `role`: its stages, the filter, the function.
fn become_role(context: &mut Context, body: Body, handover: Handover) -> ! {
    let prepared = walk(TASK, context).and_then(|()| {
        let ready = Message::Ready(context.readback.clone());
        context.task_fds.send(&ready).map_err(Fault::at(Stage::ReadBack))?;
        replace_environment(&context.plan.task.env);
        let highest = context.task_fds.highest();
        let call = context.task_fds.take_call();
        let mut keep = context.plan.task.descriptors.clone();
        keep.extend(call.iter().flat_map(|(argument, result)| [argument.as_raw_fd(), result.as_raw_fd()]));
        let filter = context.plan.task.seccomp.take();
        let own = context.task_fds.channel().map_err(Fault::at(Stage::Descriptors))?;
        // The channel goes with everything else: a role has no way to talk to the caller but what it was
        // given. Where the filter has a listener, it goes with that.
        keep.extend(filter.iter().filter(|filter| filter.has_listener()).map(|_| own));
        keep.sort_unstable();
        ignore_broken_pipes().map_err(Fault::at(Stage::Signals))?;
        descriptors::close_all_but(&keep).map_err(|errno| Failure {
            stage: Stage::Descriptors,
            fault: Fault::system("close_range", b"3", errno),
        })?;
        if let Some(number) = descriptors::left_open(&keep, highest) {
            let fault = Fault::mismatch(&format!("descriptor {number}"), "closed", "open");
            return Err(Fault::at(Stage::Descriptors)(fault));
        }
        Ok((call, filter, own))
    });
    let (call, filter, own) = match prepared {
        Ok(parts) => parts,
        Err(failure) => {
            handover.failed(&failure);
            exit(NOT_HANDED_OVER);
        }
    };
    if let Some(filter) = &filter
        && let Err(fault) = seccomp::load(filter, own)
    {
        handover.failed(&Failure { stage: Stage::Seccomp, fault });
        give_up(Some(filter));
    }
    handover.done();
    let code = catch_unwind(AssertUnwindSafe(|| match (body, call) {
        (Body::Role(name, function), _) => reexec::run_role(&name, &function),
        (Body::Call { entry, function }, Some((argument, result))) => {
            crate::sandbox::enter_call(entry, function, argument, result)
        }
        (Body::Call { .. }, None) => NOT_HANDED_OVER,
    }));
    let code = code.unwrap_or_else(|payload| {
        // Its destructor is the role's own code, and could panic in turn.
        std::mem::forget(payload);
        // As std.
        101
    });
    std::process::exit(code)
}

/// A Rust function expects an error from a pipe without a reader, as std arranges before `main`. (std's
/// `Command` gives programs that it starts the default again.)
fn ignore_broken_pipes() -> Result<(), Fault> {
    // SAFETY: SIG_IGN is no handler that could run.
    unsafe {
        nix::sys::signal::signal(nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::SigHandler::SigIgn)
    }
    .map(drop)
    .map_err(Fault::on("signal", b"SIGPIPE"))
}

/// The whole environment of a role is the Plan's; init's own was empty.
fn replace_environment(env: &[CString]) {
    for entry in env {
        let bytes = entry.to_bytes();
        if let Some(at) = bytes.iter().position(|&b| b == b'=').filter(|&at| at > 0) {
            let (key, value) = bytes.split_at(at);
            let value = value.get(1..).unwrap_or_default();
            let text = |bytes: &[u8]| std::ffi::OsString::from_vec(bytes.to_vec());
            // SAFETY: this process has one thread.
            unsafe { std::env::set_var(text(key), text(value)) };
        }
    }
}
