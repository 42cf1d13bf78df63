//! Readings of this host that tell why a step failed. Nothing is tried here, only read; a missing reading is
//! a value.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::capability::{Capability, CapabilitySet};
use crate::host::kernel::Version;
use crate::host::namespace::{self, kernel_name};
use crate::host::read;
use crate::profile::Namespace;

/// Readings of the host and of the calling process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Symptoms {
    /// The kernel's version.
    pub kernel: Option<Version>,
    /// The caller's effective user id.
    pub uid: u32,
    /// `CapEff` of the caller.
    pub capabilities: Option<CapabilitySet>,
    /// `Seccomp` of the caller: 2 is a filter that was put over it.
    pub seccomp: Option<u64>,
    /// Threads of the caller.
    pub threads: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian, Arch, hardened kernels).
    pub userns_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu).
    pub apparmor_userns: Option<u64>,
    /// The caller's AppArmor profile; `unconfined` without one.
    pub apparmor_label: Option<String>,
    /// That of the process that started the caller.
    pub apparmor_parent: Option<String>,
    /// Whether SELinux is enforcing.
    pub selinux_enforcing: Option<bool>,
    /// `user.max_*_namespaces`.
    pub namespace_limits: BTreeMap<Namespace, u64>,
    /// Namespaces that the kernel was built with; `None` without `/proc`.
    pub namespaces: Option<BTreeSet<Namespace>>,
    /// Whether the caller is in the first user namespace.
    pub initial_userns: Option<bool>,
    /// Whether the caller's user id has no meaning in its own user namespace.
    pub uid_unmapped: bool,
    /// Whether the caller's root is not the root of its mount namespace.
    pub chrooted: Option<bool>,
    /// Whether a procfs is at `/proc`.
    pub proc_mounted: bool,
    /// Mounts that hide a part of `/proc`, as container engines put there.
    pub proc_masks: Vec<PathBuf>,
    /// `/sys/kernel/security/lsm`.
    pub lsm: Option<String>,
    /// The `lsm=` boot parameter.
    pub boot_lsm: Option<String>,
    /// `RLIMIT_NPROC` (soft), where there is one.
    pub nproc: Option<u64>,
    /// `pids.max` of the caller's own cgroup, where there is one.
    pub pids_max: Option<u64>,
    /// What the caller is in, where it shows: `docker`, `podman` or another container.
    pub container: Option<Container>,
    /// The caller's program.
    pub program: Option<PathBuf>,
}

/// A container engine, as far as it shows from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// `/.dockerenv`
    Docker,
    /// `/run/.containerenv`
    Podman,
}

impl Symptoms {
    /// Reads them: a few dozen small files, none of them in the way of others.
    pub fn read() -> Self {
        let mut symptoms = Self::read_under(Path::new("/"));
        symptoms.uid = nix::unistd::geteuid().as_raw();
        symptoms.nproc = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NPROC)
            .ok()
            .map(|(soft, _)| soft)
            .filter(|&soft| soft != libc::RLIM_INFINITY);
        symptoms.uid_unmapped =
            read::text("/proc/self/uid_map").is_some_and(|map| unmapped(&map, symptoms.uid));
        symptoms.chrooted = chrooted();
        symptoms
    }

    /// All that comes from files, below another root than `/` in tests.
    fn read_under(root: &Path) -> Self {
        let at = |path: &str| root.join(path);
        let status = read::text(at("proc/self/status")).unwrap_or_default();
        let mounts = read::text(at("proc/self/mountinfo"));
        let uid_map = read::text(at("proc/self/uid_map"));
        let release = read::text(at("proc/sys/kernel/osrelease"));
        Self {
            kernel: release.as_deref().and_then(Version::parse),
            uid: 0,
            capabilities: read::field(&status, "CapEff").and_then(CapabilitySet::from_hexadecimal),
            seccomp: read::field(&status, "Seccomp").and_then(|mode| mode.parse().ok()),
            threads: read::field(&status, "Threads").and_then(|threads| threads.parse().ok()),
            userns_clone: read::number(at("proc/sys/kernel/unprivileged_userns_clone")),
            apparmor_userns: read::number(at("proc/sys/kernel/apparmor_restrict_unprivileged_userns")),
            apparmor_label: read::text(at("proc/self/attr/apparmor/current")),
            apparmor_parent: read::field(&status, "PPid")
                .and_then(|parent| read::text(at(&format!("proc/{parent}/attr/apparmor/current")))),
            selinux_enforcing: read::number(at("sys/fs/selinux/enforce")).map(|mode| mode == 1),
            namespace_limits: namespace::ALL
                .into_iter()
                .filter_map(|namespace| {
                    let limit = format!("proc/sys/user/max_{}_namespaces", kernel_name(namespace));
                    Some((namespace, read::number(at(&limit))?))
                })
                .collect(),
            namespaces: at("proc/self/ns").is_dir().then(|| {
                namespace::ALL
                    .into_iter()
                    .filter(|namespace| {
                        at("proc/self/ns").join(kernel_name(*namespace)).symlink_metadata().is_ok()
                    })
                    .collect()
            }),
            initial_userns: uid_map.map(|map| map.split_whitespace().eq(["0", "0", "4294967295"])),
            uid_unmapped: false,
            chrooted: None,
            proc_mounted: mounts.as_deref().is_some_and(|mounts| proc_at(mounts, "/proc")),
            proc_masks: mounts.as_deref().map(proc_masks).unwrap_or_default(),
            lsm: read::text(at("sys/kernel/security/lsm")),
            boot_lsm: read::text(at("proc/cmdline")).and_then(|line| {
                Some(line.split_whitespace().rev().find_map(|word| word.strip_prefix("lsm="))?.to_owned())
            }),
            nproc: None,
            pids_max: read::text(at("proc/self/cgroup")).and_then(|groups| pids_max(root, &groups)),
            container: [(".dockerenv", Container::Docker), ("run/.containerenv", Container::Podman)]
                .into_iter()
                .find_map(|(mark, container)| at(mark).exists().then_some(container)),
            program: at("proc/self/exe").read_link().ok().map(existing),
        }
    }

    /// Whether the caller has this capability; unknown counts as not.
    pub(crate) fn capable(&self, capability: Capability) -> bool {
        self.capabilities.is_some_and(|set| set.contains(capability))
    }

    /// Whether a system-call filter was put over the caller.
    pub(crate) fn filtered(&self) -> bool {
        self.seccomp == Some(2)
    }

    /// The AppArmor profile that confines the caller, if one does.
    pub(crate) fn confined(&self) -> Option<&str> {
        self.apparmor_label.as_deref().filter(|label| confines(label))
    }

    /// The name of the AppArmor profile that confines the caller, if it is one for the caller's program: what
    /// started the program is not confined. None for a profile of another policy namespace, nor for a stack
    /// of them.
    pub(crate) fn own_profile(&self) -> Option<&str> {
        let label = self.confined()?;
        let name = label.rsplit_once(" (").map_or(label, |(name, _mode)| name);
        let simple = !name.starts_with(':') && !name.contains("//&") && !name.contains(['\'', '\n']);
        let parent = self.apparmor_parent.as_deref()?;
        (simple && !parent.is_empty() && !confines(parent)).then_some(name)
    }
}

