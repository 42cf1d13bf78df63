//! The way that a path leads, part by part.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

    proptest! {
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
