//! What is said of limits: which are in force, and which are too low; the report's schema.

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::Check;
use crate::need::Need;
use crate::parent::{Parent, check};

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("all_limits_are_in_force_and_reported", &[], in_force),
    ("the_name_of_the_group_is_not_seen_inside", &[], name_is_hidden),
    ("limits_too_low", &[], too_low),
    ("a_signal_of_ones_own_is_no_limit", &[], own_signal),
    ("a_failure_below_the_limit_is_no_limit", &[], own_failure),
    ("in_the_callers_own_group", &[], own_group),
    ("stand_ins_are_named", &[], stand_ins),
    ("lite_has_limits_too", &[], lite),
];

const ALL: [&str; 5] = ["--memory=64M", "--pids=20", "--cpus=1.5", "--cpu-weight=50", "--cpu-time=30s"];

fn in_force(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.run(&ALL, &["true"])?;
    run.succeeded()?;
    let expected = json!({
        "memoryBytes": 64 << 20, "swapBytes": 0, "pids": 20, "cpusThousandths": 1500, "cpuTimeMs": 30_000,
        "ioWeight": null, "disks": [],
    });
    check(report["cgroup"]["limits"] == expected, &report)?;
    check(report["cgroup"]["usage"]["cpuMicros"].as_u64() > Some(0), &report)?;
    let none = json!({"memoryLimitMet": false, "oomKills": 0, "pidsRefused": 0});
    check(report["cgroup"]["events"] == none, &report)
}

fn name_is_hidden(parent: &Parent) -> Result<(), Failed> {
    let (run, _) = parent.run(&ALL, &["cat", "/proc/self/cgroup"])?;
    check(!run.succeeded()?.contains("belljar"), &run)
}

fn too_low(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.run(&["--memory=64K"], &["true"])?;
    run.refused(125, &["resources.memory.limit", "no process can start"])?;
    check(report["ended"]["kind"] == "setup-error", &report)?;
    // Arguments are the program's memory, and it has none yet that it could be killed for.
    let long = "x".repeat(100_000);
    let task: Vec<&str> = std::iter::once("true").chain([long.as_str(); 7]).collect();
    let (run, report) = parent.run(&["--memory=512K"], &task)?;
    run.refused(125, &["cannot start in 524288 bytes of memory", "\nhint: raise it with --memory"])?;
    check(report["ended"]["kind"] == "setup-error", &report)?;
    parent.run(&["--memory=4M"], &task)?.0.succeeded()?;
    // What came as far as its own loader has run.
    let (run, report) = parent.run(&["--memory=512K"], &["sh", "-c", "exec tail /dev/zero"])?;
    check(run.code == Some(137) && report["ended"]["kind"] == "memory-limit", (&run, &report))?;
    check(run.stderr.contains("raise it with --memory"), &run)?;
    // One process is enough for one.
    parent.run(&["--pids=1"], &["true"])?.0.succeeded()?;
    let (run, report) = parent.shell(&["--pids=1"], "/bin/true; exit 5")?;
    check(run.code == Some(2) && report["ended"]["kind"] == "pids-limit", (&run, &report))
}

fn own_signal(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.shell(&ALL, "kill -9 $$")?;
    check(run.code == Some(137) && report["ended"]["kind"] == "signal", (&run, &report))?;
    check(run.stderr == "belljar: sh was ended by signal 9 (SIGKILL)\n", &run)
}

fn own_failure(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.shell(&ALL, "exit 7")?;
    check(run.code == Some(7) && run.stderr.is_empty(), &run)?;
    check(report["ended"] == json!({"kind": "exit", "code": 7}), &report)
}

/// Without `--cgroup-parent`.
fn own_group(parent: &Parent) -> Result<(), Failed> {
    if parent.caller != crate::Caller::Root {
        let run = crate::caller::run(parent.caller, ["run", "--memory=64M", "--", "true"]);
        run.refused(125, &["control group", "\nhint: ", "--cgroup-parent", "--limits=rlimit"])?;
        return Ok(());
    }
    crate::caller::run(parent.caller, ["run", "--memory=64M", "--pids=9", "--", "true"]).succeeded()?;
    Ok(())
}

