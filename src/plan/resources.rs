//! Limits of the whole sandbox: a control group's, or by name the resource limits that stand in for one.

use std::time::Duration;

use super::error::PlanError;
use super::model::{Cgroup, Throttle};
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
