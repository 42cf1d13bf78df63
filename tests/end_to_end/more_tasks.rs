//! More tasks in a sandbox that stands (`Child::exec`), each case in a process of its own (see `library`).

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use belljar::reexec::Stdio;
use belljar::{Child, Command, Error, Exec, Limits, Sandbox};

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Case = (&'static str, fn() -> Outcome);

pub const CASES: &[Case] = &[
    ("more_tasks_have_the_walls_of_the_first", same_walls),
    ("more_tasks_end_as_they_end", ends),
    ("more_tasks_end_with_their_caller_and_with_the_first", end_with),
    ("more_tasks_are_bounded_and_leave_nothing_in_init", bounded),
    ("a_created_sandbox_waits_and_runs_nothing", created),
    ("a_created_sandbox_that_is_dropped_is_gone", dropped),
    ("more_tasks_are_refused_where_the_walls_are_others", refused),
    ("more_tasks_are_refused_where_the_limits_are_others", other_limits),
    ("more_tasks_that_a_stopped_init_did_not_start_do_not_run_later", stopped),
];

fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("does not hold: {what:?}").into()) }
}

/// A sandbox whose first task waits.
fn standing(sandbox: &Sandbox, script: &str) -> Result<Child, Error> {
    let mut first = sandbox.command("sh");
    first.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).more_tasks(true);
    first.spawn()
}

fn shell<'a>(sandbox: &'a Sandbox, script: &str) -> Command<'a> {
    let mut command = sandbox.command("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What one more task writes.
fn written(child: &Child, sandbox: &Sandbox, script: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut exec = child.exec(&mut shell(sandbox, script))?;
    let mut text = String::new();
    exec.stdout.take().ok_or("no pipe")?.read_to_string(&mut text)?;
    let status = exec.wait()?;
    ensure(status.success(), (status, &text))?;
    Ok(text)
}

/// Everything that the kernel says of a process that does not depend on when it started.
const LOOK: &str = "umask; pwd; ulimit -a; ls -l /proc/self/fd | wc -l; readlink /proc/self/ns/*; cat /proc/self/mountinfo; \
                    grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|SigBlk|SigIgn)' /proc/self/status; env | sort";

fn same_walls() -> Outcome {
    for profile in ["strict", "standard", "nested"] {
        let sandbox = Sandbox::new(profile)?;
        let mut child = standing(
            &sandbox,
            &format!("{LOOK}; echo ready; echo shared >/tmp/of-the-first; exec sleep 60"),
        )?;
        let mut first = String::new();
        let mut pipe = child.stdout.take().ok_or("no pipe")?;
        while !first.ends_with("ready\n") {
            let mut byte = [0];
            pipe.read_exact(&mut byte)?;
            first.push(char::from(byte[0]));
        }
        let later = written(&child, &sandbox, &format!("{LOOK}; echo ready"))?;
        ensure(first == later, (&first, &later))?;
        std::thread::sleep(Duration::from_millis(50));
        ensure(written(&child, &sandbox, "cat /tmp/of-the-first")? == "shared\n", profile)?;
        child.kill()?;
    }
    Ok(())
}

fn ends() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut child = standing(&sandbox, "exec sleep 60")?;
    ensure(child.exec(&mut shell(&sandbox, "exit 7"))?.wait()?.code() == Some(7), "a status")?;
    let mut exec = child.exec(&mut shell(&sandbox, "kill -9 $$"))?;
    ensure(exec.wait()?.signal() == Some(9), "a signal of its own")?;
    ensure(exec.wait()?.signal() == Some(9), "asked again")?;
    let mut exec = child.exec(&mut shell(&sandbox, "exec sleep 60"))?;
    exec.signal(libc::SIGTERM)?;
    ensure(exec.wait()?.signal() == Some(libc::SIGTERM), "a signal of the caller's")?;
    ensure(exec.signal(libc::SIGSEGV).is_err(), "a signal that is not passed on")?;
    let missing = child.exec(&mut sandbox.command("no-such-program"));
    ensure(matches!(missing, Err(Error::Plan(_))), &missing)?;
    // The first goes on.
    ensure(child.try_wait()?.is_none(), "the first")?;
    child.kill()?;
    Ok(())
}

