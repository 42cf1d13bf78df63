//! Paths that are written the one way, and so compared by their bytes: `std::path` takes a path to its parts each time that it compares
//! one, and a plan compares thousands.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// An absolute path without `//`, `.` parts and a slash at its end. (`..` is a part like any other here, as it is to `Path`.)
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
    pub(crate) const MQUEUE: PlainPath<'static> = PlainPath(b"/dev/mqueue");
    pub(crate) const SHM: PlainPath<'static> = PlainPath(b"/dev/shm");
    pub(crate) const PROC: PlainPath<'static> = PlainPath(b"/proc");
    pub(crate) const TMP: PlainPath<'static> = PlainPath(b"/tmp");

    /// `path`, if it is written so.
    #[cfg(test)]
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

    /// The folder that it is in; `None` of the root.
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

    /// What leads from `above` to it, nothing where they are the same; `None` where it is neither `above` nor below it.
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
        let same = self.0.iter().zip(other.0).take_while(|(a, b)| a == b).count();
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
        match self.0.iter().zip(other.0).find(|(a, b)| a != b) {
            // A part ends at a slash: it comes before every longer one.
            Some((a, b)) => (*a != b'/', a).cmp(&(*b != b'/', b)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for PlainPath<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PlainPathBuf {
    pub(crate) fn root() -> Self {
        Self(b"/".to_vec())
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

    /// Goes from a symlink to where its target starts: to the root, or to the folder that it is in.
    pub(crate) fn lead(&mut self, target: &Path) {
        if target.is_absolute() { self.0.truncate(1) } else { self.pop() }
    }
}

impl From<PathBuf> for PlainPathBuf {
    /// An absolute path, written plainly.
    fn from(path: PathBuf) -> Self {
        debug_assert!(path.is_absolute(), "{path:?}");
        let bytes = path.into_os_string().into_vec();
        if is_plain(&bytes) {
            return Self(bytes);
        }
        let path: PathBuf = Path::new(OsStr::from_bytes(&bytes)).components().collect();
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

fn is_plain(path: &[u8]) -> bool {
    let plain = |part: &[u8]| !part.is_empty() && part != b".";
    match path {
        b"/" => true,
        [b'/', parts @ ..] => parts.split(|&byte| byte == b'/').all(plain),
        _ => false,
    }
}

/// The parts of a path that are still to be walked; `..` is one of them, the root and `.` are not.
#[derive(Debug)]
pub(crate) struct Steps {
    text: Vec<u8>,
    /// Where the next part starts.
    at: usize,
}

impl Steps {
    pub(crate) fn new(path: &Path) -> Self {
        let mut steps = Self { text: path.as_os_str().as_bytes().to_vec(), at: 0 };
        steps.skip();
        steps
    }

    /// Whether the last one was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.text.len()
    }

    /// Takes the next one.
    pub(crate) fn next(&mut self) -> Option<&OsStr> {
        if self.is_empty() {
            return None;
        }
        let start = self.at;
        self.at += part(&self.text[start..]).len();
        let end = self.at;
        self.skip();
        Some(OsStr::from_bytes(&self.text[start..end]))
    }

    /// Puts those of a symlink's target before what is left.
    pub(crate) fn insert(&mut self, target: &Path) {
        let mut text = target.as_os_str().as_bytes().to_vec();
        if !self.is_empty() {
            text.push(b'/');
            text.extend_from_slice(&self.text[self.at..]);
        }
        *self = Self { text, at: 0 };
        self.skip();
    }

    fn skip(&mut self) {
        loop {
            match self.text[self.at..] {
                [b'/', ..] => self.at += 1,
                [b'.'] | [b'.', b'/', ..] => self.at += 1,
                _ => return,
            }
        }
    }
}

/// How a text begins, up to a slash.
fn part(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn parts(path: &Path) -> Vec<&OsStr> {
        path.components()
            .filter(|c| !matches!(c, Component::RootDir | Component::CurDir))
            .map(|c| c.as_os_str())
            .collect()
    }

    const PLAIN: &str = "(/[ab!~0]{1,2}|/\\.[.a]a){1,4}|/";

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
        fn any_path_is_made_plain(path in "(/{1,2}[ab.]{1,2}){1,5}/?|/{1,2}") {
            let path = PathBuf::from(path);
            let same_text = path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
            prop_assert_eq!(PlainPath::new(&path).is_some(), same_text);
            let plain = PlainPathBuf::from(path.clone());
            prop_assert_eq!(PlainPath::new(plain.path()), Some(plain.plain()));
            prop_assert_eq!(plain.into_path(), path);
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

        #[test]
        fn steps_are_the_parts(path in "/?([ab.]{0,2}/{0,2}){0,5}", target in "/?([ab.]{0,2}/{0,2}){0,4}", after in 0..4_usize) {
            let (path, target) = (Path::new(&path), Path::new(&target));
            let mut expected = parts(path);
            let mut steps = Steps::new(path);
            let after = after.min(expected.len());
            for part in expected.drain(..after) {
                prop_assert_eq!(steps.next(), Some(part));
            }
            prop_assert_eq!(steps.is_empty(), expected.is_empty());
            steps.insert(target);
            for part in parts(target).into_iter().chain(expected) {
                prop_assert!(!steps.is_empty());
                prop_assert_eq!(steps.next(), Some(part));
            }
            prop_assert!(steps.is_empty());
            prop_assert_eq!(steps.next(), None);
        }
    }
}
