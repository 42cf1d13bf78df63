//! The runs that are disturbed, what each gives undisturbed, and what may come of a disturbed one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{Read, Seek};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::calls;
use crate::groups::{Groups, Values};
use crate::injector::{self, Call, Injection, Traced};
use crate::witness;

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

/// How long a process that was killed may take to be gone: the second that is allowed, and room for other work.
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

/// With limits of a control group; the program stays long enough for somebody to look at them.
pub const LIMITED: Scenario = Scenario {
    name: "limited-program",
    profile: "strict",
    options: &["--memory", "256MiB", "--pids", "40", "--cpus", "2", "--cpu-time", "60s"],
    rootfs: false,
    role: false,
    limited: true,
};

/// A folder with this program, and with what a run needs; one for each thread that runs some.
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
            .expect("a folder");
        let own = std::env::current_exe().expect("this program's path");
        for name in ["belljar", "witness"] {
            // By another process: a descriptor that is open for writing here may be in another thread's child just when the
            // copy is executed (ETXTBSY).
            let copied =
                std::process::Command::new("cp").arg(&own).arg(dir.path().join(name)).status().expect("cp");
            assert!(copied.success(), "cannot copy {}", own.display());
        }
        for name in ["out", "bound", "root", "root/usr", "root/lib", "root/lib64", "root/tmp"] {
            std::fs::create_dir(dir.path().join(name)).expect("a folder");
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

    /// Waits until nothing of a run is left, not even belljar itself (a process that only its parent keeps has no arguments).
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
            let entries = std::fs::read_dir(self.path(name)).expect("our folder");
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        for (folder, expected) in [
            (".", &["belljar", "witness", "out", "bound", "root"][..]),
            ("out", &["report"]),
            ("bound", &[]),
            ("root", &["usr", "lib", "lib64", "tmp"]),
        ] {
            let known = |file: &&String| !expected.contains(&file.as_str()) && !mount_point(folder, file);
            found.extend(files(folder).iter().filter(known).map(|file| format!("file {folder}/{file}")));
        }
        found
    }
}

/// A writable root of one's own keeps the mount points that were made in it.
fn mount_point(folder: &str, file: &str) -> bool {
    folder == "root" && ["proc", "dev", "etc"].contains(&file)
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
    limits: Option<Values>,
    pub leftovers: Vec<String>,
    /// What is in the names of the run's own files.
    pub mark: String,
    pub traced: Traced,
}

/// An undisturbed run.
#[derive(Debug)]
pub struct Baseline {
    pub calls: Vec<Call>,
    facts: BTreeMap<String, String>,
    protections: serde_json::Value,
    limits: Option<Values>,
    /// Calls of the dynamic linker, the C library and std, not of belljar.
    runtime: BTreeSet<(String, (i64, u64), usize)>,
    /// What each place is.
    pub names: BTreeMap<String, &'static str>,
}

impl Baseline {
    /// Runs a scenario undisturbed: everything has to be in order.
    pub fn of(place: &Place, scenario: &Scenario) -> Baseline {
        let run = place.run(scenario, None, true);
        assert!(run.leftovers.is_empty() && run.stderr.is_empty(), "{run:?}");
        let facts =
            facts(&run.stdout, &run.mark).unwrap_or_else(|| panic!("no word of the witness: {}", run.stdout));
        let protections = run.report.as_ref().and_then(|report| report.get("protections")).cloned();
        let protections = protections.unwrap_or_else(|| panic!("no report: {:?}", run.report));
        let mut names = BTreeMap::from([("caller".to_owned(), "caller")]);
        // The child that holds a user namespace executes nothing.
        let children = run.traced.calls.iter().filter(|call| call.place.matches('>').count() == 1);
        names.extend(children.map(|call| (call.place.clone(), "holder")));
        for (place, arguments) in
            run.traced.executed.iter().filter(|(place, _)| place.matches('>').count() == 1)
        {
            let name = match arguments.split(' ').next() {
                Some("belljar-keeper") => "keeper",
                _ => "init",
            };
            names.insert(place.clone(), name);
            if name == "init" {
                names.insert(format!("{place}>1"), "task");
            }
        }
        let mut calls = run.traced.calls;
        trim(&mut calls, &names);
        let runtime = runtime(&calls);
        Baseline { calls, facts, protections, limits: run.limits, runtime, names }
    }

    /// Where a process of the run is.
    pub fn place_of(&self, name: &str) -> String {
        self.names
            .iter()
            .find(|(_, other)| **other == name)
            .map(|(place, _)| place.clone())
            .unwrap_or_default()
    }

    pub fn name(&self, place: &str) -> String {
        let thread =
            place.split_once(".t").map(|(_, number)| format!(" (thread {number})")).unwrap_or_default();
        let process = place.split_once(".t").map_or(place, |(process, _)| process);
        format!("{}{thread}", self.names.get(process).copied().unwrap_or(process))
    }
}

/// What comes before the first thing that belljar does itself (to look at its standard streams), and what starts a thread.
fn runtime(calls: &[Call]) -> BTreeSet<(String, (i64, u64), usize)> {
    const THREAD: [i64; 6] = [
        libc::SYS_rseq,
        libc::SYS_set_robust_list,
        libc::SYS_sigaltstack,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_munmap,
    ];
    let mut main = false;
    let mut found = BTreeSet::new();
    for call in calls {
        let own = call.place == "caller";
        main |= own
            && call.number == libc::SYS_fcntl
            && call.args[0] == 0
            && call.args[1] == libc::F_GETFD as u64;
        // glibc ends the program where futex(2) gives what it does not know.
        if call.number == libc::SYS_futex
            || own && !main
            || call.place.starts_with("caller.t") && THREAD.contains(&call.number)
        {
            found.insert((call.place.clone(), calls::key(call), call.index));
        }
    }
    found
}

