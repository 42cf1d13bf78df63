//! The same limits through the library.

use std::time::Duration;

use belljar::{Ended, Error, Limits, Sandbox};
use libtest_mimic::Failed;

use crate::Check;
use crate::need::Need;
use crate::parent::{Parent, check};

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("limits_and_their_accounts", &[], accounts),
    ("each_limit_has_its_end", &[], ends),
    ("output_that_is_cut", &[], cut),
    ("a_limit_too_low_to_start_in_is_an_error", &[], too_low),
];

fn sandbox(parent: &Parent, limits: &Limits) -> Result<Sandbox, Failed> {
    let mut profile = Sandbox::new("strict")?.profile().clone();
    let parent = parent.option().trim_start_matches("--cgroup-parent=").to_owned();
    profile.change(|profile| profile.resources.cgroup_parent = Some(parent.into()))?;
    Ok(Sandbox::with_profile(profile).limited(limits)?)
}

fn accounts(parent: &Parent) -> Result<(), Failed> {
    let limits = Limits::new().memory(64 << 20).pids(20).cpus(1.5).cpu_time(Duration::from_secs(30));
    let output = sandbox(parent, &limits)?.command("echo").arg("hello").output()?;
    let outcome = &output.outcome;
    check(output.stdout == b"hello\n" && outcome.ended == Ended::Exit { code: 0 }, &output)?;
    let account = outcome.account.as_ref().ok_or("no account")?;
    check(account.limits.memory_bytes == Some(64 << 20) && account.limits.pids == Some(20), account)?;
    check(account.limits.cpus_thousandths == Some(1500), account)?;
    check(account.limits.cpu_time_ms == Some(30_000), account)?;
    check(account.usage.cpu_micros > Some(0) && account.events.oom_kills == Some(0), account)
}

fn ends(parent: &Parent) -> Result<(), Failed> {
    let run = |limits: Limits, script: &str| {
        let sandbox = sandbox(parent, &limits)?;
        Ok::<_, Failed>(sandbox.command("sh").args(["-c", script]).output()?.outcome)
    };
    let outcome = run(Limits::new().memory(48 << 20), "tail /dev/zero; sleep 50")?;
    let events = outcome.account.as_ref().and_then(|account| account.events.oom_kills);
    check(
        matches!(outcome.ended, Ended::MemoryLimit { limit, .. } if limit == 48 << 20) && events > Some(0),
        &outcome,
    )?;
    let outcome = run(Limits::new().pids(2), "for i in 1 2 3 4; do sleep 1 & done; wait; exit 9")?;
    check(matches!(outcome.ended, Ended::PidsLimit { limit: 2, .. }), &outcome)?;
    let outcome = run(Limits::new().cpu_time(Duration::from_millis(200)), "while :; do :; done")?;
    check(outcome.ended == Ended::CpuLimit { limit_ms: Some(200) }, &outcome)?;
    let outcome = run(Limits::new().timeout(Duration::from_millis(200)), "sleep 50")?;
    check(outcome.ended == Ended::Timeout { limit_ms: 200 }, &outcome)?;
    let outcome = run(Limits::new().output(10), "while :; do echo hello; done")?;
    check(outcome.ended == Ended::OutputLimit { limit: 10 }, &outcome)
}

fn cut(parent: &Parent) -> Result<(), Failed> {
    let sandbox = sandbox(parent, &Limits::new().output_truncated(10))?;
    let output = sandbox.command("sh").args(["-c", "echo 0123456789abc; exit 4"]).output()?;
    check(output.stdout == b"0123456789" && output.outcome.ended == Ended::Exit { code: 4 }, &output)?;
    check(output.outcome.output_discarded == Some(4), &output)
}

fn too_low(parent: &Parent) -> Result<(), Failed> {
    let long = "x".repeat(100_000);
    let sandbox = sandbox(parent, &Limits::new().memory(512 << 10))?;
    match sandbox.command("true").args([long.as_str(); 7]).output() {
        Err(Error::MemoryTooLow { limit }) => check(limit == 512 << 10, limit),
        other => Err(format!("{other:?}").into()),
    }
}
