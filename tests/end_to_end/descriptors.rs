//! What is given by descriptor gives no more than its open mode.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nix::fcntl::{FcntlArg, OFlag};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// A name, a check, and what it needs.
type Case = (&'static str, fn(Caller) -> Result<(), Failed>, &'static [Need]);

/// Each case, as each caller.
pub fn trials() -> Vec<Trial> {
    let cases: [Case; 3] = [
        ("kinds_that_lead_elsewhere_are_refused", kinds_that_lead_elsewhere_are_refused, &[]),
        ("a_limit_of_output_keeps_the_order", a_limit_of_output_keeps_the_order, &[]),
        ("terminals_are_bounded", terminals_are_bounded, &[Need::Program("python3")]),
    ];
    let mut trials = Vec::new();
    for (name, case, needs) in cases {
        for caller in [Caller::Root, Caller::User] {
            let root: &[Need] = if caller == Caller::Root { &[Need::Root] } else { &[] };
            let needs: &'static [Need] = Vec::leak([root, needs].concat());
            trials.push(trial(format!("descriptors::{name} as {caller:?}"), needs, move || case(caller)));
        }
    }
    let needs: &[Need] = &[Need::Program("python3")];
    trials.push(trial("descriptors::files_keep_their_mode as User".to_owned(), needs, files_keep_their_mode));
    // An ordinary user's pipe is the sandbox's own as well: SECURITY.md.
    let needs: &[Need] = &[Need::Root, Need::Program("python3")];
    trials.push(trial(
        "descriptors::pipes_open_in_one_direction as Root".to_owned(),
        needs,
        pipes_open_in_one_direction,
    ));
    trials
}

/// Tries to open standard input for writing and standard output for reading.
const OPENS: &str = "
import os
for fd, mode in ((0, os.O_WRONLY), (0, os.O_RDWR), (1, os.O_RDONLY), (1, os.O_RDWR)):
  for chmod in (False, True):
    try:
      if chmod: os.fchmod(fd, 0o666)
      os.open(f'/proc/self/fd/{fd}', mode | os.O_NONBLOCK)
      os.write(2, b'opened')
    except PermissionError: pass
";

/// What others wrote to the pipe that is standard output cannot be read, nor written what others read; a pipe
/// between two sandboxes opens for both.
fn pipes_open_in_one_direction() -> Result<(), Failed> {
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(caller::shelf().join("belljar")).arg(OPENS);
        command.current_dir(caller::shelf());
        caller::as_caller(Caller::Root, &mut command);
        caller::finish(command)
    };
    let run = shell("{ echo SECRET; echo in | \"$0\" run -- python3 -c \"$1\"; } | { sleep 1; cat; }");
    if run.code != Some(0) || run.stdout != "SECRET\n" || !run.stderr.is_empty() {
        return Err(format!("{run:#?}").into());
    }
    for (first, second) in [("0", "1"), ("1", "0")] {
        let run = shell(&format!(
            "sleep {first}; \"$0\" run -- sh -c 'sleep 1; echo through >/dev/stdout; sleep 1' | \
             {{ sleep {second}; \"$0\" run -- sh -c 'cat /dev/stdin'; }}"
        ));
        if run.succeeded()? != "through\n" {
            return Err(format!("{run:#?}").into());
        }
    }
    Ok(())
}

/// Gives the command a descriptor under a number, over the execution.
fn with_descriptor(command: &mut Command, fd: OwnedFd, number: i32) {
    // From a number that is none of these: dup2(2) of a descriptor to itself leaves it close-on-exec.
    let high = nix::fcntl::fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(100)).expect("a descriptor");
    // SAFETY: the kernel has just made it.
    let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(high) };
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(move || {
            nix::errno::Errno::result(libc::dup2(fd.as_raw_fd(), number))?;
            Ok(())
        });
    }
}

