//! How a run ends: limits, signals, orphans, stopped processes, forged reports.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};
use crate::need::Need;

pub const CHECKS: &[Entry] = &[
    ("output_is_not_kept_in_memory", &[], output_is_not_kept_in_memory),
    ("orphans_are_reaped", &[], orphans_are_reaped),
    ("killing_everything_ends_the_run", &[], killing_everything_ends_the_run),
    ("undone_ties_hold_nobody_back", &[Need::Program("python3")], undone_ties_hold_nobody_back),
    ("stopped_tasks_are_ended", &[Need::Program("python3")], stopped_tasks_are_ended),
    ("a_stopped_caller_gives_no_time", &[], a_stopped_caller_gives_no_time),
    ("daemons_end_with_the_limit", &[], daemons_end_with_the_limit),
    ("a_status_cannot_be_forged", &[Need::Program("python3")], a_status_cannot_be_forged),
    ("closed_streams_hold_nobody_up", &[], closed_streams_hold_nobody_up),
];

/// Every profile that works without more options, for this caller: *lite* is not for root.
fn profiles(caller: Caller) -> &'static [&'static str] {
    match caller {
        Caller::Root => &["strict", "build"],
        Caller::User => &["strict", "build", "lite"],
    }
}

/// Processes whose arguments hold the mark.
fn marked(mark: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|arguments| String::from_utf8_lossy(&arguments).replace('\0', " "))
        .filter(|arguments| arguments.contains(mark))
        .collect()
}

