//! Who the process is, and what it is held by.

use std::collections::BTreeMap;

use nix::unistd::{getgroups, getresgid, getresuid};
use serde::Serialize;

use crate::capability::CapabilitySet;
use crate::host::namespace;
use crate::host::read;

/// Ids of the process. A reading that could not be had is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Identity {
    /// Real, effective and saved user id.
    pub uid: Option<[u32; 3]>,
    /// Real, effective and saved group id.
    pub gid: Option<[u32; 3]>,
    /// Supplementary groups.
    pub groups: Option<Vec<u32>>,
    /// `/proc/self/uid_map`, its lines with single spaces.
    pub uid_map: Option<Vec<String>>,
    /// `/proc/self/gid_map`.
    pub gid_map: Option<Vec<String>>,
    /// `/proc/self/setgroups`.
    pub setgroups: Option<String>,
}

/// What holds the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hardening {
    /// The five capability sets, by name.
    pub capabilities: Option<BTreeMap<String, Vec<String>>>,
    /// Bits of `PR_GET_SECUREBITS`.
    pub securebits: Option<u32>,
    /// `NoNewPrivs`.
    pub no_new_privs: Option<bool>,
    /// `Seccomp`: 0 off, 2 a filter.
    pub seccomp: Option<u32>,
    /// How many filters.
    pub seccomp_filters: Option<u32>,
    /// Landlock.
    pub landlock: super::landlock::Landlock,
    /// The file mode creation mask.
    pub umask: Option<String>,
    /// Whether other processes of the same user may look into this one.
    pub dumpable: Option<bool>,
    /// Inode numbers of the namespaces, as `/proc/self/ns` shows them.
    pub namespaces: BTreeMap<&'static str, Option<u64>>,
}

impl Identity {
    pub(super) fn look() -> Self {
        let map = |file| {
            let text = read::text(format!("/proc/self/{file}"))?;
            Some(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
        };
        Self {
            uid: getresuid().ok().map(|ids| [ids.real.as_raw(), ids.effective.as_raw(), ids.saved.as_raw()]),
            gid: getresgid().ok().map(|ids| [ids.real.as_raw(), ids.effective.as_raw(), ids.saved.as_raw()]),
            groups: getgroups().ok().map(|groups| groups.into_iter().map(nix::unistd::Gid::as_raw).collect()),
            uid_map: map("uid_map"),
            gid_map: map("gid_map"),
            setgroups: read::text("/proc/self/setgroups"),
        }
    }
}

impl Hardening {
    pub(super) fn look() -> Self {
        let status = read::text("/proc/self/status");
        let field = |key| status.as_deref().and_then(|status| read::field(status, key));
        let number = |key| field(key).and_then(|value| value.parse::<u32>().ok());
        let sets = [
            ("inheritable", "CapInh"),
            ("permitted", "CapPrm"),
            ("effective", "CapEff"),
            ("bounding", "CapBnd"),
            ("ambient", "CapAmb"),
        ];
        let capabilities = sets
            .into_iter()
            .map(|(name, key)| {
                let set = CapabilitySet::from_hexadecimal(field(key)?)?;
                Some((name.to_owned(), set.names().collect()))
            })
            .collect();
        Self {
            capabilities,
            securebits: prctl(libc::PR_GET_SECUREBITS),
            no_new_privs: number("NoNewPrivs").map(|set| set == 1),
            seccomp: number("Seccomp"),
            seccomp_filters: number("Seccomp_filters"),
            landlock: super::landlock::Landlock::look(),
            umask: field("Umask").map(str::to_owned),
            dumpable: prctl(libc::PR_GET_DUMPABLE).map(|state| state == 1),
            namespaces: namespace::ALL
                .into_iter()
                .map(|namespace| {
                    let name = namespace::kernel_name(namespace);
                    (name, inode(name))
                })
                .collect(),
        }
    }
}

/// A state that prctl(2) returns as its result.
fn prctl(option: libc::c_int) -> Option<u32> {
    // SAFETY: only used with options that take no further argument.
    u32::try_from(unsafe { libc::prctl(option, 0, 0, 0, 0) }).ok()
}

/// The number in `user:[4026531837]`.
fn inode(name: &str) -> Option<u64> {
    let link = std::fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
    link.to_str()?.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}
