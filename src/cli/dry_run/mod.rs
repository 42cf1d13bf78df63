//! `--dry-run`: the plan as text, and as JSON.

mod json;
mod person;

use std::ffi::CString;

use crate::plan::RLIMITS;
use crate::plan::show::text::escaped;

/// `CLONE_NEW*` by their OCI names, in the order in which people list them.
const NAMESPACES: [(u64, &str); 8] = [
    (libc::CLONE_NEWUSER as u64, "user"),
    (libc::CLONE_NEWNS as u64, "mount"),
    (libc::CLONE_NEWPID as u64, "pid"),
    (libc::CLONE_NEWIPC as u64, "ipc"),
    (libc::CLONE_NEWUTS as u64, "uts"),
    (libc::CLONE_NEWNET as u64, "network"),
    (libc::CLONE_NEWCGROUP as u64, "cgroup"),
    (libc::CLONE_NEWTIME as u64, "time"),
];

fn namespaces(flags: u64) -> Vec<&'static str> {
    NAMESPACES.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect()
}

fn rlimit(resource: u32) -> &'static str {
    RLIMITS.get(resource as usize).copied().unwrap_or("?")
}

fn scopes(mask: u64) -> Vec<&'static str> {
    use crate::plan::paths::landlock::access::{ABSTRACT_UNIX_SOCKET, SIGNAL};
    let names = [(ABSTRACT_UNIX_SOCKET, "abstract-unix-socket"), (SIGNAL, "signal")];
    names.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name).collect()
}

fn network_rights(mask: u64) -> Vec<&'static str> {
    use crate::plan::paths::landlock::access::{BIND_TCP, CONNECT_TCP};
    let names = [(BIND_TCP, "bind_tcp"), (CONNECT_TCP, "connect_tcp")];
    names.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name).collect()
}

/// A string of the plan, without loss: see [`escaped`].
fn text(value: &CString) -> String {
    escaped(value.as_bytes())
}
