//! A command line leaves nothing, however it ends. A program of its own with one test: it counts
//! what is left in the whole process.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use support::{BELLJAR, run};

/// What a run could leave on the host.
fn traces(temporary: &std::path::Path) -> (String, Vec<std::path::PathBuf>, String) {
    let files =
        fs::read_dir(temporary).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    (read("/proc/self/mountinfo"), files, read("/proc/net/dev").lines().map(device).collect())
}

/// The device of a line of `/proc/net/dev`, without its counters.
fn device(line: &str) -> String {
    line.split(':').next().unwrap_or_default().trim().to_owned() + "\n"
}

#[test]
fn nothing_is_left_behind() {
    // Orphans of the runs become children of this process.
    nix::sys::prctl::set_child_subreaper(true).expect("prctl");
    let temporary = tempfile::tempdir().expect("a directory");
    let before = traces(temporary.path());
    for (line, code) in [
        (&["run", "--", "true"][..], 0),
        (&["run", "--", "sh", "-c", "sleep 50 & exit 3"], 3),
        (&["run", "--", "sh", "-c", "setsid sleep 50 & (sleep 50 &) & exit 4"], 4),
        (&["run", "--timeout=200ms", "--", "sh", "-c", "trap '' TERM INT HUP; sleep 50 & sleep 50"], 124),
        (&["run", "--output-limit=1K", "--", "yes"], 137),
        (&["run", "--", "no-such-command"], 127),
        (&["run", "--", "/usr"], 126),
        (&["run", "--", ""], 127),
        (&["run", "no-such-role"], 125),
        (&["run", "--"], 125),
        (&["run", "--bind=/no/such", "--", "true"], 125),
        (&["run", "--rootfs=/no/such", "--", "true"], 125),
        (&["run", "--rootfs=/etc/passwd", "--", "true"], 125),
        (&["run", "--ro-bind=/etc/passwd:/etc/passwd/below", "--", "true"], 125),
        (&["run", "-w", "/no/such", "--", "true"], 125),
        (&["run", "--set", "no=1", "--", "true"], 125),
        (&["run", "--dry-run", "--", "true"], 0),
        (&["run", "probe"], 0),
    ] {
        let mut command = Command::new(BELLJAR);
        command.args(line).env("TMPDIR", temporary.path());
        let ran = run(&mut command, b"");
        assert_eq!(ran.code(), code, "{line:?}: {}", ran.err());
        let left = waitpid(None, Some(WaitPidFlag::WNOHANG));
        assert!(matches!(left, Err(Errno::ECHILD)), "{line:?} left a process: {left:?}");
        assert_eq!(traces(temporary.path()), before, "{line:?}");
    }
}
