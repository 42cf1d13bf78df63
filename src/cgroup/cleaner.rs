//! The cleaner: a process of this program's image, outside of the sandbox, that removes the group once the
//! run is over or its caller is gone. It is there, and at its duty, before the group is; until then its
//! caller does other things.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::socket::{MsgFlags, recv, send};
use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::error::CgroupError;
use super::place::Place;
use super::{Version, remove};
use crate::capability::CapabilitySet;
use crate::{reexec, sys};

/// The reserved role of the cleaner.
const ROLE: &str = "belljar:cleaner";

crate::reexec::reserved_role!(ROLE, enter);

/// How long the image may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the cleaner is told. Its descriptors are the caller's pidfd, then the parents in this order.
#[derive(Debug, Serialize, Deserialize)]
struct CleanerConfig {
    name: String,
    versions: Vec<Version>,
}

/// The caller's hold of its cleaner: while this is alive the group stays.
#[derive(Debug)]
pub(crate) struct Cleaner {
    launched: Option<reexec::Launched>,
}

impl Cleaner {
    /// Starts one: the group is not made before it is [`ready`](Self::ready).
    pub(super) fn start(name: &str, places: &[Place], own: BorrowedFd<'_>) -> Result<Self, CgroupError> {
        let failed = |source| CgroupError::Cleaner { source: Box::new(source) };
        let needs = |what| move |source| CgroupError::CleanerNeeds { what, source };
        let charge = CleanerConfig {
            name: name.to_owned(),
            versions: places.iter().map(|place| place.version).collect(),
        };
        let payload = postcard::to_stdvec(&charge);
        let payload = payload.map_err(|_| needs("its charge")(std::io::ErrorKind::InvalidData.into()))?;
        let null = std::fs::File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(needs("/dev/null"))?;
        let extra: Vec<BorrowedFd<'_>> =
            std::iter::once(own).chain(places.iter().map(|place| place.parent.as_fd())).collect();
        let argv = [CString::from(c"belljar-cleaner"), CString::new(name).unwrap_or_default()];
        let launched = reexec::launch(&reexec::Launch {
            role: ROLE,
            payload: &payload,
            argv: &argv,
            env: &[],
            stdio: [null.as_fd(); 3],
            extra: &extra,
            clone_flags: 0,
            raise_capabilities: CapabilitySet::EMPTY,
            cwd: Some(c"/"),
            // It has to outlive the caller, and what ends the caller's terminal or process group.
            death_signal: false,
            death_watch: false,
            new_session: true,
            cgroup: None,
        })
        .map_err(failed)?;
        Ok(Self { launched: Some(launched) })
    }

    /// Waits until nothing of ours can keep it from its duty.
    pub(super) fn ready(&mut self) -> Result<(), CgroupError> {
        let ready = self.launched.as_ref().map_or(Ok(()), |launched| launched.wait_ready(PATIENCE));
        ready.map_err(|source| {
            // It was ended and reaped.
            self.launched = None;
            CgroupError::Cleaner { source: Box::new(source) }
        })
    }

    /// Tells it the numbers of the groups that were made, each behind its parent's, in case one
    /// gets another name. It reads them at the end.
    pub(super) fn tell(&self, inodes: &[(u64, u64)]) -> Result<(), CgroupError> {
        let Some(launched) = &self.launched else { return Ok(()) };
        let needs = |source| CgroupError::CleanerNeeds { what: "the groups' numbers", source };
        let text = postcard::to_stdvec(inodes).map_err(|_| needs(std::io::ErrorKind::InvalidData.into()))?;
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        // One that was killed leaves the group to the caller.
        match send(launched.channel.as_raw_fd(), &text, flags) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(needs(errno.into())),
        }
    }

    /// Ends its watch: it removes the group if it is still there, and this waits for it. False: it did not.
    pub(super) fn finish(&mut self) -> bool {
        let Some(reexec::Launched { pidfd, channel, .. }) = self.launched.take() else { return true };
        drop(channel);
        // Who stopped it does not hold the verdict up; where the signal cannot be sent it is gone.
        sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGCONT).ok();
        let waited = sys::process::wait_pidfd(pidfd.as_fd(), 0);
        matches!(waited, Ok(Some(waited)) if waited.status == 0)
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        // Without a group there is nothing that it could leave.
        self.finish();
    }
}

/// The role's body.
fn enter() {
    let done = reexec::inherited().is_some_and(|inherited| keep(&inherited).unwrap_or(false));
    // SAFETY: ends the process; nothing of its is to be flushed or told.
    unsafe { libc::_exit(i32::from(!done)) }
}

fn keep(inherited: &reexec::Inherited) -> Option<bool> {
    // What asks the caller to end is not about the group.
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None).ok()?;
    let charge: CleanerConfig = postcard::from_bytes(&inherited.payload).ok()?;
    // SAFETY: the launcher arranged these numbers, and nothing else in this image owns them.
    let mut fds = (reexec::FIRST_EXTRA_FD..).map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    let caller = fds.next()?;
    let parents: Vec<(Version, Dir)> = charge
        .versions
        .iter()
        .map(|version| Some((*version, Dir::adopt(fds.next()?))))
        .collect::<Option<_>>()?;
    // While no process waits for it.
    for (_, parent) in &parents {
        remove::sweep(parent);
    }
    loop {
        let mut watched = [
            // Its end alone (POLLHUP): what is told is there until then.
            PollFd::new(inherited.channel.as_fd(), PollFlags::empty()),
            PollFd::new(caller.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            // After any other answer, too: the group must not stay.
            _ => break,
        }
    }
    let inodes = told(inherited.channel.as_raw_fd());
    let mut all = true;
    for (version, parent) in &parents {
        let own = parent.inode().ok().and_then(|own| inodes.iter().find(|(parent, _)| *parent == own));
        all &= remove::remove(parent, *version, &charge.name, own.map(|(_, group)| *group));
    }
    Some(all)
}

/// The numbers of the groups, each behind its parent's; none if there was no time to tell them.
fn told(channel: RawFd) -> Vec<(u64, u64)> {
    let mut buffer = [0; 256];
    let count = recv(channel, &mut buffer, MsgFlags::MSG_DONTWAIT).unwrap_or_default();
    postcard::from_bytes(buffer.get(..count).unwrap_or_default()).unwrap_or_default()
}
