//! Runs the built program, never longer than a minute.

#![allow(dead_code, reason = "each test program uses a part")]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const BELLJAR: &str = env!("CARGO_BIN_EXE_belljar");

const PATIENCE: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
}

impl Ran {
    /// As a shell shows it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    /// It ended with `code`, and said nothing on standard error.
    #[track_caller]
    pub fn quietly(self, code: i32) -> Self {
        assert_eq!((self.code(), self.err().as_str()), (code, ""), "{}", self.out());
        self
    }

    /// It ended with `code` and an error of belljar's: first a line with each of `parts`, then hints, nothing
    /// else.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        let err = self.err();
        assert_eq!(self.code(), code, "{err}");
        assert_eq!(self.out(), "", "{err}");
        let mut lines = err.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with("belljar: "), "{err}");
        assert!(lines.all(|line| line.starts_with("hint: ")), "{err}");
        assert!(!err.contains("panicked") && !err.contains('\u{1b}'), "{err}");
        for part in parts {
            assert!(err.contains(part), "no {part:?} in: {err}");
        }
        self
    }
}

/// `belljar ARGS`, nothing on standard input.
pub fn belljar<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    run(Command::new(BELLJAR).args(args), b"")
}

/// `belljar run ARGS`.
pub fn run_in<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    run(Command::new(BELLJAR).arg("run").args(args), b"")
}

/// A script that is given the program as `$0`.
pub fn shell(script: &str, args: &[&str]) -> Ran {
    run(Command::new("sh").args(["-c", script, BELLJAR]).args(args), b"")
}

/// Starts a program with all streams piped.
pub fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A copy that was just written is busy for as long as a child of another test's thread, forked in
    // between, has not executed.
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            other => return other.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        }
    }
    panic!("{command:?} stays busy")
}

/// Runs a program to its end with this standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let shown = format!("{command:.300?}");
    finish(start(command), input, &shown)
}

/// Waits for its end, and for the end of its output: a process that still holds a stream keeps this waiting.
#[track_caller]
pub fn finish(mut child: Child, input: &[u8], shown: &str) -> Ran {
    let (mut to, mut out, mut err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let end = Instant::now() + PATIENCE;
    let (status, out, err) = std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(to) = &mut to {
                // A program need not read it.
                let _ = to.write_all(input);
            }
        });
        let out = scope.spawn(move || read(out.as_mut()));
        let err = scope.spawn(move || read(err.as_mut()));
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break Some(status);
            }
            if Instant::now() > end {
                child.kill().expect("kill");
                child.wait().expect("wait");
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        (status, out.join().expect("reader"), err.join().expect("reader"))
    });
    let status = status.unwrap_or_else(|| panic!("{shown} did not end: {}", String::from_utf8_lossy(&err)));
    Ran { status, out, err }
}

fn read(from: Option<&mut impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(from) = from {
        from.read_to_end(&mut all).expect("read");
    }
    all
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
