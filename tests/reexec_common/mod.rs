//! Shared by the tests of `reexec`.
#![allow(dead_code)]

use std::path::PathBuf;
use std::process::Command;

/// The path of a test program or example. `cargo test` has built it; a run of a single test target may not have.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = profile.join("examples").join(name);
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).status();
        assert!(built.expect("cargo").success(), "cannot build {name}");
    }
    path
}

/// A copy that everybody may execute, in a folder that everybody may enter.
pub fn copied(name: &str) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let path = folder.path().join(name);
    // By another process: a descriptor that is open for writing here may be in another test's child just when the copy is
    // executed (ETXTBSY).
    let copied = Command::new("cp").arg(program(name)).arg(&path).status();
    assert!(copied.expect("cp").success());
    (folder, path)
}

/// Limits a command to a few processes, as somebody for whom that limit holds (it does not for root).
pub fn limited(program: &std::path::Path, user: u32) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: 20, rlim_max: 20 };
            let root = libc::geteuid() == 0;
            let done = libc::setrlimit(libc::RLIMIT_NPROC, &limit) == 0
                && (!root
                    || (libc::setgroups(0, std::ptr::null()) == 0
                        && libc::setresgid(user, user, user) == 0
                        && libc::setresuid(user, user, user) == 0));
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
