//! Networks of several sandboxes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use libtest_mimic::Failed;

use crate::Entry;
use crate::caller::{self, Caller};
use crate::need::Need;

pub const CHECKS: &[Entry] = &[(
    "two_sandboxes_do_not_share_a_loopback",
    &[Need::Program("python3")],
    two_sandboxes_do_not_share_a_loopback,
)];

/// N6: one sandbox listens on its loopback, another one looks for it on its own.
fn two_sandboxes_do_not_share_a_loopback(caller: Caller) -> Result<(), Failed> {
    const LISTEN: &str = "
import socket, sys
s = socket.create_server(('127.0.0.1', 7117))
print('ready', flush=True)
sys.stdin.read()
";
    const CONNECT: &str = "
import socket
s = socket.socket()
print(s.connect_ex(('127.0.0.1', 7117)))
";
    let python = |script| ["run", "-p", "standard", "--", "/usr/bin/python3", "-c", script];
    let mut listener = caller::belljar(caller, python(LISTEN));
    listener.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut listener = listener.spawn().map_err(|error| error.to_string())?;
    let mut line = String::new();
    let stdout = listener.stdout.take().ok_or("no pipe")?;
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let run = caller::run(caller, python(CONNECT));
    drop(listener.stdin.take());
    let status = listener.wait().map_err(|error| error.to_string())?;
    if line != "ready\n" || !status.success() {
        return Err(format!("the listener: {line:?}, {status}").into());
    }
    // ECONNREFUSED
    if run.succeeded()? == "111\n" { Ok(()) } else { Err(format!("{run:#?}").into()) }
}