fn end_with() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut child = standing(&sandbox, "exec sleep 60")?;
    drop(child.exec(&mut shell(&sandbox, "sleep 50; true"))?);
    let began = Instant::now();
    while written(&child, &sandbox, "ls /proc")?
        .split_whitespace()
        .filter(|name| name.parse::<u32>().is_ok())
        .count()
        > 4
    {
        ensure(began.elapsed() < Duration::from_secs(10), "one that was dropped is still there")?;
    }
    let mut left: Exec = child.exec(&mut shell(&sandbox, "exec sleep 60"))?;
    child.kill()?;
    child.wait_outcome()?;
    let over = left.wait();
    ensure(matches!(over, Err(Error::Over)), &over)?;
    let late = child.exec(&mut shell(&sandbox, "true"));
    ensure(matches!(late, Err(Error::Over | Error::NoMoreTasks | Error::Protocol)), &late)?;
    let mut closed = sandbox.command("sleep");
    let mut closed = closed.arg("60").spawn()?;
    let refused = closed.exec(&mut shell(&sandbox, "true"));
    ensure(matches!(refused, Err(Error::NoMoreTasks)), &refused)?;
    closed.kill()?;
    Ok(())
}

fn bounded() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut child = standing(&sandbox, "exec sleep 60")?;
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", child.id())).map(Iterator::count).ok();
    written(&child, &sandbox, "true")?;
    // init gives up what it had of a task after it has told of its end.
    std::thread::sleep(Duration::from_millis(100));
    let before = descriptors();
    for _ in 0..100 {
        written(&child, &sandbox, "true")?;
    }
    std::thread::sleep(Duration::from_millis(100));
    ensure(descriptors() == before, (before, descriptors()))?;
    let mut there = Vec::new();
    let refused = loop {
        match child.exec(sandbox.command("sleep").arg("60").stdout(Stdio::null())) {
            Ok(exec) => there.push(exec),
            Err(error) => break error,
        }
        ensure(there.len() < 100, "too many")?;
    };
    ensure(
        there.len() == 64 && matches!(refused, Error::TooManyTasks { limit: 64 }),
        (there.len(), refused.to_string()),
    )?;
    there.clear();
    let began = Instant::now();
    while written(&child, &sandbox, "true").is_err() {
        ensure(began.elapsed() < Duration::from_secs(10), "none starts after the others have ended")?;
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    Ok(())
}

fn refused() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut child = standing(&sandbox, "exec sleep 60")?;
    let other = Sandbox::new("standard")?;
    let walls = child.exec(&mut shell(&other, "true"));
    ensure(matches!(walls, Err(Error::OtherWalls)), &walls)?;
    let mut many = sandbox.command("true");
    for number in 3..30 {
        many.keep_fd(std::fs::File::open("/dev/null")?, number);
    }
    let many = child.exec(&mut many);
    ensure(matches!(many, Err(Error::Plan(_))), &many)?;
    ensure(child.exec(&mut shell(&sandbox, "true"))?.wait()?.success(), "one that follows")?;
    let role = child.exec(&mut sandbox.role("echo"));
    ensure(matches!(role, Err(Error::RoleInSandbox)), &role)?;
    let stream = child.exec(shell(&sandbox, "true").terminal(true).stdin(Stdio::null()));
    ensure(matches!(stream, Err(Error::Terminal { .. })), &stream)?;
    child.kill()?;
    Ok(())
}

