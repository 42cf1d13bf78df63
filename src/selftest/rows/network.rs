//! The network (N).

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::time::Duration;

use super::kernel::probe;
use crate::selftest::answer::{call, errno_of};
use crate::selftest::row::NO_FILTER;
use crate::selftest::{Answer, Claim, Removal, Row, Scene, SelfTestError, Setup};

/// The host's network, and what of the filter stands before it.
const HOST_NETWORK: Removal = Removal::Set(&["namespaces=-network"]);
const HOST_NETWORK_NO_FILTER: Removal = Removal::Set(&["namespaces=-network", "seccomp.mode=off"]);

const STRICT: Claim = Claim {
    profiles: &["strict", "nested"],
    walls: &["namespaces: network", "seccomp"],
    removal: HOST_NETWORK_NO_FILTER,
};
const BROAD: Claim = Claim {
    profiles: &["standard", "build", "container"],
    walls: &["namespaces: network"],
    removal: HOST_NETWORK,
};

/// The Internet protocols that a profile with sockets has. In *lite*, Landlock knows none of them but TCP's
/// connect.
const INTERNET: &[Claim] =
    &[STRICT, BROAD, Claim { profiles: &["lite"], walls: &["seccomp: @socket-pair"], removal: NO_FILTER }];

/// Those that the filter allows no profile: the network profile does not claim the host's loopback.
const OTHERS: &[Claim] = &[
    Claim {
        profiles: &["strict", "nested", "standard", "build", "container"],
        walls: &["namespaces: network", "seccomp"],
        removal: HOST_NETWORK_NO_FILTER,
    },
    Claim { profiles: &["network", "lite"], walls: &["seccomp"], removal: NO_FILTER },
];

pub(super) const ROWS: &[Row] = &[
    probe(
        "N1",
        "an abstract unix socket of the host's",
        "CVE-2020-15257",
        |scene| {
            let connected = UnixAddr::from_abstract_name(scene.text("name"))
                .and_then(|address| UnixStream::connect_addr(&address));
            Answer::of("connect(an abstract name)", connected.map(drop).map_err(|error| errno_of(&error)))
        },
        abstract_listener,
        &[
            Claim {
                profiles: &["strict", "nested", "standard", "build", "container"],
                walls: &["namespaces: network", "landlock.scopes"],
                removal: Removal::Edit(|profile, _| {
                    profile.namespaces.remove(&crate::profile::Namespace::Network);
                    profile.landlock.require = false;
                    profile.landlock.scopes.clear();
                    Ok(())
                }),
            },
            Claim {
                profiles: &["network"],
                walls: &["landlock.scopes: abstract-unix-socket"],
                removal: super::kernel::NO_LANDLOCK,
            },
            Claim {
                profiles: &["lite"],
                walls: &["seccomp: @socket-pair", "landlock.scopes: abstract-unix-socket"],
                removal: super::kernel::NO_FILTER_NO_LANDLOCK,
            },
        ],
    ),
    probe(
        "N2a",
        "a server on the host's loopback",
        "nsjail's map_gw; databases and debuggers without a password",
        |scene| {
            let Some(address) = address(scene) else { return Answer::na("no address") };
            let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
            Answer::of("connect(127.0.0.1)", connected.map(drop).map_err(|error| errno_of(&error)))
        },
        tcp_listener,
        &[
            STRICT,
            BROAD,
            Claim {
                profiles: &["lite"],
                walls: &["seccomp: @socket-pair", "landlock: TCP"],
                removal: super::kernel::NO_FILTER_NO_LANDLOCK,
            },
        ],
    ),
    probe(
        "N2b",
        "a way to the cloud's metadata service and to other networks",
        "169.254.169.254",
        |_| {
            // Connecting a datagram socket only asks for a route.
            Answer::any(["169.254.169.254:80", "192.0.2.1:80", "[2001:db8::1]:80"].map(|to| {
                let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
                let connected = UdpSocket::bind(any).and_then(|socket| socket.connect(to));
                Answer::of(format!("a route to {to}"), connected.map_err(|error| errno_of(&error)))
            }))
        },
        crate::selftest::row::nothing,
        INTERNET,
    ),
    probe(
        "N3a",
        "datagrams to the host, which Landlock does not know",
        "landlock(7)",
        |scene| {
            let Some(address) = address(scene) else { return Answer::na("no address") };
            let sent = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", address));
            Answer::of("sendto(127.0.0.1, UDP)", sent.map(drop).map_err(|error| errno_of(&error)))
        },
        udp_listener,
        INTERNET,
    ),
    probe(
        "N3b",
        "a connection by TCP Fast Open, without connect",
        "tcp(7), MSG_FASTOPEN",
        |scene| {
            let Some(address) = address(scene) else { return Answer::na("no address") };
            let name = sockaddr(address);
            let sent = call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)
                .and_then(|fd| {
                    let (data, size) = (c"x".as_ptr(), size_of_val(&name));
                    call!(libc::SYS_sendto, fd, data, 1_usize, libc::MSG_FASTOPEN, &raw const name, size)
                });
            Answer::of("sendto(127.0.0.1, MSG_FASTOPEN)", sent.map(drop))
        },
        tcp_listener,
        INTERNET,
    ),
    probe(
        "N3c",
        "a connection by MPTCP, which a rule about TCP misses",
        "landlock(7), landrun",
        |scene| {
            let Some(address) = address(scene) else { return Answer::na("no address") };
            let name = sockaddr(address);
            // IPPROTO_MPTCP
            let connected =
                call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 262)
                    .and_then(|fd| call!(libc::SYS_connect, fd, &raw const name, size_of_val(&name)));
            Answer::of("connect(127.0.0.1, MPTCP)", connected.map(drop))
        },
        tcp_listener,
        OTHERS,
    ),
    Row::tests(
        "N6",
        "a network namespace that two sandboxes share",
        "network_namespaces(7)",
        &["tests/escape/network.rs: two_sandboxes_do_not_share_a_loopback"],
    ),
    Row::open("N4", "names that a proxy and its list read differently", "CVE-2025-66479", NO_PROXY),
    Row::open("N5", "secrets in the names that are resolved", "RFC 1035", NO_PROXY),
    Row::open("N7", "programs that ignore HTTP_PROXY", "curl(1), ENVIRONMENT", NO_PROXY),
];

