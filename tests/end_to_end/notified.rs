//! Filters that notify their caller of system calls (seccomp_unotify(2)), each case in a process of its own
//! (see `library`).

use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use belljar::reexec::Stdio;
use belljar::{Child, Command, Error, Sandbox};
use nix::errno::Errno;

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Case = (&'static str, fn() -> Outcome);

pub const CASES: &[Case] = &[
    ("a_notified_call_is_answered_by_the_caller", answered),
    ("a_notified_call_is_answered_without_namespaces", lite),
    ("a_start_whose_calls_are_notified_of_goes_through", start_notified),
    ("a_role_whose_calls_are_notified_of_has_no_listener", role),
    ("a_start_that_fails_below_a_filter_that_notifies_ends", fails),
    ("a_notified_call_that_nothing_answers_fails", unanswered),
    ("a_filter_that_notifies_needs_a_caller_that_answers", refused),
    ("each_task_has_a_listener_of_its_own", more_tasks),
];

fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("does not hold: {what:?}").into()) }
}

nix::ioctl_readwrite!(receive, b'!', 0, libc::seccomp_notif);
nix::ioctl_readwrite!(send, b'!', 1, libc::seccomp_notif_resp);

/// What a call is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    GoOn,
    Fail(Errno),
}

/// `strict`, which notifies of some calls.
fn sandbox(calls: &[&str], flags: &str) -> Result<Sandbox, Error> {
    let text = format!(
        "extends = \"strict\"\n[seccomp]\nflags = [{flags}]\n[[seccomp.syscalls]]\nnames = {calls:?}\naction = \"notify\""
    );
    Sandbox::builder().profile_toml(text, "notified").build()
}

const MKDIR: &[&str] = &["mkdir", "mkdirat"];

fn shell<'a>(sandbox: &'a Sandbox, script: &str) -> Command<'a> {
    let mut command = sandbox.command("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.seccomp_listener(true);
    command
}

/// Answers until the last process below the filter has ended; gives the calls' numbers.
fn serve(listener: OwnedFd, mut answer: impl FnMut(i32) -> Answer + Send + 'static) -> JoinHandle<Vec<i64>> {
    std::thread::spawn(move || {
        let mut calls = Vec::new();
        loop {
            let mut polled =
                [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&listener), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut polled, nix::poll::PollTimeout::NONE).expect("poll");
            if !polled[0].revents().expect("events").contains(nix::poll::PollFlags::POLLIN) {
                return calls;
            }
            // SAFETY: plain data; the kernel wants it to be zeroes.
            let mut notified: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the kernel writes one.
            if unsafe { receive(listener.as_raw_fd(), &raw mut notified) }.is_err() {
                continue;
            }
            calls.push(i64::from(notified.data.nr));
            let (error, flags) = match answer(notified.data.nr) {
                Answer::GoOn => (0, 1),
                Answer::Fail(errno) => (-(errno as i32), 0),
            };
            let mut response = libc::seccomp_notif_resp { id: notified.id, val: 0, error, flags };
            // SAFETY: the kernel reads one. A process that was killed meanwhile needs no answer.
            unsafe { send(listener.as_raw_fd(), &raw mut response) }.ok();
        }
    })
}

fn listener(child: &mut Child) -> Result<OwnedFd, &'static str> {
    child.seccomp_listener.take().ok_or("no listener")
}

fn answered() -> Outcome {
    for flags in [
        "",
        "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"",
        "\"SECCOMP_FILTER_FLAG_LOG\", \"SECCOMP_FILTER_FLAG_TSYNC\"",
    ] {
        let sandbox = sandbox(MKDIR, flags)?;
        let mut child = shell(&sandbox, "mkdir /tmp/a; mkdir /tmp/b; ls /tmp").spawn()?;
        let mut first = true;
        let served = serve(listener(&mut child)?, move |_| match std::mem::take(&mut first) {
            true => Answer::Fail(Errno::ENOTUNIQ),
            false => Answer::GoOn,
        });
        let output = child.wait_with_output()?;
        let errors = String::from_utf8(output.stderr)?;
        ensure(errors.contains("not unique"), &errors)?;
        ensure(output.stdout == b"b\n", String::from_utf8_lossy(&output.stdout))?;
        ensure(served.join().expect("the thread").len() == 2, "other calls")?;
    }
    Ok(())
}

fn lite() -> Outcome {
    let text = "extends = \"lite\"\n[landlock]\nscopes = []\n[[seccomp.syscalls]]\nnames = [\"uname\", \"execve\", \"prctl\"]\naction = \"notify\"";
    let sandbox = Sandbox::builder().profile_toml(text, "notified").build()?;
    let mut child = shell(&sandbox, "uname; true").spawn()?;
    let served = serve(listener(&mut child)?, |number| match i64::from(number) {
        libc::SYS_uname => Answer::Fail(Errno::ENOTUNIQ),
        _ => Answer::GoOn,
    });
    let output = child.wait_with_output()?;
    let errors = String::from_utf8(output.stderr)?;
    ensure(errors.contains("not unique"), &errors)?;
    let calls = served.join().expect("the thread");
    // The shell asks for it, too.
    let (asked, executed) = (calls.contains(&libc::SYS_uname), calls.contains(&libc::SYS_execve));
    ensure(asked && executed && output.status.success(), &calls)
}

