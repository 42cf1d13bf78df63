//! The id maps of a new user namespace, written by the caller (user_namespaces(7)).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::error::{Error, Step};
use super::newidmap;
use crate::plan::{HostIdentity, Identity, Ranges, RangesFrom, ranges};
use crate::profile::IdRange;
use crate::sys;

/// What users and groups are on the host.
#[derive(Debug, Clone)]
pub(super) struct IdMaps {
    users: Vec<IdRange>,
    groups: Vec<IdRange>,
    by: Writer,
}

/// Who may write the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// The caller, with the capabilities for it.
    Root,
    /// The caller, of its own ids alone. It must give up setgroups(2) inside before it may map a group
    /// (CVE-2014-8989).
    User,
    /// newuidmap(1) and newgidmap(1).
    Programs,
}

impl IdMaps {
    /// Those of a sandbox whose ids have been chosen.
    pub(super) fn of(identity: &Identity, claimed: Option<u32>) -> Self {
        let inside = (identity.uid, identity.gid);
        match &identity.host {
            &HostIdentity::Own { uid, gid } => Self::one(inside, (uid, gid), Writer::User),
            HostIdentity::Ranges(Ranges { users, groups, from }) => {
                let by = match from {
                    RangesFrom::Unique | RangesFrom::Profile => Writer::Root,
                    RangesFrom::Subordinate => Writer::Programs,
                };
                Self { users: users.clone(), groups: groups.clone(), by }
            }
            HostIdentity::Unique | HostIdentity::UniqueRange => {
                let id = claimed.unwrap_or(u32::MAX);
                Self::one(inside, (id, id), Writer::Root)
            }
        }
    }

    /// The same for files of one owner, as the task's.
    pub(super) fn of_owner(owner: (u32, u32), task: (u32, u32)) -> Self {
        Self::one(owner, task, Writer::Root)
    }

    fn one(inside: (u32, u32), outside: (u32, u32), by: Writer) -> Self {
        let range = |inside, outside| vec![IdRange { inside, outside, count: 1 }];
        Self { users: range(inside.0, outside.0), groups: range(inside.1, outside.1), by }
    }

    /// What the task's ids are on the host, where root gives it others than its own.
    pub(super) fn given_to(&self, identity: &Identity) -> Option<(u32, u32)> {
        if !identity.host.is_given() {
            return None;
        }
        Some((self.user(identity.uid)?, ranges::outside(&self.groups, identity.gid)?))
    }

    /// What a user is on the host.
    pub(super) fn user(&self, uid: u32) -> Option<u32> {
        ranges::outside(&self.users, uid)
    }

    /// Writes them for a child of ours that has not been waited for. By the number that `/proc` has for it:
    /// where that is of another pid namespace, ours is another process's there.
    pub(super) fn write(&self, pidfd: BorrowedFd<'_>) -> Result<(), Error> {
        let pid = sys::process::number_in_proc(pidfd).map_err(Error::prepare(
            Step::Proc,
            "read",
            "/proc/self/fdinfo",
        ))?;
        if self.by == Writer::Programs {
            return newidmap::map(pid, &self.users, &self.groups);
        }
        self.files().iter().try_for_each(|(file, text)| write(&format!("/proc/{pid}/{file}"), text))
    }

    /// What is written, in this order: the groups' map is refused to an unprivileged caller until
    /// setgroups(2) is given up.
    fn files(&self) -> Vec<(&'static str, String)> {
        let deny = (self.by == Writer::User).then(|| ("setgroups", "deny".to_owned()));
        let maps = [("gid_map", ranges::text(&self.groups)), ("uid_map", ranges::text(&self.users))];
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
            inside: (u32, u32), host: (u32, u32), by_user: bool, other: u32,
        ) {
            let by = if by_user { Writer::User } else { Writer::Root };
            let files = IdMaps::one(inside, host, by).files();
            let text = |name| files.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_str());
            let (uids, gids) = (text("uid_map").expect("a map"), text("gid_map").expect("a map"));
            prop_assert_eq!((outside(uids, inside.0), outside(gids, inside.1)), (Some(host.0), Some(host.1)));
            prop_assert_eq!(outside(uids, other).is_some(), other == inside.0);
            prop_assert_eq!(outside(gids, other).is_some(), other == inside.1);
            // CVE-2014-8989: before the groups' map, or the kernel refuses it.
            prop_assert_eq!(text("setgroups"), by_user.then_some("deny"));
            prop_assert!(!by_user || files[0].0 == "setgroups");
        }
    }
}
