//! Faults: one call of one process of a run fails, lies or is cut short, and the run must either be whole or
//! be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::Failed;

use crate::baseline::{Baseline, Verdict};
use crate::calls;
use crate::injector::{Call, Change, Injection};
use crate::scenario::{Caller, Place, Scenario};

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every distinct call of every process, one of three errors; every wall faked.
    Reduced,
    /// Every distinct call of every process, three errors; every wall faked.
    Most,
    /// Every call, six errors and short counts; every wall faked.
    Full,
}

const ALL: [i32; 6] = [libc::EPERM, libc::EINVAL, libc::ENOSYS, libc::ENOMEM, libc::EINTR, libc::EAGAIN];
const SOME: [i32; 3] = [libc::EPERM, libc::ENOMEM, libc::EINTR];

fn injections(baseline: &Baseline, depth: Depth) -> Vec<Injection> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    let threads = |call: &Call| call.place.contains(".t");
    for call in &baseline.calls {
        let mut add = |change| {
            list.push(Injection {
                place: call.place.clone(),
                key: calls::key(call),
                index: call.index,
                change,
            })
        };
        let first = seen.insert((call.place.clone(), calls::key(call)));
        if depth == Depth::Full || first {
            let turn = seen.len() % SOME.len();
            let errors = match depth {
                Depth::Full => &ALL[..],
                Depth::Most => &SOME,
                Depth::Reduced => &SOME[turn..=turn],
            };
            if calls::can_fail(call) {
                errors.iter().for_each(|errno| add(Change::Fail(*errno)));
            }
            if let Some(argument) = calls::length_argument(call) {
                add(Change::Short(argument));
            }
        }
        if !threads(call)
            && calls::is_wall(call)
            && (depth == Depth::Full || first || calls::is_each_another(call))
        {
            add(Change::Fake(calls::success(call)));
        }
    }
    list
}

/// Tries all of it, on two threads, and prints the counts.
pub fn sweep(caller: Caller, scenario: &Scenario, depth: Depth) -> Result<(), Failed> {
    let began = std::time::Instant::now();
    let baseline = Baseline::of(&Place::for_scenario(caller, scenario), scenario);
    let injections = injections(&baseline, depth);
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(BTreeMap::<(Verdict, &'static str), usize>::new());
    let findings = Mutex::new(Vec::new());
    let messages = Mutex::new(BTreeMap::<String, usize>::new());
    let worker = || {
        let place = Place::for_scenario(caller, scenario);
        while let Some(injection) = injections.get(next.fetch_add(1, Ordering::Relaxed)) {
            let run = place.run(scenario, Some(injection), false);
            match baseline.judge(&run, false) {
                Ok(verdict) => {
                    let kind = calls::kind(&injection.change);
                    *counts.lock().expect("counts").entry((verdict, kind)).or_default() += 1;
                    let say = |text| *messages.lock().expect("messages").entry(text).or_default() += 1;
                    if let Some(line) = run.stderr.lines().next() {
                        say(line.to_owned());
                    }
                    // It was not noticed: each such call has to be one that can do no harm.
                    if let (Verdict::Succeeded, "fake", Some(call)) = (verdict, kind, &run.traced.hit) {
                        say(format!("unnoticed: {} {}", baseline.name(&injection.place), calls::show(call)));
                    }
                }
                Err(what) => {
                    let call = run.traced.hit.as_ref().map_or_else(|| format!("{injection:?}"), calls::show);
                    let place = baseline.name(&injection.place);
                    let change = calls::show_change(&injection.change);
                    findings.lock().expect("findings").push(format!(
                        "{place} #{} {call} {change}: {what}\n      said: {:?}",
                        injection.index, run.stderr
                    ));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let findings = findings.into_inner().expect("findings");
    let mut text = format!(
        "faults: {} as {caller:?}: {} calls, {} pairs of a call and an error in {:.1} s:",
        scenario.name,
        baseline.calls.len(),
        injections.len(),
        began.elapsed().as_secs_f64()
    );
    for ((verdict, kind), count) in counts.into_inner().expect("counts") {
        text.push_str(&format!(" {verdict:?}/{kind} {count},"));
    }
    text.push_str(&format!(" findings {}", findings.len()));
    println!("{text}");
    if std::env::var_os("BELLJAR_FAULTS_MESSAGES").is_some() {
        for (message, count) in messages.into_inner().expect("messages") {
            println!("    {count:5} {message}");
        }
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(format!("{} findings:\n  {}", findings.len(), findings.join("\n  ")).into())
    }
}
