//! How a run ended, what it used, and what held.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Serialize;

use super::timing::Timing;
use crate::capability::CapabilitySet;
use crate::cgroup::Account;
use crate::plan::Plan;
use crate::protocol::{End, ReadBack, Watched};

/// The outcome of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// The task's status as `std::process` has it; killed by `SIGKILL` where belljar ended it.
    pub status: ExitStatus,
    /// Wall time from the start of the sandbox to its end.
    pub wall: Duration,
    /// CPU time in user mode, of the task and everything that it started (`RUSAGE_CHILDREN` of getrusage(2):
    /// not of what was not waited for, because its parent ignored `SIGCHLD`). `None`, as the three below:
    /// init was killed before it could count.
    pub user: Option<Duration>,
    /// CPU time in the kernel, likewise.
    pub system: Option<Duration>,
    /// The largest resident set that any one process had, bytes (`ru_maxrss`; some MiB of init, which it
    /// starts from, are its floor).
    pub max_rss: Option<u64>,
    /// How often its processes gave a CPU up or lost it.
    pub context_switches: Option<u64>,
    /// The kernel's accounts of its control group, if it had one.
    pub account: Option<Account>,
    /// Bytes of output that were thrown away beyond the limit; `None` unless the limit says so.
    pub output_discarded: Option<u64>,
    /// The profile's name.
    pub profile: String,
    /// A hash of the effective profile.
    pub profile_hash: String,
    /// A hash of the plan.
    pub plan_hash: String,
    /// What was in force, as init read it back.
    pub protections: Protections,
    /// Where its time went.
    pub timing: Timing,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Ended {
    /// The task exited.
    Exit {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// Its number.
        signal: i32,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// It ran for as long as it may, and was ended.
    Timeout {
        /// The limit, milliseconds.
        limit_ms: u64,
    },
    /// It wrote more than it may, and was ended.
    OutputLimit {
        /// The limit, bytes.
        limit: u64,
    },
    /// It used as much CPU time as it may.
    CpuLimit {
        /// The limit of the whole sandbox, milliseconds; `None`: one process met its own (`SIGXCPU`).
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_ms: Option<u64>,
    },
    /// It used as much memory as it may, and was ended.
    MemoryLimit {
        /// The limit, bytes.
        limit: u64,
        /// The most that it had, where the kernel counts that.
        peak: Option<u64>,
    },
    /// It ended by itself and not well, after the kernel had refused it more processes or threads than it may
    /// have. ([`Events::pids_refused`](crate::cgroup::Events) tells of those that did well, too.)
    PidsLimit {
        /// The limit.
        limit: u64,
        /// Its wait status.
        status: i32,
    },
    /// It wrote a file larger than it may (`SIGXFSZ`).
    FileSize,
    /// The system-call filter killed it (`SIGSYS`).
    Seccomp,
    /// The caller killed it.
    KilledByCaller,
}

/// What was in force, as init read it back from the kernel right before the hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Protections {
    /// New namespaces, by their names under `/proc/PID/ns`.
    pub namespaces: Vec<String>,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Whether the root is one of the sandbox's own.
    pub new_root: bool,
    /// The effective capability set (in JSON a mask).
    pub capabilities: CapabilitySet,
    /// The bounding capability set (in JSON a mask).
    pub bounding: CapabilitySet,
    /// `no_new_privs`
    pub no_new_privileges: bool,
    /// Whether a Landlock domain was entered.
    pub landlock: bool,
    /// Whether a system-call filter was loaded.
    pub seccomp: bool,
}

impl Protections {
    pub(super) fn new(plan: &Plan, found: &ReadBack) -> Self {
        let [effective, _, _, bounding, _] = found.capabilities;
        Self {
            namespaces: found.namespaces.clone(),
            uid: found.uid,
            gid: found.gid,
            new_root: found.new_root,
            capabilities: effective,
            bounding,
            no_new_privileges: found.no_new_privileges,
            landlock: found.landlock,
            seccomp: plan.task.seccomp.is_some(),
        }
    }
}

