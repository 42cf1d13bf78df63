//! Where no control group can be made: a true error, and the way out of it.

use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::Check;
use crate::caller;
use crate::need::Need;
use crate::parent::{Parent, check};

const TOOLS: &[Need] = &[Need::Program("unshare"), Need::Program("mount")];

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("control_groups_that_are_read_only", TOOLS, read_only),
    ("control_groups_that_are_not_mounted", TOOLS, not_mounted),
    ("a_dry_run_makes_nothing", &[], dry_run),
];

/// In a mount namespace of its own.
fn without(prepare: &str, options: &[&str]) -> caller::Run {
    let script = format!("set -e\n{prepare}\nexec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(caller::shelf().join("belljar"));
    command.arg("run").args(options).args(["--", "true"]).stdin(Stdio::null()).current_dir(caller::shelf());
    caller::as_caller(caller::Caller::Root, &mut command);
    caller::finish(command)
}

const READ_ONLY: &str = "for point in $(awk '$9 ~ /^cgroup/ || $10 ~ /^cgroup/ {print $5}' /proc/self/mountinfo); do \
                         mount -o remount,bind,ro \"$point\"; done";

fn read_only(parent: &Parent) -> Result<(), Failed> {
    let option = parent.option();
    for options in [&["--memory=64M"][..], &["--pids=9", &option], &["--pids=9", "--dry-run"]] {
        let run = without(READ_ONLY, options);
        let hints = ["EROFS", "\nhint: a control group must be yours", "\nhint: --limits=rlimit"];
        run.refused(125, &[&["cannot limit the sandbox by a control group"][..], &hints].concat())?;
    }
    // What needs none is not refused.
    without(READ_ONLY, &["--timeout=20s"]).succeeded()?;
    without(READ_ONLY, &["--memory=600M", "--limits=rlimit"]).succeeded()?;
    Ok(())
}

fn not_mounted(_: &Parent) -> Result<(), Failed> {
    let run = without("umount -R /sys/fs/cgroup", &["--memory=64M"]);
    run.refused(125, &["no control group tree with the controller memory is mounted", "\nhint: "])?;
    Ok(())
}

fn dry_run(parent: &Parent) -> Result<(), Failed> {
    let option = parent.option();
    let run =
        caller::run(parent.caller, ["run", "--dry-run", &option, "--memory=64M", "--cpus=1", "--", "true"]);
    let said = run.succeeded()?;
    let parents =
        said.lines().find(|line| line.contains("the control group can be made in")).ok_or("no note")?;
    check(parents.contains("/limits-test-"), said)?;
    parent.is_empty()?;
    let run = caller::run(
        parent.caller,
        ["run", "--dry-run", "--cgroup-parent=/no/such", "--pids=9", "--", "true"],
    );
    run.refused(125, &["/no/such", "is not a control group", "\nhint: "])?;
    Ok(())
}
