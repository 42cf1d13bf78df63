//! How far a role's process came, on a page that it shares with init until the role's body runs.

use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

use crate::protocol::{Failure, Fault, LIMIT, Stage};

const WAITING: u32 = 0;
const DONE: u32 = 1;
const FAILED: u32 = 2;

#[repr(C)]
struct Page {
    state: AtomicU32,
    length: AtomicU32,
    failure: [u8; LIMIT],
}

/// The shared page.
pub(super) struct Handover(*mut Page);

impl Handover {
    pub(super) fn new() -> Result<Self, Errno> {
        // SAFETY: a fresh anonymous mapping, placed by the kernel, all zeroes: state WAITING, length 0.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Page>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self(page.cast())) }
    }

    /// In the role's process: what stopped it.
    pub(super) fn failed(&self, failure: &Failure) {
        // SAFETY: the mapping is ours; init reads the bytes only after the state says so and we have ended.
        unsafe {
            let page = self.0;
            if let Ok(used) = postcard::to_slice(failure, &mut (*page).failure) {
                (*page).length.store(u32::try_from(used.len()).unwrap_or(0), Ordering::Relaxed);
            }
            (*page).state.store(FAILED, Ordering::Release);
        }
    }

    /// In the role's process: the walls stand and the body follows. The page goes, so that the body cannot
    /// reach it.
    pub(super) fn done(self) {
        // SAFETY: the mapping is ours.
        unsafe { (*self.0).state.store(DONE, Ordering::Release) };
    }

    /// In init, once the role's process has ended.
    pub(super) fn result(&self) -> Result<(), Failure> {
        // SAFETY: the mapping is ours, and its other user has ended.
        let (state, bytes) = unsafe {
            let page = self.0;
            let length = (*page).length.load(Ordering::Relaxed) as usize;
            let failure = &(*page).failure;
            ((*page).state.load(Ordering::Acquire), failure.get(..length).unwrap_or_default())
        };
        let fault = match state {
            DONE => return Ok(()),
            FAILED => match postcard::from_bytes::<Failure>(bytes) {
                Ok(failure) => return Err(failure),
                Err(_) => Fault::Protocol { what: "hand-over".to_owned() },
            },
            WAITING => Fault::mismatch("the hand-over", "done", "not reached: the process was killed"),
            other => Fault::mismatch("the hand-over", "done", other),
        };
        Err(Failure { stage: Stage::Process, fault })
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // SAFETY: our own mapping, not used after this.
        unsafe { libc::munmap(self.0.cast(), size_of::<Page>()) };
    }
}
