//! Runs the built `belljar` as root or as an unprivileged user, with a time limit, and looks at what it
//! leaves behind.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Who runs belljar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// uid 0
    Root,
    /// An ordinary user without groups.
    User,
}

/// An id that no account of a distribution has.
pub const USER: u32 = 65_321;

/// How long one run may take before it counts as a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run of belljar gave.
pub struct Run {
    /// Its exit code; `None` when a signal ended belljar itself.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// The same, byte for byte.
    pub bytes: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

/// A directory that both callers can reach, with a copy of the program (the build directory may be closed to
/// others).
pub fn shelf() -> &'static Path {
    static SHELF: OnceLock<PathBuf> = OnceLock::new();
    SHELF.get_or_init(|| {
        let dir = tempfile::Builder::new()
            .prefix("belljar-test-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .expect("a directory for the tests")
            .keep();
        copy_program(Path::new(env!("CARGO_BIN_EXE_belljar")), &dir.join("belljar"));
        copy_program(&std::env::current_exe().expect("this program's path"), &dir.join("end_to_end"));
        dir
    })
}

/// By another process: a descriptor that is open for writing here may be in another check's child just when
/// the copy is executed (ETXTBSY).
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status().expect("cp");
    assert!(copied.success(), "cannot copy {}", from.display());
}

/// Removes the directory; for the end of the tests.
pub fn clear_shelf() {
    std::fs::remove_dir_all(shelf()).expect("to remove the tests' directory");
}

/// A directory of the caller's own, removed when it is dropped.
pub fn directory(caller: Caller) -> tempfile::TempDir {
    let dir = tempfile::Builder::new()
        .prefix("case-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(shelf())
        .expect("a directory");
    give(caller, dir.path());
    dir
}

/// Makes the caller the owner of a file.
pub fn give(caller: Caller, path: &Path) {
    if caller == Caller::User && nix::unistd::geteuid().is_root() {
        std::os::unix::fs::lchown(path, Some(USER), Some(USER)).expect("to change the owner");
    }
}

/// Writes a file that belongs to the caller.
pub fn file(caller: Caller, path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).expect("to write a file");
    give(caller, path);
}

/// `belljar` with arguments, as the caller, with a small environment.
pub fn belljar<S: AsRef<OsStr>>(caller: Caller, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(shelf().join("belljar"));
    command.args(args).stdin(Stdio::null()).current_dir(shelf());
    as_caller(caller, &mut command);
    command
}

/// Makes a command run as the caller.
pub fn as_caller(caller: Caller, command: &mut Command) {
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", "/nonexistent");
    if caller == Caller::User && nix::unistd::geteuid().is_root() {
        // std gives up the supplementary groups when root sets a uid.
        command.uid(USER).gid(USER);
    }
}

/// Runs a command to its end and gives what it wrote.
pub fn finish(mut command: Command) -> Run {
    let began = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("to read its output");
            bytes
        })
    };
    let stdout = read(Box::new(child.stdout.take().expect("piped")));
    let stderr = read(Box::new(child.stderr.take().expect("piped")));
    let status = loop {
        if let Some(status) = child.try_wait().expect("to wait") {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().expect("to kill a hanging belljar");
            let status = child.wait().expect("to wait");
            panic!("{command:?} hung: {status}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let bytes = stdout.join().expect("its output");
    let stderr = stderr.join().expect("its output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: status.code(), stdout: text(&bytes), bytes, stderr: text(&stderr) }
}

/// `belljar` with arguments, to its end.
pub fn run<S: AsRef<OsStr>>(caller: Caller, args: impl IntoIterator<Item = S>) -> Run {
    finish(belljar(caller, args))
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { code, stdout, stderr, .. } = self;
        f.debug_struct("Run").field("code", code).field("stdout", stdout).field("stderr", stderr).finish()
    }
}

impl Run {
    /// Exit code 0 and nothing on standard error; gives standard output.
    pub fn succeeded(&self) -> Result<&str, String> {
        if self.code == Some(0) && self.stderr.is_empty() {
            Ok(&self.stdout)
        } else {
            Err(format!("{self:#?}"))
        }
    }

    /// This exit code, and a message that has all of the words.
    pub fn refused(&self, code: i32, words: &[&str]) -> Result<(), String> {
        let said = words.iter().all(|word| self.stderr.contains(word));
        if self.code == Some(code) && said && self.stderr.starts_with("belljar: ") {
            return Ok(());
        }
        Err(format!("expected exit code {code} and {words:?}, got {self:#?}"))
    }
}
