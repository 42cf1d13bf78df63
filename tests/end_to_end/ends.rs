//! Every end comes in time, even where the task tries to keep init from it, and what is told of an ended run
//! is true.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::caller::{self, Caller, Run};
use crate::leftovers::gone_within;
use crate::need::{Need, trial};

type Check = fn(Caller) -> Result<(), Failed>;

const CHECKS: &[(&str, Check)] = &[
    ("orphans_without_end_do_not_hold_the_time_limit_up", orphans_without_end),
    ("orphans_without_end_do_not_hold_a_signal_up", orphans_and_a_signal),
    ("signals_without_end_do_not_hold_the_time_limit_up", signals_without_end),
    ("a_fork_bomb_in_lite_is_ended_whole", a_fork_bomb_in_lite),
    ("a_stopped_init_does_not_hold_the_time_limit_up", a_stopped_init),
    ("an_init_that_is_stopped_while_it_starts_is_not_waited_for", an_init_that_is_stopped_while_it_starts),
    ("a_stopped_init_of_lite_ends_all", a_stopped_init_of_lite),
    ("a_second_request_ends_by_force", a_second_request),
    ("a_second_request_ends_a_stopped_init", a_second_request_and_a_stopped_init),
    ("limits_of_init_change_no_verdict", limits_of_init),
    ("what_was_ended_has_used_what_it_used", what_was_ended),
];

/// Each, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let programs = [Need::Program("python3"), Need::Program("gcc")];
        let needs: Vec<Need> = needs.iter().copied().chain(programs).collect();
        for (name, check) in CHECKS {
            trials.push(trial(format!("ends::{name} as {caller:?}"), &needs, move || check(caller)));
        }
    }
    trials
}

fn check(holds: bool, what: impl std::fmt::Debug) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{what:#?}").into()) }
}

/// The run, its report, and how long it took.
fn reported(caller: Caller, options: &[&str], task: &[&str]) -> Result<(Run, Value, Duration), Failed> {
    let directory = caller::directory(caller);
    let path = directory.path().join("report");
    let report = format!("--report={}", path.display());
    let began = Instant::now();
    let run = caller::run(caller, ["run", &report].iter().chain(options).chain(&["--"]).chain(task));
    let took = began.elapsed();
    let text = std::fs::read(&path).map_err(|error| format!("{error}: {run:#?}"))?;
    let report = serde_json::from_slice(&text).map_err(|error| format!("{error}: {run:#?}"))?;
    Ok((run, report, took))
}

/// The init of a belljar, once its task has been executed.
fn init_of(child: &Child) -> Result<Pid, Failed> {
    init_that(child, |pid| {
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let executed = |task: &str| {
            let arguments = std::fs::read(format!("/proc/{task}/cmdline")).unwrap_or_default();
            !arguments.is_empty() && !arguments.starts_with(b"belljar-init")
        };
        children.split_ascii_whitespace().any(executed)
    })
}

