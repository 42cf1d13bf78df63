//! Single values that have a form of their own: paths, host names, variables, times of the kernel's
//! granularity.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Rlimit, ValueError, units};

/// `HOST_NAME_MAX`, gethostname(2).
const HOSTNAME_MAX: usize = 64;

/// `PATH_MAX` with its NUL, `linux/limits.h`.
const PATH_MAX: usize = 4096;

/// A line of text for people.
pub(crate) fn line(text: &str) -> Result<&str, ValueError> {
    if text.chars().any(char::is_control) {
        return Err(ValueError::ControlCharacter { text: text.to_owned() });
    }
    Ok(text)
}

/// A host name as hostname(7) has it: labels of letters, digits and `-` between dots, 64 characters together.
pub(crate) fn hostname(text: &str) -> Result<String, ValueError> {
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
    Ok(text.to_owned())
}

/// A path inside: absolute and normalised.
pub(crate) fn inside(text: &str) -> Result<PathBuf, ValueError> {
    inside_path(Path::new(text))
}

/// Like [`inside`], for a path that need not be UTF-8.
pub(crate) fn inside_path(path: &Path) -> Result<PathBuf, ValueError> {
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
    Ok(path.to_owned())
}

/// Where something can be mounted: like [`inside`], but not the root, which `root.path` gives.
pub(crate) fn destination(path: &Path) -> Result<PathBuf, ValueError> {
    if path == Path::new("/") {
        return Err(ValueError::Refused {
            word: "/".to_owned(),
            why: "the root is not a mount; root.path gives a directory for it",
        });
    }
    inside_path(path)
}

/// A working directory inside. `/proc` holds magic links to what is open outside (CVE-2024-21626).
pub(crate) fn cwd(text: &str) -> Result<PathBuf, ValueError> {
    cwd_path(Path::new(text))
}

/// Like [`cwd`], for a path that need not be UTF-8.
pub(crate) fn cwd_path(path: &Path) -> Result<PathBuf, ValueError> {
    let path = inside_path(path)?;
    if path.starts_with("/proc") {
        let word = path.to_string_lossy().into_owned();
        return Err(ValueError::Refused { word, why: "nothing can start in /proc" });
    }
    Ok(path)
}

/// A path of the host: relative or absolute, as it is. Nothing is expanded in it.
pub(crate) fn host_path(text: &str) -> Result<PathBuf, ValueError> {
    if text.starts_with('~') || text.starts_with('$') {
        return Err(ValueError::Refused {
            word: text.to_owned(),
            why: "'~' and '$' are not expanded; write the path out (or ./~ for a file of that name)",
        });
    }
    real_host_path(Path::new(text))
}

/// Like [`host_path`], for a path that somebody else expanded and that need not be UTF-8.
pub(crate) fn real_host_path(path: &Path) -> Result<PathBuf, ValueError> {
    let bytes = path.as_os_str().as_bytes();
    no_control(bytes)?;
    if bytes.is_empty() || bytes.len() >= PATH_MAX {
        return Err(ValueError::Malformed {
            text: path.to_string_lossy().into_owned(),
            expected: "a path (1 to 4095 bytes)",
        });
    }
    Ok(path.to_owned())
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
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || name.contains(char::is_whitespace)
    {
        return Err(ValueError::Malformed {
            text: text.to_owned(),
            expected: "an environment variable (NAME=VALUE, or NAME to pass the caller's on)",
        });
    }
    if name.chars().any(char::is_control) || text.contains('\0') {
        return Err(ValueError::ControlCharacter { text: text.to_owned() });
    }
    Ok(name)
}

/// A soft limit is not above its hard limit.
pub(crate) fn rlimit(limit: Rlimit) -> Result<Rlimit, ValueError> {
    match (limit.soft, limit.hard) {
        (None, Some(_)) => Err(ValueError::SoftAboveHard),
        (Some(soft), Some(hard)) if soft > hard => Err(ValueError::SoftAboveHard),
        _ => Ok(limit),
    }
}

