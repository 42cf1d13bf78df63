//! What can be filled: memory files by size and by number, and descriptors.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::json;

use crate::Check;
use crate::need::Need;
use crate::parent::{Parent, check};

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("a_tmpfs_by_its_size", &[], size),
    ("a_tmpfs_by_its_inodes", &[], inodes),
    ("descriptors", &[Need::Program("python3")], descriptors),
];

/// The program is told by the kernel, and what it makes of it is its own.
fn size(parent: &Parent) -> Result<(), Failed> {
    let script =
        "head -c 20M /dev/zero >/small/x; echo $?; wc -c </small/x; head -c 100M /dev/zero >/tmp/x; echo $?";
    let options = ["--tmpfs=/small:1M", "--memory=200M", "--timeout=30s"];
    let (run, report) = parent.shell(&options, script)?;
    check(run.code == Some(0) && run.stdout == "1\n1048576\n1\n", (&run, &report))?;
    check(run.stderr.matches("No space left on device").count() == 2, &run)?;
    check(report["ended"] == json!({"kind": "exit", "code": 0}), &report)
}

fn inodes(parent: &Parent) -> Result<(), Failed> {
    let began = Instant::now();
    let script =
        "i=0; while : >/small/$i; do i=$((i + 1)); done 2>/dev/null; echo $i; rm -r /small/*; : >/small/x";
    // A shell ends at a redirection that fails.
    let script = format!("( {script} ); ls /small | wc -l");
    let (run, report) = parent.shell(&["--tmpfs=/small:64M", "--memory=200M", "--timeout=30s"], &script)?;
    let made: u64 = run.stdout.lines().last().and_then(|line| line.trim().parse().ok()).ok_or("no number")?;
    check(run.code == Some(0) && (8000..=8192).contains(&made), (&run, &report))?;
    check(began.elapsed() < Duration::from_secs(30), began.elapsed())
}

fn descriptors(parent: &Parent) -> Result<(), Failed> {
    let script = "import os\nn = 0\ntry:\n  while True: os.dup(0); n += 1\nexcept OSError as e: print(n > 100, n < 256, e.errno)";
    let (run, report) = parent.run(&["--pids=9"], &["python3", "-c", script])?;
    check(run.code == Some(0) && run.stdout == "True True 24\n" && run.stderr.is_empty(), (&run, &report))
}
