//! Descriptors, signals and words on their way in.

use std::os::unix::process::CommandExt;
use std::process::Command;

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};
use crate::need::Need;

pub const CHECKS: &[Entry] = &[
    ("no_working_directory_by_descriptor", &[], no_working_directory_by_descriptor),
    ("signals_are_as_new", &[], signals_are_as_new),
    ("a_command_is_no_option", &[], a_command_is_no_option),
    ("many_at_once_get_their_own_descriptors", &[], many_at_once_get_their_own_descriptors),
    (
        "a_preloaded_library_is_the_programs_alone",
        &[Need::Program("gcc")],
        a_preloaded_library_is_the_programs_alone,
    ),
];

/// CVE-2024-21626: a working directory that leads through a descriptor is refused, or leads nowhere.
fn no_working_directory_by_descriptor(caller: Caller) -> Result<(), Failed> {
    for number in 0..12 {
        for dir in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")] {
            let mut shell = Command::new("sh");
            caller::as_caller(caller, &mut shell);
            shell.env("B", caller::shelf().join("belljar"));
            // Directories of the host's on every number that a runtime could use.
            let script = "exec 3</ 4</ 5</ 6</ 7</ 8</ 9</; exec \"$B\" run -w \"$0\" -- ls -a .";
            shell.args(["-c", script, &dir]);
            let run = caller::finish(shell);
            if run.code != Some(125) || !run.stdout.is_empty() {
                return Err(format!("{dir}: {run:#?}").into());
            }
        }
    }
    Ok(())
}

/// Signals that the caller blocks or ignores are neither for the task.
fn signals_are_as_new(caller: Caller) -> Result<(), Failed> {
    const SHOW: [&str; 4] = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let with_signals = |mut command: Command| {
        // SAFETY: system calls between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let mut blocked = nix::sys::signal::SigSet::empty();
                blocked.add(nix::sys::signal::Signal::SIGTERM);
                blocked.add(nix::sys::signal::Signal::SIGCHLD);
                blocked.thread_block()?;
                libc::signal(libc::SIGUSR1, libc::SIG_IGN);
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                Ok(())
            });
        }
        caller::finish(command)
    };
    let mut outside = Command::new(SHOW[0]);
    outside.args(&SHOW[1..]);
    caller::as_caller(caller, &mut outside);
    let control = with_signals(outside);
    if control.stdout.matches("0000000000000000").count() != 0 {
        return Err(format!("the control outside: {control:#?}").into());
    }
    let inside = with_signals(caller::belljar(caller, ["run", "--"].iter().chain(&SHOW)));
    if inside.stdout.matches("0000000000000000").count() != 2 {
        return Err(format!("{inside:#?}").into());
    }
    Ok(())
}

/// CVE-2024-32462: what comes after `--` is a command, even if it looks like an option.
fn a_command_is_no_option(caller: Caller) -> Result<(), Failed> {
    for word in ["--bind", "--set", "-p", "--help", "--net=host"] {
        caller::run(caller, ["run", "--", word, "/:/host"]).refused(127, &[word])?;
    }
    let run = caller::run(caller, ["run", "--", "echo", "--bind", "/:/host", "--", "-x"]);
    if run.succeeded()? == "--bind /:/host -- -x\n" { Ok(()) } else { Err(format!("{run:#?}").into()) }
}

/// go-judge, v0.9.5 to v1.1.4: a start that forks while another has a descriptor open.
fn many_at_once_get_their_own_descriptors(caller: Caller) -> Result<(), Failed> {
    let runs: Vec<_> = (0..64)
        .map(|_| {
            // The directory itself is one more while it is listed.
            std::thread::spawn(move || {
                caller::run(caller, ["run", "--", "sh", "-c", "cd /proc/self/fd; echo *"])
            })
        })
        .collect();
    for run in runs {
        let run = run.join().map_err(|_| "a panic")?;
        if !["0 1 2\n", "0 1 2 3\n"].contains(&run.succeeded()?) {
            return Err(format!("{run:#?}").into());
        }
    }
    Ok(())
}

/// A library that the task's environment preloads comes into the task's programs and into nothing of
/// belljar's.
fn a_preloaded_library_is_the_programs_alone(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let library = directory.path().join("marker.so");
    let source = directory.path().join("marker.c");
    caller::file(
        caller,
        &source,
        "#include <stdio.h>\n#include <unistd.h>\n\
         __attribute__((constructor)) static void mark(void) { dprintf(2, \"loaded into %d\\n\", getpid()); }\n",
    );
    let built = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output()?;
    if !built.status.success() {
        return Err(format!("gcc: {built:?}").into());
    }
    let path = library.to_str().ok_or("not UTF-8")?;
    for profile in ["strict", "standard"] {
        let bind = format!("{path}:/marker.so");
        let preload = "LD_PRELOAD=/marker.so";
        let args = ["run", "-p", profile, "--ro-bind", &bind, "-e", preload, "--", "sh", "-c", "exit 0"];
        let run = caller::run(caller, args);
        // PID 2 is the task; 1 would be init, and a large number the caller.
        if run.code != Some(0) || run.stderr != "loaded into 2\n" {
            return Err(format!("{profile}: {run:#?}").into());
        }
    }
    Ok(())
}
