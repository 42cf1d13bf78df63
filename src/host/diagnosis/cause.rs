//! Why a step failed, and the commands that fix it.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::host::apparmor;
use crate::host::failure::errno_name;
use crate::host::kernel::Version;
use crate::host::namespace::kernel_name;
use crate::host::symptoms::{Container, Symptoms};
use crate::profile::Namespace;

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A filter that was there before belljar.
    #[error("a system-call filter around this process (a container's or a service's) refuses {syscall}")]
    OuterSeccomp {
        /// What is refused.
        syscall: String,
    },
    /// Debian's, Arch's and hardened kernels' switch.
    #[error("user namespaces are reserved to root (kernel.unprivileged_userns_clone=0)")]
    UsernsCloneOff,
    /// Ubuntu's restriction: the namespace is created, but nothing may be done in it.
    #[error(
        "AppArmor lets only listed programs use user namespaces (kernel.apparmor_restrict_unprivileged_userns=1)"
    )]
    AppArmorRestricts,
    /// An AppArmor profile around this process.
    #[error("the AppArmor profile {label:?} that this process runs under refuses it")]
    AppArmorProfile {
        /// The profile.
        label: String,
    },
    /// `user.max_*_namespaces`.
    #[error("{}", namespace_limit(*.namespace, *.limit))]
    NamespaceLimit {
        /// Of which kind.
        namespace: Namespace,
        /// How many there may be.
        limit: u64,
    },
    /// 32 levels (user_namespaces(7), pid_namespaces(7)).
    #[error("namespaces are nested 32 deep already, or a limit (user.max_{}_namespaces) of an outer one is reached", kernel_name(*.namespace))]
    NestedTooDeep {
        /// Of which kind.
        namespace: Namespace,
    },
    /// user_namespaces(7): EPERM in a chroot.
    #[error("this process is in a chroot, where the kernel allows no user namespace")]
    Chroot,
    /// SELinux is enforcing; only likely.
    #[error("SELinux is enforcing and its policy likely refuses it")]
    Selinux,
    /// user_namespaces(7): EPERM without a mapping in the parent.
    #[error("this process's user id has no mapping in its own user namespace")]
    UnmappedIds,
    /// The kernel's "VFS: Mount too revealing".
    #[error("{}", proc_masked(.paths))]
    ProcMasked {
        /// What hides a part of it; empty where there is no `/proc` at all.
        paths: Vec<PathBuf>,
    },
    /// A chroot or a container without it.
    #[error("no procfs is mounted at /proc")]
    NoProc,
    /// Root of a container.
    #[error("this process has uid 0 but not CAP_SYS_ADMIN: it is root of a container only")]
    RootWithoutAdmin,
    /// Something for root alone.
    #[error("{syscall} needs CAP_SYS_ADMIN")]
    NeedsAdmin {
        /// What needs it.
        syscall: String,
    },
    /// ENOSYS and its like.
    #[error("{call} needs Linux {needs}{}", .has.map(|has| format!(", this is {has}")).unwrap_or_default())]
    KernelTooOld {
        /// What is missing.
        call: String,
        /// Since when it is there.
        needs: Version,
        /// What runs here.
        has: Option<Version>,
    },
    /// The kernel is new enough, but was built without it.
    #[error("this kernel is built without {option}")]
    KernelWithout {
        /// The build option.
        option: String,
    },
    /// Landlock is built in, but not started.
    #[error("Landlock is not among the security modules that were started at boot{}", .boot_lsm.as_ref().map(|list| format!(" (lsm={list})")).unwrap_or_default())]
    LandlockOff {
        /// The boot parameter, or the list in force.
        boot_lsm: Option<String>,
    },
    /// File systems without `FS_ALLOW_IDMAP`, and mounts that have a map already.
    #[error("the file system at {path} does not support id-mapped mounts")]
    IdmapUnsupported {
        /// Where.
        path: String,
    },
    /// ENODEV.
    #[error("this kernel does not know the file system {kind} (no module, or not built)")]
    FileSystemMissing {
        /// Its type.
        kind: String,
    },
    /// EAGAIN of a new process.
    #[error("a limit on the number of processes is reached{}", process_limits(*.nproc, *.pids_max))]
    ProcessLimit {
        /// `RLIMIT_NPROC`.
        nproc: Option<u64>,
        /// `pids.max`.
        pids_max: Option<u64>,
    },
    /// ENOMEM.
    #[error("the kernel has no memory left for it (or the memory limit of this cgroup is reached)")]
    OutOfMemory,
    /// ENOSPC of a write inside.
    #[error("{object} is larger than the tmpfs it goes to")]
    TmpfsFull {
        /// What was written.
        object: String,
    },
    /// ENOSPC of a mount.
    #[error("the mount namespace holds as many mounts as it may (fs.mount-max)")]
    MountLimit,
    /// EINVAL of `unshare(CLONE_NEWUSER)`.
    #[error("a process with more than one thread cannot enter a user namespace")]
    Threads,
    /// The map was not accepted.
    #[error("the kernel refuses the id map: it asks for ids that this process may not give away")]
    IdMapRefused,
    /// The control group belongs to another user.
    #[error("the control group {object} is not delegated to this user")]
    CgroupNotDelegated {
        /// Which.
        object: String,
    },
    /// Nothing that is known here.
    #[error("the kernel answered {} ({}), and nothing on this host tells why", errno_name(*.errno), .errno.desc())]
    Unexplained {
        /// The answer.
        errno: nix::errno::Errno,
    },
}

