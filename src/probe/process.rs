//! The process itself and the others that it sees.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::RawFd;
use std::path::Path;

use serde::Serialize;

use crate::host::read;

/// The process and its surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Process {
    /// Its pid, as it sees it.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// Its session.
    pub session: Option<i32>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// The host's name.
    pub hostname: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Which of the descriptors 0 to 2 are terminals.
    pub terminals: Vec<RawFd>,
    /// Whether it has a controlling terminal.
    pub controlling_terminal: bool,
    /// All processes that `/proc` shows; `null` without `/proc`.
    pub visible: Option<Vec<Visible>>,
    /// Open descriptors and what they lead to.
    pub descriptors: BTreeMap<RawFd, String>,
    /// Names of the environment's variables; not their values.
    pub environment: Vec<String>,
    /// Resource limits by their OCI names.
    pub limits: BTreeMap<&'static str, Limit>,
}

/// A process that can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Visible {
    /// Its pid.
    pub pid: i32,
    /// Its name (`comm`).
    pub name: String,
}

/// A resource limit; `null` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// How far it may be raised.
    pub hard: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let names = nix::sys::utsname::uname().ok();
        let mut environment: Vec<_> =
            std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        environment.sort();
        let streams = [
            std::io::stdin().is_terminal(),
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
        ];
        Self {
            pid: nix::unistd::getpid().as_raw(),
            ppid: nix::unistd::getppid().as_raw(),
            session: nix::unistd::getsid(None).ok().map(nix::unistd::Pid::as_raw),
            cwd: std::env::current_dir().ok().map(|path| path.to_string_lossy().into_owned()),
            hostname: names.as_ref().map(|names| names.nodename().to_string_lossy().into_owned()),
            kernel: names.as_ref().map(|names| names.release().to_string_lossy().into_owned()),
            terminals: (0..).zip(streams).filter_map(|(fd, terminal)| terminal.then_some(fd)).collect(),
            controlling_terminal: read::text("/proc/self/stat").is_some_and(|stat| has_terminal(&stat)),
            visible: visible(),
            descriptors: descriptors(),
            environment,
            limits: limits(),
        }
    }
}

/// Field 7 of proc_pid_stat(5), after a name that may hold spaces and brackets.
fn has_terminal(stat: &str) -> bool {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(4).is_some_and(|terminal| terminal != "0")
}

fn visible() -> Option<Vec<Visible>> {
    let mut all: Vec<_> = std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some(Visible { pid, name: read::text(entry.path().join("comm")).unwrap_or_default() })
        })
        .collect();
    all.sort_by_key(|process| process.pid);
    Some(all)
}

/// By asking for each number: that needs no `/proc` and opens nothing of its own.
fn descriptors() -> BTreeMap<RawFd, String> {
    (0..1024)
        // SAFETY: any number may be asked about.
        .filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0)
        .map(|fd| {
            let link = std::fs::read_link(Path::new("/proc/self/fd").join(fd.to_string()));
            (fd, link.map_or_else(|_| "?".to_owned(), |target| target.to_string_lossy().into_owned()))
        })
        .collect()
}

fn limits() -> BTreeMap<&'static str, Limit> {
    use nix::sys::resource::{Resource, getrlimit};
    let finite = |value: libc::rlim_t| (value != libc::RLIM_INFINITY).then_some(value);
    [
        ("as", Resource::RLIMIT_AS),
        ("core", Resource::RLIMIT_CORE),
        ("cpu", Resource::RLIMIT_CPU),
        ("data", Resource::RLIMIT_DATA),
        ("fsize", Resource::RLIMIT_FSIZE),
        ("locks", Resource::RLIMIT_LOCKS),
        ("memlock", Resource::RLIMIT_MEMLOCK),
        ("msgqueue", Resource::RLIMIT_MSGQUEUE),
        ("nice", Resource::RLIMIT_NICE),
        ("nofile", Resource::RLIMIT_NOFILE),
        ("nproc", Resource::RLIMIT_NPROC),
        ("rss", Resource::RLIMIT_RSS),
        ("rtprio", Resource::RLIMIT_RTPRIO),
        ("rttime", Resource::RLIMIT_RTTIME),
        ("sigpending", Resource::RLIMIT_SIGPENDING),
        ("stack", Resource::RLIMIT_STACK),
    ]
    .into_iter()
    .filter_map(|(name, resource)| {
        let (soft, hard) = getrlimit(resource).ok()?;
        Some((name, Limit { soft: finite(soft), hard: finite(hard) }))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_found_behind_any_name() {
        assert!(has_terminal("7 (a) b (c) S 1 7 7 34816 7 0"));
        assert!(!has_terminal("7 (x) S 1 7 7 0 -1 0"));
        assert!(!has_terminal(""));
    }
}
