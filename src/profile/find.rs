//! From a name or a path to the text of a profile.
//!
//! A name is looked up among the built-in profiles, then in the user's directory, and nowhere else: what lies
//! in the current directory is only taken when it is named by a path. A file is opened once; the checks are
//! made on what was opened, and the bytes that are parsed are those that were read from it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::builtin;
use super::reader::MAX_TEXT;
use super::trust::{self, permitted};
use super::{FileStage, Origin, ProfileError};
use crate::text::nearest;

/// The text of a profile, where it is from, and what tells it from every other one.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) origin: Origin,
    pub(crate) text: String,
    /// Device and inode of a file.
    pub(crate) identity: Option<(u64, u64)>,
}

/// Whether a name can be a profile's: `[a-z0-9._-]{1,64}`, not starting with `.` or `-`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

/// The directory of the user's own profiles: `$XDG_CONFIG_HOME/belljar/profiles`, else
/// `$HOME/.config/belljar/profiles`. A variable that is not an absolute path does not count (XDG Base
/// Directory Specification).
#[must_use]
pub fn user_directory() -> Option<PathBuf> {
    user_directory_of(|name| std::env::var_os(name).map(PathBuf::from))
}

fn user_directory_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("belljar/profiles"))
}

/// Finds a profile by name or, with a `/` in it, by path. `from` is the directory that a relative path starts
/// at.
pub(crate) fn find(
    name_or_path: &str,
    from: Option<&Path>,
    user_directory: Option<&Path>,
) -> Result<Found, ProfileError> {
    if name_or_path.contains('/') {
        let path = Path::new(name_or_path);
        return read_path(&from.map_or_else(|| path.to_owned(), |from| from.join(path)));
    }
    if !is_name(name_or_path) {
        return Err(ProfileError::Name { name: name_or_path.to_owned() });
    }
    if let Some(found) = builtin::find(name_or_path) {
        return Ok(Found {
            origin: Origin::BuiltIn(name_or_path.to_owned()),
            text: found.text.to_owned(),
            identity: None,
        });
    }
    if let Some(directory) = user_directory
        && let Some(found) = read_named(directory, name_or_path)?
    {
        return Ok(found);
    }
    let own = user_directory.and_then(|directory| list(directory).ok()).unwrap_or_default();
    let known = builtin::NAMES.iter().copied().chain(own.iter().map(String::as_str));
    Err(ProfileError::NotFound {
        name: name_or_path.to_owned(),
        nearest: nearest(name_or_path, known).map(str::to_owned),
        directory_searched: user_directory.map(Path::to_owned),
    })
}

