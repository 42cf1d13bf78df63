//! The library, in a process of its own for each case: as root, and as an unprivileged user.

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use belljar::reexec::Stdio;
use belljar::{Ended, Error, Sandbox};
use libtest_mimic::Trial;
use serde::{Deserialize, Serialize};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// Tells this program which case it is to run.
pub const CASE: &str = "BELLJAR_TEST_CASE";

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

type Case = fn() -> Outcome;

const CASES: &[(&str, Case)] = &[
    ("call_returns_the_value", call_returns_the_value),
    ("call_returns_an_error_as_a_value", call_returns_an_error_as_a_value),
    ("call_brings_a_panic_back", call_brings_a_panic_back),
    ("a_long_panic_of_a_call_comes_back_short", a_long_panic_comes_back_short),
    ("call_brings_a_panic_back_whatever_it_carries", call_brings_a_panic_back_whatever_it_carries),
    ("call_carries_every_type", call_carries_every_type),
    (
        "call_refuses_a_type_that_does_not_read_what_it_writes",
        call_refuses_a_type_that_does_not_read_what_it_writes,
    ),
    (
        "call_ends_with_its_process_whoever_holds_its_reply",
        call_ends_with_its_process_whoever_holds_its_reply,
    ),
    (
        "output_ends_with_its_task_whoever_holds_its_streams",
        output_ends_with_its_task_whoever_holds_its_streams,
    ),
    (
        "a_stream_that_nobody_reads_does_not_hold_a_wait_up",
        a_stream_that_nobody_reads_does_not_hold_a_wait_up,
    ),
    ("hostile_functions_are_answered_in_time", hostile_functions_are_answered_in_time),
    ("a_reply_that_another_thread_forges", crate::forged::beside_the_value),
    ("a_reply_that_another_thread_forges_without_streams", crate::forged::without_streams),
    ("a_reply_that_the_function_reads_again", crate::forged::read_again),
    ("call_that_exits_or_dies_is_an_error", call_that_exits_or_dies_is_an_error),
    ("call_sees_nothing_of_the_callers_memory_or_environment", call_sees_nothing_of_the_caller),
    ("role_runs_with_its_arguments", role_runs_with_its_arguments),
    ("role_has_no_descriptor_of_inits", role_has_no_descriptor_of_inits),
    ("unknown_role_is_refused", unknown_role_is_refused),
    ("a_builder_says_what_the_sandbox_is", a_builder_says_what_the_sandbox_is),
    ("output_status_and_stdin_as_std", output_status_and_stdin_as_std),
    ("kill_and_try_wait", kill_and_try_wait),
    ("the_deadline_holds_though_init_is_stopped", the_deadline_holds),
    ("what_was_killed_has_used_what_it_used", what_was_killed),
    ("the_callers_memory_is_not_the_tasks", the_callers_memory_is_not_the_tasks),
    ("kept_descriptors_and_no_others", kept_descriptors_and_no_others),
    ("a_stream_that_the_task_closes_ends_at_once", a_stream_that_the_task_closes_ends_at_once),
    ("many_threads_at_once", many_threads_at_once),
    ("hundreds_of_calls_at_once_all_succeed", hundreds_of_calls_at_once_all_succeed),
    ("a_start_of_low_priority_beside_busy_processes_succeeds", a_start_of_low_priority_succeeds),
    ("nothing_is_left_of_dropped_children", nothing_is_left_of_dropped_children),
    (
        "a_status_that_another_thread_takes_is_told_by_init",
        a_status_that_another_thread_takes_is_told_by_init,
    ),
    ("kill_needs_no_descriptor", kill_needs_no_descriptor),
    ("a_name_that_two_roles_have_is_told", a_name_that_two_roles_have_is_told),
    ("a_role_of_belljars_own_is_no_task", a_role_of_belljars_own_is_no_task),
    ("a_thread_that_ends_does_not_end_its_sandbox", a_thread_that_ends_does_not_end_its_sandbox),
    ("a_large_caller_costs_no_more", a_large_caller_costs_no_more),
    ("a_dropped_child_lives_on", a_dropped_child_lives_on),
    ("a_dropped_childs_output_is_passed_on", a_dropped_childs_output_is_passed_on),
];

