//! Socket families and protocols (K20, K32).

use nix::errno::Errno;

use super::probe;
use crate::selftest::answer::call;
use crate::selftest::row::nothing;
use crate::selftest::{Answer, Claim, Removal, Row, Scene};

pub(super) const ROWS: &[Row] = &[
    probe(
        "K20a",
        "socket families but unix, Internet, netlink, packet and XDP: vsock, alg, …",
        "socket(2), vsock(7)",
        families,
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K20d",
        "packet and XDP sockets",
        "packet(7), CVE-2020-14386",
        |_| any_socket(RAW.map(|family| (family, libc::SOCK_RAW, 0)).into_iter()),
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "standard", "build"],
            walls: &["seccomp", "no CAP_NET_RAW"],
            removal: Removal::Set(&["seccomp.mode=off", "process.capabilities=+CAP_NET_RAW"]),
        }],
    ),
    probe(
        "K20b",
        "netlink protocols but routes: audit, netfilter, uevents, …",
        "netlink(7), CVE-2024-1086",
        |_| {
            let protocols = (1..32).map(|protocol| (libc::AF_NETLINK, libc::SOCK_RAW, protocol));
            any_socket(protocols)
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K20c",
        "Internet protocols but TCP, UDP and ICMP: SCTP, MPTCP, DCCP, raw",
        "socket(2), CVE-2021-23133",
        |_| {
            let protocols =
                [(libc::SOCK_STREAM, 132), (libc::SOCK_STREAM, 262), (6, 33), (libc::SOCK_RAW, 255)];
            any_socket(protocols.into_iter().map(|(kind, protocol)| (libc::AF_INET, kind, protocol)))
        },
        nothing,
        &[super::FILTER],
    ),
    probe(
        "K20e",
        "a packet socket by its type: SOCK_PACKET of AF_INET",
        "packet(7)",
        |_| any_socket([(libc::AF_INET, SOCK_PACKET, 0)].into_iter()),
        nothing,
        &[Claim { profiles: &["container"], walls: &["seccomp: @socket-inet"], removal: super::NO_FILTER }],
    ),
    probe(
        "K20f",
        "datagrams of a socket pair to any unix socket's address",
        "unix(7)",
        |_| {
            let mut pair = [0_i32; 2];
            let made = call!(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_DGRAM, 0, pair.as_mut_ptr());
            Answer::of("socketpair(AF_UNIX, SOCK_DGRAM)", made.map(drop))
        },
        nothing,
        &[Claim { profiles: &["lite"], walls: &["seccomp: @socket-pair"], removal: super::NO_FILTER }],
    ),
    probe(
        "K32",
        "out-of-band data on unix sockets",
        "CVE-2025-38236",
        |_| {
            let mut pair = [0_i32; 2];
            let send = call!(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr())
                .and_then(|_| {
                    call!(libc::SYS_sendto, pair[0], c"x".as_ptr(), 1_usize, libc::MSG_OOB, super::NULL, 0)
                });
            Answer::of("sendto(socketpair, MSG_OOB)", send.map(drop))
        },
        nothing,
        &[Claim {
            profiles: &["strict", "nested", "lite"],
            walls: &["seccomp: @send-no-oob"],
            removal: super::NO_FILTER,
        }],
    ),
];

/// Obsolete, and not in all C libraries.
const SOCK_PACKET: i32 = 10;

/// Families that ask for a capability, too.
const RAW: [i32; 2] = [libc::AF_PACKET, libc::AF_XDP];

/// Every family but those that some profile has, of every type.
fn families(_: &Scene) -> Answer {
    const SOME_PROFILE_HAS: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let types = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
    let families = (0..=46).filter(|family| !SOME_PROFILE_HAS.contains(family) && !RAW.contains(family));
    any_socket(families.flat_map(|family| types.map(|kind| (family, kind, 0))))
}

/// Whether any of them can be made: family, type, protocol.
fn any_socket(all: impl Iterator<Item = (i32, i32, i32)>) -> Answer {
    let mut last = Errno::EAFNOSUPPORT;
    let mut tried = 0;
    for (family, kind, protocol) in all {
        tried += 1;
        match call!(libc::SYS_socket, family, kind, protocol) {
            Ok(_) => return Answer::allowed(format!("socket({family}, {kind}, {protocol})")),
            Err(errno) => last = errno,
        }
    }
    Answer::of(format!("socket, {tried} kinds"), Err(last))
}
