//! What the caller's side gets ready for one run of a probe: markers, listeners, terminals. Gone when it is
//! dropped.

use std::any::Any;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::SelfTestError;

/// Which of the three runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Run {
    /// Outside.
    Control,
    /// Inside.
    Inside,
    /// Inside, without the named walls.
    Mutation,
}

impl Run {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Inside => "inside",
            Self::Mutation => "mutation",
        }
    }
}

/// A directory or file of the host that the sandbox gets, in each of its runs.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) source: PathBuf,
    pub(super) destination: PathBuf,
    pub(super) readonly: bool,
}

/// What was seen from outside after a run: `Some` tells what the attack did.
type Effect = Box<dyn FnOnce() -> Option<String>>;

/// One run's preparations.
pub struct Setup {
    /// Which run.
    pub run: Run,
    pub(super) values: Vec<(&'static str, String)>,
    pub(super) binds: Vec<Bind>,
    pub(super) overrides: Vec<String>,
    pub(super) kept: Vec<(OwnedFd, i32)>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) effect: Option<Effect>,
    guards: Vec<Box<dyn Any>>,
    directory: Option<PathBuf>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("run", &self.run).field("values", &self.values).finish_non_exhaustive()
    }
}

impl Setup {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            values: vec![("stage", run.name().to_owned())],
            binds: Vec::new(),
            overrides: Vec::new(),
            kept: Vec::new(),
            stdin: None,
            stderr: None,
            effect: None,
            guards: Vec::new(),
            directory: None,
        }
    }

    /// Tells the probe a value.
    pub fn value(&mut self, name: &'static str, value: impl fmt::Display) {
        self.values.push((name, value.to_string()));
    }

    /// A value that was told.
    pub fn told(&self, name: &str) -> &str {
        self.values.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
    }

    /// Shows a host path inside, in both runs there.
    pub fn bind(&mut self, source: &Path, destination: &str, readonly: bool) {
        let (source, destination) = (source.to_owned(), destination.into());
        self.binds.push(Bind { source, destination, readonly });
    }

    /// The probe's standard input; else `/dev/null`.
    pub fn stdin(&mut self, fd: OwnedFd) {
        self.stdin = Some(fd);
    }

    /// The probe's standard error; else it is collected.
    pub fn stderr(&mut self, fd: OwnedFd) {
        self.stderr = Some(fd);
    }

    /// Gives the probe a descriptor, as `--keep-fd` does.
    pub fn keep_fd(&mut self, fd: OwnedFd, number: i32) {
        self.kept.push((fd, number));
    }

    /// Changes the profile in both runs inside, as `--set` does.
    pub fn set(&mut self, key_value: impl Into<String>) {
        self.overrides.push(key_value.into());
    }

    /// Keeps something until the run is over.
    pub fn keep(&mut self, guard: impl Any) {
        self.guards.push(Box::new(guard));
    }

    /// Looks from outside, after the run, whether the attack had an effect. If it did (`Some`), the verdict
    /// is `allowed`; if not, `blocked`, unless the probe said that it could not be tried.
    pub fn effect(&mut self, look: impl FnOnce() -> Option<String> + 'static) {
        self.effect = Some(Box::new(look));
    }

    /// A directory of this run's own (mode 0755), removed afterwards.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&mut self) -> Result<PathBuf, SelfTestError> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let template = std::env::temp_dir().join("belljar-selftest-XXXXXX");
        let path =
            nix::unistd::mkdtemp(&template).map_err(SelfTestError::errno("make a temporary directory"))?;
        self.directory = Some(path.clone());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .map_err(SelfTestError::setup("open a temporary directory to the sandbox"))?;
        if path.to_str().is_none() {
            return Err(SelfTestError::Path { path });
        }
        Ok(path)
    }

    /// A file in [`Self::directory`].
    ///
    /// # Errors
    /// It cannot be made.
    pub fn file(&mut self, name: &str, content: &str) -> Result<PathBuf, SelfTestError> {
        let path = self.directory()?.join(name);
        std::fs::write(&path, content).map_err(SelfTestError::setup("write a marker file"))?;
        Ok(path)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.guards.clear();
        if let Some(directory) = &self.directory
            && let Err(error) = std::fs::remove_dir_all(directory)
        {
            log::warn!("cannot remove {}: {error}", directory.display());
        }
    }
}
