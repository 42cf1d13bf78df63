//! How the kernel schedules the task: `process.scheduler` and `process.ioPriority`.

use std::fmt;
use std::str::FromStr;

use super::value_error::{ValueError, word};

/// A scheduling policy with its parameters (sched(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Scheduler {
    /// The policy.
    pub policy: SchedulerPolicy,
    /// The nice value of `Other` and `Batch`, -20 to 19. `None`: the caller's.
    pub nice: Option<i32>,
    /// The priority of `Fifo` and `Rr`, 1 to 99; 0 for the others.
    pub priority: u32,
    /// Whether children do not inherit a real-time policy or a negative nice value
    /// (`SCHED_FLAG_RESET_ON_FORK`).
    pub reset_on_fork: bool,
}

/// A scheduling policy. `SCHED_DEADLINE` is none: the kernel asks for CAP_SYS_NICE in the initial user
/// namespace, which nothing in a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum SchedulerPolicy {
    /// The default.
    #[default]
    Other,
    /// For work that is not interactive.
    Batch,
    /// Runs when no other process wants to.
    Idle,
    /// Real time, first in, first out.
    Fifo,
    /// Real time, in time slices.
    Rr,
}

/// An I/O scheduling class with its priority (ioprio_set(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct IoPriority {
    /// The class.
    pub class: IoClass,
    /// The priority of `BestEffort`, from 0, the highest, to 7; 0 for `Idle`.
    pub priority: u32,
}

/// An I/O scheduling class. Real time is none: the kernel asks for CAP_SYS_NICE in the initial user
/// namespace, which nothing in a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum IoClass {
    /// The default.
    #[default]
    BestEffort,
    /// Only when no other process uses the disk.
    Idle,
}

/// Why some of OCI's words are refused.
const NEEDS_NICE: &str =
    "the kernel asks for CAP_SYS_NICE in the initial user namespace, which nothing in a sandbox has";

/// OCI's words, and those of chrt(1).
pub(super) const POLICIES: [(&str, SchedulerPolicy); 10] = [
    ("SCHED_OTHER", SchedulerPolicy::Other),
    ("SCHED_BATCH", SchedulerPolicy::Batch),
    ("SCHED_IDLE", SchedulerPolicy::Idle),
    ("SCHED_FIFO", SchedulerPolicy::Fifo),
    ("SCHED_RR", SchedulerPolicy::Rr),
    ("other", SchedulerPolicy::Other),
    ("batch", SchedulerPolicy::Batch),
    ("idle", SchedulerPolicy::Idle),
    ("fifo", SchedulerPolicy::Fifo),
    ("rr", SchedulerPolicy::Rr),
];

/// OCI's words, and those of ionice(1).
pub(super) const IO_CLASSES: [(&str, IoClass); 4] = [
    ("IOPRIO_CLASS_BE", IoClass::BestEffort),
    ("IOPRIO_CLASS_IDLE", IoClass::Idle),
    ("best-effort", IoClass::BestEffort),
    ("idle", IoClass::Idle),
];

impl SchedulerPolicy {
    pub(super) fn read(text: &str) -> Result<Self, ValueError> {
        match text {
            "SCHED_DEADLINE" | "deadline" => {
                Err(ValueError::Refused { word: text.to_owned(), why: NEEDS_NICE })
            }
            _ => word(text, "scheduling policy", &POLICIES),
        }
    }
}

impl Scheduler {
    pub(super) fn check(&self) -> Result<(), ValueError> {
        let Self { policy, nice, priority, .. } = *self;
        let (good, expected) = match policy {
            SchedulerPolicy::Fifo | SchedulerPolicy::Rr => (
                nice.is_none() && (1..=99).contains(&priority),
                "a real-time policy with a priority of 1 to 99 (as in fifo:10)",
            ),
            SchedulerPolicy::Other | SchedulerPolicy::Batch => (
                priority == 0 && (-20..=19).contains(&nice.unwrap_or(0)),
                "a policy with a nice value of -20 to 19 (as in batch:10)",
            ),
            // The kernel keeps no nice value of it.
            SchedulerPolicy::Idle => (nice.is_none() && priority == 0, "\"idle\", which has no number"),
        };
        if good { Ok(()) } else { Err(ValueError::Malformed { text: self.to_string(), expected }) }
    }
}

/// `POLICY[:N]`: the nice value or, of `fifo` and `rr`, the priority.
impl FromStr for Scheduler {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (policy, number) = policy_and_number(text)?;
        let policy = SchedulerPolicy::read(policy)?;
        let (nice, priority) = match policy {
            SchedulerPolicy::Fifo | SchedulerPolicy::Rr => {
                (None, number.unwrap_or(0).try_into().unwrap_or(0))
            }
            _ => (number, 0),
        };
        let scheduler = Self { policy, nice, priority, reset_on_fork: false };
        scheduler.check().map(|()| scheduler)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = POLICIES.iter().rfind(|(_, policy)| *policy == self.policy);
        f.write_str(word.map_or("unknown", |(word, _)| word))?;
        match self.nice {
            Some(nice) => write!(f, ":{nice}")?,
            None if self.priority != 0 => write!(f, ":{}", self.priority)?,
            None => {}
        }
        f.write_str(if self.reset_on_fork { ", reset on fork" } else { "" })
    }
}

impl IoClass {
    pub(super) fn read(text: &str) -> Result<Self, ValueError> {
        match text {
            "IOPRIO_CLASS_RT" | "realtime" => {
                Err(ValueError::Refused { word: text.to_owned(), why: NEEDS_NICE })
            }
            _ => word(text, "I/O scheduling class", &IO_CLASSES),
        }
    }

    /// The kernel's (`IOPRIO_BE_NORM`).
    pub(super) fn default_priority(self) -> u32 {
        match self {
            Self::BestEffort => 4,
            Self::Idle => 0,
        }
    }
}

impl IoPriority {
    pub(super) fn check(&self) -> Result<(), ValueError> {
        let expected = match self.class {
            IoClass::BestEffort if self.priority > 7 => "a priority of 0 to 7 (as in best-effort:7)",
            IoClass::Idle if self.priority != 0 => "\"idle\", which has no number",
            _ => return Ok(()),
        };
        Err(ValueError::Malformed { text: self.to_string(), expected })
    }
}

/// `CLASS[:N]`.
impl FromStr for IoPriority {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (class, number) = policy_and_number(text)?;
        let class = IoClass::read(class)?;
        let priority = match number {
            Some(number) => u32::try_from(number).unwrap_or(u32::MAX),
            None => class.default_priority(),
        };
        let priority = Self { class, priority };
        priority.check().map(|()| priority)
    }
}

impl fmt::Display for IoPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class, self.priority) {
            (IoClass::Idle, 0) => f.write_str("idle"),
            (IoClass::Idle, priority) => write!(f, "idle:{priority}"),
            (IoClass::BestEffort, priority) => write!(f, "best-effort:{priority}"),
        }
    }
}

/// The parts of `WORD[:N]`.
fn policy_and_number(text: &str) -> Result<(&str, Option<i32>), ValueError> {
    let Some((word, number)) = text.split_once(':') else { return Ok((text, None)) };
    let expected = "a word, or a word and a whole number (as in batch:10)";
    let number = number.parse().map_err(|_| ValueError::Malformed { text: text.to_owned(), expected })?;
    Ok((word, Some(number)))
}
