//! The program: found as the sandbox will see it, and looked at closely enough to say why it would not start.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::elf::{self, Elf};
use crate::host::plain::{self, PlainPath, PlainPathBuf};
use crate::host::{Facts, FileKind};
use crate::plan::error::PlanError;
use crate::plan::error::ProgramProblem;
use crate::plan::model::{HostIdentity, Identity, Mapped};
use crate::plan::paths::landlock::access::EXECUTE;
use crate::plan::paths::landlock::{Rules, granted};
use crate::plan::paths::view::{Found, HostFile, Stop, View};
use crate::plan::show::text::shown;

/// `PATH` where the sandbox has none: what `execvp(3)` uses.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Interpreters of interpreters that the kernel follows (`execve(2)`).
const MAX_INTERPRETERS: usize = 4;
/// `BINPRM_BUF_SIZE`: how much of a script's first line the kernel reads.
const FIRST_LINE: usize = 256;

/// What the search goes by.
pub(crate) struct Search<'a> {
    pub view: View<'a>,
    /// In *lite*: what may be executed. Everything that the view shows, otherwise.
    pub rules: Option<&'a Rules>,
    pub identity: &'a Identity,
    pub facts: &'a Facts,
    /// `PATH` inside.
    pub path: Option<&'a OsStr>,
    /// Working directory inside.
    pub cwd: &'a Path,
    pub caller_env: &'a BTreeMap<OsString, OsString>,
}

