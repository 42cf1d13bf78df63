//! The task's descriptors: 0, 1, 2 and those that the Plan names. Everything else is closed by the execution,
//! or before a role's body runs (CVE-2024-21626).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::context::Context;
use super::fds::duplicate_above;
use crate::protocol::Fault;

/// Moves init's own descriptors out of the way, puts the named ones in place, and marks the rest
/// close-on-exec.
pub(super) fn arrange(context: &mut Context) -> Result<(), Fault> {
    let numbers = &context.plan.task.descriptors;
    let free = numbers.last().map_or(3, |last| last.saturating_add(1)).max(3);
    let above = |fd: BorrowedFd<'_>| {
        duplicate_above(&fd, free).map(IntoRawFd::into_raw_fd).map_err(Fault::on("fcntl", b"F_DUPFD_CLOEXEC"))
    };
    let moved = context.descriptors.iter().map(|fd| above(fd.as_fd())).collect::<Result<Vec<RawFd>, _>>()?;
    context.task_fds.channel = Some(above(context.channel.as_fd())?);
    context.task_fds.call = match &context.call {
        Some((argument, result)) => Some((above(argument.as_fd())?, above(result.as_fd())?)),
        None => None,
    };
    crate::sys::close_on_exec_from(3).map_err(Fault::on("close_range", b"3"))?;
    for (source, number) in moved.iter().zip(numbers) {
        // SAFETY: numbers only. What `number` was in this process is not used any more: all that is needed
        // was moved.
        Errno::result(unsafe { libc::dup2(*source, *number) })
            .map_err(Fault::on("dup2", number.to_string().as_bytes()))?;
    }
    Ok(())
}

/// In init, before a task beyond the first: its standard streams take the numbers 0, 1 and 2, over the
/// execution, too.
pub(super) fn place_streams(streams: [OwnedFd; 3]) -> Result<(), Fault> {
    for (stream, number) in streams.iter().zip(0..) {
        // What came after the first task may have got such a number.
        debug_assert!(stream.as_raw_fd() > 2);
        // SAFETY: numbers only; init uses its standard streams for nothing.
        Errno::result(unsafe { libc::dup2(stream.as_raw_fd(), number) })
            .map_err(Fault::on("dup2", number.to_string().as_bytes()))?;
    }
    Ok(())
}

/// In init, once the task has its own: gives up the task's descriptors, so that the processes at their other
/// ends see the task close them. Where more tasks may follow, the numbers 0, 1 and 2 stay taken, by what
/// nothing can be read from or written to.
pub(super) fn release(context: &mut Context) {
    context.descriptors.clear();
    context.cgroup_procs_fds.clear();
    context.pids = None;
    context.call = None;
    if context.orders.is_some() {
        // What comes with the next order must not get one of these numbers.
        for number in 0..3 {
            // SAFETY: numbers only. Where it fails the number stays the task's, as before.
            unsafe { libc::dup3(context.caller.as_raw_fd(), number, libc::O_CLOEXEC) };
        }
        return;
    }
    for number in 0..3 {
        // SAFETY: init uses its standard streams for nothing, and opens nothing any more that could get these
        // numbers.
        unsafe { libc::close(number) };
    }
}

/// Closes everything from 3 on that is not in `keep` (ascending): the last thing before a role's body.
pub(super) fn close_all_but(keep: &[i32]) -> Result<(), Errno> {
    let mut first = 3;
    for &number in keep.iter().chain([&i32::MAX]) {
        if number > first {
            let last = number.saturating_sub(1);
            // SAFETY: what is closed here is init's, and this process (the task's) never uses it again.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// The first descriptor from 3 on that is open and not in `keep`, up to the highest that init had.
pub(super) fn left_open(keep: &[i32], highest: RawFd) -> Option<RawFd> {
    (3..=highest).filter(|number| !keep.contains(number)).find(|&number| {
        // SAFETY: any number may be asked about.
        (unsafe { libc::fcntl(number, libc::F_GETFD) }) >= 0
    })
}
