//! What is at which path inside: a sorted list, in which also the nearest above a path is found.

use crate::host::plain::{PlainPath, PlainPathBuf};

/// Something at each of some paths, in the order of the paths: parents before children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places<T>(Vec<(PlainPathBuf, T)>);

impl<T> Places<T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// In the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (PlainPath<'_>, &T)> {
        self.0.iter().map(|(path, value)| (path.plain(), value))
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// What is at `path`, or is from now on.
    pub fn get_or_insert(&mut self, path: PlainPath<'_>, new: T) -> &mut T {
        let at = match self.position(path) {
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
        match self.position(path.plain()) {
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
        loop {
            path = match self.position(path) {
                Ok(_) if Some(path) == except => path.parent()?,
                Ok(at) => return self.0.get(at).map(|(path, value)| (path.plain(), value)),
                // Whatever lies between a path and one above it is below the latter, too.
                Err(at) => path.shared(self.0.get(at.checked_sub(1)?)?.0.plain()),
            }
        }
    }

    /// Whether there is something below `path`.
    pub fn has_below(&self, path: PlainPath<'_>) -> bool {
        let after = self.position(path).map_or_else(|at| at, |at| at + 1);
        self.0.get(after).is_some_and(|(next, _)| next.plain().is_in(path))
    }

    fn position(&self, path: PlainPath<'_>) -> Result<usize, usize> {
        // Much is put in, and asked for, in order.
        match self.0.last().map(|(last, _)| last.plain().cmp(&path)) {
            None | Some(std::cmp::Ordering::Less) => Err(self.0.len()),
            _ => self.0.binary_search_by(|(at, _)| at.plain().cmp(&path)),
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

            let expected = model.get(path).copied().unwrap_or(-1);
            prop_assert_eq!(*places.get_or_insert(plain(path), -1), expected);
            prop_assert!(places.iter().any(|(at, n)| at.path() == path && *n == expected));
            prop_assert_eq!(places.iter().count(), model.len() + usize::from(!model.contains_key(path)));
        }
    }
}