impl Search<'_> {
    /// The program's absolute path inside.
    pub fn program(&self, name: &OsStr) -> Result<PathBuf, PlanError> {
        self.find(name).map_err(|problem| PlanError::Program { program: shown(name), problem })
    }

    fn find(&self, name: &OsStr) -> Result<PathBuf, ProgramProblem> {
        if name.is_empty() {
            return Err(ProgramProblem::Empty);
        }
        if name.as_bytes().contains(&0) {
            return Err(ProgramProblem::Nul);
        }
        if name.as_bytes().contains(&b'/') {
            let path = self.cwd.join(name);
            return match self.examine(&path, 0) {
                Ok(()) => Ok(path),
                Err(ProgramProblem::NotFound { .. }) => Err(self.outside_by_path(name, &path)),
                Err(problem) => Err(problem),
            };
        }
        let mut first = None;
        match self.search(name, &mut first) {
            Some(path) => Ok(path),
            None => Err(first.unwrap_or_else(|| self.outside_by_name(name))),
        }
    }

    /// Goes through `PATH`, as `execvp(3)` does; `first` is what stood in the way of the first one found.
    fn search(&self, name: &OsStr, first: &mut Option<ProgramProblem>) -> Option<PathBuf> {
        let path = self.path.unwrap_or(OsStr::new(DEFAULT_PATH));
        for directory in std::env::split_paths(path) {
            // An empty part is the working directory.
            let candidate = self.cwd.join(directory).join(name);
            match self.examine(&candidate, 0) {
                Ok(()) => return Some(candidate),
                Err(ProgramProblem::NotFound { .. }) => {}
                Err(problem) => {
                    first.get_or_insert(problem);
                }
            }
        }
        None
    }

    /// Whether what is at a path can be executed.
    fn examine(&self, path: &Path, depth: usize) -> Result<(), ProgramProblem> {
        let file = self.executable(path)?;
        let head = match self.view.files.read_at(&file.path, 0, FIRST_LINE) {
            Ok(head) => head,
            // Executable, but not readable for us: the kernel will tell.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
            Err(source) => return Err(ProgramProblem::Host { path: file.path, source }),
        };
        if let Some(line) = head.strip_prefix(b"#!") {
            if depth > MAX_INTERPRETERS {
                return Err(ProgramProblem::Interpreters { path: path.to_owned() });
            }
            return self.interpreter(path, line, depth);
        }
        if !head.starts_with(b"\x7fELF") {
            return Err(ProgramProblem::Format { path: path.to_owned() });
        }
        let read = |offset, len| self.view.files.read_at(&file.path, offset, len);
        match elf::inspect(read, self.facts.arch) {
            Ok(Elf::Here { loader: None }) => Ok(()),
            Ok(Elf::Here { loader: Some(loader) }) => {
                let loader = PathBuf::from(OsStr::from_bytes(&loader));
                match self.executable(&self.cwd.join(&loader)) {
                    Ok(_) => Ok(()),
                    Err(problem @ (ProgramProblem::NoExec { .. } | ProgramProblem::HostNoExec { .. })) => {
                        Err(problem)
                    }
                    Err(_) => Err(ProgramProblem::Loader { program: path.to_owned(), loader }),
                }
            }
            Ok(Elf::Foreign { machine }) => {
                Err(ProgramProblem::Architecture { path: path.to_owned(), machine })
            }
            Ok(Elf::Broken) => Err(ProgramProblem::Format { path: path.to_owned() }),
            Err(source) => Err(ProgramProblem::Host { path: file.path, source }),
        }
    }

    /// Whether the interpreter that a `#!` line names can be executed.
    fn interpreter(&self, script: &Path, line: &[u8], depth: usize) -> Result<(), ProgramProblem> {
        let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
        let blank = |b: &u8| *b == b' ' || *b == b'\t';
        let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
        let name = line[start..].split(blank).next().unwrap_or_default();
        if name.is_empty() {
            return Err(ProgramProblem::Format { path: script.to_owned() });
        }
        let interpreter = PathBuf::from(OsStr::from_bytes(name));
        match self.examine(&self.cwd.join(&interpreter), depth + 1) {
            Err(
                ProgramProblem::NotFound { .. }
                | ProgramProblem::Dangling { .. }
                | ProgramProblem::NotVisible { .. },
            ) => Err(ProgramProblem::Interpreter { script: script.to_owned(), interpreter }),
            other => other,
        }
    }

    /// The file of the host that a path inside leads to, if it may be executed.
    fn executable(&self, path: &Path) -> Result<HostFile, ProgramProblem> {
        let file = self.file(path)?;
        let path = path.to_owned();
        let what = match file.stat.kind {
            FileKind::File => None,
            FileKind::Directory => return Err(ProgramProblem::Directory { path }),
            FileKind::Symlink => Some("a symlink"),
            FileKind::CharDevice | FileKind::BlockDevice => Some("a device"),
            FileKind::Fifo => Some("a named pipe"),
            FileKind::Socket => Some("a socket"),
        };
        if let Some(what) = what {
            return Err(ProgramProblem::Special { path, what });
        }
        let host = PlainPathBuf::from(file.path.clone());
        if self.rules.is_some_and(|rules| granted(rules, host.plain()) & EXECUTE == 0) {
            let (show, rustup) = (self.show(&file.path), self.rustup(&file.path));
            return Err(ProgramProblem::NotVisible { host: file.path, show, other: None, by: None, rustup });
        }
        if file.noexec {
            return Err(ProgramProblem::NoExec { path, mount: file.mount });
        }
        if !self.may_execute(&file) {
            return Err(ProgramProblem::Permission { path });
        }
        match self.noexec_on_host(&file.path) {
            Ok(false) => Ok(file),
            Ok(true) => Err(ProgramProblem::HostNoExec { path, host: file.path }),
            Err(source) => Err(ProgramProblem::Host { path: file.path, source }),
        }
    }

    /// The file of the host that a path inside leads to.
    fn file(&self, path: &Path) -> Result<HostFile, ProgramProblem> {
        let resolved = self.view.resolve(path);
        let path = path.to_owned();
        let resolved = resolved.map_err(|stop| match stop {
            Stop::NotADirectory | Stop::Parent => ProgramProblem::NotFound { path: None },
            Stop::Loop => ProgramProblem::Broken { path: path.clone() },
            Stop::Unknown => ProgramProblem::Unknown { path: path.clone() },
            Stop::Host { path, source } => ProgramProblem::Host { path, source },
        })?;
        match resolved.found {
            Found::File(file) => Ok(file),
            Found::Missing => match self.view.resolve_parent(&path).map(|parent| parent.found) {
                Ok(Found::Symlink(_)) => {
                    Err(ProgramProblem::Dangling { link: path, target: resolved.path.into_path() })
                }
                _ => Err(ProgramProblem::NotFound { path: None }),
            },
            Found::Directory(_) => Err(ProgramProblem::Directory { path }),
            Found::Made(what) => Err(ProgramProblem::Special { path, what }),
            Found::Symlink(_) => Err(ProgramProblem::Special { path, what: "a symlink" }),
            Found::Unknown => Err(ProgramProblem::Unknown { path }),
        }
    }

    /// Whether the mount that shows a file to the host is `noexec`. Below `/usr` it is not asked: the host
    /// itself would run nothing.
    fn noexec_on_host(&self, file: &Path) -> std::io::Result<bool> {
        Ok(!plain::is_in(file, PlainPath::USR) && self.view.files.noexec(file)?)
    }

    /// The permission bits, as far as they tell: access control lists and capabilities are the kernel's to
    /// judge, and it will. A file without any execute bit is refused in any case.
    fn may_execute(&self, file: &HostFile) -> bool {
        let stat = &file.stat;
        let (owner, group) = match &self.identity.host {
            // Which ids a file has inside, and what root there may do with it, is the kernel's to judge, too.
            HostIdentity::UniqueRange | HostIdentity::Ranges(_) => return stat.mode & 0o111 != 0,
            &HostIdentity::Own { uid, gid } => {
                let groups = uid == self.facts.uid && self.facts.groups.contains(&stat.gid);
                (stat.uid == uid, stat.gid == gid || groups)
            }
            HostIdentity::Unique => match file.owner {
                Some(Mapped::Owner(uid, gid)) => (uid == stat.uid, gid == stat.gid),
                Some(Mapped::All) | None => (false, false),
            },
        };
        let bit = if owner {
            0o100
        } else if group {
            0o010
        } else {
            0o001
        };
        stat.mode & bit != 0
    }

    /// The program of the host that a path leads to.
    fn on_host(&self, path: &Path) -> Option<PathBuf> {
        let real = self.view.files.canonicalize(path).ok()?;
        let stat = self.view.files.lstat(&real).ok()?;
        (stat.kind == FileKind::File && stat.mode & 0o111 != 0).then_some(real)
    }

    /// What a sandbox would have to see of a path that leads to a program of the host: the program or, where
    /// it sees that, the symlink to it. (`venv/bin/python` leads to `/usr/bin/python3`.)
    fn unseen(&self, path: &Path, host: PathBuf) -> PathBuf {
        let link = || {
            let directory = self.view.files.canonicalize(path.parent()?).ok()?;
            Some(directory.join(path.file_name()?))
        };
        if self.examine(&host, 0).is_ok() { link().unwrap_or(host) } else { host }
    }

    /// What is to be said of a path that leads to nothing inside: perhaps it does outside.
    fn outside_by_path(&self, name: &OsStr, path: &Path) -> ProgramProblem {
        if Path::new(name).is_relative()
            && let Some(caller_cwd) = self.facts.cwd.as_deref().filter(|cwd| *cwd != self.cwd)
            && let Some(host) = self.on_host(&caller_cwd.join(name))
        {
            // The same path inside, seen from the caller's working directory.
            let visible = self.examine(&caller_cwd.join(name), 0).is_ok();
            let host = if visible { host } else { self.unseen(&caller_cwd.join(name), host) };
            let show = (!visible).then(|| self.show(&host).into());
            let (cwd, caller_cwd) = (self.cwd.into(), caller_cwd.into());
            return ProgramProblem::Elsewhere { host, cwd, caller_cwd, show };
        }
        match self.on_host(path) {
            Some(host) => {
                let host = self.unseen(path, host);
                let other = self
                    .search(path.file_name().unwrap_or_default(), &mut None)
                    .map(PathBuf::into_boxed_path);
                let (show, rustup) = (self.show(&host), self.rustup(&host));
                ProgramProblem::NotVisible { show, host, other, by: None, rustup }
            }
            None => ProgramProblem::NotFound { path: None },
        }
    }

    /// What is to be said of a name that `PATH` inside does not lead to: perhaps the caller's does.
    fn outside_by_name(&self, name: &OsStr) -> ProgramProblem {
        let path = self.path.unwrap_or(OsStr::new(DEFAULT_PATH));
        let caller = self.caller_env.get(OsStr::new("PATH"));
        let found = caller.and_then(|directories| {
            let candidates = std::env::split_paths(directories).map(|directory| directory.join(name));
            candidates.filter(|at| at.is_absolute()).find_map(|at| Some((self.on_host(&at)?, at)))
        });
        let Some((host, at)) = found else {
            return ProgramProblem::NotFound { path: Some(path.to_owned()) };
        };
        if self.examine(&at, 0).is_ok() {
            return ProgramProblem::NotInPath { at, path: path.to_owned() };
        }
        let host = self.unseen(&at, host);
        let show = self.show(&host);
        let reached = std::env::split_paths(path).any(|directory| Some(directory.as_path()) == at.parent());
        let by = (!reached).then(|| if at.starts_with(&show) { at.into() } else { host.clone().into() });
        let rustup = self.rustup(&host);
        ProgramProblem::NotVisible { host, show, other: None, by, rustup }
    }

    /// The directory to show so that a program is visible with what belongs to it: `/opt/tool` for
    /// `/opt/tool/bin/tool`, and `~/.pyenv` for `~/.pyenv/shims/python`. Never the caller's home or a
    /// directory directly below the root, and of a hidden directory of the home only its programs: beside
    /// them are credentials (`~/.cargo/credentials.toml`, `~/.local/share/keyrings`).
    fn show(&self, host: &Path) -> PathBuf {
        let home = self.caller_env.get(OsStr::new("HOME")).map(Path::new);
        let fits =
            |path: &&Path| path.components().count() > 2 && home.is_none_or(|home| !home.starts_with(path));
        let hidden = |path: &Path| {
            let name = path.file_name().unwrap_or_default().as_bytes();
            name.starts_with(b".") && path.parent().is_some_and(|above| Some(above) == home)
        };
        let directory = host.parent();
        let above = match directory {
            Some(directory) if directory.ends_with("bin") => {
                directory.parent().filter(|above| !hidden(above))
            }
            Some(directory) if directory.ends_with("shims") => directory.parent(),
            _ => None,
        };
        let directory = directory.filter(|directory| !hidden(directory));
        above.filter(fits).or_else(|| directory.filter(fits)).unwrap_or(host).to_owned()
    }

    /// Where rustup keeps its toolchains, if a program is one of rustup's: the same file as rustup itself.
    fn rustup(&self, host: &Path) -> Option<Box<Path>> {
        let same = |path: &Path| {
            let path = self.view.files.canonicalize(path).ok()?;
            self.view.files.lstat(&path).ok().map(|stat| (stat.device, stat.inode))
        };
        let rustup = same(&host.with_file_name("rustup"))?;
        if Some(rustup) != same(host) {
            return None;
        }
        let named = self.caller_env.get(OsStr::new("RUSTUP_HOME")).map(PathBuf::from);
        let home = || Some(Path::new(self.caller_env.get(OsStr::new("HOME"))?).join(".rustup"));
        let path = named.filter(|path| path.is_absolute()).or_else(home)?;
        self.view.files.lstat(&path).is_ok().then(|| path.into())
    }
}
