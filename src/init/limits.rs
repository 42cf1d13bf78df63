//! Resource limits, the umask, and what else of a process is handed down from the caller.

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};

use super::context::Context;
use crate::plan::{ProcessAttributes, Rlimit};
use crate::profile::{IoClass, IoPriority, Scheduler, SchedulerPolicy};
use crate::protocol::Fault;

/// Sets each limit of the Plan.
pub(super) fn set(context: &mut Context) -> Result<(), Fault> {
    choose_attributes()?;
    let attributes = &context.plan.task.attributes;
    // While the caller's RLIMIT_NICE and RLIMIT_RTPRIO hold, which allow it.
    if let Some(scheduler) = &attributes.scheduler {
        let asked = sched_attr_of(scheduler, sched_attr()?.sched_nice);
        // SAFETY: the attributes live through the call; 0 is this process.
        Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const asked, 0) })
            .map_err(Fault::on("sched_setattr", scheduler.to_string().as_bytes()))?;
    }
    if let Some(asked) = attributes.io_priority {
        // SAFETY: numbers only; 0 is this process.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, ioprio_of(asked))
        })
        .map_err(Fault::on("ioprio_set", asked.to_string().as_bytes()))?;
    }
    for limit in &attributes.rlimits {
        let value = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
        // SAFETY: the struct lives through the call. The resource's type differs between the C libraries.
        Errno::result(unsafe { libc::setrlimit(limit.resource as _, &raw const value) })
            .map_err(Fault::on("setrlimit", limit.resource.to_string().as_bytes()))?;
    }
    let mask = Mode::from_bits_truncate(attributes.umask);
    umask(mask);
    // There is no other way to read it than to set it.
    let found = umask(mask);
    if found != mask {
        return Err(Fault::mismatch("umask", format!("{mask:o}"), format!("{found:o}")));
    }
    Ok(())
}

/// Reads back what [`set`] has set, but for the umask, which cannot be read without a change.
pub(super) fn verify(attributes: &ProcessAttributes) -> Result<(), Fault> {
    for limit in &attributes.rlimits {
        rlimit(*limit)?;
    }
    if let Some(scheduler) = &attributes.scheduler {
        let found = sched_attr()?;
        let asked = sched_attr_of(scheduler, found.sched_nice);
        let parts = |attr: &libc::sched_attr| {
            let libc::sched_attr { sched_policy, sched_flags, sched_nice, sched_priority, .. } = *attr;
            (sched_policy, sched_flags, sched_nice, sched_priority)
        };
        if parts(&found) != parts(&asked) {
            let show = |attr| format!("{:?}", parts(attr));
            return Err(Fault::mismatch("the scheduler", show(&asked), show(&found)));
        }
    }
    if let Some(asked) = attributes.io_priority.map(ioprio_of) {
        let found = io_priority()?;
        if found != asked {
            return Err(Fault::mismatch("the I/O priority", format!("{asked:#x}"), format!("{found:#x}")));
        }
    }
    Ok(())
}

/// `SCHED_ATTR_SIZE_VER0`, which every kernel takes and gives.
const SCHED_ATTR_SIZE: u32 = 48;

/// What sched_setattr(2) takes; `own` is the nice value that the process has.
fn sched_attr_of(scheduler: &Scheduler, own: i32) -> libc::sched_attr {
    let (policy, nice) = match scheduler.policy {
        SchedulerPolicy::Other => (libc::SCHED_OTHER, scheduler.nice.unwrap_or(own)),
        SchedulerPolicy::Batch => (libc::SCHED_BATCH, scheduler.nice.unwrap_or(own)),
        SchedulerPolicy::Idle => (libc::SCHED_IDLE, own),
        SchedulerPolicy::Fifo => (libc::SCHED_FIFO, 0),
        SchedulerPolicy::Rr => (libc::SCHED_RR, 0),
    };
    libc::sched_attr {
        size: SCHED_ATTR_SIZE,
        sched_policy: policy as u32,
        sched_flags: if scheduler.reset_on_fork { libc::SCHED_FLAG_RESET_ON_FORK as u64 } else { 0 },
        sched_nice: nice,
        sched_priority: scheduler.priority,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    }
}

