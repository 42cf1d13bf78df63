//! Namespaces that are there already and are joined.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::need::{Need, trial};

pub fn trials() -> Vec<Trial> {
    let needs = [Need::Root, Need::Program("unshare")];
    let mut trials =
        vec![trial("joined::what_is_no_such_namespace_is_refused as Root".to_owned(), &needs, no_such)];
    for who in [Caller::Root, Caller::User] {
        let name = format!("joined::each_kind_is_the_one_that_was_given as {who:?}");
        trials.push(trial(name, &needs, move || each_kind(who)));
    }
    trials.push(trial("joined::without_the_capability_it_is_refused as User".to_owned(), &needs, || {
        let run = with(Caller::User, "network", "/proc/self/ns/net", "", "");
        Ok(run.refused(125, &["/proc/self/ns/net", "CAP_SYS_ADMIN", "hint: "])?)
    }));
    trials.push(trial(
        "joined::a_thread_that_would_not_get_back_stays as User".to_owned(),
        &needs,
        no_way_back,
    ));
    trials
}

fn profile(kind: &str, path: &str) -> String {
    let without = if kind == "time" { "network" } else { kind };
    // The profile's host name would be the other's, too.
    format!(
        "extends = \"strict\"\nhostname = \"\"\nnamespaces = [\"-{without}\", {{ type = \"{kind}\", path = \"{path}\" }}]\n"
    )
}

/// Runs in a namespace of a kind that `path` stands for, after a script has had its turn.
/// A user is root of a user namespace then, with namespaces of their own (`own`: unshare(1)'s letters).
fn with(who: Caller, kind: &str, path: &str, own: &str, before: &str) -> Run {
    let directory = caller::directory(who);
    let file = directory.path().join("joined.toml");
    caller::file(who, &file, profile(kind, path));
    let file = file.display().to_string();
    let name = match kind {
        "network" => "net",
        other => other,
    };
    // The numbers inside, and those of the process that it is called by.
    let inside = format!("readlink /proc/self/ns/{name}");
    let mut command = Command::new("sh");
    let script = format!(
        "{before}\nreadlink /proc/self/ns/{name}\n\"$@\"; code=$?\nreadlink /proc/self/ns/{name}; exit $code"
    );
    command.args(["-ec", &script, "sh"]);
    command.arg(caller::shelf().join("belljar"));
    command.args(["run", "-p", &file, "--", "/bin/sh", "-c", &inside]).current_dir(directory.path());
    if who == Caller::User && !before.is_empty() {
        let rest = std::mem::replace(&mut command, Command::new("unshare"));
        command
            .arg(format!("-Ur{own}"))
            .arg(rest.get_program())
            .args(rest.get_args())
            .current_dir(directory.path());
    }
    caller::as_caller(who, &mut command);
    caller::finish(command)
}

fn each_kind(who: Caller) -> Result<(), Failed> {
    for (kind, name, flag) in
        [("network", "net", "n"), ("ipc", "ipc", "i"), ("uts", "uts", "u"), ("cgroup", "cgroup", "C")]
    {
        let directory = caller::directory(who);
        let path = directory.path().join("it").display().to_string();
        // Another process's, made for it, which ends with this shell's fifo.
        let before = format!(
            "cd {}; mkfifo hold told; unshare -{flag} sh -c 'echo $$ >told; cat hold' >/dev/null &\n\
             read other <told; trap 'echo >hold' EXIT; ln -s /proc/$other/ns/{name} it; readlink /proc/$other/ns/{name}",
            directory.path().display()
        );
        let run = with(who, kind, &path, flag, &before);
        let lines: Vec<&str> = run.succeeded()?.lines().collect();
        // The one given, the caller's own, the sandbox's, and the caller's own again.
        match lines[..] {
            [given, own, inside, again] if given == inside && own == again && own != given => {}
            _ => return Err(format!("{kind}: {run:?}").into()),
        }
    }
    Ok(())
}

/// A user's own namespaces, but one that the host's root owns: the calling thread would not get back.
fn no_way_back() -> Result<(), Failed> {
    let directory = caller::directory(Caller::User);
    let path = directory.path().join("it").display().to_string();
    let before = format!(
        "cd {}; mkfifo hold told; unshare -n sh -c 'echo $$ >told; cat hold' >/dev/null &\n\
         read other <told; trap 'echo >hold' EXIT; ln -s /proc/$other/ns/net it",
        directory.path().display()
    );
    let run = with(Caller::User, "network", &path, "", &before);
    let told = [&*path, "cannot come back into the caller's own", "EPERM", "hint: ", "unshare -Urn"];
    if run.stderr.contains("doctor") {
        return Err(format!("{run:?}").into());
    }
    Ok(run.refused(125, &told)?)
}

fn no_such() -> Result<(), Failed> {
    for (kind, path, words) in [
        ("network", "/proc/self/ns/uts", &["/proc/self/ns/uts", "another kind"][..]),
        ("network", "/dev/null", &["/dev/null", "no namespace"]),
        (
            "network",
            "/nonexistent",
            &["/nonexistent", "cannot be looked up", "hint: name a file of /proc/PID/ns"],
        ),
        ("time", "/proc/self/ns/time", &["time namespace", "always new"]),
    ] {
        let directory = caller::directory(Caller::Root);
        let file = directory.path().join("dry.toml");
        caller::file(Caller::Root, &file, profile(kind, path));
        let dry = ["run", "--dry-run", "-p", &file.display().to_string(), "--", "true"];
        caller::run(Caller::Root, dry).refused(125, words)?;
        let run = with(Caller::Root, kind, path, "", "");
        let said = words.iter().all(|word| run.stderr.contains(word));
        if run.code != Some(125) || !said || run.stdout.lines().count() > 2 {
            return Err(format!("{kind} {path} {words:?}: {run:?}").into());
        }
    }
    Ok(())
}
