//! What of the network can be reached. Nothing is sent: a UDP connect only asks for a route, and port 1 of
//! nothing answers on the loopback interface.

use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use serde::Serialize;

use super::attempt::{Attempt, attempt};
use crate::host::read;

/// The network from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Network {
    /// Interfaces that `/proc` shows; `null` where it shows none of the network.
    pub interfaces: Option<Vec<String>>,
    /// Abstract unix sockets that are there; `null` where `/proc` does not tell.
    pub abstract_sockets: Option<usize>,
    /// Kinds of sockets, and whether one can be made.
    pub sockets: Vec<Attempt>,
    /// Where one could connect to.
    pub reach: Vec<Attempt>,
}

impl Network {
    pub(super) fn look() -> Self {
        let interfaces = read::text("/proc/self/net/dev").map(|text| {
            text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
        });
        let abstract_sockets = read::text("/proc/self/net/unix").map(|text| {
            text.lines()
                .filter(|line| line.split_whitespace().nth(7).is_some_and(|path| path.starts_with('@')))
                .count()
        });
        Self { interfaces, abstract_sockets, sockets: sockets(), reach: reach() }
    }
}

fn sockets() -> Vec<Attempt> {
    let raw = |name, family: i32, kind: i32, protocol: i32| {
        attempt(name, &[], move || {
            // SAFETY: takes numbers; the descriptor ends with the child.
            Errno::result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }).map(drop)
        })
    };
    vec![
        raw("unix", libc::AF_UNIX, libc::SOCK_STREAM, 0),
        raw("inet-tcp", libc::AF_INET, libc::SOCK_STREAM, 0),
        raw("inet-udp", libc::AF_INET, libc::SOCK_DGRAM, 0),
        raw("inet-mptcp", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
        raw("inet-icmp", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        raw("inet-raw", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        raw("inet6-tcp", libc::AF_INET6, libc::SOCK_STREAM, 0),
        raw("inet6-udp", libc::AF_INET6, libc::SOCK_DGRAM, 0),
        raw("netlink-route", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
        raw("netlink-audit", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
        // Without a protocol no packet reaches it.
        raw("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
        raw("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        raw("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ]
}

fn reach() -> Vec<Attempt> {
    let refused = &[Errno::ECONNREFUSED];
    let route = |address: &'static str, own: &'static str| {
        attempt(format!("route to {address}"), &[], move || {
            let socket = UdpSocket::bind((own, 0)).map_err(errno)?;
            socket.connect((address, 9)).map_err(errno)
        })
    };
    vec![
        attempt("tcp 127.0.0.1:1", refused, || TcpStream::connect("127.0.0.1:1").map(drop).map_err(errno)),
        route("192.0.2.1", "0.0.0.0"),
        route("169.254.169.254", "0.0.0.0"),
        route("2001:db8::1", "::"),
        attempt("listen on an abstract socket", &[], || {
            let address = UnixAddr::new_abstract(format!("belljar-probe-{}", std::process::id()).as_bytes())?;
            let server = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            bind(server.as_raw_fd(), &address)?;
            listen(&server, Backlog::new(1)?)?;
            let client = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            connect(client.as_raw_fd(), &address)
        }),
        unix("/run/dbus/system_bus_socket"),
        unix("/run/docker.sock"),
        unix("/run/systemd/private"),
        unix("/tmp/.X11-unix/X0"),
    ]
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Connects and says nothing.
fn unix(path: &'static str) -> Attempt {
    attempt(format!("connect {path}"), &[], || {
        let client = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        connect(client.as_raw_fd(), &UnixAddr::new(path)?)
    })
}