/// Waits until there are at least so many marked processes, or none.
fn wait_for(mark: &str, wanted: impl Fn(usize) -> bool, patience: Duration) -> Result<(), Failed> {
    let began = Instant::now();
    loop {
        let found = marked(mark);
        if wanted(found.len()) {
            return Ok(());
        }
        if began.elapsed() > patience {
            return Err(format!("after {patience:?} there are {found:#?}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn none_left(mark: &str) -> Result<(), Failed> {
    wait_for(mark, |count| count == 0, Duration::from_secs(1))
}

/// A mark for the arguments of this test's processes.
fn mark(name: &str, caller: Caller) -> String {
    format!("belljar-{name}-{caller:?}-{}", std::process::id())
}

/// Ends within the time, with this code, and leaves no marked process.
fn ends(command: Command, code: i32, within: Duration, mark: &str) -> Result<(), Failed> {
    let began = Instant::now();
    let run = caller::finish(command);
    let took = began.elapsed();
    if run.code != Some(code) || took > within {
        return Err(format!("expected {code} within {within:?}; after {took:?}: {run:#?}").into());
    }
    none_left(mark)
}

fn start(mut command: Command) -> Result<Child, Failed> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(|error| Failed::from(error.to_string()))
}

/// R5: what runs through belljar does not stay in it.
fn output_is_not_kept_in_memory(caller: Caller) -> Result<(), Failed> {
    let mut child =
        start(caller::belljar(caller, ["run", "--timeout=2s", "--output-limit=64GiB", "--", "yes"]))?;
    std::thread::sleep(Duration::from_millis(1200));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let code = child.wait().map_err(|error| error.to_string())?.code();
    let status = status.map_err(|error| error.to_string())?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.and_then(|peak| peak.trim().parse().ok()).ok_or("no VmHWM")?;
    if code != Some(124) || peak > 200 << 10 {
        return Err(format!("exit code {code:?}, {peak} KiB at most").into());
    }
    Ok(())
}

/// R6: a process that ends without a parent is reaped by init, at once.
fn orphans_are_reaped(caller: Caller) -> Result<(), Failed> {
    let script = "i=0; while [ $i -lt 400 ]; do (true & ) ; i=$((i+1)); done; sleep 0.3; \
                  cat /proc/[0-9]*/status 2>/dev/null | grep -c '^State:.Z'";
    let run = caller::run(caller, ["run", "--", "sh", "-c", script]);
    if run.stdout == "0\n" { Ok(()) } else { Err(format!("{run:#?}").into()) }
}

/// R8: a task that kills all it can kills its own; and one that kills itself has that status.
fn killing_everything_ends_the_run(caller: Caller) -> Result<(), Failed> {
    let mark = mark("all", caller);
    let script = format!("(setsid sleep 63 {mark} & ); kill -9 -1; echo alone; kill -9 $$");
    let run = caller::run(caller, ["run", "--timeout=20s", "--", "sh", "-c", &script]);
    if run.code != Some(137) || run.stdout != "alone\n" {
        return Err(format!("{run:#?}").into());
    }
    none_left(&mark)?;
    if caller == Caller::User { nobody_outside_is_signalled(caller) } else { Ok(()) }
}

/// Without a pid namespace: a stopped process of the caller's stays stopped. (A signal that does no harm if
/// the wall is not there; that `kill` succeeds says nothing, as kill(-1) does so even where each single
/// signal was refused.)
fn nobody_outside_is_signalled(caller: Caller) -> Result<(), Failed> {
    let mut victim = Command::new("sleep");
    victim.arg("73");
    caller::as_caller(caller, &mut victim);
    let mut victim = start(victim)?;
    let pid = victim.id().to_string();
    let stopped = || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")))
    };
    let own = nix::unistd::Pid::from_raw(victim.id().cast_signed());
    let check = || {
        nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGSTOP).map_err(|errno| errno.to_string())?;
        let run = caller::run(
            caller,
            ["run", "-p", "lite", "--", "sh", "-c", "kill -CONT -1; kill -CONT $0", &pid],
        );
        let held = stopped();
        let mut control = Command::new("kill");
        control.args(["-CONT", &pid]);
        caller::as_caller(caller, &mut control);
        caller::finish(control);
        if held && !stopped() { Ok(()) } else { Err(format!("it was continued, or never is: {run:#?}")) }
    };
    let checked = check();
    victim.kill().map_err(|error| error.to_string())?;
    victim.wait().map_err(|error| error.to_string())?;
    checked.map_err(Failed::from)
}

/// R10 and K28: PR_SET_PDEATHSIG taken back, reapers and sessions of its own, and then the caller is killed.
fn undone_ties_hold_nobody_back(caller: Caller) -> Result<(), Failed> {
    const DAEMON: &str = "
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
def undo():
    libc.prctl(1, 0, 0, 0, 0)   # PR_SET_PDEATHSIG
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    libc.prctl(4, 1, 0, 0, 0)   # PR_SET_DUMPABLE
undo()
for generation in range(3):
    if os.fork() == 0:
        os.setsid(); undo()
        if os.fork() == 0: undo(); time.sleep(64)
        os._exit(0)
time.sleep(65)
";
    for profile in profiles(caller) {
        let mark = mark(&format!("ties-{profile}"), caller);
        let arguments = ["run", "-p", profile, "--", "/usr/bin/python3", "-c", DAEMON, &mark];
        let mut child = start(caller::belljar(caller, arguments))?;
        // belljar itself, the task and three daemons.
        let started = wait_for(&mark, |count| count >= 5, Duration::from_secs(20));
        child.kill().map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
        started?;
        none_left(&mark)?;
    }
    Ok(())
}

/// R11 and R21: neither a stopped task, nor one that waits for its tracer for ever, outlives its limit.
fn stopped_tasks_are_ended(caller: Caller) -> Result<(), Failed> {
    const TRACED: &str = "
import ctypes, os, signal, sys, time
if os.fork() == 0:
    if ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0: sys.exit('cannot be traced')
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(66)
";
    for profile in profiles(caller) {
        let mark = mark(&format!("stopped-{profile}"), caller);
        let stopped = ["run", "-p", profile, "--timeout=1s", "--", "sh", "-c", "kill -STOP $$", &mark];
        ends(caller::belljar(caller, stopped), 124, Duration::from_secs(6), &mark)?;
        let set = "seccomp.mode=off";
        let python = ["/usr/bin/python3", "-c", TRACED, &mark];
        let traced = ["run", "-p", profile, "--set", set, "--timeout=2s", "--"];
        ends(caller::belljar(caller, traced.iter().chain(&python)), 124, Duration::from_secs(8), &mark)?;
    }
    Ok(())
}

/// R11: the clock runs in the sandbox's init as well.
fn a_stopped_caller_gives_no_time(caller: Caller) -> Result<(), Failed> {
    let mark = mark("caller", caller);
    let script = "sleep 67; true";
    let mut child = start(caller::belljar(caller, ["run", "--timeout=1s", "--", "sh", "-c", script, &mark]))?;
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let signal =
        |signal| nix::sys::signal::kill(pid, signal).map_err(|errno| Failed::from(errno.to_string()));
    // Both of them: belljar and the shell.
    let started = wait_for(&mark, |count| count >= 2, Duration::from_secs(20));
    signal(nix::sys::signal::Signal::SIGSTOP)?;
    // Only the stopped belljar itself is left.
    let ended = started.and_then(|()| wait_for(&mark, |count| count == 1, Duration::from_secs(3)));
    signal(nix::sys::signal::Signal::SIGCONT)?;
    let code = child.wait().map_err(|error| error.to_string())?.code();
    ended?;
    if code == Some(124) { Ok(()) } else { Err(format!("exit code {code:?}").into()) }
}

/// R12: sessions and double forks do not help against a limit.
fn daemons_end_with_the_limit(caller: Caller) -> Result<(), Failed> {
    for profile in profiles(caller) {
        let mark = mark(&format!("daemon-{profile}"), caller);
        let script =
            format!("(setsid sh -c 'sleep 68; : {mark}' & ); (setsid sleep 69 & ); sleep 70; : {mark}");
        let arguments = ["run", "-p", profile, "--timeout=1s", "--", "sh", "-c", &script];
        ends(caller::belljar(caller, arguments), 124, Duration::from_secs(6), &mark)?;
        // The same for those that are left when the task has ended by itself.
        let script = format!("(setsid sh -c 'sleep 71; : {mark}' & ); exit 3");
        let arguments = ["run", "-p", profile, "--", "sh", "-c", &script];
        ends(caller::belljar(caller, arguments), 3, Duration::from_secs(6), &mark)?;
    }
    Ok(())
}

/// R16: the status comes from the kernel, not from what is written anywhere.
fn a_status_cannot_be_forged(caller: Caller) -> Result<(), Failed> {
    const FORGE: &str = "
import os
for fd in range(3, 1024):
    for forged in (b'{\"exit\":0}', b'\\x00' * 64, bytes(range(256))):
        try: os.write(fd, forged)
        except OSError: pass
for fd in (1, 2):
    os.write(fd, b'{\"exit\":0}\\n{\"outcome\":\"exited\",\"code\":0}\\n')
os._exit(7)
";
    for profile in profiles(caller) {
        let directory = caller::directory(caller);
        let report = directory.path().join("report.json");
        let report = report.to_str().ok_or("a path")?;
        let run = caller::run(
            caller,
            ["run", "-p", profile, "--report", report, "--", "/usr/bin/python3", "-c", FORGE],
        );
        let text = std::fs::read_to_string(report).map_err(|error| error.to_string())?;
        let report: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let forged = serde_json::json!(0);
        if run.code != Some(7) || !text.contains('7') || report["exit"] == forged {
            return Err(format!("{profile}: {run:#?} {report:#}").into());
        }
    }
    Ok(())
}

/// R17: a task that has closed its streams runs on and is ended by its limit; one that never reads holds
/// nobody up.
fn closed_streams_hold_nobody_up(caller: Caller) -> Result<(), Failed> {
    for limit in ["unlimited", "1MiB"] {
        let mark = mark(&format!("closed-{limit}"), caller);
        let script = "exec 0<&- 1>&- 2>&-; sleep 72";
        let output = format!("--set=limits.output={limit}");
        let closed = ["run", &output, "--timeout=1s", "--", "sh", "-c", script, &mark];
        ends(caller::belljar(caller, closed), 124, Duration::from_secs(6), &mark)?;
        let mut command = caller::belljar(caller, ["run", &output, "--", "true", &mark]);
        // More than a pipe holds, from a writer without a reader.
        let mut writer =
            Command::new("yes").stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        command.stdin(writer.stdout.take().ok_or("no pipe")?);
        let ended = ends(command, 0, Duration::from_secs(6), &mark);
        writer.kill().map_err(|error| error.to_string())?;
        writer.wait().map_err(|error| error.to_string())?;
        ended?;
    }
    Ok(())
}
