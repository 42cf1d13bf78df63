//! What would be a fork bomb is not one. Every program here runs under a limit of 20 processes of its own, in case.

mod reexec_common;

use std::time::{Duration, Instant};

use reexec_common::{copied, limited, text};

#[test]
fn a_program_that_forgets_init_and_ends() {
    let (_folder, path) = copied("test-no-init");
    let start = Instant::now();
    let output = limited(&path, 54301).output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let stdout = text(&output.stdout);
    // The program and one child, no deeper.
    assert_eq!(stdout.lines().filter(|line| *line == "main").count(), 2, "{stdout}");
    assert_eq!(stdout.matches("NotInitialised").count(), 1, "{stdout}");
    assert_eq!(stdout.matches("EndedEarly").count(), 1, "{stdout}");
    assert!(!stdout.contains("BODY"), "{stdout}");
}

#[test]
fn a_program_that_forgets_init_and_stays() {
    let (_folder, path) = copied("test-no-init");
    let start = Instant::now();
    let mut child = limited(&path, 54302)
        .arg("patient")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The child shares its standard error, so the first line there is the child's last word.
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut said)
        .unwrap();
    assert!(start.elapsed() < Duration::from_millis(2000), "{:?}", start.elapsed());
    assert!(said.contains("belljar::init()") && said.contains("enable_test_support!()"), "{said}");
    let stdout = child.stdout.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout)).map(Result::unwrap);
    let lines: Vec<String> = lines.by_ref().take(4).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lines[..2], ["main", "main"]);
    assert!(lines[2].contains("NotInitialised"), "{lines:?}");
    assert!(lines[3].contains("NeverInitialised"), "{lines:?}");
}
