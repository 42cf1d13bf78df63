//! What a task is given by descriptor: rights to pipes, and regular files. Who owns a file can change its
//! mode through any descriptor of it, and an ordinary user's sandbox has its caller's id: mode and owner are
//! put back when the run is over.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown};

use super::error::{Error, Step};
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
    /// Notes those of them that are regular files of the sandbox's ids: no others can be changed.
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

/// Gives streams and descriptors to a task that has ids of its own (`ids`), or the caller's: its rights to
/// them, and what is put back afterwards.
pub(super) fn give(
    stdio: &[OwnedFd; 3],
    descriptors: &[BorrowedFd<'_>],
    host: &HostIdentity,
    ids: Option<(u32, u32)>,
) -> Result<Given, Error> {
    if let Some((_, group)) = ids {
        give_pipes(stdio, group)?;
    }
    if !host.may_own_files() {
        return Ok(Given::default());
    }
    let all = stdio.iter().map(AsFd::as_fd).chain(descriptors.iter().copied());
    Given::note(all, host).map_err(Error::prepare(Step::Descriptors, "fstat", "streams"))
}

/// `/dev/stdout` and the like open the stream again, and a pipe belongs to the user that made it. The
/// sandbox's own id gets the right to open those that lead to its streams, in their direction only; it does
/// not own them, or it could give itself the other. Files and terminals stay as they are.
///
/// What is written to is opened by group, what is read by everybody else: a pipe between two sandboxes serves
/// both. Others do not come near a pipe: it has no name but that in /proc/PID/fd.
fn give_pipes(stdio: &[OwnedFd; 3], id: u32) -> Result<(), Error> {
    let group = Gid::from_raw(id);
    for fd in stdio {
        let failed = |call| Error::prepare(Step::Descriptors, call, "standard stream");
        let kind = nix::sys::statfs::fstatfs(fd).map_err(failed("fstatfs"))?.filesystem_type();
        if kind != PIPEFS {
            continue;
        }
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).map_err(failed("fcntl"))?);
        let more = match flags & OFlag::O_ACCMODE {
            OFlag::O_RDONLY => Mode::S_IROTH,
            OFlag::O_WRONLY => Mode::S_IWGRP,
            _ => Mode::S_IRGRP | Mode::S_IWGRP,
        };
        let before = sys::fstat(fd.as_fd()).map_err(failed("fstat"))?.st_mode;
        if more.intersects(Mode::S_IWGRP) {
            fchown(fd, None, Some(group)).map_err(failed("fchown"))?;
        }
        fchmod(fd, Mode::from_bits_truncate(before) | more).map_err(failed("fchmod"))?;
    }
    Ok(())
}

/// `PIPEFS_MAGIC`: pipes without a name, not FIFOs in a directory.
const PIPEFS: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x5049_5045);

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
