//! The kernel's names for capabilities, resource limits and error numbers.

use super::ValueError;
use super::reader::unknown;

/// Capabilities (`linux/capability.h`), without `CAP_`; the index is the number.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A capability with or without `CAP_`, as [`CAPABILITIES`] has it.
pub(crate) fn capability(text: &str) -> Result<&'static str, ValueError> {
    let bare = text.strip_prefix("CAP_").unwrap_or(text);
    CAPABILITIES.into_iter().find(|name| *name == bare).ok_or_else(|| {
        match crate::text::nearest(bare, CAPABILITIES) {
            Some(near) => ValueError::Unknown {
                what: "capability",
                word: text.to_owned(),
                nearest: Some(format!("CAP_{near}")),
            },
            None => ValueError::Unknown { what: "capability", word: text.to_owned(), nearest: None },
        }
    })
}

/// Resource limits (`getrlimit(2)`) that a profile sets by name, with what they count.
pub const RLIMITS: [&str; 14] = [
    "as",
    "core",
    "data",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
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
        _ => RLIMITS.into_iter().find(|n| *n == bare).ok_or_else(|| unknown(text, "resource limit", RLIMITS)),
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
            .ok_or_else(|| ValueError::Range { text: text.to_owned(), min: 0, max: MAX_ERRNO });
    }
    crate::seccomp::errno(text).ok_or_else(|| unknown(text, "errno", []))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_in_the_kernels_order() {
        // linux/capability.h
        for (number, name) in [
            (0, "CHOWN"),
            (7, "SETUID"),
            (12, "NET_ADMIN"),
            (21, "SYS_ADMIN"),
            (31, "SETFCAP"),
            (40, "CHECKPOINT_RESTORE"),
        ] {
            assert_eq!(CAPABILITIES[number], name);
        }
        assert_eq!(capability("CAP_NET_RAW"), Ok("NET_RAW"));
        assert_eq!(capability("NET_RAW"), Ok("NET_RAW"));
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
