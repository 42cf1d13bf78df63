//! What a process hands down to those that it starts: whatever belljar's caller had of it, the task gets what was chosen for it.
//!
//! Each state is set before `belljar` is executed, or a program that uses the library, and what the task sees of itself is compared
//! with what it sees when nothing was set.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::library::CASE;
use crate::need::{Need, trial};

/// A state that is inherited, and what becomes of it.
struct State {
    name: &'static str,
    /// Takes a right of root's.
    privileged: bool,
    /// Runs between fork and exec: system calls only.
    apply: fn() -> io::Result<()>,
    then: Then,
}

enum Then {
    /// The task sees none of it.
    Chosen,
    /// Nothing runs, and the message has these words.
    Refused(&'static [&'static str]),
}

use Then::{Chosen, Refused};

const STATES: &[State] = &[
    open("sigchld_ignored", || ignore(libc::SIGCHLD..=libc::SIGCHLD), Chosen),
    open("every_signal_ignored", || ignore(1..=64), Chosen),
    open("every_signal_blocked", block_all, Chosen),
    open("signals_pending", leave_pending, Chosen),
    open("no_stream", || close(&[0, 1, 2]), Chosen),
    // RLIMIT_FSIZE holds for files in memory too.
    open("file_size_0", || limit(libc::RLIMIT_FSIZE, 0), Refused(&["File too large"])),
    open("file_size_100", || limit(libc::RLIMIT_FSIZE, 100), Refused(&["File too large"])),
];

/// One that everybody can set.
const fn open(name: &'static str, apply: fn() -> io::Result<()>, then: Then) -> State {
    State { name, privileged: false, apply, then }
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let value = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: reads the struct, which lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const value) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn ignore(mut signals: std::ops::RangeInclusive<i32>) -> io::Result<()> {
    signals.try_for_each(|signal| {
        // SAFETY: SIG_IGN is no function. KILL, STOP and what the C library keeps for itself cannot be ignored.
        let refused = unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR;
        if refused && ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(&signal) {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    })
}

fn block_all() -> io::Result<()> {
    let all = u64::MAX;
    // SAFETY: the kernel's own set, of 8 bytes, which it reads.
    check(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, std::ptr::null::<u64>(), 8)
    } as i32)
}

fn leave_pending() -> io::Result<()> {
    block_all()?;
    // SAFETY: numbers only; they are blocked.
    // None that would end the caller: those are its own to answer, once it takes signals.
    [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH]
        .iter()
        .try_for_each(|signal| check(unsafe { libc::raise(*signal) }))
}

fn close(streams: &[i32]) -> io::Result<()> {
    // SAFETY: this process is about to execute a program and uses them for nothing.
    streams.iter().try_for_each(|stream| check(unsafe { libc::close(*stream) }))
}

/// What a process sees of itself, a line each.
pub fn observe() -> String {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_else(|error| error.to_string())
    };
    let status = read("status");
    let mut lines: Vec<String> = status
        .lines()
        .filter(|line| {
            [
                "Umask",
                "SigPnd",
                "ShdPnd",
                "SigBlk",
                "SigIgn",
                "CapInh",
                "CapAmb",
                "NoNewPrivs",
                "THP_enabled",
                "Cpus_allowed:",
            ]
            .iter()
            .any(|field| line.starts_with(field))
        })
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.join("\n")
}

/// The program that is run inside: this one.
pub fn show() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write(std::env::var("OBSERVED")?, observe())?;
    Ok(())
}

/// The library's caller.
pub fn call() -> Result<(), Box<dyn std::error::Error>> {
    let seen = belljar::Sandbox::new("standard").and_then(|sandbox| sandbox.call(|(): ()| observe(), &()));
    Ok(std::fs::write(std::env::var("OBSERVED")?, seen.map_err(with_causes)?)?)
}

fn with_causes(error: belljar::Error) -> String {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Command,
    Library,
}

/// Runs the observer as the caller, in the state; gives what it saw.
fn seen(who: Caller, way: Way, state: Option<fn() -> io::Result<()>>) -> (Run, String) {
    let folder = caller::folder(who);
    let observed = folder.path().join("observed");
    let itself = caller::shelf().join("end_to_end");
    let mut command = match way {
        Way::Library => {
            let mut command = Command::new(&itself);
            caller::as_caller(who, &mut command);
            command.env(CASE, "inherited_call").env("OBSERVED", &observed);
            command
        }
        Way::Command => {
            let (show, itself) =
                (format!("--bind={}:/out", folder.path().display()), itself.display().to_string());
            let bind = format!("--ro-bind={itself}:/observer");
            let case = format!("--env={CASE}=inherited_show");
            caller::belljar(
                who,
                ["run", &show, &bind, &case, "--env=OBSERVED=/out/observed", "--", "/observer"],
            )
        }
    };
    command.current_dir(folder.path());
    if let Some(state) = state {
        // SAFETY: the states are set by system calls only.
        unsafe { command.pre_exec(state) };
    }
    let run = caller::finish(command);
    (run, std::fs::read_to_string(observed).unwrap_or_default())
}

/// What the task sees when nothing was set.
fn plain(who: Caller, way: Way) -> &'static str {
    static PLAIN: [OnceLock<String>; 4] = [const { OnceLock::new() }; 4];
    let index = usize::from(who == Caller::Root) * 2 + usize::from(way == Way::Library);
    PLAIN[index].get_or_init(|| seen(who, way, None).1)
}

fn holds(who: Caller, way: Way, state: &State) -> Result<(), Failed> {
    let plain = plain(who, way);
    if plain.is_empty() {
        return Err("nothing was observed without the state".into());
    }
    let (run, observed) = seen(who, way, Some(state.apply));
    if let Refused(words) = state.then {
        let told = words.iter().all(|word| run.stderr.contains(word));
        return if run.code != Some(0) && observed.is_empty() && told {
            Ok(())
        } else {
            Err(format!("{run:#?}").into())
        };
    }
    if run.code == Some(0) && observed == plain {
        return Ok(());
    }
    Err(format!("{run:#?}\nplain:\n{plain}\nobserved:\n{observed}").into())
}

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for who in [Caller::Root, Caller::User] {
        for way in [Way::Command, Way::Library] {
            for state in STATES.iter().filter(|state| who == Caller::Root || !state.privileged) {
                let needs = if who == Caller::Root { &[Need::Root][..] } else { &[] };
                let name = format!("inherited::{} by {way:?} as {who:?}", state.name);
                trials.push(trial(name, needs, move || holds(who, way, state)));
            }
        }
    }
    trials
}