/// All that a start does below its filter, and around it.
const OF_THE_START: &[&str] = &[
    "execve",
    "prctl",
    "close",
    "fcntl",
    "munmap",
    "sendmsg",
    "nanosleep",
    "futex",
    "exit",
    "exit_group",
    "rt_sigprocmask",
    "close_range",
    "write",
    "read",
];

fn start_notified() -> Outcome {
    let sandbox = sandbox(OF_THE_START, "")?;
    for _ in 0..20 {
        let began = Instant::now();
        let mut child = shell(&sandbox, "/bin/true && exec /bin/echo done").spawn()?;
        ensure(began.elapsed() < Duration::from_secs(5), began.elapsed())?;
        let served = serve(listener(&mut child)?, |_| Answer::GoOn);
        let output = child.wait_with_output()?;
        ensure(output.stdout == b"done\n", String::from_utf8_lossy(&output.stdout))?;
        let calls = served.join().expect("the thread");
        // Those of the task itself, and not the one by which it was started.
        let executions = calls.iter().filter(|number| **number == libc::SYS_execve).count();
        ensure(executions == 2, executions)?;
    }
    Ok(())
}

fn role() -> Outcome {
    let sandbox = sandbox(OF_THE_START, "")?;
    let mut command = sandbox.role("test-descriptors");
    let mut child = command.seccomp_listener(true).stdout(Stdio::piped()).spawn()?;
    let served = serve(listener(&mut child)?, |_| Answer::GoOn);
    let output = child.wait_with_output()?;
    ensure(output.stdout == b"0 1 2 3\n", String::from_utf8_lossy(&output.stdout))?;
    ensure(served.join().expect("the thread").contains(&libc::SYS_munmap), "munmap of the hand-over")
}

fn fails() -> Outcome {
    // The execution is refused, and the end is notified of: nothing answers for that, and nothing waits.
    let text = "extends = \"strict\"\n[[seccomp.syscalls]]\nnames = [\"execve\"]\naction = \"errno\"\nerrnoRet = \"ENOTUNIQ\"\n\
                [[seccomp.syscalls]]\nnames = [\"exit_group\", \"exit\", \"write\", \"sendmsg\"]\naction = \"notify\"";
    let sandbox = Sandbox::builder().profile_toml(text, "notified").build()?;
    let began = Instant::now();
    let refused = shell(&sandbox, "true").spawn();
    let errno = match &refused {
        Err(Error::Execute { source, .. }) => source.raw_os_error(),
        _ => None,
    };
    ensure(errno == Some(Errno::ENOTUNIQ as i32), &refused)?;
    ensure(began.elapsed() < Duration::from_secs(5), began.elapsed())
}

fn unanswered() -> Outcome {
    let sandbox = sandbox(MKDIR, "")?;
    let mut child = shell(&sandbox, "read line; mkdir /tmp/a").stdin(Stdio::piped()).spawn()?;
    drop(listener(&mut child)?);
    let output = child.wait_with_output()?;
    let errors = String::from_utf8(output.stderr)?;
    ensure(errors.contains("Function not implemented") && !output.status.success(), errors)
}

fn needs_an_answer(error: &Error) -> bool {
    belljar::error_chain(error).contains("nothing answers the notifications") && error.exit_code() == 125
}

fn refused() -> Outcome {
    let notifies = sandbox(MKDIR, "")?;
    let refused = notifies.command("true").spawn();
    ensure(refused.as_ref().is_err_and(needs_an_answer), &refused)?;
    // Nothing is notified of.
    let mut child = Sandbox::new("strict")?.command("true").seccomp_listener(true).spawn()?;
    ensure(child.seccomp_listener.is_none() && child.wait()?.success(), "strict")?;
    for (text, expected) in [
        (
            "[seccomp]\nflags = [\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]",
            "no rule of the filter has the action notify",
        ),
        (
            "[[seccomp.syscalls]]\nnames = [\"execve\"]\naction = \"notify\"\nargs = [{ index = 0, op = \"!=\", value = 1 }]",
            "could not be told from",
        ),
    ] {
        let text = format!("extends = \"strict\"\n{text}");
        let sandbox = Sandbox::builder().profile_toml(text, "notified").build()?;
        let refused = sandbox.command("true").seccomp_listener(true).spawn();
        ensure(
            refused.as_ref().is_err_and(|error| belljar::error_chain(error).contains(expected)),
            &refused,
        )?;
    }
    Ok(())
}

fn more_tasks() -> Outcome {
    let sandbox = sandbox(MKDIR, "")?;
    let mut first = shell(&sandbox, "exec sleep 60").more_tasks(true).spawn()?;
    let unserved = listener(&mut first)?;
    for errno in [Errno::ENOTUNIQ, Errno::EXFULL] {
        let mut more = first.exec(&mut shell(&sandbox, "mkdir /tmp/a"))?;
        let served = serve(more.seccomp_listener.take().ok_or("no listener")?, move |_| Answer::Fail(errno));
        let mut text = String::new();
        more.stderr.take().ok_or("no pipe")?.read_to_string(&mut text)?;
        ensure(text.contains(errno.desc()), &text)?;
        ensure(!more.wait()?.success() && served.join().expect("the thread").len() == 1, &text)?;
    }
    let refused = first.exec(&mut sandbox.command("true"));
    ensure(refused.as_ref().is_err_and(needs_an_answer), &refused)?;
    drop(unserved);
    first.kill()?;
    Ok(())
}
