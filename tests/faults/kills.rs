//! Kills: of the caller, of init, of the task and of all at once, at every system call and at random times.
//! Within a second nothing of the run is left.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::baseline::{Baseline, Verdict};
use crate::calls;
use crate::injector::{Change, Injection};
use crate::scenario::{Caller, LITE, Place, Scenario};
use crate::sweep::Depth;

/// What the issue asks for; what a machine with other work gets.
const ASKED: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// A cleaner and its caller at once leave the control group to the next run.
const VICTIMS: [&[&str]; 5] =
    [&["caller"], &["init"], &["task"], &["caller", "holder", "init", "task"], &["cleaner"]];

/// Kills at system calls: at all of them, or at a part that is spread over the run.
pub fn at_calls(caller: Caller, scenario: &Scenario, depth: Depth) -> Result<(), Failed> {
    const PART: usize = 80;
    let began = Instant::now();
    let baseline = Baseline::of(&Place::for_scenario(caller, scenario), scenario);
    let has_cleaner = !baseline.place_of("cleaner").is_empty();
    let victims = VICTIMS.get(..VICTIMS.len() - usize::from(!has_cleaner)).expect("the last is the cleaner");
    let all = baseline.calls.len() * victims.len();
    let step = if depth == Depth::Full { 1 } else { all.div_ceil(PART) | 1 };
    let injections: Vec<Injection> = (0..all)
        .step_by(step)
        .filter_map(|number| {
            let call = baseline.calls.get(number / victims.len())?;
            let places = victims.get(number % victims.len())?.iter().map(|name| baseline.place_of(name));
            let change = Change::Kill(places.collect());
            Some(Injection { place: call.place.clone(), key: calls::key(call), index: call.index, change })
        })
        .collect();
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(BTreeMap::<Verdict, usize>::new());
    let findings = Mutex::new(Vec::new());
    let slowest = Mutex::new(Duration::ZERO);
    let worker = || {
        let place = Place::for_scenario(caller, scenario);
        while let Some(injection) = injections.get(next.fetch_add(1, Ordering::Relaxed)) {
            let run = place.run(scenario, Some(injection), false);
            // A run whose victim was not there yet, or any more, goes on to its own end.
            let took = run.traced.took;
            let verdict = baseline.judge(&run, true).and_then(|verdict| {
                if took < PATIENCE { Ok(verdict) } else { Err(format!("it took {took:?} to be gone")) }
            });
            let mut slowest = slowest.lock().expect("time");
            *slowest = took.max(*slowest);
            drop(slowest);
            match verdict {
                Ok(verdict) => *counts.lock().expect("counts").entry(verdict).or_default() += 1,
                Err(what) => findings.lock().expect("findings").push(format!(
                    "{:?} at {} {}: {what}\n      said: {:?}",
                    injection.change,
                    baseline.name(&injection.place),
                    run.traced.hit.as_ref().map_or_else(|| format!("{injection:?}"), calls::show),
                    run.stderr
                )),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let findings = findings.into_inner().expect("findings");
    println!(
        "kills: {} as {caller:?}: {} of {all} pairs of a call and a victim in {:.1} s: {:?}, findings {}, the slowest {:?}",
        scenario.name,
        injections.len(),
        began.elapsed().as_secs_f64(),
        counts.into_inner().expect("counts"),
        findings.len(),
        slowest.into_inner().expect("time"),
    );
    result(&findings)
}

/// Kills at random times of a run that would last a minute and has left a descendant in a session of its own.
pub fn at_random(caller: Caller, scenario: &Scenario, rounds: u32) -> Result<(), Failed> {
    let place = Place::for_scenario(caller, scenario);
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    let (mut slowest, mut findings) = (Duration::ZERO, Vec::new());
    let mut killed = BTreeMap::<&str, usize>::new();
    for round in 0..rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut command = place.command(scenario, &[], Some("wait"));
        let mut child = command.stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_micros(random % 150_000));
        let family = family(child.id());
        let inits: Vec<u32> = family.iter().copied().filter(|pid| is_init(*pid)).collect();
        let tasks: Vec<u32> =
            inits.iter().flat_map(|pid| self::family(*pid).into_iter().skip(1).take(1)).collect();
        let (name, victims) = match round % 4 {
            0 => ("caller", vec![child.id()]),
            // Without a pid namespace what the task made goes on, if its init is killed from outside: see
            // the profile.
            1 if scenario.name == LITE.name => ("caller", vec![child.id()]),
            1 => ("init", inits),
            2 => ("task", tasks),
            // What the task forks between this list and the kill is init's to end.
            _ if scenario.name == LITE.name => {
                ("all but init", family.iter().copied().filter(|pid| !inits.contains(pid)).collect())
            }
            _ => ("all", family.clone()),
        };
        // Where it is not there yet, the caller is.
        let victims = if victims.is_empty() { vec![child.id()] } else { victims };
        *killed.entry(name).or_default() += 1;
        let began = Instant::now();
        for pid in &victims {
            // SAFETY: numbers only. Children of a process that has not been waited for, a moment ago.
            unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
        }
        match place.gone_within(PATIENCE) {
            Ok(()) => slowest = slowest.max(began.elapsed()),
            Err(left) => {
                findings.push(format!("round {round}, {name} killed ({victims:?} of {family:?}): {left:?}"));
                drop(child.kill());
            }
        }
        child.wait().map_err(|error| error.to_string())?;
    }
    println!(
        "kills: {} as {caller:?}: {rounds} at random times, {killed:?}, findings {}, the slowest {slowest:?} (asked for: {ASKED:?})",
        scenario.name,
        findings.len()
    );
    result(&findings)
}

/// Whether a process is the sandbox's init (a role's has the role's arguments): executed, and waiting or
/// working as such.
fn is_init(pid: u32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let parent = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let inner = parent.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let first = inner.split_whitespace().last() == Some("1");
    name.trim() == "belljar:init" && (first || inner.split_whitespace().count() == 1)
}

/// The process, its children, their children, and so on.
pub fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        at += 1;
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    found
}

fn result(findings: &[String]) -> Result<(), Failed> {
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("{} findings:\n  {}", findings.len(), findings.join("\n  ")).into())
}
