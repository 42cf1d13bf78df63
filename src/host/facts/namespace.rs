//! The kernel's own names and flags of the namespaces, as in namespaces(7).

use crate::profile::Namespace;

/// All of them, in the order in which the kernel lists them in clone(2).
pub(crate) const ALL: [Namespace; 8] = [
    Namespace::User,
    Namespace::Mount,
    Namespace::Pid,
    Namespace::Ipc,
    Namespace::Uts,
    Namespace::Network,
    Namespace::Cgroup,
    Namespace::Time,
];

/// Its name in `/proc/self/ns` and in `user.max_*_namespaces`.
pub(crate) fn kernel_name(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::User => "user",
        Namespace::Mount => "mnt",
        Namespace::Pid => "pid",
        Namespace::Ipc => "ipc",
        Namespace::Uts => "uts",
        Namespace::Network => "net",
        Namespace::Cgroup => "cgroup",
        Namespace::Time => "time",
    }
}
