//! `--scheduler` and `--ionice`: what the task has by the kernel's account, as root and as an ordinary user.

use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use nix::sys::resource::{Resource, setrlimit};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

/// Nice value, real-time priority and policy (proc_pid_stat(5)), then the I/O class and priority.
const LOOK: &str = "cut -d' ' -f19,40,41 /proc/self/stat; ionice -p $$";

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, rights) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let mut add = |name: &str, needs: &[Need], check: fn(Caller) -> Result<(), Failed>| {
            let needs = [rights, needs].concat();
            trials.push(trial(format!("scheduling::{name} as {caller:?}"), &needs, move || check(caller)));
        };
        add("the_task_has_what_is_asked_for", &[IONICE, CHRT], chosen);
        add("more_programs_have_the_same", &[IONICE], more_programs);
        add("what_the_caller_may_not_is_refused", &[], refused);
    }
    let needs = [Need::Root, Need::Capability("CAP_SYS_RESOURCE", 24)];
    trials.push(trial("scheduling::limits_of_the_caller_allow_real_time".to_owned(), &needs, real_time));
    trials
}

const IONICE: Need = Need::Program("ionice");
const CHRT: Need = Need::Program("chrt");

/// `belljar run`, with resource limits of the caller's that allow nothing.
fn belljar(caller: Caller, args: &[&str]) -> Command {
    let mut command = caller::belljar(caller, args);
    limit(&mut command, 0);
    command
}

fn limit(command: &mut Command, limit: u64) {
    use std::os::unix::process::CommandExt as _;
    let set = move || {
        for resource in [Resource::RLIMIT_NICE, Resource::RLIMIT_RTPRIO] {
            setrlimit(resource, limit, limit)?;
        }
        Ok(())
    };
    // SAFETY: system calls only.
    unsafe { command.pre_exec(set) };
}

fn run(caller: Caller, options: &[&str], script: &str) -> Run {
    let args = [&["run"], options, &["--", "sh", "-c", script]].concat();
    caller::finish(belljar(caller, &args))
}

fn same(found: &str, expected: &str) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("{found:?} in place of {expected:?}").into()) }
}

fn chosen(caller: Caller) -> Result<(), Failed> {
    for (options, expected) in [
        (&[][..], "0 0 0\nnone: prio 0\n"),
        (&["--scheduler=idle", "--ionice=idle"], "0 0 5\nidle\n"),
        (&["--scheduler=batch:7", "--ionice", "best-effort:6"], "7 0 3\nbest-effort: prio 6\n"),
        (&["--scheduler=batch"], "0 0 3\nnone: prio 0\n"),
        (&["--scheduler=SCHED_OTHER:19", "--ionice=best-effort"], "19 0 0\nbest-effort: prio 4\n"),
        (
            &[
                "--set=process.scheduler={ policy = \"SCHED_BATCH\", nice = 2 }",
                "--set=process.ioPriority.class=IOPRIO_CLASS_BE",
            ],
            "2 0 3\nbest-effort: prio 4\n",
        ),
        // The option wins.
        (&["--set=process.scheduler=idle", "--scheduler=other:3"], "3 0 0\nnone: prio 0\n"),
    ] {
        same(run(caller, options, LOOK).succeeded()?, expected)?;
    }
    let reset = "--set=process.scheduler={ policy = \"SCHED_IDLE\", flags = [\"SCHED_FLAG_RESET_ON_FORK\"] }";
    let found = run(caller, &[reset], "chrt -p $$ | head -n 1");
    same(found.succeeded()?, "pid 2's current scheduling policy: SCHED_IDLE|SCHED_RESET_ON_FORK\n")
}

fn more_programs(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let name = format!("test-{}-scheduling-{caller:?}", std::process::id());
    let run = |args: &[&str]| {
        let mut command = belljar(caller, args);
        command.env("XDG_RUNTIME_DIR", directory.path());
        caller::finish(command)
    };
    let start = ["run", "--name", &name, "--detach", "--scheduler=batch:5", "--ionice=idle", "--"];
    // It keeps its standard streams.
    let mut started = belljar(caller, &[&start[..], &["sleep", "60"]].concat());
    started.env("XDG_RUNTIME_DIR", directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = started.status()?;
    if !status.success() {
        return Err(format!("{status}").into());
    }
    let found = run(&["exec", &name, "--", "sh", "-c", LOOK]);
    run(&["kill", "-s", "KILL", &name]).succeeded()?;
    same(found.succeeded()?, "5 0 3\nidle\n")
}

fn refused(caller: Caller) -> Result<(), Failed> {
    for (option, words) in [
        ("--scheduler=fifo:1", &["fifo:1", "RLIMIT_RTPRIO", "hint: raise that limit"][..]),
        ("--scheduler=rr:99", &["rr:99", "RLIMIT_RTPRIO"]),
        ("--scheduler=other:-1", &["other:-1", "RLIMIT_NICE", "hint: raise that limit"]),
        ("--scheduler=deadline", &["--scheduler", "CAP_SYS_NICE"]),
        ("--ionice=realtime", &["--ionice", "CAP_SYS_NICE"]),
    ] {
        run(caller, &[option], "echo it ran").refused(125, words)?;
    }
    Ok(())
}

/// With limits that allow it the task has it, and no more than that.
fn real_time() -> Result<(), Failed> {
    for caller in [Caller::Root, Caller::User] {
        let run = |option: &str| {
            let id = if caller == Caller::Root { 0 } else { caller::USER };
            let ids = [format!("--reuid={id}"), format!("--regid={id}")];
            let mut command = Command::new("prlimit");
            command.args(["--rtprio=20:20", "--nice=30:30", "setpriv", "--clear-groups"]).args(ids);
            command.arg(caller::shelf().join("belljar"));
            command.args(["run", option, "--", "cut", "-d ", "-f19,40,41", "/proc/self/stat"]);
            caller::finish(command)
        };
        same(run("--scheduler=fifo:20").succeeded()?, "0 20 1\n")?;
        same(run("--scheduler=rr:1").succeeded()?, "0 1 2\n")?;
        same(run("--scheduler=other:-10").succeeded()?, "-10 0 0\n")?;
        run("--scheduler=fifo:21").refused(125, &["RLIMIT_RTPRIO"])?;
        run("--scheduler=other:-11").refused(125, &["RLIMIT_NICE"])?;
    }
    Ok(())
}
