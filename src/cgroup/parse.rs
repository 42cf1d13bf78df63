//! The kernel's texts about control groups, as they are: pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::Version;
use crate::text::unescape_octal;

/// A line of `/proc/PID/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    /// 0 is v2.
    pub(super) hierarchy: u32,
    pub(super) controllers: Vec<String>,
    pub(super) path: PathBuf,
}

/// A mounted tree, of `/proc/PID/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) version: Version,
    /// The group that is at the mount point.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
    /// v1: the controllers are among them.
    pub(super) options: Vec<String>,
}

/// `/proc/self/cgroup`: `ID:CONTROLLER,…:PATH`
pub(super) fn memberships(text: &[u8]) -> Vec<Membership> {
    lines(text)
        .filter_map(|line| {
            let mut fields = line.splitn(3, |&b| b == b':');
            let hierarchy = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let controllers = words(fields.next()?);
            let path = fields.next().filter(|path| path.first() == Some(&b'/'))?;
            Some(Membership { hierarchy, controllers, path: of_bytes(path.to_vec()) })
        })
        .collect()
}

/// `/proc/self/mountinfo`: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE OPTIONS`. Of
/// mounts over each other at one point only the last can be reached.
pub(super) fn mounts(text: &[u8]) -> Vec<Mounted> {
    let mut all: Vec<Mounted> = Vec::new();
    for line in lines(text) {
        let mut fields = line.split(|&b| b == b' ');
        let (Some(root), Some(point)) = (fields.nth(3), fields.next()) else { continue };
        let point = of_bytes(unescape_octal(point));
        all.retain(|mounted| !mounted.point.starts_with(&point));
        let mut kind = fields.skip_while(|field| *field != b"-").skip(1);
        let version = match kind.next() {
            Some(b"cgroup") => Version::V1,
            Some(b"cgroup2") => Version::V2,
            _ => continue,
        };
        let options = words(kind.nth(1).unwrap_or_default());
        all.push(Mounted { version, root: of_bytes(unescape_octal(root)), point, options });
    }
    all
}

/// The number after a key, or the whole of a text of one number.
pub(crate) fn number(text: &str, key: &str) -> Option<u64> {
    if key.is_empty() {
        return text.trim().parse().ok();
    }
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The sum of what follows `key=` in every line: `8:0 rbytes=1 wbytes=2`.
pub(super) fn sum(text: &str, key: &str) -> u64 {
    text.split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// The sum of the numbers in v1's lines of a device, a word and a number: `8:0 Read 4096`.
pub(super) fn sum_after(text: &str, word: &str) -> u64 {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            (words.next()? == word).then(|| words.next()?.parse::<u64>().ok())?
        })
        .fold(0, u64::saturating_add)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').filter(|line| !line.is_empty())
}

fn words(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn of_bytes(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_of_v1_v2_and_both() {
        let text = b"9:name=systemd:/\n4:memory:/a/b:c\n3:cpu,cpuacct:/x y\n0::/user.slice\nnonsense\n:::\n7:pids:relative\n";
        let found = memberships(text);
        let seen: Vec<_> = found
            .iter()
            .map(|m| (m.hierarchy, m.controllers.join("+"), m.path.to_str().expect("UTF-8")))
            .collect();
        let expected = [
            (9, "name=systemd".to_owned(), "/"),
            (4, "memory".to_owned(), "/a/b:c"),
            (3, "cpu+cpuacct".to_owned(), "/x y"),
            (0, String::new(), "/user.slice"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn mounted_trees() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro,nosuid master:9 shared:2 - cgroup cgroup rw,memory\n\
            32 31 0:29 / /cg\\040x/cpu rw - cgroup cpu rw,cpu,cpuacct\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            42 31 0:39 / /proc rw - proc proc rw\n43 1 bad\n";
        let found = mounts(text);
        let points: Vec<_> = found.iter().map(|m| m.point.to_str().expect("UTF-8")).collect();
        assert_eq!(points, ["/sys/fs/cgroup/memory", "/cg x/cpu", "/sys/fs/cgroup/unified"]);
        assert_eq!(found[0].root.to_str(), Some("/docker/1"));
        assert_eq!(found[1].options, ["rw", "cpu", "cpuacct"]);
        assert_eq!(found[2].version, Version::V2);
    }

    #[test]
    fn what_is_mounted_over_is_out_of_reach() {
        let text = b"1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n2 1 0:2 / /sys rw - tmpfs tmpfs rw\n";
        assert_eq!(mounts(text), []);
    }

    #[test]
    fn numbers_by_their_keys() {
        let events = "low 0\noom 3\noom_kill 2\n";
        assert_eq!(number(events, "oom"), Some(3));
        assert_eq!(number(events, "oom_kill"), Some(2));
        assert_eq!(number(events, "oom_"), None);
        assert_eq!(number("17\n", ""), Some(17));
        assert_eq!(number("max\n", ""), None);
        assert_eq!(sum_after("8:0 Read 1\n8:0 Write 7\n8:16 Read 10\n8:0 Read\nTotal 18\n", "Read"), 11);
        assert_eq!(sum("8:0 rbytes=1 wbytes=2\n8:16 rbytes=10 wbytes=x\n", "rbytes"), 11);
    }
}
