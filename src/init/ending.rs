//! The end of all that the task has started. Nothing here runs until nothing is left: what is still there
//! when the time is over is the kernel's to end with the pid namespace, or is told by its number.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal};

use super::supervise::boot_time;
use crate::plan::{Ending, Plan};
use crate::protocol::{Fault, Used};
use crate::sys;
use crate::sys::process::Waited;

/// How long init waits for what it has killed where the kernel ends the rest with the pid namespace: for its
/// accounts only.
const ACCOUNTS: Duration = Duration::from_millis(100);

/// How long it waits in *lite*, where no other process does.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most that is reaped in a row.
const BATCH: usize = 256;

/// What is read of the list of children at a time, bytes.
const LIST: usize = 16 * 1024;

/// How long to sleep where no child ends.
const PAUSE: Duration = Duration::from_millis(2);

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// What was used, if all of it is known.
    pub(super) used: Option<Used>,
    /// How many children are still there.
    pub(super) left: u32,
}

/// What the end takes, made before the task could keep init from making it.
#[derive(Debug)]
pub(super) struct KillHandle {
    ending: Ending,
    /// The kernel's list of init's children (`CONFIG_PROC_CHILDREN`); in *lite* only.
    children: Option<File>,
}

impl KillHandle {
    pub(super) fn new(plan: &Plan) -> Result<Self, Fault> {
        const PATH: &str = "/proc/thread-self/children";
        let children = match plan.walls.ending {
            Ending::Namespace => None,
            Ending::Scope | Ending::Children => Some(File::open(PATH).map_err(|error| {
                Fault::system("open", PATH.as_bytes(), Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            })?),
        };
        Ok(Self { ending: plan.walls.ending, children })
    }

    /// Kills all and reaps it, for a bounded time. Takes no memory, no descriptor and no process.
    pub(super) fn end_all(&self) -> Done {
        let patience = if self.ending == Ending::Namespace { ACCOUNTS } else { PATIENCE };
        let began = boot_time().ok();
        loop {
            // Mostly the task was all there was.
            if reap(|_| {}) == Reaped::All {
                return Done { used: used(), left: 0 };
            }
            self.kill();
            // Without a clock there is one turn.
            let passed = began.zip(boot_time().ok()).map(|(began, now)| now.saturating_sub(began));
            if passed.is_none_or(|passed| passed >= patience) {
                return Done { used: None, left: self.left() };
            }
            // Woken by the next child that ends.
            sys::process::next_signal(&SigSet::from(Signal::SIGCHLD), PAUSE).ok();
        }
    }

    /// Kills what is there. What cannot be killed stays, and is counted.
    fn kill(&self) {
        let one_call = match self.ending {
            // Nowhere but in a pid namespace of the plan's is init's number 1.
            Ending::Namespace => nix::unistd::getpid().as_raw() == 1,
            // `lite::keep_signals_in` has proved the scope, which is for ever, or nothing gets here.
            Ending::Scope => true,
            Ending::Children => false,
        };
        if one_call {
            sys::process::kill_all().ok();
        } else {
            self.children(|pid| {
                sys::process::kill_child(pid).ok();
            });
        }
    }

    /// How many of init's children are there; in *lite* only, as the kernel ends the others.
    fn left(&self) -> u32 {
        let mut count = 0;
        self.children(|_| count += 1);
        // At least one, or there would have been nothing to wait for.
        if self.ending == Ending::Namespace { 0 } else { count.max(1) }
    }

    /// Comes to each of init's children once, and not to more than fit into a buffer: the others are there
    /// next time.
    fn children(&self, mut each: impl FnMut(libc::pid_t)) {
        let Some(list) = &self.children else { return };
        let mut buffer = [0; LIST];
        let Ok(count) = list.read_at(&mut buffer, 0) else { return };
        let text = buffer.get(..count).unwrap_or_default();
        // The last may be cut: every number has a space behind it.
        let whole = text.iter().rposition(|byte| *byte == b' ').and_then(|end| text.get(..end));
        for word in whole.unwrap_or_default().split(|byte| *byte == b' ') {
            if let Some(pid) = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()) {
                each(pid);
            }
        }
    }
}

/// What a turn of reaping found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaped {
    /// There are no children.
    All,
    /// There are, and none has ended.
    Living,
    /// As many as are reaped in a row had ended, and there may be more.
    Batch,
}

/// Reaps what has ended, and not more than a batch of it.
pub(super) fn reap(mut each: impl FnMut(&Waited)) -> Reaped {
    for _ in 0..BATCH {
        match sys::process::wait(libc::P_ALL, 0, libc::WNOHANG | libc::__WALL) {
            Ok(Some(waited)) => each(&waited),
            Ok(None) => return Reaped::Living,
            Err(Errno::ECHILD) => return Reaped::All,
            // By waitid(2) there is no other; were there one, the end must come all the same.
            Err(_) => return Reaped::Living,
        }
    }
    Reaped::Batch
}

/// What everything that was waited for has used.
fn used() -> Option<Used> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let usage = usage.as_ref();
    let micros = |time: libc::timeval| {
        let (seconds, micros) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_usec).ok()?);
        seconds.checked_mul(1_000_000)?.checked_add(micros)
    };
    Some(Used {
        user: micros(usage.ru_utime)?,
        system: micros(usage.ru_stime)?,
        max_rss: u64::try_from(usage.ru_maxrss).ok()?,
        switches: u64::try_from(usage.ru_nvcsw.checked_add(usage.ru_nivcsw)?).ok()?,
    })
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