/// In the process of one case: runs it and ends. Otherwise nothing.
pub fn run_case() {
    let Ok(name) = std::env::var(CASE) else { return };
    let hidden: [(&str, Case); 2] =
        [("inherited_call", crate::inherited::call), ("inherited_show", crate::inherited::show)];
    let case = CASES
        .iter()
        .chain(crate::more_tasks::CASES)
        .chain(crate::hooks::CASES)
        .chain(crate::notified::CASES)
        .chain(crate::lifetime::CASES)
        .chain(&hidden)
        .find(|(known, _)| *known == name)
        .expect("a known case");
    if let Err(error) = case.1() {
        eprintln!("{name}: {}", belljar::error_chain(&*error));
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// Each case, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for (name, _) in CASES
            .iter()
            .chain(crate::more_tasks::CASES)
            .chain(crate::hooks::CASES)
            .chain(crate::notified::CASES)
            .chain(crate::lifetime::CASES)
        {
            trials.push(trial(format!("library::{name} as {caller:?}"), needs, move || {
                let program = caller::shelf().join("end_to_end");
                let mut command = Command::new(program);
                caller::as_caller(caller, &mut command);
                command.env(CASE, name).current_dir(caller::shelf());
                let run = caller::finish(command);
                if run.code == Some(0) { Ok(()) } else { Err(format!("{run:#?}").into()) }
            }));
        }
    }
    trials
}

pub fn strict() -> Result<Sandbox, Error> {
    Sandbox::new("strict")
}

pub fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("does not hold: {what:?}").into()) }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Words {
    text: String,
    count: u64,
}

fn count(words: Words) -> Words {
    Words { count: words.text.split_whitespace().count() as u64, text: words.text }
}

fn call_returns_the_value() -> Outcome {
    let sandbox = strict()?;
    let text = "one two three ".repeat(100_000);
    let counted = sandbox.call(count, &Words { text: text.clone(), count: 0 })?;
    ensure(counted == Words { text, count: 300_000 }, counted.count)?;
    // Used again: resolved once, run many times.
    for n in 0..5u64 {
        ensure(sandbox.call(|n: u64| n * n, &n)? == n * n, n)?;
    }
    Ok(())
}

fn parse(text: String) -> Result<i64, String> {
    text.parse::<i64>().map_err(|error| error.to_string())
}

fn call_returns_an_error_as_a_value() -> Outcome {
    let sandbox = strict()?;
    ensure(sandbox.call(parse, &"12".to_owned())? == Ok(12), "12")?;
    let error = sandbox.call(parse, &"twelve".to_owned())?;
    ensure(error.as_ref().is_err_and(|text| text.contains("invalid digit")), error)
}

fn divide(by: i32) -> i32 {
    assert!(by != 0, "a divisor of {by}");
    100 / by
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    a: Option<u8>,
    b: Option<Vec<u8>>,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, Option<Option<i64>>>,
}

/// Types that a format without descriptions takes for others.
fn call_carries_every_type() -> Outcome {
    let sandbox = strict()?;
    let value = || Sparse { a: None, b: Some(vec![0]), rest: [("k".to_owned(), Some(None))].into() };
    let back = sandbox
        .call(|(value, nested): (Sparse, Option<Option<()>>)| (nested, value), &(value(), Some(None)))?;
    ensure(back == (Some(None), value()), back)
}

#[derive(Debug, Serialize, Deserialize)]
struct Asymmetric {
    #[serde(rename(serialize = "one", deserialize = "two"))]
    field: u8,
}

/// Before it runs where it can be known, by the name of what is wrong.
fn call_refuses_a_type_that_does_not_read_what_it_writes() -> Outcome {
    let sandbox = strict()?;
    let told = |error: &Error, action| {
        let text = belljar::error_chain(error);
        ensure(text.contains(action) && text.contains("missing field `two`"), text)
    };
    match sandbox.call(|_: Asymmetric| -> () { std::process::exit(9) }, &Asymmetric { field: 1 }) {
        Err(error @ Error::Value { .. }) => told(&error, "decode the argument")?,
        other => return Err(format!("{other:?}").into()),
    }
    match sandbox.call(|field: u8| Asymmetric { field }, &1) {
        Err(error @ Error::Value { .. }) => told(&error, "decode the result"),
        other => Err(format!("{other:?}").into()),
    }
}

