//! The primitives that open and make places, while another process exchanges a directory on the way for a
//! symlink or for another directory (CVE-2021-30465, CVE-2024-45310; rename(2) `RENAME_EXCHANGE`).

use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::tree;
use super::*;
use crate::plan::{Source, Via};

/// How often each primitive is raced.
const RACES: usize = 100_000;

/// How long a race may go on for until both ways have been seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts how often `attempt` succeeds and is refused: `races` times, and on a busy machine until there was
/// one of each.
fn race(races: usize, mut attempt: impl FnMut(usize) -> bool) -> (usize, usize) {
    let (until, mut succeeded, mut refused) = (Instant::now() + PATIENCE, 0, 0);
    for n in 0.. {
        let seen = succeeded > 0 && refused > 0;
        if n >= races && (seen || Instant::now() > until) {
            break;
        }
        *(if attempt(n) { &mut succeeded } else { &mut refused }) += 1;
    }
    assert!(succeeded > 0 && refused > 0, "{succeeded} times, {refused} times refused: no race");
    (succeeded, refused)
}

/// Exchanges two paths as fast as it can until it is dropped.
struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(one: &Path, other: &Path) -> Self {
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&swaps));
        let (one, other) = (c_path(one), c_path(other));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // SAFETY: two C strings and numbers.
                let done = unsafe {
                    libc::syscall(
                        libc::SYS_renameat2,
                        libc::AT_FDCWD,
                        one.as_ptr(),
                        libc::AT_FDCWD,
                        other.as_ptr(),
                        libc::RENAME_EXCHANGE,
                    )
                };
                assert_eq!(done, 0, "renameat2: {}", Errno::last());
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }

    fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the swapper");
        }
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path")
}

/// `root/sub` with a file, `root/other` to exchange it for, and `victim`, which must not be reached.
struct Scene {
    _dir: tempfile::TempDir,
    base: PathBuf,
}

/// What `root/other` is.
#[derive(Debug, Clone, Copy)]
enum Other {
    /// A symlink to the victim by its absolute path.
    Absolute,
    /// A symlink to the victim by `..`.
    Relative,
    /// Another directory that looks the same.
    Directory,
}

impl Scene {
    fn new(other: Other) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let base = dir.path().canonicalize().expect("its path");
        for directory in ["root/sub", "victim"] {
            std::fs::create_dir_all(base.join(directory)).expect("a directory");
            std::fs::write(base.join(directory).join("file"), directory).expect("a file");
        }
        let path = base.join("root/other");
        match other {
            Other::Absolute => std::os::unix::fs::symlink(base.join("victim"), path).expect("a symlink"),
            Other::Relative => std::os::unix::fs::symlink("../victim", path).expect("a symlink"),
            Other::Directory => {
                std::fs::create_dir(&path).expect("a directory");
                std::fs::write(path.join("file"), "another").expect("a file");
            }
        }
        Self { _dir: dir, base }
    }

    fn swapper(&self) -> Swapper {
        Swapper::start(&self.base.join("root/sub"), &self.base.join("root/other"))
    }

    fn root(&self) -> OwnedFd {
        sys::open_without_symlinks(&c_path(&self.base.join("root")), OFlag::O_PATH).expect("the root")
    }

    fn identity(&self, path: &str) -> (u64, u64) {
        let metadata = std::fs::metadata(self.base.join(path)).expect("a file");
        (metadata.dev(), metadata.ino())
    }

    fn entries(&self, directory: &str) -> BTreeSet<OsString> {
        let list = std::fs::read_dir(self.base.join(directory)).expect("a directory");
        list.map(|entry| entry.expect("an entry").file_name()).collect()
    }
}

#[test]
fn a_plain_open_does_lose_the_race() {
    let scene = Scene::new(Other::Absolute);
    let (victim, right) = (scene.identity("victim/file"), scene.identity("root/sub/file"));
    let _swapper = scene.swapper();
    let path = scene.base.join("root/sub/file");
    // Succeeds both ways, or the other tests here prove nothing.
    race(1000, |_| {
        let found = std::fs::File::open(&path).map(|file| identity(&file).expect("fstat"));
        assert!(found.as_ref().map_or(true, |found| [victim, right].contains(found)));
        found.is_ok_and(|found| found == victim)
    });
}

#[test]
fn places_below_the_root_are_never_reached_through_a_symlink() {
    for other in [Other::Absolute, Other::Relative] {
        let scene = Scene::new(other);
        let (right, root) = (scene.identity("root/sub/file"), scene.root());
        let swapper = scene.swapper();
        let (opened, refused) = race(RACES, |_| {
            let fd = open(root.as_fd(), c"/sub/file");
            let found = fd.map(|fd| identity(&fd).expect("fstat"));
            assert!(found.map_or(true, |found| found == right), "{other:?}: the victim was opened");
            found.is_ok()
        });
        println!("{other:?}: {opened} opened, {refused} refused, {} exchanges", swapper.swaps());
    }
}

#[test]
fn a_source_is_the_file_of_the_plan_or_an_error() {
    for other in [Other::Absolute, Other::Directory] {
        let scene = Scene::new(other);
        let (device, inode) = scene.identity("root/sub/file");
        let path = c_path(&scene.base.join("root/sub/file"));
        let source = Source { path, device, inode, directory: false, slave: false, via: Via::Path };
        let swapper = scene.swapper();
        let (right, refused) = race(RACES, |_| {
            let Ok(fd) = sys::open_without_symlinks(&source.path, OFlag::O_PATH) else { return false };
            if tree::check(&fd, &source).is_err() {
                return false;
            }
            assert_eq!(identity(&fd).expect("fstat"), (device, inode), "{other:?}");
            true
        });
        println!("{other:?}: {right} right, {refused} refused, {} exchanges", swapper.swaps());
    }
}

#[test]
fn nothing_is_made_behind_a_symlink() {
    for other in [Other::Absolute, Other::Relative] {
        let scene = Scene::new(other);
        let (before, root) = (scene.entries("victim"), scene.root());
        let swapper = scene.swapper();
        let (made, refused) = race(RACES / 10, |n| {
            let path = CString::new(format!("/sub/{}/deep", n % 500)).expect("a path");
            mount_point(root.as_fd(), &path, n % 2 == 0).is_ok()
        });
        println!("{other:?}: {made} made, {refused} refused, {} exchanges", swapper.swaps());
        drop(swapper);
        assert_eq!(scene.entries("victim"), before, "{other:?}: something was made in the victim");
    }
}
