//! What a plan needs to know of this kernel and this user.

#[cfg(feature = "doctor")]
pub(crate) mod id_mapped;
pub(crate) mod kernel;
#[cfg(feature = "doctor")]
pub(crate) mod namespace;
#[cfg(feature = "doctor")]
pub(crate) mod read;
#[cfg(any(test, feature = "internals"))]
mod sample;
pub(crate) mod subordinate;

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::subordinate::{Subordinate, SubordinateError};
use crate::capability::{Capability, CapabilitySet};
use crate::seccomp::Arch;
use crate::sys;

/// Number of `RLIMIT_*` resources (`RLIM_NLIMITS`).
const RESOURCES: u32 = 16;
/// Capabilities that the caller's side uses as root: it maps ids, clones and id-maps trees, and gives files
/// away.
const NEEDED: CapabilitySet = CapabilitySet::of(&[
    Capability::CAP_CHOWN,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_ADMIN,
]);
/// Those that it uses to run the sandbox as another user: the ids, pipes that become theirs, and to end it.
const NEEDED_TO_STEP_DOWN: CapabilitySet = CapabilitySet::of(&[
    Capability::CAP_CHOWN,
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
]);
/// Ids that no tool hands out, the first choice first (systemd's UIDS-GIDS table): 1879048192 to 2147352575
/// is unused; 61184 to 65519 are its dynamic users, of which there are none in a container that maps 65536 ids.
const SPARE: [(u32, u32); 2] = [(0x7000_0000, 0x7800_0000), (61_184, 65_520)];
/// The other half of the unused ones, for sandboxes with a range of ids.
const SPARE_BLOCKS: (u32, u32) = (0x7800_0000, 0x7ffe_0000);

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
    /// Effective capabilities.
    pub capabilities: CapabilitySet,
    /// Ids that the caller's user namespace maps, the lesser of users and groups; `None` where `/proc` does
    /// not tell.
    pub mapped_ids: Option<u64>,
    /// Ids that nothing else has and that the caller's user namespace maps, first and last + 1; `None` where
    /// it maps none.
    pub spare_ids: Option<(u32, u32)>,
    /// Blocks of ids that nothing else has and that the caller's user namespace maps, first and last + 1:
    /// none of `spare_ids` is among them.
    pub spare_blocks: Option<(u32, u32)>,
    /// The subordinate ids of an ordinary user; `None` where they were not asked for: see
    /// [`Facts::with_subordinate`].
    pub subordinate: Option<Result<Subordinate, SubordinateError>>,
    /// Whether the caller's id could be the root of the host: it is 0 outside of its user namespace, too, or
    /// `/proc` does not tell.
    pub root_outside: bool,
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
    /// Whether the host starts a program of its own for a crash with `RLIMIT_CORE` 0, which is then the
    /// caller's hard limit.
    pub crash_handler: bool,
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

