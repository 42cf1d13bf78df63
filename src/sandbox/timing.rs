//! Where the time of a run goes: a stamp at the end of each step, on the caller's side and in init, by the
//! same clock.

use std::time::Duration;

use serde::Serialize;

use crate::protocol::Mark;
use crate::sys::process::monotonic;

/// The steps of a run, in the order in which they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[non_exhaustive]
pub struct Timing {
    /// From the beginning of the first to the end of the last there are no gaps.
    pub steps: Vec<TimedStep>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TimedStep {
    /// Which process.
    pub process: TimedProcess,
    /// What it did, or waited for.
    pub step: String,
    /// When it ended, since the first step began.
    #[serde(rename = "atMicroseconds", serialize_with = "microseconds")]
    pub at: Duration,
    /// How long it took: since the step before it ended, in either process.
    #[serde(rename = "microseconds", serialize_with = "microseconds")]
    pub took: Duration,
}

/// A process of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TimedProcess {
    /// The one that asked for it.
    Caller,
    /// PID 1 of the sandbox, and the task's process before the hand-over.
    Init,
}

fn microseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_nanos() as f64 / 1000.0)
}

/// The caller's own stamps.
#[derive(Debug, Clone)]
pub(crate) struct Stopwatch {
    began: u64,
    marks: Vec<(&'static str, u64)>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        // Room for all there are.
        Self { began: monotonic(), marks: Vec::with_capacity(16) }
    }

    /// The step of this name has just ended.
    pub(crate) fn mark(&mut self, step: &'static str) {
        self.marks.push((step, monotonic()));
    }

    /// The step of this name has ended at a time that another process tells: between the last one and now.
    pub(crate) fn mark_at(&mut self, step: &'static str, at: u64) {
        let last = self.marks.last().map_or(self.began, |(_, at)| *at);
        self.marks.push((step, at.clamp(last, monotonic().max(last))));
    }

    /// All steps, with those of init.
    pub(crate) fn timing(&self, init: &[Mark]) -> Timing {
        let caller = self.marks.iter().map(|(step, at)| (TimedProcess::Caller, (*step).to_owned(), *at));
        let init = init.iter().map(|mark| (TimedProcess::Init, mark.stage.to_string(), mark.at));
        let mut marks: Vec<_> = caller.chain(init).collect();
        marks.sort_by_key(|(_, _, at)| *at);
        let mut before = self.began;
        let steps = marks.into_iter().map(|(process, step, at)| {
            let took = Duration::from_nanos(at.saturating_sub(before));
            before = before.max(at);
            TimedStep { process, step, at: Duration::from_nanos(at.saturating_sub(self.began)), took }
        });
        Timing { steps: steps.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Stage;

    #[test]
    fn steps_are_in_their_order_and_without_gaps() {
        let stopwatch = Stopwatch { began: 1_000, marks: vec![("plan", 3_000), ("task", 9_000)] };
        let init = [Mark { stage: Stage::Root, at: 4_500 }, Mark { stage: Stage::Pivot, at: 5_000 }];
        let timing = stopwatch.timing(&init);
        let steps: Vec<_> =
            timing.steps.iter().map(|s| (s.step.as_str(), s.at.as_nanos(), s.took.as_nanos())).collect();
        assert_eq!(
            steps,
            [
                ("plan", 2_000, 2_000),
                ("root file system", 3_500, 1_500),
                ("pivot root", 4_000, 500),
                ("task", 8_000, 4_000)
            ]
        );
        let json = serde_json::to_value(&timing).unwrap();
        assert_eq!(json[1]["process"], "init");
        assert_eq!(json[1]["microseconds"], 1.5);
    }
}
