//! Ending what is in a group, and removing it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::dir::Dir;
use super::error::CgroupError;
use super::{PREFIX, Version};
use crate::sys;

/// How long what was killed may take to be gone: the kernel frees its memory first.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long anything else may keep it from being removed.
const PERSISTENT: Duration = Duration::from_secs(1);

/// How long a group may be there without a lock.
const NEW: Duration = Duration::from_secs(10);

/// The most processes that are killed in a row, where they are killed one by one.
const BATCH: usize = 256;

/// Ends what is left in the group and removes it, under the name that it has by now (v1 groups can be
/// renamed) if its number is known. False: it is still there.
pub(super) fn remove(parent: &Dir, version: Version, name: &str, inode: Option<u64>) -> bool {
    let began = Instant::now();
    let mut pause = Duration::from_micros(200);
    let mut name = name.to_owned();
    loop {
        match parent.remove(&name) {
            Ok(()) | Err(Errno::ENODEV) => return true,
            Err(Errno::ENOENT) => match inode.map_or(Ok(None), |inode| parent.name_of(inode)) {
                Ok(Some(new)) => name = new,
                Ok(None) => return true,
                // Where it cannot be looked for it is not known to be gone.
                Err(_) if began.elapsed() < PERSISTENT => {}
                Err(_) => return false,
            },
            Err(Errno::EBUSY) => {}
            // What passes must not leave it behind; what does not pass ends here.
            Err(_) if began.elapsed() < PERSISTENT => {}
            Err(_) => return false,
        }
        // What cannot be killed now is tried again; what is gone already is no error.
        drop(parent.child(&name).and_then(|group| kill(&group, version)));
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Kills everything in the group.
fn kill(group: &Dir, version: Version) -> Result<(), CgroupError> {
    if version == Version::V2 && group.write("cgroup.kill", "1").is_ok() {
        return Ok(());
    }
    // Before Linux 5.14, and in v1: nothing new may come while they are killed one by one. Not every group
    // has the file.
    drop(group.write("pids.max", "0"));
    let mut held = Vec::new();
    for pid in pids(group)?.into_iter().take(BATCH) {
        match sys::process::pidfd_open(pid) {
            Ok(pidfd) => held.push((pid, pidfd)),
            // Gone in between; or there are no more descriptors, and the others are there next time.
            Err(Errno::EMFILE | Errno::ENFILE) => break,
            Err(_) => {}
        }
    }
    // The number may be another process's by now, unless it is still in the group.
    let still = pids(group)?;
    for (_, pidfd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        // ESRCH: gone in between.
        sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL).ok();
    }
    Ok(())
}

fn pids(group: &Dir) -> Result<Vec<libc::pid_t>, CgroupError> {
    Ok(group.read("cgroup.procs")?.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
}

/// Removes groups whose owner is gone, and whose cleaner was killed: their lock is free. Those with
/// processes stay, as do those of other users.
pub(super) fn sweep(parent: &Dir) {
    let Ok(names) = parent.children() else { return };
    for name in names.iter().filter(|name| ours(name)) {
        let Ok(group) = parent.child(name) else { continue };
        // A new one may not be locked yet.
        if group.age() > NEW && group.lock() == Ok(true) {
            // EBUSY: something runs in it that no caller of belljar waits for.
            parent.remove(name).ok();
        }
    }
}

/// Whether it is a name as belljar makes them. Any other is not belljar's group.
pub(super) fn ours(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_swept() {
        assert!(ours("belljar-0123456789abcdef"));
        for other in ["belljar-", "belljar-test", "belljar-0123456789ABCDEF", "xbelljar-0123456789abcdef"] {
            assert!(!ours(other), "{other}");
        }
    }
}
