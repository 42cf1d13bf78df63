//! What the kernel has counted.

use nix::errno::Errno;
use serde::Serialize;

use super::dir::Dir;
use super::error::CgroupError;
use super::io::DiskLimit;
use super::{Controller, Version, io, meter, parse};
use crate::plan::Cgroup;

/// What a single charge may have failed to get, so that the peak stays below the limit: a batch of 64 pages.
const SLACK: u64 = 64 * 4096;

/// The kernel's accounts of a sandbox's control group, at its end. What the kernel does not count is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Account {
    /// The limits that were in force, as they were read back.
    pub limits: CgroupLimits,
    /// What was used.
    pub usage: Usage,
    /// What happened at the limits.
    pub events: Events,
}

/// The limits that were in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CgroupLimits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of swap besides.
    pub swap_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// CPUs, in thousandths.
    pub cpus_thousandths: Option<u64>,
    /// CPU time of everything together, milliseconds.
    pub cpu_time_ms: Option<u64>,
    /// Its part of what disks do; 100 is everybody's.
    pub io_weight: Option<u64>,
    /// Disks with a limit.
    pub disks: Vec<DiskLimit>,
}

/// What was used, by everything in the sandbox together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Usage {
    /// The most memory at a time, bytes (v2: Linux 5.19).
    pub memory_peak_bytes: Option<u64>,
    /// The most processes and threads at a time (Linux 6.1).
    pub pids_peak: Option<u64>,
    /// CPU time, microseconds.
    pub cpu_micros: Option<u64>,
    /// Time for which something was ready to run and the quota kept it from it, microseconds.
    pub throttled_micros: Option<u64>,
    /// Bytes read from disks, where the controller is there.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to disks (likewise).
    pub io_written_bytes: Option<u64>,
    /// How long it was kept waiting (v2, Linux 4.20).
    pub pressure: Pressure,
}

/// For how long something, or everything that wanted to run, was kept waiting for what there was not enough
/// of (PSI).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pressure {
    /// A CPU.
    pub cpu: Option<Stall>,
    /// Memory.
    pub memory: Option<Stall>,
    /// Disks.
    pub io: Option<Stall>,
}

/// Time that was lost, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Stall {
    /// By some.
    pub some_micros: u64,
    /// By all at once; `None` where the kernel does not tell.
    pub full_micros: Option<u64>,
}

impl Stall {
    fn parse(text: &str) -> Option<Self> {
        let total = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
            line.split(' ').find_map(|word| word.strip_prefix("total=")?.parse().ok())
        };
        Some(Self { some_micros: total("some")?, full_micros: total("full") })
    }
}

/// What happened at the limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Events {
    /// Whether memory could not be had within the limit.
    pub memory_limit_met: Option<bool>,
    /// Processes that the kernel killed for it; or for the host's sake, if the limit was not met.
    pub oom_kills: Option<u64>,
    /// How often the kernel refused a new process or thread.
    pub pids_refused: Option<u64>,
}

impl Account {
    /// Whether the memory limit ended it.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        let reached =
            self.events.oom_kills.is_some_and(|n| n > 0) && self.events.memory_limit_met == Some(true);
        self.limits.memory_bytes.filter(|_| reached)
    }

    /// Whether the memory limit kept the task from starting: something was killed for it, or a call failed
    /// for want of memory, as the kernel kills no process that still shares init's. To execve(2)
    /// arguments that find no room are too long.
    pub(crate) fn memory_too_low(&self, errno: Option<Errno>) -> Option<u64> {
        let want = matches!(errno, Some(Errno::ENOMEM | Errno::E2BIG));
        let refused = want && self.events.memory_limit_met == Some(true);
        self.memory_limit().or(self.limits.memory_bytes.filter(|_| refused))
    }

    /// Whether a new process was refused at the limit. Older kernels count the refusals of the groups above,
    /// too; there the peak tells, where it is counted.
    pub(crate) fn pids_limit(&self) -> Option<u64> {
        let refused = self.events.pids_refused.is_some_and(|n| n > 0);
        self.limits.pids.filter(|limit| refused && self.usage.pids_peak.is_none_or(|peak| peak >= *limit))
    }

    /// Adds what one tree's group says.
    pub(super) fn add(
        &mut self,
        group: &Dir,
        version: Version,
        controllers: &[Controller],
        plan: &Cgroup,
    ) -> Result<(), CgroupError> {
        let group = Files { group, version };
        let has =
            |controller: Controller, file| controllers.contains(&controller) || group.counts_unasked(file);
        if has(Controller::Memory, "memory.max") {
            self.add_memory(&group, plan)?;
        }
        if has(Controller::Pids, "pids.max") {
            self.usage.pids_peak = group.number("pids.peak", "")?;
            self.events.pids_refused = group.number("pids.events", "max")?;
            self.limits.pids = group.number("pids.max", "")?;
        }
        if has(Controller::Cpu, "cpu.max") {
            self.limits.cpus_thousandths = plan.cpus;
            self.usage.throttled_micros = group.micros("throttled_time", "throttled_usec")?;
        }
        if has(Controller::Cpuacct, "cpu.stat") {
            self.limits.cpu_time_ms = plan.cpu_time_ms;
            self.usage.cpu_micros = group.cpu_micros()?.or(self.usage.cpu_micros);
        }
        if controllers.contains(&Controller::Io) {
            (self.limits.io_weight, self.limits.disks) = io::in_force(group.group, version)?;
        }
        if version == Version::V2 {
            let [cpu, memory, io] = ["cpu.pressure", "memory.pressure", "io.pressure"];
            self.usage.pressure =
                Pressure { cpu: group.stall(cpu)?, memory: group.stall(memory)?, io: group.stall(io)? };
        }
        if let Some((read, written)) = meter::io_bytes(group.group, version)? {
            (self.usage.io_read_bytes, self.usage.io_written_bytes) = (Some(read), Some(written));
        }
        Ok(())
    }

    fn add_memory(&mut self, group: &Files<'_>, plan: &Cgroup) -> Result<(), CgroupError> {
        let [peak, limit, kills] = match group.version {
            Version::V1 => ["memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"],
            Version::V2 => ["memory.peak", "memory.max", "memory.events"],
        };
        let (peak, limit) = (group.number(peak, "")?, group.number(limit, "")?);
        self.usage.memory_peak_bytes = peak;
        self.events.oom_kills = group.number(kills, "oom_kill")?;
        self.events.memory_limit_met = match group.version {
            // Newer kernels do not count (`memory.failcnt` stays 0): the peak tells.
            Version::V1 => peak.zip(limit).map(|(peak, limit)| peak.saturating_add(SLACK) >= limit),
            Version::V2 => group.number("memory.events", "oom")?.map(|times| times > 0),
        };
        self.limits.memory_bytes = limit.filter(|limit| *limit < u64::MAX / 4);
        self.limits.swap_bytes = self.limits.memory_bytes.map(|_| plan.swap);
        Ok(())
    }
}

