//! The pattern in its smallest form: a program that runs one of its own functions in a fresh process of
//! itself.
//!
//! ```text
//! $ cargo run -q --example reexec
//! [4711] main start
//! [4712] init start
//! [4712] the child function: I am "child", my parent is 4711
//! [4711] main exit: exit status: 0
//! ```

use std::os::unix::process::parent_id;

/// Log lines go to standard error, with the process they come from.
fn log(line: &str) {
    eprintln!("[{}] {line}", std::process::id());
}

/// What runs in the new process, before anything else of the program.
fn child() {
    log("init start");
    child_function();
}
belljar::role!("child", child);

fn child_function() {
    let name = std::env::args().next().unwrap_or_default();
    log(&format!("the child function: I am {name:?}, my parent is {}", parent_id()));
}

fn main() -> Result<(), belljar::reexec::CommandError> {
    // In the new process this runs the role and does not return.
    belljar::init();

    log("main start");
    let status = belljar::reexec::command("child").status()?;
    log(&format!("main exit: {status}"));
    Ok(())
}
