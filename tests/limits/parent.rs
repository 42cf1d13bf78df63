//! A control group for one check, in every tree that belljar makes groups in; what is left in it is the
//! check's.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::caller::{self, Caller, Run};

/// The group, removed when it is dropped.
pub struct Parent {
    /// Whose it is.
    pub caller: Caller,
    name: String,
    dirs: Vec<PathBuf>,
    /// For reports and binds.
    pub directory: tempfile::TempDir,
}

/// Where the trees are: v1's by their controllers, and v2's if that has them.
fn trees() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let v1 = ["memory", "pids", "cpu", "cpuacct", "blkio"].map(|name| root.join(name));
    v1.into_iter().filter(|tree| tree.join("cgroup.procs").exists()).collect()
}

impl Parent {
    pub fn make(caller: Caller) -> Result<Parent, Failed> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("limits-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut parent = Parent { caller, name, dirs: Vec::new(), directory: caller::directory(caller) };
        for tree in trees() {
            let dir = tree.join(&parent.name);
            std::fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            parent.dirs.push(dir.clone());
            if tree.join("cgroup.controllers").exists() {
                std::fs::write(tree.join("cgroup.subtree_control"), "+memory +pids +cpu")
                    .map_err(|error| format!("{}: {error}", tree.display()))?;
                // Not every kernel has it; the checks of disks find out.
                std::fs::write(tree.join("cgroup.subtree_control"), "+io").ok();
            }
            for entry in ["", "cgroup.procs", "cgroup.subtree_control"] {
                let path = dir.join(entry);
                if path.exists() {
                    caller::give(caller, &path);
                }
            }
        }
        Ok(parent)
    }

    /// The options that make it the parent.
    pub fn option(&self) -> String {
        format!("--cgroup-parent=/{}", self.name)
    }

    /// `belljar run` below it.
    pub fn command(&self, options: &[&str], task: &[&str]) -> std::process::Command {
        let report = format!("--report={}", self.report_path().display());
        let parent = self.option();
        let all = ["run", &parent, &report].into_iter().chain(options.iter().copied());
        caller::belljar(self.caller, all.chain(["--"]).chain(task.iter().copied()))
    }

    fn report_path(&self) -> PathBuf {
        self.directory.path().join("report.json")
    }

    /// What the last run reported.
    pub fn report(&self) -> Result<Value, Failed> {
        let text = std::fs::read_to_string(self.report_path()).map_err(|error| error.to_string())?;
        let report = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        crate::verdicts::fits_schema(&report)?;
        Ok(report)
    }

    /// Runs it to its end.
    pub fn run(&self, options: &[&str], task: &[&str]) -> Result<(Run, Value), Failed> {
        let run = caller::finish(self.command(options, task));
        Ok((run, self.report()?))
    }

    /// The same, with a shell's script.
    pub fn shell(&self, options: &[&str], script: &str) -> Result<(Run, Value), Failed> {
        self.run(options, &["sh", "-c", script])
    }

    /// Starts it, without streams.
    pub fn start(&self, options: &[&str], task: &[&str]) -> Result<std::process::Child, Failed> {
        let mut command = self.command(options, task);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.spawn().map_err(|error| error.to_string())?)
    }

    /// The groups in it.
    pub fn children(&self) -> Vec<PathBuf> {
        let entries = self.dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// That nothing is left, now.
    pub fn is_empty(&self) -> Result<(), Failed> {
        self.empty_within(Duration::ZERO)
    }

    /// That nothing is left, soon.
    pub fn empty_within(&self, patience: Duration) -> Result<(), Failed> {
        let began = Instant::now();
        loop {
            let left = self.children();
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() >= patience {
                return Err(format!("left after {patience:?}: {left:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        for dir in self.children().iter().chain(&self.dirs) {
            // What a failed check left may be busy; it has been told of.
            std::fs::remove_dir(dir).ok();
        }
    }
}

/// Whether a group with limits can be had here.
pub fn available(caller: Caller) -> Result<(), String> {
    if caller == Caller::User && Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        // There a process can only be moved by who owns the group that it comes from.
        return Err("in v2 the user has to be in a group of its own (tests/vm)".to_owned());
    }
    let parent = Parent::make(caller).map_err(|failed| failed.message().unwrap_or_default().to_owned())?;
    let run = caller::run(caller, ["run", &parent.option(), "--memory=64M", "--pids=9", "--", "true"]);
    run.succeeded().map(drop)
}

/// A condition of a check, and what it was about.
pub fn check(holds: bool, about: impl std::fmt::Debug) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{about:#?}").into()) }
}