fn other_limits() -> Outcome {
    let limited = |limits: Limits| Sandbox::new("strict")?.limited(&limits);
    let sandbox = limited(Limits::new().timeout(Duration::from_secs(60)).file_size(1 << 20))?;
    let mut child = standing(&sandbox, "exec sleep 60")?;
    let same = || Limits::new().timeout(Duration::from_secs(60));
    for (name, limits) in [
        ("timeout", Limits::new().timeout(Duration::from_millis(700))),
        ("timeout", Limits::new()),
        ("memory", same().memory(64 << 20)),
        ("pids", same().pids(7)),
        ("cpus", same().cpus(0.5)),
        ("cpu_weight", same().cpu_weight(50)),
        ("cpu_time", same().cpu_time(Duration::from_secs(1))),
        ("io_weight", same().io_weight(50)),
    ] {
        let other = limited(limits)?;
        let exec = child.exec(other.command("sleep").arg("0"));
        match exec {
            Err(error @ Error::OtherLimit { limit }) => {
                ensure(limit == name && error.to_string().contains(name), (name, limit))?;
                ensure(!error.hints().is_empty(), "a hint")?;
            }
            other => return Err(format!("{name}: {other:?}").into()),
        }
    }
    // What is of each task is its own.
    let smaller = limited(same().file_size(512))?;
    ensure(written(&child, &smaller, "ulimit -f")? == "1\n", "its own limit of files")?;
    ensure(
        written(&child, &limited(same().file_size(1 << 20))?, "ulimit -f")? == "2048\n",
        "the same limits",
    )?;
    child.kill()?;
    Ok(())
}

fn stopped() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut child = standing(&sandbox, "exec sleep 60")?;
    let init = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGSTOP)?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let ask = || child.exec(&mut shell(&sandbox, "exec sleep 60"));
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().try_for_each(|asked| match asked.join() {
            Ok(Err(Error::NotAnswered { limit_ms: 10_000 })) => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })?;
    ensure((9.9..15.0).contains(&began.elapsed().as_secs_f64()), began.elapsed())?;
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGCONT)?;
    // The first task is 2, and each that is started takes the next number.
    let next = written(&child, &sandbox, "echo $$")?;
    ensure(next == "3\n", next)?;
    child.kill()?;
    Ok(())
}

fn created() -> Outcome {
    for profile in ["strict", "lite"] {
        let sandbox = Sandbox::new(profile)?;
        let mut command = sandbox.command("sh");
        command.args(["-c", "echo started; sleep 0.2"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let created = command.create()?;
        // init is there, and has no child.
        let children = || std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", created.id()));
        std::thread::sleep(Duration::from_millis(300));
        ensure(children()?.trim().is_empty(), children()?)?;
        let mut child = created.start()?;
        let began = Instant::now();
        let mut text = String::new();
        child.stdout.take().ok_or("no pipe")?.read_to_string(&mut text)?;
        let outcome = child.wait_outcome()?;
        ensure(text == "started\n" && outcome.status.success(), (text, &outcome.status))?;
        // The run's time is that of the task.
        ensure(outcome.wall < began.elapsed() + Duration::from_millis(150), outcome.wall)?;
    }
    let mut limited = Sandbox::new("strict")?;
    limited = limited.limited(&belljar::Limits::default().timeout(Duration::from_millis(400)))?;
    let created = limited.command("sleep").arg("0.1").stdin(Stdio::null()).create()?;
    std::thread::sleep(Duration::from_millis(600));
    let mut child = created.start()?;
    ensure(child.wait()?.success(), "a time limit that begins with the task")
}

fn dropped() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let created = sandbox.command("true").create()?;
    let init = created.id();
    drop(created);
    ensure(!std::path::Path::new(&format!("/proc/{init}")).exists(), "its init is still there")?;
    // What cannot be started is told at the start, and nothing is left of it.
    let created = sandbox.command("true").current_dir("/usr").create()?;
    let init = created.id();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(init.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )?;
    let refused = created.start();
    ensure(refused.is_err(), refused)?;
    ensure(!std::path::Path::new(&format!("/proc/{init}")).exists(), "its init is still there")
}
