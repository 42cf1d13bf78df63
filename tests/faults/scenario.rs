//! The runs that are disturbed, and where.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{Read, Seek};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::groups::{Groups, Values};
use crate::injector::{self, Injection, Traced};

/// Who runs belljar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Root,
    User,
}

/// An id that no account of a distribution has.
const USER: u32 = 65_322;

/// What counts as a hang, under ptrace and on a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a process that was killed may take to be gone: the second that is allowed, and room for other
/// work.
const LINGER: Duration = Duration::from_secs(3);

/// A run of belljar.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    profile: &'static str,
    options: &'static [&'static str],
    rootfs: bool,
    role: bool,
    /// By a control group.
    limited: bool,
}

const LIMITS: &[&str] = &["--timeout", "60s", "--output-limit", "1MiB"];

pub const PROGRAM: Scenario = Scenario {
    name: "strict-program",
    profile: "strict",
    options: LIMITS,
    rootfs: false,
    role: false,
    limited: false,
};
pub const ROLE: Scenario = Scenario {
    name: "strict-role",
    profile: "strict",
    options: &[],
    rootfs: false,
    role: true,
    limited: false,
};
pub const STANDARD: Scenario = Scenario {
    name: "standard-program",
    profile: "standard",
    options: &[],
    rootfs: false,
    role: false,
    limited: false,
};
pub const OVERLAY: Scenario = Scenario {
    name: "container-overlay",
    profile: "container",
    options: &["--overlay-tmp"],
    rootfs: true,
    role: false,
    limited: false,
};
pub const READ_ONLY: Scenario = Scenario {
    name: "container-read-only",
    profile: "container",
    options: &["--set", "root.readonly=true"],
    rootfs: true,
    role: false,
    limited: false,
};
/// Without limits of its own.
pub const BARE: Scenario = Scenario {
    name: "bare-program",
    profile: "strict",
    options: &[],
    rootfs: false,
    role: false,
    limited: false,
};
pub const BARE_LITE: Scenario =
    Scenario { name: "bare-lite", profile: "lite", options: &[], rootfs: false, role: false, limited: false };
/// For an ordinary user: as root it is refused.
pub const LITE: Scenario = Scenario {
    name: "lite-program",
    profile: "lite",
    options: LIMITS,
    rootfs: false,
    role: false,
    limited: false,
};

/// With limits of a control group; the program stays long enough for them to be read.
pub const LIMITED: Scenario = Scenario {
    name: "limited-program",
    profile: "strict",
    options: &["--memory", "256MiB", "--pids", "40", "--cpus", "2", "--cpu-time", "60s"],
    rootfs: false,
    role: false,
    limited: true,
};

/// A directory with this program, and with what a run needs; one for each thread that runs some.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
    caller: Caller,
    groups: Option<Groups>,
}

