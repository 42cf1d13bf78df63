//! `/dev/stdin`, `/dev/stdout` and `/dev/stderr`: what scripts expect of them, and no more than the
//! descriptor gives.

use std::fs::File;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};

/// Each case, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for profile in ["strict", "standard", "build", "network"] {
            trials.push(trial(
                format!("streams::pipes_can_be_opened_again under {profile} as {caller:?}"),
                needs,
                move || pipes(caller, profile),
            ));
        }
        trials.push(trial(format!("streams::input_stays_read_only as {caller:?}"), needs, move || {
            input_stays_read_only(caller)
        }));
    }
    // As root the sandbox has another id than the file's owner, and files stay whose they are.
    trials.push(trial("streams::files_can_be_opened_again as User".to_owned(), &[], files));
    trials
}

/// The pipes are the caller's, as in a shell's pipeline.
fn pipes(caller: Caller, profile: &str) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let script = format!(
        "echo in | {} run -p {profile} -- sh -c 'cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr' 2>&1 | cat",
        caller::shelf().join("belljar").display()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(directory.path());
    caller::as_caller(caller, &mut command);
    let run = caller::finish(command);
    if run.code == Some(0) && run.stdout == "in\nout\nerr\n" {
        Ok(())
    } else {
        Err(format!("{run:#?}").into())
    }
}

fn files() -> Result<(), Failed> {
    let directory = caller::directory(Caller::User);
    let path = |name: &str| directory.path().join(name);
    caller::file(Caller::User, &path("in"), "in\n");
    caller::file(Caller::User, &path("out"), "");
    let script = "cat /dev/stdin >/dev/stdout; cat </dev/stdout 2>/dev/null; echo $?";
    let mut command = caller::belljar(Caller::User, ["run", "--", "sh", "-c", script]);
    let open = |file: std::io::Result<File>| file.map_err(|error| error.to_string());
    command.stdin(open(File::open(path("in")))?);
    command.stdout(open(File::options().append(true).open(path("out")))?);
    let status = command.status().map_err(|error| error.to_string())?;
    let out = std::fs::read_to_string(path("out")).map_err(|error| error.to_string())?;
    // Written through the name, not read: it was opened for writing only.
    if status.success() && out == "in\n2\n" { Ok(()) } else { Err(format!("{status}: {out:?}").into()) }
}

/// A descriptor that is open for reading does not turn into one for writing, though the file's mode would
/// allow it.
fn input_stays_read_only(caller: Caller) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;
    let directory = caller::directory(caller);
    let path = directory.path().join("in");
    caller::file(caller, &path, "whole\n");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).map_err(|error| error.to_string())?;
    let script = "for p in /dev/stdin /proc/self/fd/0; do (echo x >>$p) 2>/dev/null && echo appended; \
                  (: >$p) 2>/dev/null && echo cut; done; cat /dev/stdin";
    let mut command = caller::belljar(caller, ["run", "--", "sh", "-c", script]);
    command.stdin(File::open(&path).map_err(|error| error.to_string())?);
    let run = caller::finish(command);
    let after = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    if run.stdout == "whole\n" && after == "whole\n" {
        Ok(())
    } else {
        Err(format!("{after:?} {run:#?}").into())
    }
}
