//! belljar puts untrusted work under glass: it runs a program, or a function of the calling program, in
//! isolation, and refuses to run what it cannot isolate as asked. Linux only.
//!
//! ```no_run
//! fn render(document: String) -> Result<String, String> {
//!     Ok(document.to_uppercase()) // runs in the sandbox
//! }
//!
//! fn main() -> belljar::Result<()> {
//!     belljar::init(); // first of all: a re-executed child never returns from here
//!     let sandbox = belljar::Sandbox::new("strict")?;
//!     let page = sandbox.call(render, &"hello".to_owned())?;
//!     println!("{page:?}");
//!     let output = sandbox.command("sort").arg("/etc/hosts").output()?;
//!     println!("{}", String::from_utf8_lossy(&output.stdout));
//!     Ok(())
//! }
//! ```
//!
//! [`Sandbox::builder`] says what a sandbox is: a profile and what differs from it. [`Command`] runs a
//! program in it with the habits of [`std::process::Command`], [`Sandbox::call`] a function of this program.
//! [`Outcome`] says how it ended and what it used, [`Error`] why it could not be had.
//!
//! `docs/library.md` in the repository is the guide: directories, limits, errors, tests, threads.
//!
//! # Features
//!
//! * `cli` (default): the program `belljar`, with its attacks (`belljar selftest`) and the role `probe`.
//! * `doctor`: tries what this host supports, and says what fixes the rest; with it [`Error::hints`]
//!   tells why the kernel refused a call.
//!
//! A program that only uses the library turns them off: `default-features = false`.

#![cfg(target_os = "linux")]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "belljar needs a system-call table and a clone3 entry for this architecture: \
     add src/seccomp/tables/<arch>.txt and the clone in src/reexec/clone.rs"
);

mod capability;
mod cgroup;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod init;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod plan;
#[cfg(feature = "cli")]
mod probe;
pub mod profile;
mod protocol;
pub mod reexec;
mod sandbox;
pub mod seccomp;
#[cfg(feature = "cli")]
mod selftest;
mod sys;
mod text;

/// The program `belljar`.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

pub use cgroup::{Account, CgroupLimits, DiskLimit, Events, Meter, Pressure, Sample, Stall, Usage};
pub use reexec::init;
pub use sandbox::{
    Builder, Child, Command, Created, DryRun, Ended, Error, Exec, Lifetime, Limit, Limits, Outcome, Output,
    Protections, Sandbox, Side, StartNotifier, TimedProcess, TimedStep, Timing,
};
#[doc(hidden)]
pub use sandbox::{Hook, HookFn, HookProgram};

/// What most functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error and its causes on one line, as the command line prints them: `what: why: because`.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The pages whose code is compiled and, but for the README's, run by `cargo test --doc`.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/library.md")]
    struct Library;
}
