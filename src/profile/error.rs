//! What can be wrong with a profile. A message does not repeat that of its `source`.

use std::fmt;
use std::path::PathBuf;

use super::value_error::ValueError;
use crate::text::{Escaped, EscapedWhole};

/// What can be wrong with a profile. Text from outside is shown with its control characters escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A name that no profile can have.
    #[error(
        "\"{}\" is not a profile's name: a name is 1 to 64 characters of a-z, 0-9, '.', '_' and '-' that does not start \
             with '.' or '-' (a file is named by a path with a '/', as in ./profile.toml)",
        Escaped(name)
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// No profile of this name, neither built in nor in the user's directory.
    #[error("no profile is named {name}{} (looked in: the built-in profiles{}); {}",
            suggestion(nearest.as_deref()), directory(directory_searched.as_ref()), way_on(name))]
    NotFound {
        /// The name.
        name: String,
        /// The known name that is nearest to it.
        nearest: Option<String>,
        /// The user's directory, where there is one.
        directory_searched: Option<PathBuf>,
    },
    /// A profile's file, or the directory it was looked for in, could not be opened, inspected or read.
    #[error("cannot {} profile {}", stage.verb(), show(path))]
    File {
        /// Which step failed.
        stage: FileStage,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The path is a directory, a device, a fifo or a socket.
    #[error("profile {} is not a regular file", show(path))]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Neither root nor the caller owns the file (or the directory that it was found in).
    #[error(
        "profile {} belongs to user {owner}: a profile is only taken from a file and directory of root's or the caller's own \
             (user {caller})",
        show(path)
    )]
    ForeignOwner {
        /// The file or directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// The effective user id of this process.
        caller: u32,
    },
    /// Another file is at the path by now than was opened.
    #[error("profile {} was replaced while it was read", show(path))]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else may write to the file, or to a directory on the way to it.
    #[error("profile {} can be written by others (mode {mode:04o}): run 'chmod go-w' on it", show(path))]
    WritableByOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A text is larger than any profile needs to be.
    #[error("profile {origin} is larger than {limit} bytes")]
    TooLarge {
        /// Where it is from.
        origin: Origin,
        /// The most that is read.
        limit: u64,
    },
    /// A text that is not UTF-8.
    #[error("profile {origin} is not UTF-8: byte {offset} (line {line})")]
    NotUtf8 {
        /// Where it is from.
        origin: Origin,
        /// The first byte that is wrong, from 0.
        offset: usize,
        /// Its line, from 1.
        line: usize,
    },
    /// A text that is not TOML, with a key twice, or nested too deeply.
    #[error("{place}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        source: SyntaxError,
    },
    /// A key that no profile has.
    #[error("{place}: unknown key {}{}", Escaped(key), suggestion(nearest.as_deref()))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key with the tables that it is in.
        key: String,
        /// The known key that is nearest to it.
        nearest: Option<String>,
    },
    /// A key with a value that it can not have.
    #[error("{place}: {}", Escaped(key))]
    Value {
        /// Where.
        place: Place,
        /// The key with the tables that it is in.
        key: String,
        /// What is wrong.
        source: Box<ValueError>,
    },
    /// Values that are right by themselves, but not together.
    #[error("profile {profile}: {}", Escaped(key))]
    Conflict {
        /// The profile.
        profile: Origin,
        /// The key that can not be as it is.
        key: String,
        /// What it is at odds with.
        source: super::Conflict,
    },
    /// A profile extends itself.
    #[error("profiles extend each other in a circle: {chain}")]
    Cycle {
        /// From the one that was asked for to the one that is there twice.
        chain: Chain,
    },
    /// More profiles extend each other than anyone could follow.
    #[error("more than {limit} profiles extend each other: {chain}")]
    TooDeep {
        /// From the one that was asked for.
        chain: Chain,
        /// How many may.
        limit: usize,
    },
    /// A profile that another one extends can not be found or taken.
    #[error("profile {chain}")]
    Extends {
        /// From the one that was asked for to the one that is wrong, or that names one that is not there.
        chain: Chain,
        /// What is wrong with it.
        source: Box<ProfileError>,
    },
    /// An OCI seccomp profile (`seccomp.profile`) can not be taken as a file.
    #[error("{place}: seccomp.profile")]
    OciFile {
        /// Where it is named.
        place: Place,
        /// Why.
        source: Box<ProfileError>,
    },
    /// An OCI seccomp profile (`seccomp.profile`) is not one, or asks for what belljar can not do.
    #[error("{place}: seccomp.profile {}", show(path))]
    Oci {
        /// Where it is named.
        place: Place,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<crate::seccomp::oci::OciError>,
    },
    /// The kernel's version, which an OCI seccomp profile can ask for, is not to be had.
    #[error("cannot tell the kernel's version from \"{}\"", Escaped(release))]
    Kernel {
        /// What uname(2) says.
        release: String,
    },
    /// An override that is not `KEY=VALUE`.
    #[error("override \"{}\" is not KEY=VALUE (as in limits.timeout=5s)", Escaped(text))]
    Override {
        /// What was given.
        text: String,
    },
}

/// A step of reading a profile's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileStage {
    /// `openat(2)`.
    Open,
    /// `fstat(2)`.
    Stat,
    /// `read(2)`.
    Read,
    /// `getdents(2)`.
    List,
}

impl FileStage {
    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Stat => "inspect",
            Self::Read => "read",
            Self::List => "list",
        }
    }
}

/// Where the text of a profile is from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// One of the profiles that are built in.
    BuiltIn(String),
    /// A file.
    File(PathBuf),
    /// A text that the caller has, by the name that the caller gave it.
    Text(String),
    /// An override (`--set`), as it was given.
    Override(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) | Self::Text(name) => write!(f, "{}", Escaped(name)),
            Self::File(path) => f.write_str(&show(path)),
            Self::Override(text) => write!(f, "override {}", Escaped(text)),
        }
    }
}

/// A place in the text of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Where the text is from.
    pub origin: Origin,
    /// Line and column (in characters), both from 1; `None` where the text is a single value.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}: line {line}, column {column}", self.origin),
            None => write!(f, "{}", self.origin),
        }
    }
}

/// Profiles in the order in which each extends the next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain(pub Vec<Origin>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, origin) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" extends ")?;
            }
            write!(f, "{origin}")?;
        }
        Ok(())
    }
}

/// What the TOML parser says, on one line.
#[derive(Debug)]
pub struct SyntaxError(pub(super) Box<toml::de::Error>);

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The parser's own Display shows the source line as it is, control characters and all.
        write!(f, "{}", Escaped(self.0.message()))
    }
}

impl std::error::Error for SyntaxError {}

fn show(path: &std::path::Path) -> String {
    EscapedWhole(&path.to_string_lossy()).to_string()
}

/// A file is named by a path.
fn way_on(name: &str) -> String {
    match name.ends_with(".toml") {
        true => format!("a file is named by a path with a '/': ./{name}"),
        false => "see 'belljar profile list'".to_owned(),
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |n| format!(" (did you mean {n}?)"))
}

fn directory(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |p| format!(" and {}", show(p)))
}
