//! Shared by the tests of `reexec`.
#![allow(dead_code)]

use std::path::PathBuf;
use std::process::Command;

/// The path of a test program or example. `cargo test` has built it; a run of a single test target may not
/// have.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = profile.join("examples").join(name);
    if !path.exists() {
        let example = name.trim_start_matches("lib").trim_end_matches(".so").replace('_', "-");
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", &example]).status();
        assert!(built.expect("cargo").success(), "cannot build {name}");
    }
    path
}

/// A copy that everybody may execute, in a directory that everybody may enter.
pub fn copied(name: &str) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let path = directory.path().join(name);
    // By another process: a descriptor that is open for writing here may be in another test's child just when
    // the copy is executed (ETXTBSY).
    let copied = Command::new("cp").arg(program(name)).arg(&path).status();
    assert!(copied.expect("cp").success());
    (directory, path)
}

/// A script that everybody may execute. By another process, as [`copied`].
pub fn script(path: &std::path::Path, text: &str) {
    let write = "printf '%s' \"$2\" >\"$1\" && chmod 755 \"$1\"";
    let written = Command::new("sh").args(["-c", write, "sh"]).arg(path).arg(text).status();
    assert!(written.expect("sh").success());
}

/// Sets `RLIMIT_NPROC` in a child that is about to execute a program.
fn set_nproc(limit: libc::rlim_t) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: a system call with a valid pointer.
    if unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) } == 0 {
        return Ok(());
    }
    Err(std::io::Error::last_os_error())
}

/// A limit under which an ordinary user's own processes, threads and session leave just room for another: the
/// limit counts all of his, also those that /proc does not show here.
fn in_use() -> libc::rlim_t {
    use std::os::unix::process::CommandExt;
    let fits = |limit: &libc::rlim_t| {
        let limit = *limit;
        let mut command = Command::new("sh");
        command.args(["-c", ": | :"]).stderr(std::process::Stdio::null());
        // SAFETY: a system call only.
        unsafe { command.pre_exec(move || set_nproc(limit)) };
        command.status().expect("sh").success()
    };
    (0..16).map(|power| 1 << power).find(fits).expect("room for a process")
}

/// Limits a command to a few processes, as a user for whom that limit holds (it does not for root).
pub fn limited(program: &std::path::Path, user: u32) -> Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: no preconditions.
    let others = if unsafe { libc::geteuid() } == 0 { 0 } else { in_use() };
    let mut command = Command::new(program);
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            set_nproc(others + 20)?;
            let root = libc::geteuid() == 0;
            let done = !root
                || (libc::setgroups(0, std::ptr::null()) == 0
                    && libc::setresgid(user, user, user) == 0
                    && libc::setresuid(user, user, user) == 0);
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
