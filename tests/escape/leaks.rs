//! What must not get out of a run, or from one into the next.

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};

pub const CHECKS: &[Entry] = &[
    ("messages_name_no_secret", &[], messages_name_no_secret),
    ("nothing_of_an_earlier_run", &[], nothing_of_an_earlier_run),
];

/// Neither the log nor an error shows the value of a variable or the content of a file.
fn messages_name_no_secret(caller: Caller) -> Result<(), Failed> {
    const SECRET: &str = "correct-horse-battery";
    let directory = caller::directory(caller);
    let file = directory.path().join("file");
    caller::file(caller, &file, format!("extends = \"strict\"\n[process]\nenv = [\"TOKEN={SECRET}\"]\n"));
    let path = file.to_str().ok_or("not UTF-8")?;
    let value = format!("TOKEN={SECRET}");
    let cases: [&[&str]; 5] = [
        &["-vvv", "run", "-e", "CALLERS", "--", "true"],
        &["-vvv", "run", "-e", &value, "--", "no-such-program"],
        &["-vvv", "run", "-p", path, "--", "true"],
        &["-vvv", "run", "-e", &value, "--set", "no.such.key=1", "--", "true"],
        &["-vvv", "run", "-e", &value, "--ro-bind", "/no/such/file", "--", "true"],
    ];
    for args in cases {
        let mut command = caller::belljar(caller, args);
        command.env("CALLERS", SECRET);
        let run = caller::finish(command);
        if run.stderr.is_empty() || run.stderr.contains(SECRET) || run.stdout.contains(SECRET) {
            return Err(format!("{args:?}: {run:#?}").into());
        }
    }
    Ok(())
}

/// What one run writes, no other finds.
fn nothing_of_an_earlier_run(caller: Caller) -> Result<(), Failed> {
    let places = ["/tmp", "/dev/shm", "/dev/mqueue"];
    for profile in ["strict", "standard"] {
        let shell = |script: String| caller::run(caller, ["run", "-p", profile, "--", "sh", "-c", &script]);
        let write = places
            .map(|place| format!("(echo x >{place}/left-behind) 2>/dev/null && echo {place};"))
            .concat();
        let first = shell(format!("{write} true"));
        if !first.succeeded()?.contains("/tmp\n/dev/shm\n") {
            return Err(format!("nothing was written: {first:#?}").into());
        }
        let list = places.map(|place| format!("ls {place}/left-behind 2>/dev/null;")).concat();
        let second = shell(format!("{list} true"));
        if !second.succeeded()?.is_empty() {
            return Err(format!("{second:#?}").into());
        }
    }
    Ok(())
}
