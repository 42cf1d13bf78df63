//! A sandbox with much in it, and one that has long been there.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

pub fn trials() -> Vec<Trial> {
    let root = [Need::Root];
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, &root[..]), (Caller::User, &[])] {
        trials.push(trial(format!("scale::five_hundred_binds as {who:?}"), needs, move || binds(who)));
        let needs: Vec<Need> = needs.iter().copied().chain([Need::Program("strace")]).collect();
        trials.push(trial(format!("scale::an_idle_init_lets_go as {who:?}"), &needs, move || idle(who)));
    }
    trials
}

/// Far more than one message of the caller's carries, and than the caller and init may have descriptors.
fn binds(who: Caller) -> Result<(), Failed> {
    const COUNT: usize = 480;
    let directory = caller::directory(who);
    let mut options = Vec::new();
    for n in 0..COUNT {
        let source = directory.path().join(n.to_string());
        caller::file(who, &source, format!("{n}\n"));
        options.push(format!("--ro-bind={}:/many/{n}", source.display()));
    }
    let script = "cd /many && for file in *; do [ \"$(cat $file)\" = $file ] || echo $file; done; ls | wc -l";
    let args =
        ["run"].into_iter().chain(options.iter().map(String::as_str)).chain(["--", "sh", "-c", script]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\""]).arg(caller::shelf().join("belljar"));
    command.args(args).current_dir(directory.path());
    caller::as_caller(who, &mut command);
    let run = caller::finish(command);
    let shown = run.succeeded()?;
    if shown.trim() == COUNT.to_string() { Ok(()) } else { Err(format!("shown: {shown}").into()) }
}

/// Once the program has run for a while, init lets go of the code that it started with. (How much of it the
/// kernel maps again at once depends on how the file lies in the page cache.)
fn idle(who: Caller) -> Result<(), Failed> {
    let directory = caller::directory(who);
    let log = directory.path().join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=execve,execveat,madvise", "-o"]).arg(&log);
    command
        .arg(caller::shelf().join("belljar"))
        .args(["run", "--", "sleep", "1"])
        .current_dir(directory.path());
    caller::as_caller(who, &mut command);
    caller::finish(command).succeeded()?;
    let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let init =
        log.lines().find(|line| line.contains("[\"belljar-init\"")).and_then(|line| line.split_once(' '));
    let (init, _) = init.ok_or_else(|| format!("no init: {log}"))?;
    let drop_clean_pages = |line: &&str| line.starts_with(init) && line.ends_with("MADV_DONTNEED) = 0");
    // Its constants and its code, at least.
    if log.lines().filter(drop_clean_pages).count() >= 2 { Ok(()) } else { Err(log.into()) }
}