/// What panics once more when it is dropped.
struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        panic!("once more");
    }
}

fn call_brings_a_panic_back_whatever_it_carries() -> Outcome {
    match strict()?.call(|(): ()| -> () { std::panic::panic_any(Twice) }, &()) {
        Err(Error::Panicked { message, .. }) => ensure(message == "a value that is not text", message),
        other => Err(format!("{other:?}").into()),
    }
}

fn a_long_panic_comes_back_short() -> Outcome {
    // No boundary of a character is at 4 KiB.
    match strict()?.call(|length: usize| -> () { panic!("x{}", "\u{e9}".repeat(length)) }, &(5 << 20)) {
        Err(Error::Panicked { message, .. }) => {
            let expected = format!("x{}\u{2026}", "\u{e9}".repeat(2047));
            ensure(message == expected, message.len())
        }
        other => Err(format!("{other:?}").into()),
    }
}

fn call_brings_a_panic_back() -> Outcome {
    match strict()?.call(divide, &0) {
        Err(Error::Panicked { message, location }) => {
            ensure(message == "a divisor of 0", &message)?;
            ensure(location.contains("library.rs:"), &location)
        }
        other => Err(format!("{other:?}").into()),
    }
}

/// Sends `fd` over the unix socket that is standard output.
pub fn send_over_stdout(fd: i32) {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let bytes = [std::io::IoSlice::new(b"x")];
    sendmsg::<()>(1, &bytes, &[ControlMessage::ScmRights(&[fd])], MsgFlags::empty(), None)
        .expect("to send it");
}

/// The number of the only other pipe that this process can write to: the reply's.
pub fn reply_pipe() -> i32 {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let writable = |number: &i32| {
        // SAFETY: only asked about; one that is not open is an error.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(*number) };
        let flags = fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        let pipe = std::fs::read_link(format!("/proc/self/fd/{number}"));
        flags.is_ok_and(|flags| flags & OFlag::O_ACCMODE == OFlag::O_WRONLY)
            && pipe.is_ok_and(|name| name.to_string_lossy().starts_with("pipe:"))
    };
    (3..64).find(writable).expect("the reply's pipe")
}

/// What a descriptor that was sent here is kept by, for as long as the case runs.
pub fn socket_for_stdout() -> std::io::Result<std::os::unix::net::UnixStream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    nix::unistd::dup2_stdout(&theirs)?;
    Ok(ours)
}

fn call_ends_with_its_process_whoever_holds_its_reply() -> Outcome {
    // Unread: what was sent stays open in the socket.
    let _ours = socket_for_stdout()?;
    let sandbox = strict()?;
    let began = Instant::now();
    let value = sandbox.call(
        |(): ()| {
            send_over_stdout(reply_pipe());
            7
        },
        &(),
    )?;
    ensure(value == 7, value)?;
    // Nor is the time limit held off by it.
    let sandbox = sandbox.limited(&belljar::Limits::new().timeout(Duration::from_millis(300)))?;
    let ended = sandbox.call(
        |(): ()| {
            send_over_stdout(reply_pipe());
            std::thread::sleep(Duration::from_secs(60));
        },
        &(),
    );
    ensure(matches!(ended, Err(Error::CallEnded { ended: Ended::Timeout { .. } })), format!("{ended:?}"))?;
    ensure(began.elapsed() < Duration::from_secs(10), began.elapsed())
}

fn output_ends_with_its_task_whoever_holds_its_streams() -> Outcome {
    let began = Instant::now();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let sandbox = strict()?;
    let mut command = sandbox.role("test-give-streams-away");
    let output = command.stdin(std::os::fd::OwnedFd::from(theirs)).output()?;
    drop(ours);
    ensure(output.status.success() && output.stdout == b"said\n", &output)?;
    ensure(began.elapsed() < Duration::from_secs(10), began.elapsed())
}

