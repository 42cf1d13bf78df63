//! The sandboxes that run on this host, found in `/proc`. No state is kept elsewhere.
//!
//! A sandbox's init is known by the name that it gives itself (a reserved role's, which no role of a program
//! can have) and by being PID 1 of a namespace; without namespaces by not being below another one. What runs
//! inside cannot look like one: its innermost number is another, and it is below its init. Any process
//! outside of sandboxes can, as its own user.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::cgroup::{Meter, Sample};
use crate::host::read;

/// The most that is kept of a command line, bytes: it is the sandbox's own to choose.
const COMMAND: usize = 4096;

/// A sandbox that runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Running {
    /// Its init.
    pub pid: i32,
    /// The process that started it; 0 if it is gone, or in a pid namespace outside.
    pub caller: i32,
    /// The user that this process has; where it is gone, that of init.
    pub uid: u32,
    /// How long it has been there.
    pub elapsed: Duration,
    /// The profile's name; `None` for a role, which has its arguments in this place.
    pub profile: Option<String>,
    /// What runs: the arguments that the task's process shows. The sandbox can make them anything: not for a
    /// terminal as they are.
    pub command: Vec<Vec<u8>>,
    /// What it uses, if it has a control group that can be read.
    pub usage: Option<Sample>,
}

/// What is read of each process.
#[derive(Debug)]
struct Process {
    name: String,
    parent: i32,
    uid: u32,
    /// Its number in the innermost pid namespace, and in how many it has one.
    inner: i32,
    depth: usize,
    zombie: bool,
}

/// All sandboxes that run and can be seen, by pid.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn running() -> std::io::Result<Vec<Running>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // It may have ended by now.
        if let Some(process) = read::text(format!("/proc/{pid}/status")).as_deref().and_then(process) {
            all.insert(pid, process);
        }
    }
    Ok(all.keys().copied().filter(|pid| is_init(*pid, &all)).map(|pid| describe(pid, &all)).collect())
}

fn process(status: &str) -> Option<Process> {
    let field = |key| read::field(status, key);
    let numbers = field("NSpid").unwrap_or_default();
    Some(Process {
        name: field("Name")?.to_owned(),
        parent: field("PPid")?.parse().ok()?,
        uid: field("Uid")?.split_ascii_whitespace().next()?.parse().ok()?,
        inner: numbers.split_ascii_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(0),
        depth: numbers.split_ascii_whitespace().count(),
        zombie: field("State")?.starts_with(['Z', 'X']),
    })
}

fn is_init(pid: i32, all: &BTreeMap<i32, Process>) -> bool {
    let named = |process: &Process| process.name == crate::init::ROLE && !process.zombie;
    let of_namespace = |process: &Process| named(process) && process.inner == 1 && process.depth > 1;
    let Some(process) = all.get(&pid) else { return false };
    if of_namespace(process) {
        return true;
    }
    // *Lite*: below no other; a role's process has its init's name.
    named(process) && process.depth <= 1 && ancestors(pid, all).all(|(_, above)| !named(above))
}

/// From the parent up. Ends even if the parents read from `/proc` form a circle.
fn ancestors(pid: i32, all: &BTreeMap<i32, Process>) -> impl Iterator<Item = (i32, &Process)> {
    let up = move |pid: &i32| all.get(pid).map(|process| process.parent);
    std::iter::successors(up(&pid), up).take(all.len()).filter_map(|pid| Some((pid, all.get(&pid)?)))
}

fn describe(pid: i32, all: &BTreeMap<i32, Process>) -> Running {
    let own = all.get(&pid);
    let caller = own.map_or(0, |process| process.parent);
    let uid = all.get(&caller).or(own).map_or(u32::MAX, |process| process.uid);
    let task =
        all.iter().find(|(_, process)| process.parent == pid && (process.depth <= 1 || process.inner == 2));
    let task = task.map(|(pid, _)| *pid);
    let mut arguments = arguments(pid);
    let profile = match arguments.first().map(Vec::as_slice) {
        Some(b"belljar-init") => arguments.get(1).map(|name| String::from_utf8_lossy(name).into_owned()),
        _ => None,
    };
    if profile.is_some() {
        arguments = task.map(self::arguments).unwrap_or_default();
    }
    Running {
        pid,
        caller,
        uid,
        elapsed: elapsed(pid).unwrap_or_default(),
        profile,
        command: arguments,
        usage: task.and_then(Meter::of_process).and_then(|meter| meter.read().ok()),
    }
}

fn arguments(pid: i32) -> Vec<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(COMMAND as u64).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if text.is_empty() { Vec::new() } else { text.split(|&b| b == 0).map(<[u8]>::to_vec).collect() }
}

/// Since its start, by the clock that runs through suspension (proc_pid_stat(5), field 22).
fn elapsed(pid: i32) -> Option<Duration> {
    let stat = read::text(format!("/proc/{pid}/stat"))?;
    // The name is in parentheses and may have any in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?.unsigned_abs().max(1);
    let began = Duration::from_millis(ticks.saturating_mul(1000) / second);
    Some(Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?).saturating_sub(began))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &[(i32, &str, i32, &str)]) -> BTreeMap<i32, Process> {
        let read = |(pid, name, parent, numbers): &(i32, &str, i32, &str)| {
            let status = format!(
                "Name:\t{name}\nState:\tS (sleeping)\nPPid:\t{parent}\nUid:\t7\t7\t7\t7\nNSpid:\t{numbers}\n"
            );
            Some((*pid, process(&status)?))
        };
        lines.iter().filter_map(read).collect()
    }

    #[test]
    fn an_init_is_told_from_what_looks_like_one() {
        let all = all(&[
            (1, "systemd", 0, "1"),
            (10, "belljar", 1, "10"),
            (11, "belljar:init", 10, "11 1"),
            // A role's process, and one that took the name.
            (12, "belljar:init", 11, "12 2"),
            (13, "belljar:init", 12, "13 9"),
            // Without namespaces; a role's process; one that took the name.
            (20, "belljar:init", 10, "20"),
            (21, "belljar:init", 20, "21"),
            (22, "sh", 20, "22"),
            (23, "belljar:init", 22, "23"),
            // One in a sandbox that may have some of its own.
            (30, "belljar:init", 12, "30 12 1"),
        ]);
        assert_eq!(all.len(), 10);
        let inits: Vec<i32> = all.keys().copied().filter(|pid| is_init(*pid, &all)).collect();
        assert_eq!(inits, [11, 20, 30]);
    }

    #[test]
    fn parents_in_a_circle_have_an_end() {
        let all = all(&[(5, "belljar:init", 6, "5"), (6, "sh", 5, "6")]);
        assert!(!is_init(6, &all) && !is_init(5, &all));
    }
}
