//! What is done at points of a start (`Command::hook`), each case in a process of its own (see `library`).

use std::ffi::CString;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use belljar::reexec::Stdio;
use belljar::{Command, Error, Hook, HookFn, HookProgram, Sandbox};

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Case = (&'static str, fn() -> Outcome);

pub const CASES: &[Case] = &[
    ("hooks_are_reached_in_order", in_order),
    ("hooks_of_a_created_sandbox_are_reached_in_order", created),
    ("a_hook_that_fails_ends_the_start_and_leaves_nothing", fails),
    ("hooks_have_the_namespaces_and_rights_that_are_said", rights),
    ("what_a_create_container_hook_leaves_is_ended", left),
    ("hooks_of_lite_and_of_more_tasks", lite_and_more),
];

fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("does not hold: {what:?}").into()) }
}

/// What was reached, in order, and the process ids that were told.
type Log = Arc<Mutex<Vec<(&'static str, u32)>>>;

fn noted(log: &Log, point: &'static str) -> HookFn {
    let log = Arc::clone(log);
    Arc::new(move |pid| {
        log.lock().expect("the log").push((point, pid));
        Ok(())
    })
}

fn failing() -> HookFn {
    Arc::new(|_| Err(std::io::Error::other("as it was told to")))
}

fn shell(script: &str) -> HookProgram {
    let text = |text: &str| CString::new(text).expect("no NUL");
    HookProgram {
        path: text("/bin/sh"),
        argv: ["sh", "-c", script].map(text).into(),
        env: vec![text("PATH=/usr/bin:/bin")],
        timeout_ms: Some(10_000),
    }
}

/// A task whose standard error, and its hooks', is a pipe.
fn task<'a>(sandbox: &'a Sandbox, script: &str) -> Command<'a> {
    let mut command = sandbox.command("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn all(command: &mut Command<'_>, log: &Log) {
    // Not in the order in which they are reached.
    command
        .hook(Hook::Poststop(noted(log, "poststop")))
        .hook(Hook::Poststart(noted(log, "poststart")))
        .hook(Hook::StartContainer(shell("echo startContainer >&2")))
        .hook(Hook::CreateContainer(shell("echo createContainer")))
        .hook(Hook::CreateRuntime(noted(log, "createRuntime")))
        .hook(Hook::Prestart(noted(log, "prestart")));
}

fn points(log: &Log) -> Vec<&'static str> {
    log.lock().expect("the log").iter().map(|(point, _)| *point).collect()
}

fn in_order() -> Outcome {
    let (log, sandbox) = (Log::default(), Sandbox::new("strict")?);
    let mut command = task(&sandbox, "echo task >&2");
    all(&mut command, &log);
    let mut child = command.spawn()?;
    let pid = child.id();
    ensure(points(&log) == ["prestart", "createRuntime", "poststart"], points(&log))?;
    let mut text = String::new();
    child.stderr.take().ok_or("no pipe")?.read_to_string(&mut text)?;
    ensure(text == "createContainer\nstartContainer\ntask\n", &text)?;
    ensure(child.wait()?.success(), "the task")?;
    ensure(points(&log) == ["prestart", "createRuntime", "poststart", "poststop"], points(&log))?;
    let told = log.lock().expect("the log").iter().all(|(_, told)| *told == pid);
    ensure(told, (pid, &log))?;
    drop(child);
    ensure(points(&log).len() == 4, "called twice")
}

fn created() -> Outcome {
    let (log, sandbox) = (Log::default(), Sandbox::new("strict")?);
    let mut command = task(&sandbox, "true");
    all(&mut command, &log);
    let created = command.create()?;
    ensure(points(&log) == ["prestart", "createRuntime"], points(&log))?;
    let mut child = created.start()?;
    ensure(points(&log) == ["prestart", "createRuntime", "poststart"], points(&log))?;
    child.wait()?;
    ensure(points(&log).last() == Some(&"poststop"), points(&log))?;
    // One that is never started is stopped all the same.
    drop(command.create()?);
    ensure(points(&log).ends_with(&["poststop", "prestart", "createRuntime", "poststop"]), points(&log))
}

