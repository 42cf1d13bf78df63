//! Capabilities that are kept undo no wall, each alone and all together, with the second layers off: what
//! holds then is the inner user namespace, or that the kernel asks for the capability in the initial one.

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// By number (capabilities(7)).
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Those that would undo a wall, had the task them in init's user namespace.
const INNER: [&str; 3] = ["SYS_PTRACE", "SYS_ADMIN", "SYS_BOOT"];

const NO_LANDLOCK: &str = "landlock.mode=off";
const NO_FILTER: &str = "seccomp.mode=off";

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let needs = [needs, &[Need::Program("python3")]].concat();
        for name in ALL {
            trials.push(trial(format!("kept::{name}_undoes_nothing as {caller:?}"), &needs, move || {
                undoes_nothing(caller, &[name], &[NO_LANDLOCK, NO_FILTER])
            }));
        }
        for (name, off) in [("landlock", NO_LANDLOCK), ("the_filter", NO_FILTER)] {
            trials.push(trial(
                format!("kept::all_undo_nothing_without_{name} as {caller:?}"),
                &needs,
                move || undoes_nothing(caller, &ALL, &[off]),
            ));
        }
        trials.push(trial(format!("kept::all_undo_nothing as {caller:?}"), &needs, move || {
            undoes_nothing(caller, &ALL, &[NO_LANDLOCK, NO_FILTER])
        }));
        trials.push(trial(
            format!("kept::they_are_good_for_what_is_the_tasks as {caller:?}"),
            &needs,
            move || good_for_its_own(caller),
        ));
        trials.push(trial(format!("kept::dry_run_tells_of_the_inner as {caller:?}"), &needs, move || {
            dry_run(caller)
        }));
    }
    trials
}

/// A run that keeps these, of the script with one argument.
fn run(caller: Caller, kept: &[&str], sets: &[&str], dry: bool, script: &str) -> Result<caller::Run, Failed> {
    let directory = caller::directory(caller);
    caller::file(caller, &directory.path().join("file"), "as it was");
    caller::file(caller, &directory.path().join("kept.py"), include_str!("kept.py"));
    let list: Vec<String> = kept.iter().map(|name| format!("\"CAP_{name}\"")).collect();
    let kept = format!("process.capabilities=[{}]", list.join(","));
    let bind = format!("{}:/ro", directory.path().display());
    let mut args = vec!["run", "-p", "standard", "--timeout=30s", "--set", &kept, "--ro-bind", &bind];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    if dry {
        args.push("--dry-run");
    }
    args.extend(["--", "python3", "/ro/kept.py", script]);
    let run = caller::run(caller, args);
    let file = std::fs::read_to_string(directory.path().join("file"))?;
    if file == "as it was" { Ok(run) } else { Err(format!("the read-only file was written: {run:?}").into()) }
}

fn undoes_nothing(caller: Caller, kept: &[&str], off: &[&str]) -> Result<(), Failed> {
    let run = run(caller, kept, off, false, "undo")?;
    if run.code == Some(0) && run.stdout == "done\n" { Ok(()) } else { Err(format!("{run:?}").into()) }
}

fn good_for_its_own(caller: Caller) -> Result<(), Failed> {
    for kept in [&ALL[..], &INNER, &["SYS_PTRACE", "NET_BIND_SERVICE", "NET_RAW"], &["NET_RAW"], &[]] {
        let run = run(caller, kept, &[NO_LANDLOCK, NO_FILTER], false, "own")?;
        if run.code != Some(0) || run.stdout != "done\n" {
            return Err(format!("{kept:?}: {run:?}").into());
        }
    }
    Ok(())
}

fn dry_run(caller: Caller) -> Result<(), Failed> {
    for name in ALL {
        let run = run(caller, &[name], &[], true, "undo")?;
        let told = run.stdout.contains("a user and mount namespace below init's");
        if run.code != Some(0) || told != INNER.contains(&name) {
            return Err(format!("{name}: {run:?}").into());
        }
    }
    Ok(())
}
