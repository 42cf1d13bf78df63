//! The examples do what they say.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{program, text};

#[test]
fn reexec_logs_in_order() {
    let output = Command::new(program("reexec")).output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.is_empty());
    let log = text(&output.stderr);
    let (pids, lines): (Vec<&str>, Vec<&str>) = log.lines().map(|line| line.split_once(' ').unwrap()).unzip();
    assert_eq!(lines.len(), 4, "{log}");
    assert_eq!(lines[..2], ["main start", "init start"]);
    assert!(lines[2].starts_with("the child function: I am \"child\""), "{log}");
    assert!(lines[2].ends_with(pids[0].trim_matches(['[', ']'])), "{log}");
    assert_eq!(lines[3], "main exit: exit status: 0");
    assert_eq!((pids[0], pids[1]), (pids[3], pids[2]));
    assert_ne!(pids[0], pids[1]);
}

fn workers(args: &[&str], requests: &str) -> (Output, Vec<String>) {
    let mut master = Command::new(program("workers"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    master.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    let output = master.wait_with_output().unwrap();
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| line.split(':').next().and_then(|number| number.parse::<usize>().ok()));
    (output, lines)
}

#[test]
fn workers_answer_and_are_restarted() {
    let (output, lines) =
        workers(&["2"], "sum 1 2 3\nprimes 1000\ncrash\nsum 4 5\n\nfly\ncrash\nsum 18446744073709551615 1\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert_eq!(lines[0], "1: 6");
    assert_eq!(lines[1], "2: 168");
    assert!(lines[2].starts_with("3: failed: the worker died (signal: 6"), "{lines:?}");
    assert_eq!(lines[3], "4: 9");
    assert_eq!(lines[4], "6: error: cannot do \"fly\"");
    assert!(lines[5].starts_with("7: failed: the worker died"), "{lines:?}");
    assert_eq!(lines[6], "8: 18446744073709551616");
}

#[test]
fn a_worker_that_hangs_is_replaced() {
    let (output, lines) = workers(&["1", "200"], "sleep 60000\nsum 1\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(lines, ["1: failed: no answer within 200 ms", "2: 1"]);
}

#[test]
fn many_requests_on_many_workers() {
    let requests: String = (1..=500).map(|n| format!("sum {n} {n}\n")).collect();
    let (output, lines) = workers(&["8"], &requests);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected: Vec<String> = (1..=500).map(|n| format!("{n}: {}", 2 * n)).collect();
    assert_eq!(lines, expected);
}

#[test]
fn bad_usage() {
    for args in [&["0"][..], &["65"], &["x"], &["1", "0"], &["1", "2", "3"]] {
        let (output, lines) = workers(args, "");
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        assert!(lines.is_empty() && text(&output.stderr).starts_with("usage:"), "{args:?}");
    }
}

/// The master is killed in the middle of work, and its workers, busy or idle, end.
#[test]
fn workers_end_with_the_master() {
    let mut master = Command::new(program("workers"))
        .arg("3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = master.stdin.take().unwrap();
    stdin.write_all(b"pid\nsleep 60000\n").unwrap();
    let mut line = String::new();
    BufReader::new(master.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("1: "), "{line}");
    let tasks = format!("/proc/{0}/task", master.id());
    let children = || -> Vec<String> {
        let tasks = std::fs::read_dir(&tasks).unwrap();
        let lists =
            tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    // The first has answered; the others may still be starting.
    let deadline = Instant::now() + Duration::from_secs(5);
    while children().len() < 3 {
        assert!(Instant::now() < deadline, "{:?}", children());
        std::thread::sleep(Duration::from_millis(10));
    }
    let workers = children();
    master.kill().unwrap();
    master.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    for worker in workers {
        // Gone, or a zombie that its new parent has not reaped yet.
        let alive = || {
            std::fs::read_to_string(format!("/proc/{worker}/stat"))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
        };
        while alive() {
            assert!(Instant::now() < deadline, "worker {worker} has outlived its master");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
