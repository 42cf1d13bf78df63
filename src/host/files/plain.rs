//! Paths that are written the one way, and so compared by their bytes: `std::path` takes a path to its parts
//! each time that it compares one, and a plan compares thousands.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// An absolute path without `//`, `.` and `..` parts and a slash at its end.
///
/// The order is `Path`'s own: what is below a path comes right after it, before its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlainPath<'a>(&'a [u8]);

/// A [`PlainPath`] of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlainPathBuf(Vec<u8>);

impl<'a> PlainPath<'a> {
    pub(crate) const ROOT: PlainPath<'static> = PlainPath(b"/");
    pub(crate) const DEV: PlainPath<'static> = PlainPath(b"/dev");
    pub(crate) const LOCALTIME: PlainPath<'static> = PlainPath(b"/etc/localtime");
    pub(crate) const PROC: PlainPath<'static> = PlainPath(b"/proc");
    pub(crate) const TMP: PlainPath<'static> = PlainPath(b"/tmp");
    pub(crate) const USR: PlainPath<'static> = PlainPath(b"/usr");

    /// `path`, if it is written so.
    pub(crate) fn new(path: &'a Path) -> Option<Self> {
        let bytes = path.as_os_str().as_bytes();
        is_plain(bytes).then_some(Self(bytes))
    }

    pub(crate) fn path(self) -> &'a Path {
        Path::new(OsStr::from_bytes(self.0))
    }

    pub(crate) fn to_buf(self) -> PlainPathBuf {
        PlainPathBuf(self.0.to_vec())
    }

    pub(crate) fn is_root(self) -> bool {
        self.0 == b"/"
    }

    /// The directory that it is in; `None` of the root.
    pub(crate) fn parent(self) -> Option<Self> {
        let slash = self.0.iter().rposition(|&byte| byte == b'/')?;
        match (slash, self.0.len()) {
            (0, 0 | 1) => None,
            (0, _) => Some(PlainPath::ROOT),
            _ => Some(Self(&self.0[..slash])),
        }
    }

    /// Itself, and all that it is below, up to the root.
    pub(crate) fn ancestors(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |path| path.parent())
    }

    /// What leads from `above` to it, nothing where they are the same; `None` where it is neither `above` nor
    /// below it.
    pub(crate) fn rest(self, above: PlainPath<'_>) -> Option<&'a Path> {
        let rest = match above.0 {
            b"/" => self.0.strip_prefix(b"/")?,
            above => match self.0.strip_prefix(above)? {
                [] => &[],
                [b'/', rest @ ..] => rest,
                _ => return None,
            },
        };
        Some(Path::new(OsStr::from_bytes(rest)))
    }

    /// Whether it is `above` or below it.
    pub(crate) fn is_in(self, above: PlainPath<'_>) -> bool {
        self.rest(above).is_some()
    }

    /// The last path that both are or are below.
    pub(crate) fn shared(self, other: PlainPath<'_>) -> Self {
        let same = same_start(self.0, other.0);
        let ends = |path: &[u8]| path.len() == same || path[same] == b'/';
        if same > 1 && ends(self.0) && ends(other.0) {
            return Self(&self.0[..same]);
        }
        match self.0[..same].iter().rposition(|&byte| byte == b'/') {
            Some(slash) if slash > 0 => Self(&self.0[..slash]),
            _ => PlainPath::ROOT,
        }
    }
}

impl Ord for PlainPath<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let same = same_start(self.0, other.0);
        // A part ends at a slash: it comes before every longer one.
        let next = |path: &[u8]| path.get(same).map(|&byte| (byte != b'/', byte));
        next(self.0).cmp(&next(other.0))
    }
}

impl PartialOrd for PlainPath<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PlainPathBuf {
    pub(crate) fn root() -> Self {
        // With room for most paths that it may lead to.
        let mut path = Vec::with_capacity(64);
        path.push(b'/');
        Self(path)
    }

    pub(crate) fn plain(&self) -> PlainPath<'_> {
        PlainPath(&self.0)
    }

    pub(crate) fn path(&self) -> &Path {
        self.plain().path()
    }

    pub(crate) fn into_path(self) -> PathBuf {
        PathBuf::from(std::ffi::OsString::from_vec(self.0))
    }

    /// Goes down by one part.
    pub(crate) fn push(&mut self, part: &OsStr) {
        if !self.plain().is_root() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(part.as_bytes());
    }

    /// Goes up by one part, if there is one.
    pub(crate) fn pop(&mut self) {
        if let Some(parent) = self.plain().parent() {
            self.0.truncate(parent.0.len());
        }
    }

    /// Goes from a symlink to where its target starts: to the root, or to the directory that it is in.
    pub(crate) fn lead(&mut self, target: &Path) {
        if target.is_absolute() { self.0.truncate(1) } else { self.pop() }
    }
}