/// The names of the profiles in a user's directory, sorted; none where there is no directory.
pub(crate) fn list(directory: &Path) -> Result<Vec<String>, ProfileError> {
    if open_directory(directory)?.is_none() {
        return Ok(Vec::new());
    }
    let fail = |source| ProfileError::File { stage: FileStage::List, path: directory.to_owned(), source };
    let mut names = Vec::new();
    // Only names are taken from here; each is opened and checked by itself.
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let file = entry.map_err(fail)?.file_name();
        let name = file.to_str().and_then(|name| name.strip_suffix(".toml"));
        names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// A named profile in the user's directory. No symlink is followed, for the directory or in it.
pub(crate) fn read_named(directory: &Path, name: &str) -> Result<Option<Found>, ProfileError> {
    let Some(directory_fd) = open_directory(directory)? else { return Ok(None) };
    let file = format!("{name}.toml");
    let path = directory.join(&file);
    match open(directory_fd.as_fd(), Path::new(&file), OFlag::O_NOFOLLOW) {
        Ok(file) => read(file, path).map(Some),
        Err(nix::Error::ENOENT) => Ok(None),
        Err(error) => Err(ProfileError::File { stage: FileStage::Open, path, source: error.into() }),
    }
}

fn open_directory(directory: &Path) -> Result<Option<File>, ProfileError> {
    let fd = match open(AT_FDCWD, directory, OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW) {
        Ok(fd) => fd,
        Err(nix::Error::ENOENT) => return Ok(None),
        Err(error) => {
            return Err(ProfileError::File {
                stage: FileStage::Open,
                path: directory.to_owned(),
                source: error.into(),
            });
        }
    };
    let found = check(&fd, directory)?;
    trust::way(directory, (found.dev(), found.ino()))?;
    Ok(Some(fd))
}

/// A file that was named by its path. Nobody else may be able to put another in its place.
pub(crate) fn read_path(path: &Path) -> Result<Found, ProfileError> {
    let file = open(AT_FDCWD, path, OFlag::empty()).map_err(|error| ProfileError::File {
        stage: FileStage::Open,
        path: path.to_owned(),
        source: error.into(),
    })?;
    let found = read(file, path.to_owned())?;
    if let Some(identity) = found.identity {
        trust::way(path, identity)?;
    }
    Ok(found)
}

fn open(directory: impl AsFd, path: &Path, flags: OFlag) -> nix::Result<File> {
    // O_NONBLOCK: a fifo must not hold us up before it is refused.
    let flags = flags | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    openat(directory, path, flags, Mode::empty()).map(File::from)
}

/// Owned by root or the caller, and writable by no other user. Device and inode.
fn check(file: &File, path: &Path) -> Result<std::fs::Metadata, ProfileError> {
    let metadata = file.metadata().map_err(|source| ProfileError::File {
        stage: FileStage::Stat,
        path: path.to_owned(),
        source,
    })?;
    let caller = nix::unistd::geteuid().as_raw();
    permitted(metadata.uid(), metadata.mode(), caller, path)?;
    Ok(metadata)
}

fn read(file: File, path: PathBuf) -> Result<Found, ProfileError> {
    let metadata = check_regular(&file, &path)?;
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(|source| ProfileError::File {
        stage: FileStage::Read,
        path: path.clone(),
        source,
    })?;
    let origin = Origin::File(path);
    let text = decode(bytes, &origin)?;
    Ok(Found { origin, text, identity: Some((metadata.dev(), metadata.ino())) })
}

fn check_regular(file: &File, path: &Path) -> Result<std::fs::Metadata, ProfileError> {
    let is_file = file
        .metadata()
        .map(|metadata| metadata.is_file())
        .map_err(|source| ProfileError::File { stage: FileStage::Stat, path: path.to_owned(), source })?;
    if !is_file {
        return Err(ProfileError::NotRegular { path: path.to_owned() });
    }
    check(file, path)
}

/// Text of a bounded size.
pub(crate) fn decode(bytes: Vec<u8>, origin: &Origin) -> Result<String, ProfileError> {
    bounded(bytes.len(), origin)?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count() + 1;
        ProfileError::NotUtf8 { origin: origin.clone(), offset, line }
    })
}

/// An error for a text that is too large to be looked at.
pub(crate) fn bounded(len: usize, origin: &Origin) -> Result<(), ProfileError> {
    if len > MAX_TEXT {
        return Err(ProfileError::TooLarge { origin: origin.clone(), limit: MAX_TEXT as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["strict", "a", "0", "my-profile_2.1", "a..b", "_", &"a".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "-x",
            "--profile",
            "a/b",
            "/etc/passwd",
            "../x",
            "A",
            "Strict",
            "a b",
            "a\0",
            "a\n",
            "a\\b",
            "ä",
            "a:b",
            "a*",
            "$HOME",
            "~",
            "a\u{202e}b",
            "%2e%2e",
            &"a".repeat(65),
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_users_directory_is_absolute_or_none() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            user_directory_of(|name| if name == "HOME" { home } else { xdg }.map(PathBuf::from))
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(of(Some("/c"), Some("/h")), path("/c/belljar/profiles"));
        assert_eq!(of(None, Some("/h")), path("/h/.config/belljar/profiles"));
        assert_eq!(of(Some(""), Some("/h")), path("/h/.config/belljar/profiles"));
        assert_eq!(of(Some("c"), Some("/h")), path("/h/.config/belljar/profiles"));
        assert_eq!(of(Some("c"), Some("h")), None);
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn text_is_bounded_and_utf8() {
        let origin = Origin::Text("t".to_owned());
        assert!(decode(vec![b' '; MAX_TEXT], &origin).is_ok());
        assert!(matches!(decode(vec![b' '; MAX_TEXT + 1], &origin), Err(ProfileError::TooLarge { .. })));
        let error = decode(b"a = 1\nb = \"\xff\"".to_vec(), &origin);
        assert!(matches!(error, Err(ProfileError::NotUtf8 { offset: 11, line: 2, .. })), "{error:?}");
    }
}
