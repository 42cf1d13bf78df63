//! Launching where something is missing.

mod common;

use std::process::Command;

use common::{copied, limited, program, text};

#[test]
fn where_clone3_is_refused() {
    let output =
        Command::new(program("test-roles")).args(["without-clone3", "echo", "hello"]).output().unwrap();
    assert_eq!(text(&output.stdout), "BODY echo hello\n", "{}", text(&output.stderr));
}

#[test]
fn with_the_standard_streams_closed() {
    let output = Command::new(program("test-roles")).args(["closed-streams", "streams"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn as_an_ordinary_user() {
    let (_directory, path) = copied("test-roles");
    for args in [["launch", "echo"], ["hide-proc", "echo"], ["without-clone3", "echo"]] {
        let output = limited(&path, 54303).args(args).output().unwrap();
        assert_eq!(text(&output.stdout), "BODY echo\n", "{args:?} {}", text(&output.stderr));
    }
}

/// The kernel reaps the child then, and its status is lost, but not what was wrong.
#[test]
fn with_sigchld_ignored() {
    use std::os::unix::process::CommandExt;
    let (_directory, path) = copied("test-no-init");
    let mut command = limited(&path, 54307);
    // SAFETY: a plain system call.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            Ok(())
        })
    };
    let output = command.arg("child").output().unwrap();
    assert!(text(&output.stdout).contains("EndedEarly { status: None }"), "{}", text(&output.stdout));
}

#[test]
fn at_the_process_limit() {
    use std::os::unix::process::CommandExt;
    let (_directory, path) = copied("test-roles");
    let mut command = limited(&path, 54304);
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
            if libc::setrlimit(libc::RLIMIT_NPROC, &limit) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        })
    };
    let output = command.args(["launch", "echo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(98));
    assert!(text(&output.stderr).contains("cannot create the child (clone3"), "{}", text(&output.stderr));
}

#[test]
fn by_a_service_that_has_dropped_root() {
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return; // nothing to drop
    }
    let (_directory, path) = copied("test-roles");
    let run = |dumpable| Command::new(&path).args(["as-nobody", dumpable, "echo", "x"]).output().unwrap();
    let output = run("dumpable");
    assert_eq!(text(&output.stdout), "BODY echo x\n", "{}", text(&output.stderr));
    // Its image cannot be seen by the child then: refused, with what to do about it.
    let output = run("not");
    assert_eq!(output.status.code(), Some(98));
    assert!(text(&output.stderr).contains("PR_SET_DUMPABLE"), "{}", text(&output.stderr));
}

/// A program that gains privileges takes no role from outside.
#[test]
fn with_a_set_user_id_image() {
    use std::os::unix::fs::PermissionsExt;
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return; // there is no other user to become
    }
    let (_directory, path) = copied("test-roles");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let output = limited(&path, 54306).args(["launch", "echo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(98), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("gains privileges"), "{}", text(&output.stderr));
}