/// A failure at each point, what is said of it, and whether the task may have run.
fn fails() -> Outcome {
    let missing = HookProgram { path: c"/no/such/hook".into(), ..shell("") };
    let slow = HookProgram { timeout_ms: Some(100), ..shell("exec sleep 60") };
    for (hook, expected, ran) in [
        (Hook::Prestart(failing()), "the prestart hook failed: as it was told to", false),
        (Hook::CreateRuntime(failing()), "the createRuntime hook failed: as it was told to", false),
        (
            Hook::CreateContainer(shell("exit 3")),
            "createContainer hooks: the hook /bin/sh is status 3, but the plan says status 0",
            false,
        ),
        (
            Hook::CreateContainer(missing.clone()),
            "createContainer hooks: execve /no/such/hook: No such file or directory (ENOENT)",
            false,
        ),
        (
            Hook::CreateContainer(slow.clone()),
            "createContainer hooks: the hook /bin/sh is not, but the plan says over in 100 ms",
            false,
        ),
        (
            Hook::StartContainer(shell("kill -9 $$")),
            "startContainer hooks: the hook /bin/sh is signal 9, but the plan says status 0",
            false,
        ),
        (
            Hook::StartContainer(missing),
            "startContainer hooks: execve /no/such/hook: No such file or directory (ENOENT)",
            false,
        ),
        (
            Hook::StartContainer(slow),
            "startContainer hooks: the hook /bin/sh is not, but the plan says over in 100 ms",
            false,
        ),
        (Hook::Poststart(failing()), "the poststart hook failed: as it was told to", true),
    ] {
        for role in [false, true] {
            let (log, sandbox) = (Log::default(), Sandbox::new("strict")?);
            let mut command = if role { sandbox.role("ends") } else { task(&sandbox, "exec sleep 60") };
            command.stdout(Stdio::piped());
            command.hook(hook.clone()).hook(Hook::Poststop(noted(&log, "poststop")));
            let began = Instant::now();
            let refused = command.spawn();
            let Err(error) = refused else {
                // A role's process tells of it when it has ended.
                let told = refused?.wait_with_output();
                ensure(role && told.is_err_and(|error| chain(&error).contains(expected)), expected)?;
                ensure(points(&log) == ["poststop"], points(&log))?;
                continue;
            };
            ensure(chain(&error).ends_with(expected), (chain(&error), expected))?;
            ensure(matches!(error, Error::Hook { point: "poststart", .. }) == ran, expected)?;
            ensure(points(&log) == ["poststop"], (expected, points(&log)))?;
            ensure(began.elapsed() < Duration::from_secs(5), (expected, began.elapsed()))?;
            ensure(no_children(), expected)?;
        }
    }
    Ok(())
}

fn chain(error: &Error) -> String {
    belljar::error_chain(error)
}

fn no_children() -> bool {
    use nix::sys::wait::{WaitPidFlag, waitpid};
    waitpid(None, Some(WaitPidFlag::WNOHANG)) == Err(nix::errno::Errno::ECHILD)
}

fn rights() -> Outcome {
    const LOOK: &str =
        "readlink /proc/self/ns/mnt; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; cat";
    let sandbox = Sandbox::new("strict")?;
    let outside = std::fs::read_link("/proc/self/ns/mnt")?;
    let mut command = task(&sandbox, "readlink /proc/self/ns/mnt >&2; grep Seccomp: /proc/self/status >&2");
    command.hook(Hook::CreateContainer(shell("echo $$; test -d /root && echo host")));
    command.hook(Hook::StartContainer(shell(LOOK)));
    let mut child = command.spawn()?;
    let mut text = String::new();
    child.stderr.take().ok_or("no pipe")?.read_to_string(&mut text)?;
    child.wait()?;
    let lines: Vec<&str> = text.lines().collect();
    // In the sandbox's pid namespace.
    ensure(lines.first().and_then(|pid| pid.parse::<u32>().ok()).is_some_and(|pid| pid < 10), &text)?;
    ensure(lines.contains(&"host"), &text)?;
    ensure(text.contains("CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"), &text)?;
    let mounts: Vec<_> = lines.iter().filter(|line| line.starts_with("mnt:")).collect();
    ensure(mounts.len() == 2 && mounts[0] == mounts[1], &text)?;
    ensure(outside.to_str() != Some(*mounts[0]), &text)
}

fn left() -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut command = sandbox.command("sh");
    command.args(["-c", "ls -d /proc/[0-9]* | wc -l"]).stdin(Stdio::null());
    command.hook(Hook::CreateContainer(shell("sleep 60 2>/dev/null & sleep 61 2>/dev/null & true")));
    let output = command.output()?;
    // init, the shell, ls and wc at most.
    let count: u32 = String::from_utf8(output.stdout)?.trim().parse()?;
    ensure((2..=4).contains(&count), count)
}

fn lite_and_more() -> Outcome {
    let log = Log::default();
    let lite = Sandbox::new("lite")?;
    let mut command = task(&lite, "echo task >&2");
    command.hook(Hook::CreateRuntime(noted(&log, "createRuntime")));
    command.hook(Hook::StartContainer(shell(
        "echo startContainer; cat /proc/self/status >/dev/null 2>&1 || echo held",
    )));
    let mut child = command.spawn()?;
    let mut text = String::new();
    child.stderr.take().ok_or("no pipe")?.read_to_string(&mut text)?;
    child.wait()?;
    ensure(text == "startContainer\nheld\ntask\n", &text)?;
    command.hook(Hook::CreateContainer(shell("true")));
    let refused = command.spawn();
    ensure(matches!(refused, Err(Error::Plan(_))), &refused)?;

    let strict = Sandbox::new("strict")?;
    let mut first = task(&strict, "exec sleep 60");
    let mut first = first.more_tasks(true).hook(Hook::StartContainer(shell("echo once"))).spawn()?;
    let mut more = task(&strict, "true");
    let status = first.exec(more.hook(Hook::StartContainer(shell("echo more"))))?.wait()?;
    ensure(status.success(), status)?;
    let fails = first.exec(task(&strict, "true").hook(Hook::StartContainer(shell("exit 4"))));
    ensure(fails.as_ref().is_err_and(|error| chain(error).contains("status 4")), &fails)?;
    let refused = first.exec(task(&strict, "true").hook(Hook::CreateRuntime(noted(&log, "never"))));
    ensure(matches!(refused, Err(Error::HooksOfWalls)), &refused)?;
    let mut errors = first.stderr.take().ok_or("no pipe")?;
    first.kill()?;
    let mut text = String::new();
    errors.read_to_string(&mut text)?;
    ensure(text == "once\n", &text)?;
    ensure(points(&log) == ["createRuntime"], points(&log))
}
