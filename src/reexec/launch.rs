//! Starting this program's own image again, in a role.
//!
//! The child has descriptors 0, 1, 2 as asked, 3 = its credential, 4 = its end of the channel
//! (`SOCK_SEQPACKET`), from 5 on the extra ones in their order, and nothing else.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::child::{ChildPlan, Step};
use super::clone::clone_into;
use super::credential::{self, MAX_EXTRA, MAX_PAYLOAD, MAX_ROLE_NAME, Nonce};
use super::guard::{self, State};
use super::hello::{self, Greeting};
use super::image;
use super::launch_error::LaunchError;
use super::wait;
use crate::capability::CapabilitySet;

/// Here, in the module that launches, so that no program that can launch is linked without it. Miri, which
/// runs the unit tests of the pure modules (fuzz/README.md), has neither the system calls in it nor
/// processes; `test` is never set for a dependency.
#[used]
#[cfg_attr(not(all(test, miri)), unsafe(link_section = ".init_array"))]
static GUARD: extern "C" fn() = guard::at_start;

/// A role to be started; see the fields. Nothing is defaulted: [`launch`] does what it is told.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The role's registered name.
    pub(crate) role: &'a str,
    /// What only the child is to read, at most [`MAX_PAYLOAD`] bytes.
    pub(crate) payload: &'a [u8],
    /// `argv[0]` is what `ps` shows; there must be one.
    pub(crate) argv: &'a [CString],
    /// `NAME=value`.
    pub(crate) env: &'a [CString],
    /// The child's 0, 1 and 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// The child's 5, 6 and so on; close-on-exec there, once `init()` was called.
    pub(crate) extra: &'a [BorrowedFd<'a>],
    /// `CLONE_NEW*`; 0 for none.
    pub(crate) clone_flags: u64,
    /// Carry these capabilities over the exec, as far as they are permitted (inheritable and ambient; bit N
    /// is capability N): for a new user namespace, where the ids are not mapped yet.
    pub(crate) raise_capabilities: CapabilitySet,
    /// The child's working directory; `None`: the caller's.
    pub(crate) cwd: Option<&'a CStr>,
    /// `PR_SET_PDEATHSIG` = `SIGKILL`. It follows the launching *thread*, so it is set only if that is the
    /// main one.
    pub(crate) death_signal: bool,
    /// The kernel kills the child when the launcher's end of the channel is closed: then the launcher must
    /// never write to it.
    pub(crate) death_watch: bool,
    /// `setsid(2)`
    pub(crate) new_session: bool,
    /// `CLONE_INTO_CGROUP` (Linux 5.7, cgroup v2).
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// A started child. Dropping it closes the channel; it does not end or reap the child.
#[derive(Debug)]
pub(crate) struct Launched {
    /// In the launcher's pid namespace. Only for messages: signals go through the pidfd.
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// The launcher's end. After [`Launched::wait_ready`] it is the caller's and the role's to use.
    pub(crate) channel: OwnedFd,
    nonce: Nonce,
}

/// How often the time to reach `init()` begins again for a child that only waits for a processor.
const MAX_TURNS: u32 = 60;

const NEW_USER_OR_PID: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;

/// Starts this program's image in a role; returns as soon as it was executed.
///
/// The caller waits for the child to have reached `init()` next ([`Launched::wait_ready`]), and only then
/// writes the id maps of a new user namespace, if there is one: ids that change during the exec look like a
/// set-user-ID program to musl.
pub(crate) fn launch(wanted: &Launch<'_>) -> Result<Launched, LaunchError> {
    match guard::state() {
        State::Pending => return Err(LaunchError::NotInitialised),
        State::Ordinary => return Err(LaunchError::InitNotCalled),
        State::Ready | State::Consumed => {}
    }
    super::dropped::sweep();
    check(wanted)?;
    let image = image::locate()?;
    let nonce = credential::nonce().map_err(|source| LaunchError::Credential { source })?;
    // Without /proc the child could not find its image by itself, to launch in turn.
    let image_for_child = if image.by_path { None } else { image.descriptor };
    let flags = flags(wanted, image_for_child.is_some());
    let credential = credential::seal(flags, &nonce, wanted.extra.len() as u32, wanted.role, wanted.payload)
        .map_err(|source| LaunchError::Credential { source })?;
    let (channel, theirs) = channel().map_err(|source| LaunchError::Channel { source })?;

    let fds: Vec<i32> = wanted
        .stdio
        .iter()
        .chain([&credential.as_fd(), &theirs.as_fd()])
        .chain(wanted.extra)
        .chain(&image_for_child)
        .map(AsRawFd::as_raw_fd)
        .collect();
    let mut scratch = vec![-1; fds.len()];
    let argv = pointers(wanted.argv);
    let envp = pointers(wanted.env);
    let own_mounts = wanted.clone_flags & libc::CLONE_NEWNS as u64 != 0;
    let named = if own_mounts && image.by_path { image::named() } else { None };
    let mut plan = ChildPlan {
        fds: fds.as_ptr(),
        scratch: scratch.as_mut_ptr(),
        fd_count: fds.len(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        cwd: wanted.cwd.map_or(ptr::null(), CStr::as_ptr),
        by_path: image.by_path,
        image: image.descriptor.map_or(-1, |fd| fd.as_raw_fd()),
        named: named.as_ref().map_or(ptr::null(), |named| named.path.as_ptr()),
        identity: named.as_ref().map_or((0, 0), |named| named.identity),
        new_session: wanted.new_session,
        death_signal: wanted.death_signal && on_main_thread(),
        parent: std::process::id() as i32,
        raise_capabilities: wanted.raise_capabilities.bits(),
        clear_handlers: false,
        step: AtomicU32::new(0),
        errno: AtomicI32::new(0),
    };
    let plan = &raw mut plan;
    // SAFETY: `child::run` keeps to system calls and never returns, and the plan with all it points to
    // outlives the call. The plan is reached through the one raw pointer only, also when the old clone asks
    // for handlers to be cleared.
    let cloned = unsafe {
        clone_into(wanted.clone_flags, libc::SIGCHLD, wanted.cgroup, super::child::run, plan.cast(), || {
            (*plan).clear_handlers = true;
        })
    }
    .map_err(|source| LaunchError::Clone { flags: wanted.clone_flags, source })?;

    // SAFETY: still alive; the child is done with it.
    let (step, errno) =
        unsafe { ((*plan).step.load(Ordering::Acquire), (*plan).errno.load(Ordering::Relaxed)) };
    if let Some(step) = Step::from_raw(step) {
        unless_taken(wait::reap(cloned.pidfd.as_fd())).map_err(|source| LaunchError::Wait { source })?;
        return Err(LaunchError::Setup { step, source: io::Error::from_raw_os_error(errno) });
    }
    Ok(Launched { pid: cloned.pid, pidfd: cloned.pidfd, channel, nonce })
}

/// What the child is told of itself.
fn flags(wanted: &Launch<'_>, has_image: bool) -> u32 {
    [
        (wanted.clone_flags & NEW_USER_OR_PID != 0, credential::FLAG_OTHER_NAMESPACE),
        (wanted.clone_flags & libc::CLONE_NEWPID as u64 != 0, credential::FLAG_PID_NAMESPACE),
        (wanted.death_watch, credential::FLAG_DEATH_WATCH),
        (has_image, credential::FLAG_IMAGE),
    ]
    .into_iter()
    .filter(|(holds, _)| *holds)
    .fold(0, |all, (_, flag)| all | flag)
}

fn check(wanted: &Launch<'_>) -> Result<(), LaunchError> {
    if wanted.argv.is_empty() {
        return Err(LaunchError::NoArguments);
    }
    if wanted.role.len() > MAX_ROLE_NAME {
        return Err(LaunchError::NameTooLong { size: wanted.role.len() });
    }
    if wanted.payload.len() > MAX_PAYLOAD {
        return Err(LaunchError::PayloadTooLarge { size: wanted.payload.len() });
    }
    if wanted.extra.len() > MAX_EXTRA {
        return Err(LaunchError::TooManyDescriptors { count: wanted.extra.len() });
    }
    Ok(())
}

/// The array that `execve` wants: pointers, and a null one at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn on_main_thread() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::gettid() == libc::getpid() }
}

fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors.
    let made = unsafe {
        libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr())
    };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

impl Launched {
    /// Waits until the child has reached `init()` and taken its role. On an error the child is ended and
    /// reaped. The time that it waits for a processor does not count.
    pub(crate) fn wait_ready(&self, timeout: Duration) -> Result<(), LaunchError> {
        let result = self.greeting(timeout);
        if result.is_err() {
            self.end();
        }
        result
    }

    fn greeting(&self, timeout: Duration) -> Result<(), LaunchError> {
        let failed = |source| LaunchError::Wait { source };
        let (mut turns, mut waited) = (1, Duration::ZERO);
        while !wait::readable(self.channel.as_fd(), Instant::now() + timeout).map_err(failed)? {
            // Most of that time it waited for a processor, not we for it.
            let before = std::mem::replace(&mut waited, wait::waited_for_processor(self.pid));
            if turns == MAX_TURNS || waited.saturating_sub(before) < timeout / 2 {
                return Err(LaunchError::TimedOut { timeout });
            }
            turns += 1;
        }
        let deadline = Instant::now() + timeout;
        let mut buffer = [0u8; hello::BUFFER];
        let mut receive = || {
            let (to, room) = (buffer.as_mut_ptr().cast(), buffer.len());
            // SAFETY: a buffer of the length that is given.
            let length = unsafe { libc::recv(self.channel.as_raw_fd(), to, room, libc::MSG_DONTWAIT) };
            usize::try_from(length).map_err(|_| io::Error::last_os_error())
        };
        let reset = |error: &io::Error| error.raw_os_error() == Some(libc::ECONNRESET);
        let length = match receive() {
            // Closed with something of ours unread, which is told once: what it had sent is still there.
            Err(error) if reset(&error) => {
                receive().or_else(|error| if reset(&error) { Ok(0) } else { Err(error) })
            }
            other => other,
        }
        .map_err(failed)?;
        if length == 0 {
            // Its end is closed: it has ended, or is about to.
            if !wait::readable(self.pidfd.as_fd(), deadline).map_err(failed)? {
                return Err(LaunchError::TimedOut { timeout });
            }
            let status = unless_taken(wait::peek(self.pidfd.as_fd())).map_err(failed)?;
            return Err(LaunchError::EndedEarly { status });
        }
        match Greeting::decode(&buffer[..length]) {
            Some(Greeting::Hello(nonce)) if nonce == self.nonce => Ok(()),
            Some(Greeting::NeverInitialised) => Err(LaunchError::NeverInitialised),
            Some(Greeting::Refused(source)) => Err(LaunchError::Refused { source }),
            _ => Err(LaunchError::BadGreeting),
        }
    }

    /// Kills the child, and takes its status. It may have ended and been reaped by
    /// another thread (`SIGCHLD` ignored): then there is nothing left to do, and that is all that can fail
    /// here.
    fn end(&self) {
        let _ = wait::signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = wait::reap(self.pidfd.as_fd());
    }
}

/// `None` if the status is not to be had: the kernel or another thread reaped the child (`SIGCHLD` ignored).
fn unless_taken(status: io::Result<ExitStatus>) -> io::Result<Option<ExitStatus>> {
    match status {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        status => status.map(Some),
    }
}
