//! The kernel's names for namespaces, capabilities, resource limits and error numbers.

use super::Namespace;
use super::value_error::{ValueError, word, word_for};
use crate::capability::{Capability, CapabilitySet};

const NAMESPACES: [(&str, Namespace); 8] = [
    ("user", Namespace::User),
    ("mount", Namespace::Mount),
    ("pid", Namespace::Pid),
    ("ipc", Namespace::Ipc),
    ("uts", Namespace::Uts),
    ("network", Namespace::Network),
    ("cgroup", Namespace::Cgroup),
    ("time", Namespace::Time),
];

/// A namespace by OCI's name.
pub(crate) fn namespace(text: &str) -> Result<Namespace, ValueError> {
    word(text, "namespace", &NAMESPACES)
}

/// Its name.
pub(crate) fn of_namespace(namespace: Namespace) -> &'static str {
    word_for(&NAMESPACES, &namespace)
}

/// A capability with or without `CAP_`.
pub(crate) fn capability(text: &str) -> Result<Capability, ValueError> {
    crate::capability::parse(text).ok_or_else(|| {
        let known: Vec<String> = CapabilitySet::NAMED.names().collect();
        let bare = text.strip_prefix("CAP_").unwrap_or(text);
        let near = crate::text::nearest(bare, known.iter().map(String::as_str));
        ValueError::Unknown {
            what: "capability",
            word: text.to_owned(),
            nearest: near.map(|near| format!("CAP_{near}")),
        }
    })
}

/// Resource limits (`getrlimit(2)`) that a profile sets by name, with what they count.
#[rustfmt::skip] // A list of words.
pub const RLIMITS: [&str; 14] = [
    "as", "core", "data", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
];

/// A resource limit's name as [`RLIMITS`] has it; `RLIMIT_NOFILE` is understood too.
pub(crate) fn rlimit(text: &str) -> Result<&'static str, ValueError> {
    let bare = match text.strip_prefix("RLIMIT_") {
        Some(name) if name.bytes().all(|b| b.is_ascii_uppercase()) => name.to_ascii_lowercase(),
        _ => text.to_owned(),
    };
    let refused = |why| Err(ValueError::Refused { word: text.to_owned(), why });
    match bare.as_str() {
        "cpu" => refused("RLIMIT_CPU is limits.cpuTime"),
        "fsize" => refused("RLIMIT_FSIZE is limits.fileSize"),
        _ => RLIMITS
            .into_iter()
            .find(|n| *n == bare)
            .ok_or_else(|| ValueError::unknown(text, "resource limit", RLIMITS)),
    }
}

/// The kernel's `MAX_ERRNO`: what a filter may answer with.
const MAX_ERRNO: u64 = 4095;

/// An errno by its name or its number.
pub(crate) fn errno(text: &str) -> Result<u16, ValueError> {
    // 0 lets a call succeed that is not made, which some programs are content with.
    if text == "0" {
        return Ok(0);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let number = super::units::count(text)?;
        return u16::try_from(number)
            .ok()
            .filter(|&n| u64::from(n) <= MAX_ERRNO)
            .ok_or_else(|| ValueError::range(text, 0, MAX_ERRNO));
    }
    crate::seccomp::errno(text).ok_or_else(|| ValueError::unknown(text, "errno", []))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_by_name() {
        for text in ["CAP_NET_RAW", "NET_RAW"] {
            assert_eq!(capability(text).unwrap(), Capability::CAP_NET_RAW);
        }
        assert!(
            matches!(capability("CAP_NET_RAWW"), Err(ValueError::Unknown { nearest: Some(n), .. }) if n == "CAP_NET_RAW")
        );
        for bad in ["", "CAP_", "cap_chown", "chown", "CAP_CAP_CHOWN", "ALL", "CHOWN\n"] {
            assert!(capability(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errnos_by_name_and_number() {
        assert_eq!(errno("EPERM"), Ok(1));
        assert_eq!(errno("ENOSYS"), Ok(38));
        assert_eq!(errno("ENOTSUP"), errno("EOPNOTSUPP"));
        assert_eq!(errno("38"), Ok(38));
        assert_eq!(errno("4095"), Ok(4095));
        for bad in ["", "4096", "-1", "+1", "038", "eperm", "ENOSYSS", "99999999999999999999"] {
            assert!(errno(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn resource_limit_names() {
        assert_eq!(rlimit("nofile"), Ok("nofile"));
        assert_eq!(rlimit("RLIMIT_NOFILE"), Ok("nofile"));
        assert!(matches!(rlimit("cpu"), Err(ValueError::Refused { .. })));
        assert!(matches!(rlimit("RLIMIT_FSIZE"), Err(ValueError::Refused { .. })));
        for bad in ["", "NOFILE", "RLIMIT_nofile", "nofiles", "no file"] {
            assert!(matches!(rlimit(bad), Err(ValueError::Unknown { .. })), "{bad}");
        }
    }
}
