//! PID 1's life: it reaps, forwards signals, watches the caller and the clock, and ends with the task.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use super::cgroup;
use super::start::Context;
use super::task::Running;
use crate::protocol::{End, Failure, Fault, Message, Stage};
use crate::sys;

/// Signals that the task gets when init gets them.
const FORWARDED: [libc::c_int; 9] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

/// How often the accounts of the control group are looked at where the kernel does not end the run itself, milliseconds.
const TICK: u8 = 20;

/// How long a run goes on before init gives back the memory of what it started with, milliseconds: not of short ones.
const SETTLED: u8 = 100;

/// The time since the machine started, suspension included: a run's limit holds over both.
pub(super) fn boot_time() -> Result<Duration, Fault> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .map_err(Fault::on("clock_gettime", b"CLOCK_BOOTTIME"))
}

/// Waits for the task's end, or for a reason to end it. Returns init's own exit status.
pub(super) fn run(context: &Context, task: &Running, watch_posts: &WatchPosts) -> Result<i32, Failure> {
    let end = watch(context, task, watch_posts).map_err(Fault::at(Stage::Supervise));
    if context.plan.namespaces == 0 {
        // With a pid namespace the kernel ends whatever is left when we exit.
        super::lite::end_descendants().map_err(Fault::at(Stage::Supervise))?;
    }
    let end = end?;
    if let Some(End::Status(_)) = end {
        task.handed_over()?;
    }
    if let Some(end) = end {
        // A caller that is gone needs no message.
        drop(context.channel.send(&Message::Ended { end, at: sys::process::monotonic() }));
    }
    Ok(0)
}

/// What init watches besides processes and the caller.
pub(super) struct WatchPosts {
    signals: SignalFd,
    clock: Option<TimerFd>,
}

/// Sets them up before the task starts: a time limit that cannot be had is an error while nothing untrusted has run.
pub(super) fn prepare(context: &Context) -> Result<WatchPosts, Failure> {
    let at = Fault::at(Stage::Supervise);
    let made = SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Fault::on("signalfd", b""))
        .and_then(|signals| Ok(WatchPosts { signals, clock: clock(context)? }));
    made.map_err(at)
}

fn watch(context: &Context, task: &Running, posts: &WatchPosts) -> Result<Option<End>, Fault> {
    let WatchPosts { signals, clock } = posts;
    let mut settled = false;
    loop {
        // Before waiting: the task may have ended already.
        if let Some(status) = reap(task)? {
            return Ok(Some(End::Status(status)));
        }
        let mut watched = vec![
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(task.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(context.caller.as_fd(), PollFlags::POLLIN),
            // Nothing comes any more: readable means that the caller has closed its end.
            PollFd::new(context.channel.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(clock) = clock {
            watched.push(PollFd::new(clock.as_fd(), PollFlags::POLLIN));
        }
        let patience = match (context.watches.is_empty(), settled) {
            (false, _) => PollTimeout::from(TICK),
            (true, false) => PollTimeout::from(SETTLED),
            (true, true) => PollTimeout::NONE,
        };
        match poll(&mut watched, patience) {
            Ok(0) if !settled => {
                settled = true;
                // If it cannot be had, it is only the memory of one process.
                sys::image::let_go().ok();
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Fault::system("poll", b"", errno)),
        }
        let ready = |index: usize| {
            watched.get(index).and_then(PollFd::revents).is_some_and(|events| !events.is_empty())
        };
        if ready(2) || ready(3) {
            return Ok(None);
        }
        if ready(4) {
            return Ok(Some(End::Timeout));
        }
        if let Some(what) = cgroup::passed(&context.watches)? {
            return Ok(Some(End::Limit(what)));
        }
        if ready(0) {
            forward(signals, task)?;
        }
    }
}

/// A timer at the run's wall time limit.
fn clock(context: &Context) -> Result<Option<TimerFd>, Fault> {
    let Some(limit) = context.plan.limits.timeout_ms else { return Ok(None) };
    let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)
        .map_err(Fault::on("timerfd_create", b"CLOCK_BOOTTIME"))?;
    let end = context.began.saturating_add(Duration::from_millis(limit));
    timer
        .set(Expiration::OneShot(TimeSpec::from_duration(end)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
        .map_err(Fault::on("timerfd_settime", b""))?;
    if !tells(&timer, end)? {
        return Err(Fault::mismatch("the timer of the time limit", "on", "off"));
    }
    Ok(Some(timer))
}

/// Whether the timer counts towards `end`, or tells that it has come.
fn tells(timer: &TimerFd, end: Duration) -> Result<bool, Fault> {
    if timer.get().map_err(Fault::on("timerfd_gettime", b""))?.is_some() {
        return Ok(true);
    }
    // No time is left; poll tells so only after the timer's interrupt, which comes a moment later.
    let patience = if boot_time()? >= end { PollTimeout::from(1000_u16) } else { PollTimeout::ZERO };
    let mut watched = [PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut watched, patience).map_err(Fault::on("poll", b"timerfd"))? > 0)
}

/// Passes on what came for the task.
fn forward(signals: &SignalFd, task: &Running) -> Result<(), Fault> {
    loop {
        match signals.read_signal() {
            Ok(Some(info)) => {
                let number = info.ssi_signo.cast_signed();
                if !FORWARDED.contains(&number) {
                    continue;
                }
                match task.signal(number) {
                    // ESRCH: it has just ended. EPERM: a task that kept capabilities became another user.
                    Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
                    Err(errno) => return Err(Fault::system("kill", b"task", errno)),
                }
            }
            Ok(None) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Fault::system("read", b"signalfd", errno)),
        }
    }
}

/// Reaps everything that has ended; the task's status if it was among them.
fn reap(task: &Running) -> Result<Option<i32>, Fault> {
    let mut status = None;
    loop {
        match sys::process::wait(libc::P_ALL, 0, libc::WNOHANG | libc::__WALL) {
            Ok(Some(waited)) if waited.pid == task.pid => status = Some(waited.status),
            Ok(Some(_)) => {}
            // The task's last thread may still be on its way: its own status comes with the next turn.
            Ok(None) | Err(Errno::ECHILD) => return Ok(status),
            Err(errno) => return Err(Fault::system("waitid", b"", errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer() -> TimerFd {
        TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC).expect("a timer")
    }

    #[test]
    fn a_timer_is_known_in_the_instant_in_which_it_expires() {
        for microseconds in (0..100).cycle().take(20_000) {
            let timer = timer();
            let end = boot_time().expect("the time") + Duration::from_micros(microseconds);
            timer
                .set(Expiration::OneShot(TimeSpec::from_duration(end)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
                .expect("to set it");
            assert!(tells(&timer, end).expect("an answer"), "{microseconds}");
        }
    }

    #[test]
    fn a_timer_that_was_not_set_is_known() {
        let now = boot_time().expect("the time");
        assert!(!tells(&timer(), now + Duration::from_secs(60)).expect("an answer"));
        assert!(!tells(&timer(), now).expect("an answer"));
    }
}
