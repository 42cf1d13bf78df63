//! A shared library that uses belljar, for another program to load.

use std::io::Write;

belljar::role!("in-a-library", || println!("BODY"));

/// Tries to run a role, whose arguments are a command, and writes what comes of it to a descriptor.
#[unsafe(no_mangle)]
pub extern "C" fn run_role(report: std::os::fd::RawFd) {
    use std::os::fd::FromRawFd;
    belljar::init();
    let outcome = belljar::reexec::command("in-a-library").args(["/bin/sh", "-c", "echo OUTSIDE"]).output();
    // SAFETY: the caller's, for this.
    let mut report = unsafe { std::fs::File::from_raw_fd(report) };
    let _ = write!(report, "{outcome:?}");
}
