//! Where a report goes: standard error, a descriptor of the caller's, or a file, which is opened and emptied
//! before anything runs.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::error::Error;
use super::report::Report;
use super::run::descriptors;
use super::{stdio, values};

/// Where the report goes.
#[derive(Debug)]
pub enum Sink {
    /// `-`
    StandardError,
    /// A duplicate of a descriptor of the caller's: what it leads to is neither emptied nor rewound.
    Descriptor {
        /// As it was named.
        name: PathBuf,
        /// The duplicate.
        file: File,
    },
    /// A file that was opened before the run.
    File {
        /// Its name.
        path: PathBuf,
        /// The file.
        file: File,
    },
}

impl Sink {
    /// By the options `--report` and `--report-fd`; nothing without them.
    pub fn of_options(path: Option<&Path>, number: Option<i32>) -> Result<Option<Sink>, Error> {
        match (path, number) {
            (_, Some(number)) => Sink::descriptor(number, Path::new(&number.to_string())).map(Some),
            (Some(path), None) => Sink::open(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// By the words of a command line that cannot be read: the first that names one. An earlier report must
    /// not be taken for that of a run that was refused.
    pub fn of_words(words: &[OsString]) -> Result<Option<Sink>, Error> {
        let mut words = words.iter().map(OsString::as_os_str).take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            let mut value_of = |option: &str| {
                let rest = word.as_bytes().strip_prefix(option.as_bytes())?;
                match rest.strip_prefix(b"=") {
                    Some(value) => Some(OsStr::from_bytes(value)),
                    None if rest.is_empty() => words.next(),
                    None => None,
                }
            };
            if let Some(path) = value_of("--report") {
                return Sink::of_options(Some(Path::new(path)), None);
            }
            if let Some(number) = value_of("--report-fd") {
                let number = number.to_str().and_then(|number| values::descriptor(number).ok());
                return Sink::of_options(None, number);
            }
        }
        Ok(None)
    }

    /// Opens the file, and empties it: that it cannot be written is known before anything untrusted runs.
    pub fn open(path: &Path) -> Result<Sink, Error> {
        if path == Path::new("-") {
            return Ok(Sink::StandardError);
        }
        if let Some(number) = descriptor_of(path) {
            return Sink::descriptor(number, path);
        }
        let failed = |action| move |source| Error::Report { path: path.to_owned(), action, source };
        // The owner of the directory could have placed a link. A named pipe without a reader would block.
        let flags = libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(flags)
            .open(path)
            .map_err(failed("open"))?;
        let opened = file.metadata().map_err(failed("stat"))?;
        if opened.is_file() {
            if is_standard_stream((opened.dev(), opened.ino())) {
                return Err(Error::ReportIsStream { path: path.to_owned() });
            }
            file.set_len(0).map_err(failed("truncate"))?;
        }
        let blocking = |fd: &File| -> nix::Result<()> {
            let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
            fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
        };
        blocking(&file).map_err(|errno| failed("fcntl")(errno.into()))?;
        Ok(Sink::File { path: path.to_owned(), file })
    }

    fn descriptor(number: i32, name: &Path) -> Result<Sink, Error> {
        let file = File::from(descriptors::duplicate("--report", number)?);
        let mode = fcntl(file.as_fd(), FcntlArg::F_GETFL).map_err(|errno| Error::Report {
            path: name.to_owned(),
            action: "fcntl",
            source: errno.into(),
        })?;
        if OFlag::from_bits_retain(mode) & OFlag::O_ACCMODE == OFlag::O_RDONLY {
            let source = io::Error::from_raw_os_error(libc::EBADF);
            return Err(Error::Report { path: name.to_owned(), action: "open for reading only", source });
        }
        Ok(Sink::Descriptor { name: name.to_owned(), file })
    }

    /// Writes the report, on one line. A file must still be the one that its name leads to: what ran may have
    /// been given the directory, and have put another in its place. A file that cannot take all of it is left
    /// empty.
    pub fn write(&mut self, report: &Report) -> Result<(), Error> {
        let mut text = serde_json::to_string(report).map_err(|source| Error::Json { source })?;
        text.push('\n');
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source| Error::Report { path, action, source }
        };
        match self {
            Sink::StandardError => {
                stdio::complain(&text);
                Ok(())
            }
            Sink::Descriptor { name, file } => file.write_all(text.as_bytes()).map_err(failed(name, "write")),
            Sink::File { path, file } => {
                let opened = file.metadata().map_err(failed(path, "stat"))?;
                if opened.is_file() {
                    file.set_len(0).map_err(failed(path, "truncate"))?;
                    file.rewind().map_err(failed(path, "seek"))?;
                }
                if let Err(source) = file.write_all(text.as_bytes()) {
                    if opened.is_file() {
                        file.set_len(0).map_err(failed(path, "truncate"))?;
                    }
                    return Err(failed(path, "write")(source));
                }
                match path.symlink_metadata() {
                    Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => Ok(()),
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        Err(failed(path, "stat")(source))
                    }
                    _ => Err(Error::ReportReplaced { path: path.clone() }),
                }
            }
        }
    }
}

/// The number of a descriptor that a path stands for: `/dev/stdout`, and `/dev/fd/63`, as shells write
/// `>(COMMAND)`. Such a path is a link of the kernel's, which opening with `O_NOFOLLOW` would refuse.
fn descriptor_of(path: &Path) -> Option<i32> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        text => {
            let number = ["/dev/fd/", "/proc/self/fd/"]
                .into_iter()
                .find_map(|directory| text.strip_prefix(directory))?;
            (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
                .then(|| number.parse().ok())
                .flatten()
        }
    }
}

/// Whether standard output or error lead to this file, by device and inode: the report would take the place
/// of what is written there.
fn is_standard_stream(file: (u64, u64)) -> bool {
    let same = |stream: &dyn AsFd| {
        crate::sys::fstat(stream.as_fd()).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == file)
    };
    same(&io::stdout()) || same(&io::stderr())
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