/// Of a task only what comes before its own code counts: up to the filter and the question after it for a role.
fn trim(calls: &mut Vec<Call>, names: &BTreeMap<String, &'static str>) {
    let task =
        names.iter().find(|(_, name)| **name == "task").map(|(place, _)| place.clone()).unwrap_or_default();
    let mut own = false;
    let mut after_filter = 0;
    calls.retain(|call| {
        if !call.place.starts_with(&task) {
            return true;
        }
        // The question after the filter, and for a program its execution, are the last.
        own = own || call.place != task || after_filter > 1;
        after_filter += usize::from(after_filter > 0 || call.number == libc::SYS_seccomp);
        !own
    });
    calls.retain(|call| {
        ![libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn].contains(&call.number)
    });
}

fn facts(text: &str, mark: &str) -> Option<BTreeMap<String, String>> {
    let complete = text.trim_end().ends_with(witness::END);
    complete.then(|| {
        text.replace(mark, "MARK")
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| match key.strip_prefix("namespace ") {
                Some(name)
                    if std::fs::read_link(format!("/proc/self/ns/{name}"))
                        .is_ok_and(|own| own.display().to_string() == value) =>
                {
                    (key.to_owned(), "the host's".to_owned())
                }
                Some(_) if value.contains('[') => (key.to_owned(), "new".to_owned()),
                _ => (key.to_owned(), value.to_owned()),
            })
            .collect()
    })
}

/// How a run ended, where that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The call was not made this time.
    NotReached,
    /// As undisturbed, all protections read back.
    Succeeded,
    /// 125, 126 or 127, and why; nothing untrusted ran.
    Refused,
    /// The program ran, with all protections; something failed after that, and belljar said so.
    ToldAfterwards,
    /// The dynamic linker, the C library or std ended belljar: one of their own calls failed, before `main` or at the start of
    /// a thread.
    RuntimeGaveUp,
    /// A signal ended belljar, as sent.
    Killed,
}

impl Baseline {
    /// Judges a run. `killed`: somebody was.
    pub fn judge(&self, run: &Run, killed: bool) -> Result<Verdict, String> {
        if run.traced.hung {
            return Err("it hung".to_owned());
        }
        if !run.leftovers.is_empty() {
            return Err(format!("left behind: {:?}", run.leftovers));
        }
        if run.stderr.contains("panicked at") {
            return Err("it panicked".to_owned());
        }
        let status = ExitStatus::from_raw(run.traced.status);
        let spoke = !run.stdout.is_empty();
        if spoke {
            self.protected(run, killed)?;
        }
        // The dynamic linker of the re-executed image may have said something before.
        let told = run.stderr.lines().any(|line| line.starts_with("belljar: "));
        match (status.code(), spoke) {
            _ if run.traced.hit.is_none() => Ok(Verdict::NotReached),
            (Some(0), true) => {
                let found = run.report.as_ref().and_then(|report| report.get("protections"));
                if found != Some(&self.protections) {
                    Err(format!("success, but the report says {found:?}"))
                } else if run.limits != self.limits {
                    Err(format!("success, but the limits are {:?} instead of {:?}", run.limits, self.limits))
                } else {
                    Ok(Verdict::Succeeded)
                }
            }
            (Some(0), false) => Err("success without the program's output".to_owned()),
            (Some(125..=127), false) if told => Ok(Verdict::Refused),
            (Some(125), true) if told => Ok(Verdict::ToldAfterwards),
            (Some(137), _) if killed => Ok(Verdict::Killed),
            (None, _) if killed && status.signal() == Some(libc::SIGKILL) => Ok(Verdict::Killed),
            // The task, if it ran, was protected, and is gone: all that was looked at already.
            (None | Some(127), _) if self.is_runtime(run) => Ok(Verdict::RuntimeGaveUp),
            _ => Err(format!("it ended with {status}")),
        }
    }

    fn is_runtime(&self, run: &Run) -> bool {
        run.traced
            .hit
            .as_ref()
            .is_some_and(|call| self.runtime.contains(&(call.place.clone(), calls::key(call), call.index)))
    }

    fn protected(&self, run: &Run, killed: bool) -> Result<(), String> {
        let Some(found) = facts(&run.stdout, &run.mark) else {
            return if killed { Ok(()) } else { Err(format!("the output is cut: {:?}", run.stdout)) };
        };
        let mut wrong = Vec::new();
        for key in self.facts.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            let (expected, found) = (self.facts.get(key), found.get(key));
            if key == "mounts"
                && let (Some(expected), Some(found)) = (expected, found)
            {
                let set = |text: &'_ str| text.split("; ").map(str::to_owned).collect::<BTreeSet<String>>();
                let (expected, found) = (set(expected), set(found));
                let (more, less) = (found.difference(&expected), expected.difference(&found));
                wrong.extend(more.map(|line| format!("there is the mount {line}")));
                wrong.extend(less.map(|line| format!("there is no mount {line}")));
                continue;
            }
            if expected != found {
                wrong.push(format!("{key} is {found:?} instead of {expected:?}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("the program ran, but {}", wrong.join("; "))) }
    }
}
