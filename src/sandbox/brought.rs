//! What init sends a descriptor with: the outer end of a terminal, the listener of a filter.

use std::os::fd::OwnedFd;

use super::{listener, terminal};
use crate::protocol::{Channel, ChannelError, Message};

/// A message, and the descriptor that it brings.
type Received = (Message, Option<OwnedFd>);

/// What may still come with a descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) terminal: bool,
    pub(super) listener: bool,
}

/// The next message. What is `expected` is brought by its message; nothing else ever comes with a descriptor.
pub(super) fn receive(channel: &Channel, expected: Expected) -> Result<Option<Received>, ChannelError> {
    if !expected.terminal && !expected.listener {
        return channel.receive().map(|message| message.map(|message| (message, None)));
    }
    let Some((message, mut sent)) = channel.receive_with()? else { return Ok(None) };
    let descriptor = sent.pop();
    let whole = match (&message, &descriptor) {
        (Message::Terminal, Some(outer)) => expected.terminal && terminal::is_outer_end(outer),
        (Message::Listener, Some(fd)) => expected.listener && listener::is_one(fd),
        (message, None) => !matches!(message, Message::Terminal | Message::Listener),
        (_, Some(_)) => false,
    };
    if whole && sent.is_empty() { Ok(Some((message, descriptor))) } else { Err(ChannelError::Malformed) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    const BOTH: Expected = Expected { terminal: true, listener: true };

    /// What is made of a message that comes with these descriptors.
    fn received(
        message: &Message,
        sent: &[BorrowedFd<'_>],
        expected: Expected,
    ) -> Result<Option<OwnedFd>, ChannelError> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        Channel::new(one).send_with(message, sent).expect("sent");
        receive(&Channel::new(other), expected).map(|received| received.expect("a message").1)
    }

    #[test]
    fn one_outer_end_is_taken_and_nothing_else() {
        let pty = nix::pty::openpty(None, None).expect("a pty");
        let (outer, inner) = (pty.master.as_fd(), pty.slave.as_fd());
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let taken = received(&Message::Terminal, &[outer], BOTH).expect("taken").expect("an end");
        assert!(terminal::is_outer_end(&taken));
        assert!(received(&Message::Started, &[], BOTH).expect("a message").is_none());
        for wrong in [&[][..], &[inner], &[null.as_fd()], &[outer, outer], &[outer, inner]] {
            for message in [Message::Terminal, Message::Listener] {
                let refused = received(&message, wrong, BOTH);
                assert!(matches!(refused, Err(ChannelError::Malformed)), "{wrong:?}: {refused:?}");
            }
        }
        for message in [Message::Started, Message::Listener] {
            let refused = received(&message, &[outer], BOTH);
            assert!(matches!(refused, Err(ChannelError::Malformed)), "{message:?}");
        }
        let later = Expected { terminal: false, ..BOTH };
        assert!(matches!(received(&Message::Terminal, &[outer], later), Err(ChannelError::Malformed)));
    }
}
