//! Single values that have a form of their own: paths, host names, variables, times of the kernel's
//! granularity. The same checks hold for what is read and for what is set from code.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Rlimit, ValueError, units};

/// `HOST_NAME_MAX`, gethostname(2).
const HOSTNAME_MAX: usize = 64;

/// `PATH_MAX` with its NUL, `linux/limits.h`.
const PATH_MAX: usize = 4096;

/// A line of text for people.
pub(crate) fn line(text: &str) -> Result<(), ValueError> {
    if text.chars().any(char::is_control) {
        return Err(ValueError::ControlCharacter { text: text.to_owned() });
    }
    Ok(())
}

/// A host name as hostname(7) has it: labels of letters, digits and `-` between dots, 64 characters together.
pub(crate) fn hostname(text: &str) -> Result<(), ValueError> {
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.len() > HOSTNAME_MAX || !text.split('.').all(label) {
        return Err(ValueError::Malformed {
            text: text.to_owned(),
            expected: "a host name (1 to 64 characters; letters, digits and '-' between dots)",
        });
    }
    Ok(())
}

/// A path inside: absolute and normalised. It need not be UTF-8.
pub(crate) fn inside(path: &Path) -> Result<(), ValueError> {
    let bytes = path.as_os_str().as_bytes();
    no_control(bytes)?;
    let normal = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    let absolute = match bytes {
        b"/" => true,
        [b'/', rest @ ..] => rest.split(|&b| b == b'/').all(normal),
        _ => false,
    };
    if !absolute || bytes.len() >= PATH_MAX {
        return Err(ValueError::Path { path: path.to_string_lossy().into_owned() });
    }
    Ok(())
}

/// Where something can be mounted: like [`inside`], but not the root, which `root.path` gives.
pub(crate) fn destination(path: &Path) -> Result<(), ValueError> {
    if path.as_os_str() == "/" {
        return Err(ValueError::Refused {
            word: "/".to_owned(),
            why: "the root is not a mount; root.path gives a directory for it",
        });
    }
    inside(path)
}

/// A working directory inside. `/proc` holds magic links to what is open outside (CVE-2024-21626).
pub(crate) fn cwd(path: &Path) -> Result<(), ValueError> {
    inside(path)?;
    if path.starts_with("/proc") {
        let word = path.to_string_lossy().into_owned();
        return Err(ValueError::Refused { word, why: "nothing can start in /proc" });
    }
    Ok(())
}

/// A path of the host: relative or absolute, as it is. Nothing is expanded in it.
pub(crate) fn host_path(text: &str) -> Result<PathBuf, ValueError> {
    if text.starts_with('~') || text.starts_with('$') {
        return Err(ValueError::Refused {
            word: text.to_owned(),
            why: "'~' and '$' are not expanded; write the path out (or ./~ for a file of that name)",
        });
    }
    real_host_path(Path::new(text))?;
    Ok(PathBuf::from(text))
}

/// Like [`host_path`], for a path that is expanded already and need not be UTF-8.
pub(crate) fn real_host_path(path: &Path) -> Result<(), ValueError> {
    let bytes = path.as_os_str().as_bytes();
    no_control(bytes)?;
    if bytes.is_empty() || bytes.len() >= PATH_MAX {
        return Err(ValueError::Malformed {
            text: path.to_string_lossy().into_owned(),
            expected: "a path (1 to 4095 bytes)",
        });
    }
    Ok(())
}

fn no_control(bytes: &[u8]) -> Result<(), ValueError> {
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(ValueError::ControlCharacter { text: String::from_utf8_lossy(bytes).into_owned() });
    }
    Ok(())
}

/// A program's name as a directory of `/etc` has it, without a version, or `*`.
pub(crate) fn program_name(text: &str) -> Result<&str, ValueError> {
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '+' | '.');
    if text == "*" || (text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphabetic())) {
        return Ok(text);
    }
    let expected = "a program's name without its version (java, not java-17-openjdk), or * for all";
    Err(ValueError::Malformed { text: text.to_owned(), expected })
}

