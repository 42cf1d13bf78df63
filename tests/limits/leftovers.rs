//! No group is left, however a run ends.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Check;
use crate::need::Need;
use crate::parent::{Parent, check};

const LIMITS: [&str; 3] = ["--memory=64M", "--pids=20", "--cpu-time=50s"];

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("caller_killed_at_60_instants", &[], caller_killed),
    ("caller_killed_with_its_process_group", &[], group_killed),
    ("cleaner_killed", &[], cleaner_killed),
    ("a_stopped_cleaner_does_not_hold_the_verdict_up", &[], cleaner_stopped),
    ("cleaner_and_caller_killed", &[], both_killed),
    ("a_stopped_caller_does_not_hold_the_limit_up", &[], stopped),
    ("groups_are_closed_to_others", &[], closed),
    ("a_renamed_group_goes_too", &[], renamed),
    ("a_renamed_group_goes_with_a_caller_that_was_killed", &[], renamed_and_killed),
    ("thirty_at_once", &[], at_once),
    ("a_refusal_leaves_nothing", &[], refused),
];

pub const LONG: &[(&str, &[Need], Check)] = &[
    ("two_hundred_that_run_together", &[], together),
    ("ten_thousand_zombies", &[Need::Program("perl")], zombies),
];

const TASK: [&str; 3] = ["sh", "-c", "(setsid sleep 61 &) ; exec sleep 62"];

fn caller_killed(parent: &Parent) -> Result<(), Failed> {
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    for _ in 0..60 {
        let mut child = parent.start(&LIMITS, &TASK)?;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(random % 40_000));
        child.kill().map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
        // The cleaner may just have been started, and makes no group; nothing comes later than that.
        parent.empty_within(Duration::from_secs(5))?;
    }
    Ok(())
}

/// Started, with its group there and the task in it.
fn running(parent: &Parent) -> Result<(std::process::Child, String), Failed> {
    use std::os::unix::process::CommandExt;
    let mut command = parent.command(&LIMITS, &TASK);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).process_group(0);
    let child = command.spawn().map_err(|error| error.to_string())?;
    for _ in 0..2000 {
        let groups = parent.children();
        let inside = |group: &std::path::PathBuf| {
            std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
        };
        if let Some(name) = groups.first().and_then(|group| group.file_name())
            && groups.iter().all(inside)
        {
            return Ok((child, name.to_string_lossy().into_owned()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("its group never came".into())
}

/// The cleaner of a group, by its arguments.
fn cleaner(name: &str) -> Result<Pid, Failed> {
    for entry in std::fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if arguments == [b"belljar-cleaner\0", name.as_bytes(), b"\0"].concat() {
            let pid = entry.file_name().to_string_lossy().parse().map_err(|_| "a pid")?;
            return Ok(Pid::from_raw(pid));
        }
    }
    Err("no cleaner".into())
}

fn pid(child: &std::process::Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn end(pid: Pid) -> Result<(), Failed> {
    Ok(kill(pid, Signal::SIGKILL).map_err(|error| error.to_string())?)
}

fn group_killed(parent: &Parent) -> Result<(), Failed> {
    let (mut child, _) = running(parent)?;
    end(Pid::from_raw(-pid(&child).as_raw()))?;
    child.wait().map_err(|error| error.to_string())?;
    parent.empty_within(Duration::from_secs(5))
}

/// A user who may open a group may lock it, and a locked one was refused to the run.
fn closed(parent: &Parent) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;
    let (mut child, _) = running(parent)?;
    let modes: Vec<u32> = parent
        .children()
        .iter()
        .map(|group| std::fs::metadata(group).map(|found| found.permissions().mode() & 0o7777))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    kill(pid(&child), Signal::SIGTERM).map_err(|error| error.to_string())?;
    child.wait().map_err(|error| error.to_string())?;
    check(!modes.is_empty() && modes.iter().all(|mode| *mode == 0o700), modes)?;
    parent.is_empty()
}

/// Gives each of the run's groups another name. False: this kernel (v2) renames none.
fn rename(parent: &Parent) -> Result<bool, Failed> {
    for (number, group) in parent.children().iter().enumerate() {
        match std::fs::rename(group, group.with_file_name(format!("renamed-{number}"))) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(false),
            Err(error) => return Err(error.to_string().into()),
        }
    }
    Ok(true)
}

/// By the signal that ended the task, as it was sent to belljar.
fn ended_by_request(status: std::process::ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::SIGTERM as i32)
}

fn renamed(parent: &Parent) -> Result<(), Failed> {
    let (mut child, name) = running(parent)?;
    let renamed = rename(parent)?;
    let old = parent.children().iter().any(|group| group.ends_with(&name));
    kill(pid(&child), Signal::SIGTERM).map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    check(ended_by_request(status) && old != renamed, (status, old, renamed))?;
    parent.is_empty()
}

fn renamed_and_killed(parent: &Parent) -> Result<(), Failed> {
    let (mut child, _) = running(parent)?;
    rename(parent)?;
    child.kill().map_err(|error| error.to_string())?;
    child.wait().map_err(|error| error.to_string())?;
    parent.empty_within(Duration::from_secs(5))
}

fn cleaner_killed(parent: &Parent) -> Result<(), Failed> {
    let (mut child, name) = running(parent)?;
    end(cleaner(&name)?)?;
    kill(pid(&child), Signal::SIGTERM).map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    // The caller does it then.
    check(ended_by_request(status), status)?;
    parent.is_empty()
}

