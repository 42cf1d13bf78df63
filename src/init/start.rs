//! From the re-executed image to the walls: the Plan comes in, then the stages.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{WALLS, supervise, task, walk};
use crate::plan::{Plan, Task};
use crate::protocol::{
    Channel, FIRST_DESCRIPTOR, Failure, Fault, Mark, Message, Outside, ReadBack, Stage, Watch,
};
use crate::{reexec, sys};

/// The reserved role under which the sandbox's init is re-executed.
pub(crate) const ROLE: &str = "belljar:init";

crate::reexec::reserved_role!(ROLE, enter);

/// The exit status of an init that could not hand over; the caller reads the reason from the channel.
const FAILED: i32 = 125;

/// What the stages work on.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) outside: Outside,
    pub(super) channel: Channel,
    /// Readable once the caller's process is gone.
    pub(super) caller: OwnedFd,
    /// `cgroup.procs` of the task's group, in each tree that has one; with the two below from the go-ahead on.
    pub(super) doors: Vec<OwnedFd>,
    /// What ends the run besides the clock, and where it is read.
    pub(super) watches: Vec<(Watch, OwnedFd)>,
    /// Trees that the caller cloned, in the Plan's order.
    pub(super) trees: std::vec::IntoIter<OwnedFd>,
    /// The task's descriptors beyond 2, in the Plan's order.
    pub(super) descriptors: Vec<OwnedFd>,
    /// A call's argument and the pipe for its result.
    pub(super) call: Option<(OwnedFd, OwnedFd)>,
    /// In the task's process: where its descriptors are now.
    pub(super) own: super::descriptors::Own,
    /// The root that was built, until the old one is gone.
    pub(super) root: Option<OwnedFd>,
    /// Device and inode of that root.
    pub(super) root_id: Option<(u64, u64)>,
    /// What was found out, for the read-back.
    pub(super) readback: ReadBack,
    /// When the run began, `CLOCK_BOOTTIME`.
    pub(super) began: std::time::Duration,
}

impl Context {
    /// A stage is done.
    pub(super) fn mark(&mut self, stage: Stage) {
        self.readback.marks.push(Mark { stage, at: sys::process::monotonic() });
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
    let mut context = receive(payload, launcher_checked, channel)
        .map_err(|(fault, channel)| (Fault::at(Stage::Handshake)(fault), channel))?;
    context.mark(Stage::Handshake);
    match walk(WALLS, &mut context)
        .and_then(|()| supervise::prepare(&context))
        .and_then(|posts| task::start(&mut context).map(|task| (posts, task)))
        .and_then(|(posts, task)| supervise::run(&context, &task, &posts))
    {
        Ok(code) => Ok(code),
        Err(failure) => {
            if context.plan.namespaces == 0
                && let Err(fault) = super::lite::end_descendants()
            {
                // The task may have started already, and nobody else ends what it made.
                return Err((Fault::at(Stage::Supervise)(fault), context.channel));
            }
            Err((failure, context.channel))
        }
    }
}

fn receive(payload: &[u8], launcher_checked: bool, channel: Channel) -> Result<Context, (Fault, Channel)> {
    match read(payload, launcher_checked, &channel) {
        Ok(Parts { began, plan, outside, caller, descriptors, call }) => Ok(Context {
            plan,
            outside,
            channel,
            caller,
            doors: Vec::new(),
            watches: Vec::new(),
            trees: Vec::new().into_iter(),
            descriptors,
            call,
            own: super::descriptors::Own::default(),
            root: None,
            root_id: None,
            readback: ReadBack::default(),
            began,
        }),
        Err(fault) => Err((fault, channel)),
    }
}

/// What comes in before there is a context.
struct Parts {
    began: std::time::Duration,
    plan: Plan,
    outside: Outside,
    caller: OwnedFd,
    descriptors: Vec<OwnedFd>,
    call: Option<(OwnedFd, OwnedFd)>,
}

fn read(payload: &[u8], launcher_checked: bool, channel: &Channel) -> Result<Parts, Fault> {
    let began = supervise::boot_time()?;
    // Away from the caller's terminal and process group; what should reach the task comes from the caller.
    nix::unistd::setsid().map_err(Fault::on("setsid", b""))?;
    if sys::process::death_signal().map_err(Fault::on("prctl", b"PR_GET_PDEATHSIG"))? == 0 {
        // Where the caller's end is only seen by looking, an init that somebody has stopped has to go on to see it. (It comes
        // at the end of the thread that launched us; to one that runs it means nothing.)
        sys::process::set_death_signal(libc::SIGCONT).map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
    }
    let plan = Plan::decode(payload).map_err(|_| Fault::Protocol { what: "plan".to_owned() })?;
    // A plan that somebody else wrote must not turn into a role's body without walls around it.
    let genuine = if plan.namespaces == 0 { launcher_checked } else { std::process::id() == 1 };
    if !genuine {
        return Err(Fault::Protocol { what: "not started by this program".to_owned() });
    }
    if plan.namespaces == 0 {
        // Without a pid namespace the task's orphans come to us, to be ended with the run.
        sys::process::become_subreaper().map_err(Fault::on("prctl", b"PR_SET_CHILD_SUBREAPER"))?;
        if !sys::process::is_subreaper().map_err(Fault::on("prctl", b"PR_GET_CHILD_SUBREAPER"))? {
            return Err(Fault::mismatch("the child subreaper", "on", "off"));
        }
    }
    let outside = match channel.receive() {
        Ok(Some(outside)) => outside,
        Ok(None) => return Err(Fault::Protocol { what: "the caller is gone".to_owned() }),
        Err(_) => return Err(Fault::Protocol { what: "the caller's namespaces".to_owned() }),
    };
    let mut next = FIRST_DESCRIPTOR;
    let mut take = || {
        let fd = take_descriptor(next);
        next += 1;
        fd
    };
    let caller = take()?;
    let descriptors = plan.descriptors.iter().map(|_| take()).collect::<Result<_, _>>()?;
    let call = match plan.task {
        Task::Call { .. } => Some((take()?, take()?)),
        _ => None,
    };
    Ok(Parts { began, plan, outside, caller, descriptors, call })
}

/// Takes over a descriptor that the caller's side arranged at a known number.
fn take_descriptor(number: i32) -> Result<OwnedFd, Fault> {
    // SAFETY: only borrowed for the check; that it is open is what fcntl tells.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map_err(Fault::on("fcntl", number.to_string().as_bytes()))?;
    // SAFETY: it is open, and by the protocol nothing else in this image owns a number from FIRST_DESCRIPTOR on.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates a descriptor to a number of at least `least`, close-on-exec.
pub(super) fn duplicate_above(fd: &impl AsFd, least: i32) -> Result<OwnedFd, Errno> {
    let raw = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(least))?;
    debug_assert!(raw >= least && raw != fd.as_fd().as_raw_fd());
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
