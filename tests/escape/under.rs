//! The probes under another program's sandbox, as docs/comparison starts them.

use std::os::unix::fs::PermissionsExt as _;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Entry;
use crate::caller::{self, Caller};

pub const CHECKS: &[Entry] = &[
    ("no_sandbox_holds_nothing", &[], no_sandbox_holds_nothing),
    ("belljar_holds_what_it_claims", &[], belljar_holds_what_it_claims),
    ("a_sandbox_that_does_not_start_is_no_verdict", &[], a_sandbox_that_does_not_start_is_no_verdict),
    ("a_probe_does_not_run_without_a_row", &[], a_probe_does_not_run_without_a_row),
];

/// What is asked: a file, a terminal, a leaked descriptor, the environment, a system call.
const ROWS: [&str; 6] = ["T1", "X3", "X4", "M18", "L1", "K25"];

/// Each row's report under a wrapper with this text, in the table's order.
fn under(caller: Caller, text: &str) -> Result<Vec<Value>, Failed> {
    let directory = caller::directory(caller);
    let wrapper = directory.path().join("wrapper");
    caller::file(caller, &wrapper, text);
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    let path = wrapper.to_str().ok_or("not UTF-8")?;
    let run = caller::finish(caller::belljar(caller, [&["selftest", "--under", path][..], &ROWS].concat()));
    if run.code != Some(0) {
        return Err(format!("{run:#?}").into());
    }
    run.stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn each(reports: &[Value], verdict: &str) -> Result<(), Failed> {
    let all = reports
        .iter()
        .all(|report| report["verdict"] == verdict && report["control"]["verdict"] == "allowed");
    if all && reports.len() == ROWS.len() { Ok(()) } else { Err(format!("{reports:#?}").into()) }
}

fn no_sandbox_holds_nothing(caller: Caller) -> Result<(), Failed> {
    // Its probe cannot tell a read-only directory from one that is not: nothing makes it one.
    each(&under(caller, "#!/bin/sh\nexec \"$@\"\n")?, "failed")
}

fn belljar_holds_what_it_claims(caller: Caller) -> Result<(), Failed> {
    let text = "#!/bin/bash
image=$1 show=()
while read -r how path; do
    case $how in
    ro) show+=(--ro-bind \"$path:$path\") ;;
    rw) show+=(--bind \"$path:$path\") ;;
    esac
done <<<\"$BELLJAR_SELFTEST_SHOW\"
exec \"$image\" run --ro-bind \"$image:$image\" \"${show[@]}\" -- \"$@\"
";
    each(&under(caller, text)?, "held")
}

fn a_sandbox_that_does_not_start_is_no_verdict(caller: Caller) -> Result<(), Failed> {
    let reports = under(caller, "#!/bin/sh\necho no sandbox today >&2\nexit 1\n")?;
    each(&reports, "not-testable")?;
    let told = |report: &Value| report["why"].as_str().is_some_and(|why| why.contains("no sandbox today"));
    // The stream of the others is the row's own.
    if reports.iter().any(told) { Ok(()) } else { Err(format!("{reports:#?}").into()) }
}

fn a_probe_does_not_run_without_a_row(caller: Caller) -> Result<(), Failed> {
    for args in [
        &["selftest", "--probe", "T4"][..],
        &["selftest", "--probe", "no"],
        &["selftest", "--probe", "X3", "a"],
    ] {
        let run = caller::finish(caller::belljar(caller, args));
        if run.code != Some(125) || !run.stdout.is_empty() {
            return Err(format!("{args:?}: {run:#?}").into());
        }
    }
    Ok(())
}
