//! Re-execution: a function of this program runs in a fresh process of the same program.
//!
//! The pattern of Docker's `reexec` package, usable alone. It knows nothing of sandboxes.
//!
//! ```standalone_crate
//! fn count() -> std::io::Result<()> {
//!     println!("{}", std::fs::read_dir("/")?.count());
//!     Ok(())
//! }
//! belljar::role!("count", count);
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     belljar::init(); // the re-executed process runs its role here and does not return
//!
//!     let output = belljar::reexec::command("count").output()?;
//!     assert!(output.status.success());
//!     Ok(())
//! }
//! ```
//!
//! # How it works
//!
//! [`command()`] starts the program's own image ([`self_exe`]) by `clone3(2)` with shared memory, as
//! `posix_spawn(3)` does, so it is safe from a process with any number of threads and costs the same from a
//! large one. The image also runs when its file was deleted or replaced, and where `/proc` is out of reach.
//!
//! What tells the child that it is one, and which role it has, is a sealed memfd on descriptor 3
//! (memfd_create(2)), together with a socket on descriptor 4. `argv[0]` shows the role in `ps` and decides
//! nothing. The child checks that the socket was made by its parent and that its parent runs the same file; a
//! descriptor 3 that is anything else is left alone. This is no protection from a process of the same user
//! that wants to run a role: it may trace the program, or execute it in its own stead. A program that gains
//! privileges when executed (set-user-ID, file capabilities) takes no role at all.
//!
//! # It is no fork bomb
//!
//! A process that does not call [`init`] or [`dispatch()`] cannot launch anything. A re-executed one is ended
//! as well, with a message that names the missing call, after 0.8 s that it has computed or slept: the time
//! that it waits for a processor does not count. In tests, doctests and benches, where the harness owns
//! `main`, the call is [`enable_test_support!`](crate::enable_test_support).
//!
//! # Limits
//!
//! * A parent whose `/proc/<pid>/exe` its child may not read (it changed its user and so lost its dumpable
//!   flag, or has more capabilities than the child) is refused. So is one that
//!   called `unshare(CLONE_NEWPID)`.
//! * The image has to hold this crate's own code. A program that was started through its loader (`ld.so
//!   PROGRAM`), an emulator or another interpreter, and a library that another program has loaded
//!   (`dlopen(3)`), are refused.
//! * Where `/proc` is out of reach the child sees who its parent is, but not which program it runs.

#[cfg(any(test, feature = "internals"))]
pub(crate) mod again;
mod child;
mod clone;
mod command;
mod credential;
mod dispatch;
mod dropped;
mod guard;
mod hello;
pub(crate) mod image;
mod inside;
mod launch;
pub(crate) mod launch_error;
#[cfg(test)]
mod launch_tests;
mod own_code;
mod peer;
mod process;
pub(crate) mod refusal;
pub(crate) mod registry;
mod stdio;
mod syscall;
mod test_support;
mod wait;

#[cfg(feature = "doctor")]
pub(crate) use child::Step;
pub use command::{Command, CommandError, command};
pub use dispatch::{DispatchError, dispatch, init};
pub use image::{SelfExe, self_exe};
pub(crate) use launch_error::LaunchError;
pub use process::Child;
pub(crate) use registry::LookupError;
pub use registry::{RegisterError, RoleError, RoleOutcome, RoleResult, register, roles};
pub use stdio::Stdio;
pub(crate) use stdio::Stream;

pub(crate) use clone::{clone_helper, with_helper_thread};
pub(crate) use credential::FIRST_EXTRA_FD;
pub(crate) use dispatch::{Inherited, inherited};
pub(crate) use dropped::{Dropped, keep as keep_dropped};
pub(crate) use image::proc_in_reach;
pub(crate) use launch::{Launch, Launched, launch};
pub(crate) use registry::{ROLES, Role, find, is_reserved};
pub(crate) use stdio::Prepared;
pub(crate) use syscall::syscall;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use super::dispatch::init_before_main;
    pub use super::registry::{ROLES, Role};
    pub use linkme;
}
pub(crate) use inside::{RoleFn, clone_vfork, reserved_role, run_role};
