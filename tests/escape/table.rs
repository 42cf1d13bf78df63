//! The rows of `belljar selftest`, one trial each.

use std::collections::BTreeMap;

use belljar::internals::selftest::{Check, rows};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::caller::{self, Caller};
use crate::need;

/// What a caller's run gave, by row.
type Reports = Result<BTreeMap<String, Value>, String>;

/// A trial for each row that has a probe, as each caller. The table is run once for each of them, unless only
/// the names are wanted.
pub fn trials(list: bool, filter: Option<&str>) -> Vec<Trial> {
    // A filter that is meant for the other checks.
    let wanted = filter.is_none_or(|filter| names().any(|name| name.contains(filter)));
    if list || !wanted {
        return names().map(|name| Trial::test(name, || Ok(()))).collect();
    }
    let callers = callers();
    let reports: Vec<Reports> = std::thread::scope(|scope| {
        let runs: Vec<_> = callers.iter().map(|caller| scope.spawn(|| reports(*caller))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|_| Err("a panic".to_owned()))).collect()
    });
    let mut trials = Vec::new();
    for (caller, reports) in callers.into_iter().zip(reports) {
        for id in ids() {
            let report = match &reports {
                Ok(reports) => reports.get(id).cloned().ok_or_else(|| format!("no report of {id}")),
                Err(error) => Err(error.clone()),
            };
            trials.push(of(id, caller, report));
        }
    }
    trials
}

fn ids() -> impl Iterator<Item = &'static str> {
    rows().filter(|row| matches!(row.check, Check::Probe(_))).map(|row| row.id)
}

fn callers() -> Vec<Caller> {
    let root = nix::unistd::geteuid().is_root();
    [Caller::Root, Caller::User].into_iter().filter(|caller| root || *caller == Caller::User).collect()
}

fn name(id: &str, caller: Caller) -> String {
    format!("table::{id} as {caller:?}")
}

fn names() -> impl Iterator<Item = String> {
    callers().into_iter().flat_map(|caller| ids().map(move |id| name(id, caller)))
}

fn reports(caller: Caller) -> Reports {
    // A copy that belongs to the caller, as it does for the one who built it: else no one could write to it
    // anyway.
    let directory = caller::directory(caller);
    let copy = directory.path().join("belljar");
    caller::copy_program(&caller::shelf().join("belljar"), &copy);
    caller::give(caller, &copy);
    // A working directory of the caller's: `build` shows it, and refuses `/`.
    let mut command = std::process::Command::new(&copy);
    command.args(["selftest", "--json"]).stdin(std::process::Stdio::null()).current_dir(directory.path());
    caller::as_caller(caller, &mut command);
    let run = caller::finish(command);
    if !matches!(run.code, Some(0 | 1)) {
        return Err(format!("{run:#?}"));
    }
    run.stdout
        .lines()
        .map(|line| {
            let report: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            let id = report["id"].as_str().ok_or_else(|| line.to_owned())?.to_owned();
            Ok((id, report))
        })
        .collect()
}

/// What `BELLJAR_TEST_REQUIRE` calls what a row needs of root's machine.
fn needed(id: &str) -> &'static str {
    match id {
        // Lowers oom_score_adj outside.
        "R18c" => "CAP_SYS_RESOURCE",
        // Root with supplementary groups.
        "K13" => "groups",
        _ => "escape",
    }
}

fn of(id: &str, caller: Caller, report: Result<Value, String>) -> Trial {
    let name = name(id, caller);
    let report = match report {
        Ok(report) => report,
        Err(error) => return Trial::test(name, move || Err(error.into())),
    };
    let why = report["why"].as_str().unwrap_or_default().to_owned();
    match report["verdict"].as_str() {
        Some("held") => Trial::test(name, move || each_profile(&report)),
        Some("not-testable") if caller == Caller::Root && need::required(needed(id)) => {
            Trial::test(name, move || Err(format!("required, but not testable: {why}").into()))
        }
        Some("not-testable") => {
            eprintln!("skipped: {name}: {why}");
            Trial::test(format!("{name} (not testable: {why})"), || Ok(())).with_ignored_flag(true)
        }
        _ => Trial::test(name, move || Err(format!("{report:#}").into())),
    }
}

/// A row that held: what it stands on is there. Blocked inside, and shown to be possible by the control or
/// the mutation.
fn each_profile(report: &Value) -> Result<(), libtest_mimic::Failed> {
    let profiles = report["profiles"].as_array().ok_or("no profiles")?;
    let outside = report["control"]["verdict"] == "allowed";
    let mut held = 0;
    for under in profiles.iter().filter(|under| under["verdict"] == "held") {
        held += 1;
        let shown = outside || under["mutation"]["verdict"] == "allowed";
        if under["inside"]["verdict"] != "blocked" || !shown {
            return Err(format!("{under:#}").into());
        }
    }
    if held > 0 { Ok(()) } else { Err("held under no profile".into()) }
}
