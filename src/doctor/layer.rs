//! The layers that the doctor tries, and which of them a profile needs.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::profile::{MountKind, Namespace, Profile};
use crate::seccomp::Action;

/// One thing that the kernel has to do for a sandbox. Its text form is its name in kebab case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// Linux 5.12 or later, without which no profile with namespaces runs.
    Kernel,
    /// A child of belljar itself, in which all other layers are tried.
    Reexec,
    /// A caller that is not root, or can become another: without namespaces nothing takes root's rights away.
    OrdinaryUser,
    /// A procfs at `/proc`.
    Proc,
    /// `CLONE_NEWUSER`.
    UserNamespace,
    /// The caller's own id as root of a user namespace.
    IdMap,
    /// Another id of the host in a user namespace; only root can.
    IdMapUnique,
    /// `CLONE_NEWNS`, and everything in it made private.
    MountNamespace,
    /// A tmpfs with limits.
    Tmpfs,
    /// A directory bound read-only with all below it (`open_tree`, `mount_setattr`, `move_mount`).
    BindMount,
    /// `fsopen`, `fsconfig`, `fsmount`.
    Fsopen,
    /// `pivot_root`.
    PivotRoot,
    /// A whole procfs of a new pid namespace.
    MountProc,
    /// The same with `subset=pid`.
    MountProcPid,
    /// A devpts instance.
    Devpts,
    /// POSIX message queues.
    Mqueue,
    /// An overlay in a user namespace.
    Overlay,
    /// An id-mapped mount; only root needs it.
    IdMappedMount,
    /// `CLONE_NEWPID`.
    PidNamespace,
    /// `CLONE_NEWIPC`.
    IpcNamespace,
    /// `CLONE_NEWUTS`.
    UtsNamespace,
    /// `CLONE_NEWNET`.
    NetworkNamespace,
    /// The loopback interface of a new network namespace.
    Loopback,
    /// `CLONE_NEWCGROUP`.
    CgroupNamespace,
    /// `CLONE_NEWTIME`.
    TimeNamespace,
    /// `clone3`, with a pidfd.
    Clone3,
    /// `CLONE_INTO_CGROUP`.
    CloneIntoCgroup,
    /// `pidfd_open`, `pidfd_send_signal`.
    Pidfd,
    /// `openat2`.
    Openat2,
    /// `close_range`.
    CloseRange,
    /// A sealed memfd.
    Memfd,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivs,
    /// A system-call filter.
    Seccomp,
    /// A filter with a supervisor (`SECCOMP_RET_USER_NOTIF`).
    SeccompNotify,
    /// Landlock over files.
    Landlock,
    /// Landlock's scopes (ABI 6).
    LandlockScopes,
    /// Control groups that the caller may write.
    Cgroup,
}

