//! The guard against a fork bomb: it knows from the first instruction on whether this process is a
//! re-executed child, and ends a child that does not reach `init()`.
//!
//! A program that launches a role but never calls [`init`](super::init) would run its `main` again in the
//! child, with the role's arguments, which would launch again, and so on. So: before `init` was called
//! nothing can be launched; and where that is called in one process and not in the other, a timer ends the
//! child with a message that names the missing call.
//!
//! The timer does not go by the clock on the wall, which goes on while a process waits for a processor among
//! hundreds of others. What counts is what the child does itself: time on a processor, and turns of the timer
//! in which it went to sleep of its own accord.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::credential::{self, CHANNEL_FD, CREDENTIAL_FD};
use super::hello;

/// How much of its own time a re-executed child may take until it calls `init()`.
const PATIENCE: Duration = Duration::from_millis(800);

/// How often it is looked at.
const TURN: Duration = Duration::from_millis(100);

/// Exit code of a re-executed child that was refused or did not reach `init()`.
pub const EXIT_REFUSED: i32 = 125;

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Started by anything but a launch, and `init()` was not called yet.
    Ordinary,
    /// The same, and it was: a child of this program will call it too.
    Ready,
    /// A re-executed child that has not called `init()` yet.
    Pending,
    /// A re-executed child that has.
    Consumed,
}

const UNKNOWN: u8 = 0;
const ORDINARY: u8 = 1;
const PENDING: u8 = 2;
const CONSUMED: u8 = 3;
const READY: u8 = 4;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Looks once; the answer does not change when descriptor 3 does.
pub(super) fn state() -> State {
    if STATE.load(Ordering::Acquire) == UNKNOWN {
        let found = if credential::may_be_present(CREDENTIAL_FD) { PENDING } else { ORDINARY };
        // Losing the race is fine: the other one saw the same.
        let _ = STATE.compare_exchange(UNKNOWN, found, Ordering::AcqRel, Ordering::Acquire);
    }
    match STATE.load(Ordering::Acquire) {
        PENDING => State::Pending,
        CONSUMED => State::Consumed,
        READY => State::Ready,
        _ => State::Ordinary,
    }
}

/// Takes the pending state: true for the one caller who is to read the credential. Stops the timer. An
/// ordinary program may launch from then on.
pub(super) fn consume() -> bool {
    if state() == State::Ordinary {
        // Losing the race is fine: the other one did the same.
        let _ = STATE.compare_exchange(ORDINARY, READY, Ordering::AcqRel, Ordering::Acquire);
    }
    if state() != State::Pending
        || STATE.compare_exchange(PENDING, CONSUMED, Ordering::AcqRel, Ordering::Acquire).is_err()
    {
        return false;
    }
    disarm();
    true
}

/// Runs before `main`, in every program that can launch.
pub(super) extern "C" fn at_start() {
    super::image::remember();
    if state() == State::Pending {
        // If the timer cannot be had, the refusal to launch still holds and the launcher's own timeout ends
        // us.
        let _ = arm();
    }
}

fn arm() -> io::Result<()> {
    // SAFETY: all zero is a valid sigaction: an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = look as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // What a slow start is waiting for goes on.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a handler that only uses async-signal-safe calls (signal-safety(7)).
    if unsafe { libc::sigaction(libc::SIGALRM, &action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Usage::now().remember();
    set_timer(TURN)
}

fn disarm() {
    // Stopping a timer and restoring a default cannot fail with these arguments.
    let _ = set_timer(Duration::ZERO);
    // SAFETY: back to the default, which is what the child started with.
    unsafe { libc::signal(libc::SIGALRM, libc::SIG_DFL) };
}

/// Again and again, until it is 0.
fn set_timer(interval: Duration) -> io::Result<()> {
    let value = libc::timeval { tv_sec: 0, tv_usec: interval.subsec_micros().into() };
    let timer = libc::itimerval { it_interval: value, it_value: value };
    // SAFETY: a valid timer.
    if unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What the process has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    /// On a processor, microseconds.
    processor: u64,
    /// How often it went to sleep.
    sleeps: u64,
    /// How often that was to wait for its own code to be read from a disk.
    reads: u64,
}

/// At the last turn; written by `arm`, before there is a turn, and by the signal handler.
static PROCESSOR: AtomicU64 = AtomicU64::new(0);
static SLEEPS: AtomicU64 = AtomicU64::new(0);
static READS: AtomicU64 = AtomicU64::new(0);

/// How much of its patience is used up, microseconds.
static SPENT: AtomicU64 = AtomicU64::new(0);

impl Usage {
    fn now() -> Usage {
        // SAFETY: all zero is a valid rusage.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: room for the answer. It cannot fail with these arguments.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        let micros = |time: libc::timeval| {
            (time.tv_sec as u64).wrapping_mul(1_000_000).wrapping_add(time.tv_usec as u64)
        };
        Usage {
            processor: micros(usage.ru_utime).wrapping_add(micros(usage.ru_stime)),
            sleeps: usage.ru_nvcsw as u64,
            reads: usage.ru_majflt as u64,
        }
    }

    fn remembered() -> Usage {
        Usage {
            processor: PROCESSOR.load(Ordering::Relaxed),
            sleeps: SLEEPS.load(Ordering::Relaxed),
            reads: READS.load(Ordering::Relaxed),
        }
    }

    fn remember(self) {
        PROCESSOR.store(self.processor, Ordering::Relaxed);
        SLEEPS.store(self.sleeps, Ordering::Relaxed);
        READS.store(self.reads, Ordering::Relaxed);
    }

    /// What of the turn that ends now was the process's own doing, microseconds. Asleep it is woken by each
    /// turn, and sleeps again; one that waits for a processor does not sleep.
    fn spent_since(self, before: Usage) -> u64 {
        let slept = self.sleeps > before.sleeps && self.reads == before.reads;
        if slept { TURN.as_micros() as u64 } else { self.processor.saturating_sub(before.processor) }
    }
}

/// At each turn of the timer.
extern "C" fn look(_signal: libc::c_int) {
    let now = Usage::now();
    let spent = SPENT.load(Ordering::Relaxed).saturating_add(now.spent_since(Usage::remembered()));
    SPENT.store(spent, Ordering::Relaxed);
    now.remember();
    if u128::from(spent) >= PATIENCE.as_micros() {
        never_initialised();
    }
}

fn never_initialised() -> ! {
    const MESSAGE: &str = "belljar: this re-executed child did not reach belljar::init(): call it first thing in main \
                           (in tests, doctests and benches: belljar::enable_test_support!())\n";
    // SAFETY: async-signal-safe calls on constants; nothing could be done about a failure.
    unsafe {
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::send(
            CHANNEL_FD,
            [hello::NEVER_INITIALISED].as_ptr().cast(),
            1,
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        );
        libc::_exit(EXIT_REFUSED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_does_itself_counts() {
        let before = Usage { processor: 500, sleeps: 3, reads: 1 };
        let after = |processor, sleeps, reads| Usage { processor, sleeps, reads }.spent_since(before);
        let turn = TURN.as_micros() as u64;
        assert_eq!(after(500, 3, 1), 0, "it waited for a processor");
        assert_eq!(after(700, 3, 1), 200, "it computed");
        assert_eq!(after(510, 4, 1), turn, "it slept");
        assert_eq!(after(510, 9, 4), 10, "its code was read from a disk");
        assert_eq!(after(300, 3, 1), 0, "a clock that goes back");
    }
}
