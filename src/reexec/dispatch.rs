//! The child's side: from the credential to the role.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use super::credential::{
    self, CHANNEL_FD, CREDENTIAL_FD, Credential, Defect, FIRST_EXTRA_FD, FLAG_DEATH_WATCH, FLAG_IMAGE,
    FLAG_OTHER_NAMESPACE, FLAG_PID_NAMESPACE,
};
use super::guard::{self, EXIT_REFUSED};
use super::hello::Greeting;
use super::refusal::Refusal;
use super::registry::{self, RoleError, RoleOutcome};
use super::{image, peer};

/// What the launcher handed to one of belljar's own roles.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) payload: Vec<u8>,
    pub(crate) channel: OwnedFd,
    /// Whether the launcher was checked to be this same program. It cannot be from within new namespaces:
    /// there the role itself has to make sure that it is in them.
    pub(crate) launcher_checked: bool,
}

static INHERITED: Mutex<Option<Inherited>> = Mutex::new(None);

/// The payload and the channel: once, in one of belljar's own roles. The extra descriptors are at 5 and up.
pub(crate) fn inherited() -> Option<Inherited> {
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// How a role failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// The role returned an error.
    #[error("role {role}: {source}")]
    Role {
        /// The role's name.
        role: String,
        /// What it returned.
        source: RoleError,
    },
}

/// Runs the role if this process is a re-executed child; otherwise does nothing. Call it first thing in
/// `main`.
///
/// In a child it never returns: the process ends with 0 when the role returns, with 1 and the error on
/// standard error when it returns an error, with 101 when it panics, and with 125 when the credential is
/// refused.
///
/// In the ordinary program it costs a few loads and no system call.
pub fn init() {
    let Some(job) = accept() else { return };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| job.run()));
    let code = match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            // Standard error may be closed; the exit code says it too.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
        // The panic hook has printed it; std's own exit code. What was thrown is not dropped: that could
        // panic in turn.
        Err(payload) => {
            std::mem::forget(payload);
            101
        }
    };
    std::process::exit(code);
}

/// Runs the role if this process is a re-executed child and returns what it returned; `None` in the ordinary
/// program.
///
/// For a `main` that wants to do something of its own with the role's error. The caller ends the process.
pub fn dispatch() -> Option<Result<(), DispatchError>> {
    accept().map(|job| job.run())
}

struct Job {
    name: String,
    function: std::sync::Arc<dyn Fn() -> RoleOutcome + Send + Sync>,
}

impl Job {
    fn run(self) -> Result<(), DispatchError> {
        (self.function)().map_err(|source| DispatchError::Role { role: self.name, source })
    }
}

/// Takes the credential, if there is one; ends the process if it is not in order.
fn accept() -> Option<Job> {
    if !guard::consume() {
        return None;
    }
    // Looked at again: something that ran before us may have closed either.
    if !credential::is_present(CREDENTIAL_FD) {
        refuse("?", None, Refusal::Malformed, None);
    }
    if !peer::is_channel(CHANNEL_FD) {
        refuse("?", None, Refusal::Channel, None);
    }
    // SAFETY: open, put there by the launcher, and used here only.
    let memfd = unsafe { OwnedFd::from_raw_fd(CREDENTIAL_FD) };
    // SAFETY: open, and from here on ours.
    let channel = unsafe { OwnedFd::from_raw_fd(CHANNEL_FD) };
    let credential = match credential::read(memfd.as_fd()) {
        Ok(credential) => credential,
        Err(Defect::Malformed) => refuse("?", Some(&channel), Refusal::Malformed, None),
        Err(Defect::Version) => refuse("?", Some(&channel), Refusal::Version, None),
    };
    drop(memfd);
    match admit(&credential, &channel) {
        Ok(job) => {
            settle(credential, channel);
            Some(job)
        }
        Err((refusal, detail)) => refuse(&credential.role, Some(&channel), refusal, detail),
    }
}

