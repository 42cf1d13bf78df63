//! Mounts that the caller has opened for init, in its own user namespace.

use std::os::fd::OwnedFd;

use super::context::gone;
use crate::protocol::{Channel, Fault, Trees};

/// The trees that the caller hands over, while the root is being built.
#[derive(Debug, Default)]
pub(super) struct CallersTrees(std::vec::IntoIter<OwnedFd>);

impl CallersTrees {
    /// The next one, in the Plan's order; waits for it.
    pub(super) fn next(&mut self, channel: &Channel) -> Result<OwnedFd, Fault> {
        loop {
            if let Some(tree) = self.0.next() {
                return Ok(tree);
            }
            match channel.receive_with() {
                Ok(Some((Trees { count }, more)))
                    if !more.is_empty() && usize::try_from(count) == Ok(more.len()) =>
                {
                    self.0 = more.into_iter();
                }
                Ok(None) => return Err(gone()),
                Ok(Some(_)) | Err(_) => return Err(Fault::Protocol { what: "trees".to_owned() }),
            }
        }
    }
}
