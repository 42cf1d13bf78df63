//! Limits, other attributes of the task's process, and capabilities: from names to the kernel's numbers.

use std::collections::BTreeMap;

use crate::host::{Facts, HostLimit};
use crate::plan::error::PlanError;
use crate::plan::model::{Limits, ProcessAttributes, RLIMITS, Rlimit};
use crate::plan::resources::{stand_ins, whole_seconds};
use crate::plan::show::note::Exposed;
use crate::plan::show::note::Note;
use crate::profile::{Capability, CapabilitySet, Profile, Scheduler};

const CPU: u32 = 0;
const FSIZE: u32 = 1;
const CORE: u32 = 4;
pub(crate) const NOFILE: u32 = 7;
const STACK: u32 = 3;
const NICE: u32 = 13;
const RTPRIO: u32 = 14;
const UNLIMITED: u64 = u64::MAX;

/// Without CAP_SETFCAP where others can reach what the task writes: capabilities of a file are worth as much
/// there as inside, where an id-mapped mount shows root's files.
pub(crate) fn unexposed(
    capabilities: CapabilitySet,
    exposed: Option<&Exposed>,
    notes: &mut Vec<Note>,
) -> CapabilitySet {
    let kept = capabilities & !CapabilitySet::of(&[Capability::CAP_SETFCAP]);
    if let Some(exposed) = exposed.filter(|_| kept != capabilities) {
        let note = Note::SetId { exposed: exposed.clone() };
        if !notes.contains(&note) {
            notes.push(note);
        }
        return kept;
    }
    capabilities
}

/// What the task's process has in place of what it would inherit.
pub(crate) fn attributes(
    profile: &Profile,
    facts: &Facts,
    notes: &mut Vec<Note>,
) -> Result<ProcessAttributes, PlanError> {
    Ok(ProcessAttributes {
        rlimits: rlimits(profile, facts, notes)?,
        umask: umask(profile)?,
        scheduler: scheduler(profile, facts)?,
        io_priority: profile.process.io_priority,
    })
}

/// The scheduler, if the kernel lets the task have it. In a sandbox CAP_SYS_NICE does not count: the caller's
/// resource limits decide, which init has, too.
fn scheduler(profile: &Profile, facts: &Facts) -> Result<Option<Scheduler>, PlanError> {
    let Some(asked) = profile.process.scheduler else { return Ok(None) };
    let refused = |reason, hint| {
        Err(PlanError::Unenforceable { key: format!("process.scheduler = \"{asked}\""), reason, hint })
    };
    if soft(RTPRIO, facts) < u64::from(asked.priority) {
        return refused(
            "the priority is above the caller's RLIMIT_RTPRIO",
            "raise that limit (prlimit --rtprio=99 belljar ... as root, LimitRTPRIO= of systemd.exec(5), \
             limits.conf(5)), or use the policy other, batch or idle",
        );
    }
    // The limit is 20 minus the lowest nice value (getrlimit(2)).
    let needed = asked.nice.filter(|nice| *nice < 0).map_or(0, |nice| 20 + u64::from(nice.unsigned_abs()));
    if soft(NICE, facts) < needed {
        return refused(
            "the nice value is below what the caller's RLIMIT_NICE allows",
            "raise that limit (prlimit --nice=40 belljar ... as root, LimitNICE= of systemd.exec(5), \
             limits.conf(5)), or use a nice value of 0 to 19",
        );
    }
    Ok(Some(asked))
}

fn umask(profile: &Profile) -> Result<u32, PlanError> {
    let umask = profile.process.umask;
    if umask > 0o777 {
        let (value, problem) = (format!("{umask:o}"), "it is beyond 777");
        return Err(PlanError::Value { key: "process.umask", value, problem });
    }
    Ok(umask)
}

/// The resource limits, by number. A limit above the caller's own hard limit cannot be had by an unprivileged
/// sandbox; the caller's is the stricter one and takes its place, with a note.
fn rlimits(profile: &Profile, facts: &Facts, notes: &mut Vec<Note>) -> Result<Vec<Rlimit>, PlanError> {
    let mut wanted: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (name, limit) in &profile.process.rlimits {
        let number = RLIMITS.iter().position(|known| known == name);
        let unknown = || PlanError::UnknownName { what: "resource limit", name: name.clone() };
        let resource = u32::try_from(number.ok_or_else(unknown)?).unwrap_or(u32::MAX);
        let (soft, hard) = (limit.soft.unwrap_or(UNLIMITED), limit.hard.unwrap_or(UNLIMITED));
        if soft > hard {
            let problem = "the soft limit is above the hard limit";
            return Err(PlanError::Value { key: "process.rlimits", value: name.clone(), problem });
        }
        wanted.insert(resource, (soft, hard));
    }
    let mut tighten = |resource, soft: u64, hard: u64| {
        let entry = wanted.entry(resource).or_insert((UNLIMITED, UNLIMITED));
        *entry = (entry.0.min(soft), entry.1.min(hard));
    };
    if let Some(bytes) = profile.limits.file_size {
        tighten(FSIZE, bytes, bytes);
    }
    if let Some(time) = profile.limits.cpu_time {
        let seconds = whole_seconds(time)?;
        // SIGXCPU first; one second later SIGKILL, for those that ignore it.
        tighten(CPU, seconds, seconds.saturating_add(1));
    }
    for (resource, value, hard) in stand_ins(profile, notes)? {
        tighten(resource, value, hard);
    }
    if let Some((1.., _)) = wanted.get(&CORE)
        && facts.crash_handler
    {
        return Err(PlanError::Unenforceable {
            key: "process.rlimits.core = 1".to_owned(),
            reason: "the caller's own hard limit is 0, with which a crash inside starts the host's crash handler (core_pattern)",
            hint: "raise the hard limit of core files to 1 or more before (limits.conf(5), LimitCORE=), or accept the handler \
                   with --set process.rlimits.core=0",
        });
    }
    Ok(wanted
        .into_iter()
        .map(|(resource, (soft, hard))| {
            let own = facts
                .limit(resource)
                .unwrap_or(HostLimit { resource, soft: UNLIMITED, hard: UNLIMITED })
                .hard;
            if hard > own || soft > own {
                notes.push(Note::Lowered { resource, asked: hard, given: own });
            }
            Rlimit { resource, soft: soft.min(own), hard: hard.min(own) }
        })
        .collect())
}

/// The caller's own soft limit, which init has, too.
pub(crate) fn soft(resource: u32, facts: &Facts) -> u64 {
    facts.limit(resource).map_or(UNLIMITED, |limit| limit.soft)
}

/// The stack limit that the task will have: a quarter of it is what arguments and environment may take.
pub(crate) fn stack(rlimits: &[Rlimit], facts: &Facts) -> u64 {
    let planned = rlimits.iter().find(|limit| limit.resource == STACK).map(|limit| limit.soft);
    planned.or_else(|| facts.limit(STACK).map(|limit| limit.soft)).unwrap_or(UNLIMITED)
}

/// What the caller's side enforces.
pub(crate) fn limits(profile: &Profile) -> Result<Limits, PlanError> {
    let timeout_ms = match profile.limits.timeout {
        None => None,
        Some(timeout) => match u64::try_from(timeout.as_millis()) {
            Ok(ms) if ms > 0 => Some(ms),
            _ => {
                let (value, problem) = (format!("{timeout:?}"), "it must be a millisecond or more");
                return Err(PlanError::Value { key: "limits.timeout", value, problem });
            }
        },
    };
    let output_truncated = profile.limits.output_truncated;
    Ok(Limits { timeout_ms, output: profile.limits.output, output_truncated })
}