/// The working directory; `None` where it was removed or is out of reach. Any other failure is no answer: the
/// run would begin elsewhere.
fn cwd() -> io::Result<Option<PathBuf>> {
    use io::ErrorKind::{NotFound, PermissionDenied};
    match std::env::current_dir() {
        Ok(cwd) => Ok(Some(cwd).filter(|cwd| cwd.is_absolute())),
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
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
        let maps = [IdMap::read("/proc/self/uid_map"), IdMap::read("/proc/self/gid_map")];
        let uid = nix::unistd::geteuid().as_raw();
        let limits = limits().map_err(syscall("getrlimit"))?;
        Ok(Self {
            uid,
            gid: nix::unistd::getegid().as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
            capabilities: sys::capability::effective().map_err(|e| syscall("capget")(e.into()))?,
            mapped_ids: maps.iter().map(|map| map.as_ref().map(IdMap::count)).min().flatten(),
            spare_ids: spare(&maps),
            spare_blocks: holds_all(&maps, SPARE_BLOCKS).then_some(SPARE_BLOCKS),
            subordinate: None,
            root_outside: maps[0]
                .as_ref()
                .and_then(|map| map.outside(uid))
                .is_none_or(|outside| outside == 0),
            kernel: version(&utsname.release().to_string_lossy())?,
            landlock_abi: landlock_abi().map_err(|e| syscall("landlock_create_ruleset")(e.into()))?,
            arch: Arch::NATIVE,
            cwd: cwd().map_err(syscall("getcwd"))?,
            crash_handler: limits.iter().any(|limit| limit.resource == CORE && limit.hard == 0)
                && crash_handler(),
            limits,
        })
    }

    /// The same, with the caller's subordinate ids, for a profile that maps ranges of ids.
    #[must_use]
    pub fn with_subordinate(self) -> Self {
        Self { subordinate: Some(Subordinate::find(self.uid)), ..self }
    }

    /// Whether the caller is root with what it takes to give a sandbox an id of its own and to id-map what it
    /// binds.
    #[must_use]
    pub fn privileged(&self) -> bool {
        self.uid == 0 && self.capabilities.contains_all(NEEDED)
    }

    /// Whether the caller is root and can run a sandbox without namespaces under an id that is not root's.
    #[must_use]
    pub fn can_step_down(&self) -> bool {
        self.uid == 0 && self.capabilities.contains_all(NEEDED_TO_STEP_DOWN)
    }

    /// Whether the caller's uid 0 is an ordinary user's id outside of its user namespace (`unshare -Ur`, the
    /// root of a rootless container).
    #[must_use]
    pub fn ordinary_outside(&self) -> bool {
        self.uid == 0 && !self.root_outside
    }

    /// Whether a sandbox with namespaces gets the caller's own id: of an ordinary user, or of one who is
    /// called root in a user namespace and has no other id to give.
    #[must_use]
    pub fn is_as_a_user(&self) -> bool {
        let gives_another = self.privileged() && self.spare_ids.is_some();
        self.uid != 0 || (!gives_another && self.ordinary_outside() && self.can_map_root())
    }

    /// Whether a caller who is uid 0 may map this id into a further user namespace (user_namespaces(7), since
    /// Linux 5.12).
    fn can_map_root(&self) -> bool {
        self.capabilities.contains(Capability::CAP_SETFCAP)
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

/// Whether `core_pattern` names a program or a socket; it does, where it cannot be read (core(5)).
fn crash_handler() -> bool {
    std::fs::read("/proc/sys/kernel/core_pattern")
        .map_or(true, |pattern| pattern.starts_with(b"|") || pattern.starts_with(b"@"))
}

/// `RLIMIT_CORE`
const CORE: u32 = 4;

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

/// A `/proc/PID/{u,g}id_map`, see `user_namespaces(7)`: first inside, first outside, count.
struct IdMap(Vec<[u32; 3]>);

impl IdMap {
    fn read(path: &str) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |line: &str| {
            let numbers: Vec<u32> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
            numbers.try_into().ok()
        };
        text.lines().map(line).collect::<Option<_>>().map(Self)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|[_, _, count]| u64::from(*count)).sum()
    }

    fn outside(&self, id: u32) -> Option<u32> {
        self.0.iter().find_map(|[first, outside, count]| {
            let at = id.checked_sub(*first).filter(|at| at < count)?;
            outside.checked_add(at)
        })
    }

    fn holds(&self, (first, end): (u32, u32)) -> bool {
        self.0.iter().any(|[start, _, count]| {
            *start <= first && u64::from(end) <= u64::from(*start) + u64::from(*count)
        })
    }
}

/// The first choice that both maps hold. Without a `/proc` that tells, the kernel will.
fn spare(maps: &[Option<IdMap>; 2]) -> Option<(u32, u32)> {
    SPARE.into_iter().find(|range| holds_all(maps, *range))
}

fn holds_all(maps: &[Option<IdMap>; 2], range: (u32, u32)) -> bool {
    maps.iter().flatten().all(|map| map.holds(range))
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
        assert_eq!(facts.capabilities.bits(), u64::from_str_radix(&field("CapEff:"), 16).unwrap());
        let uid = status.lines().find(|l| l.starts_with("Uid:")).unwrap().split_whitespace().nth(2).unwrap();
        assert_eq!(facts.uid.to_string(), uid);
        assert!(facts.kernel >= (4, 0));
        assert_eq!(facts.cwd, std::env::current_dir().ok());
    }

    #[test]
    fn an_id_of_ones_own_is_one_that_the_maps_hold() {
        let host = "         0          0 4294967295\n";
        let rootless = "0 1000 1\n1 100000 65536\n";
        for (uids, gids, expected) in [
            (Some(host), Some(host), Some(SPARE[0])),
            (Some(rootless), Some(rootless), Some(SPARE[1])),
            (Some(host), Some(rootless), Some(SPARE[1])),
            (Some("0 1000 1\n"), Some(host), None),
            (Some(host), Some("0 1000 1\n"), None),
            // Too short by one, and in two parts.
            (Some("0 100000 65519\n"), Some(host), None),
            (Some("0 100000 62000\n62000 300000 4000\n"), Some(host), None),
            (None, Some(rootless), Some(SPARE[1])),
            (None, None, Some(SPARE[0])),
        ] {
            let maps = [uids, gids].map(|map| map.map(|map| IdMap::parse(map).expect("a map")));
            assert_eq!(spare(&maps), expected, "{uids:?} {gids:?}");
        }
        let map = IdMap::parse(rootless).unwrap();
        assert_eq!(
            [0, 1, 65_536, 65_537].map(|id| map.outside(id)),
            [Some(1000), Some(100_000), Some(165_535), None]
        );
        assert_eq!(map.count(), 65_537);
        assert!(IdMap::parse("0 1000\n").is_none() && IdMap::parse("a b c\n").is_none());
    }

    #[test]
    fn root_needs_its_capabilities() {
        let mut facts = Facts::detect().unwrap();
        facts.uid = 0;
        facts.capabilities = NEEDED;
        assert!(facts.privileged());
        facts.capabilities = NEEDED & !CapabilitySet::of(&[Capability::CAP_SYS_ADMIN]);
        assert!(!facts.privileged());
        facts.capabilities = NEEDED;
        facts.uid = 1000;
        assert!(!facts.privileged());
    }
}
