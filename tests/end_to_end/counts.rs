//! How many system calls a start takes, process by process: a guard against what makes starts slower, that does not depend on the
//! machine's speed as times do. benches/startup measures those.

use std::collections::BTreeMap;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// The most that each process of `belljar run -p PROFILE -- true` may make, the loader and the C library of a debug build included, and the task's
/// up to the execution. Some more than there are: what a host has in /etc, and its descriptors, make a difference. Where java, php,
/// perl, ImageMagick and fonts are installed, the caller looks at all that is directly in their directories of /etc (15 calls for each,
/// while init is on its way), and init mounts these (9 for each).
type Bounds = [(&'static str, usize); 3];

const BOUNDS: [(&str, Bounds); 2] = [
    ("strict", [("caller", 410), ("init", 580), ("task", 355)]),
    // `build` shows the configuration of all installed programs.
    ("build", [("caller", 850), ("init", 900), ("task", 360)]),
];

pub fn trials() -> Vec<Trial> {
    let strace = Need::Program("strace");
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, &[Need::Root, strace][..]), (Caller::User, &[strace])] {
        for (profile, bounds) in BOUNDS {
            let name = format!("counts::system_calls_of_a_start under {profile} as {who:?}");
            trials.push(trial(name, needs, move || start(who, profile, bounds)));
        }
    }
    trials
}

fn start(who: Caller, profile: &str, bounds: Bounds) -> Result<(), Failed> {
    let folder = caller::folder(who);
    let log = folder.path().join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).arg(caller::shelf().join("belljar"));
    command.args(["run", "-p", profile, "--", "true"]).current_dir(folder.path());
    caller::as_caller(who, &mut command);
    let run = caller::finish(command);
    if run.code != Some(0) {
        return Err(format!("{:?}: {}", run.code, run.stderr).into());
    }
    let counts = count(&std::fs::read_to_string(&log).map_err(|error| error.to_string())?);
    eprintln!("system calls of a start under {profile} as {who:?}: {counts:?}");
    for (process, bound) in bounds {
        let found = counts.get(process).copied().unwrap_or_default();
        // Far fewer are none: the log was not understood.
        if found > bound || found < bound / 4 {
            return Err(format!("{process}: {found} system calls, at most {bound}; all: {counts:?}").into());
        }
    }
    Ok(())
}

/// What strace(1) says, by process.
fn count(log: &str) -> BTreeMap<&'static str, usize> {
    let mut names: BTreeMap<&str, &'static str> = BTreeMap::new();
    let mut executed: BTreeMap<&str, bool> = BTreeMap::new();
    let calls = || {
        log.lines()
            .filter_map(|line| line.split_once(' ').map(|(pid, call)| (pid, call.trim_start())))
            .filter(
                // Not the second half of a call, nor a signal or an end.
                |(_, call)| !call.starts_with(['<', '-', '+']),
            )
    };
    for (pid, call) in calls().filter(|(_, call)| call.starts_with("execve")) {
        if call.contains("[\"belljar-init\"") {
            names.insert(pid, "init");
        } else if call.contains("[\"true\"") {
            names.insert(pid, "task");
        }
    }
    let mut counts = BTreeMap::new();
    for (pid, call) in calls() {
        let name = names.get(pid).copied().unwrap_or("caller");
        let program = executed.entry(pid).or_default();
        if *program {
            continue;
        }
        *counts.entry(name).or_default() += 1;
        *program = name == "task" && call.starts_with("execve");
    }
    counts
}
