//! The caller's terminal, where it is a standard stream of the task: what the task changed of it is put back
//! when the run is over. Its size is not: that is the window's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{FlowArg, SetArg, Termios, tcflow, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

nix::ioctl_read_bad!(is_exclusive, libc::TIOCGEXCL, libc::c_int);
nix::ioctl_none_bad!(share, libc::TIOCNXCL);

/// What the terminals were, put back when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Lent(Vec<Terminal>);

#[derive(Debug)]
struct Terminal {
    fd: OwnedFd,
    /// Not nix's type, which cannot be shared by threads.
    settings: libc::termios,
    exclusive: bool,
    flags: OFlag,
}

impl Lent {
    /// Notes a terminal, if this process is in the foreground there: otherwise others set it up.
    pub(super) fn note(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        if !in_foreground(fd) {
            return Ok(());
        }
        let mut exclusive = 0;
        // SAFETY: the kernel writes one int.
        unsafe { is_exclusive(fd.as_raw_fd(), &raw mut exclusive) }?;
        self.0.push(Terminal {
            settings: tcgetattr(fd)?.into(),
            exclusive: exclusive != 0,
            flags: flags(fd)?,
            fd: fd.try_clone_to_owned().map_err(|error| super::spawn::errno_of(&error))?,
        });
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for terminal in &self.0 {
            if let Err(errno) = terminal.put_back() {
                log::error!("what the task changed of the terminal cannot be put back: {errno}");
            }
        }
    }
}

impl Terminal {
    fn put_back(&self) -> Result<(), Errno> {
        if !in_foreground(self.fd.as_fd()) {
            return Ok(());
        }
        // Should the shell take the foreground at this moment, this process is not stopped for what it does
        // here (termios(3)).
        let stop = SigSet::from(Signal::SIGTTOU);
        let mask = stop.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
        let done = self.put_all_back();
        mask.thread_set_mask()?;
        done
    }

    /// Each, even where others fail.
    fn put_all_back(&self) -> Result<(), Errno> {
        // It undoes what TCOOFF did, not Ctrl-S.
        let flow = tcflow(&self.fd, FlowArg::TCOON);
        let shared = if self.exclusive {
            Ok(0)
        } else {
            // SAFETY: no argument.
            unsafe { share(self.fd.as_raw_fd()) }
        };
        // Not once all is written (TCSADRAIN): a terminal that was stopped would never let this return.
        let settings = tcsetattr(&self.fd, SetArg::TCSANOW, &Termios::from(self.settings));
        let flags = self.put_flags_back();
        flow.and(shared.map(drop)).and(settings).and(flags)
    }

    fn put_flags_back(&self) -> Result<(), Errno> {
        let now = flags(self.fd.as_fd())?;
        let before = (now - OFlag::O_NONBLOCK) | (self.flags & OFlag::O_NONBLOCK);
        if now == before {
            return Ok(());
        }
        fcntl(&self.fd, FcntlArg::F_SETFL(before)).map(drop)
    }
}

fn flags(fd: BorrowedFd<'_>) -> Result<OFlag, Errno> {
    fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain)
}

/// Of another session's terminal, and of one that was hung up, this process is not told.
fn in_foreground(terminal: BorrowedFd<'_>) -> bool {
    tcgetpgrp(terminal) == Ok(getpgrp())
}