/// How a run ended, before it is known why.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawOutcome {
    /// What init reported.
    pub(crate) end: Option<End>,
    /// Whether the relay ended it.
    pub(crate) flooded: bool,
    /// Whether the caller did.
    pub(crate) killed: bool,
    /// Whether the caller's side did at the deadline, as init had not.
    pub(crate) overdue: bool,
    /// init's own wait status.
    pub(crate) init: i32,
}

impl Ended {
    /// From what init reported, if it did, and what the caller's side did.
    pub(crate) fn new(plan: &Plan, how: &RawOutcome, account: Option<&Account>) -> Self {
        if let (true, Some(limit)) = (how.flooded, plan.limits.output) {
            return Self::OutputLimit { limit };
        }
        match how.end {
            Some(End::Timeout) => {
                return Self::Timeout { limit_ms: plan.limits.timeout_ms.unwrap_or_default() };
            }
            Some(End::Limit(Watched::CpuTime)) => {
                return Self::CpuLimit { limit_ms: plan.cgroup.as_ref().and_then(|group| group.cpu_time_ms) };
            }
            Some(End::Limit(Watched::Memory) | End::Status(_) | End::Stopped) | None => {}
        }
        // init may still have answered.
        if how.overdue && matches!(how.end, None | Some(End::Stopped)) {
            return Self::overdue(plan, account);
        }
        if let Some((limit, account)) = account.and_then(|a| a.memory_limit().map(|limit| (limit, a))) {
            return Self::MemoryLimit { limit, peak: account.usage.memory_peak_bytes };
        }
        let status = match how.end {
            Some(End::Status(status)) => status,
            Some(End::Stopped) => return Self::KilledByCaller,
            // The kernel killed a process for the host's sake, and init what was left.
            Some(_) => libc::SIGKILL,
            None if how.killed => return Self::KilledByCaller,
            None => how.init,
        };
        match account.and_then(Account::pids_limit) {
            Some(limit) if status != 0 => Self::PidsLimit { limit, status },
            _ => Self::of_status(plan, status),
        }
    }

    /// Which limit ended a run whose init could not tell.
    fn overdue(plan: &Plan, account: Option<&Account>) -> Self {
        let limit_ms = plan.cgroup.as_ref().and_then(|group| group.cpu_time_ms);
        let used = account.and_then(|account| account.usage.cpu_micros);
        match (limit_ms, used, plan.limits.timeout_ms) {
            (Some(limit), Some(used), _) if used > limit.saturating_mul(1000) => {
                Self::CpuLimit { limit_ms: Some(limit) }
            }
            (_, _, limit) => Self::Timeout { limit_ms: limit.unwrap_or_default() },
        }
    }

    fn of_status(plan: &Plan, status: i32) -> Self {
        let status = ExitStatus::from_raw(status);
        let Some(signal) = status.signal() else {
            return Self::Exit { code: status.code().unwrap_or_default() };
        };
        // The constants' type differs between the C libraries.
        let rlimits = &plan.task.attributes.rlimits;
        let limited = |resource: u64| rlimits.iter().any(|limit| u64::from(limit.resource) == resource);
        match Signal::try_from(signal) {
            Ok(Signal::SIGSYS) if plan.task.seccomp.is_some() => Self::Seccomp,
            Ok(Signal::SIGXCPU) if limited(libc::RLIMIT_CPU as u64) => Self::CpuLimit { limit_ms: None },
            Ok(Signal::SIGXFSZ) if limited(libc::RLIMIT_FSIZE as u64) => Self::FileSize,
            _ => Self::Signal { signal, core_dumped: status.core_dumped() },
        }
    }

    /// The status that `std::process` would show.
    pub(crate) fn status(self, end: Option<End>, init: i32) -> ExitStatus {
        match (self, end) {
            (
                Self::Timeout { .. }
                | Self::OutputLimit { .. }
                | Self::MemoryLimit { .. }
                | Self::CpuLimit { limit_ms: Some(_) }
                | Self::KilledByCaller,
                _,
            ) => ExitStatus::from_raw(libc::SIGKILL),
            (_, Some(End::Status(status))) => ExitStatus::from_raw(status),
            (_, Some(End::Limit(_))) => ExitStatus::from_raw(libc::SIGKILL),
            _ => ExitStatus::from_raw(init),
        }
    }

