//! What has to be true of the process before anything else is done.

use std::io;

use super::error::Error;

/// Refuses to run with borrowed rights, and fills closed standard streams.
pub fn prepare() -> Result<(), Error> {
    fill_standard_streams()?;
    refuse_privileged()
}

/// A set-user-ID copy of belljar would hand every profile, path and report file that its caller names to the owner's
/// rights (firejail's CVE-2017-5180 and CVE-2022-31214, bubblewrap's CVE-2020-5291).
fn refuse_privileged() -> Result<(), Error> {
    // SAFETY: getauxval reads a value that the kernel gave at the start of the process.
    match unsafe { libc::getauxval(libc::AT_SECURE) } {
        0 => Ok(()),
        _ => Err(Error::Privileged),
    }
}

/// Opens `/dev/null` in the place of each of 0, 1 and 2 that the caller closed: otherwise the next file that is
/// opened becomes standard output, and the program writes into it. (std does the same before `main`, but does not
/// promise it.)
fn fill_standard_streams() -> Result<(), Error> {
    for descriptor in 0..=2 {
        let failed = |source| Error::StandardStream { descriptor, source };
        if is_open(descriptor).map_err(failed)? {
            continue;
        }
        // SAFETY: the path is a C string; the lowest free descriptor is `descriptor`, as all below are open.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if opened == -1 {
            return Err(failed(io::Error::last_os_error()));
        }
        if opened != descriptor {
            return Err(failed(io::ErrorKind::Other.into()));
        }
    }
    Ok(())
}

fn is_open(descriptor: i32) -> io::Result<bool> {
    // SAFETY: F_GETFD takes no pointer and changes nothing.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } != -1 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EBADF) => Ok(false),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_start_is_accepted() {
        prepare().expect("the test harness has its standard streams and no borrowed rights");
    }

    #[test]
    fn a_closed_descriptor_is_seen() {
        assert!(is_open(2).expect("fcntl"));
        assert!(!is_open(i32::MAX).expect("fcntl"));
    }
}