/// The files of one tree's group.
struct Files<'a> {
    group: &'a Dir,
    version: Version,
}

impl Files<'_> {
    /// v2 counts in one group what nothing is asked of, too; not where v1 has the controller.
    fn counts_unasked(&self, file: &str) -> bool {
        self.version == Version::V2 && self.group.has(file)
    }

    fn number(&self, file: &'static str, key: &str) -> Result<Option<u64>, CgroupError> {
        let text = self.group.read_if_there(file)?;
        Ok(text.and_then(|text| parse::number(&text, key)))
    }

    /// A time in `cpu.stat`: v1 has nanoseconds.
    fn micros(&self, v1: &str, v2: &str) -> Result<Option<u64>, CgroupError> {
        match self.version {
            Version::V1 => Ok(self.number("cpu.stat", v1)?.map(|nanos| nanos / 1000)),
            Version::V2 => self.number("cpu.stat", v2),
        }
    }

    fn cpu_micros(&self) -> Result<Option<u64>, CgroupError> {
        match self.version {
            Version::V1 => Ok(self.number("cpuacct.usage", "")?.map(|nanos| nanos / 1000)),
            Version::V2 => self.number("cpu.stat", "usage_usec"),
        }
    }

    fn stall(&self, file: &'static str) -> Result<Option<Stall>, CgroupError> {
        match self.group.read_if_there(file) {
            Ok(text) => Ok(text.as_deref().and_then(Stall::parse)),
            // The kernel was started without (psi=0).
            Err(CgroupError::System { call: "read", .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_the_limits_only_if_the_limit_was_met() {
        let account = |met, kills| Account {
            limits: CgroupLimits { memory_bytes: Some(64), ..CgroupLimits::default() },
            events: Events { memory_limit_met: Some(met), oom_kills: Some(kills), ..Events::default() },
            ..Account::default()
        };
        assert_eq!(account(true, 1).memory_limit(), Some(64));
        assert_eq!(account(false, 1).memory_limit(), None);
        assert_eq!(account(true, 0).memory_limit(), None);
        assert_eq!(Account::default().memory_limit(), None);
        for (met, kills, errno, expected) in [
            (true, 1, None, Some(64)),
            (true, 0, Some(Errno::ENOMEM), Some(64)),
            (true, 0, Some(Errno::EPERM), None),
            (false, 0, Some(Errno::ENOMEM), None),
        ] {
            assert_eq!(account(met, kills).memory_too_low(errno), expected, "{met} {kills} {errno:?}");
        }
    }

    #[test]
    fn pressure() {
        let text = "some avg10=0.00 avg60=1.50 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        assert_eq!(Stall::parse(text), Some(Stall { some_micros: 1234, full_micros: Some(5) }));
        let (some, _) = text.split_once('\n').expect("two lines");
        assert_eq!(Stall::parse(some), Some(Stall { some_micros: 1234, full_micros: None }));
        assert_eq!(Stall::parse("full total=1\n"), None);
    }

    #[test]
    fn a_refused_process_is_the_limits_only_if_there_were_as_many() {
        let account = |peak, refused| Account {
            limits: CgroupLimits { pids: Some(8), ..CgroupLimits::default() },
            usage: Usage { pids_peak: peak, ..Usage::default() },
            events: Events { pids_refused: Some(refused), ..Events::default() },
        };
        assert_eq!(account(Some(8), 3).pids_limit(), Some(8));
        assert_eq!(account(None, 3).pids_limit(), Some(8));
        assert_eq!(account(Some(3), 3).pids_limit(), None);
        assert_eq!(account(Some(8), 0).pids_limit(), None);
    }
}
