//! A sequenced-packet socket with one message a datagram.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LIMIT;

/// The most descriptors that come with a message.
pub(crate) const MAX_SENT: usize = 16;

/// How long the length of something long is.
const LENGTH: usize = size_of::<u32>();

/// One side of the channel.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// Why nothing could be sent or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ChannelError {
    /// The system call failed.
    #[error("the channel between the caller and init failed")]
    System {
        /// Why.
        source: Errno,
    },
    /// A message is longer than [`LIMIT`], or not one at all.
    #[error("the channel between the caller and init carried a malformed message")]
    Malformed,
}

impl From<Errno> for ChannelError {
    fn from(source: Errno) -> Self {
        Self::System { source }
    }
}

#[cfg(feature = "cli")]
impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Whether the other side is gone.
    pub(crate) fn is_gone(&self) -> bool {
        let mut watched = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        let polled = poll(&mut watched, PollTimeout::ZERO);
        polled.is_err()
            || watched.iter().any(|fd| fd.revents().is_some_and(|seen| seen.contains(PollFlags::POLLHUP)))
    }

    /// Sends one message.
    pub(crate) fn send<T: Serialize>(&self, message: &T) -> Result<(), ChannelError> {
        self.send_with(message, &[])
    }

    /// Sends a message of at most `N` bytes without taking memory for it.
    pub(crate) fn send_short<const N: usize, T: Serialize>(&self, message: &T) -> Result<(), ChannelError> {
        let mut buffer = [0; N];
        let bytes = postcard::to_slice(message, &mut buffer).map_err(|_| ChannelError::Malformed)?;
        self.send_all(bytes, &[])
    }

    /// Sends one message, and at most [`MAX_SENT`] descriptors with it.
    pub(crate) fn send_with<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let bytes = postcard::to_stdvec(message).map_err(|_| ChannelError::Malformed)?;
        self.send_all(&bytes, &numbers)
    }

    /// Sends what may be longer than a message, in parts: its length comes before the first.
    pub(crate) fn send_long(&self, bytes: &[u8]) -> Result<(), ChannelError> {
        let length = u32::try_from(bytes.len()).map_err(|_| ChannelError::Malformed)?;
        let (first, rest) = bytes.split_at(bytes.len().min(LIMIT - LENGTH));
        self.send_all(&[&length.to_le_bytes(), first].concat(), &[])?;
        rest.chunks(LIMIT).try_for_each(|part| self.send_all(part, &[]))
    }

    fn send_all(&self, bytes: &[u8], numbers: &[RawFd]) -> Result<(), ChannelError> {
        let rights = [ControlMessage::ScmRights(numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &rights };
        if bytes.len() > LIMIT {
            return Err(ChannelError::Malformed);
        }
        loop {
            let sent = socket::sendmsg::<()>(
                self.0.as_raw_fd(),
                &[IoSlice::new(bytes)],
                control,
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
            match sent {
                Ok(count) if count == bytes.len() => return Ok(()),
                Ok(_) => return Err(ChannelError::Malformed),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Receives one message; `None` once the other side is gone. No descriptor is ever accepted with it.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>, ChannelError> {
        self.receive_bytes()?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Receives what was sent with [`send_long`](Self::send_long), at most `limit` bytes.
    pub(crate) fn receive_long(&self, limit: usize) -> Result<Option<Vec<u8>>, ChannelError> {
        let Some(first) = self.receive_bytes()? else { return Ok(None) };
        let (length, first) = first.split_first_chunk::<LENGTH>().ok_or(ChannelError::Malformed)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ChannelError::Malformed)?;
        if length > limit {
            return Err(ChannelError::Malformed);
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(first);
        while bytes.len() < length {
            let Some(part) = self.receive_bytes()? else { return Ok(None) };
            bytes.extend_from_slice(&part);
        }
        if bytes.len() == length { Ok(Some(bytes)) } else { Err(ChannelError::Malformed) }
    }

    fn receive_bytes(&self) -> Result<Option<Vec<u8>>, ChannelError> {
        let mut buffer = self.room()?;
        let (count, flags) = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            match socket::recvmsg::<()>(self.0.as_raw_fd(), &mut parts, None, MsgFlags::MSG_CMSG_CLOEXEC) {
                Ok(message) => break (message.bytes, message.flags),
                Err(errno) => again(errno)?,
            }
        };
        let whole = datagram(&buffer, count, flags)?.is_some();
        buffer.truncate(count);
        Ok(whole.then_some(buffer))
    }

    /// Receives one message with the at most [`MAX_SENT`] descriptors that came with it; `None` once the
    /// other side is gone. Only where some are expected: in the caller that of a terminal, before anything
    /// untrusted runs.
    pub(crate) fn receive_with<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        let mut buffer = self.room()?;
        let mut space = nix::cmsg_space!([RawFd; MAX_SENT]);
        let (count, flags, descriptors) = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let number = self.0.as_raw_fd();
            match socket::recvmsg::<()>(number, &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
                Ok(message) => {
                    let mut descriptors = Vec::new();
                    for control in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(numbers) = control {
                            // SAFETY: the kernel has just made these descriptors for us.
                            descriptors
                                .extend(numbers.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                        }
                    }
                    break (message.bytes, message.flags, descriptors);
                }
                Err(errno) => again(errno)?,
            }
        };
        if flags.contains(MsgFlags::MSG_CTRUNC) {
            return Err(ChannelError::Malformed);
        }
        let message = datagram(&buffer, count, flags)?.map(decode).transpose()?;
        Ok(message.map(|message| (message, descriptors)))
    }

    /// Waits for a message, and makes room for it: most are far shorter than [`LIMIT`], and one that is
    /// longer is cut, which is seen.
    fn room(&self) -> Result<Vec<u8>, ChannelError> {
        loop {
            match socket::recv(self.0.as_raw_fd(), &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC) {
                // Nothing is the end, which is read as a message of no length.
                Ok(length) => return Ok(vec![0; length.clamp(1, LIMIT)]),
                Err(errno) => again(errno)?,
            }
        }
    }
}

/// Whether to receive once more.
fn again(errno: Errno) -> Result<(), ChannelError> {
    match errno {
        // ECONNRESET is told once when the other side went away with messages of ours unread; what it had
        // sent before, or the end, comes with the next call.
        Errno::EINTR | Errno::ECONNRESET => Ok(()),
        errno => Err(errno.into()),
    }
}

/// What was received; nothing is the end of the other side.
fn datagram(buffer: &[u8], count: usize, flags: MsgFlags) -> Result<Option<&[u8]>, ChannelError> {
    if count == 0 {
        return Ok(None);
    }
    if flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(ChannelError::Malformed);
    }
    buffer.get(..count).ok_or(ChannelError::Malformed).map(Some)
}

/// A message from the bytes of one datagram.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ChannelError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(ChannelError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, send, socketpair};

    use super::*;

    fn pair() -> (Channel, Channel) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        (Channel::new(one), Channel::new(other))
    }

    #[test]
    fn messages_come_as_they_were_sent_and_then_the_end() {
        let (one, other) = pair();
        let texts = ["", "short", &"x".repeat(LIMIT - 3)];
        for text in texts {
            one.send(&text).expect("sent");
        }
        one.send_with(&"with", &[one.as_fd(), other.as_fd()]).expect("sent");
        for text in texts {
            assert_eq!(other.receive::<String>().expect("received").as_deref(), Some(text));
        }
        let (text, descriptors) = other.receive_with::<String>().expect("received").expect("a message");
        assert_eq!((text.as_str(), descriptors.len()), ("with", 2));
        drop((one, descriptors));
        assert!(other.receive::<String>().expect("the end").is_none());
        assert!(other.receive_with::<String>().expect("the end").is_none());
    }

    #[test]
    fn what_is_long_comes_as_it_was_sent() {
        let (one, other) = pair();
        for length in [0, 1, LIMIT - LENGTH, LIMIT - LENGTH + 1, 3 * LIMIT] {
            let bytes: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            one.send_long(&bytes).expect("sent");
            assert_eq!(other.receive_long(length).expect("received"), Some(bytes), "{length}");
        }
        one.send_long(&[7; 100]).expect("sent");
        assert!(matches!(other.receive_long(99), Err(ChannelError::Malformed)));
        // Shorter than a length, and longer than it says.
        for bytes in [&[1][..], &[1, 0, 0, 0, 7, 7]] {
            one.send_all(bytes, &[]).expect("sent");
            assert!(matches!(other.receive_long(LIMIT), Err(ChannelError::Malformed)), "{bytes:?}");
        }
        one.send_all(&[9, 0, 0, 0, 7], &[]).expect("sent");
        drop(one);
        assert_eq!(other.receive_long(LIMIT).expect("the end"), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (one, other) = pair();
        assert!(matches!(one.send(&"x".repeat(LIMIT)), Err(ChannelError::Malformed)));
        let long = postcard::to_stdvec(&"x".repeat(LIMIT)).expect("encoded");
        let short = postcard::to_stdvec("cut").expect("encoded");
        for bytes in [long.as_slice(), &short[..2], &[short.as_slice(), b"more"].concat()] {
            send(one.0.as_raw_fd(), bytes, MsgFlags::empty()).expect("sent");
            assert!(
                matches!(other.receive::<String>(), Err(ChannelError::Malformed)),
                "{} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn what_was_sent_before_the_end_is_received_after_a_reset() {
        let (one, other) = pair();
        other.send(&"unread").expect("sent");
        one.send(&"last").expect("sent");
        drop(one);
        assert_eq!(other.receive::<String>().expect("received").as_deref(), Some("last"));
        assert!(other.receive::<String>().expect("the end").is_none());
    }
}
