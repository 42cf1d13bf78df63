//! What is told of a sandbox while it runs.

use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Check;
use crate::caller;
use crate::need::Need;
use crate::parent::{Parent, check};

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("stats_are_lines_of_json", &[], stats),
    ("stats_on_a_terminal_are_one_line", &[Need::Program("python3")], terminal),
    ("stats_need_a_group", &[], no_group),
    ("ps_shows_what_runs", &[Need::Program("bash")], ps),
];

fn stats(parent: &Parent) -> Result<(), Failed> {
    let script =
        "head -c 20M /dev/zero | tail -c 20M | sleep 1; i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
    let (run, _) = parent.shell(&["--stats=100ms", "--memory=64M", "--pids=20", "--cpu-time=50s"], script)?;
    check(run.code == Some(0), &run)?;
    let lines: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{line}: {error}")))
        .collect::<Result<_, _>>()?;
    let all = |key: &str| lines.iter().map(|line| line[key].as_u64()).collect::<Option<Vec<u64>>>();
    let (memory, pids, cpu) = (all("memoryBytes"), all("pids"), all("cpuMicros"));
    let (Some(memory), Some(pids), Some(cpu)) = (memory, pids, cpu) else {
        return Err(format!("{lines:#?}").into());
    };
    check(lines.len() >= 5, lines.len())?;
    check(
        memory.iter().any(|bytes| *bytes > 10 << 20) && memory.iter().all(|bytes| *bytes <= 64 << 20),
        &memory,
    )?;
    check(pids.iter().any(|pids| *pids >= 2) && pids.iter().all(|pids| *pids <= 20), &pids)?;
    check(cpu.is_sorted() && cpu.last() > cpu.first(), &cpu)?;
    let times: Vec<f64> = lines.iter().filter_map(|line| line["seconds"].as_f64()).collect();
    check(times.len() == lines.len() && times.is_sorted(), &times)
}

/// Standard error is a terminal: one line, which is gone in the end.
fn terminal(parent: &Parent) -> Result<(), Failed> {
    let run = parent.command(&["--stats=100ms", "--pids=20"], &["sleep", "1"]);
    let words: Vec<String> = std::iter::once(run.get_program())
        .chain(run.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script]).args(&words).stdin(std::process::Stdio::null());
    caller::as_caller(parent.caller, &mut command);
    let run = caller::finish(command);
    check(run.code == Some(0), &run)?;
    let lines: Vec<&str> = run.stdout.split("\r\u{1b}[K").collect();
    check(lines.first() == Some(&"") && lines.last() == Some(&"") && lines.len() >= 5, &run)?;
    check(lines[1..lines.len() - 1].iter().all(|line| line.starts_with("belljar: ")), &run)?;
    check(!run.stdout.contains('\n') && run.stdout.contains("processes 1"), &run)
}

fn no_group(parent: &Parent) -> Result<(), Failed> {
    for options in [&["--stats"][..], &["--stats", "--limits=rlimit", "--pids=9"]] {
        let all = ["run"].iter().chain(options).chain(&["--", "true"]).copied();
        let run = caller::run(parent.caller, all);
        run.refused(125, &["--stats: without a control group", "\nhint: add a limit"])?;
    }
    let run = caller::run(parent.caller, ["run", "--stats", "--tty", "--pids=9", "--", "true"]);
    run.refused(125, &["--stats", "--tty"])?;
    Ok(())
}

fn ps(parent: &Parent) -> Result<(), Failed> {
    // A name that would clear a terminal and begin a line, and an end of it that is not shown.
    let script = format!("exec -a $'\\e[2Jevil\\n{}' sleep 50", "x".repeat(6000));
    let mut child = parent.start(&["--memory=64M", "--pids=20"], &["bash", "-c", &script])?;
    let mut plain = caller::belljar(parent.caller, ["run", "-p", "standard", "--", "sleep", "51"])
        .spawn()
        .map_err(|error| error.to_string())?;
    let found = looked_for(parent, i64::from(child.id()), i64::from(plain.id()));
    for child in [&mut child, &mut plain] {
        child.kill().map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
    }
    found?;
    parent.empty_within(Duration::from_secs(5))
}

fn looked_for(parent: &Parent, limited: i64, plain: i64) -> Result<(), Failed> {
    let list = || {
        let run = caller::run(parent.caller, ["ps", "--json"]);
        let all: Value = serde_json::from_str(run.succeeded()?).map_err(|error| error.to_string())?;
        let of =
            |caller: i64| all["sandboxes"].as_array()?.iter().find(|one| one["caller"] == caller).cloned();
        Ok::<_, Failed>((of(limited), of(plain), all.clone()))
    };
    let evil =
        |one: &Value| one["command"][0].as_str().is_some_and(|name| name.starts_with("\u{1b}[2Jevil\nxxx"));
    for _ in 0..400 {
        let (Some(limited), Some(plain), all) = list()? else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        if !evil(&limited) || plain["command"] != serde_json::json!(["sleep", "51"]) {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let uid = if parent.caller == crate::Caller::Root { 0 } else { caller::USER };
        check(
            limited["profile"] == "strict" && limited["uid"] == uid && plain["profile"] == "standard",
            &all,
        )?;
        check(limited["usage"]["pids"] == 1 && limited["usage"]["memoryBytes"].as_u64() > Some(0), &all)?;
        check(plain["usage"].is_null() && plain["seconds"].as_f64().is_some_and(|s| s < 60.0), &all)?;
        check(limited["command"][0].as_str().is_some_and(|name| name.len() <= 4096), &all)?;
        let table = caller::run(parent.caller, ["ps"]);
        let text = table.succeeded()?;
        let line = text.lines().find(|line| line.contains("evil")).ok_or("it is not in the table")?;
        check(line.contains("\\x1b[2Jevil\\nxxx") && line.ends_with('…') && !text.contains('\u{1b}'), text)?;
        return check(line.starts_with(&limited["pid"].to_string()), line);
    }
    Err(format!("not shown: {:?}", list()?.2).into())
}