/// Standard input is a socket whose other end is not read.
fn give_streams_away() {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    println!("said");
    let bytes = [std::io::IoSlice::new(b"x")];
    sendmsg::<()>(0, &bytes, &[ControlMessage::ScmRights(&[1, 2])], MsgFlags::empty(), None).expect("sent");
}
belljar::role!("test-give-streams-away", give_streams_away);

fn a_stream_that_nobody_reads_does_not_hold_a_wait_up() -> Outcome {
    let began = Instant::now();
    let sandbox = strict()?.limited(&belljar::Limits::new().output(1 << 20))?;
    // More than the two pipes on the way hold.
    let spawn = || sandbox.command("head").args(["-c", "100000", "/dev/zero"]).stdout(Stdio::piped()).spawn();
    let mut child = spawn()?;
    let outcome = child.wait_outcome()?;
    ensure(outcome.ended == Ended::Exit { code: 0 }, outcome.ended)?;
    let mut all = Vec::new();
    child.stdout.take().ok_or("piped")?.read_to_end(&mut all)?;
    ensure(all.len() == 100_000, all.len())?;
    let mut child = spawn()?;
    let mut polls = 0;
    while child.try_wait()?.is_none() && polls < 50 {
        std::thread::sleep(Duration::from_millis(20));
        polls += 1;
    }
    ensure(polls == 50, "it is not over while its output is not passed on")?;
    all.clear();
    child.stdout.take().ok_or("piped")?.read_to_end(&mut all)?;
    ensure(all.len() == 100_000 && child.wait()?.success(), all.len())?;
    ensure(began.elapsed() < Duration::from_secs(20), began.elapsed())
}

/// A way to misbehave, and whether the answer is as it should be.
type Misdeed = (fn(()) -> u64, fn(&Result<u64, Error>) -> bool);

fn hostile_functions_are_answered_in_time() -> Outcome {
    use std::os::fd::FromRawFd as _;
    fn raw(bytes: &[u8]) {
        // SAFETY: the pipe that the reply goes to; the process ends without another use of it.
        let mut reply = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(reply_pipe()) });
        reply.write_all(bytes).expect("to write");
    }
    let refused: fn(&Result<u64, Error>) -> bool = |answer| {
        matches!(
            answer,
            Err(Error::Value { .. } | Error::ResultTooDeep { .. } | Error::ResultTooLarge { .. })
        )
    };
    let no_result: fn(&Result<u64, Error>) -> bool =
        |answer| matches!(answer, Err(Error::CallEnded { ended: Ended::Exit { code: 0 } }));
    let misdeeds: &[Misdeed] = &[
        // Garbage, more than a reply, a reply twice, none.
        (
            |()| {
                raw(&[0xff; 100]);
                std::process::exit(0)
            },
            refused,
        ),
        (
            |()| {
                raw(&[0x8e; 100_000]);
                std::process::exit(0)
            },
            refused,
        ),
        (
            |()| {
                raw(b"x");
                7
            },
            refused,
        ),
        (|()| std::process::exit(0), no_result),
        // One byte at a time, beyond the deadline.
        (
            |()| loop {
                raw(b"x");
                std::thread::sleep(Duration::from_millis(20))
            },
            |answer| matches!(answer, Err(Error::CallEnded { ended: Ended::Timeout { .. } })),
        ),
        // More than is taken.
        (
            |()| loop {
                raw(&[0; 1 << 20])
            },
            |answer| matches!(answer, Err(Error::ResultTooLong { .. })),
        ),
        // A process that lives on with the reply's pipe.
        (
            |()| {
                // SAFETY: the child only sleeps.
                match unsafe { libc::fork() } {
                    0 => loop {
                        std::thread::sleep(Duration::from_secs(1))
                    },
                    _ => 7,
                }
            },
            |answer| matches!(answer, Ok(7)),
        ),
        // Stops; closes what it has; raises signals at itself.
        (
            |()| {
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).expect("raise");
                7
            },
            |answer| matches!(answer, Err(Error::CallEnded { ended: Ended::Timeout { .. } })),
        ),
        (
            |()| {
                // SAFETY: nothing of this process is used afterwards but the exit.
                unsafe { libc::syscall(libc::SYS_close_range, 0, 999, 0) };
                std::process::exit(0)
            },
            no_result,
        ),
        (
            |()| {
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).expect("raise");
                7
            },
            |answer| matches!(answer, Err(Error::CallEnded { ended: Ended::Signal { signal: 9, .. } })),
        ),
    ];
    let limits = belljar::Limits::new().timeout(Duration::from_millis(1500));
    let sandbox = strict()?.limited(&limits)?;
    for (number, (misdeed, expected)) in misdeeds.iter().enumerate() {
        let began = Instant::now();
        let answer = sandbox.call(*misdeed, &());
        ensure(expected(&answer), format!("{number}: {answer:?}"))?;
        ensure(began.elapsed() < Duration::from_secs(8), format!("{number}: {:?}", began.elapsed()))?;
    }
    Ok(())
}