fn kinds_that_lead_elsewhere_are_refused(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let path = directory.path().join("file");
    caller::file(caller, &path, "content");
    let open = |path: &std::path::Path, flags: i32| -> Result<OwnedFd, Failed> {
        // std takes O_PATH out of the flags where the C library is musl.
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
        Ok(nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).map_err(std::io::Error::from)?)
    };
    // SAFETY: numbers only, and the kernel has just made each of them.
    let made = |number: i32| unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number) };
    let pidfd = || {
        // SAFETY: numbers only.
        let number = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
        made(i32::try_from(number).expect("a pidfd"))
    };
    // SAFETY: as before.
    let epoll = || made(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) });
    // SAFETY: as before.
    let netlink = || made(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) });
    let memory = || {
        // SAFETY: a literal name.
        let memory = made(unsafe { libc::memfd_create(c"given".as_ptr(), libc::MFD_CLOEXEC) });
        open(format!("/proc/self/fd/{}", memory.as_raw_fd()).as_ref(), 0)
    };
    let kinds: Vec<(&str, OwnedFd)> = vec![
        ("a directory", open(directory.path(), 0)?),
        ("a directory", open(directory.path(), libc::O_PATH)?),
        ("a path (O_PATH)", open(&path, libc::O_PATH)?),
        ("a file of the kernel's", open("/proc/self/ns/net".as_ref(), 0)?),
        ("a descriptor without a file", pidfd()),
        ("a descriptor without a file", epoll()),
        ("a socket that is neither", netlink()),
        ("a file in memory (memfd)", memory()?),
    ];
    for (what, fd) in kinds {
        for number in [0, 1, 2, 9] {
            if number == 2 && what == "a descriptor without a file" {
                // The message could not be written to it.
                continue;
            }
            for dry in [&[][..], &["--dry-run"]] {
                let kept: &[&str] = if number == 9 { &["--keep-fd", "9"] } else { &[] };
                let mut command =
                    caller::belljar(caller, [&["run"], kept, dry, &["--", "sh", "-c", "echo ran"]].concat());
                with_descriptor(&mut command, fd.try_clone()?, number);
                let run = caller::finish(command);
                let told = number == 2 || run.stderr.contains(what);
                if run.code != Some(125) || !run.stdout.is_empty() || !told {
                    return Err(format!("{what} as {number} {dry:?}: {run:#?}").into());
                }
            }
        }
    }
    Ok(())
}

/// `2>&1` under a relay.
fn a_limit_of_output_keeps_the_order(caller: Caller) -> Result<(), Failed> {
    let script = "i=0; while [ $i -lt 200 ]; do echo $i; echo $i >&2; i=$((i+1)); done";
    let expected: String = (0..200).map(|i| format!("{i}\n{i}\n")).collect();
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" run --output-limit 1M -- sh -c \"$1\" 2>&1"])
        .arg(caller::shelf().join("belljar"))
        .arg(script)
        .current_dir(caller::shelf());
    caller::as_caller(caller, &mut command);
    let run = caller::finish(command);
    if run.code == Some(0) && run.stdout == expected { Ok(()) } else { Err(format!("{run:#?}").into()) }
}

/// The host's pseudo-terminals (kernel.pty.max) are not one sandbox's.
fn terminals_are_bounded(caller: Caller) -> Result<(), Failed> {
    let script = "import os\nn = 0\ntry:\n  while n < 200: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY); n += 1\n\
                  except OSError as e: print(n, e.errno)";
    for profile in ["strict", "standard", "build"] {
        let run = caller::run(caller, ["run", "-p", profile, "--", "python3", "-c", script]);
        // ENOSPC.
        if run.succeeded()? != "64 28\n" {
            return Err(format!("{profile}: {run:#?}").into());
        }
    }
    Ok(())
}

/// The owner of a file can change its mode through every descriptor of it. Offsets are shared as outside.
fn files_keep_their_mode() -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;
    let directory = caller::directory(Caller::User);
    for name in ["in", "out", "kept"] {
        caller::file(Caller::User, &directory.path().join(name), "first\nsecond\nthird\n");
        std::fs::set_permissions(directory.path().join(name), PermissionsExt::from_mode(0o640))?;
    }
    let attack = "import os\nfor fd in 0, 1, 9: os.fchmod(fd, 0o777)\nos.write(2, os.read(0, 7))";
    let script = "{ dd bs=6 count=1 of=/dev/null 2>/dev/null; \"$0\" run --keep-fd 9 -- python3 -c \"$1\"; cat; } <in >>out 9<kept";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(caller::shelf().join("belljar"))
        .arg(attack)
        .current_dir(directory.path());
    caller::as_caller(Caller::User, &mut command);
    let run = caller::finish(command);
    let mode = |name: &str| -> Result<u32, Failed> {
        Ok(std::fs::metadata(directory.path().join(name))?.permissions().mode() & 0o7777)
    };
    let modes = [mode("in")?, mode("out")?, mode("kept")?];
    let out = std::fs::read_to_string(directory.path().join("out"))?;
    if modes == [0o640; 3] && run.stderr.contains("second\n") && out == "first\nsecond\nthird\nthird\n" {
        Ok(())
    } else {
        Err(format!("{modes:?} {out:?} {run:#?}").into())
    }
}