impl From<PathBuf> for PlainPathBuf {
    /// An absolute path without `..`, written plainly.
    fn from(path: PathBuf) -> Self {
        let path = if PlainPath::new(&path).is_some() { path } else { path.components().collect() };
        debug_assert!(PlainPath::new(&path).is_some(), "{path:?}");
        Self(path.into_os_string().into_vec())
    }
}

impl Ord for PlainPathBuf {
    fn cmp(&self, other: &Self) -> Ordering {
        self.plain().cmp(&other.plain())
    }
}

impl PartialOrd for PlainPathBuf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `a.cmp(b)`, which is quick where both are plain.
pub(crate) fn compare(a: &Path, b: &Path) -> Ordering {
    match (PlainPath::new(a), PlainPath::new(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// `path.starts_with(above)`, likewise.
pub(crate) fn is_in(path: &Path, above: PlainPath<'_>) -> bool {
    PlainPath::new(path).map_or_else(|| path.starts_with(above.path()), |path| path.is_in(above))
}

/// How many bytes two texts begin with alike.
fn same_start(a: &[u8], b: &[u8]) -> usize {
    let mut same = 0;
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return same + different.trailing_zeros() as usize / 8;
        }
        same += size_of::<u64>();
    }
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

fn is_plain(path: &[u8]) -> bool {
    let name = |rest: &[u8]| match rest {
        [] | [b'/', ..] => false,
        [b'.', rest @ ..] => !matches!(rest, [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..]),
        _ => true,
    };
    let plain = |at: usize| path[at] != b'/' || name(&path[at + 1..]);
    path == b"/" || (path.starts_with(b"/") && (0..path.len()).all(plain))
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "(/[ab!~0]{1,2}|/\\.[.a]a|/long-[ab]-long){1,4}|/";

    proptest! {
        #[test]
        fn plain_paths_are_as_std_has_them(a in PLAIN, b in PLAIN) {
            let (a, b) = (Path::new(&a), Path::new(&b));
            let (plain_a, plain_b) = (PlainPath::new(a).unwrap(), PlainPath::new(b).unwrap());
            prop_assert_eq!(plain_a.cmp(&plain_b), a.cmp(b));
            prop_assert_eq!(plain_a == plain_b, a == b);
            prop_assert_eq!(plain_a.is_in(plain_b), a.starts_with(b));
            prop_assert_eq!(plain_a.rest(plain_b), a.strip_prefix(b).ok());
            prop_assert_eq!(plain_a.parent().map(PlainPath::path), a.parent());
            prop_assert!(plain_a.ancestors().map(PlainPath::path).eq(a.ancestors()));
            let shared = a.ancestors().find(|at| b.starts_with(at));
            prop_assert_eq!(Some(plain_a.shared(plain_b).path()), shared);
            prop_assert_eq!(plain_a.is_root(), a == Path::new("/"));
        }

        #[test]
        fn any_path_is_made_plain(path in "(/{1,2}([ab]{1,2}|\\.|\\.a)){1,5}/?|/{1,2}") {
            let path = PathBuf::from(path);
            let same_text = path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
            prop_assert_eq!(PlainPath::new(&path).is_some(), same_text);
            let plain = PlainPathBuf::from(path.clone());
            prop_assert_eq!(PlainPath::new(plain.path()), Some(plain.plain()));
            prop_assert_eq!(plain.into_path(), path);
        }

        #[test]
        fn any_two_paths_compare_as_std_has_it(a in "(/{0,2}[a.!]{1,3}){0,4}/?", b in "(/{0,2}[a.!]{1,3}){0,4}/?") {
            prop_assert_eq!(compare(Path::new(&a), Path::new(&b)), Path::new(&a).cmp(Path::new(&b)));
            if let Some(above) = PlainPath::new(Path::new(&b)) {
                prop_assert_eq!(is_in(Path::new(&a), above), Path::new(&a).starts_with(&b));
            }
            let up = Path::new(&a).components().any(|part| part == Component::ParentDir);
            prop_assert!(!up || PlainPath::new(Path::new(&a)).is_none());
        }

        #[test]
        fn going_down_and_up_is_as_std_has_it(parts in proptest::collection::vec("[ab]{1,2}", 0..6), up in 0..8_u8) {
            let (mut plain, mut path) = (PlainPathBuf::root(), PathBuf::from("/"));
            for part in &parts {
                plain.push(OsStr::new(part));
                path.push(part);
            }
            for _ in 0..up {
                plain.pop();
                path.pop();
            }
            prop_assert_eq!(plain.path(), path);
        }
    }
}
