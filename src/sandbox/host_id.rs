//! An unprivileged host id, or a block of them, that no other sandbox has at the same time.
//!
//! The kernel keeps the claim: a socket is bound to an abstract address that names the id or the first of the
//! block, and the claim ends with the last copy of the socket, however the process ends. There is no file to
//! leave behind.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use crate::plan::{BLOCK, HostIdentity, PartialPlan};

const ATTEMPTS: u32 = 64;

/// A claimed id, or the first of a claimed block, for both users and groups.
#[derive(Debug)]
pub(super) struct HostId {
    id: u32,
    _claim: OwnedFd,
}

impl HostId {
    /// Claims what a sandbox is to have on the host, if that is chosen at each start.
    pub(super) fn of(partial: &mut PartialPlan<'_>) -> Result<Option<Self>, Errno> {
        // The plan has refused a caller that has none.
        let claimed = match partial.identity.host {
            HostIdentity::Unique => Self::claim(partial.spare_ids().ok_or(Errno::EINVAL)?, 1)?,
            HostIdentity::UniqueRange => Self::claim(partial.spare_blocks().ok_or(Errno::EINVAL)?, BLOCK)?,
            HostIdentity::Own { .. } | HostIdentity::Ranges(_) => return Ok(None),
        };
        partial.becomes(claimed.id);
        Ok(Some(claimed))
    }

    /// Claims a random block of `count` ids in a range that holds such blocks alone.
    fn claim((first, end): (u32, u32), count: u32) -> Result<Self, Errno> {
        let blocks = end.saturating_sub(first).checked_div(count).ok_or(Errno::ERANGE)?;
        for _ in 0..ATTEMPTS {
            let id = first + random()?.checked_rem(blocks).ok_or(Errno::ERANGE)? * count;
            let claim = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
            let address = UnixAddr::new_abstract(format!("belljar/id/{id}").as_bytes())?;
            match bind(claim.as_raw_fd(), &address) {
                Ok(()) => return Ok(Self { id, _claim: claim }),
                Err(Errno::EADDRINUSE) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// The id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }
}

fn random() -> Result<u32, Errno> {
    let mut bytes = [0u8; 4];
    // SAFETY: the buffer is writable and its length is given.
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if read == 4 { Ok(u32::from_ne_bytes(bytes)) } else { Err(Errno::last()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: (u32, u32) = (61_184, 65_520);
    const BLOCKS: (u32, u32) = (0x7800_0000, 0x7ffe_0000);

    #[test]
    fn claims_are_distinct_and_in_range() {
        let claims: Vec<HostId> = (0..100).map(|_| HostId::claim(RANGE, 1).expect("an id")).collect();
        let mut ids: Vec<u32> = claims.iter().map(HostId::id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), claims.len());
        assert!(ids.iter().all(|id| (RANGE.0..RANGE.1).contains(id)));
    }

    #[test]
    fn blocks_do_not_overlap_and_are_in_range() {
        let claims: Vec<HostId> = (0..50).map(|_| HostId::claim(BLOCKS, BLOCK).expect("a block")).collect();
        let mut firsts: Vec<u32> = claims.iter().map(HostId::id).collect();
        firsts.sort_unstable();
        assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] >= BLOCK));
        assert!(firsts.iter().all(|first| BLOCKS.0 <= *first && first + BLOCK <= BLOCKS.1));
    }
}
