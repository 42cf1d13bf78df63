//! The limits, in the words of the two versions. Each is read back.

use std::path::Path;

use super::dir::Dir;
use super::error::CgroupError;
use super::place::Place;
use super::{Controller, Version, io};
use crate::plan::Cgroup;

/// Files of a group's own limits that cannot be given to another one beside it.
const NOT_INHERITED: [&str; 2] = ["cpuset.cpus", "io.max"];

/// Sets what the plan asks of one tree.
pub(super) fn set(group: &Dir, place: &Place, plan: &Cgroup) -> Result<(), CgroupError> {
    let Place { version, controllers, parent, own, .. } = place;
    if controllers.contains(&Controller::Io) {
        io::set(group, parent, *version, plan)?;
    }
    match version {
        Version::V1 => v1(group, controllers, plan),
        Version::V2 => {
            // Where v1 has some of the controllers, those limits are set there.
            let has = |controller| controllers.contains(&controller);
            let part = Cgroup {
                memory: plan.memory.filter(|_| has(Controller::Memory)),
                pids: plan.pids.filter(|_| has(Controller::Pids)),
                cpus: plan.cpus.filter(|_| has(Controller::Cpu)),
                cpu_shares: plan.cpu_shares.filter(|_| has(Controller::Cpu)),
                ..plan.clone()
            };
            let part = match own {
                Some(own) => within(&part, own)?,
                None => part,
            };
            v2(group, &part)
        }
    }
}

/// What can be told before there is a group.
pub(super) fn check(place: &Place, plan: &Cgroup) -> Result<(), CgroupError> {
    if place.controllers.contains(&Controller::Io) {
        io::check(&place.parent, place.version, plan)?;
    }
    place.own.as_ref().map_or(Ok(()), |own| within(plan, own).map(drop))
}

fn v1(group: &Dir, controllers: &[Controller], plan: &Cgroup) -> Result<(), CgroupError> {
    for controller in controllers {
        match controller {
            Controller::Memory => {
                if let Some(bytes) = plan.memory {
                    set_bytes(group, "memory.limit_in_bytes", bytes)?;
                    if group.read_if_there("memory.memsw.limit_in_bytes")?.is_some() {
                        set_bytes(group, "memory.memsw.limit_in_bytes", bytes.saturating_add(plan.swap))?;
                    } else if there_is_swap() {
                        return Err(CgroupError::Swap);
                    }
                }
            }
            Controller::Pids => pids(group, plan.pids)?,
            Controller::Cpu => {
                if let Some(cpus) = plan.cpus {
                    let (quota, period) = quota(cpus);
                    group.set("cpu.cfs_period_us", &period.to_string())?;
                    group.set("cpu.cfs_quota_us", &quota.to_string())?;
                }
                if let Some(shares) = plan.cpu_shares {
                    group.set("cpu.shares", &shares.to_string())?;
                }
            }
            Controller::Cpuacct | Controller::Io => {}
        }
    }
    Ok(())
}

fn v2(group: &Dir, plan: &Cgroup) -> Result<(), CgroupError> {
    if let Some(bytes) = plan.memory {
        set_bytes(group, "memory.max", bytes)?;
        group.set("memory.oom.group", "1")?;
        if group.read_if_there("memory.swap.max")?.is_some() {
            set_bytes(group, "memory.swap.max", plan.swap)?;
        } else if there_is_swap() {
            return Err(CgroupError::Swap);
        }
    }
    pids(group, plan.pids)?;
    if let Some(cpus) = plan.cpus {
        let (quota, period) = quota(cpus);
        group.set("cpu.max", &format!("{quota} {period}"))?;
    }
    if let Some(shares) = plan.cpu_shares {
        group.set("cpu.weight", &weight(shares).to_string())?;
    }
    Ok(())
}

fn pids(group: &Dir, pids: Option<u64>) -> Result<(), CgroupError> {
    match pids {
        // The kernel has no more numbers for processes than that.
        Some(number) => group.set("pids.max", &number.min(4 << 20).to_string()),
        None => Ok(()),
    }
}

