//! Sandboxes with an owner of their own (`Lifetime::Kept`), each case in a process of its own (see
//! `library`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use belljar::reexec::Stdio;
use belljar::{Error, Lifetime, Sandbox, Side, StartNotifier};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Case = (&'static str, fn() -> Outcome);

pub const CASES: &[Case] = &[
    ("a_kept_sandbox_ends_with_its_owner_and_not_before", kept),
    ("an_owner_that_starts_nothing_gives_its_status", fails),
    ("a_process_with_threads_is_not_split", threads),
];

fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("does not hold: {what:?}").into()) }
}

/// Whether there is such a process that has not ended.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

/// The owner: it starts a task, tells of it, and waits for its end. The numbers of both are in a file.
fn own(started: StartNotifier, numbers: &PathBuf) -> Outcome {
    let sandbox = Sandbox::new("strict")?;
    let mut child = sandbox.command("sleep").arg("60").stdin(Stdio::null()).spawn()?;
    std::fs::write(numbers, format!("{} {}", std::process::id(), child.id()))?;
    started.tell();
    child.wait()?;
    Ok(())
}

fn kept() -> Outcome {
    let directory = tempfile::tempdir()?;
    let numbers = directory.path().join("numbers");
    match Lifetime::Kept.begin()? {
        Side::Owner(started) => {
            let code = i32::from(own(started, &numbers).is_err());
            std::process::exit(code);
        }
        Side::Caller(status) => ensure(status == 0, status)?,
    }
    let text = std::fs::read_to_string(&numbers)?;
    let (owner, init) = text.split_once(' ').ok_or("two numbers")?;
    let (owner, init) = (Pid::from_raw(owner.parse()?), Pid::from_raw(init.parse()?));
    ensure(lives(owner) && lives(init), (owner, init))?;
    ensure(getsid(Some(owner))? == owner, "a session of its own")?;
    kill(owner, Signal::SIGKILL)?;
    let began = Instant::now();
    while lives(init) {
        ensure(began.elapsed() < Duration::from_secs(5), "it outlives its owner")?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn fails() -> Outcome {
    match Lifetime::Kept.begin()? {
        Side::Owner(_) => std::process::exit(7),
        Side::Caller(status) => ensure(status == 7, status)?,
    }
    match Lifetime::default().begin()? {
        Side::Owner(started) => started.tell(),
        Side::Caller(status) => ensure(false, status)?,
    }
    Ok(())
}

fn threads() -> Outcome {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || receiver.recv().is_err());
    let refused = Lifetime::Kept.begin();
    ensure(matches!(refused, Err(Error::Threads { threads: 2 })), &refused)?;
    drop(sender);
    ensure(other.join().is_ok_and(|gone| gone), "the other thread")
}