fn sched_attr() -> Result<libc::sched_attr, Fault> {
    // SAFETY: all zero is a valid sched_attr.
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the size that is given; 0 is this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, SCHED_ATTR_SIZE, 0) })
        .map_err(Fault::on("sched_getattr", b""))?;
    Ok(attr)
}

/// What ioprio_set(2) takes.
fn ioprio_of(IoPriority { class, priority }: IoPriority) -> libc::c_long {
    let class = match class {
        IoClass::BestEffort => IOPRIO_CLASS_BE,
        IoClass::Idle => IOPRIO_CLASS_IDLE,
    };
    class << IOPRIO_CLASS_SHIFT | libc::c_long::from(priority)
}

fn io_priority() -> Result<libc::c_long, Fault> {
    // SAFETY: numbers only; 0 is this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) })
        .map_err(Fault::on("ioprio_get", b""))
}

fn rlimit(limit: Rlimit) -> Result<(), Fault> {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let name = limit.resource.to_string();
    // SAFETY: the struct is writable. The resource's type differs between the C libraries.
    Errno::result(unsafe { libc::getrlimit(limit.resource as _, &raw mut found) })
        .map_err(Fault::on("getrlimit", name.as_bytes()))?;
    if (found.rlim_cur, found.rlim_max) != (limit.soft, limit.hard) {
        return Err(Fault::mismatch(
            &format!("resource limit {name}"),
            format!("{}:{}", limit.soft, limit.hard),
            format!("{}:{}", found.rlim_cur, found.rlim_max),
        ));
    }
    Ok(())
}

/// `SCHED_RESET_ON_FORK` may be set beside a policy (sched(7)).
const RESET_ON_FORK: libc::c_long = 0x4000_0000;

/// linux/ioprio.h, ioprio_set(2).
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_CLASS_SHIFT: u32 = 13;
const IOPRIO_CLASS_RT: libc::c_long = 1;
const IOPRIO_CLASS_BE: libc::c_long = 2;
const IOPRIO_CLASS_IDLE: libc::c_long = 3;
/// Class and level that follow from the niceness.
const IOPRIO_NONE: libc::c_int = 0;

/// The kernel's default, nanoseconds (proc_pid_timerslack_ns(5)).
const TIMER_SLACK: u64 = 50_000;

/// Nothing in real time, which would leave the host no processor and no disk; addresses in no known order
/// (`ADDR_NO_RANDOMIZE` is a personality); timers and huge pages as usual. Priorities that are low stay: the
/// task is no more urgent than its caller.
fn choose_attributes() -> Result<(), Fault> {
    // The calls themselves: musl's functions answer ENOSYS, as they are for processes and POSIX means
    // threads. SAFETY: 0 is this process.
    let policy = Errno::result(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) })
        .map_err(Fault::on("sched_getscheduler", b""))?
        & !RESET_ON_FORK;
    if ![libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE].map(libc::c_long::from).contains(&policy) {
        // SAFETY: all zero is the parameter of the policies without priorities.
        let parameter: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: the parameter lives through the call.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const parameter)
        })
        .map_err(Fault::on("sched_setscheduler", b"SCHED_OTHER"))?;
    }
    // After the policy, which it follows from where it was not set.
    if real_time_io()? {
        // SAFETY: numbers only; 0 is this process.
        Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_NONE) })
            .map_err(Fault::on("ioprio_set", b"IOPRIO_CLASS_NONE"))?;
        if real_time_io()? {
            return Err(Fault::mismatch("the I/O priority class", "none", "real-time"));
        }
    }
    // SAFETY: a number only.
    Errno::result(unsafe { libc::personality(0) }).map_err(Fault::on("personality", b""))?;
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK, 0, 0, 0) })
        .map_err(Fault::on("prctl", b"PR_SET_TIMERSLACK"))?;
    // SAFETY: numbers only.
    let disabled = unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) };
    if disabled > 0 {
        // SAFETY: numbers only.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 0, 0, 0, 0) })
            .map_err(Fault::on("prctl", b"PR_SET_THP_DISABLE"))?;
    }
    Ok(())
}

fn real_time_io() -> Result<bool, Fault> {
    Ok(io_priority()? >> IOPRIO_CLASS_SHIFT == IOPRIO_CLASS_RT)
}