/// A wall time: the supervisor counts milliseconds.
pub(crate) fn timeout(text: &str) -> Result<Duration, ValueError> {
    real_timeout(units::duration(text)?)
}

/// Like [`timeout`].
pub(crate) fn real_timeout(time: Duration) -> Result<Duration, ValueError> {
    granular(time, Duration::from_millis(1), "whole milliseconds (as in 1500ms)")
}

/// CPU time: `RLIMIT_CPU` counts seconds.
pub(crate) fn cpu_time(text: &str) -> Result<Duration, ValueError> {
    real_cpu_time(units::duration(text)?)
}

/// Like [`cpu_time`].
pub(crate) fn real_cpu_time(time: Duration) -> Result<Duration, ValueError> {
    granular(
        time,
        Duration::from_secs(1),
        "whole seconds (as in 10s), which is what the kernel counts CPU time in",
    )
}

fn granular(time: Duration, unit: Duration, expected: &'static str) -> Result<Duration, ValueError> {
    if time.is_zero() {
        return Err(ValueError::Zero);
    }
    let (nanos, max) = (time.as_nanos(), Duration::from_micros(units::MAX).as_nanos());
    if nanos > max {
        return Err(ValueError::Range { text: format!("{time:?}"), min: 1, max: units::MAX });
    }
    if !nanos.is_multiple_of(unit.as_nanos()) {
        return Err(ValueError::Malformed { text: units::show_duration(time), expected });
    }
    Ok(time)
}

/// `cpu.cfs_period_us`: the kernel takes 1 ms to 1 s.
pub(crate) fn cpu_period(text: &str) -> Result<Duration, ValueError> {
    let period = units::duration(text)?;
    if !(Duration::from_millis(1)..=Duration::from_secs(1)).contains(&period) {
        return Err(ValueError::Malformed { text: text.to_owned(), expected: "a period of 1ms to 1s" });
    }
    Ok(period)
}

/// `cpu.shares`: the kernel takes 2 to 262144.
pub(crate) fn cpu_shares(text: &str) -> Result<u64, ValueError> {
    let shares = units::count(text)?;
    if !(2..=262_144).contains(&shares) {
        return Err(ValueError::Range { text: text.to_owned(), min: 2, max: 262_144 });
    }
    Ok(shares)
}

/// Between bfq's bounds, which lie within those of `io.weight`.
pub(crate) fn io_weight(text: &str) -> Result<u64, ValueError> {
    let weight = units::count(text)?;
    if weight > 1000 {
        return Err(ValueError::Range { text: text.to_owned(), min: 1, max: 1000 });
    }
    Ok(weight)
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
            assert!(inside(good).is_ok(), "{good}");
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
            assert!(inside(bad).is_err(), "{bad:?}");
        }
        assert!(destination(Path::new("/")).is_err());
        for bad in ["/proc", "/proc/self/fd/7", "/proc/1/cwd"] {
            assert!(cwd(bad).is_err(), "{bad}");
        }
        assert!(cwd("/process").is_ok());
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
        for bad in ["", "=", "=x", "1A=x", "A B=x", "A\n=x", "A=x\0y", "A\x1b=x"] {
            assert!(variable(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn granularity() {
        assert_eq!(timeout("5ms"), Ok(Duration::from_millis(5)));
        assert!(timeout("5us").is_err());
        assert!(timeout("1500us").is_err());
        assert_eq!(timeout("2000us"), Ok(Duration::from_millis(2)));
        assert_eq!(cpu_time("1m"), Ok(Duration::from_secs(60)));
        assert!(cpu_time("1500ms").is_err());
        assert!(real_timeout(Duration::ZERO).is_err());
        assert!(real_timeout(Duration::MAX).is_err());
        assert!(cpu_period("2s").is_err());
    }
}