/// `K=V` or `K`: the name.
pub(crate) fn variable(text: &str) -> Result<&str, ValueError> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    environment(name.as_bytes(), value.map(str::as_bytes))
        .map_err(|why| ValueError::Refused { word: text.to_owned(), why })?;
    Ok(name)
}

/// A variable that is set, or passed on, wherever it is named: what environ(7) can hold.
pub(crate) fn environment(name: &[u8], value: Option<&[u8]>) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("an environment variable has a name");
    }
    if name.contains(&b'=') {
        return Err("the name of an environment variable has no equals sign in it");
    }
    if name.contains(&0) || value.is_some_and(|value| value.contains(&0)) {
        return Err("an environment variable has no NUL byte in it");
    }
    Ok(())
}

/// A soft limit is not above its hard limit.
pub(crate) fn rlimit(limit: Rlimit) -> Result<(), ValueError> {
    match (limit.soft, limit.hard) {
        (None, Some(_)) => Err(ValueError::SoftAboveHard),
        (Some(soft), Some(hard)) if soft > hard => Err(ValueError::SoftAboveHard),
        _ => Ok(()),
    }
}

/// A time above 0, of whole `unit`s.
pub(crate) fn multiple_of(time: Duration, unit: Duration, expected: &'static str) -> Result<(), ValueError> {
    if time.is_zero() {
        return Err(ValueError::Zero);
    }
    let (nanos, max) = (time.as_nanos(), Duration::from_micros(units::MAX).as_nanos());
    if nanos > max {
        return Err(units::time_out_of_range(format!("{time:?}")));
    }
    if !nanos.is_multiple_of(unit.as_nanos()) {
        return Err(ValueError::Malformed { text: format!("{time:?}"), expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in ["belljar", "a", "a.b-c.d", "X1", &"a".repeat(64)] {
            assert!(hostname(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "a\n", "ä", "a/b", &"a".repeat(65)]
        {
            assert!(hostname(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_inside() {
        for good in ["/", "/a", "/a/b.c", "/..a", "/a..", "/...", "/ "] {
            assert!(inside(Path::new(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "./a",
            "//",
            "/a/",
            "//a",
            "/a//b",
            "/.",
            "/..",
            "/a/..",
            "/a/./b",
            "/a\0",
            "/a\nb",
            "~",
            &format!("/{}", "a".repeat(4095)),
        ] {
            assert!(inside(Path::new(bad)).is_err(), "{bad:?}");
        }
        assert!(destination(Path::new("/")).is_err());
        for bad in ["/proc", "/proc/self/fd/7", "/proc/1/cwd"] {
            assert!(cwd(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(cwd(Path::new("/process")).is_ok());
    }

    #[test]
    fn paths_of_the_host() {
        for good in ["a", "../a", "/a/../b", "./~", "a b"] {
            assert!(host_path(good).is_ok(), "{good}");
        }
        for bad in ["", "~", "~/x", "$HOME/x", "a\0", "a\n", "a\x1b[31m"] {
            assert!(host_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn variables() {
        assert_eq!(variable("A=B=C"), Ok("A"));
        assert_eq!(variable("TERM"), Ok("TERM"));
        assert_eq!(variable("EMPTY="), Ok("EMPTY"));
        assert_eq!(variable("LINES=a\nb"), Ok("LINES"));
        assert_eq!(variable("1A b-c\n=x"), Ok("1A b-c\n"));
        for bad in ["", "=", "=x", "A\0=x", "A\0", "A=x\0y"] {
            assert!(variable(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn granularity() {
        let whole = |time, unit| multiple_of(time, unit, "whole");
        let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
        assert_eq!(whole(Duration::from_millis(5), ms), Ok(()));
        assert!(matches!(whole(Duration::from_micros(1500), ms), Err(ValueError::Malformed { .. })));
        assert_eq!(whole(Duration::from_secs(60), second), Ok(()));
        assert!(matches!(whole(Duration::from_millis(1500), second), Err(ValueError::Malformed { .. })));
        assert_eq!(whole(Duration::ZERO, ms), Err(ValueError::Zero));
        assert!(matches!(whole(Duration::MAX, ms), Err(ValueError::Range { .. })));
    }
}