impl Cause {
    /// Commands that fix it, in order; empty where no command does.
    pub(crate) fn fix(&self, symptoms: &Symptoms) -> Vec<String> {
        let lite = || LITE.to_owned();
        match self {
            // Where it lets namespaces be made.
            Cause::OuterSeccomp { syscall } if syscall == "sethostname" && symptoms.uid != 0 => {
                vec![container_option(symptoms, "seccomp=unconfined"), NESTED.to_owned(), lite()]
            }
            Cause::OuterSeccomp { .. } => vec![container_option(symptoms, "seccomp=unconfined"), lite()],
            Cause::AppArmorProfile { label } => match symptoms.own_profile() {
                Some(name) => vec![remove_profile(name), lite()],
                None if symptoms.container.is_some() || label.starts_with("docker-") => {
                    vec![container_option(symptoms, "apparmor=unconfined"), lite()]
                }
                // A service's or a package's: it has to be left, and no one command does that.
                None => vec![lite()],
            },
            Cause::ProcMasked { .. } => {
                vec![container_option(symptoms, "systempaths=unconfined"), NESTED.to_owned(), lite()]
            }
            Cause::RootWithoutAdmin => match symptoms.container {
                Some(container) => vec![format!("{} run --cap-add SYS_ADMIN …", engine(container)), lite()],
                None => vec![lite()],
            },
            Cause::NoProc => vec!["sudo mount -t proc proc /proc".to_owned()],
            Cause::UsernsCloneOff => sysctl("kernel.unprivileged_userns_clone", 1),
            Cause::AppArmorRestricts => apparmor_profile(symptoms),
            Cause::NamespaceLimit { namespace, limit } => {
                let more = limit.saturating_mul(2).max(10_000);
                sysctl(&format!("user.max_{}_namespaces", kernel_name(*namespace)), more)
            }
            Cause::Selinux => vec!["sudo ausearch -m avc,user_avc -ts recent | audit2allow".to_owned()],
            Cause::LandlockOff { .. } => vec![
                // The list replaces the default one, so the modules in force must be in it; the last `lsm=`
                // wins.
                "sudo sed -i \"s/^\\(GRUB_CMDLINE_LINUX=\\\"[^\\\"]*\\)\\\"/\\1 lsm=landlock,$(cat /sys/kernel/security/lsm)\\\"/\" \
                 /etc/default/grub"
                    .to_owned(),
                "sudo update-grub || sudo grub2-mkconfig -o /boot/grub2/grub.cfg".to_owned(),
                "sudo reboot".to_owned(),
            ],
            Cause::FileSystemMissing { kind } => vec![format!("sudo modprobe {kind}")],
            Cause::ProcessLimit { .. } => vec!["ulimit -u \"$(ulimit -H -u)\"".to_owned()],
            Cause::TmpfsFull { .. } => vec!["belljar run --set root.size=256MiB …".to_owned()],
            Cause::MountLimit => sysctl("fs.mount-max", 200_000),
            Cause::CgroupNotDelegated { .. } => {
                vec!["systemd-run --user --scope -p Delegate=yes belljar run …".to_owned()]
            }
            Cause::NestedTooDeep { .. } | Cause::Chroot | Cause::UnmappedIds => vec![lite()],
            Cause::IdmapUnsupported { .. } => without_id_map(),
            Cause::KernelTooOld { call, .. } if call.starts_with("MOUNT_ATTR_IDMAP") => without_id_map(),
            Cause::KernelTooOld { .. }
            | Cause::KernelWithout { .. }
            | Cause::NeedsAdmin { .. }
            | Cause::OutOfMemory
            | Cause::Threads
            | Cause::IdMapRefused
            | Cause::Unexplained { .. } => Vec::new(),
        }
    }
}