fn call_that_exits_or_dies_is_an_error() -> Outcome {
    let sandbox = strict()?;
    match sandbox.call(|code: i32| -> () { std::process::exit(code) }, &7) {
        Err(Error::CallEnded { ended: Ended::Exit { code: 7 } }) => {}
        other => return Err(format!("{other:?}").into()),
    }
    match sandbox.call(|(): ()| -> () { std::process::abort() }, &()) {
        Err(Error::CallEnded { ended: Ended::Signal { signal: libc::SIGABRT, .. } }) => {}
        other => return Err(format!("{other:?}").into()),
    }
    // It claims to be done without a result.
    match sandbox.call(|(): ()| -> u64 { std::process::exit(0) }, &()) {
        Err(Error::CallEnded { ended: Ended::Exit { code: 0 } }) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

static SECRET: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

fn look_around((): ()) -> (String, Vec<String>) {
    let secret = SECRET.lock().map(|secret| secret.clone()).unwrap_or_default();
    (secret, std::env::vars().map(|(key, _)| key).collect())
}

fn call_sees_nothing_of_the_caller() -> Outcome {
    *SECRET.lock().map_err(|error| error.to_string())? = "hunter2".to_owned();
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var("AWS_SECRET_ACCESS_KEY", "hunter2") };
    let (secret, names) = strict()?.call(look_around, &())?;
    ensure(secret.is_empty(), secret)?;
    ensure(!names.iter().any(|name| name.contains("AWS") || name.contains("BELLJAR")), &names)?;
    ensure(names.iter().any(|name| name == "PATH"), names)
}

fn tell() {
    let args: Vec<String> = std::env::args().collect();
    println!("{}", args.join("|"));
}
belljar::role!("test-tell", tell);

fn role_runs_with_its_arguments() -> Outcome {
    let output = strict()?.role("test-tell").args(["a b", "", "--flag"]).output()?;
    ensure(output.status.success(), output.status)?;
    ensure(output.stdout == b"test-tell|a b||--flag\n", String::from_utf8_lossy(&output.stdout))
}

fn descriptors() {
    let mut numbers: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    numbers.sort();
    println!("{}", numbers.join(" "));
}
belljar::role!("test-descriptors", descriptors);

fn role_has_no_descriptor_of_inits() -> Outcome {
    let output = strict()?.role("test-descriptors").output()?;
    // 3 is the directory that is being read.
    ensure(output.stdout == b"0 1 2 3\n", String::from_utf8_lossy(&output.stdout))
}

fn unknown_role_is_refused() -> Outcome {
    match strict()?.role("test-tel").spawn() {
        Err(error) => {
            let text = belljar::error_chain(&error);
            ensure(text.contains("test-tel") && error.exit_code() == 125, text)
        }
        Ok(_) => Err("it ran".into()),
    }
}

fn a_builder_says_what_the_sandbox_is() -> Outcome {
    let (input, results) = (tempfile::tempdir()?, tempfile::tempdir()?);
    std::fs::write(input.path().join("words"), "b\na\n")?;
    let sandbox = Sandbox::builder()
        .profile("standard")
        .ro_bind(input.path(), "/in")
        .bind(results.path(), "/out")
        .tmpfs("/scratch", 1 << 20)
        .hostname("box")
        .env("MODE", "fast")
        .current_dir("/scratch")
        .user(7, 8)
        .limits(belljar::Limits::new().timeout(Duration::from_secs(20)).file_size(1 << 16))
        .set("process.rlimits.nofile=99")
        .build()?;
    let script = "sort /in/words >/out/sorted; ! touch /in/x 2>/dev/null; touch here; \
                  echo $(uname -n) $(id -u):$(id -g) $MODE $(pwd) $(ulimit -n) $(ulimit -f)";
    let output = sandbox.command("sh").args(["-ec", script]).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // sh counts in units of 512 bytes.
    ensure(said == "box 7:8 fast /scratch 99 128\n", (&said, &output))?;
    ensure(std::fs::read_to_string(results.path().join("sorted"))? == "a\nb\n", "sorted")
}

fn output_status_and_stdin_as_std() -> Outcome {
    let sandbox = strict()?;
    let output = sandbox.command("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output()?;
    ensure(output.status.code() == Some(3), output.status)?;
    ensure((&output.stdout[..], &output.stderr[..]) == (b"out\n", b"err\n"), &output)?;
    let mut child =
        sandbox.command("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.as_mut().ok_or("no stdin")?.write_all(b"glass")?;
    drop(child.stdin.take());
    let mut text = String::new();
    child.stdout.take().ok_or("no stdout")?.read_to_string(&mut text)?;
    ensure(text == "GLASS", text)?;
    ensure(child.wait()?.success(), "tr")?;
    ensure(sandbox.command("false").status()?.code() == Some(1), "false")?;
    // What one way to start takes where nothing was set is not set for the next.
    let mut command = sandbox.command("echo");
    ensure(command.arg("again").status()?.success(), "echo")?;
    let output = command.output()?;
    ensure(output.stdout == b"again\n", &output)
}

fn kill_and_try_wait() -> Outcome {
    let mut child = strict()?.command("sleep").arg("60").spawn()?;
    ensure(child.try_wait()?.is_none(), "still running")?;
    child.kill()?;
    let outcome = child.wait_outcome()?;
    ensure(outcome.ended == Ended::KilledByCaller, outcome.ended)?;
    child.kill()?;
    ensure(child.try_wait()? == Some(outcome.status), "the same status again")
}

/// Stops a sandbox's init, once its task runs.
fn stop(child: &belljar::Child) -> Outcome {
    let init = nix::unistd::Pid::from_raw(child.id().cast_signed());
    Ok(nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGSTOP)?)
}

fn the_deadline_holds() -> Outcome {
    let sandbox = strict()?.limited(&belljar::Limits::new().timeout(Duration::from_secs(1)))?;
    let mut child = sandbox.command("sleep").arg("60").spawn()?;
    stop(&child)?;
    let began = Instant::now();
    let outcome = child.wait_outcome()?;
    ensure(outcome.ended == Ended::Timeout { limit_ms: 1000 }, outcome.ended)?;
    ensure((0.9..5.0).contains(&began.elapsed().as_secs_f64()), began.elapsed())?;
    // What is not known is not told.
    ensure(outcome.user.is_none() && outcome.max_rss.is_none(), (outcome.user, outcome.max_rss))?;
    // kill() needs no answer from it.
    let mut child = sandbox.command("sleep").arg("60").spawn()?;
    stop(&child)?;
    child.kill()?;
    let outcome = child.wait_outcome()?;
    ensure(outcome.ended == Ended::KilledByCaller, outcome.ended)
}

fn what_was_killed() -> Outcome {
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; sleep 60";
    let (mut reader, writer) = std::io::pipe()?;
    let sandbox = strict()?;
    let mut child = sandbox.command("sh").args(["-c", script]).stdout(writer).spawn()?;
    let mut word = [0; 5];
    reader.read_exact(&mut word)?;
    child.kill()?;
    let outcome = child.wait_outcome()?;
    ensure(outcome.ended == Ended::KilledByCaller, outcome.ended)?;
    ensure(outcome.user.is_some_and(|user| user > Duration::from_millis(50)), outcome.user)
}

fn the_callers_memory_is_not_the_tasks() -> Outcome {
    let sandbox = strict()?;
    let memory = vec![1u8; 300 << 20];
    let outcome = sandbox.command("true").spawn()?.wait_outcome()?;
    std::hint::black_box(&memory);
    ensure(outcome.max_rss.is_some_and(|peak| (100_000..100 << 20).contains(&peak)), outcome.max_rss)
}

fn kept_descriptors_and_no_others() -> Outcome {
    // Something without close-on-exec, as careless callers have it.
    let leak = std::fs::File::open("/")?;
    nix::fcntl::fcntl(&leak, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
    let (reader, writer) = std::io::pipe()?;
    let sandbox = strict()?;
    let mut command = sandbox.command("sh");
    command.args(["-c", "echo through >&7; exec 7>&-; ls /proc/self/fd"]).keep_fd(writer, 7);
    let output = command.output()?;
    drop(command);
    let mut text = String::new();
    let mut reader = reader;
    reader.read_to_string(&mut text)?;
    ensure(text == "through\n", text)?;
    ensure(output.stdout == b"0\n1\n2\n3\n", String::from_utf8_lossy(&output.stdout))
}

fn a_stream_that_the_task_closes_ends_at_once() -> Outcome {
    let sandbox = strict()?;
    let mut command = sandbox.command("sh");
    command.args(["-c", "echo out; exec >&-; exec sleep 30"]).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let began = Instant::now();
    let mut text = String::new();
    child.stdout.take().ok_or("no stdout")?.read_to_string(&mut text)?;
    ensure(text == "out\n" && began.elapsed() < Duration::from_secs(10), (&text, began.elapsed()))?;
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Each waits for a processor for far longer than a start takes: that is not for the guard of re-execution to
/// judge.
fn hundreds_of_calls_at_once_all_succeed() -> Outcome {
    let sandbox = strict()?;
    let gate = std::sync::Barrier::new(300);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..300u64)
            .map(|n| {
                let (sandbox, gate) = (&sandbox, &gate);
                scope.spawn(move || {
                    gate.wait();
                    sandbox.call(|n: u64| n + 1, &n).map(|next| next == n + 1)
                })
            })
            .collect();
        let outcomes = calls.into_iter().map(|call| call.join().expect("no panic"));
        outcomes
            .filter(|outcome| !matches!(outcome, Ok(true)))
            .map(|outcome| format!("{outcome:?}"))
            .collect()
    });
    ensure(failed.is_empty(), failed)
}

fn a_start_of_low_priority_succeeds() -> Outcome {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            // Threads have a niceness each.
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let called = scope.spawn(|| {
            // SAFETY: numbers only.
            let lowered = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) } == 0;
            (lowered, strict().and_then(|sandbox| sandbox.call(|n: u64| n, &3)))
        });
        let called = called.join().expect("no panic");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ensure(called.0, "to lower the priority")?;
        ensure(called.1? == 3, "the call")
    })
}

