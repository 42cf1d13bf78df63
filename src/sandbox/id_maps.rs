//! The id maps of a new user namespace, written by the caller (user_namespaces(7)).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::error::{Error, Step};
use crate::sys;

/// One id inside, one outside, for users and for groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdMaps {
    pub(super) inside: (u32, u32),
    pub(super) outside: (u32, u32),
    /// An unprivileged caller must give up setgroups(2) inside before it may map a group (CVE-2014-8989).
    pub(super) deny_setgroups: bool,
}

impl IdMaps {
    /// Writes them for a child of ours that has not been waited for. By the number that `/proc` has for it: where that is of another
    /// pid namespace, ours is somebody else's there.
    pub(super) fn write(&self, pidfd: BorrowedFd<'_>) -> Result<(), Error> {
        let pid = sys::process::number_in_proc(pidfd).map_err(Error::prepare(
            Step::Proc,
            "read",
            "/proc/self/fdinfo",
        ))?;
        self.files().iter().try_for_each(|(file, text)| write(&format!("/proc/{pid}/{file}"), text))
    }

    /// What is written, in this order: the groups' map is refused to an unprivileged caller until setgroups(2) is given up.
    fn files(&self) -> Vec<(&'static str, String)> {
        let deny = self.deny_setgroups.then(|| ("setgroups", "deny".to_owned()));
        let map = |inside: u32, outside: u32| format!("{inside} {outside} 1\n");
        let maps = [
            ("gid_map", map(self.inside.1, self.outside.1)),
            ("uid_map", map(self.inside.0, self.outside.0)),
        ];
        deny.into_iter().chain(maps).collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a map makes of an id inside, as user_namespaces(7) has it: `inside outside count` a line.
    fn outside(map: &str, id: u32) -> Option<u32> {
        map.lines().find_map(|line| {
            let numbers: Vec<u32> = line.split(' ').map(|n| n.parse().expect("a number")).collect();
            let [first, host, count] = numbers[..] else { panic!("{line:?}") };
            let at = id.checked_sub(first).filter(|at| *at < count)?;
            host.checked_add(at)
        })
    }

    proptest! {
        #[test]
        fn one_id_of_each_kind_is_mapped_and_no_other(
            inside: (u32, u32), host: (u32, u32), deny_setgroups: bool, other: u32,
        ) {
            let files = IdMaps { inside, outside: host, deny_setgroups }.files();
            let text = |name| files.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_str());
            let (uids, gids) = (text("uid_map").expect("a map"), text("gid_map").expect("a map"));
            prop_assert_eq!((outside(uids, inside.0), outside(gids, inside.1)), (Some(host.0), Some(host.1)));
            prop_assert_eq!(outside(uids, other).is_some(), other == inside.0);
            prop_assert_eq!(outside(gids, other).is_some(), other == inside.1);
            // CVE-2014-8989: before the groups' map, or the kernel refuses it.
            prop_assert_eq!(text("setgroups"), deny_setgroups.then_some("deny"));
            prop_assert!(!deny_setgroups || files[0].0 == "setgroups");
        }
    }
}