/// What runs where no namespace can be had.
const LITE: &str = "belljar run -p lite …";
/// The profile that does without what containers refuse where they let namespaces be made.
const NESTED: &str = "belljar run -p nested …";

/// Root's sandbox has an id of its own, so what it writes needs the map; no other user's does, nor what
/// is only read.
fn without_id_map() -> Vec<String> {
    vec!["belljar run --ro-bind DIR …".to_owned(), "sudo -u USER belljar run --bind DIR …".to_owned()]
}

fn sysctl(key: &str, value: u64) -> Vec<String> {
    vec![
        format!("sudo sysctl -w {key}={value}"),
        format!("echo {key}={value} | sudo tee -a /etc/sysctl.d/60-belljar.conf"),
    ]
}

fn engine(container: Container) -> &'static str {
    match container {
        Container::Docker => "docker",
        Container::Podman => "podman",
    }
}

/// The container has to be started differently; nothing can be done from inside.
fn container_option(symptoms: &Symptoms, option: &str) -> String {
    let option = match (symptoms.container, option) {
        (Some(Container::Podman), "systempaths=unconfined") => "unmask=ALL",
        (_, option) => option,
    };
    format!("{} run --security-opt {option} …", symptoms.container.map_or("docker", engine))
}

/// Until it is loaded again. The kernel takes the name as it comes, without a newline; no tool of AppArmor's
/// is needed.
fn remove_profile(name: &str) -> String {
    format!("printf %s '{name}' | sudo tee /sys/kernel/security/apparmor/.remove >/dev/null")
}

fn apparmor_profile(symptoms: &Symptoms) -> Vec<String> {
    let Some(program) = &symptoms.program else {
        return sysctl("kernel.apparmor_restrict_unprivileged_userns", 0);
    };
    let (path, profile) = (apparmor::path(program), apparmor::profile(program));
    vec![
        format!("sudo tee {path} >/dev/null <<'EOF'\n{profile}EOF"),
        format!("sudo apparmor_parser -r {path}"),
    ]
}

fn namespace_limit(namespace: Namespace, limit: u64) -> String {
    let name = kernel_name(namespace);
    match limit {
        0 => format!("{name} namespaces are turned off (user.max_{name}_namespaces=0)"),
        limit => format!(
            "there are as many {name} namespaces as there may be (user.max_{name}_namespaces={limit})"
        ),
    }
}

fn proc_masked(paths: &[PathBuf]) -> String {
    let Some(first) = paths.first() else {
        return "no whole procfs is visible here, so the kernel allows no new one (VFS: Mount too revealing)"
            .to_owned();
    };
    let mut text = format!("/proc is masked here ({}", first.display());
    if let Some(more) = paths.len().checked_sub(1).filter(|&more| more > 0) {
        let _infallible = write!(text, " and {more} more");
    }
    text + "), so the kernel allows no new one that would show more (VFS: Mount too revealing)"
}

fn process_limits(nproc: Option<u64>, pids_max: Option<u64>) -> String {
    match (nproc, pids_max) {
        (Some(nproc), Some(pids)) => format!(" (RLIMIT_NPROC {nproc}, pids.max {pids})"),
        (Some(nproc), None) => format!(" (RLIMIT_NPROC {nproc})"),
        (None, Some(pids)) => format!(" (pids.max {pids})"),
        (None, None) => String::new(),
    }
}