/// The kernel counts pages: what is read back is at most a page less.
fn set_bytes(group: &Dir, file: &'static str, bytes: u64) -> Result<(), CgroupError> {
    group.write(file, &bytes.to_string())?;
    let found = group.read(file)?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    let page = page.unsigned_abs().max(1);
    // Beyond what it can count, it is no limit.
    let most = u64::MAX / 2 / page * page;
    let whole = (bytes / page * page).min(most);
    let read = if found.trim() == "max" { most } else { found.trim().parse().unwrap_or(u64::MAX) };
    if read == whole {
        return Ok(());
    }
    let (path, written) = (group.path.join(file), bytes.to_string());
    Err(CgroupError::Mismatch { path, written, found: found.trim().to_owned() })
}

/// Quota and period, µs: the kernel takes no quota below 1 ms.
fn quota(cpus: u64) -> (u64, u64) {
    let period = if cpus < 10 { 1_000_000 } else { 100_000 };
    (cpus.saturating_mul(period / 1000), period)
}

/// `cpu.weight` of `cpu.shares`, so that everybody's 1024 is everybody's 100.
fn weight(shares: u64) -> u64 {
    (shares.saturating_mul(100).saturating_add(512) / 1024).clamp(1, 10_000)
}

fn there_is_swap() -> bool {
    // Without the file the kernel has no swap at all.
    std::fs::read_to_string(Path::new("/proc/swaps")).is_ok_and(|text| text.lines().count() > 1)
}

/// The plan with no limit above those of the caller's own group.
fn within(plan: &Cgroup, own: &Dir) -> Result<Cgroup, CgroupError> {
    for file in NOT_INHERITED {
        if own.read_if_there(file)?.is_some_and(|text| !text.trim().is_empty()) {
            return Err(CgroupError::OwnLimits { file });
        }
    }
    let mut plan = plan.clone();
    let memory = lower(own_limit(own, "memory.max")?, own_limit(own, "memory.high")?);
    if let Some(memory) = memory {
        // Without a limit of one's own, swap is not limited either.
        let swap = if plan.memory.is_some() { plan.swap } else { u64::MAX / 2 };
        plan.memory = lower(plan.memory, Some(memory));
        plan.swap = swap;
    }
    if plan.memory.is_some() {
        plan.swap = plan.swap.min(own_limit(own, "memory.swap.max")?.unwrap_or(u64::MAX));
    }
    plan.pids = lower(plan.pids, own_limit(own, "pids.max")?);
    if let Some(text) = own.read_if_there("cpu.max")? {
        let mut words = text.split_ascii_whitespace();
        let (quota, period) = (words.next(), words.next().and_then(|word| word.parse::<u64>().ok()));
        match (quota, period) {
            (Some("max"), _) => {}
            (Some(quota), Some(period)) if period > 0 => {
                let quota: u64 =
                    quota.parse().map_err(|_| CgroupError::Malformed { path: own.path.join("cpu.max") })?;
                plan.cpus = lower(plan.cpus, Some((quota.saturating_mul(1000) / period).max(1)));
            }
            _ => return Err(CgroupError::Malformed { path: own.path.join("cpu.max") }),
        }
    }
    Ok(plan)
}

fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A limit's file: none where it is `max`, or not there.
fn own_limit(own: &Dir, file: &'static str) -> Result<Option<u64>, CgroupError> {
    match own.read_if_there(file)?.as_deref().map(str::trim) {
        None | Some("max") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| CgroupError::Malformed { path: own.path.join(file) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_never_below_what_the_kernel_takes() {
        for (cpus, expected) in [
            (1000, (100_000, 100_000)),
            (1500, (150_000, 100_000)),
            (10, (1000, 100_000)),
            (9, (9000, 1_000_000)),
            (1, (1000, 1_000_000)),
        ] {
            assert_eq!(quota(cpus), expected, "{cpus}");
        }
    }

    #[test]
    fn shares_become_weights() {
        for (shares, expected) in
            [(2, 1), (10, 1), (1024, 100), (2048, 200), (102_400, 10_000), (262_144, 10_000)]
        {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }
}
