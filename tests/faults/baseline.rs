//! What an undisturbed run gave, and what may come of a disturbed one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::calls;
use crate::groups::Values;
use crate::injector::Call;
use crate::scenario::{Place, Run, Scenario};
use crate::witness;

/// An undisturbed run.
#[derive(Debug)]
pub struct Baseline {
    pub calls: Vec<Call>,
    facts: BTreeMap<String, String>,
    protections: serde_json::Value,
    limits: Option<Values>,
    /// Calls of the dynamic linker, the C library and std, not of belljar.
    runtime: BTreeSet<(String, (i64, u64), usize)>,
    /// What each place is.
    pub names: BTreeMap<String, &'static str>,
}

impl Baseline {
    /// Runs a scenario undisturbed: everything has to be in order.
    pub fn of(place: &Place, scenario: &Scenario) -> Baseline {
        let run = place.run(scenario, None, true);
        assert!(run.leftovers.is_empty() && run.stderr.is_empty(), "{run:?}");
        let facts =
            facts(&run.stdout, &run.mark).unwrap_or_else(|| panic!("no word of the witness: {}", run.stdout));
        let protections = run.report.as_ref().and_then(|report| report.get("protections")).cloned();
        let protections = protections.unwrap_or_else(|| panic!("no report: {:?}", run.report));
        let mut names = BTreeMap::from([("caller".to_owned(), "caller")]);
        // The child that holds a user namespace executes nothing.
        let children = run.traced.calls.iter().filter(|call| call.place.matches('>').count() == 1);
        names.extend(children.map(|call| (call.place.clone(), "holder")));
        for (place, arguments) in
            run.traced.executed.iter().filter(|(place, _)| place.matches('>').count() == 1)
        {
            let name = match arguments.split(' ').next() {
                Some("belljar-cleaner") => "cleaner",
                _ => "init",
            };
            names.insert(place.clone(), name);
            if name == "init" {
                names.insert(format!("{place}>1"), "task");
            }
        }
        let mut calls = run.traced.calls;
        trim(&mut calls, &names);
        let runtime = runtime(&calls);
        Baseline { calls, facts, protections, limits: run.limits, runtime, names }
    }

    /// Where a process of the run is.
    pub fn place_of(&self, name: &str) -> String {
        self.names
            .iter()
            .find(|(_, other)| **other == name)
            .map(|(place, _)| place.clone())
            .unwrap_or_default()
    }

    pub fn name(&self, place: &str) -> String {
        let thread =
            place.split_once(".t").map(|(_, number)| format!(" (thread {number})")).unwrap_or_default();
        let process = place.split_once(".t").map_or(place, |(process, _)| process);
        format!("{}{thread}", self.names.get(process).copied().unwrap_or(process))
    }
}

/// What comes before the first thing that belljar does itself (to look at its standard streams), and what
/// starts a thread.
fn runtime(calls: &[Call]) -> BTreeSet<(String, (i64, u64), usize)> {
    const THREAD: [i64; 6] = [
        libc::SYS_rseq,
        libc::SYS_set_robust_list,
        libc::SYS_sigaltstack,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_munmap,
    ];
    let mut main = false;
    let mut found = BTreeSet::new();
    for call in calls {
        let own = call.place == "caller";
        main |= own
            && call.number == libc::SYS_fcntl
            && call.args[0] == 0
            && call.args[1] == libc::F_GETFD as u64;
        // glibc ends the program where futex(2) gives what it does not know.
        if call.number == libc::SYS_futex
            || own && !main
            || call.place.starts_with("caller.t") && THREAD.contains(&call.number)
        {
            found.insert((call.place.clone(), calls::key(call), call.index));
        }
    }
    found
}

/// Of a task only what comes before its own code counts: up to the filter and the question after it for a
/// role.
fn trim(calls: &mut Vec<Call>, names: &BTreeMap<String, &'static str>) {
    let task =
        names.iter().find(|(_, name)| **name == "task").map(|(place, _)| place.clone()).unwrap_or_default();
    let mut own = false;
    let mut after_filter = 0;
    calls.retain(|call| {
        if !call.place.starts_with(&task) {
            return true;
        }
        // The question after the filter, and for a program its execution, are the last.
        own = own || call.place != task || after_filter > 1;
        after_filter += usize::from(after_filter > 0 || call.number == libc::SYS_seccomp);
        !own
    });
    calls.retain(|call| {
        ![libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn].contains(&call.number)
    });
}