fn stand_ins(parent: &Parent) -> Result<(), Failed> {
    let args = [
        "run",
        "--limits=rlimit",
        "--memory=300M",
        "--pids=9",
        "--cpu-time=1s",
        "--",
        "sh",
        "-c",
        "ulimit -v",
    ];
    let run = crate::caller::run(parent.caller, args);
    check(run.succeeded()? == "307200\n", &run)?;
    for option in ["--cpus=1", "--cpu-weight=9"] {
        let run = crate::caller::run(parent.caller, ["run", "--limits=rlimit", option, "--", "true"]);
        run.refused(125, &["resources.cpu.", "no resource limit stands in for it"])?;
    }
    Ok(())
}

fn lite(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.shell(&["-p", "lite", "--memory=48M"], "tail /dev/zero; sleep 50")?;
    check(run.code == Some(137) && report["ended"]["kind"] == "memory-limit", (&run, &report))?;
    let (run, report) =
        parent.shell(&["-p", "lite", "--pids=9", "--timeout=300ms"], "(setsid sleep 60 &) ; sleep 60")?;
    check(run.code == Some(124) && report["ended"]["kind"] == "timeout", (&run, &report))
}

/// A report against the published schema.
pub fn fits_schema(report: &Value) -> Result<(), Failed> {
    let schema: Value = serde_json::from_str(include_str!("../../docs/report.schema.json")).expect("JSON");
    fits(&schema, &schema, report, "report").map_err(Failed::from)
}

/// The part of JSON Schema that the schema uses; a keyword that is not known here fails.
fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
    let Some(schema) = schema.as_object() else { return wrong("no schema") };
    for (keyword, rule) in schema {
        match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "$defs" => {}
            "$ref" => {
                let name = rule.as_str().and_then(|text| text.strip_prefix("#/$defs/")).unwrap_or_default();
                fits(root, &root["$defs"][name], value, at)?;
            }
            "const" if rule != value => return wrong("not the constant"),
            "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                return wrong("not in the list");
            }
            "const" | "enum" => {}
            "type" => {
                let is = |kind: &Value| match kind.as_str() {
                    Some("object") => value.is_object(),
                    Some("array") => value.is_array(),
                    Some("string") => value.is_string(),
                    Some("boolean") => value.is_boolean(),
                    Some("null") => value.is_null(),
                    Some("integer") => value.is_i64() || value.is_u64(),
                    Some("number") => value.is_number(),
                    _ => false,
                };
                let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !kinds.iter().any(is) {
                    return wrong("another type");
                }
            }
            "minimum" if value.as_f64().is_some_and(|n| Some(n) < rule.as_f64()) => return wrong("too low"),
            "minimum" => {}
            // Of an object, where it may be null.
            "required" if value.is_null() => {}
            "required" => {
                let missing = |name: &&Value| value.get(name.as_str().unwrap_or_default()).is_none();
                if let Some(name) = rule.as_array().and_then(|names| names.iter().find(missing)) {
                    return wrong(&format!("no {name}"));
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().into_iter().flatten() {
                    if let Some(field) = value.get(name) {
                        fits(root, rule, field, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = |name: &String| schema["properties"].get(name).is_some();
                if let Some(name) =
                    value.as_object().and_then(|fields| fields.keys().find(|name| !known(name)))
                {
                    return wrong(&format!("an unknown {name}"));
                }
            }
            "items" => {
                for entry in value.as_array().into_iter().flatten() {
                    fits(root, rule, entry, &format!("{at}[]"))?;
                }
            }
            "oneOf" => {
                let all = rule.as_array().cloned().unwrap_or_default();
                let fitting = all.iter().filter(|rule| fits(root, rule, value, at).is_ok()).count();
                if fitting != 1 {
                    return wrong(&format!("fits {fitting} of {}", all.len()));
                }
            }
            other => return wrong(&format!("the keyword {other} is not known to the test")),
        }
    }
    Ok(())
}
