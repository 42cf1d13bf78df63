//! From the re-executed image to the walls: what can be done without the Plan, the Plan, the stages.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::bootstrap::Bootstrap;
use super::ending::KillHandle;
use super::sync::CallersTrees;
use super::table::Made;
use super::{BOOTSTRAP, WALLS, lite, supervise, sync, task, walk};
use crate::plan::Plan;
use crate::protocol::{Channel, Failure, Fault, Message, ReadBack, Stage, Watch, Window};
use crate::reexec;

/// The reserved role under which the sandbox's init is re-executed.
pub(crate) const ROLE: &str = "belljar:init";

crate::reexec::reserved_role!(ROLE, enter);

/// The exit status of an init that could not hand over; the caller reads the reason from the channel.
const FAILED: i32 = 125;

/// What the stages work on.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) channel: Channel,
    /// Readable once the caller's process is gone.
    pub(super) caller: OwnedFd,
    /// `cgroup.procs` of the task's group, in each tree that has one.
    pub(super) cgroup_procs_fds: Vec<OwnedFd>,
    /// What ends the run besides the clock, and where it is read.
    pub(super) watches: Vec<(Watch, OwnedFd)>,
    /// The size of the task's terminal, if it gets one.
    pub(super) window: Option<Window>,
    /// Trees that the caller clones, in the Plan's order.
    pub(super) trees: CallersTrees,
    /// Copies of the old root that the Plan shows, in its order.
    pub(super) roots: VecDeque<OwnedFd>,
    /// The task's descriptors beyond 2, in the Plan's order.
    pub(super) descriptors: Vec<OwnedFd>,
    /// A call's argument and the pipe for its result.
    pub(super) call: Option<(OwnedFd, OwnedFd)>,
    /// In the task's process: where its descriptors are now.
    pub(super) own: super::descriptors::Own,
    /// The root that was built, until the old one is gone.
    pub(super) root: Option<OwnedFd>,
    /// What was mounted there.
    pub(super) made: Made,
    /// Device and inode of that root.
    pub(super) root_id: Option<(u64, u64)>,
    /// The inner user namespace, until the task's process has entered it.
    pub(super) inner: Option<OwnedFd>,
    /// Whether the first task waits for the caller's word.
    pub(super) hold: bool,
    /// Where more tasks are asked for, if they may be.
    pub(super) orders: Option<Channel>,
    /// What was found out, for the read-back.
    pub(super) readback: ReadBack,
    /// When the run began, `CLOCK_BOOTTIME`.
    pub(super) began: std::time::Duration,
}

impl AsMut<ReadBack> for Context {
    fn as_mut(&mut self) -> &mut ReadBack {
        &mut self.readback
    }
}

/// The role's body: never returns to the program.
fn enter() {
    let Some(inherited) = reexec::inherited() else {
        // Only `reexec` calls roles, and it hands over what it inherited: there is nobody to tell.
        std::process::exit(FAILED);
    };
    let channel = Channel::new(inherited.channel);
    let code = match run(&inherited.payload, inherited.launcher_checked, channel) {
        Ok(code) => code,
        Err((failure, channel)) => {
            // A caller that is gone needs no message.
            drop(channel.send(&Message::Failed(failure)));
            FAILED
        }
    };
    exit(code)
}

/// `_exit(2)`: no destructors and no `atexit` handlers of the program's.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: ends the process, whatever its state.
    unsafe { libc::_exit(code) }
}

fn run(payload: &[u8], launcher_checked: bool, channel: Channel) -> Result<i32, (Failure, Channel)> {
    let mut bootstrap = Bootstrap::new(payload, launcher_checked, channel)
        .map_err(|(fault, channel)| (Fault::at(Stage::Handshake)(fault), channel))?;
    bootstrap.readback.mark(Stage::Handshake);
    if let Err(failure) = walk(BOOTSTRAP, &mut bootstrap) {
        return Err((failure, bootstrap.channel));
    }
    let mut context =
        sync::wait(bootstrap).map_err(|(fault, channel)| (Fault::at(Stage::Sync)(fault), channel))?;
    context.readback.mark(Stage::Sync);
    if let Err(fault) = lite::keep_signals_in(&context) {
        return Err((Fault::at(Stage::Landlock)(fault), context.channel));
    }
    let ender = match KillHandle::new(&context.plan) {
        Ok(ender) => ender,
        Err(fault) => return Err((Fault::at(Stage::Supervise)(fault), context.channel)),
    };
    let started = walk(WALLS, &mut context)
        .and_then(|()| sync::held(&mut context).map_err(Fault::at(Stage::Sync)))
        .and_then(|()| supervise::prepare(&context))
        .and_then(|posts| task::start(&mut context).map(|task| (posts, task)));
    match started {
        Ok((posts, task)) => {
            supervise::run(&mut context, &task, &posts, &ender);
            Ok(0)
        }
        Err(failure) => {
            // What was made of the task's process goes with us, or here.
            ender.end_all();
            Err((failure, context.channel))
        }
    }
}

/// Takes over a descriptor that the caller's side arranged at a known number.
pub(super) fn take_descriptor(number: i32) -> Result<OwnedFd, Fault> {
    // SAFETY: only borrowed for the check; that it is open is what fcntl tells.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map_err(Fault::on("fcntl", number.to_string().as_bytes()))?;
    // SAFETY: it is open, and by the protocol nothing else in this image owns a number from FIRST_DESCRIPTOR
    // on.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates a descriptor to a number of at least `least`, close-on-exec.
pub(super) fn duplicate_above(fd: &impl AsFd, least: i32) -> Result<OwnedFd, Errno> {
    let raw = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(least))?;
    debug_assert!(raw >= least && raw != fd.as_fd().as_raw_fd());
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