fn init_that(child: &Child, ready: impl Fn(i32) -> bool) -> Result<Pid, Failed> {
    let began = Instant::now();
    let list = format!("/proc/{0}/task/{0}/children", child.id());
    while began.elapsed() < Duration::from_secs(20) {
        let children = std::fs::read_to_string(&list).map_err(|error| error.to_string())?;
        for pid in children.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if arguments.starts_with(b"belljar-init") && ready(pid) {
                return Ok(Pid::from_raw(pid));
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("init never came".into())
}

fn start(caller: Caller, args: &[&str]) -> Result<Child, Failed> {
    let mut command = caller::belljar(caller, args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn().map_err(|error| error.to_string())?)
}

/// The exit code, if it comes in time.
fn code_within(child: &mut Child, patience: Duration) -> Result<Option<i32>, Failed> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            // As a shell shows it.
            return Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
    Err(format!("it still ran after {patience:?}").into())
}

fn send(pid: u32, signal: Signal) -> Result<(), Failed> {
    kill(Pid::from_raw(pid.cast_signed()), signal).map_err(|errno| format!("kill: {errno}").into())
}

/// 60 processes that, for some seconds, either make orphans for init to reap (`o`; children of its own
/// children's parent, that share their memory: as fast as it goes), or send it every signal (`s`). The first
/// process only sleeps.
const FLOOD: &str = r"
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void orphans(time_t end) {
    while (time(0) < end) {
        long child = syscall(SYS_clone, CLONE_PARENT | CLONE_VFORK | CLONE_VM | SIGCHLD, 0, 0, 0, 0);
        if (child == 0) syscall(SYS_exit, 0);
        if (child < 0) sched_yield();
    }
}

static void signals(time_t end) {
    while (time(0) < end)
        for (int number = 1; number <= 64; number++) kill(1, number);
}

int main(int count, char **words) {
    time_t end = time(0) + 10;
    if (count < 2) return 1;
    for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
    signal(SIGTERM, words[1][0] == 'o' ? SIG_DFL : SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    for (int number = 0; number < 60; number++)
        if (fork() == 0) {
            setsid();
            if (fork() != 0) _exit(0);
            usleep(10000);
            if (words[1][0] == 'o') orphans(end); else signals(end);
            _exit(0);
        }
    sleep(10);
}
";

/// The options that show it inside, as `/flood`; it is built once. Bounded, or the other tests have no
/// processes.
fn flood() -> Result<[String; 2], Failed> {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let program = caller::shelf().join("flood");
    let built = BUILT.get_or_init(|| {
        let source = program.with_extension("c");
        let written = std::fs::write(&source, FLOOD);
        let status = Command::new("gcc").args(["-O1", "-o"]).arg(&program).arg(&source).status();
        written.is_ok() && status.is_ok_and(|status| status.success())
    });
    check(*built, "gcc")?;
    Ok([format!("--ro-bind={}:/flood", program.display()), "--set=process.rlimits.nproc=600".to_owned()])
}

fn orphans_without_end(caller: Caller) -> Result<(), Failed> {
    flood_ends(caller, "o")
}

fn signals_without_end(caller: Caller) -> Result<(), Failed> {
    flood_ends(caller, "s")
}

fn flood_ends(caller: Caller, kind: &str) -> Result<(), Failed> {
    let [bind, bound] = flood()?;
    let options = ["-p", "standard", &bind, &bound, "--timeout=1s"];
    let (run, report, took) = reported(caller, &options, &["/flood", kind])?;
    check(run.code == Some(124) && report["ended"]["kind"] == "timeout", (&run, &report))?;
    // A little more than a second alone on a machine; the tests are not.
    check(took < Duration::from_secs(4), took)
}

fn orphans_and_a_signal(caller: Caller) -> Result<(), Failed> {
    let [bind, bound] = flood()?;
    let options = ["run", "-p", "standard", &bind, &bound, "--timeout=30s", "--", "/flood", "o"];
    let mut child = start(caller, &options)?;
    init_of(&child)?;
    std::thread::sleep(Duration::from_millis(700));
    send(child.id(), Signal::SIGTERM)?;
    let code = code_within(&mut child, Duration::from_secs(4))?;
    check(code == Some(143), code)
}

/// A leader that sleeps, and children that fork as long as they may: 200 at a time.
const BOMB: &str = r#"
import os, time
end = time.time() + 12
if os.fork() == 0:
    while time.time() < end:
        try:
            os.fork()
        except OSError:
            pass
time.sleep(12)
"#;

fn a_fork_bomb_in_lite(caller: Caller) -> Result<(), Failed> {
    let mark = format!("belljar-mark-bomb-{caller:?}");
    let script = format!("# {mark}\n{BOMB}");
    let options = ["-p", "lite", "--set", "process.rlimits.nproc=400", "--timeout=1s"];
    let (run, report, took) = reported(caller, &options, &["python3", "-c", &script])?;
    check(run.code == Some(124) && report["ended"]["kind"] == "timeout", (&run, &report))?;
    check(took < Duration::from_secs(4), took)?;
    // Not within a time: when belljar has told the end it has been.
    gone_within(&mark, Duration::ZERO)
}

fn a_stopped_init(caller: Caller) -> Result<(), Failed> {
    let began = Instant::now();
    let mut child = start(caller, &["run", "--timeout=2s", "--", "sleep", "30"])?;
    let init = init_of(&child)?;
    kill(init, Signal::SIGSTOP).map_err(|errno| errno.to_string())?;
    let code = code_within(&mut child, Duration::from_secs(8))?;
    check(code == Some(124), code)?;
    check(began.elapsed() >= Duration::from_secs(2), began.elapsed())
}

fn an_init_that_is_stopped_while_it_starts(caller: Caller) -> Result<(), Failed> {
    for wait in [0, 3, 6, 9, 12] {
        let mut child = start(caller, &["run", "--timeout=1s", "--", "sleep", "30"])?;
        let init = init_that(&child, |_| true)?;
        std::thread::sleep(Duration::from_millis(wait));
        kill(init, Signal::SIGSTOP).map_err(|errno| errno.to_string())?;
        // 125: the image did not come up, for which it has ten seconds.
        let code = code_within(&mut child, Duration::from_secs(15))?;
        check(matches!(code, Some(124 | 125)), (wait, code))?;
    }
    Ok(())
}

fn a_stopped_init_of_lite(caller: Caller) -> Result<(), Failed> {
    let mark = format!("belljar-mark-stopped-{caller:?}");
    let script = format!(": {mark}; (sleep 31; :) & sleep 32; :");
    let mut child = start(caller, &["run", "-p", "lite", "--timeout=2s", "--", "sh", "-c", &script])?;
    let init = init_of(&child)?;
    kill(init, Signal::SIGSTOP).map_err(|errno| errno.to_string())?;
    let code = code_within(&mut child, Duration::from_secs(8))?;
    check(code == Some(124), code)?;
    gone_within(&mark, Duration::ZERO)
}

/// A task that ignores what it is asked, and says when it does.
const DEAF: [&str; 3] = ["sh", "-c", "trap '' TERM INT; sleep 30 & wait; sleep 29"];

fn a_second_request(caller: Caller) -> Result<(), Failed> {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut child = start(caller, &[&["run", "--"][..], &DEAF].concat())?;
        init_of(&child)?;
        std::thread::sleep(Duration::from_millis(300));
        send(child.id(), signal)?;
        std::thread::sleep(Duration::from_millis(300));
        let alive = child.try_wait().map_err(|error| error.to_string())?;
        check(alive.is_none(), ("the first goes to the task", alive))?;
        send(child.id(), signal)?;
        let found = code_within(&mut child, Duration::from_secs(5))?;
        check(found == Some(code), found)?;
    }
    Ok(())
}

fn a_second_request_and_a_stopped_init(caller: Caller) -> Result<(), Failed> {
    let mut child = start(caller, &[&["run", "--"][..], &DEAF].concat())?;
    let init = init_of(&child)?;
    kill(init, Signal::SIGSTOP).map_err(|errno| errno.to_string())?;
    send(child.id(), Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(300));
    send(child.id(), Signal::SIGTERM)?;
    let code = code_within(&mut child, Duration::from_secs(5))?;
    check(code == Some(143), code)
}

/// Everything that prlimit(2) can take from init, where the filter lets it.
fn limits_of_init(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let profile = directory.path().join("unfiltered.toml");
    caller::file(caller, &profile, "extends = \"standard\"\n[seccomp]\nmode = \"off\"\n");
    let profile = profile.to_str().expect("UTF-8");
    let script = "import resource, os, time, sys\n\
        sys.stdout.flush()\n\
        for limit in ('NOFILE', 'AS', 'DATA', 'STACK', 'NPROC', 'FSIZE', 'MEMLOCK', 'SIGPENDING', 'MSGQUEUE'):\n\
        \x20   resource.prlimit(1, getattr(resource, 'RLIMIT_' + limit), (0, 0))\n\
        os.setpriority(os.PRIO_PROCESS, 1, 19)\n\
        [os._exit(0) for _ in range(20) if os.fork() == 0]\n\
        time.sleep(0.4)\n\
        print('changed', flush=True)\n\
        os._exit(7)";
    let (run, report, _) = reported(caller, &["-p", profile], &["python3", "-c", script])?;
    check(run.code == Some(7) && report["ended"] == json!({"kind": "exit", "code": 7}), (&run, &report))?;
    check(run.stdout == "changed\n", run)
}

/// CPU time that the run has used, by its report, seconds.
fn cpu(report: &Value) -> f64 {
    let field = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    field("userSeconds") + field("systemSeconds")
}

fn what_was_ended(caller: Caller) -> Result<(), Failed> {
    // Each says what it has used, before it goes on: processes that were never waited for.
    let script = "import os, time\n\
        held = bytearray(150 << 20)\n\
        first = os.fork() == 0\n\
        while time.process_time() < 0.6: pass\n\
        print('done', flush=True)\n\
        while True: time.sleep(1)";
    for (options, kind) in
        [(&["--timeout=6s"][..], "timeout"), (&["--timeout=6s", "-p", "lite"][..], "timeout")]
    {
        let (run, report, _) = reported(caller, options, &["python3", "-c", script])?;
        check(report["ended"]["kind"] == kind && run.stdout == "done\ndone\n", (&run, &report))?;
        check((1.2..3.0).contains(&cpu(&report)), &report)?;
        let peak = report["maxRssBytes"].as_u64().unwrap_or_default();
        check((150 << 20..400 << 20).contains(&peak), &report)?;
    }
    let flood = "import time\nwhile time.process_time() < 0.6: pass\nwhile True: print('x' * 1000)";
    let (_, report, _) = reported(caller, &["--output-limit=64K"], &["python3", "-c", flood])?;
    check(report["ended"]["kind"] == "output-limit" && (0.6..3.0).contains(&cpu(&report)), &report)
}