/// Whether a process with this label of AppArmor's is confined.
fn confines(label: &str) -> bool {
    !label.starts_with("unconfined") && !label.ends_with("(unconfined)") && !label.is_empty()
}

/// The path that a program had before it was replaced, which is where the next one will be.
fn existing(program: PathBuf) -> PathBuf {
    match program.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) => PathBuf::from(OsString::from_vec(path.to_vec())),
        None => program,
    }
}

/// Whether no extent of the map holds the id.
fn unmapped(map: &str, id: u32) -> bool {
    !map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map_while(|number| number.parse::<u64>().ok());
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(first), Some(_), Some(count)) => {
                (first..first.saturating_add(count)).contains(&u64::from(id))
            }
            _ => false,
        }
    })
}

/// Mount points and file system types, from `mountinfo`.
fn mount_points(mounts: &str) -> impl Iterator<Item = (&str, &str)> {
    mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        Some((left.split(' ').nth(4)?, right.split(' ').next()?))
    })
}

fn proc_at(mounts: &str, at: &str) -> bool {
    mount_points(mounts).any(|(point, kind)| point == at && kind == "proc")
}

/// What is mounted over parts of `/proc`. A file system that belongs there (binfmt_misc, nfsd) hides nothing:
/// its mount point is an empty directory that the kernel made for it.
pub(crate) fn proc_masks(mounts: &str) -> Vec<PathBuf> {
    mount_points(mounts)
        .filter(|(point, kind)| {
            point.starts_with("/proc/") && !matches!(*kind, "binfmt_misc" | "nfsd" | "autofs")
        })
        .map(|(point, _)| PathBuf::from(point))
        .collect()
}

/// `pids.max` of the caller's cgroup, in either hierarchy.
fn pids_max(root: &Path, groups: &str) -> Option<u64> {
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let mount = match controllers {
            "" => "sys/fs/cgroup",
            list if list.split(',').any(|controller| controller == "pids") => "sys/fs/cgroup/pids",
            _ => return None,
        };
        read::number(root.join(mount).join(path.trim_start_matches('/')).join("pids.max"))
    })
}

