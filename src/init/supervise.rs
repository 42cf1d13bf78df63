//! PID 1's life: it reaps, forwards signals, watches the caller and the clock, and ends with the task.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use super::cgroup;
use super::context::Context;
use super::ending::{Done, KillHandle, Reaped, reap};
use super::orders::{self, Further};
use super::task::Running;
use crate::protocol::{End, Failure, Fault, Message, PASSED_ON, Stage};
use crate::sys;
use crate::sys::process::Waited;

/// What is ready, in [`WatchPosts::any`].
const SIGNAL: u64 = 0;
const CALLER: u64 = 1;
const STOP: u64 = 2;
const CLOCK: u64 = 3;
const ORDERS: u64 = 4;
/// Tasks beyond the first have these numbers and those above.
const FURTHER: u64 = 5;

/// Room for the last message.
const ENDED: usize = 96;

/// How often the accounts of the control group are looked at where the kernel does not end the run itself,
/// milliseconds.
const TICK: u8 = 20;

/// How long a run goes on before init gives back the memory of what it started with, milliseconds: not of
/// short ones.
const SETTLED: u8 = 100;

/// The time since the machine started, suspension included: a run's limit holds over both.
pub(super) fn boot_time() -> Result<Duration, Fault> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .map_err(Fault::on("clock_gettime", b"CLOCK_BOOTTIME"))
}

/// Waits for the task's end, or for a reason to end it; ends all that is left, and tells the caller. From the
/// start of the task on nothing is a refusal, and nothing here takes memory, a descriptor
/// or a process: the task may have changed init's limits (prlimit(2)).
pub(super) fn run(context: &mut Context, task: &Running, posts: &WatchPosts, ender: &KillHandle) {
    let end = super::task::settle(context, task)
        .and_then(|()| watch(context, task, posts).map_err(Fault::at(Stage::Supervise)));
    let at = sys::process::monotonic();
    let Done { used, left } = ender.end_all();
    let message = match end {
        // The caller is gone.
        Ok(None) => return,
        Ok(Some(end)) => match task.handed_over().err().filter(|_| matches!(end, End::Status(_))) {
            Some(failure) => Message::Failed(failure),
            None => Message::Ended { end, at, used, left },
        },
        Err(failure) => Message::Disturbed(failure),
    };
    let sent = match message {
        Message::Ended { .. } => context.channel.send_short::<ENDED, _>(&message),
        message => context.channel.send(&message),
    };
    // A caller that is gone needs no message.
    sent.ok();
}

/// What init watches besides processes.
pub(super) struct WatchPosts {
    /// Readable as soon as there is something to look at. Unlike poll(2) it does not ask for `RLIMIT_NOFILE`.
    any: Epoll,
    /// Kept open: `any` watches them.
    _signals: SignalFd,
    _clock: Option<TimerFd>,
    /// When the run's time is over, by the clock that runs through suspension.
    deadline: Option<Duration>,
}

/// Sets them up before the task starts: a time limit that cannot be had is an error while nothing untrusted
/// has run.
pub(super) fn prepare(context: &Context) -> Result<WatchPosts, Failure> {
    posts(context).map_err(Fault::at(Stage::Supervise))
}

fn posts(context: &Context) -> Result<WatchPosts, Fault> {
    let signals = SignalFd::with_flags(&heard(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Fault::on("signalfd", b""))?;
    let clock = clock(context)?;
    let any = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Fault::on("epoll_create1", b""))?;
    let add = |fd: BorrowedFd<'_>, what: u64| {
        any.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, what)).map_err(Fault::on("epoll_ctl", b"ADD"))
    };
    add(signals.as_fd(), SIGNAL)?;
    add(context.caller.as_fd(), CALLER)?;
    // Nothing comes any more: readable means that the caller has closed its end.
    add(context.channel.as_fd(), STOP)?;
    if let Some((timer, _)) = &clock {
        add(timer.as_fd(), CLOCK)?;
    }
    if let Some(orders) = &context.orders {
        add(orders.as_fd(), ORDERS)?;
    }
    let (clock, deadline) = clock.unzip();
    Ok(WatchPosts { any, _signals: signals, _clock: clock, deadline })
}

/// What the signalfd wakes for: what is passed on, and the end of a child.
fn heard() -> SigSet {
    let mut set = SigSet::from(Signal::SIGCHLD);
    set.extend(PASSED_ON);
    set
}

/// Each turn looks at the task, the caller and the clock first; what the task can make more of (signals,
/// orphans) then gets a bounded part of it.
fn watch(context: &mut Context, task: &Running, posts: &WatchPosts) -> Result<Option<End>, Fault> {
    let mut further = Furthers::new(context.orders.is_some());
    let mut pace = Pace { more: false, settled: false };
    loop {
        // The task alone: it may be one of many that have ended.
        let ended = sys::process::wait_pidfd(task.pidfd.as_fd(), libc::WNOHANG | libc::__WALL);
        if let Some(waited) = ended.map_err(Fault::on("waitid", b"task"))? {
            return Ok(Some(End::Status(waited.status)));
        }
        let mut events = [EpollEvent::empty(); 8];
        let ready = pace.wait(posts, !context.watches.is_empty(), &mut events)?;
        let events = events.get(..ready).unwrap_or_default();
        if let ControlFlow::Break(end) = reason_to_end(context, posts, events)? {
            return Ok(end);
        }
        let signalled = has(events, SIGNAL);
        if signalled {
            forward(task)?;
        }
        further.handle(context, posts, events)?;
        if pace.more || signalled {
            let mut status = None;
            let reaped = reap(|waited| {
                if waited.pid == task.pid {
                    status = Some(waited.status);
                } else {
                    further.ended(waited);
                }
            });
            if let Some(status) = status {
                return Ok(Some(End::Status(status)));
            }
            pace.more = reaped == Reaped::Batch;
        }
    }
}

