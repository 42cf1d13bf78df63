//! Runs all trials, each in a process of its own, and reports how each ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2, setpgid};
use serde::{Deserialize, Serialize};

use super::process::{describe, report, start};
use super::{At, Layer, Miss, Step, Trial, trial};

/// How long a trial may take: each takes milliseconds, but not on a machine that does ten other things.
const LIMIT: Duration = Duration::from_secs(5);

/// Trials at the same time: a hanging one must not hold up the others, and a low process limit must not be
/// reached.
const AT_ONCE: usize = 8;

/// A trial's answer is a short line; more than this is not read.
const ANSWER: u64 = 64 * 1024;

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::doctor) enum Outcome {
    /// It came back.
    Ran(Trial),
    /// It died; says of what.
    Died(String),
    /// It did not come back in time.
    Hung,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::doctor) struct Line {
    pub(in crate::doctor) layer: Layer,
    pub(in crate::doctor) outcome: Outcome,
}

struct Running {
    layer: Layer,
    process: Pid,
    answer: OwnedFd,
    until: Instant,
}

/// Tries all layers and writes one JSON line for each, in the order in which they end. The process must have
/// a single thread, and no other children.
pub(in crate::doctor) fn all(out: &mut impl Write) -> io::Result<()> {
    run(Layer::ALL.iter().filter_map(|&layer| Some((layer, trial(layer)?))), LIMIT, out)
}

fn run(
    trials: impl Iterator<Item = (Layer, fn() -> Trial)>,
    limit: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut waiting: VecDeque<_> = trials.collect();
    let mut running: Vec<Running> = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < AT_ONCE
            && let Some((layer, trial)) = waiting.pop_front()
        {
            match launch(layer, trial, limit) {
                Ok(started) => running.push(started),
                Err(miss) => line(out, layer, Outcome::Ran(Err(miss)))?,
            }
        }
        for at in ready(&running)?.into_iter().rev() {
            let ended = running.swap_remove(at);
            let layer = ended.layer;
            line(out, layer, finish(ended)?)?;
        }
    }
    Ok(())
}

/// Starts one trial as the leader of its own process group.
fn launch(layer: Layer, trial: fn() -> Trial, limit: Duration) -> Result<Running, Miss> {
    let (answer, writer) = pipe2(OFlag::O_CLOEXEC).at(Step::Process, "pipe2", "")?;
    let process = start(move || {
        // It must neither outlive the doctor nor leave its group: where that cannot be had, nothing is tried.
        let alone = setpgid(Pid::from_raw(0), Pid::from_raw(0)).at(Step::Process, "setpgid", "");
        let bound = set_pdeathsig(Signal::SIGKILL).at(Step::Process, "prctl", "PR_SET_PDEATHSIG");
        report(alone.and(bound).and_then(|_| trial()), writer);
    })?;
    // Both sides set it, so that it is set when either goes on; the child may have ended or set it already.
    let _either_side = setpgid(process, process);
    Ok(Running { layer, process, answer, until: Instant::now() + limit })
}

/// Positions, ascending, of the trials that have ended, answered or run out of time.
fn ready(running: &[Running]) -> io::Result<Vec<usize>> {
    let now = Instant::now();
    let next =
        running.iter().map(|trial| trial.until.saturating_duration_since(now)).min().unwrap_or_default();
    let mut pipes: Vec<_> =
        running.iter().map(|trial| PollFd::new(trial.answer.as_fd(), PollFlags::POLLIN)).collect();
    // Rounded up: a timeout of 0 before the time has come would spin.
    let timeout = PollTimeout::try_from(next.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    match poll(&mut pipes, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let now = Instant::now();
    Ok((0..running.len()).filter(|&at| pipes[at].any().unwrap_or(true) || running[at].until <= now).collect())
}

/// Collects a trial's answer and ends what is left of its group.
fn finish(trial: Running) -> io::Result<Outcome> {
    let mut answer = Vec::new();
    let mut pipe = [PollFd::new(trial.answer.as_fd(), PollFlags::POLLIN)];
    let answered = poll(&mut pipe, PollTimeout::ZERO)? > 0;
    if answered {
        // One line in one write of less than a pipe holds: it is there as a whole.
        let mut buffer = vec![0; ANSWER as usize];
        let length = File::from(trial.answer).read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..length]);
    }
    // The leader is not reaped yet, so that its number still names its group.
    match killpg(trial.process, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let status = waitpid(trial.process, None)?;
    Ok(match serde_json::from_slice(&answer) {
        Ok(result) => Outcome::Ran(result),
        Err(_) if answered => Outcome::Died(describe(status)),
        Err(_) => Outcome::Hung,
    })
}

fn line(out: &mut impl Write, layer: Layer, outcome: Outcome) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { layer, outcome })?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeps() -> Trial {
        std::thread::sleep(Duration::from_secs(30));
        Ok(String::new())
    }

    fn dies() -> Trial {
        // SAFETY: ends the process.
        unsafe { libc::_exit(7) }
    }

    fn is_killed() -> Trial {
        // SAFETY: kills the process.
        unsafe { libc::raise(libc::SIGKILL) };
        Ok(String::new())
    }

    fn leaves_a_child() -> Trial {
        start(|| std::thread::sleep(Duration::from_secs(30)))?;
        Ok("done".to_owned())
    }

    #[test]
    fn a_trial_that_hangs_or_dies_is_a_finding_and_holds_nothing_up() {
        let trials: [(Layer, fn() -> Trial); 5] = [
            (Layer::Kernel, sleeps),
            (Layer::Proc, dies),
            (Layer::Tmpfs, is_killed),
            (Layer::Fsopen, leaves_a_child),
            (Layer::Memfd, sleeps),
        ];
        let begun = Instant::now();
        let mut out = Vec::new();
        run(trials.into_iter(), Duration::from_millis(300), &mut out).expect("a run");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let mut lines: Vec<Line> = String::from_utf8(out)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line"))
            .collect();
        lines.sort_by_key(|line| line.layer);
        let outcomes: Vec<_> = lines.into_iter().map(|line| (line.layer, line.outcome)).collect();
        assert_eq!(
            outcomes,
            [
                (Layer::Kernel, Outcome::Hung),
                (Layer::Proc, Outcome::Died("exit code 7".to_owned())),
                (Layer::Tmpfs, Outcome::Died("SIGKILL".to_owned())),
                (Layer::Fsopen, Outcome::Ran(Ok("done".to_owned()))),
                (Layer::Memfd, Outcome::Hung),
            ]
        );
    }
}
