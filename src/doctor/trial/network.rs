//! The loopback interface of a new network namespace.

use std::mem::zeroed;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::namespaces::enter;
use super::{At, Step, Trial};
use crate::profile::Namespace;

pub(super) fn loopback() -> Trial {
    enter(Namespace::Network)?;
    up().at(Step::Loopback, "ioctl(SIOCSIFFLAGS)", "lo")?;
    let server = TcpListener::bind("127.0.0.1:0").at(Step::Loopback, "bind", "127.0.0.1")?;
    let address = server.local_addr().at(Step::Loopback, "getsockname", "127.0.0.1")?;
    let _client = TcpStream::connect(address).at(Step::Loopback, "connect", "127.0.0.1")?;
    Ok("127.0.0.1 answers".to_owned())
}

/// The kernel gives the interface its addresses as it comes up (netdevice(7)).
fn up() -> Result<(), Errno> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: all zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: an open socket and a structure that lives through the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
}
