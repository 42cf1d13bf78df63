//! belljar puts untrusted work under glass. Linux only.
#![cfg(target_os = "linux")]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "belljar needs a system-call table and a clone3 entry for this architecture: \
     add src/seccomp/tables/<arch>.rs and the clone in src/reexec/clone.rs"
);

pub mod host;
mod init;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod protocol;
pub mod reexec;
pub mod sandbox;
pub mod seccomp;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

pub use reexec::init;