impl Place {
    pub fn new(caller: Caller) -> Place {
        let dir = tempfile::Builder::new()
            .prefix("belljar-test-faults-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .expect("a directory");
        let own = std::env::current_exe().expect("this program's path");
        for name in ["belljar", "witness"] {
            // By another process: a descriptor that is open for writing here may be in another thread's child
            // just when the copy is executed (ETXTBSY).
            let copied =
                std::process::Command::new("cp").arg(&own).arg(dir.path().join(name)).status().expect("cp");
            assert!(copied.success(), "cannot copy {}", own.display());
        }
        for name in ["out", "bound", "root", "root/usr", "root/lib", "root/lib64", "root/tmp"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        if caller == Caller::User {
            for name in ["out", "bound", "root", "root/usr", "root/lib", "root/lib64", "root/tmp"] {
                chown(dir.path().join(name), Some(USER), Some(USER)).expect("to change the owner");
            }
        }
        Place { dir, caller, groups: None }
    }

    /// One for a scenario: with a control group if it is limited.
    pub fn for_scenario(caller: Caller, scenario: &Scenario) -> Place {
        let mut place = Place::new(caller);
        if scenario.limited {
            let user = (caller == Caller::User).then_some(USER);
            place.groups = Some(Groups::make(&place.mark(), user).expect("a control group"));
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn mark(&self) -> String {
        self.dir.path().file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// `belljar run` of a scenario; `task` is what the witness does, if not to testify.
    pub fn command(&self, scenario: &Scenario, more: &[&str], task: Option<&str>) -> Command {
        let mut arguments: Vec<OsString> = vec!["run".into(), "-p".into(), scenario.profile.into()];
        arguments.extend(["--report".into(), self.path("out/report").into()]);
        arguments.extend(scenario.options.iter().chain(more).map(OsString::from));
        if let Some(groups) = &self.groups {
            arguments.push(format!("--cgroup-parent=/{}", groups.name).into());
        }
        if !scenario.role {
            arguments.extend(["--ro-bind".into(), self.path("witness").into()]);
        }
        arguments.extend(["--bind".into(), self.path("bound").into()]);
        if scenario.rootfs {
            arguments.extend(["--rootfs".into(), self.path("root").into()]);
            for name in ["/usr", "/lib", "/lib64"] {
                if Path::new(name).exists() {
                    let real = std::fs::canonicalize(name).expect("a path");
                    arguments.extend(["--ro-bind".into(), format!("{}:{name}", real.display()).into()]);
                }
            }
        }
        if scenario.role {
            arguments.push("witness".into());
        } else {
            arguments.extend(["--".into(), self.path("witness").into()]);
        }
        arguments.extend(task.map(OsString::from));
        arguments.push(self.mark().into());
        let mut command = Command::new(self.path("belljar"));
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if self.caller == Caller::User {
            // std gives up the supplementary groups when root sets a uid.
            command.uid(USER).gid(USER);
        }
        command
    }

    /// Runs a scenario with one change.
    pub fn run(&self, scenario: &Scenario, injection: Option<&Injection>, record: bool) -> Run {
        let _ = std::fs::remove_file(self.path("out/report"));
        let (mut stdout, mut stderr) = (memory(), memory());
        let mut command = self.command(scenario, &[], scenario.limited.then_some("linger"));
        command.stdout(stdout.try_clone().expect("dup")).stderr(stderr.try_clone().expect("dup"));
        let (wait, hold) = std::io::pipe().expect("a pipe");
        if scenario.limited {
            command.stdin(wait);
        }
        let stop = AtomicBool::new(false);
        let (traced, limits) = std::thread::scope(|scope| {
            let watch = self.groups.as_ref().map(|groups| scope.spawn(|| groups.watch(hold.into(), &stop)));
            let traced = injector::run(command, injection, record, PATIENCE);
            stop.store(true, Ordering::Release);
            (traced, watch.map(|watch| watch.join().expect("a watch")))
        });
        let report = std::fs::read(self.path("out/report")).ok();
        let report = report.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let leftovers = self.gone_within(LINGER).err().unwrap_or_default();
        Run {
            stdout: all(&mut stdout),
            stderr: all(&mut stderr),
            report,
            limits,
            leftovers,
            mark: self.mark(),
            traced,
        }
    }

    /// Waits until nothing of a run is left, not even belljar itself (a process that only its parent keeps
    /// has no arguments).
    pub fn gone_within(&self, patience: Duration) -> Result<(), Vec<String>> {
        let began = std::time::Instant::now();
        loop {
            let left = self.leftovers();
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > patience {
                return Err(left);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What a run that has ended should not have left.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mark = self.mark();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.parse::<i32>().is_ok()
                && let Ok(bytes) = std::fs::read(entry.path().join("cmdline"))
                && String::from_utf8_lossy(&bytes).contains(&mark)
            {
                found.push(format!("process {name}: {}", String::from_utf8_lossy(&bytes).replace('\0', " ")));
            }
        }
        let groups = self.groups.iter().flat_map(Groups::children);
        found.extend(groups.map(|group| format!("control group {}", group.display())));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        found.extend(mounts.lines().filter(|line| line.contains(&mark)).map(|line| format!("mount {line}")));
        let files = |name: &str| -> BTreeSet<String> {
            let entries = std::fs::read_dir(self.path(name)).expect("our directory");
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        for (directory, expected) in [
            (".", &["belljar", "witness", "out", "bound", "root"][..]),
            ("out", &["report"]),
            ("bound", &[]),
            ("root", &["usr", "lib", "lib64", "tmp"]),
        ] {
            let known = |file: &&String| !expected.contains(&file.as_str());
            found
                .extend(files(directory).iter().filter(known).map(|file| format!("file {directory}/{file}")));
        }
        found
    }
}

fn memory() -> File {
    nix::sys::memfd::memfd_create(c"faults", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).expect("memfd").into()
}

fn all(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("seek");
    file.read_to_end(&mut bytes).expect("read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What one run gave.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub report: Option<serde_json::Value>,
    /// Of the task's control group, as its files had them while the task ran.
    pub limits: Option<Values>,
    pub leftovers: Vec<String>,
    /// What is in the names of the run's own files.
    pub mark: String,
    pub traced: Traced,
}
