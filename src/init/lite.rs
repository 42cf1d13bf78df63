//! Without a pid namespace nobody ends the task's descendants but us: as their subreaper we get every orphan.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::protocol::Fault;
use crate::sys;

/// How long descendants may keep making new ones before this is a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills children, and the children that they leave to us, until there are none.
pub(super) fn end_descendants() -> Result<(), Fault> {
    let began = Instant::now();
    loop {
        for pid in children()? {
            // It is our child and not waited for, so the number is still its own.
            let killed = sys::process::pidfd_open(pid)
                .and_then(|pidfd| sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL));
            match killed {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(Fault::system("pidfd_send_signal", b"descendant", errno)),
            }
        }
        loop {
            match sys::process::wait(libc::P_ALL, 0, libc::WNOHANG | libc::__WALL) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Errno::ECHILD) => return Ok(()),
                Err(errno) => return Err(Fault::system("waitid", b"", errno)),
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(Fault::mismatch("the number of descendants", 0, "still more"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Our children, as the kernel lists them (`CONFIG_PROC_CHILDREN`).
fn children() -> Result<Vec<libc::pid_t>, Fault> {
    const PATH: &str = "/proc/thread-self/children";
    let text = std::fs::read_to_string(PATH).map_err(|error| {
        Fault::system("read", PATH.as_bytes(), Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    })?;
    Ok(text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
}
