//! The standard streams of this process.

use std::io;

/// The highest of them.
const LAST: libc::c_int = libc::STDERR_FILENO;

/// Opens `/dev/null` in the place of each of 0, 1 and 2 that is closed, for good, as Rust's runtime does
/// before `main`. What is opened after that has another number: no descriptor of ours is one that other
/// code writes messages to, or hands on to a child as its standard stream.
pub(crate) fn fill() -> io::Result<()> {
    while any_closed()? {
        // SAFETY: a C string.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if opened < 0 {
            return Err(io::Error::last_os_error());
        }
        if opened > LAST {
            // Another thread was first.
            // SAFETY: just opened; nothing else owns it.
            unsafe { libc::close(opened) };
            break;
        }
    }
    Ok(())
}

/// One system call: poll(2) says `POLLNVAL` of what is not open, and does not wait for anything here.
fn any_closed() -> io::Result<bool> {
    let mut asked = [0, 1, LAST].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: as many as are counted, which live through the call.
    match unsafe { libc::poll(asked.as_mut_ptr(), 3, 0) } {
        0.. => Ok(asked.iter().any(|one| one.revents & libc::POLLNVAL != 0)),
        _ => match io::Error::last_os_error() {
            // Only where there is nothing to tell.
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}
