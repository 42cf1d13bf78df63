//! Small files of `/proc` and `/sys`, read with a bound.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No reading that is asked for here is longer; `mountinfo` of a busy host is the longest.
const LIMIT: u64 = 1 << 20;

/// The file's text without the newline at its end; `None` where it is missing or cannot be read.
pub(crate) fn text(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches(['\n', '\0']).to_owned())
}

/// The file's text as a number.
#[cfg(feature = "doctor")]
pub(crate) fn number(path: impl AsRef<Path>) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// The value of a `Key:\tvalue` line, as in `/proc/self/status`.
pub(crate) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Seccomp:\t2\nSeccomp_filters:\t3\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "Seccomp_filters"), Some("3"));
        assert_eq!(field(status, "Sec"), None);
    }

    #[test]
    fn a_missing_file_is_a_value() {
        assert_eq!(text("/nonexistent/file"), None);
        assert_eq!(number("/proc/self/status"), None);
        assert!(number("/proc/sys/kernel/pid_max").is_some());
    }
}
