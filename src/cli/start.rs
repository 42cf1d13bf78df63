//! Checks and settings of the process, before anything else.

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

use super::error::Error;
use crate::sys;

/// Refuses to run set-user-ID, opens closed standard streams, and resets inherited signal settings.
pub fn prepare() -> Result<(), Error> {
    sys::streams::fill().map_err(|source| Error::StandardStream { source })?;
    choose_signals()?;
    refuse_privileged()
}

/// If `SIGCHLD` is ignored, children cannot be waited for. Blocked signals would not be received. `SIGXFSZ` is
/// ignored so that a write beyond `RLIMIT_FSIZE` is an error (`EFBIG`). The task inherits none of this.
fn choose_signals() -> Result<(), Error> {
    for (of, to) in [(Signal::SIGCHLD, SigHandler::SigDfl), (Signal::SIGXFSZ, SigHandler::SigIgn)] {
        // SAFETY: neither is a function.
        unsafe { signal(of, to) }
            .map_err(|source| Error::Signals { action: "choose", source: source.into() })?;
    }
    // Pending signals are delivered now.
    SigSet::empty()
        .thread_set_mask()
        .map_err(|source| Error::Signals { action: "unblock", source: source.into() })
}

/// A set-user-ID copy of belljar would use every profile, path and report file that its caller names with the
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
        prepare().expect("the test harness has its standard streams and is not set-user-ID");
    }
}
