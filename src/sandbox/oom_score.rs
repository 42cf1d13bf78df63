//! A caller that the kernel should spare when memory runs out (`OOMScoreAdjust=-900` of a service) does not
//! hand that down: the task would be the last one to be ended (proc_pid_oom_score_adj(5)).
//!
//! The caller writes it, not init: only where the writer has `CAP_SYS_RESOURCE` does the kernel forget the
//! value to which a process may lower its own again.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{read, write};

use super::error::{Error, Step};
use crate::sys;

/// Raises the value of init, a child of ours that has its own image and has not been waited for, to 0 where
/// ours is below.
pub(super) fn raise(init: BorrowedFd<'_>) -> Result<(), Error> {
    if value("/proc/self/oom_score_adj")? >= 0 {
        return Ok(());
    }
    let number = sys::process::number_in_proc(init);
    let pid = number.map_err(Error::prepare(Step::OomScore, "read", "/proc/self/fdinfo"))?;
    let path = format!("/proc/{pid}/oom_score_adj");
    let file = open(path.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Error::prepare(Step::OomScore, "open", &path))?;
    write(&file, b"0").map_err(Error::prepare(Step::OomScore, "write", &path))?;
    match value(&path)? {
        0 => Ok(()),
        _ => Err(Error::prepare(Step::OomScore, "read", &path)(Errno::EIO)),
    }
}

fn value(path: &str) -> Result<i32, Error> {
    let file = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(Error::prepare(
        Step::OomScore,
        "open",
        path,
    ))?;
    let mut text = [0; 16];
    let length = read(&file, &mut text).map_err(Error::prepare(Step::OomScore, "read", path))?;
    let number = std::str::from_utf8(text.get(..length).unwrap_or_default()).ok();
    number.and_then(|number| number.trim().parse().ok()).ok_or_else(|| {
        // The kernel's file holds one number.
        Error::prepare(Step::OomScore, "read", path)(Errno::EINVAL)
    })
}