    /// The command line's exit code: the program's own, 124 at the time limit, 128+N when signal N ended it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        let by_signal = |signal: i32| u8::try_from(128 + signal).unwrap_or(u8::MAX);
        match self {
            // An exit code has eight bits; the kernel has cut it already.
            Self::Exit { code } => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal { signal, .. } => by_signal(signal),
            Self::Timeout { .. } => 124,
            Self::CpuLimit { .. } => by_signal(libc::SIGXCPU),
            Self::FileSize => by_signal(libc::SIGXFSZ),
            Self::Seccomp => by_signal(libc::SIGSYS),
            Self::PidsLimit { status, .. } => {
                let status = ExitStatus::from_raw(status);
                status
                    .signal()
                    .map_or(u8::try_from(status.code().unwrap_or_default()).unwrap_or(u8::MAX), by_signal)
            }
            Self::MemoryLimit { .. } | Self::OutputLimit { .. } | Self::KilledByCaller => {
                by_signal(libc::SIGKILL)
            }
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { code } => write!(f, "it exited with {code}"),
            Self::Signal { signal, .. } => match Signal::try_from(*signal) {
                Ok(name) => write!(f, "{name} ended it"),
                Err(_) => write!(f, "signal {signal} ended it"),
            },
            Self::Timeout { limit_ms } => {
                write!(f, "it ran for {:?}, the time limit", Duration::from_millis(*limit_ms))
            }
            Self::OutputLimit { limit } => write!(f, "it wrote more than {limit} bytes, the output limit"),
            Self::CpuLimit { .. } => f.write_str("it reached the limit of CPU time"),
            Self::MemoryLimit { limit, .. } => write!(f, "it reached {limit} bytes, the memory limit"),
            Self::PidsLimit { limit, .. } => {
                write!(f, "it failed after it was refused more than {limit} processes, the limit")
            }
            Self::FileSize => f.write_str("it reached the limit of a file's size"),
            Self::Seccomp => f.write_str("the system-call filter killed it"),
            Self::KilledByCaller => f.write_str("the caller killed it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Usage;

    #[test]
    fn a_run_that_the_caller_ended_at_its_deadline_is_over_its_limit() {
        let mut plan = crate::plan::empty();
        plan.limits.timeout_ms = Some(1000);
        let how = |end, overdue| RawOutcome {
            end,
            overdue,
            killed: !overdue,
            init: libc::SIGKILL,
            ..RawOutcome::default()
        };
        let ended = |end, overdue| Ended::new(&plan, &how(end, overdue), None);
        for end in [None, Some(End::Stopped)] {
            assert_eq!(ended(end, true), Ended::Timeout { limit_ms: 1000 });
            assert_eq!(ended(end, false), Ended::KilledByCaller);
        }
        // What init said is what happened.
        assert_eq!(ended(Some(End::Status(7 << 8)), true), Ended::Exit { code: 7 });
    }

    #[test]
    fn which_limit_it_was_the_control_group_tells() {
        let mut plan = crate::plan::empty();
        plan.limits.timeout_ms = Some(1000);
        let group = |cpu_time_ms| crate::plan::Cgroup { cpu_time_ms, ..crate::plan::Cgroup::default() };
        let how = RawOutcome { overdue: true, init: libc::SIGKILL, ..RawOutcome::default() };
        for (used, expected) in
            [(600_001, Ended::CpuLimit { limit_ms: Some(600) }), (500_000, Ended::Timeout { limit_ms: 1000 })]
        {
            plan.cgroup = Some(group(Some(600)));
            let usage = Usage { cpu_micros: Some(used), ..Usage::default() };
            let account = Account { usage, ..Account::default() };
            assert_eq!(Ended::new(&plan, &how, Some(&account)), expected);
        }
    }
}
