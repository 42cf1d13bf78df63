//! Sandboxes that have a name: `run --name`, `exec`, `kill`, `wait`.
//!
//! A name is a lock file and a socket in a directory that only its user can enter. The belljar that runs the
//! sandbox holds the lock until the run ends; the holder of the lock removes both files. On the socket it takes
//! requests from its own user and from root.

mod asked;
mod client;
mod request;
mod server;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

pub use client::{ExecArgs, KillArgs, WaitArgs, exec, kill, wait};
pub use server::Server;

use super::error::Error;

/// The path of the socket has to fit into `sun_path` (unix(7)).
const LONGEST: usize = 48;

/// How often taking a name is tried, if its directory or lock file is removed at the same time.
const ATTEMPTS: usize = 8;

/// A name that is taken until this is dropped.
#[derive(Debug)]
pub struct Name {
    files: Files,
    /// Holds the lock.
    _lock: Flock<File>,
}

/// The files of a name.
#[derive(Debug)]
struct Files {
    lock: PathBuf,
    socket: PathBuf,
}

impl Files {
    fn of(name: &str) -> Result<Self, Error> {
        let directory = directory()?;
        Ok(Self {
            lock: directory.join(format!("{name}.lock")),
            socket: directory.join(format!("{name}.sock")),
        })
    }
}

/// Reads a name, for clap: a file's name, and one that no shell has to quote.
pub fn name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if begins && text.len() <= LONGEST && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("a name is 1 to 48 letters, digits, dots, hyphens and underscores, and begins with a letter or digit")
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Names { action, path, source }
}

/// Where the names are: of root's sandboxes in `/run/belljar`, of an ordinary user's in `belljar` of the
/// user's runtime directory.
fn directory() -> Result<PathBuf, Error> {
    let own = nix::unistd::geteuid();
    let parent = if own.is_root() {
        PathBuf::from("/run")
    } else {
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let runtime = runtime
            .or_else(|| Some(format!("/run/user/{own}").into()).filter(|path: &PathBuf| path.is_dir()));
        runtime.ok_or(Error::NoRuntimeDirectory)?
    };
    let path = parent.join("belljar");
    match std::fs::symlink_metadata(&path) {
        Ok(found) if !found.is_dir() || found.uid() != own.as_raw() || found.mode() & 0o077 != 0 => {
            Err(Error::NamesOfOthers { path })
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("lstat", &path)(error)),
        // It is this user's, or does not exist yet.
        _ => Ok(path),
    }
}

/// Creates it unless it exists.
fn make_directory() -> Result<(), Error> {
    let path = directory()?;
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("mkdir", &path)(error)),
        _ => Ok(()),
    }
}

impl Name {
    /// Takes a name.
    pub fn claim(name: &str) -> Result<Self, Error> {
        for _ in 0..ATTEMPTS {
            make_directory()?;
            let files = Files::of(name)?;
            let mut options = OpenOptions::new();
            let options = options.create(true).truncate(false).write(true).mode(0o600);
            let lock = match options.custom_flags(libc::O_NOFOLLOW).open(&files.lock) {
                // The directory is removed with the last name in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(failed("open", &files.lock))?,
            };
            let lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => return Err(Error::NameTaken { name: name.to_owned() }),
                Err((_, errno)) => return Err(failed("flock", &files.lock)(errno.into())),
            };
            // Its last holder may have removed it after it was opened here.
            let held = lock.metadata().map_err(failed("fstat", &files.lock))?;
            let there = std::fs::symlink_metadata(&files.lock);
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                return Self::hold(files, lock);
            }
        }
        Err(Error::NameTaken { name: name.to_owned() })
    }

    fn hold(files: Files, mut lock: Flock<File>) -> Result<Self, Error> {
        // For `ps`.
        let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(failed("write", &files.lock))?;
        // The last holder leaves its socket if it is killed.
        match std::fs::remove_file(&files.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("unlink", &files.socket)(error))
            }
            _ => Ok(Self { files, _lock: lock }),
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        for path in [&self.files.socket, &self.files.lock] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    log::error!("{} cannot be removed: {error}", path.display());
                }
                _ => {}
            }
        }
        // This fails if there are other names.
        if let Some(directory) = self.files.lock.parent() {
            std::fs::remove_dir(directory).ok();
        }
    }
}

/// The names of this user's sandboxes, each with the process that runs it. Files of a killed belljar are
/// removed.
pub fn all() -> Vec<(String, i32)> {
    /// The most that are listed.
    const MOST: usize = 4096;
    let Ok(directory) = directory() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.take(MOST).filter_map(|entry| {
        let file = entry.ok()?.file_name();
        name(file.to_str()?.strip_suffix(".lock")?).ok()
    });
    names.filter_map(|name| Some((holder(&name)?, name))).map(|(pid, name)| (name, pid)).collect()
}

/// The process that has a name.
fn holder(name: &str) -> Option<i32> {
    let files = Files::of(name).ok()?;
    let lock = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&files.lock).ok()?;
    match Flock::lock(lock, FlockArg::LockSharedNonblock) {
        Err((lock, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            lock.take(32).read_to_string(&mut text).ok()?;
            text.trim().parse().ok()
        }
        Ok(lock) => {
            drop(lock);
            // It has no holder. Taking it and dropping it removes the files.
            drop(Name::claim(name));
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files() {
        for good in ["a", "0", "web-1", "A.b_c", &"x".repeat(LONGEST)] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", ".a", "-a", "a/b", "a b", "ä", "a\n", &"x".repeat(LONGEST + 1)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