const NO_PROXY: &str = "belljar has no proxy: a sandbox has the host's network, or none";

fn address(scene: &Scene) -> Option<SocketAddr> {
    scene.text("address").parse().ok()
}

/// As the kernel takes it; only IPv4, which is what the listeners have.
fn sockaddr(address: SocketAddr) -> libc::sockaddr_in {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) => u32::from(ip),
        std::net::IpAddr::V6(_) => 0,
    };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: ip.to_be() },
        sin_zero: [0; 8],
    }
}

fn abstract_listener(setup: &mut Setup) -> Result<(), SelfTestError> {
    let name = format!("belljar-selftest-{}-{}", std::process::id(), setup.run.name());
    let listener = UnixAddr::from_abstract_name(&name)
        .and_then(|address| UnixListener::bind_addr(&address))
        .map_err(SelfTestError::setup("listen on an abstract unix socket"))?;
    setup.keep(listener);
    setup.value("name", name);
    Ok(())
}

fn tcp_listener(setup: &mut Setup) -> Result<(), SelfTestError> {
    let listener =
        TcpListener::bind("127.0.0.1:0").map_err(SelfTestError::setup("listen on the host's loopback"))?;
    let address = listener.local_addr().map_err(SelfTestError::setup("listen on the host's loopback"))?;
    setup.value("address", address);
    setup.keep(listener);
    Ok(())
}

/// The datagram that arrives is what counts.
fn udp_listener(setup: &mut Setup) -> Result<(), SelfTestError> {
    let fail = || SelfTestError::setup("listen on the host's loopback");
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(fail())?;
    socket.set_nonblocking(true).map_err(fail())?;
    setup.value("address", socket.local_addr().map_err(fail())?);
    setup.effect(move || socket.recv(&mut [0; 8]).ok().map(|_| "the datagram arrived".to_owned()));
    Ok(())
}
