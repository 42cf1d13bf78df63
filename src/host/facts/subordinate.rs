//! The subordinate ids of an ordinary user: /etc/subuid and /etc/subgid (subuid(5)), and the programs that
//! map them.

use std::fs::File;
use std::io::Read;

use nix::errno::Errno;
use nix::unistd::{Uid, User};

/// The set-user-ID programs that map them (newuidmap(1)), by their absolute path: `PATH` is not to be
/// trusted.
pub(crate) const NEWUIDMAP: &str = "/usr/bin/newuidmap";
/// The same for groups.
pub(crate) const NEWGIDMAP: &str = "/usr/bin/newgidmap";

const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";
/// More than any host with a login for each of its users has.
const MAX_FILE: u64 = 4 << 20;
/// More than any user has.
const MAX_RANGES: usize = 64;

/// What an ordinary user may map besides its own ids.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Subordinate {
    /// User ids, in the order of the file: at least one range, none over another.
    pub users: Vec<SubordinateRange>,
    /// Group ids.
    pub groups: Vec<SubordinateRange>,
}

/// Ids that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct SubordinateRange {
    /// The first.
    pub first: u32,
    /// How many there are, at least one; none is above 4294967294.
    pub count: u32,
}

impl SubordinateRange {
    /// The last + 1.
    fn end(self) -> u64 {
        u64::from(self.first) + u64::from(self.count)
    }

    fn overlaps(self, other: Self) -> bool {
        u64::from(self.first) < other.end() && u64::from(other.first) < self.end()
    }

    /// Whether all of `count` ids from `first` on are in it.
    #[must_use]
    pub fn holds(self, first: u32, count: u32) -> bool {
        self.first <= first && u64::from(first) + u64::from(count) <= self.end()
    }
}

/// Why a user has no subordinate ids to map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubordinateError {
    /// The programs are missing.
    #[error("{path} is not there")]
    NoProgram {
        /// The program.
        path: &'static str,
    },
    /// The file has no range for the user.
    #[error("{file} has no range for {user}")]
    NoRange {
        /// The file.
        file: &'static str,
        /// The user's name or, where it has none, its number.
        user: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: &'static str,
        /// Why.
        source: Errno,
    },
    /// The file is too large, or has too many ranges for the user.
    #[error("{file} has more than {limit} {of}")]
    TooMuch {
        /// The file.
        file: &'static str,
        /// Of what.
        of: &'static str,
        /// How much is read.
        limit: u64,
    },
    /// A line for the user is not `NAME:FIRST:COUNT`, with ids from 1 to 4294967294.
    #[error("line {line} of {file} is not NAME:FIRST:COUNT with ids of 1 to 4294967294")]
    Malformed {
        /// The file.
        file: &'static str,
        /// The number of the line.
        line: usize,
    },
    /// A range has ids that are another user's, or are there twice.
    #[error("line {line} of {file} has ids that are also {whose}")]
    Overlap {
        /// The file.
        file: &'static str,
        /// The number of the line.
        line: usize,
        /// Whose they are, too.
        whose: String,
    },
}

impl SubordinateError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoProgram { .. } => {
                "install it (package uidmap of Debian and Ubuntu, shadow-utils of others)".to_owned()
            }
            Self::NoRange { user, .. } => format!(
                "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}; another range, if that one is \
                 another user's already"
            ),
            Self::Read { file, .. } => format!("{file} must be readable to all: chmod 644 {file}"),
            Self::TooMuch { file, .. } | Self::Malformed { file, .. } | Self::Overlap { file, .. } => {
                format!("correct {file} as root (subuid(5)), or name the ranges with --uidmap and --gidmap")
            }
        }
    }
}

impl Subordinate {
    /// Those of a user of this host.
    pub(crate) fn find(uid: u32) -> Result<Self, SubordinateError> {
        for path in [NEWUIDMAP, NEWGIDMAP] {
            match std::fs::metadata(path) {
                Ok(data) if data.is_file() => {}
                _ => return Err(SubordinateError::NoProgram { path }),
            }
        }
        // Without a name in the account database the files may have its number.
        let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        let read = |file| ranges(file, &read(file)?, name.as_deref(), uid);
        Ok(Self { users: read(SUBUID)?, groups: read(SUBGID)? })
    }
}

fn read(file: &'static str) -> Result<Vec<u8>, SubordinateError> {
    let mut text = Vec::new();
    let failed = |error: std::io::Error| SubordinateError::Read {
        file,
        source: Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    let opened = match File::open(file) {
        // No range then.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(text),
        opened => opened.map_err(failed)?,
    };
    opened.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(SubordinateError::TooMuch { file, of: "bytes", limit: MAX_FILE });
    }
    Ok(text)
}

/// A user's ranges in the text of such a file. The user's own lines must be right. Those of others are only
/// looked at for ids that are theirs, too; but root may have those of everybody (as LXC's setup has them).
fn ranges(
    file: &'static str,
    text: &[u8],
    name: Option<&str>,
    uid: u32,
) -> Result<Vec<SubordinateRange>, SubordinateError> {
    let number = uid.to_string();
    let is_users = |owner: &[u8]| owner == number.as_bytes() || name.is_some_and(|n| owner == n.as_bytes());
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line_number = at + 1;
        let mut fields = line.split(|byte| *byte == b':');
        let owner = fields.next().unwrap_or_default();
        let range = range(fields);
        if is_users(owner) {
            let range = range.ok_or(SubordinateError::Malformed { file, line: line_number })?;
            own.push((line_number, range));
            if own.len() > MAX_RANGES {
                let limit = MAX_RANGES as u64;
                return Err(SubordinateError::TooMuch { file, of: "ranges for one user", limit });
            }
        } else if let Some(range) = range
            && owner != b"root"
            && owner != b"0"
        {
            others.push((owner, range));
        }
    }
    for (at, (line, range)) in own.iter().enumerate() {
        let line = *line;
        let overlap = |whose: String| Err(SubordinateError::Overlap { file, line, whose });
        if range.holds(uid, 1) {
            return overlap("the user's own".to_owned());
        }
        if own.iter().take(at).any(|(_, earlier)| range.overlaps(*earlier)) {
            return overlap("in an earlier line of the user's".to_owned());
        }
        if let Some((owner, _)) = others.iter().find(|(_, other)| range.overlaps(*other)) {
            return overlap(format!("{}'s", owner.escape_ascii()));
        }
    }
    if own.is_empty() {
        let user = name.map_or(number, str::to_owned);
        return Err(SubordinateError::NoRange { file, user });
    }
    Ok(own.into_iter().map(|(_, range)| range).collect())
}

