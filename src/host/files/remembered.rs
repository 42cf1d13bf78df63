//! One look at each file, however often it is asked about.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::host::{FileKind, Files, Stat};

/// The view of a file system at one time: what was seen of a file once is what is said of it again, so that a
/// plan is made from one answer of the kernel's each.
#[derive(Debug)]
pub(crate) struct Remembered<'a> {
    files: &'a dyn Files,
    seen: RefCell<Seen>,
    /// The last file that was read, and how it begins.
    head: RefCell<Option<(PathBuf, Vec<u8>)>>,
}

/// What lstat(2) said: a file's, or its errno.
type Answer = Result<Stat, i32>;

#[derive(Debug, Default)]
struct Seen {
    files: Vec<(PathBuf, Answer)>,
    /// Where each is, in the order of their paths' lengths and bytes: that is found out sooner than any
    /// other.
    order: Vec<usize>,
}

impl Seen {
    /// What was said of a path; otherwise where it comes in `order`.
    fn get(&self, path: &Path) -> Result<Answer, usize> {
        let path = path.as_os_str().as_bytes();
        let by = |at: &usize| {
            let known = self.files[*at].0.as_os_str().as_bytes();
            known.len().cmp(&path.len()).then_with(|| known.cmp(path))
        };
        self.order.binary_search_by(by).map(|found| self.files[self.order[found]].1)
    }

    fn put(&mut self, at: usize, path: &Path, answer: Answer) {
        self.order.insert(at, self.files.len());
        self.files.push((path.to_owned(), answer));
    }
}

/// What is read of a file at once: the headers of a program are asked for one after the other.
const HEAD: usize = 4096;

impl<'a> Remembered<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        Self { files, seen: RefCell::default(), head: RefCell::default() }
    }
}

impl std::fmt::Debug for dyn Files + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

impl Files for Remembered<'_> {
    fn lstat(&self, path: &Path) -> io::Result<Stat> {
        let at = match self.seen.borrow().get(path) {
            Ok(seen) => return seen.map_err(io::Error::from_raw_os_error),
            Err(at) => at,
        };
        let found = self.files.lstat(path);
        let seen = match &found {
            Ok(stat) => Some(Ok(*stat)),
            Err(error) => error.raw_os_error().map(Err),
        };
        if let Some(seen) = seen {
            self.seen.borrow_mut().put(at, path, seen);
        }
        found
    }

    fn readlink(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.readlink(path)
    }

    fn filesystem(&self, path: &Path) -> io::Result<u32> {
        self.files.filesystem(path)
    }

    fn noexec(&self, path: &Path) -> io::Result<bool> {
        self.files.noexec(path)
    }

    fn mounted_below(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.files.mounted_below(path)
    }

    fn list(&self, path: &Path, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        self.files.list(path, most)
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(len);
        if to > HEAD {
            return self.files.read_at(path, offset, len);
        }
        let mut head = self.head.borrow_mut();
        let known = head.take().filter(|(known, _)| known.as_os_str() == path.as_os_str());
        let (_, bytes) = head.insert(match known {
            Some(known) => known,
            None => (path.to_owned(), self.files.read_at(path, 0, HEAD)?),
        });
        let to = to.min(bytes.len());
        Ok(bytes.get(from.min(to)..to).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::host::MemoryFiles;

    struct Counted(MemoryFiles, Cell<u32>);

    impl Files for Counted {
        fn lstat(&self, path: &Path) -> io::Result<Stat> {
            self.1.set(self.1.get() + 1);
            self.0.lstat(path)
        }

        fn readlink(&self, path: &Path) -> io::Result<PathBuf> {
            self.0.readlink(path)
        }

        fn filesystem(&self, path: &Path) -> io::Result<u32> {
            self.0.filesystem(path)
        }

        fn noexec(&self, path: &Path) -> io::Result<bool> {
            self.0.noexec(path)
        }

        fn mounted_below(&self, path: &Path) -> io::Result<Option<PathBuf>> {
            self.0.mounted_below(path)
        }

        fn list(&self, path: &Path, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
            self.0.list(path, most)
        }

        fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
            self.0.read_at(path, offset, len)
        }
    }

    #[test]
    fn what_is_read_is_what_the_file_has() {
        let long = "x".repeat(HEAD - 2) + "123456";
        let memory = MemoryFiles::new().file("/short", 0o644, "abc").file("/long", 0o644, long.as_str());
        let files = Remembered::new(&memory);
        for path in ["/short", "/long", "/short"].map(Path::new) {
            for (offset, len) in
                [(0, 2), (1, 2), (2, 9), (3, 1), (4000, 96), (4000, 97), (4094, 2), (4096, 9), (9000, 1)]
            {
                let expected = memory.read_at(path, offset, len).unwrap();
                assert_eq!(files.read_at(path, offset, len).unwrap(), expected, "{path:?} {offset} {len}");
            }
        }
        assert!(files.read_at(Path::new("/missing"), 0, 1).is_err());
    }

    #[test]
    fn each_file_is_looked_at_once() {
        let memory = MemoryFiles::new().directory("/usr/bin").file("/usr/bin/sh", 0o755, "");
        let counted = Counted(memory, Cell::new(0));
        let files = Remembered::new(&counted);
        for _ in 0..3 {
            assert_eq!(
                files.canonicalize(Path::new("/usr/bin/sh")).unwrap(),
                counted.0.canonicalize(Path::new("/usr/bin/sh")).unwrap()
            );
            let missing = files.lstat(Path::new("/usr/lib")).unwrap_err();
            assert_eq!(
                missing.raw_os_error(),
                counted.0.lstat(Path::new("/usr/lib")).unwrap_err().raw_os_error()
            );
        }
        // /usr, /usr/bin, /usr/bin/sh; and what is missing, each time if its error has no number.
        let missing = counted.0.lstat(Path::new("/usr/lib")).unwrap_err().raw_os_error();
        assert_eq!(counted.1.get(), if missing.is_some() { 4 } else { 6 });
    }
}
