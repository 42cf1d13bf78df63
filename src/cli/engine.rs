//! SEAM: what the command line uses of the library, in the agreed shapes, until the parts are merged. To connect it,
//! replace each item by the library's own (`pub use crate::sandbox::{…}`) and delete the
//! rest; nothing outside of this file has to change but imports.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::profile::Profile;

/// → `crate::sandbox::Error`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The part is not merged yet.
    #[error("{part}: not connected in this build")]
    NotConnected { part: &'static str },
}

impl Error {
    /// 125, 126 or 127.
    pub fn exit_code(&self) -> u8 {
        125
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// → `crate::sandbox::Sandbox`.
#[derive(Debug)]
pub struct Sandbox {
    profile: Profile,
}

impl Sandbox {
    pub fn with_profile(profile: Profile) -> Sandbox {
        Sandbox { profile }
    }
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
    pub fn command(&self, _program: impl AsRef<OsStr>) -> Command<'_> {
        Command { _sandbox: self }
    }
    pub fn role(&self, _name: &str) -> Command<'_> {
        Command { _sandbox: self }
    }
}

/// → `crate::sandbox::Command`.
#[derive(Debug)]
pub struct Command<'a> {
    _sandbox: &'a Sandbox,
}

impl Command<'_> {
    pub fn args<A: AsRef<OsStr>>(&mut self, _args: impl IntoIterator<Item = A>) -> &mut Self {
        self
    }
    pub fn env(&mut self, _name: impl AsRef<OsStr>, _value: impl AsRef<OsStr>) -> &mut Self {
        self
    }
    pub fn env_pass(&mut self, _name: impl AsRef<OsStr>) -> &mut Self {
        self
    }
    pub fn current_dir(&mut self, _dir: impl AsRef<Path>) -> &mut Self {
        self
    }
    pub fn keep_fd(&mut self, _descriptor: OwnedFd, _number: i32) -> &mut Self {
        self
    }
    pub fn terminal(&mut self, _on: bool) -> &mut Self {
        self
    }
    pub fn plan(&self) -> Result<crate::plan::Plan, Error> {
        Err(Error::NotConnected { part: "plan" })
    }
    pub fn spawn(&mut self) -> Result<Child, Error> {
        Err(Error::NotConnected { part: "sandbox" })
    }
}

/// → `crate::sandbox::Child`.
#[derive(Debug)]
pub struct Child {}

impl Child {
    /// init's.
    pub fn pidfd(&self) -> io::Result<BorrowedFd<'_>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    pub fn kill(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    pub fn wait_outcome(&mut self) -> Result<Outcome, Error> {
        Err(Error::NotConnected { part: "sandbox" })
    }
}

/// → `crate::sandbox::Outcome`.
#[derive(Debug)]
pub struct Outcome {
    pub ended: Ended,
    pub wall: Duration,
    pub user: Duration,
    pub system: Duration,
    /// Bytes.
    pub max_rss: u64,
    pub profile: String,
    pub profile_hash: String,
    pub plan_hash: String,
    pub protections: Protections,
}

/// → `crate::sandbox::Protections`: anything that is `Serialize`.
#[derive(Debug, serde::Serialize)]
pub struct Protections(pub serde_json::Value);

/// → `crate::sandbox::Ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exit { code: i32 },
    Signal { signal: i32, core_dumped: bool },
    Timeout { limit_ms: u64 },
    OutputLimit { limit: u64 },
    CpuLimit,
    FileSize,
    Seccomp,
    KilledByCaller,
}

impl Ended {
    /// 128+N for signal N, 124 for the time limit, else the program's own.
    pub fn exit_code(self) -> u8 {
        let by_signal = |signal: i32| u8::try_from(128 + signal).unwrap_or(u8::MAX);
        match self {
            Self::Exit { code } => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal { signal, .. } => by_signal(signal),
            Self::Timeout { .. } => 124,
            Self::CpuLimit => by_signal(libc::SIGXCPU),
            Self::FileSize => by_signal(libc::SIGXFSZ),
            Self::Seccomp => by_signal(libc::SIGSYS),
            Self::OutputLimit { .. } | Self::KilledByCaller => by_signal(libc::SIGKILL),
        }
    }
}

/// → `crate::reexec::roles()`: the names of the registered roles.
pub fn roles() -> Vec<String> {
    Vec::new()
}

/// → the profile's loader: `selector` is a name, or a path with a `/`; each override is a key and a value.
pub fn load_profile(_selector: &OsStr, _overrides: &[(&str, &str)]) -> Result<Profile, Error> {
    Err(Error::NotConnected { part: "profile" })
}

/// → the names that `--profile` knows (built in, and the user's folder) with their descriptions.
pub fn profile_list() -> Result<Vec<(String, String)>, Error> {
    Err(Error::NotConnected { part: "profile" })
}

/// → the text of a profile as it was written, comments and all.
pub fn profile_source(_selector: &OsStr) -> Result<String, Error> {
    Err(Error::NotConnected { part: "profile" })
}

/// → the profile with all that it extends, as one TOML file.
pub fn profile_effective(_selector: &OsStr) -> Result<String, Error> {
    Err(Error::NotConnected { part: "profile" })
}

/// → loads and validates a file, whatever its path looks like.
pub fn profile_check(_file: &Path) -> Result<(), Error> {
    Err(Error::NotConnected { part: "profile" })
}

/// → the plan for a person.
pub fn plan_text(plan: &crate::plan::Plan) -> String {
    format!("{plan:#?}\n")
}

/// → the plan as JSON.
pub fn plan_json(plan: &crate::plan::Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan)
}

/// → `host::doctor::{examine, render, json}`: what is printed, and whether the default profile can be had.
pub fn doctor(_json: bool) -> Result<(String, bool), Error> {
    Err(Error::NotConnected { part: "doctor" })
}
