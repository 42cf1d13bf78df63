//! What would be a fork bomb is not one. Every program here runs under a limit of 20 processes, in case.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::{copied, limited, text};

#[test]
fn a_program_that_never_calls_init_starts_nothing() {
    let (_directory, path) = copied("test-no-init");
    let output = limited(&path, 54301).output().unwrap();
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().filter(|line| *line == "main").count(), 1, "{stdout}");
    assert_eq!(stdout.matches("InitNotCalled").count(), 1, "{stdout}");
    assert!(!stdout.contains("BODY"), "{stdout}");
}

#[test]
fn a_child_that_forgets_init_and_ends() {
    let (_directory, path) = copied("test-no-init");
    let start = Instant::now();
    let output = limited(&path, 54303).arg("child").output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let stdout = text(&output.stdout);
    // The program and one child, no deeper.
    assert_eq!(stdout.lines().filter(|line| *line == "main").count(), 2, "{stdout}");
    assert_eq!(stdout.matches("NotInitialised").count(), 1, "{stdout}");
    assert_eq!(stdout.matches("EndedEarly").count(), 1, "{stdout}");
    assert!(!stdout.contains("BODY"), "{stdout}");
}

/// One after the other: they are about time, and each takes some.
static ALONE: Mutex<()> = Mutex::new(());

/// Ended when the test is over, passed or failed.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The guard's last word comes within this.
fn is_named_within(way: &str, user: u32, patience: Duration) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_directory, path) = copied("test-no-init");
    let start = Instant::now();
    let mut command = limited(&path, user);
    command.args(["child", way]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Program(command.spawn().unwrap());
    // The child shares its standard error, so the first line there is the child's last word.
    let mut said = String::new();
    BufReader::new(child.0.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
    assert!(said.contains("belljar::init()") && said.contains("enable_test_support!()"), "{said}");
    let lines: Vec<String> =
        BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap).take(4).collect();
    assert_eq!(lines[..2], ["main", "main"]);
    assert!(lines[2].contains("NotInitialised"), "{lines:?}");
    assert!(lines[3].contains("NeverInitialised"), "{lines:?}");
}

#[test]
fn a_child_that_forgets_init_and_sleeps_is_named() {
    is_named_within("patient", 54302, Duration::from_millis(2000));
}

#[test]
fn a_child_that_forgets_init_and_computes_is_named() {
    // It needs the processor that other tests may have.
    is_named_within("busy", 54304, Duration::from_secs(10));
}

/// The clock on the wall goes on meanwhile.
#[test]
fn a_child_that_cannot_run_is_waited_for() {
    let (_directory, path) = copied("test-no-init");
    let start = Instant::now();
    let output = limited(&path, 54305).arg("held-up").output().unwrap();
    let stdout = text(&output.stdout);
    assert!(start.elapsed() > Duration::from_secs(2));
    assert!(stdout.contains("BODY") && stdout.contains("Ok(ExitStatus"), "{stdout} {}", text(&output.stderr));
}
