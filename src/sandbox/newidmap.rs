//! newuidmap(1) and newgidmap(1): the set-user-ID programs by which an ordinary user maps its subordinate
//! ids. They decide what it may.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::{Error, StartError, Step, one_line};
use super::spawn::errno_of;
use crate::host::{NEWGIDMAP, NEWUIDMAP};
use crate::profile::IdRange;
use crate::sys;

/// How long one of them may take: it reads a file of accounts and one of ranges.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is kept of what it says.
const MAX_SAID: usize = 1024;

/// Maps ids of a process; groups first, as where it is done without them.
pub(super) fn map(pid: i32, users: &[IdRange], groups: &[IdRange]) -> Result<(), Error> {
    run(NEWGIDMAP, pid, "gid_map", groups)?;
    run(NEWUIDMAP, pid, "uid_map", users)
}

fn run(program: &'static str, pid: i32, map: &str, ranges: &[IdRange]) -> Result<(), Error> {
    let numbers = ranges.iter().flat_map(|range| [range.inside, range.outside, range.count]);
    let mut child = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        // It runs with root's rights: nothing of the caller's surroundings is its business.
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::prepare(Step::IdMaps, "execute", program)(errno_of(&error)))?;
    let waited = wait(&mut child);
    let said = child.stderr.take().map(said).unwrap_or_default();
    match waited {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => {
            Err(StartError::IdMapProgram { program, status: status.to_string(), said }.into())
        }
        // Its status is lost (SIGCHLD is ignored): the map tells, and init compares every number.
        Err(Errno::ECHILD) if is_written(pid, map) => Ok(()),
        Err(Errno::ECHILD) => {
            Err(StartError::IdMapProgram { program, status: "no map".to_owned(), said }.into())
        }
        Ok(None) => Err(Error::prepare(Step::IdMaps, "wait for", program)(Errno::ETIMEDOUT)),
        Err(errno) => Err(Error::prepare(Step::IdMaps, "wait for", program)(errno)),
    }
}

/// `None`: it took too long, and was ended.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>, Errno> {
    let pid = i32::try_from(child.id()).map_err(|_| Errno::EOVERFLOW)?;
    match sys::process::pidfd_open(pid) {
        Ok(pidfd) if !ended(pidfd.as_fd(), PATIENCE)? => {
            child.kill().map_err(|error| errno_of(&error))?;
            if ended(pidfd.as_fd(), Duration::from_secs(1))? {
                child.wait().map_err(|error| errno_of(&error))?;
            }
            Ok(None)
        }
        // It has ended and left nothing behind, or can be waited for.
        Ok(_) | Err(Errno::ESRCH) => child.wait().map(Some).map_err(|error| errno_of(&error)),
        Err(errno) => Err(errno),
    }
}

fn ended(pidfd: BorrowedFd<'_>, patience: Duration) -> Result<bool, Errno> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

/// What it said, without waiting for more.
fn said(mut stream: ChildStderr) -> String {
    let mut text = [0; MAX_SAID];
    let read = fcntl(&stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(std::io::Error::from)
        .and_then(|_| stream.read(&mut text));
    let text = text.get(..read.unwrap_or(0)).unwrap_or_default();
    one_line(String::from_utf8_lossy(text).trim())
}

fn is_written(pid: i32, map: &str) -> bool {
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(format!("/proc/{pid}/{map}"));
    file.and_then(|mut file| file.read(&mut [0])).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sh` stands for a program that takes its time.
    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("a shell")
    }

    #[test]
    fn what_it_says_is_cut_and_never_waited_for() {
        // A child of its own keeps the stream open.
        let mut child = shell("sleep 5 & yes '  much ' | head -c 9000 >&2; exit 3");
        let began = Instant::now();
        let status = wait(&mut child).expect("to wait").expect("its end");
        assert_eq!(status.code(), Some(3));
        let said = child.stderr.take().map(said).expect("a stream");
        assert!(said.starts_with("much \\n") && said.len() <= 2 * MAX_SAID, "{said:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}