belljar::role!("twice", || ());
belljar::role!("twice", || ());

fn a_name_that_two_roles_have_is_told() -> Outcome {
    let error = strict()?.role("twice").status().expect_err("ambiguous").to_string();
    ensure(error.contains("2 roles are named"), &error)?;
    let error = strict()?.role("never").status().expect_err("unknown").to_string();
    ensure(error.contains("no role is named") && !error.contains("belljar:"), error)
}

fn a_role_of_belljars_own_is_no_task() -> Outcome {
    for name in ["belljar:init", "belljar:probe", "belljar:"] {
        let error = strict()?.role(name).status().expect_err("reserved").to_string();
        ensure(error.starts_with(&format!("no role is named {name:?}")), error)?;
    }
    Ok(())
}

fn open_descriptors() -> std::io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// The limit leaves room for one sandbox, not for what is left of dozens.
fn nothing_is_left_of_dropped_children() -> Outcome {
    let sandbox = strict()?;
    ensure(sandbox.command("true").status()?.success(), "the first")?;
    let before = open_descriptors()?;
    limit_descriptors(64);
    for _ in 0..40 {
        let mut child = sandbox.command("true").spawn()?;
        // Ended, and not waited for.
        child_ends(&child)?;
        drop(child.stdin.take());
        drop(child);
        drop(belljar::reexec::command("ends").spawn()?);
    }
    std::thread::sleep(Duration::from_millis(300));
    ensure(sandbox.command("true").status()?.success(), "the last")?;
    ensure(open_descriptors()? == before, open_descriptors()?)?;
    let left = nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
    ensure(left == Err(nix::errno::Errno::ECHILD), left)
}

