//! How many system calls a start takes, process by process: a guard against what makes starts slower, that
//! does not depend on the machine's speed as times do. benches/startup measures those.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// The most that each process of `belljar run -p PROFILE --set root.etcPrograms=[] -- true` may make, the
/// loader and the C library included, and the task's up to the execution. Without the configuration of
/// installed programs they are nearly the same on all hosts; 5 % more than there are here leave room for the
/// caller's descriptors and for optional paths of the profiles.
///
/// A debug build, which is what is counted, asks for a descriptor's flags before it closes it: some 30, 70
/// and 20 calls that a release does not make. Each mount of the host's files costs init 12 of these calls (10
/// in a release): opened and looked at, cloned, its attributes set, its mount point made, put there, and its
/// number and place read back; `strict` has 15 of them, `build` 25. Half of the task's are the capabilities
/// that it drops and then looks for, a fifth its signals' handlers. The caller's start also reads its own
/// `oom_score_adj` (4), and asks for the flags and the file system of each stream (5): they are the caller's,
/// and what runs inside can write to them.
type Bounds = [(&'static str, usize); 3];

const BOUNDS: [(&str, Bounds); 2] = [
    ("strict", [("caller", 330), ("init", 540), ("task", 355)]),
    ("build", [("caller", 385), ("init", 705), ("task", 360)]),
];

/// What the configuration of installed programs may add: in the caller for each path that it looks at (1 for
/// most, 5 for a directory), in init for each directory that is mounted.
const CALLER_PER_PATH: usize = 2;
const INIT_PER_MOUNT: usize = 13;

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
    let bare = traced(who, &["-p", profile, "--set", "root.etcPrograms=[]"])?;
    let counts: BTreeMap<_, _> = bare.iter().map(|(name, calls)| (*name, calls.len())).collect();
    eprintln!("system calls of a start under {profile} as {who:?}: {counts:?}");
    for (process, bound) in bounds {
        let found = counts.get(process).copied().unwrap_or_default();
        // Far fewer are none: the log was not understood.
        if found > bound || found < bound / 4 {
            return Err(format!("{process}: {found} system calls, at most {bound}; all: {counts:?}").into());
        }
    }

    let full = traced(who, &["-p", profile])?;
    let more = |process: &str, count: fn(&[String]) -> usize| {
        let count = |calls: &Calls| calls.get(process).map_or(0, |calls| count(calls));
        count(&full).saturating_sub(count(&bare))
    };
    let (paths, mounts) = (more("caller", paths), more("init", mounts));
    let (caller, init) = (more("caller", <[_]>::len), more("init", <[_]>::len));
    eprintln!("more with /etc of programs: {caller} for {paths} paths, {init} for {mounts} mounts");
    // What others do meanwhile, a signal or a wait more.
    const ROOM: usize = 10;
    if caller > CALLER_PER_PATH * paths + ROOM || init > INIT_PER_MOUNT * mounts + ROOM {
        return Err(format!(
            "caller: {caller} more for {paths} paths; init: {init} more for {mounts} mounts"
        )
        .into());
    }
    Ok(())
}

/// How many paths there are in these calls.
fn paths(calls: &[String]) -> usize {
    let path = |call: &String| call.split('"').nth(1).filter(|text| text.starts_with('/')).map(str::to_owned);
    calls.iter().filter_map(path).collect::<BTreeSet<_>>().len()
}

/// How many of the host's files are mounted by these calls.
fn mounts(calls: &[String]) -> usize {
    calls.iter().filter(|call| call.starts_with("open_tree(")).count()
}

/// The calls of a run of true(1), by process.
type Calls = BTreeMap<&'static str, Vec<String>>;

fn traced(who: Caller, args: &[&str]) -> Result<Calls, Failed> {
    let directory = caller::directory(who);
    let log = directory.path().join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).arg(caller::shelf().join("belljar"));
    command.arg("run").args(args).args(["--", "true"]).current_dir(directory.path());
    caller::as_caller(who, &mut command);
    let run = caller::finish(command);
    if run.code != Some(0) {
        return Err(format!("{:?}: {}", run.code, run.stderr).into());
    }
    Ok(by_process(&std::fs::read_to_string(&log).map_err(|error| error.to_string())?))
}

/// What strace(1) says, by process.
fn by_process(log: &str) -> Calls {
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
    let mut all = Calls::new();
    for (pid, call) in calls() {
        let name = names.get(pid).copied().unwrap_or("caller");
        let program = executed.entry(pid).or_default();
        if *program {
            continue;
        }
        all.entry(name).or_default().push(call.to_owned());
        *program = name == "task" && call.starts_with("execve");
    }
    all
}
