//! The namespaces that are made new are not the caller's.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, readlinkat};
use nix::sys::stat::Mode;

use super::bootstrap::Bootstrap;
use crate::plan::Namespaces;
use crate::protocol::Fault;

/// Names under `/proc/self/ns` and their `CLONE_NEW*` flags.
pub(crate) const ALL: [(&str, libc::c_int); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("net", libc::CLONE_NEWNET),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", 0x80),
];

const DIRECTORY: &str = "/proc/self/ns";

/// The inode numbers of the calling process's namespaces, by name.
pub(crate) fn own(namespaces: Namespaces) -> Result<Vec<(String, u64)>, (String, Errno)> {
    if namespaces.is_lite() {
        return Ok(Vec::new());
    }
    numbers(ALL.iter().filter(|(_, flag)| namespaces.has_new(*flag)).map(|(name, _)| *name))
}

/// The numbers of those with these names.
fn numbers<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<(String, u64)>, (String, Errno)> {
    // The way into procfs is the dearest part of it, and is gone once.
    let directory = open(DIRECTORY, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| (DIRECTORY.to_owned(), errno))?;
    let mut found = Vec::new();
    for name in names {
        // Its text is its number (namespaces(7)): to follow it would make an inode of it first.
        let link = readlinkat(&directory, name).map_err(|errno| (format!("{DIRECTORY}/{name}"), errno))?;
        let number = link
            .to_str()
            .and_then(|link| link.strip_prefix(name)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok());
        found.push((name.to_owned(), number.ok_or_else(|| (format!("{DIRECTORY}/{name}"), Errno::EPROTO))?));
    }
    Ok(found)
}

/// Compares with the caller's.
pub(super) fn differ(bootstrap: &mut Bootstrap) -> Result<(), Fault> {
    let own = own(bootstrap.prelude.namespaces)
        .map_err(|(path, errno)| Fault::system("stat", path.as_bytes(), errno))?;
    for (name, inode) in own {
        let callers = bootstrap.prelude.callers.iter().find(|(other, _)| *other == name);
        match callers {
            Some((_, other)) if *other != inode => bootstrap.readback.namespaces.push(name),
            Some(_) => return Err(Fault::mismatch(&format!("{name} namespace"), "new", "the caller's")),
            None => return Err(Fault::Protocol { what: format!("no {name} namespace to compare with") }),
        }
    }
    joined(&bootstrap.prelude.joined)
}

/// Those that were joined are the ones that the caller opened.
fn joined(expected: &[(String, u64)]) -> Result<(), Fault> {
    if expected.is_empty() {
        return Ok(());
    }
    let found = numbers(expected.iter().map(|(name, _)| name.as_str()))
        .map_err(|(path, errno)| Fault::system("readlinkat", path.as_bytes(), errno))?;
    match expected.iter().zip(&found).find(|(expected, found)| expected != found) {
        None => Ok(()),
        Some(((name, expected), (_, found))) => {
            Err(Fault::mismatch(&format!("the {name} namespace that was joined"), expected, found))
        }
    }
}