fn cleaner_stopped(parent: &Parent) -> Result<(), Failed> {
    let (mut child, name) = running(parent)?;
    kill(cleaner(&name)?, Signal::SIGSTOP).map_err(|error| error.to_string())?;
    kill(pid(&child), Signal::SIGTERM).map_err(|error| error.to_string())?;
    let began = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if began.elapsed() > Duration::from_secs(10) {
            end(cleaner(&name)?)?;
            child.wait().map_err(|error| error.to_string())?;
            return Err("it waited for its cleaner".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    check(ended_by_request(status), status)?;
    parent.is_empty()
}

fn both_killed(parent: &Parent) -> Result<(), Failed> {
    let (mut child, name) = running(parent)?;
    end(cleaner(&name)?)?;
    end(pid(&child))?;
    child.wait().map_err(|error| error.to_string())?;
    // What is too new to be told from one that is being made stays; the next run takes the rest.
    std::thread::sleep(Duration::from_millis(11_500));
    check(!parent.children().is_empty(), "it was removed before the test began")?;
    let (run, _) = parent.run(&LIMITS, &["true"])?;
    run.succeeded()?;
    parent.is_empty()
}

fn stopped(parent: &Parent) -> Result<(), Failed> {
    let mut child = parent.start(&["--cpu-time=300ms"], &["sh", "-c", "while :; do :; done"])?;
    std::thread::sleep(Duration::from_millis(150));
    kill(pid(&child), Signal::SIGSTOP).map_err(|error| error.to_string())?;
    std::thread::sleep(Duration::from_millis(1500));
    kill(pid(&child), Signal::SIGCONT).map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    let report = parent.report()?;
    check(status.code() == Some(152) && report["ended"]["kind"] == "cpu-limit", &report)?;
    check(report["cgroup"]["usage"]["cpuMicros"].as_u64() < Some(900_000), &report)
}

fn at_once(parent: &Parent) -> Result<(), Failed> {
    many(parent, 30)
}

/// No parent waits for them until their parent ends; each counts for as long.
fn zombies(parent: &Parent) -> Result<(), Failed> {
    let script = "for (1..10000) { my $pid = fork; die qq($_: $!) unless defined $pid; exit 0 unless $pid } print 'made'";
    let options = ["--pids=10100", "--memory=1G", "--timeout=60s", "--set=process.rlimits.nproc=11000"];
    let (run, report) = parent.run(&options, &["perl", "-e", script])?;
    check(run.succeeded()? == "made", (&run, &report))?;
    check(report["cgroup"]["events"]["pidsRefused"] == 0, &report)?;
    let peak = report["cgroup"]["usage"]["pidsPeak"].as_u64();
    check(peak.is_none_or(|peak| peak >= 10_000), &report)
}

/// Eight are started at a time, and all of them run until the last one does.
fn together(parent: &Parent) -> Result<(), Failed> {
    const COUNT: usize = 200;
    let began = Instant::now();
    let option = parent.option();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let starters: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Result<(), Failed> {
                    while next.fetch_add(1, Ordering::Relaxed) < COUNT {
                        let args = ["run", &option, LIMITS[0], LIMITS[1], "--", "cat"];
                        let mut command = crate::caller::belljar(parent.caller, args);
                        command.stdin(Stdio::piped()).stdout(Stdio::piped());
                        let mut child = command.spawn().map_err(|error| error.to_string())?;
                        let mut byte = [0];
                        let stdin = child.stdin.as_mut().ok_or("no pipe")?;
                        stdin.write_all(b"x").map_err(|error| error.to_string())?;
                        let stdout = child.stdout.as_mut().ok_or("no pipe")?;
                        stdout.read_exact(&mut byte).map_err(|error| error.to_string())?;
                        all.lock().unwrap_or_else(PoisonError::into_inner).push(child);
                    }
                    Ok(())
                })
            })
            .collect();
        starters.into_iter().try_for_each(|starter| starter.join().map_err(|_| "a panic")?)
    })?;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let names: HashSet<_> =
        parent.children().iter().filter_map(|group| Some(group.file_name()?.to_owned())).collect();
    check((all.len(), names.len()) == (COUNT, COUNT), (all.len(), names.len()))?;
    for mut child in all {
        drop(child.stdin.take());
        let status = child.wait().map_err(|error| error.to_string())?;
        check(status.success(), status)?;
    }
    check(began.elapsed() < Duration::from_secs(120), began.elapsed())
}

fn many(parent: &Parent, count: usize) -> Result<(), Failed> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..count)
            .map(|n| {
                scope.spawn(move || {
                    let option = parent.option();
                    let args = ["run", &option, LIMITS[0], LIMITS[1], LIMITS[2], "--", "echo", "hello"];
                    (n, crate::caller::run(parent.caller, args))
                })
            })
            .collect();
        for run in runs {
            let (n, run) = run.join().map_err(|_| "a panic")?;
            check(run.succeeded()? == "hello\n", (n, &run))?;
        }
        Ok(())
    })
}

fn refused(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.run(&LIMITS, &["/usr/bin/env", "/no/such/program"])?;
    check(run.code == Some(127) && report["ended"]["kind"] == "exit", (&run, &report))?;
    // The stage after the group fails: a directory as the program's own root is none.
    let (run, report) = parent.run(&[&LIMITS[..], &["--bind=/proc/self/fd:/x"]].concat(), &["true"])?;
    check(run.code == Some(125) && report["ended"]["kind"] == "setup-error", (&run, &report))
}
