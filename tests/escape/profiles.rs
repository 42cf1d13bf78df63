//! The command line and profiles.

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};

pub const CHECKS: &[Entry] = &[
    ("home_decides_over_no_builtin_profile", &[], home_decides_over_no_builtin_profile),
    ("messages_have_no_control_characters", &[], messages_have_no_control_characters),
    ("what_cannot_be_had_is_not_run", &[], what_cannot_be_had_is_not_run),
    ("a_run_keeps_the_profile_that_it_started_with", &[], a_run_keeps_the_profile_that_it_started_with),
];

/// A directory that `HOME` leads to cannot take the place of a built-in profile.
fn home_decides_over_no_builtin_profile(caller: Caller) -> Result<(), Failed> {
    let home = caller::directory(caller);
    let mut directory = home.path().to_owned();
    for name in [".config", "belljar", "profiles"] {
        directory.push(name);
        std::fs::create_dir(&directory)?;
        caller::give(caller, &directory);
    }
    let open = "extends = \"standard\"\ndescription = \"x\"\n[process]\nenv = [\"TAKEN=1\"]\n";
    for name in ["strict.toml", "mine.toml"] {
        caller::file(caller, &directory.join(name), open);
    }
    let run = |profile: &str| {
        let mut command = caller::belljar(caller, ["run", "-p", profile, "--", "sh", "-c", "echo $TAKEN"]);
        command.env("HOME", home.path()).current_dir(home.path());
        caller::finish(command)
    };
    let (builtin, own) = (run("strict"), run("mine"));
    if builtin.succeeded()? != "\n" || own.succeeded()? != "1\n" {
        return Err(format!("{builtin:#?} {own:#?}").into());
    }
    Ok(())
}

/// Names that carry escape sequences do not reach the terminal as such.
fn messages_have_no_control_characters(caller: Caller) -> Result<(), Failed> {
    const NAME: &str = "a\u{1b}[31m\u{7}\r\nb\u{9b}c";
    let cases: [&[&str]; 6] = [
        &["run", "--", NAME],
        &["run", NAME],
        &["run", "-p", NAME, "--", "true"],
        &["run", "--ro-bind", NAME, "--", "true"],
        &["run", "--set", NAME, "--", "true"],
        &["run", "--hostname", NAME, "--", "true"],
    ];
    for args in cases {
        let run = caller::run(caller, args);
        let clean = run.stderr.chars().all(|c| c == '\n' || !c.is_control());
        if run.stderr.is_empty() || !clean || run.code == Some(0) {
            return Err(format!("{args:?}: {run:#?}").into());
        }
    }
    Ok(())
}

/// Where a wall cannot be had, the program does not run: namespaces without room for them, and lite as root.
fn what_cannot_be_had_is_not_run(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let marker = directory.path().join("ran");
    let bind = directory.path().to_str().ok_or("not UTF-8")?.to_owned();
    let touch = marker.to_str().ok_or("not UTF-8")?;
    // In a user namespace that allows no further one.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("unshare");
    caller::as_caller(caller, &mut command);
    command.args(["-Ur", "sh", "-c", script]).arg(caller::shelf().join("belljar"));
    command.args(["run", "--bind", &bind, "--", "touch", touch]);
    let run = caller::finish(command);
    if run.code != Some(125) || marker.exists() {
        return Err(format!("{run:#?}").into());
    }
    // The same, allowed.
    let run = caller::run(caller, ["run", "--bind", &bind, "--", "touch", touch]);
    if run.code != Some(0) || !marker.exists() {
        return Err(format!("the control: {run:#?}").into());
    }
    Ok(())
}

/// A profile that its own run can write to does not change the run.
fn a_run_keeps_the_profile_that_it_started_with(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let profile = directory.path().join("own.toml");
    let strict = "extends = \"strict\"\ndescription = \"x\"\nworkdir = \"writable\"\n";
    caller::file(caller, &profile, strict);
    let script = "printf 'extends = \"strict\"\\nnamespaces = [\"-network\"]\\n' >own.toml; sleep 0.2; \
                  ls -1 /sys 2>/dev/null; cat /proc/net/dev 2>/dev/null | grep -c :; unshare -Ur true 2>/dev/null && echo user; true";
    let path = profile.to_str().ok_or("not UTF-8")?;
    let mut command = caller::belljar(caller, ["run", "-p", path, "--", "sh", "-c", script]);
    command.current_dir(directory.path());
    let run = caller::finish(command);
    let after = std::fs::read_to_string(&profile)?;
    if !after.contains("-network") {
        return Err(format!("the profile was not changed: {run:#?}").into());
    }
    // No interface but lo, or no /proc/net at all.
    if run.code != Some(0) || run.stdout.contains("user") || !["0\n", "1\n"].contains(&run.stdout.as_str()) {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}
