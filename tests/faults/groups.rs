//! A control group for the groups of limited runs, in every tree that limits are in.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, chown};

/// Where limits are written, v1 and v2.
const LIMITS: [&str; 9] = [
    "memory.max",
    "memory.swap.max",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "pids.max",
    "cpu.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
];

/// A limit's file (no two trees have the same) and what it had.
pub type Values = BTreeMap<&'static str, String>;

/// The group, removed when it is dropped.
#[derive(Debug)]
pub struct Groups {
    pub name: String,
    dirs: Vec<PathBuf>,
}

fn trees() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let v1 = ["memory", "pids", "cpu", "cpuacct"].map(|name| root.join(name));
    v1.into_iter().filter(|tree| tree.join("cgroup.procs").exists()).collect()
}

impl Groups {
    /// Makes it, the user's if there is one.
    pub fn make(name: &str, user: Option<u32>) -> std::io::Result<Groups> {
        let mut groups = Groups { name: name.to_owned(), dirs: Vec::new() };
        for tree in trees() {
            let dir = tree.join(name);
            std::fs::create_dir(&dir)?;
            groups.dirs.push(dir.clone());
            if tree.join("cgroup.controllers").exists() {
                std::fs::write(tree.join("cgroup.subtree_control"), "+memory +pids +cpu")?;
            }
            for entry in ["", "cgroup.procs", "cgroup.subtree_control"].map(|entry| dir.join(entry)) {
                if let Some(id) = user
                    && entry.exists()
                {
                    chown(&entry, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)))?;
                }
            }
        }
        if groups.dirs.is_empty() {
            return Err(std::io::Error::other("no control groups with limits are mounted in /sys/fs/cgroup"));
        }
        Ok(groups)
    }

    /// The groups that runs have made in it.
    pub fn children(&self) -> Vec<PathBuf> {
        let entries = self.dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// Until told to stop: what the limits of a group are while a process is in it, as seen last. `hold` is
    /// dropped once that was seen: the task waits for it.
    pub fn watch(&self, hold: OwnedFd, stop: &AtomicBool) -> Values {
        let mut values = Values::new();
        let (mut hold, mut seen) = (Some(hold), None);
        while !stop.load(Ordering::Acquire) {
            // All trees were joined some milliseconds after the first.
            if seen.is_some_and(|seen: Instant| seen.elapsed() > Duration::from_millis(20)) {
                hold = None;
            } else if seen.is_none() && !values.is_empty() {
                seen = Some(Instant::now());
            }
            for group in self.children() {
                if std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| !text.is_empty()) {
                    for file in LIMITS {
                        if let Ok(value) = std::fs::read_to_string(group.join(file)) {
                            values.insert(file, value.trim().to_owned());
                        }
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(hold);
        values
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for dir in self.children().iter().chain(&self.dirs) {
            let _ = std::fs::remove_dir(dir);
        }
    }
}
