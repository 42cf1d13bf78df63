//! A sequenced-packet socket with one message a datagram.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LIMIT;

/// The most descriptors that come with a message.
pub(crate) const MAX_SENT: usize = 16;

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

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends one message.
    pub(crate) fn send<T: Serialize>(&self, message: &T) -> Result<(), ChannelError> {
        self.send_with(message, &[])
    }

    /// Sends one message, and at most [`MAX_SENT`] descriptors with it.
    pub(crate) fn send_with<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &rights };
        let bytes = postcard::to_stdvec(message).map_err(|_| ChannelError::Malformed)?;
        if bytes.len() > LIMIT {
            return Err(ChannelError::Malformed);
        }
        loop {
            let sent = socket::sendmsg::<()>(
                self.0.as_raw_fd(),
                &[IoSlice::new(&bytes)],
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
        let mut buffer = vec![0u8; LIMIT];
        let (count, flags) = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            match socket::recvmsg::<()>(self.0.as_raw_fd(), &mut parts, None, MsgFlags::MSG_CMSG_CLOEXEC) {
                Ok(message) => break (message.bytes, message.flags),
                // ECONNRESET is told once when the other side went away with messages of ours unread; what it had sent
                // before, or the end, comes with the next call.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        message(&buffer, count, flags)
    }

    /// In init, whose caller is trusted: one message with the descriptors that came with it; `None` once the other side is gone.
    pub(crate) fn receive_with<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        let mut buffer = vec![0u8; LIMIT];
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
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        if flags.contains(MsgFlags::MSG_CTRUNC) {
            return Err(ChannelError::Malformed);
        }
        Ok(message(&buffer, count, flags)?.map(|message| (message, descriptors)))
    }
}

/// What was received; nothing is the end of the other side.
fn message<T: DeserializeOwned>(
    buffer: &[u8],
    count: usize,
    flags: MsgFlags,
) -> Result<Option<T>, ChannelError> {
    if count == 0 {
        return Ok(None);
    }
    if flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(ChannelError::Malformed);
    }
    let bytes = buffer.get(..count).ok_or(ChannelError::Malformed)?;
    decode(bytes).map(Some)
}

/// A message from the bytes of one datagram.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ChannelError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(ChannelError::Malformed),
    }
}
