//! The guard against a fork bomb: it knows from the first instruction on whether this process is a re-executed child, and
//! ends a child that does not reach `init()`.
//!
//! A program that launches a role but never calls [`init`](super::init) would run its `main` again in the child, which
//! would launch again, and so on. So: while a credential is pending nothing can be launched, and a timer ends the
//! process with a message that names the missing call.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use super::credential::{self, CHANNEL_FD, CREDENTIAL_FD};
use super::hello;

/// How long a re-executed child may take until it calls `init()`.
pub(super) const PATIENCE_MILLISECONDS: i64 = 900;

/// Exit code of a re-executed child that was refused or did not reach `init()`.
pub const EXIT_REFUSED: i32 = 125;

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Started by anything but a launch.
    Ordinary,
    /// A re-executed child that has not called `init()` yet.
    Pending,
    /// A re-executed child that has.
    Consumed,
}

const UNKNOWN: u8 = 0;
const ORDINARY: u8 = 1;
const PENDING: u8 = 2;
const CONSUMED: u8 = 3;

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
        _ => State::Ordinary,
    }
}

/// Takes the pending state: true for the one caller who is to read the credential. Stops the timer.
pub(super) fn consume() -> bool {
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
        // If the timer cannot be had, the refusal to launch still holds and the launcher's own timeout ends us.
        let _ = arm();
    }
}

fn arm() -> io::Result<()> {
    // SAFETY: all zero is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = never_initialised as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: a handler that only uses async-signal-safe calls (signal-safety(7)).
    if unsafe { libc::sigaction(libc::SIGALRM, &action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    set_timer(PATIENCE_MILLISECONDS)
}

fn disarm() {
    // Stopping a timer and restoring a default cannot fail with these arguments.
    let _ = set_timer(0);
    // SAFETY: back to the default, which is what the child started with.
    unsafe { libc::signal(libc::SIGALRM, libc::SIG_DFL) };
}

fn set_timer(milliseconds: i64) -> io::Result<()> {
    let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval { tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000 };
    let timer = libc::itimerval { it_interval: zero, it_value: value };
    // SAFETY: a valid timer.
    if unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn never_initialised(_signal: libc::c_int) {
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
