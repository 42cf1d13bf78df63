//! What the values of the options of `belljar run` look like.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use super::units;
use crate::profile::{self, Throttle, Throttled};

/// `SRC[:DST]`: a path of the host, and where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// As it was written; relative to the caller's working directory.
    pub source: PathBuf,
    /// Absolute, without `.` and `..`. `None`: where the source is on the host.
    pub destination: Option<PathBuf>,
}

/// `DST[:SIZE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Absolute, without `.` and `..`.
    pub destination: PathBuf,
    /// Bytes it may hold.
    pub size: Option<u64>,
}

/// `K[=V]`: a variable that is set, or (without a value) passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: OsString,
    /// `None`: the caller's value, if it has one.
    pub value: Option<OsString>,
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// No path at all.
    #[error("the path is empty")]
    EmptyPath,
    /// `a:b:c`.
    #[error(
        "more than one colon; a colon in a path is written \"\\:\" (and read-only is --ro-bind, not \":ro\")"
    )]
    Colons,
    /// `SRC:dst`.
    #[error("{} is not an absolute path: inside, a path starts with /", super::escape::os(.path.as_os_str()))]
    NotAbsolute { path: PathBuf },
    /// `/a/../b`.
    #[error("{} has a \"..\" in it", super::escape::os(.path.as_os_str()))]
    DotDot { path: PathBuf },
    /// `/`.
    #[error("the root itself cannot be mounted over; use --rootfs for a root of your own")]
    Root,
    /// A size.
    #[error("the size: {source}")]
    Size { source: profile::ValueError },
    /// A limit of a disk.
    #[error("not a path, a colon and a rate (a colon in a path is written \"\\:\")")]
    NoRate,
    /// The rate of it.
    #[error("the rate: {source}")]
    Rate { source: profile::ValueError },
    /// `=V`.
    #[error("the variable's name is empty")]
    EmptyName,
    /// Below 3.
    #[error("0, 1 and 2 are the standard streams and always passed; name a descriptor from 3 on")]
    StandardStream,
    /// Not a number.
    #[error("not the number of a descriptor")]
    NotDescriptor,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

/// Reads `SRC[:DST]`.
pub fn bind(value: OsString) -> Result<Bind, ValueError> {
    let mut fields = split(&value).into_iter();
    let (source, destination, more) = (fields.next(), fields.next(), fields.next());
    if more.is_some() {
        return Err(ValueError::Colons);
    }
    let source = source.filter(|path| !path.is_empty()).ok_or(ValueError::EmptyPath)?;
    Ok(Bind { source: source.into(), destination: destination.map(inside).transpose()? })
}

/// Reads `DST[:SIZE]`.
pub fn tmpfs(value: OsString) -> Result<Tmpfs, ValueError> {
    let mut fields = split(&value).into_iter();
    let (destination, size, more) = (fields.next(), fields.next(), fields.next());
    if more.is_some() {
        return Err(ValueError::Colons);
    }
    let size = match size {
        None => None,
        Some(size) => {
            let text = size.to_str().ok_or(ValueError::NotUtf8)?;
            Some(units::size(text).map_err(|source| ValueError::Size { source })?)
        }
    };
    Ok(Tmpfs { destination: inside(destination.unwrap_or_default())?, size })
}

/// Reads `PATH:SIZE` of `--io-read-bps`.
pub fn read_bps(value: OsString) -> Result<Throttle, ValueError> {
    throttle(&value, Throttled::ReadBps)
}

/// Reads `PATH:SIZE` of `--io-write-bps`.
pub fn write_bps(value: OsString) -> Result<Throttle, ValueError> {
    throttle(&value, Throttled::WriteBps)
}

/// Reads `PATH:N` of `--io-read-iops`.
pub fn read_iops(value: OsString) -> Result<Throttle, ValueError> {
    throttle(&value, Throttled::ReadIops)
}

/// Reads `PATH:N` of `--io-write-iops`.
pub fn write_iops(value: OsString) -> Result<Throttle, ValueError> {
    throttle(&value, Throttled::WriteIops)
}

fn throttle(value: &OsStr, kind: Throttled) -> Result<Throttle, ValueError> {
    let fields = split(value);
    let [path, rate] = fields.as_slice() else { return Err(ValueError::NoRate) };
    if path.is_empty() {
        return Err(ValueError::EmptyPath);
    }
    let rate = rate.to_str().ok_or(ValueError::NotUtf8)?;
    let rate = units::rate(rate, kind).map_err(|source| ValueError::Rate { source })?;
    Ok(Throttle { path: path.into(), kind, rate })
}

/// Reads a path inside: absolute, free of `..`, not `/` itself.
fn inside(value: OsString) -> Result<PathBuf, ValueError> {
    if value.is_empty() {
        return Err(ValueError::EmptyPath);
    }
    let path = PathBuf::from(value);
    if !path.is_absolute() {
        return Err(ValueError::NotAbsolute { path });
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(ValueError::DotDot { path });
    }
    // `components` leaves out `.`, `//` and a trailing slash.
    let path: PathBuf = path.components().collect();
    if path == Path::new("/") { Err(ValueError::Root) } else { Ok(path) }
}

/// Reads a path of the host.
pub fn host_path(value: OsString) -> Result<PathBuf, ValueError> {
    if value.is_empty() { Err(ValueError::EmptyPath) } else { Ok(value.into()) }
}

/// Reads `K[=V]`.
pub fn variable(value: OsString) -> Result<Variable, ValueError> {
    let bytes = value.as_bytes();
    let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
        None => (bytes, None),
    };
    if name.is_empty() {
        return Err(ValueError::EmptyName);
    }
    Ok(Variable { name: OsStr::from_bytes(name).to_owned(), value })
}

/// Reads the number of a descriptor that is passed on.
pub fn descriptor(text: &str) -> Result<i32, ValueError> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<i32>() {
        Ok(0..=2) => Err(ValueError::StandardStream),
        Ok(number) if plain => Ok(number),
        _ => Err(ValueError::NotDescriptor),
    }
}

/// The fields between colons. `\:` is a colon and `\\` a backslash; before anything else a backslash is
/// itself.
fn split(value: &OsStr) -> Vec<OsString> {
    let mut fields = vec![Vec::new()];
    let mut bytes = value.as_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = bytes.next_if(|next| byte == b'\\' && matches!(next, b':' | b'\\'));
        match (escaped, fields.last_mut()) {
            (None, _) if byte == b':' => fields.push(Vec::new()),
            (escaped, Some(field)) => field.push(escaped.unwrap_or(byte)),
            // There is a field from the start.
            (_, None) => fields.push(vec![byte]),
        }
    }
    fields.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
