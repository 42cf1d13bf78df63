//! What a sandbox is shown of the host: the plan's answer is the run's, and what an earlier run did changes
//! neither.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (who, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let mut add = |name: &str, check: fn(Caller) -> Result<(), Failed>| {
            let needs = [needs, &[Need::Program("unshare"), Need::Program("mount")]].concat();
            trials.push(trial(format!("sources::{name} as {who:?}"), &needs, move || check(who)));
        };
        add("what_the_host_does_not_execute_is_refused", what_the_host_does_not_execute_is_refused);
        if who == Caller::User {
            add("a_third_overlay_is_refused_by_its_name", a_third_overlay_is_refused_by_its_name);
        }
        add("no_run_chooses_the_next_ones_mounts", no_run_chooses_the_next_ones_mounts);
    }
    trials
}

/// `belljar` with arguments where a script was run before, in a mount namespace of its own.
fn after(who: Caller, script: &str, directory: &Path, args: &[&str]) -> Run {
    let mut command = Command::new("unshare");
    if who == Caller::User {
        command.arg("-Ur");
    }
    command.args(["--mount", "sh", "-ec", &format!("{script}\nexec \"$@\""), "sh"]);
    command.arg(caller::shelf().join("belljar")).args(args).current_dir(directory);
    caller::as_caller(who, &mut command);
    caller::finish(command)
}

/// The host's own mount is `noexec`: a program on it, a script's interpreter.
fn what_the_host_does_not_execute_is_refused(who: Caller) -> Result<(), Failed> {
    let directory = caller::directory(who);
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("shut"))?;
    let program = |path: &Path, text: &[u8]| {
        caller::file(who, path, text);
        std::fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    program(&at("shut/true"), &std::fs::read("/usr/bin/true")?)?;
    program(&at("shut/script"), b"#!/bin/sh\n")?;
    program(&at("open"), format!("#!{}\n", at("shut/true").display()).as_bytes())?;
    let shut = "mount --bind shut shut; mount -o remount,bind,noexec shut";
    let bind = format!("--ro-bind={}", directory.path().display());
    for profile in ["strict", "lite"] {
        for name in ["shut/true", "shut/script", "open"] {
            let program = at(name).display().to_string();
            for dry in [&["--dry-run"][..], &[]] {
                let args = [&["run", "-p", profile, &bind], dry, &["--", &program]].concat();
                let plain = after(who, "", directory.path(), &args);
                if plain.code != Some(0) {
                    return Err(format!("{profile} {name}: {plain:?}").into());
                }
                let refused = after(who, shut, directory.path(), &args);
                refused
                    .refused(126, &["where that is on a mount that is noexec", "hint: "])
                    .map_err(|error| format!("{profile} {name} {dry:?}: {error}"))?;
            }
        }
    }
    Ok(())
}

/// Overlays over each other: two are the most. As root none is laid over another at all, for want of id maps.
fn a_third_overlay_is_refused_by_its_name(who: Caller) -> Result<(), Failed> {
    let directory = caller::directory(who);
    let layer = |name: &str, over: &str| {
        format!(
            "mkdir {name}up {name}work {name}\n\
             mount -t overlay -o userxattr,lowerdir={over},upperdir={name}up,workdir={name}work x {name}\n"
        )
    };
    let spare = "mkdir spare\nmount -t tmpfs x spare\ncd spare\nmkdir -p root/proc root/dev root/tmp root/usr\n\
                 ln -s usr/bin usr/lib usr/lib64 root\n";
    let args = |root: &'static str| {
        ["run", "-p", "container", "--overlay-tmp", "--ro-bind=/usr", "--rootfs", root, "--", "/usr/bin/true"]
    };
    let one = format!("{spare}{}", layer("one", "root"));
    let run = after(who, &one, directory.path(), &args("one"));
    if run.code != Some(0) {
        return Err(format!("over one overlay: {run:?}").into());
    }
    std::fs::remove_dir(directory.path().join("spare"))?;
    let run = after(who, &format!("{one}{}", layer("two", "one")), directory.path(), &args("two"));
    Ok(run.refused(125, &["spare/two", "is on an overlay over an overlay", "hint: copy it"])?)
}

/// An optional mount is missing where the task could make its source.
fn no_run_chooses_the_next_ones_mounts(who: Caller) -> Result<(), Failed> {
    let directory = caller::directory(who);
    let at = |name: &str| directory.path().join(name).display().to_string();
    let project = at("project");
    std::fs::create_dir(&project)?;
    caller::give(who, project.as_ref());
    for (name, base, destination) in
        [("strict", "strict", "/hooks"), ("same", "strict", ""), ("lite", "lite", "")]
    {
        let source = format!("{project}/hooks");
        let destination = if destination.is_empty() { &source } else { destination };
        let text = format!(
            "extends = {base:?}\n[[mounts]]\ndestination = {project:?}\noptions = [\"rw\"]\n\
             [[mounts]]\nsource = {source:?}\ndestination = {destination:?}\noptions = [\"ro\", \"optional\"]\n"
        );
        let profile = at(&format!("{name}.toml"));
        caller::file(who, profile.as_ref(), text);
        for dry in [&["--dry-run"][..], &[]] {
            let run = ["run", "-p", &profile].into_iter().chain(dry.iter().copied());
            let touch = ["--", "/usr/bin/mkdir", &source];
            caller::run(who, run.chain(touch))
                .refused(125, &["it does not exist, and the task could make it"])?;
            if std::fs::exists(&source)? {
                return Err(format!("{name}: the task ran").into());
            }
        }
    }
    Ok(())
}