/// A chroot shows in that no mount is at `/` (its directory is not a mount), or in that the first process of
/// the same mount namespace has another root.
fn chrooted() -> Option<bool> {
    let mounts = read::text("/proc/self/mountinfo")?;
    if !mount_points(&mounts).any(|(point, _)| point == "/") {
        return Some(true);
    }
    let same_namespace =
        std::fs::read_link("/proc/1/ns/mnt").ok()? == std::fs::read_link("/proc/self/ns/mnt").ok()?;
    let (first, own) = (std::fs::metadata("/proc/1/root/").ok()?, std::fs::metadata("/").ok()?);
    Some(same_namespace && (first.dev(), first.ino()) != (own.dev(), own.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_readings() {
        let symptoms = Symptoms::read();
        assert!(symptoms.kernel >= Version::parse("4.0"), "{symptoms:?}");
        assert!(symptoms.capabilities.is_some());
        assert!(symptoms.threads >= Some(1));
        assert!(symptoms.namespaces.as_ref().is_some_and(|set| set.contains(&Namespace::Mount)));
        assert!(symptoms.program.as_ref().is_some_and(|path| path.is_absolute()));
        assert!(symptoms.proc_mounted);
    }

    #[test]
    fn an_empty_root_has_none() {
        let root = tempfile::tempdir().expect("a directory");
        let symptoms = Symptoms::read_under(root.path());
        assert_eq!(symptoms, Symptoms::default());
    }

    #[test]
    fn a_docker_like_root_is_read() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            std::fs::write(path, text).expect("a file");
        };
        write(".dockerenv", "");
        write(
            "proc/self/status",
            "Name:\tx\nPPid:\t7\nThreads:\t3\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n",
        );
        write(
            "proc/self/mountinfo",
            "1 0 0:1 / /proc rw - proc proc rw\n2 1 0:2 / /proc/kcore rw - tmpfs tmpfs rw\n3 1 0:3 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw\n",
        );
        write("proc/self/uid_map", "         0     100000      65536\n");
        write("proc/self/cgroup", "0::/docker/x\n");
        write("sys/fs/cgroup/docker/x/pids.max", "max\n");
        write("proc/sys/kernel/osrelease", "5.15.0-1-generic\n");
        write("proc/sys/kernel/unprivileged_userns_clone", "0\n");
        write("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
        write("proc/sys/user/max_user_namespaces", "0\n");
        write("proc/self/attr/apparmor/current", "docker-default (enforce)\n");
        write("proc/7/attr/apparmor/current", "docker-default (enforce)\n");
        write("proc/cmdline", "quiet lsm=yama,apparmor root=/dev/sda\n");
        let symptoms = Symptoms::read_under(root.path());
        assert_eq!(symptoms.kernel, Version::parse("5.15"));
        assert!(symptoms.filtered());
        assert!(!symptoms.capable(Capability::CAP_SYS_ADMIN));
        assert_eq!(symptoms.threads, Some(3));
        assert_eq!(symptoms.userns_clone, Some(0));
        assert_eq!(symptoms.apparmor_userns, Some(1));
        assert_eq!(symptoms.confined(), Some("docker-default (enforce)"));
        assert_eq!(symptoms.apparmor_parent.as_deref(), Some("docker-default (enforce)"));
        assert_eq!(symptoms.own_profile(), None);
        assert_eq!(symptoms.namespace_limits.get(&Namespace::User), Some(&0));
        assert_eq!(symptoms.initial_userns, Some(false));
        assert_eq!(symptoms.proc_masks, [PathBuf::from("/proc/kcore")]);
        assert!(symptoms.proc_mounted);
        assert_eq!(symptoms.boot_lsm.as_deref(), Some("yama,apparmor"));
        assert_eq!(symptoms.container, Some(Container::Docker));
        assert_eq!(symptoms.pids_max, None);
        write("sys/fs/cgroup/docker/x/pids.max", "100\n");
        assert_eq!(Symptoms::read_under(root.path()).pids_max, Some(100));
    }

    #[test]
    fn a_map_tells_whether_an_id_means_anything() {
        assert!(!unmapped("0 0 4294967295", 65534));
        assert!(unmapped("0 1000 1", 65534));
        assert!(!unmapped("0 1000 1\n1 100000 65536", 65534));
        assert!(unmapped("", 0));
    }

    #[test]
    fn a_profile_is_the_programs_own_if_what_started_it_has_none() {
        let own = |label: &str, parent: Option<&str>| {
            let (apparmor_label, apparmor_parent) = (Some(label.to_owned()), parent.map(str::to_owned));
            let symptoms = Symptoms { apparmor_label, apparmor_parent, ..Symptoms::default() };
            symptoms.own_profile().map(str::to_owned)
        };
        let free = Some("unconfined");
        assert_eq!(own("belljar (enforce)", free).as_deref(), Some("belljar"));
        assert_eq!(own("/opt/a (b)/x (complain)", free).as_deref(), Some("/opt/a (b)/x"));
        assert_eq!(own("belljar (enforce)", Some("tools (unconfined)")).as_deref(), Some("belljar"));
        assert_eq!(own("belljar (enforce)", Some("belljar (enforce)")), None);
        assert_eq!(own("a//b (enforce)", Some("a (enforce)")), None);
        assert_eq!(own("belljar (enforce)", Some("")), None);
        assert_eq!(own("belljar (enforce)", None), None);
        assert_eq!(own("belljar (unconfined)", free), None);
        assert_eq!(own(":lxd:belljar (enforce)", free), None);
        assert_eq!(own("a//&b (enforce)", free), None);
        assert_eq!(own("a' b (enforce)", free), None);
    }

    #[test]
    fn a_replaced_program_keeps_its_path() {
        assert_eq!(existing("/usr/bin/x (deleted)".into()), PathBuf::from("/usr/bin/x"));
        assert_eq!(existing("/usr/bin/x".into()), PathBuf::from("/usr/bin/x"));
    }
}