/// Whether something of this kind is ready.
fn has(events: &[EpollEvent], what: u64) -> bool {
    events.iter().any(|event| event.data() == what)
}

/// What ends the run besides the task's own end; none where the caller is gone.
fn reason_to_end(
    context: &Context,
    posts: &WatchPosts,
    events: &[EpollEvent],
) -> Result<ControlFlow<Option<End>>, Fault> {
    if has(events, CALLER) {
        return Ok(ControlFlow::Break(None));
    }
    if has(events, STOP) {
        return Ok(ControlFlow::Break(Some(End::Stopped)));
    }
    // By the time itself, too: the timer's interrupt comes a moment later, and its event is one of several.
    if has(events, CLOCK) || posts.deadline.is_some_and(|end| boot_time().is_ok_and(|now| now >= end)) {
        return Ok(ControlFlow::Break(Some(End::Timeout)));
    }
    let passed = cgroup::passed(&context.watches)?;
    Ok(passed.map_or(ControlFlow::Continue(()), |what| ControlFlow::Break(Some(End::Limit(what)))))
}

/// How long a turn may wait.
struct Pace {
    /// There may be more children that have ended.
    more: bool,
    /// The run is not one of the short ones.
    settled: bool,
}

impl Pace {
    /// Waits for something to be ready; gives how many are. `looks`: accounts are looked at meanwhile.
    fn wait(&mut self, posts: &WatchPosts, looks: bool, events: &mut [EpollEvent]) -> Result<usize, Fault> {
        let patience = match (self.more, looks, self.settled) {
            (true, _, _) => EpollTimeout::ZERO,
            (false, true, _) => EpollTimeout::from(TICK),
            (false, false, false) => EpollTimeout::from(SETTLED),
            (false, false, true) => EpollTimeout::NONE,
        };
        match posts.any.wait(events, patience) {
            Ok(0) if !self.more && !self.settled => {
                self.settled = true;
                // If it cannot be had, it is only the memory of one process.
                sys::image::drop_clean_pages().ok();
                Ok(0)
            }
            Ok(ready) => Ok(ready),
            Err(Errno::EINTR) => Ok(0),
            Err(errno) => Err(Fault::system("epoll_wait", b"", errno)),
        }
    }
}

/// The tasks beyond the first.
struct Furthers {
    tasks: Vec<Further>,
    next: u64,
}

impl Furthers {
    /// With all the memory that it ever takes.
    fn new(any: bool) -> Self {
        Self { tasks: Vec::with_capacity(if any { orders::MOST } else { 0 }), next: FURTHER }
    }

    /// What is asked for, and what callers say to those that are there: one message of each.
    fn handle(
        &mut self,
        context: &mut Context,
        posts: &WatchPosts,
        events: &[EpollEvent],
    ) -> Result<(), Fault> {
        for event in events {
            if let Some(task) = self.tasks.iter().find(|task| task.token == event.data())
                && !task.listen()
            {
                // Its end would be told again and again.
                posts.any.delete(task.channel()).map_err(Fault::on("epoll_ctl", b"DEL"))?;
            }
        }
        if !has(events, ORDERS) {
            return Ok(());
        }
        match orders::take(context, self.next, self.tasks.len()) {
            Ok(Some(task)) => {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, task.token);
                if posts.any.add(task.channel(), event).is_err() {
                    // Its caller could not end it; the others go on.
                    task.kill();
                    return Ok(());
                }
                self.next = self.next.wrapping_add(1).max(FURTHER);
                self.tasks.push(task);
                Ok(())
            }
            Ok(None) => Ok(()),
            // No more tasks are asked for.
            Err(_) => match context.orders.take() {
                Some(orders) => posts.any.delete(orders).map_err(Fault::on("epoll_ctl", b"DEL")),
                None => Ok(()),
            },
        }
    }

    /// A child has ended: one of them, or an orphan.
    fn ended(&mut self, waited: &Waited) {
        if let Some(at) = self.tasks.iter().position(|task| task.pid() == waited.pid) {
            self.tasks.swap_remove(at).ended(waited.status);
        }
    }
}

/// A timer at the run's wall time limit.
fn clock(context: &Context) -> Result<Option<(TimerFd, Duration)>, Fault> {
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
    Ok(Some((timer, end)))
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

/// Passes on what came for the task. Each signal is looked at once a turn: one that comes again and again
/// keeps no other waiting, and those that queue (signal(7)) are not taken at all.
fn forward(task: &Running) -> Result<(), Fault> {
    let mut heard = heard();
    for _ in 0..=PASSED_ON.len() {
        let next = sys::process::next_signal(&heard, Duration::ZERO);
        let Some(number) = next.map_err(Fault::on("sigtimedwait", b""))? else { return Ok(()) };
        let Ok(signal) = Signal::try_from(number) else { return Ok(()) };
        heard.remove(signal);
        if signal == Signal::SIGCHLD {
            continue;
        }
        match task.signal(number) {
            // ESRCH: it has just ended. EPERM: a task that kept capabilities became another user.
            Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
            Err(errno) => return Err(Fault::system("kill", b"task", errno)),
        }
    }
    Ok(())
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