impl Layer {
    /// All of them, in the order in which they are reported.
    pub const ALL: &[Layer] = &[
        Layer::Kernel,
        Layer::Reexec,
        Layer::OrdinaryUser,
        Layer::Proc,
        Layer::UserNamespace,
        Layer::IdMap,
        Layer::IdMapUnique,
        Layer::MountNamespace,
        Layer::Tmpfs,
        Layer::BindMount,
        Layer::Fsopen,
        Layer::PivotRoot,
        Layer::MountProc,
        Layer::MountProcPid,
        Layer::Devpts,
        Layer::Mqueue,
        Layer::Overlay,
        Layer::IdMappedMount,
        Layer::PidNamespace,
        Layer::IpcNamespace,
        Layer::UtsNamespace,
        Layer::NetworkNamespace,
        Layer::Loopback,
        Layer::CgroupNamespace,
        Layer::TimeNamespace,
        Layer::Clone3,
        Layer::CloneIntoCgroup,
        Layer::Pidfd,
        Layer::Openat2,
        Layer::CloseRange,
        Layer::Memfd,
        Layer::NoNewPrivs,
        Layer::Seccomp,
        Layer::SeccompNotify,
        Layer::Landlock,
        Layer::LandlockScopes,
        Layer::Cgroup,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Kernel => "kernel",
            Layer::Reexec => "reexec",
            Layer::OrdinaryUser => "ordinary-user",
            Layer::Proc => "proc",
            Layer::UserNamespace => "user-namespace",
            Layer::IdMap => "id-map",
            Layer::IdMapUnique => "id-map-unique",
            Layer::MountNamespace => "mount-namespace",
            Layer::Tmpfs => "tmpfs",
            Layer::BindMount => "bind-mount",
            Layer::Fsopen => "fsopen",
            Layer::PivotRoot => "pivot-root",
            Layer::MountProc => "mount-proc",
            Layer::MountProcPid => "mount-proc-pid",
            Layer::Devpts => "devpts",
            Layer::Mqueue => "mqueue",
            Layer::Overlay => "overlay",
            Layer::IdMappedMount => "id-mapped-mount",
            Layer::PidNamespace => "pid-namespace",
            Layer::IpcNamespace => "ipc-namespace",
            Layer::UtsNamespace => "uts-namespace",
            Layer::NetworkNamespace => "network-namespace",
            Layer::Loopback => "loopback",
            Layer::CgroupNamespace => "cgroup-namespace",
            Layer::TimeNamespace => "time-namespace",
            Layer::Clone3 => "clone3",
            Layer::CloneIntoCgroup => "clone-into-cgroup",
            Layer::Pidfd => "pidfd",
            Layer::Openat2 => "openat2",
            Layer::CloseRange => "close-range",
            Layer::Memfd => "memfd",
            Layer::NoNewPrivs => "no-new-privs",
            Layer::Seccomp => "seccomp",
            Layer::SeccompNotify => "seccomp-notify",
            Layer::Landlock => "landlock",
            Layer::LandlockScopes => "landlock-scopes",
            Layer::Cgroup => "cgroup",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The layers that a sandbox of this profile cannot do without, when root (`root`) or another user starts it.
pub fn needed(profile: &Profile, root: bool) -> BTreeSet<Layer> {
    // The re-execution itself.
    let mut layers =
        BTreeSet::from([Layer::Proc, Layer::Clone3, Layer::Pidfd, Layer::CloseRange, Layer::Memfd]);
    if !profile.namespaces.is_empty() {
        layers.extend([
            Layer::Kernel,
            Layer::UserNamespace,
            if root { Layer::IdMapUnique } else { Layer::IdMap },
            Layer::MountNamespace,
            Layer::Tmpfs,
            Layer::BindMount,
            Layer::Fsopen,
            Layer::PivotRoot,
            Layer::PidNamespace,
            Layer::Openat2,
        ]);
    }
    if profile.namespaces.is_empty() {
        layers.insert(Layer::OrdinaryUser);
    }
    layers.extend(profile.namespaces.iter().flat_map(|&namespace| of_namespace(namespace)));
    layers.extend(profile.mounts.iter().filter_map(|mount| of_mount(&mount.kind, root)));
    if profile.root.overlay {
        layers.insert(Layer::Overlay);
    }
    if profile.process.no_new_privileges {
        layers.insert(Layer::NoNewPrivs);
    }
    if let Some(policy) = &profile.seccomp {
        layers.insert(Layer::Seccomp);
        if policy.default == Action::Notify || policy.rules.iter().any(|rule| rule.action == Action::Notify) {
            layers.insert(Layer::SeccompNotify);
        }
    }
    if profile.landlock.require {
        layers.insert(Layer::Landlock);
    }
    if !profile.landlock.scopes.is_empty() {
        layers.insert(Layer::LandlockScopes);
    }
    let resources = &profile.resources;
    if resources.memory.is_some() || resources.pids.is_some() || resources.cpus.is_some() {
        layers.insert(Layer::Cgroup);
    }
    layers
}

fn of_namespace(namespace: Namespace) -> Vec<Layer> {
    match namespace {
        Namespace::User => vec![Layer::UserNamespace],
        Namespace::Mount => vec![Layer::MountNamespace],
        Namespace::Pid => vec![Layer::PidNamespace],
        Namespace::Ipc => vec![Layer::IpcNamespace],
        Namespace::Uts => vec![Layer::UtsNamespace],
        Namespace::Network => vec![Layer::NetworkNamespace, Layer::Loopback],
        Namespace::Cgroup => vec![Layer::CgroupNamespace],
        Namespace::Time => vec![Layer::TimeNamespace],
    }
}

fn of_mount(kind: &MountKind, root: bool) -> Option<Layer> {
    match kind {
        MountKind::Bind { idmap, .. } => (*idmap && root).then_some(Layer::IdMappedMount),
        MountKind::Tmpfs { .. } => Some(Layer::Tmpfs),
        MountKind::Proc { subset_pid: true } => Some(Layer::MountProcPid),
        MountKind::Proc { subset_pid: false } => Some(Layer::MountProc),
        MountKind::Dev => Some(Layer::Devpts),
        MountKind::Mqueue => Some(Layer::Mqueue),
        MountKind::Filesystem { fstype, .. } => match fstype.as_str() {
            "tmpfs" => Some(Layer::Tmpfs),
            "proc" => Some(Layer::MountProc),
            "devpts" => Some(Layer::Devpts),
            "mqueue" => Some(Layer::Mqueue),
            _ => Some(Layer::Fsopen),
        },
        MountKind::Node { .. } => Some(Layer::BindMount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for layer in Layer::ALL {
            let json = serde_json::to_string(layer).expect("a name");
            assert_eq!(json, format!("{:?}", layer.name()));
        }
        let distinct: BTreeSet<_> = Layer::ALL.iter().collect();
        assert_eq!(distinct.len(), Layer::ALL.len());
    }
}
