//! Trials: each does the thing itself, in a process of its own that ends with it.

mod calls;
mod cgroup;
mod landlock;
mod memfd;
mod mounts;
mod namespaces;
mod network;
mod process;
mod run;
mod seccomp;

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::layer::Layer;
use crate::host::{Failure, Step};
use crate::sys;
pub(super) use calls::kernel;
pub(super) use run::{Line, Outcome, all};

/// Ends a process.
pub(super) fn kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    sys::process::pidfd_send_signal(pidfd, libc::SIGKILL)
}

/// A trial that did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Miss {
    /// A system call failed.
    Failed(Failure),
    /// All calls passed, but the effect is missing or not enough; says what.
    Without(String),
    /// Not tried; says why.
    Skipped(String),
}

/// A short detail for a trial that worked.
pub(super) type Trial = Result<String, Miss>;

/// Names the step of a call that failed.
trait At<T> {
    fn at(self, step: Step, syscall: &str, object: &str) -> Result<T, Miss>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: Step, syscall: &str, object: &str) -> Result<T, Miss> {
        self.map_err(|errno| Miss::Failed(Failure::new(step, syscall, object, errno)))
    }
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, step: Step, syscall: &str, object: &str) -> Result<T, Miss> {
        self.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
            .at(step, syscall, object)
    }
}

/// Each layer's trial; `None` for one that needs none.
fn trial(layer: Layer) -> Option<fn() -> Trial> {
    let trial: fn() -> Trial = match layer {
        // That there is a process to try anything in.
        Layer::Reexec => return None,
        Layer::Kernel => calls::kernel,
        Layer::OrdinaryUser => calls::ordinary_user,
        Layer::Proc => calls::proc,
        Layer::UserNamespace => namespaces::user,
        Layer::IdMap => namespaces::id_map,
        Layer::IdMapUnique => namespaces::id_map_unique,
        Layer::MountNamespace => mounts::namespace,
        Layer::Tmpfs => mounts::tmpfs,
        Layer::BindMount => mounts::bind,
        Layer::Fsopen => mounts::fsopen,
        Layer::PivotRoot => mounts::pivot_root,
        Layer::MountProc => mounts::proc,
        Layer::MountProcPid => mounts::proc_pid,
        Layer::Devpts => mounts::devpts,
        Layer::Mqueue => mounts::mqueue,
        Layer::Overlay => mounts::overlay,
        Layer::IdMappedMount => mounts::id_mapped,
        Layer::PidNamespace => namespaces::pid,
        Layer::IpcNamespace => namespaces::ipc,
        Layer::UtsNamespace => namespaces::uts,
        Layer::NetworkNamespace => namespaces::network,
        Layer::Loopback => network::loopback,
        Layer::CgroupNamespace => namespaces::cgroup,
        Layer::TimeNamespace => namespaces::time,
        Layer::Clone3 => calls::clone3,
        Layer::CloneIntoCgroup => calls::clone_into_cgroup,
        Layer::Pidfd => calls::pidfd,
        Layer::Openat2 => calls::openat2,
        Layer::CloseRange => calls::close_range,
        Layer::Memfd => memfd::sealed,
        Layer::NoNewPrivs => calls::no_new_privs,
        Layer::Seccomp => seccomp::filter,
        Layer::SeccompNotify => seccomp::notify,
        Layer::Landlock => landlock::files,
        Layer::LandlockScopes => landlock::scopes,
        Layer::Cgroup => cgroup::layout,
    };
    Some(trial)
}
