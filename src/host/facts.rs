//! What a plan needs to know of this kernel and this user.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::seccomp::Arch;
use crate::sys;

/// Number of `RLIMIT_*` resources (`RLIM_NLIMITS`).
const RESOURCES: u32 = 16;
/// Capabilities that the caller's side uses as root: it maps ids, clones and id-maps trees, and gives files away.
const NEEDED: u64 = 1 << CAP_CHOWN | 1 << CAP_SETGID | 1 << CAP_SETUID | 1 << CAP_SYS_ADMIN;
const CAP_CHOWN: u32 = 0;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SYS_ADMIN: u32 = 21;

/// What this kernel and this user can do. Data only, so that a plan can be made for another host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Facts {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Effective capabilities, bit N is capability N.
    pub capabilities: u64,
    /// Ids that the caller's user namespace maps, the lesser of users and groups; `None` where `/proc` does not tell.
    pub mapped_ids: Option<u64>,
    /// Kernel version, major and minor.
    pub kernel: (u32, u32),
    /// Landlock's ABI; `None` where the kernel has none or has it switched off.
    pub landlock_abi: Option<u32>,
    /// The machine.
    pub arch: Arch,
    /// Working directory, absolute; `None` where it is deleted or out of reach.
    pub cwd: Option<PathBuf>,
    /// The caller's own resource limits, by `RLIMIT_*` number.
    pub limits: Vec<HostLimit>,
}

/// A resource limit of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct HostLimit {
    /// `RLIMIT_*`
    pub resource: u32,
    /// Soft value, `u64::MAX` is unlimited.
    pub soft: u64,
    /// Hard value.
    pub hard: u64,
}

/// A fact that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// A system call that cannot fail did.
    #[error("facts of the host: {syscall} failed")]
    Syscall {
        /// Its name.
        syscall: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel's release is not a version.
    #[error("facts of the host: kernel release {release:?} has no version number")]
    Release {
        /// `uname -r`
        release: String,
    },
}

impl Facts {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Where one of the system calls fails that do not in practice.
    pub fn detect() -> Result<Self, FactsError> {
        let syscall = |syscall| move |source: io::Error| FactsError::Syscall { syscall, source };
        let utsname = nix::sys::utsname::uname().map_err(|e| syscall("uname")(e.into()))?;
        let groups = nix::unistd::getgroups().map_err(|e| syscall("getgroups")(e.into()))?;
        Ok(Self {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
            capabilities: sys::capability::effective().map_err(|e| syscall("capget")(e.into()))?,
            mapped_ids: mapped("/proc/self/uid_map").and_then(|u| Some(u.min(mapped("/proc/self/gid_map")?))),
            kernel: version(&utsname.release().to_string_lossy())?,
            landlock_abi: landlock_abi().map_err(|e| syscall("landlock_create_ruleset")(e.into()))?,
            arch: Arch::NATIVE,
            cwd: std::env::current_dir().ok().filter(|cwd| cwd.is_absolute()),
            limits: limits().map_err(syscall("getrlimit"))?,
        })
    }

    /// Whether the caller is root with what it takes to give a sandbox an id of its own and to id-map what it binds.
    #[must_use]
    pub fn privileged(&self) -> bool {
        self.uid == 0 && self.capabilities & NEEDED == NEEDED
    }

    /// The caller's limit for a resource.
    #[must_use]
    pub fn limit(&self, resource: u32) -> Option<HostLimit> {
        self.limits.iter().copied().find(|limit| limit.resource == resource)
    }
}

fn landlock_abi() -> Result<Option<u32>, Errno> {
    match sys::landlock::abi() {
        // Not built in; off at boot; refused by a container's filter.
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM) => Ok(None),
        abi => abi.map(Some),
    }
}

fn limits() -> io::Result<Vec<HostLimit>> {
    (0..RESOURCES)
        .map(|resource| {
            let mut value = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: writes one `rlimit64`, which lives through the call.
            let result = unsafe { libc::prlimit64(0, resource as _, std::ptr::null(), &raw mut value) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(HostLimit { resource, soft: value.rlim_cur, hard: value.rlim_max })
        })
        .collect()
}

/// How many ids a `/proc/PID/{u,g}id_map` maps, see `user_namespaces(7)`.
fn mapped(path: &str) -> Option<u64> {
    let map = std::fs::read_to_string(path).ok()?;
    let mut total = 0_u64;
    for line in map.lines() {
        total = total.saturating_add(line.split_whitespace().nth(2)?.parse().ok()?);
    }
    Some(total)
}

fn version(release: &str) -> Result<(u32, u32), FactsError> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(FactsError::Release { release: release.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("6.18.44-fc-v857").unwrap(), (6, 18));
        assert_eq!(version("5.4").unwrap(), (5, 4));
        assert_eq!(version("6.1+").unwrap(), (6, 1));
        assert!(version("linux").is_err());
        assert!(version("6").is_err());
    }

    #[test]
    fn detected_facts_agree_with_procfs() {
        let facts = Facts::detect().unwrap();
        assert_eq!(facts.limits.len(), 16);
        assert!(facts.limits.iter().all(|l| l.soft <= l.hard));
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        assert_eq!(facts.capabilities, u64::from_str_radix(&field("CapEff:"), 16).unwrap());
        let uid = status.lines().find(|l| l.starts_with("Uid:")).unwrap().split_whitespace().nth(2).unwrap();
        assert_eq!(facts.uid.to_string(), uid);
        assert!(facts.kernel >= (4, 0));
        assert_eq!(facts.cwd, std::env::current_dir().ok());
    }

    #[test]
    fn root_needs_its_capabilities() {
        let mut facts = Facts::detect().unwrap();
        facts.uid = 0;
        facts.capabilities = NEEDED;
        assert!(facts.privileged());
        facts.capabilities &= !(1 << CAP_SYS_ADMIN);
        assert!(!facts.privileged());
        facts.capabilities = NEEDED;
        facts.uid = 1000;
        assert!(!facts.privileged());
    }
}
