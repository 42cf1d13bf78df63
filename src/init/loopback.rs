//! The loopback interface of a new network namespace.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::bootstrap::Bootstrap;
use crate::protocol::Fault;

/// Brings `lo` up (netdevice(7)).
pub(super) fn up(bootstrap: &mut Bootstrap) -> Result<(), Fault> {
    bring_up(bootstrap.prelude.loopback)
}

/// The same, in the network namespace that this process is in.
pub(super) fn bring_up(wanted: bool) -> Result<(), Fault> {
    if !wanted {
        return Ok(());
    }
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(Fault::on("socket", b"AF_INET"))?;
    // SAFETY: ifreq is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives through the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
        .map_err(Fault::on("ioctl", b"SIOCSIFFLAGS lo"))
}
