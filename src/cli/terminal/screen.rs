//! Copies what the sandbox writes to its terminal to the user's terminal. This ends with the run, even if
//! another process still has the sandbox's terminal open (descriptors can be sent away), writes without end, or
//! the user's terminal blocks.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Written at once: a line of 9600 baud takes it in about half a second.
const CHUNK: usize = 512;
/// The most that is shown of what comes once the run is over. A terminal holds less.
const LEFT_OVER: usize = 1 << 20;
/// How long the user's terminal may take nothing once the run is over, in milliseconds.
const PATIENCE_MS: u16 = 2000;

/// The thread that copies it.
#[derive(Debug)]
pub(super) struct Screen {
    thread: JoinHandle<io::Result<()>>,
    /// Its other end is closed once the thread is done.
    done: PipeReader,
    /// Chunks that were written.
    written: Arc<AtomicU64>,
}

impl Screen {
    /// Starts it. The other end of `over` is closed when the run is over.
    pub(super) fn start(inner: File, out: File, over: OwnedFd) -> io::Result<Self> {
        let (done, working) = io::pipe()?;
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let _working = working;
            carry(inner, out, over.as_fd(), &count)
        })?;
        Ok(Self { thread, done, written })
    }

    /// After `over` was closed: waits as long as the user's terminal takes something.
    pub(super) fn finish(self) -> io::Result<()> {
        loop {
            let before = self.written.load(Ordering::Acquire);
            let mut done = [PollFd::new(self.done.as_fd(), PollFlags::POLLIN)];
            match poll(&mut done, PollTimeout::from(PATIENCE_MS)) {
                // A panic of the thread has printed itself.
                Ok(1..) => return self.thread.join().unwrap_or_else(|_| Err(Errno::ENOTRECOVERABLE.into())),
                Ok(_) if self.written.load(Ordering::Acquire) == before => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the terminal takes no output"));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn carry(mut inner: File, mut out: File, over: BorrowedFd<'_>, written: &AtomicU64) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let mut left = LEFT_OVER;
    while left > 0 {
        let mut watched =
            [PollFd::new(inner.as_fd(), PollFlags::POLLIN), PollFd::new(over, PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let [readable, is_over] = watched.map(|fd| fd.revents() != Some(PollFlags::empty()));
        if !readable {
            // Over, and nothing is left.
            return Ok(());
        }
        let count = match inner.read(&mut buffer) {
            Ok(0) => return Ok(()),
            // The other end is closed.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        for chunk in buffer[..count].chunks(CHUNK) {
            out.write_all(chunk)?;
            written.fetch_add(1, Ordering::Release);
        }
        if is_over {
            left = left.saturating_sub(count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use nix::pty::{OpenptyResult, openpty};
    use nix::sys::termios::{FlowArg, SetArg, cfmakeraw, tcflow, tcgetattr, tcsetattr};

    use super::*;

    fn raw_pty() -> OpenptyResult {
        let pty = openpty(None, None).expect("a pty");
        let mut settings = tcgetattr(&pty.slave).expect("settings");
        cfmakeraw(&mut settings);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).expect("raw");
        pty
    }

    /// How the screen ends whose run is over, or that it does not.
    fn end(screen: Screen) -> Result<io::Result<()>, RecvTimeoutError> {
        let (told, heard) = channel();
        std::thread::spawn(move || told.send(screen.finish()));
        heard.recv_timeout(Duration::from_secs(20))
    }

    #[test]
    fn who_keeps_the_sandboxs_terminal_open_holds_nothing_up() {
        let (pty, (mut shown, out)) = (raw_pty(), io::pipe().expect("a pipe"));
        let (over, running) = io::pipe().expect("a pipe");
        let out = File::from(OwnedFd::from(out));
        let screen = Screen::start(pty.master.into(), out, over.into()).expect("a thread");
        let mut kept = File::from(pty.slave);
        kept.write_all(b"the last words").expect("written");
        drop(running);
        end(screen).expect("an end").expect("all shown");
        let mut text = String::new();
        shown.read_to_string(&mut text).expect("text");
        assert_eq!(text, "the last words");
        drop(kept);
    }

    #[test]
    fn a_flood_after_the_end_is_cut() {
        let pty = raw_pty();
        let (over, running) = io::pipe().expect("a pipe");
        let out = File::options().write(true).open("/dev/null").expect("/dev/null");
        let screen = Screen::start(pty.master.into(), out, over.into()).expect("a thread");
        let mut flood = File::from(pty.slave);
        // Ends with the error of a terminal whose outer end was closed.
        let flooding = std::thread::spawn(move || while flood.write_all(&[b'x'; 4096]).is_ok() {});
        drop(running);
        end(screen).expect("an end").expect("no error");
        flooding.join().expect("no panic");
    }

    #[test]
    fn a_stopped_terminal_holds_nothing_up() {
        let (pty, users) = (raw_pty(), raw_pty());
        let (over, running) = io::pipe().expect("a pipe");
        tcflow(&users.slave, FlowArg::TCOOFF).expect("stopped");
        let out = File::from(users.slave.try_clone().expect("dup"));
        let screen = Screen::start(pty.master.into(), out, over.into()).expect("a thread");
        let mut inner = File::from(pty.slave);
        inner.write_all(b"not shown").expect("written");
        drop(running);
        let ended = end(screen).expect("an end");
        assert_eq!(ended.expect_err("nothing was shown").kind(), io::ErrorKind::TimedOut);
    }
}
