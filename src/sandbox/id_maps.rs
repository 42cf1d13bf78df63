//! The id maps of a new user namespace, written by the caller (user_namespaces(7)).

use std::fs::OpenOptions;
use std::io::Write;

use nix::errno::Errno;

use super::error::{Error, Step};

/// One id inside, one outside, for users and for groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdMaps {
    pub(super) inside: (u32, u32),
    pub(super) outside: (u32, u32),
    /// An unprivileged caller must give up setgroups(2) inside before it may map a group (CVE-2014-8989).
    pub(super) deny_setgroups: bool,
}

impl IdMaps {
    /// Writes them for a child of ours that has not been waited for: its number is its own.
    pub(super) fn write(&self, pid: i32) -> Result<(), Error> {
        if self.deny_setgroups {
            write(&format!("/proc/{pid}/setgroups"), "deny")?;
        }
        write(&format!("/proc/{pid}/gid_map"), &format!("{} {} 1\n", self.inside.1, self.outside.1))?;
        write(&format!("/proc/{pid}/uid_map"), &format!("{} {} 1\n", self.inside.0, self.outside.0))
    }
}

fn write(path: &str, text: &str) -> Result<(), Error> {
    let failed = |call| {
        move |error: std::io::Error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            Error::prepare(Step::IdMaps, call, path)(errno)
        }
    };
    let mut file = OpenOptions::new().write(true).open(path).map_err(failed("open"))?;
    // The kernel takes a map in one write or not at all.
    match file.write(text.as_bytes()) {
        Ok(count) if count == text.len() => Ok(()),
        Ok(_) => Err(Error::prepare(Step::IdMaps, "write", path)(Errno::EIO)),
        Err(error) => Err(failed("write")(error)),
    }
}
