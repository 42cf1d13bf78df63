//! What init is before it has the Plan, which the caller makes meanwhile.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::fds::take_descriptor;
use super::supervise;
use crate::protocol::{Channel, FIRST_DESCRIPTOR, Fault, Prelude, ReadBack, decode};

/// What the first stages work on.
#[derive(Debug)]
pub(super) struct Bootstrap {
    pub(super) prelude: Prelude,
    pub(super) channel: Channel,
    /// Readable once the caller's process is gone.
    pub(super) caller: OwnedFd,
    /// What was found out, for the read-back.
    pub(super) readback: ReadBack,
    /// When the run began, `CLOCK_BOOTTIME`.
    pub(super) began: Duration,
}

impl AsMut<ReadBack> for Bootstrap {
    fn as_mut(&mut self) -> &mut ReadBack {
        &mut self.readback
    }
}

impl Bootstrap {
    pub(super) fn new(
        payload: &[u8],
        launcher_checked: bool,
        channel: Channel,
    ) -> Result<Self, (Fault, Channel)> {
        match read(payload, launcher_checked) {
            Ok((began, prelude, caller)) => {
                Ok(Self { prelude, channel, caller, readback: ReadBack::default(), began })
            }
            Err(fault) => Err((fault, channel)),
        }
    }
}

fn read(payload: &[u8], launcher_checked: bool) -> Result<(Duration, Prelude, OwnedFd), Fault> {
    let began = supervise::boot_time()?;
    // Away from the caller's terminal and process group; what should reach the task comes from the caller.
    nix::unistd::setsid().map_err(Fault::on("setsid", b""))?;
    if prctl::get_pdeathsig().map_err(Fault::on("prctl", b"PR_GET_PDEATHSIG"))?.is_none() {
        // Where the caller's end is only seen by looking, an init that was stopped (SIGSTOP) has to go on to
        // see it. (It comes at the end of the thread that launched us; to one that runs it means nothing.)
        prctl::set_pdeathsig(Signal::SIGCONT).map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
    }
    let prelude: Prelude = decode(payload).map_err(|_| Fault::Protocol { what: "prelude".to_owned() })?;
    // One that another program wrote must not turn into a role's body without walls around it.
    let genuine = if prelude.namespaces.is_lite() { launcher_checked } else { std::process::id() == 1 };
    if !genuine {
        return Err(Fault::Protocol { what: "not started by this program".to_owned() });
    }
    if prelude.namespaces.is_lite() {
        // Without a pid namespace the task's orphans come to us, to be ended with the run.
        prctl::set_child_subreaper(true).map_err(Fault::on("prctl", b"PR_SET_CHILD_SUBREAPER"))?;
        if !prctl::get_child_subreaper().map_err(Fault::on("prctl", b"PR_GET_CHILD_SUBREAPER"))? {
            return Err(Fault::mismatch("the child subreaper", "on", "off"));
        }
    }
    Ok((began, prelude, take_descriptor(FIRST_DESCRIPTOR)?))
}