belljar::role!("ends", || ());

fn child_ends(child: &belljar::Child) -> Outcome {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let ended = poll(&mut [PollFd::new(child.pidfd()?, PollFlags::POLLIN)], PollTimeout::from(10_000u16))?;
    ensure(ended == 1, "it ended")
}

fn limit_descriptors(most: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("to lower a limit");
}

/// As a program does whose main loop reaps every child there is.
fn a_status_that_another_thread_takes_is_told_by_init() -> Outcome {
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                // SAFETY: no status is asked for.
                unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
            }
        });
        let all = (0..10).try_for_each(|n| {
            let sandbox = strict()?;
            ensure(sandbox.call(|n: u64| n + 1, &n)? == n + 1, n)?;
            ensure(sandbox.command("sh").args(["-c", "exit 7"]).status()?.code() == Some(7), "its status")
        });
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        all
    })
}

fn kill_needs_no_descriptor() -> Outcome {
    let mut child = strict()?.command("sleep").arg("30").spawn()?;
    limit_descriptors(64);
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file);
    }
    child.kill()?;
    let began = Instant::now();
    let ended = child.wait_outcome()?.ended;
    ensure(began.elapsed() < Duration::from_secs(5) && ended == Ended::KilledByCaller, ended)
}

fn many_threads_at_once() -> Outcome {
    let sandbox = strict()?;
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..24u64)
            .map(|n| {
                let sandbox = &sandbox;
                scope.spawn(move || sandbox.call(|n: u64| n + 1, &n).map_err(|error| error.to_string()))
            })
            .collect();
        for (n, run) in (0u64..).zip(runs) {
            let value = run.join().map_err(|_| "a panic")?;
            ensure(value == Ok(n + 1), value)?;
        }
        Ok(())
    })
}