/// `FIRST:COUNT`, without the host's root and without the number that is no id.
fn range<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Option<SubordinateRange> {
    let mut number = || {
        let field = std::str::from_utf8(fields.next()?).ok()?;
        if !field.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        field.parse::<u32>().ok().filter(|number| *number > 0)
    };
    let (first, count) = (number()?, number()?);
    let range = SubordinateRange { first, count };
    (fields.next().is_none() && range.end() <= u64::from(u32::MAX)).then_some(range)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "/etc/subuid";

    fn of(text: &str) -> Result<Vec<SubordinateRange>, SubordinateError> {
        ranges(FILE, text.as_bytes(), Some("me"), 1000)
    }

    fn some(ranges: &[(u32, u32)]) -> Result<Vec<SubordinateRange>, SubordinateError> {
        Ok(ranges.iter().map(|&(first, count)| SubordinateRange { first, count }).collect())
    }

    #[test]
    fn a_user_has_the_ranges_of_its_name_and_of_its_number() {
        assert_eq!(of("me:100000:65536\n"), some(&[(100_000, 65_536)]));
        assert_eq!(
            of("you:1:5\nme:300000:1\n# me:5:5\n\n1000:400000:7"),
            some(&[(300_000, 1), (400_000, 7)])
        );
        // Root's lines may be over those of others.
        assert_eq!(of("root:100000:65536\nme:100000:65536\n"), some(&[(100_000, 65_536)]));
        assert_eq!(of("me:4294967294:1"), some(&[(u32::MAX - 1, 1)]));
        assert_eq!(ranges(FILE, b"1000:5:5", None, 1000), some(&[(5, 5)]));
    }

    #[test]
    fn a_file_without_a_range_says_for_whom() {
        let none = |user: &str| Err(SubordinateError::NoRange { file: FILE, user: user.to_owned() });
        for text in ["", "\n", "you:100000:65536\n", "mee:1:1\nm:2:2\n:3:3", "me", "meme:5:5"] {
            if text != "me" {
                assert_eq!(of(text), none("me"), "{text:?}");
            }
        }
        assert_eq!(ranges(FILE, b"", None, 1000), none("1000"));
    }

    #[test]
    fn lines_that_are_none_are_refused() {
        for line in [
            "me",
            "me:",
            "me::",
            "me:5",
            "me:5:",
            "me:5:0",
            "me:0:5",
            "me:5:5:5",
            "me:-5:5",
            "me:+5:5",
            "me:5:5 ",
            "me: 5:5",
            "me:0x5:5",
            "me:4294967295:1",
            "me:4294967294:2",
            "me:1:4294967295",
            "me:5:99999999999999999999",
            "me:5:5\r",
        ] {
            let found = of(&format!("you:1:1\n{line}\n"));
            assert_eq!(found, Err(SubordinateError::Malformed { file: FILE, line: 2 }), "{line:?}");
        }
        // Those of others are not looked at.
        assert_eq!(of("you:5\n\u{0}\nyou:9:99999999999\nme:5:5"), some(&[(5, 5)]));
    }

    #[test]
    fn ids_that_are_also_anothers_are_refused() {
        for (text, line, whose) in [
            ("me:999:2", 1, "the user's own"),
            ("me:2000:5\nme:2004:1", 2, "in an earlier line of the user's"),
            ("me:2000:5\nyou:2004:9", 1, "you's"),
            ("y\u{7}u:1:4000\nme:2000:5", 2, "y\\x07u's"),
        ] {
            let whose = whose.to_owned();
            assert_eq!(of(text), Err(SubordinateError::Overlap { file: FILE, line, whose }), "{text:?}");
        }
        // Side by side.
        assert_eq!(of("me:2000:5\nyou:2005:9\nhim:1999:1"), some(&[(2000, 5)]));
    }

    #[test]
    fn a_user_with_more_ranges_than_any_is_refused() {
        let text: String = (0..=MAX_RANGES).map(|n| format!("me:{}:1\n", 2000 + n)).collect();
        assert!(matches!(of(&text), Err(SubordinateError::TooMuch { limit: 64, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_is_found_is_sound_whatever_the_file(
            text in r"((me|you|root|1000|0|)(:(0|1|5|999|1000|100000|4294967294|4294967295|4294967296|x|)){0,3}\n?){0,6}",
        ) {
            let Ok(found) = of(&text) else { return Ok(()) };
            prop_assert!(!found.is_empty());
            for (at, range) in found.iter().enumerate() {
                prop_assert!(range.first > 0 && range.count > 0 && range.end() <= u64::from(u32::MAX));
                prop_assert!(!range.holds(1000, 1));
                prop_assert!(found.iter().skip(at + 1).all(|other| !range.overlaps(*other)));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(ranges(FILE, &text, Some("me"), 1000));
        }
    }
}
