//! Profiles: what a sandbox is asked to be.
//!
//! A profile is a TOML text in the words of the OCI runtime-spec. Seven are built in ([`builtin_names`]);
//! others are files, which mostly extend one of them:
//!
//! ```
//! let text = r#"
//!     extends = "strict"
//!     description = "strict, with the data that the job needs"
//!     mounts = [{ destination = "/data", source = "/srv/data", options = ["ro", "noexec"] }]
//!     process.env = ["DATA=/data"]
//!     limits.timeout = "30s"
//! "#;
//! let profile = belljar::profile::Profile::from_toml(text, "job")?;
//! assert!(profile.to_toml().contains("timeout = \"30s\""));
//! # Ok::<(), belljar::Error>(())
//! ```
//!
//! # Where profiles are looked for
//!
//! A name (`[a-z0-9._-]{1,64}`, not starting with `.` or `-`) is looked up among the built-in profiles, then
//! as `NAME.toml` in `$XDG_CONFIG_HOME/belljar/profiles` or `~/.config/belljar/profiles`. A built-in name can
//! not be taken over. Anything with a `/` is a path. A file has to belong to root or the caller, and no
//! other user may write to it; in the user's directory, the same holds for the directory, and no symlink is
//! followed. Nothing is ever loaded because it lies in the current directory.
//!
//! # Keys
//!
//! A key that is not in docs/profile.md (which is written from the table of keys) is an error, but for
//! `extends`: the name or path (relative to this file) of the profile that this one changes.
//!
//! Sizes, times and numbers have units (`64MiB`, `1m30s`), which docs/profile.md describes.
//!
//! `namespaces` names those of the sandbox's own; a table `{ type = "network", path = "/run/netns/x" }` in
//! the list joins one that is there already (network, ipc, uts or cgroup; see [`Profile::joined`]).
//!
//! A mount's `type` is `bind` (the default; `source` is the same path as the destination unless it is given),
//! `tmpfs`, `proc`, `dev` (the minimal one), `mqueue`, `sysfs`, `cgroup2`, `devpts`, `binfmt_misc`, or `c` or
//! `b` for a device node by its number. Its `options`: `ro` or `rw` (a bind says which), `noexec` or `exec`,
//! for binds `optional` (no error if it is missing, unless the task could make it), `system` (of the host's
//! operating system: its symlinks are kept, and a root of one's own leaves it out) and `idmap`, for tmpfs
//! `size=`, `nr_inodes=` and `mode=` (64 MiB, 8192 and 1777 where they are missing), for proc `subset=pid`.
//! `nosuid` and `nodev` always hold (terminals of a devpts excepted).
//!
//! For binds and new file systems there are OCI's other words, too: `relatime`, `noatime` or `strictatime`,
//! `nodiratime`, `nosymfollow`, and `rprivate` (the default), `rslave` (what the host mounts below the source
//! later appears inside, with the host's attributes) or `runbindable`. Words with an `r` before them (`rro`,
//! `rnoexec`, …) mean the same as those without: a bind's options always hold for everything below. `shared`,
//! `suid` and `dev` are refused. What is no such word is given to the new file system as it is (`uid=1000`,
//! `gid=5`, `hidepid=2`); an option that the kernel does not take is an error that names it. A device has
//! `major=` and `minor=`, and is the host's node of that number, as none can be made in a user namespace
//! (mknod(2)); with `mode=`, `uid=` and `gid=` it is an error if the host's node permits more or has another
//! owner. A file system that has no limit (ramfs) or that no user namespace may mount is refused; sysfs needs
//! the network namespace, cgroup2 the cgroup namespace and `ro`: it shows the group that belljar was started
//! in and those below.
//!
//! # Merging
//!
//! A profile goes on top of the one that it extends, overrides (`--set KEY=VALUE`) in their order on top of
//! that:
//!
//! * Tables merge key by key; a value takes the place of the inherited one.
//! * `mounts` merge by destination, `process.env` by the variable's name, `process.rlimits` by the limit's
//!   name: an entry takes the place of the whole inherited one.
//! * `namespaces`, `root.etcPrograms`, `process.capabilities`, `maskedPaths`, `readonlyPaths` and
//!   `landlock.scopes` take the place of the inherited list or, where every entry starts with `+` or `-`,
//!   edit it (`namespaces = ["-network"]`).
//! * `seccomp.syscalls` go before the inherited ones, as the first match decides. `seccomp.profile` takes the
//!   place of all that is inherited of the filter but `mode` and `unknownNames`; `syscalls` beside it or
//!   above it go before its rules. `seccomp.defaultErrnoRet` belongs to the `defaultAction` that it stands
//!   with: a new action does not inherit it.
//!
//! At most 8 profiles extend each other. A text has at most 256 KiB, and all of them 512 KiB.

mod built;
mod builtin;
mod check;
pub(crate) mod conflict;
mod draft;
pub(crate) mod error;
mod filter;
mod filter_source;
mod filter_text;
pub(crate) mod find;
mod form;
mod hash;
pub(crate) mod keys;
mod kinds;
#[cfg(feature = "cli")]
pub(crate) mod list;
mod load;
pub(crate) mod model;
pub(crate) mod mount;
mod mount_options;
mod mounts;
pub(crate) mod names;
mod overrides;
mod print;
mod reader;
pub(crate) mod scheduling;
mod set;
mod trust;
pub(crate) mod units;
mod validate;
pub(crate) mod value_error;

pub use crate::capability::{Capability, CapabilitySet};
pub(crate) use built::filter as built_filter;
pub use builtin::builtin_names;
pub(crate) use check::environment;
pub(crate) use conflict::Conflict;
pub(crate) use error::*;
#[cfg(feature = "cli")]
pub(crate) use keys::{KEYS, Key};
#[cfg(feature = "cli")]
pub(crate) use list::{Listed, list, show};
pub(crate) use model::*;
pub use model::{Enforce, IdMap, IdRange, Profile, Sockets, Symlinks, Workdir};
pub(crate) use mount::*;
pub(crate) use mount_options::filesystem_options;
pub(crate) use scheduling::*;
pub use set::Network;
pub(crate) use value_error::ValueError;