fn a_thread_that_ends_does_not_end_its_sandbox() -> Outcome {
    let sandbox = strict()?;
    let mut child = std::thread::scope(|scope| {
        scope.spawn(|| sandbox.command("sh").args(["-c", "sleep 0.3; exit 9"]).spawn()).join()
    })
    .map_err(|_| "a panic")??;
    ensure(child.wait()?.code() == Some(9), "ran to its end")
}

fn a_large_caller_costs_no_more() -> Outcome {
    let sandbox = strict()?;
    let time = |sandbox: &Sandbox| -> Result<Duration, Error> {
        let began = Instant::now();
        for _ in 0..5 {
            sandbox.command("true").status()?;
        }
        Ok(began.elapsed())
    };
    let small = time(&sandbox)?;
    // Touched, so that a fork would have to copy its page tables: 256 MiB cost about 10 ms each time.
    let memory = vec![1u8; 256 << 20];
    let large = time(&sandbox)?;
    std::hint::black_box(&memory);
    ensure(large < small * 5 + Duration::from_millis(100), (small, large))
}

fn a_dropped_child_lives_on() -> Outcome {
    let (mut reader, writer) = std::io::pipe()?;
    let sandbox = strict()?;
    let child = sandbox.command("sh").args(["-c", "sleep 0.3; echo alive"]).stdout(writer).spawn()?;
    drop(child);
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    ensure(text == "alive\n", text)
}

fn a_dropped_childs_output_is_passed_on() -> Outcome {
    let mut profile = belljar::profile::Profile::load("strict")?;
    profile.limits.output = Some(1 << 20);
    let sandbox = Sandbox::with_profile(profile);
    let script = "echo first; sleep 0.3; echo second";
    let mut child = sandbox.command("sh").args(["-c", script]).stdout(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().ok_or("piped")?;
    drop(child);
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    ensure(text == "first\nsecond\n", text)
}
