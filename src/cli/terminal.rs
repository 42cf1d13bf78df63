//! `--tty`: connects the user's terminal with the sandbox's own. Input and output are copied unchanged. The
//! sandbox's terminal does echo, line editing and signals.

use std::fs::File;
use std::io::{self, IsTerminal as _, PipeWriter, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::error::Error;

mod screen;

use screen::Screen;

nix::ioctl_read_bad!(get_size, libc::TIOCGWINSZ, libc::winsize);
nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, libc::winsize);

/// The connection, as long as the sandbox runs.
#[derive(Debug)]
pub struct Terminal {
    settings: Settings,
    screen: Screen,
    /// Closed when the run is over: nothing more is typed into it, and only what it has written by then is
    /// shown.
    stop: PipeWriter,
}

/// The settings of the user's terminal, put back when this is dropped.
#[derive(Debug)]
struct Settings {
    before: Termios,
}

impl Drop for Settings {
    fn drop(&mut self) {
        // Not once all is written (TCSADRAIN): a stopped terminal would never let this return.
        if let Err(errno) = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before) {
            log::error!("the terminal's settings cannot be put back: {errno}");
        }
    }
}

/// Whether there is a terminal to connect to: known before anything runs.
pub fn check() -> Result<(), Error> {
    if io::stdin().is_terminal() { Ok(()) } else { Err(Error::NoTerminal) }
}

/// Gives the sandbox's terminal the size of the user's.
pub fn copy_size(inner: BorrowedFd<'_>) -> nix::Result<()> {
    use std::os::fd::AsRawFd as _;
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one winsize.
    unsafe { get_size(io::stdin().as_raw_fd(), &raw mut size) }?;
    // SAFETY: the kernel reads one winsize.
    unsafe { set_size(inner.as_raw_fd(), &raw const size) }?;
    Ok(())
}

impl Terminal {
    /// Connects the outer end of the sandbox's terminal with the user's.
    pub fn connect(inner: OwnedFd) -> Result<Terminal, Error> {
        let failed = |action| move |source: io::Error| Error::Terminal { action, source };
        copy_size(inner.as_fd()).map_err(|errno| failed("set the size")(errno.into()))?;
        let before = tcgetattr(io::stdin()).map_err(|errno| failed("tcgetattr")(errno.into()))?;
        let settings = Settings { before };
        let mut raw = settings.before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw).map_err(|errno| failed("tcsetattr")(errno.into()))?;

        let typed = inner.try_clone().map_err(failed("dup"))?;
        let (stopped, stop) = io::pipe().map_err(failed("pipe"))?;
        let over = stopped.try_clone().map_err(failed("dup"))?;
        std::thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || {
                if let Err(error) = carry_typed(File::from(typed), stopped.as_fd()) {
                    log::error!("what is typed no longer reaches the sandbox: {error}");
                }
            })
            .map_err(failed("thread"))?;
        let out = io::stdout().as_fd().try_clone_to_owned().map_err(failed("dup"))?;
        let screen =
            Screen::start(File::from(inner), File::from(out), over.into()).map_err(failed("thread"))?;
        Ok(Terminal { settings, screen, stop })
    }

    /// After the sandbox's end: carries what it wrote last, and puts the terminal's settings back.
    pub fn finish(self) -> Result<(), Error> {
        drop(self.stop);
        let carried = self.screen.finish();
        drop(self.settings);
        carried.map_err(|source| Error::Terminal { action: "write to standard output", source })
    }
}

fn carry_typed(mut inner: File, stopped: BorrowedFd<'_>) -> io::Result<()> {
    let keyboard = io::stdin();
    let mut buffer = [0; 4096];
    loop {
        let mut watched =
            [PollFd::new(keyboard.as_fd(), PollFlags::POLLIN), PollFd::new(stopped, PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if watched[1].revents() != Some(PollFlags::empty()) {
            return Ok(());
        }
        // Not through io::Stdin: what it buffers would be out of poll's sight.
        match nix::unistd::read(&keyboard, &mut buffer) {
            // A terminal that was hung up.
            Ok(0) | Err(Errno::EIO) => return Ok(()),
            Ok(n) => match inner.write_all(&buffer[..n]) {
                // The sandbox has ended.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                written => written?,
            },
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
