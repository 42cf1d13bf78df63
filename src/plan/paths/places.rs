//! What is at which path inside: a sorted list, in which also the nearest above a path is found.

use crate::host::plain::{PlainPath, PlainPathBuf};

/// Something at each of some paths, in the order of the paths: parents before children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places<T>(Vec<(PlainPathBuf, T)>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Entry<'a, T> {
    pub path: PlainPath<'a>,
    pub value: &'a T,
    /// The nearest above it.
    pub above: Option<(PlainPath<'a>, &'a T)>,
    /// Whether there is something below it.
    pub has_below: bool,
}

impl<T> Places<T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// In the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (PlainPath<'_>, &T)> {
        self.0.iter().map(|(path, value)| (path.plain(), value))
    }

    /// In the order of the paths, each with its neighbours.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_, T>> {
        let mut open: Vec<(PlainPath<'_>, &T)> = Vec::new();
        self.iter().enumerate().map(move |(at, (path, value))| {
            while open.pop_if(|(above, _)| !path.is_in(*above)).is_some() {}
            let above = open.last().copied();
            open.push((path, value));
            let has_below = self.0.get(at + 1).is_some_and(|(next, _)| next.plain().is_in(path));
            Entry { path, value, above, has_below }
        })
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// What is at `path`, or is from now on.
    pub fn get_or_insert(&mut self, path: PlainPath<'_>, new: T) -> &mut T {
        let at = match self.search(path) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (path.to_buf(), new));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Puts something at `path`, in place of what was there.
    pub fn insert(&mut self, path: PlainPathBuf, value: T) {
        match self.search(path.plain()) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (path, value)),
        }
    }

    /// What is at `path` or the nearest above it, and where; `except` is looked past.
    pub fn nearest(
        &self,
        mut path: PlainPath<'_>,
        except: Option<PlainPath<'_>>,
    ) -> Option<(PlainPath<'_>, &T)> {
        let mut list = self.up_to(path);
        loop {
            let ((at, value), before) = list.split_last()?;
            // All paths between a path and one above it are below the latter, too.
            path = path.shared(at.plain());
            if path != at.plain() {
                list = &before[..before.partition_point(|(at, _)| at.plain() <= path)];
            } else if Some(path) == except {
                (path, list) = (path.parent()?, before);
            } else {
                return Some((at.plain(), value));
            }
        }
    }

    /// Whether there is something below `path`.
    pub fn has_below(&self, path: PlainPath<'_>) -> bool {
        let next = self.0.get(self.up_to(path).len());
        next.is_some_and(|(next, _)| next.plain().is_in(path))
    }

    /// Those that come no later than `path`.
    fn up_to(&self, path: PlainPath<'_>) -> &[(PlainPathBuf, T)] {
        // Every walk starts at the root.
        let root = path.is_root().then(|| self.0.iter().take_while(|(at, _)| at.plain().is_root()).count());
        let end = root.unwrap_or_else(|| self.0.partition_point(|(at, _)| at.plain() <= path));
        &self.0[..end]
    }

    /// Where `path` is, or would be.
    fn search(&self, path: PlainPath<'_>) -> Result<usize, usize> {
        match self.0.last() {
            // Most are put in in order.
            Some((last, _)) if last.plain() >= path => {
                self.0.binary_search_by(|(at, _)| at.plain().cmp(&path))
            }
            _ => Err(self.0.len()),
        }
    }
}

impl<T> FromIterator<(PlainPathBuf, T)> for Places<T> {
    fn from_iter<I: IntoIterator<Item = (PlainPathBuf, T)>>(all: I) -> Self {
        let mut places = Self::new();
        places.extend(all);
        places
    }
}

impl<T> Extend<(PlainPathBuf, T)> for Places<T> {
    fn extend<I: IntoIterator<Item = (PlainPathBuf, T)>>(&mut self, all: I) {
        for (path, value) in all {
            self.insert(path, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "(/[ab!]{1,2}){1,4}|/";

    proptest! {
        #[test]
        fn it_is_as_a_map_by_std_paths(
            all in proptest::collection::vec((PATH, 0..100), 0..16),
            path in PATH,
            except in proptest::option::of(PATH),
        ) {
            let model: BTreeMap<PathBuf, i32> = all.iter().map(|(path, n)| (PathBuf::from(path), *n)).collect();
            let mut places: Places<i32> =
                all.iter().map(|(path, n)| (PlainPathBuf::from(PathBuf::from(path)), *n)).collect();
            prop_assert!(places.iter().map(|(path, n)| (path.path(), n)).eq(model.iter().map(|(path, n)| (path.as_path(), n))));
            prop_assert!(places.values().eq(model.values()));

            let (path, except) = (Path::new(&path), except.as_deref().map(Path::new));
            let plain = |path| PlainPath::new(path).unwrap();
            let nearest = path.ancestors().filter(|at| Some(*at) != except).find_map(|at| model.get_key_value(at));
            prop_assert_eq!(
                places.nearest(plain(path), except.map(plain)).map(|(at, n)| (at.path(), n)),
                nearest.map(|(at, n)| (at.as_path(), n))
            );
            let below = model.keys().any(|at| at != path && at.starts_with(path));
            prop_assert_eq!(places.has_below(plain(path)), below);

            for Entry { path: at, value, above, has_below } in places.entries() {
                prop_assert_eq!(model.get(at.path()), Some(value));
                prop_assert_eq!(above, places.nearest(at, Some(at)));
                prop_assert_eq!(has_below, places.has_below(at));
            }

            let expected = model.get(path).copied().unwrap_or(-1);
            prop_assert_eq!(*places.get_or_insert(plain(path), -1), expected);
            prop_assert!(places.iter().any(|(at, n)| at.path() == path && *n == expected));
            prop_assert_eq!(places.iter().count(), model.len() + usize::from(!model.contains_key(path)));
        }
    }
}