/// All that must hold before the role may run, and the greeting.
fn admit(credential: &Credential, channel: &OwnedFd) -> Result<Job, (Refusal, Option<String>)> {
    let plainly = |refusal| (refusal, None);
    // SAFETY: no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Err(plainly(Refusal::Privileged));
    }
    let flags = credential.flags;
    if flags & (FLAG_OTHER_NAMESPACE | FLAG_PID_NAMESPACE) != 0 {
        let first = std::process::id() == 1;
        if !registry::is_reserved(&credential.role) || (flags & FLAG_PID_NAMESPACE != 0 && !first) {
            return Err(plainly(Refusal::NotASandbox));
        }
    } else {
        peer::check(channel.as_fd()).map_err(plainly)?;
    }
    close_on_exec(CHANNEL_FD).map_err(|_| plainly(Refusal::Channel))?;
    for fd in FIRST_EXTRA_FD..FIRST_EXTRA_FD + credential.extra as i32 {
        close_on_exec(fd).map_err(|_| plainly(Refusal::Malformed))?;
    }
    if flags & FLAG_IMAGE != 0 {
        image::adopt(FIRST_EXTRA_FD + credential.extra as i32).map_err(|_| plainly(Refusal::Malformed))?;
    }
    let function =
        registry::find(&credential.role).map_err(|error| (Refusal::UnknownRole, Some(error.to_string())))?;
    name_process(&credential.role);
    if flags & FLAG_DEATH_WATCH != 0 {
        peer::end_with(channel.as_fd()).map_err(|_| plainly(Refusal::DeathWatch))?;
    }
    // A launcher that is gone by now does not read it; the death watch has seen to it, where it was asked
    // for.
    send(channel.as_fd(), &Greeting::Hello(credential.nonce));
    Ok(Job { name: credential.role.clone(), function })
}

/// Keeps what the role may ask for.
fn settle(credential: Credential, channel: OwnedFd) {
    if registry::is_reserved(&credential.role) {
        let launcher_checked = credential.flags & (FLAG_OTHER_NAMESPACE | FLAG_PID_NAMESPACE) == 0;
        let inherited = Inherited { payload: credential.payload, channel, launcher_checked };
        *INHERITED.lock().unwrap_or_else(PoisonError::into_inner) = Some(inherited);
    } else {
        // Stays open for as long as the process lives: the launcher sees its end by it, and the other way
        // round.
        let _ = channel.into_raw_fd();
    }
}

fn close_on_exec(fd: i32) -> io::Result<()> {
    // SAFETY: any number may be asked about.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// After `/proc/self/exe` was executed, `ps -o comm` says `exe`; the role's name says more. Cut to 15 bytes
/// by the kernel.
fn name_process(role: &str) {
    if let Ok(name) = std::ffi::CString::new(role) {
        // SAFETY: a string that ends with NUL. It is decoration: a failure has no consequence.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

fn send(channel: BorrowedFd<'_>, greeting: &Greeting) {
    let bytes = greeting.encode();
    // SAFETY: a buffer of the length that is given. A launcher that is gone needs none.
    unsafe {
        libc::send(
            channel.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        )
    };
}

/// Says why, on standard error and to the launcher, and ends the process: without destructors or exit
/// handlers, which belong to a program that has not started.
fn refuse(role: &str, channel: Option<&OwnedFd>, refusal: Refusal, detail: Option<String>) -> ! {
    let text = detail.unwrap_or_else(|| refusal.to_string());
    let _ = writeln!(io::stderr(), "belljar: refused to run role {role:?}: {text}");
    if let Some(channel) = channel {
        send(channel.as_fd(), &Greeting::Refused(refusal));
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(EXIT_REFUSED) }
}

/// Used by `enable_test_support!`: [`init`] before `main`, from `.init_array`.
#[doc(hidden)]
pub fn init_before_main() {
    if guard::state() != guard::State::Pending {
        guard::consume();
        return;
    }
    // What std's runtime does before main and has not done yet: a closed pipe is an error, not the end.
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    image::remember();
    init();
}
