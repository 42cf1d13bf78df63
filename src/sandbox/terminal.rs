//! A terminal of the task's own: init opens it in the sandbox's devpts and sends the outer end, which the
//! caller relays (pty(7)). Nothing that the task does to it reaches the caller's terminal but what it writes.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::protocol::{Channel, ChannelError, Message, Window};
use crate::sys;

nix::ioctl_read_bad!(get_size, libc::TIOCGWINSZ, libc::winsize);
nix::ioctl_read_bad!(get_number, libc::TIOCGPTN, libc::c_uint);

/// The size of the caller's terminal, if it has one as a standard stream.
pub(super) fn size() -> Window {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one winsize; any number may be asked about.
    let _ = (0..3).find(|number| unsafe { get_size(*number, &raw mut size) }.is_ok());
    let libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: width, ws_ypixel: height } = size;
    Window { rows, columns, width, height }
}

/// A message, and the outer end of the terminal with the one that brings it.
type Received = (Message, Option<OwnedFd>);

/// The next message. While the terminal is `expected` one brings it; nothing else ever comes with a
/// descriptor.
pub(super) fn receive(channel: &Channel, expected: bool) -> Result<Option<Received>, ChannelError> {
    if !expected {
        return channel.receive().map(|message| message.map(|message| (message, None)));
    }
    let Some((message, mut sent)) = channel.receive_with()? else { return Ok(None) };
    let outer = sent.pop();
    let whole = match (&message, &outer) {
        (Message::Terminal, Some(outer)) => is_outer_end(outer),
        (message, None) => *message != Message::Terminal,
        (_, Some(_)) => false,
    };
    if whole && sent.is_empty() { Ok(Some((message, outer))) } else { Err(ChannelError::Malformed) }
}

/// Whether it is the outer end of a pseudo-terminal: the device that all are opened through, and the one
/// question that only an outer end answers.
fn is_outer_end(fd: &OwnedFd) -> bool {
    let is_multiplexer = sys::fstat(fd.as_fd()).is_ok_and(|stat| {
        stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(5, 2)
    });
    let mut number = 0;
    // SAFETY: the kernel writes one unsigned int.
    is_multiplexer && unsafe { get_number(fd.as_raw_fd(), &raw mut number) }.is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    /// What is made of a message that comes with these descriptors.
    fn received(message: &Message, sent: &[BorrowedFd<'_>]) -> Result<Option<OwnedFd>, ChannelError> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        Channel::new(one).send_with(message, sent).expect("sent");
        receive(&Channel::new(other), true).map(|received| received.expect("a message").1)
    }

    #[test]
    fn one_outer_end_is_taken_and_nothing_else() {
        let pty = nix::pty::openpty(None, None).expect("a pty");
        let (outer, inner) = (pty.master.as_fd(), pty.slave.as_fd());
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let taken = received(&Message::Terminal, &[outer]).expect("taken").expect("an end");
        assert!(is_outer_end(&taken));
        assert!(received(&Message::Started, &[]).expect("a message").is_none());
        for wrong in [&[][..], &[inner], &[null.as_fd()], &[outer, outer], &[outer, inner]] {
            let refused = received(&Message::Terminal, wrong);
            assert!(matches!(refused, Err(ChannelError::Malformed)), "{wrong:?}: {refused:?}");
        }
        assert!(matches!(received(&Message::Started, &[outer]), Err(ChannelError::Malformed)));
    }
}
