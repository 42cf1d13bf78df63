//! Limits of the whole sandbox: a control group's, or by name the resource limits that stand in for one.

use std::time::Duration;

use super::error::PlanError;
use super::model::{Cgroup, Limits, Throttle};
use super::paths::convert::c_path;
use super::show::note::Note;
use crate::profile::{self, Enforce, Namespace, Profile, Resources};

const CPU: u32 = 0;
const NPROC: u32 = 6;
const AS: u32 = 9;

/// What no process can start in: its page tables and the pages that it touches first take more.
const LEAST_MEMORY: u64 = 512 << 10;

/// The control group of the plan, where anything is asked of one.
pub(super) fn cgroup(profile: &Profile) -> Result<Option<Cgroup>, PlanError> {
    let asked = &profile.resources;
    if !asks_for_group(asked) {
        return Ok(None);
    }
    let memory = asked.memory;
    if let Some(bytes) = memory.filter(|bytes| *bytes < LEAST_MEMORY) {
        let (value, problem) = (bytes.to_string(), "no process can start in less than 512KiB");
        return Err(PlanError::Value { key: "resources.memory.limit", value, problem });
    }
    let cpu_time_ms = asked.cpu_time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Ok(Some(Cgroup {
        parent: asked.cgroup_parent.as_deref().map(c_path).transpose()?,
        memory,
        swap: asked.swap.map_or(0, |together| together.saturating_sub(memory.unwrap_or(together))),
        pids: asked.pids,
        cpus: asked.cpus,
        cpu_shares: asked.cpu_shares,
        cpu_time_ms,
        io_weight: asked.io_weight,
        throttles: asked.throttles.iter().map(throttle).collect::<Result<_, _>>()?,
    }))
}

fn throttle(asked: &profile::Throttle) -> Result<Throttle, PlanError> {
    Ok(Throttle { path: c_path(&asked.path)?, kind: asked.kind, rate: asked.rate })
}

/// Whether anything is asked of a control group.
pub(crate) fn asks_for_group(asked: &Resources) -> bool {
    asked.enforce == Enforce::Cgroup && anything(asked)
}

fn anything(asked: &Resources) -> bool {
    asked.memory.is_some()
        || asked.pids.is_some()
        || asked.cpus.is_some()
        || asked.cpu_shares.is_some()
        || asked.cpu_time.is_some()
        || asked.io_weight.is_some()
        || !asked.throttles.is_empty()
}

/// The resource limits in place of a control group, as number, soft and hard value.
pub(super) fn stand_ins(profile: &Profile, notes: &mut Vec<Note>) -> Result<Vec<(u32, u64, u64)>, PlanError> {
    let asked = &profile.resources;
    if asked.enforce != Enforce::Rlimit {
        return Ok(Vec::new());
    }
    let none = |key: &str, reason| {
        Err(PlanError::Unenforceable {
            key: key.to_owned(),
            reason,
            hint: "leave it out, or let a control group enforce it (--limits=cgroup)",
        })
    };
    let impossible = [
        ("resources.cpu.quota", asked.cpus.is_some()),
        ("resources.cpu.shares", asked.cpu_shares.is_some()),
        ("resources.memory.swap", asked.swap.is_some()),
        ("resources.blockIO", asked.io_weight.is_some() || !asked.throttles.is_empty()),
        ("resources.cgroupParent", asked.cgroup_parent.is_some()),
    ];
    if let Some((key, _)) = impossible.iter().find(|(_, asked)| *asked) {
        return none(key, "no resource limit stands in for it");
    }
    if asked.pids.is_some() && !profile.namespaces.contains(&Namespace::User) {
        return none(
            "resources.pids.limit",
            "without a user namespace RLIMIT_NPROC counts the caller's own processes",
        );
    }
    let mut limits = Vec::new();
    let mut stand_in = |key, resource, value, hard| {
        notes.push(Note::StandIn { key, resource });
        limits.push((resource, value, hard));
    };
    if let Some(bytes) = asked.memory {
        stand_in("resources.memory.limit", AS, bytes, bytes);
    }
    if let Some(number) = asked.pids {
        stand_in("resources.pids.limit", NPROC, number, number);
    }
    if let Some(time) = asked.cpu_time {
        let seconds = whole_seconds(time)?;
        stand_in("resources.cpu.time", CPU, seconds, seconds.saturating_add(1));
    }
    Ok(limits)
}

/// CPU time as RLIMIT_CPU has it.
pub(super) fn whole_seconds(time: Duration) -> Result<u64, PlanError> {
    let problem = "the CPU time must be whole seconds, and not none";
    if time.is_zero() || time.subsec_nanos() != 0 {
        return Err(PlanError::Value { key: "limits.cpu_time", value: format!("{time:?}"), problem });
    }
    Ok(time.as_secs())
}

/// The first limit of a whole sandbox that another has differently, by the name of the method that sets it.
pub(crate) fn other_limit(
    (limits, cgroup): (&Limits, Option<&Cgroup>),
    (other_limits, other): (&Limits, Option<&Cgroup>),
) -> Option<&'static str> {
    let nothing = Cgroup::default();
    let (own, other) = (cgroup.unwrap_or(&nothing), other.unwrap_or(&nothing));
    // Each field by its name: none that is new is left out.
    let Cgroup { parent, memory, swap, pids, cpus, cpu_shares, cpu_time_ms, io_weight, throttles } = own;
    let differ = [
        ("timeout", limits.timeout_ms != other_limits.timeout_ms),
        ("memory", *memory != other.memory),
        ("memory_swap", *swap != other.swap),
        ("pids", *pids != other.pids),
        ("cpus", *cpus != other.cpus),
        ("cpu_weight", *cpu_shares != other.cpu_shares),
        ("cpu_time", *cpu_time_ms != other.cpu_time_ms),
        ("io_weight", *io_weight != other.io_weight),
        ("io rates", *throttles != other.throttles),
        ("cgroup_parent", *parent != other.parent),
    ];
    differ.into_iter().find_map(|(name, differs)| differs.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_of_the_whole_is_compared() {
        let limits = Limits { timeout_ms: Some(9), ..Limits::default() };
        let group = |change: fn(&mut Cgroup)| {
            let mut group = Cgroup { memory: Some(1 << 20), ..Cgroup::default() };
            change(&mut group);
            group
        };
        let same = group(|_| {});
        let differs = |other: Option<&Cgroup>| other_limit((&limits, Some(&same)), (&limits, other));
        assert_eq!(differs(Some(&same)), None);
        assert_eq!(differs(None), Some("memory"));
        let rate = || Throttle { path: c"/".into(), kind: profile::Throttled::ReadBps, rate: 1 };
        assert_eq!(differs(Some(&Cgroup { throttles: vec![rate()], ..same.clone() })), Some("io rates"));
        for (name, change) in [
            ("memory", (|group| group.memory = Some(2 << 20)) as fn(&mut Cgroup)),
            ("memory_swap", |group| group.swap = 1),
            ("pids", |group| group.pids = Some(1)),
            ("cpus", |group| group.cpus = Some(1)),
            ("cpu_weight", |group| group.cpu_shares = Some(2)),
            ("cpu_time", |group| group.cpu_time_ms = Some(1)),
            ("io_weight", |group| group.io_weight = Some(1)),
            ("cgroup_parent", |group| group.parent = Some(c"/a".into())),
        ] {
            assert_eq!(differs(Some(&group(change))), Some(name));
        }
        let later = Limits { timeout_ms: None, ..limits };
        assert_eq!(other_limit((&limits, None), (&later, None)), Some("timeout"));
    }
}
