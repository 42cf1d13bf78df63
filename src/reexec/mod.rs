//! Re-execution: run a registered function in a fresh process of this same program.

mod child;
mod clone;
mod command;
mod credential;
mod dispatch;
mod guard;
mod hello;
mod image;
mod inside;
mod launch;
#[cfg(test)]
mod launch_tests;
mod peer;
mod process;
mod refusal;
mod registry;
mod stdio;
mod syscall;
mod test_support;
mod wait;

pub use child::Step;
pub use command::{Command, CommandError, command};
pub use credential::{MAX_PAYLOAD, MAX_ROLE_NAME};
pub use dispatch::{DispatchError, dispatch, init};
pub use guard::EXIT_REFUSED;
pub use image::{ImageError, SelfExe, self_exe};
pub use launch::LaunchError;
pub use process::Child;
pub(crate) use process::read_to_end;
pub use refusal::Refusal;
pub use registry::{LookupError, RegisterError, RoleError, RoleOutcome, RoleResult, register, roles};
pub use stdio::{Stdio, Stream};

#[allow(unused_imports)] // for the sandbox
pub(crate) use credential::FIRST_EXTRA_FD;
#[allow(unused_imports)] // for the sandbox
pub(crate) use dispatch::{Inherited, inherited};
#[allow(unused_imports)] // for the sandbox
pub(crate) use launch::{Launch, Launched, launch};
#[allow(unused_imports)] // for the sandbox
pub(crate) use registry::{ROLES, Role, find};
#[allow(unused_imports)] // for the sandbox
pub(crate) use stdio::Prepared;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use super::dispatch::init_before_main;
    pub use super::registry::{ROLES, Role};
    pub use linkme;
}
pub(crate) use inside::{RoleFn, clone_vfork, reserved_role, run_role};
