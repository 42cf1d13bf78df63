//! What has to be true of the process before anything else is done.

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

use super::error::Error;
use crate::sys;

/// Refuses to run with borrowed rights, fills closed standard streams, and does away with what was inherited
/// of signals.
pub fn prepare() -> Result<(), Error> {
    sys::streams::fill().map_err(|source| Error::StandardStream { source })?;
    choose_signals()?;
    refuse_privileged()
}

/// A caller that ignores `SIGCHLD` leaves nobody a child to wait for; what it blocks nobody hears; and a file
/// that is larger than `RLIMIT_FSIZE` allows is an error to be told (`EFBIG`), not the end. The task gets
/// none of it.
fn choose_signals() -> Result<(), Error> {
    for (of, to) in [(Signal::SIGCHLD, SigHandler::SigDfl), (Signal::SIGXFSZ, SigHandler::SigIgn)] {
        // SAFETY: neither is a function that could be called at a bad moment.
        unsafe { signal(of, to) }
            .map_err(|source| Error::Signals { action: "choose", source: source.into() })?;
    }
    // What is pending does now what it would have done.
    SigSet::empty()
        .thread_set_mask()
        .map_err(|source| Error::Signals { action: "unblock", source: source.into() })
}

/// A set-user-ID copy of belljar would hand every profile, path and report file that its caller names to the
/// owner's rights (firejail's CVE-2017-5180 and CVE-2022-31214, bubblewrap's CVE-2020-5291).
fn refuse_privileged() -> Result<(), Error> {
    // SAFETY: getauxval reads a value that the kernel gave at the start of the process.
    match unsafe { libc::getauxval(libc::AT_SECURE) } {
        0 => Ok(()),
        _ => Err(Error::Privileged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_start_is_accepted() {
        prepare().expect("the test harness has its standard streams and no borrowed rights");
    }
}
