//! Children whose handle was dropped before their end. They go on, as std's do; once they have ended, the
//! next start takes their status away and closes what belonged to them: neither a zombie nor a descriptor is
//! left of them.

use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use crate::sys;

/// What is kept of a child for as long as it lives.
pub(crate) trait Dropped: Send {
    fn pidfd(&self) -> BorrowedFd<'_>;
}

static DROPPED: Mutex<Vec<Box<dyn Dropped>>> = Mutex::new(Vec::new());

/// Keeps what belongs to a child until it has ended.
pub(crate) fn keep(child: impl Dropped + 'static) {
    sweep();
    if !has_ended(&child) {
        DROPPED.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(child));
    }
}

/// Lets go of those that have ended by now; one look at each.
pub(crate) fn sweep() {
    let mut all = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.is_empty() {
        return;
    }
    let ended: Vec<_> = all.extract_if(.., |child| has_ended(&**child)).collect();
    drop(all);
    // To remove a control group takes its time: not under the lock.
    drop(ended);
}

/// Also of one whose status another thread has taken.
fn has_ended(child: &dyn Dropped) -> bool {
    !matches!(sys::process::wait_pidfd(child.pidfd(), libc::WNOHANG), Ok(None))
}
