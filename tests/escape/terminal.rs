//! The caller's terminal.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};

pub const CHECKS: &[Entry] = &[("no_way_back_to_the_terminal", &[], no_way_back_to_the_terminal)];

/// Runs a script in front of a terminal that is its session's controlling one.
fn at_terminal(caller: Caller, mut command: Command) -> Result<caller::Run, Failed> {
    let pty = nix::pty::openpty(None, None).map_err(|error| error.to_string())?;
    let terminal = pty.slave.as_raw_fd();
    caller::as_caller(caller, &mut command);
    command.stdin(Stdio::from(pty.slave.try_clone().map_err(|error| error.to_string())?));
    // SAFETY: two system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            nix::errno::Errno::result(libc::ioctl(terminal, libc::TIOCSCTTY, 0))?;
            Ok(())
        });
    }
    let run = caller::finish(command);
    drop(pty.master);
    Ok(run)
}

/// Neither by its name nor by taking it (standard input is it) does the task get at the session's terminal.
fn no_way_back_to_the_terminal(caller: Caller) -> Result<(), Failed> {
    const OPEN: &str = "(: </dev/tty) 2>/dev/null && echo opened; ps -o tty= -p $$ 2>/dev/null; \
                        cut -d' ' -f7 /proc/self/stat";
    let mut outside = Command::new("sh");
    outside.args(["-c", OPEN]);
    let control = at_terminal(caller, outside)?;
    if !control.stdout.starts_with("opened\n") || control.stdout.ends_with("\n0\n") {
        return Err(format!("the control outside: {control:#?}").into());
    }
    for profile in ["strict", "standard", "build", "network"] {
        let directory = caller::directory(caller);
        let mut inside = Command::new(caller::shelf().join("belljar"));
        inside.current_dir(directory.path());
        // The terminal is another session's: the kernel gives it to no process without CAP_SYS_ADMIN on the
        // host.
        let script = "(: </dev/tty) 2>/dev/null && echo opened; cut -d' ' -f7 /proc/self/stat; \
                      setsid -c true 2>/dev/null && cut -d' ' -f7 /proc/self/stat; true";
        inside.args(["run", "-p", profile, "--", "sh", "-c", script]);
        let run = at_terminal(caller, inside)?;
        let controlled = run.stdout.lines().any(|line| line != "0");
        if run.code != Some(0) || run.stdout.is_empty() || controlled {
            return Err(format!("{profile}: {run:#?}").into());
        }
    }
    Ok(())
}