fn facts(text: &str, mark: &str) -> Option<BTreeMap<String, String>> {
    let complete = text.trim_end().ends_with(witness::END);
    complete.then(|| {
        text.replace(mark, "MARK")
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| match key.strip_prefix("namespace ") {
                Some(name)
                    if std::fs::read_link(format!("/proc/self/ns/{name}"))
                        .is_ok_and(|own| own.display().to_string() == value) =>
                {
                    (key.to_owned(), "the host's".to_owned())
                }
                Some(_) if value.contains('[') => (key.to_owned(), "new".to_owned()),
                _ => (key.to_owned(), value.to_owned()),
            })
            .collect()
    })
}

/// How a run ended, where that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The call was not made this time.
    NotReached,
    /// As undisturbed, all protections read back.
    Succeeded,
    /// 125, 126 or 127, and why; nothing untrusted ran.
    Refused,
    /// The program ran, with all protections; something failed after that, and belljar said so.
    ToldAfterwards,
    /// The dynamic linker, the C library or std ended belljar: one of their own calls failed, before `main`
    /// or at the start of a thread.
    RuntimeGaveUp,
    /// A signal ended belljar, as sent.
    Killed,
}

impl Baseline {
    /// Judges a run. `killed`: a process was.
    pub fn judge(&self, run: &Run, killed: bool) -> Result<Verdict, String> {
        if run.traced.hung {
            return Err("it hung".to_owned());
        }
        if !run.leftovers.is_empty() {
            return Err(format!("left behind: {:?}", run.leftovers));
        }
        if run.stderr.contains("panicked at") {
            return Err("it panicked".to_owned());
        }
        let status = ExitStatus::from_raw(run.traced.status);
        let spoke = !run.stdout.is_empty();
        if spoke {
            self.protected(run, killed)?;
        }
        // The dynamic linker of the re-executed image may have said something before.
        let told = run.stderr.lines().any(|line| line.starts_with("belljar: "));
        match (status.code(), spoke) {
            _ if run.traced.hit.is_none() => Ok(Verdict::NotReached),
            (Some(0), true) => {
                let found = run.report.as_ref().and_then(|report| report.get("protections"));
                if found != Some(&self.protections) {
                    Err(format!("success, but the report says {found:?}"))
                } else if run.limits != self.limits {
                    Err(format!("success, but the limits are {:?} instead of {:?}", run.limits, self.limits))
                } else {
                    Ok(Verdict::Succeeded)
                }
            }
            (Some(0), false) => Err("success without the program's output".to_owned()),
            (Some(125..=127), false) if told => Ok(Verdict::Refused),
            (Some(125), true) if told => Ok(Verdict::ToldAfterwards),
            (Some(137), _) if killed => Ok(Verdict::Killed),
            (None, _) if killed && status.signal() == Some(libc::SIGKILL) => Ok(Verdict::Killed),
            // The task, if it ran, was protected, and is gone: all that was looked at already.
            (None | Some(127), _) if self.is_runtime(run) => Ok(Verdict::RuntimeGaveUp),
            _ => Err(format!("it ended with {status}")),
        }
    }

    fn is_runtime(&self, run: &Run) -> bool {
        run.traced
            .hit
            .as_ref()
            .is_some_and(|call| self.runtime.contains(&(call.place.clone(), calls::key(call), call.index)))
    }

    fn protected(&self, run: &Run, killed: bool) -> Result<(), String> {
        let Some(found) = facts(&run.stdout, &run.mark) else {
            return if killed { Ok(()) } else { Err(format!("the output is cut: {:?}", run.stdout)) };
        };
        let mut wrong = Vec::new();
        for key in self.facts.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            let (expected, found) = (self.facts.get(key), found.get(key));
            if key == "mounts"
                && let (Some(expected), Some(found)) = (expected, found)
            {
                let set = |text: &'_ str| text.split("; ").map(str::to_owned).collect::<BTreeSet<String>>();
                let (expected, found) = (set(expected), set(found));
                let (more, less) = (found.difference(&expected), expected.difference(&found));
                wrong.extend(more.map(|line| format!("there is the mount {line}")));
                wrong.extend(less.map(|line| format!("there is no mount {line}")));
                continue;
            }
            if expected != found {
                wrong.push(format!("{key} is {found:?} instead of {expected:?}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("the program ran, but {}", wrong.join("; "))) }
    }
}
