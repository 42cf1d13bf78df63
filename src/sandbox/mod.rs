//! The caller's side: a [`Sandbox`] is resolved once and used many times; each use starts a [`Command`] in
//! walls of its own.

mod accepted;
mod brought;
mod builder;
mod built;
pub(crate) mod call;
mod child;
mod codec;
mod command;
mod created;
mod dry_run;
mod end;
mod error;
pub(crate) mod exec;
mod given;
mod handover;
mod hints;
mod hooks;
mod host_id;
mod id_maps;
mod joined;
pub(crate) mod kill_handle;
mod lent;
mod lifetime;
mod limits;
mod listener;
mod newidmap;
mod oom_score;
pub(crate) mod outcome;
mod reading;
#[cfg(feature = "doctor")]
mod refusal;
mod relay;
mod spawn;
pub(crate) mod supervisor;
mod terminal;
pub(crate) mod timing;
mod trees;
pub(crate) mod watch;

use std::ffi::OsStr;
use std::sync::OnceLock;

pub use builder::Builder;
pub(crate) use call::RESULT_LIMIT;
pub(crate) use call::enter_call;
pub use child::{Child, Output};
pub use command::Command;
pub use created::Created;
pub use dry_run::DryRun;
pub use error::Error;
pub use exec::Exec;
#[doc(hidden)]
pub use hooks::{Hook, HookFn, HookProgram};
pub use lifetime::{Lifetime, Side, StartNotifier};
pub use limits::{Limit, Limits};
pub use outcome::{Ended, Outcome, Protections};
pub use timing::{TimedProcess, TimedStep, Timing};

use crate::plan::TaskRequest;
use crate::profile::Profile;

/// A profile, ready for use.
#[derive(Debug, Clone)]
pub struct Sandbox {
    profile: Profile,
    /// Of the profile, once it was asked for.
    profile_hash: OnceLock<String>,
}

impl Sandbox {
    /// A sandbox by a profile's name (built in, or in the user's profile directory) or file (with a `/`).
    ///
    /// # Errors
    /// If there is no such profile, or it has a mistake.
    pub fn new(profile: &str) -> Result<Self, Error> {
        Ok(Self::with_profile(Profile::load(profile)?))
    }

    /// A sandbox by a profile and what is changed in it.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A sandbox by a profile that was loaded, and perhaps changed, before.
    #[must_use]
    pub fn with_profile(profile: Profile) -> Self {
        Self { profile, profile_hash: OnceLock::new() }
    }

    fn profile_hash(&self) -> &str {
        self.profile_hash.get_or_init(|| self.profile.hash())
    }

    /// Its profile.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// A program to be run in it, looked up as the sandbox will see it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command<'_> {
        Command::new(self, TaskRequest::Program { argv: vec![program.as_ref().to_owned()] })
    }

    /// A registered role to be run in it ([`role!`](crate::role), [`register`](crate::reexec::register)).
    pub fn role(&self, name: &str) -> Command<'_> {
        Command::new(self, TaskRequest::Role { name: name.to_owned(), args: Vec::new() })
    }
}

/// As std's `Child` and `Command`, they can be sent to another thread, and what needs no `&mut` shared.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_sync<T: Sync>() {}
    is_send::<Sandbox>();
    is_sync::<Sandbox>();
    is_send::<Command<'_>>();
    is_sync::<Command<'_>>();
    is_send::<Created>();
    is_sync::<Created>();
    is_send::<Child>();
    is_sync::<Child>();
    is_send::<Exec>();
    is_sync::<Exec>();
    is_send::<Error>();
    is_sync::<Error>();
};
