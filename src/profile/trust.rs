//! Whom a profile's file is believed: its owner is root or the caller, and no other user can write to it, or
//! put another in its place.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::{FileStage, ProfileError};

/// Symbolic links that are followed, as many as the kernel follows (path_resolution(7)).
const LINKS: u32 = 40;

/// A file that is owned by root or the caller, and writable by no other user.
pub(super) fn permitted(owner: u32, mode: u32, caller: u32, path: &Path) -> Result<(), ProfileError> {
    if owner != 0 && owner != caller {
        return Err(ProfileError::ForeignOwner { path: path.to_owned(), owner, caller });
    }
    if mode & 0o022 != 0 {
        return Err(ProfileError::WritableByOthers { path: path.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

/// The whole way to a file that was opened and has this device and inode: each directory on it, and each
/// directory in which a link on it lies, belongs to root or the caller, and no other user can rename what is
/// in it.
pub(super) fn way(path: &Path, opened: (u64, u64)) -> Result<(), ProfileError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ProfileError::File { stage: FileStage::Stat, path, source }
    };
    let absolute = std::path::absolute(path).map_err(failed(path))?;
    let mut rest: VecDeque<OsString> = names(&absolute);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut found = at.symlink_metadata().map_err(failed(&at))?;
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), system: found.uid() };
    while let Some(name) = rest.pop_front() {
        if name == OsStr::new("..") {
            at.pop();
            found = at.symlink_metadata().map_err(failed(&at))?;
            continue;
        }
        let next = at.join(&name);
        let entry = next.symlink_metadata().map_err(failed(&next))?;
        caller.directory(&found, &at, &entry)?;
        if !entry.is_symlink() {
            (at, found) = (next, entry);
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(failed(path)(std::io::Error::from_raw_os_error(libc::ELOOP)));
        }
        let target = next.read_link().map_err(failed(&next))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
            found = at.symlink_metadata().map_err(failed(&at))?;
        }
        for name in names(&target).into_iter().rev() {
            rest.push_front(name);
        }
    }
    if (found.dev(), found.ino()) == opened {
        Ok(())
    } else {
        Err(ProfileError::Replaced { path: path.to_owned() })
    }
}

/// What is left of a path without `.` and empty names; std's `absolute` leaves `..` where it is.
fn names(path: &Path) -> VecDeque<OsString> {
    let is_step = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_step).map(|part| part.as_os_str().to_owned()).collect()
}

/// Who reads the profile, and whom `/` belongs to: root, or in a user namespace in which root has no number
/// the one that stands for it.
struct Caller {
    uid: u32,
    system: u32,
}

impl Caller {
    /// A directory, for one of its entries. Where its sticky bit is set, others can write to it, but rename
    /// only what is theirs.
    fn directory(&self, directory: &Metadata, path: &Path, entry: &Metadata) -> Result<(), ProfileError> {
        let trusted = |owner: u32| owner == self.system || owner == self.uid;
        let owner = if trusted(directory.uid()) { self.uid } else { directory.uid() };
        match permitted(owner, directory.mode(), self.uid, path) {
            Err(ProfileError::WritableByOthers { .. })
                if directory.mode() & libc::S_ISVTX != 0 && trusted(entry.uid()) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn owners_and_modes() {
        let path = Path::new("/p");
        assert!(permitted(0, 0o100_644, 1000, path).is_ok());
        assert!(permitted(1000, 0o100_600, 1000, path).is_ok());
        assert!(matches!(
            permitted(1001, 0o100_600, 1000, path),
            Err(ProfileError::ForeignOwner { owner: 1001, .. })
        ));
        assert!(matches!(permitted(1000, 0o100_600, 0, path), Err(ProfileError::ForeignOwner { .. })));
        for mode in [0o100_664, 0o100_646, 0o100_666, 0o41_777] {
            assert!(
                matches!(permitted(1000, mode, 1000, path), Err(ProfileError::WritableByOthers { .. })),
                "{mode:o}"
            );
        }
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn a_file_that_others_can_replace_is_not_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (open, closed) = (directory.path().join("open"), directory.path().join("closed"));
        for directory in [&open, &closed] {
            fs::create_dir_all(directory.join("deep")).expect("directories");
            fs::write(directory.join("deep/a.toml"), "").expect("a file");
            mode(&directory.join("deep/a.toml"), 0o644);
            mode(&directory.join("deep"), 0o755);
        }
        mode(&open, 0o777);
        mode(&closed, 0o755);
        symlink("../../closed/deep/a.toml", open.join("deep/to-closed")).expect("a link");
        symlink("../../open/deep/a.toml", closed.join("deep/to-open")).expect("a link");
        symlink("deep/a.toml", closed.join("link")).expect("a link");
        let checked = |path: PathBuf| {
            let found = path.metadata().expect("a file");
            way(&path, (found.dev(), found.ino()))
        };
        for good in ["deep/a.toml", "link", "deep/../link", "./deep//a.toml"] {
            assert!(checked(closed.join(good)).is_ok(), "{good}");
        }
        for bad in [open.join("deep/a.toml"), open.join("deep/to-closed"), closed.join("deep/to-open")] {
            let result = checked(bad.clone());
            assert!(
                matches!(&result, Err(ProfileError::WritableByOthers { path, .. }) if *path == open),
                "{bad:?}: {result:?}"
            );
        }
        // Others can make files in it, and not rename ours.
        mode(&open, 0o1777);
        assert!(checked(open.join("deep/to-closed")).is_ok());
        let other = closed.join("link").symlink_metadata().expect("a link");
        let replaced = way(&closed.join("deep/a.toml"), (other.dev(), other.ino()));
        assert!(matches!(replaced, Err(ProfileError::Replaced { .. })), "{replaced:?}");
    }
}
