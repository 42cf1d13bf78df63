//! An unprivileged host id that no other sandbox has at the same time.
//!
//! The kernel keeps the claim: a socket is bound to an abstract address that names the id, and the claim ends with the last
//! copy of the socket, however the process ends. There is no file to leave behind.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

const ATTEMPTS: u32 = 64;

/// A claimed id, for both user and group.
#[derive(Debug)]
pub(super) struct HostId {
    id: u32,
    _claim: OwnedFd,
}

impl HostId {
    /// Claims a random id of a range, `Facts::spare_ids`.
    pub(super) fn claim((first, end): (u32, u32)) -> Result<Self, Errno> {
        for _ in 0..ATTEMPTS {
            let id = first + random()?.checked_rem(end - first).ok_or(Errno::ERANGE)?;
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

    #[test]
    fn claims_are_distinct_and_in_range() {
        let claims: Vec<HostId> = (0..100).map(|_| HostId::claim(RANGE).expect("an id")).collect();
        let mut ids: Vec<u32> = claims.iter().map(HostId::id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), claims.len());
        assert!(ids.iter().all(|id| (RANGE.0..RANGE.1).contains(id)));
    }
}
