//! Regular files that a task is given by descriptor. Who owns a file can change its mode through any
//! descriptor of it, and an ordinary user's sandbox has its caller's id: mode and owner are put back when the
//! run is over.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown};

use super::spawn::errno_of;
use crate::plan::HostIdentity;
use crate::sys;

/// What the files were, put back when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(OwnedFd, Attributes)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    mode: libc::mode_t,
    user: libc::uid_t,
    group: libc::gid_t,
}

impl Attributes {
    fn of(stat: &libc::stat) -> Self {
        Self { mode: stat.st_mode & 0o7777, user: stat.st_uid, group: stat.st_gid }
    }
}

impl Given {
    /// Notes those of them that are regular files of the sandbox's ids: nobody else's can be changed.
    pub(super) fn note<'a>(
        descriptors: impl Iterator<Item = BorrowedFd<'a>>,
        host: &HostIdentity,
    ) -> Result<Self, Errno> {
        let mut files = Vec::new();
        for fd in descriptors {
            let stat = sys::fstat(fd)?;
            if stat.st_mode & libc::S_IFMT == libc::S_IFREG && host.owns(stat.st_uid) {
                let copy = fd.try_clone_to_owned().map_err(|error| errno_of(&error))?;
                files.push((copy, Attributes::of(&stat)));
            }
        }
        Ok(Self(files))
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for (file, before) in &self.0 {
            match put_back(file.as_fd(), *before) {
                Ok(false) => {}
                Ok(true) => {
                    log::warn!(
                        "mode or owner of a file that was given by descriptor had changed, and is put back"
                    );
                }
                Err(errno) => {
                    log::error!(
                        "mode and owner of a file that was given by descriptor cannot be put back: {errno}"
                    );
                }
            }
        }
    }
}

/// Whether anything had changed.
fn put_back(file: BorrowedFd<'_>, before: Attributes) -> Result<bool, Errno> {
    let now = Attributes::of(&sys::fstat(file)?);
    if now == before {
        return Ok(false);
    }
    if (now.user, now.group) != (before.user, before.group) {
        fchown(file, Some(Uid::from_raw(before.user)), Some(Gid::from_raw(before.group)))?;
    }
    // Last: a change of the owner clears set-user-ID bits.
    fchmod(file, Mode::from_bits_truncate(before.mode))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_changed_is_put_back() {
        let file = tempfile::tempfile().expect("a file");
        let mode = || file.metadata().expect("metadata").permissions().mode() & 0o7777;
        file.set_permissions(Permissions::from_mode(0o640)).expect("chmod");
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let host = HostIdentity::Own { uid, gid };
        let given = Given::note([file.as_fd()].into_iter(), &host).expect("noted");
        file.set_permissions(Permissions::from_mode(0o777)).expect("chmod");
        drop(given);
        assert_eq!(mode(), 0o640);
        assert_eq!(
            put_back(file.as_fd(), Attributes::of(&sys::fstat(file.as_fd()).expect("fstat"))),
            Ok(false)
        );
    }
}
