//! Nothing is left behind: no process, mount, temporary file or control group, however a run ends.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// Everything of the host that a run could leave something in.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    mounts: Vec<String>,
    temporary: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Traces {
    /// `directory` is the runs' `TMPDIR` and working directory.
    fn now(directory: &Path) -> Traces {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        Traces {
            mounts: mounts.lines().map(str::to_owned).collect(),
            temporary: names(directory),
            groups: names("/sys/fs/cgroup").into_iter().filter(|name| name.contains("belljar")).collect(),
        }
    }
}

fn names(directory: impl AsRef<Path>) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Processes whose arguments hold the mark, and every belljar that was started from the tests' directory for
/// it.
fn marked(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in names("/proc") {
        let Ok(pid) = name.parse::<u32>() else { continue };
        let Ok(arguments) = std::fs::read(Path::new("/proc").join(&name).join("cmdline")) else { continue };
        if String::from_utf8_lossy(&arguments).contains(mark) {
            found.push(format!("{pid}: {}", String::from_utf8_lossy(&arguments).replace('\0', " ")));
        }
    }
    found
}

/// Waits until no marked process is left.
pub fn gone_within(mark: &str, patience: Duration) -> Result<(), Failed> {
    let began = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() > patience {
            return Err(format!("still there after {patience:?}: {left:#?}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A profile whose name marks init's argument list, so that its processes can be told from everybody else's.
fn marking_profile(directory: &Path, caller: Caller, mark: &str, base: &str) -> String {
    let path = directory.join(format!("{mark}.toml"));
    caller::file(caller, &path, format!("extends = \"{base}\"\n"));
    path.to_str().expect("a path of ours").to_owned()
}

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        trials.push(trial(format!("leftovers::500_runs_in_a_row as {caller:?}"), needs, move || {
            in_a_row(caller)
        }));
        trials.push(trial(format!("leftovers::50_at_once as {caller:?}"), needs, move || at_once(caller)));
        for base in ["strict", "lite"] {
            trials.push(trial(
                format!("leftovers::caller_killed_at_100_instants under {base} as {caller:?}"),
                needs,
                move || killed(caller, base),
            ));
        }
    }
    trials
}

fn in_a_row(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let mark = format!("row-{caller:?}-{}", std::process::id()).to_lowercase();
    let profile = marking_profile(directory.path(), caller, &mark, "strict");
    let before = Traces::now(directory.path());
    for _ in 0..500 {
        caller::finish(belljar(caller, directory.path(), &["run", "-p", &profile, "--", "true"]))
            .succeeded()?;
    }
    gone_within(&mark, Duration::from_secs(1))?;
    same(directory.path(), &before)
}

fn at_once(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let mark = format!("once-{caller:?}-{}", std::process::id()).to_lowercase();
    let profile = marking_profile(directory.path(), caller, &mark, "strict");
    let before = Traces::now(directory.path());
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..50)
            .map(|n| {
                let (profile, directory) = (&profile, directory.path());
                scope.spawn(move || {
                    let text = format!("echo {n}; cat /proc/self/status | grep -c NoNewPrivs");
                    (
                        n,
                        caller::finish(belljar(
                            caller,
                            directory,
                            &["run", "-p", profile, "--", "sh", "-c", &text],
                        )),
                    )
                })
            })
            .collect();
        for run in runs {
            let (n, run) = run.join().map_err(|_| "a panic")?;
            let text = run.succeeded()?;
            if text != format!("{n}\n1\n") {
                return Err(Failed::from(format!("run {n} wrote {text:?}")));
            }
        }
        Ok(())
    })?;
    gone_within(&mark, Duration::from_secs(1))?;
    same(directory.path(), &before)
}

/// SIGKILL to belljar itself, from before it has even started to after its task runs; the task has made
/// daemons of its own.
fn killed(caller: Caller, base: &str) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let mark = format!("killed-{base}-{caller:?}-{}", std::process::id()).to_lowercase();
    let profile = marking_profile(directory.path(), caller, &mark, base);
    let before = Traces::now(directory.path());
    let script = format!("(setsid sleep 61 {mark} & ) ; exec sleep 62 {mark}");
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    for round in 0..100u64 {
        let mut command =
            belljar(caller, directory.path(), &["run", "-p", &profile, "--", "sh", "-c", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, as from a shell.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(random % 20_000 + round));
        child.kill().map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
        gone_within(&mark, Duration::from_secs(1))
            .map_err(|failed| format!("round {round}: {}", failed.message().unwrap_or_default()))?;
    }
    same(directory.path(), &before)
}

/// A run in the directory.
fn belljar(caller: Caller, directory: &Path, args: &[&str]) -> std::process::Command {
    let mut command = caller::belljar(caller, args);
    command.current_dir(directory).env("TMPDIR", directory);
    command
}

fn same(directory: &Path, before: &Traces) -> Result<(), Failed> {
    let after = Traces::now(directory);
    if after == *before { Ok(()) } else { Err(format!("before: {before:#?}\nafter: {after:#?}").into()) }
}
