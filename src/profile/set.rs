//! One thing at a time, from code: what a command line's own options change. Each is checked as the same key
//! in a file is, and leaves the profile as it was where it fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mounts::{DEFAULT_INODES, DEFAULT_MODE};
use super::{
    IdMap, Mount, MountKind, Namespace, Origin, Place, Profile, ProfileError, Rlimit, Throttle, Throttled,
    User, ValueError, Workdir, check, names, units,
};
use crate::host::plain;

/// The network that a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// None but a loopback of its own.
    None,
    /// The host's: everything that the host can reach, and what listens on its loopback.
    Host,
}

impl Profile {
    /// Shows a file or directory of the host at `destination`, in place of what the profile has there.
    /// A relative `source` starts at the current directory.
    ///
    /// # Errors
    /// `destination` is not absolute and normalised, or is the root; without namespaces: it is not the same
    /// as `source`.
    pub fn add_bind(
        &mut self,
        source: &Path,
        destination: &Path,
        readonly: bool,
    ) -> Result<(), ProfileError> {
        self.change("add_bind", "mounts", |profile| {
            // As root the sandbox has another id on the host: what is named one by one is shown as its own,
            // as it is for an ordinary user, so that it can be read though its mode is 0600, and what is
            // written keeps the owner. Without namespaces nothing is mounted, and ids are the caller's.
            let idmap = !profile.namespaces.is_empty();
            let kind = MountKind::Bind { source: check::real_host_path(source)?, idmap };
            profile.put(check::destination(destination)?, kind, readonly);
            Ok(())
        })
    }

    /// Puts an empty file system in memory at `destination`; `None` holds 64 MiB.
    ///
    /// # Errors
    /// As [`Self::add_bind`]; a size of 0 or above 2^63 - 1; without namespaces.
    pub fn add_tmpfs(&mut self, destination: &Path, size: Option<u64>) -> Result<(), ProfileError> {
        self.change("add_tmpfs", "mounts", |profile| {
            let size = positive(size.unwrap_or(super::mounts::DEFAULT_SIZE))?;
            let kind = MountKind::Tmpfs { size, inodes: DEFAULT_INODES, mode: DEFAULT_MODE };
            profile.put(check::destination(destination)?, kind, false);
            Ok(())
        })
    }

    /// Makes a directory of the host the root. The host's system is not shown in it, and `/etc` is its own.
    ///
    /// # Errors
    /// The path is empty or has control characters; without namespaces.
    pub fn set_rootfs(&mut self, directory: &Path) -> Result<(), ProfileError> {
        self.change("set_rootfs", "root.path", |profile| {
            profile.root.path = Some(check::real_host_path(directory)?);
            profile.leave_system_to_root();
            Ok(())
        })
    }

    /// Whether writes to the root directory go to memory and are thrown away. The root can then be written
    /// to.
    ///
    /// # Errors
    /// There is no root directory.
    pub fn set_overlay(&mut self, overlay: bool) -> Result<(), ProfileError> {
        self.change("set_overlay", "root.overlay", |profile| {
            profile.root.overlay = overlay;
            profile.root.readonly &= !overlay;
            Ok(())
        })
    }

    /// Sets a variable (`K=V`) or passes the caller's on (`K`), in place of what the profile says about it.
    ///
    /// # Errors
    /// No name, or one with spaces or control characters in it.
    pub fn set_env(&mut self, entry: &str) -> Result<(), ProfileError> {
        self.change("set_env", "process.env", |profile| {
            let name = check::variable(entry)?;
            profile.process.env.retain(|other| check::variable(other) != Ok(name));
            profile.process.env.push(entry.to_owned());
            profile.process.env.sort();
            Ok(())
        })
    }

    /// The ids inside.
    ///
    /// # Errors
    /// An id is 4294967295, which is "none" to the kernel; without namespaces.
    pub fn set_user(&mut self, user: User) -> Result<(), ProfileError> {
        self.change("set_user", "process.user", |profile| {
            units::user(&format!("{}:{}", user.uid, user.gid))?;
            profile.process.user = Some(user);
            Ok(())
        })
    }

    /// The ids that the user namespace maps, of users and of groups.
    ///
    /// # Errors
    /// One of them is [`IdMap::One`] and the other is not, or [`IdMap::Auto`] and the other is not; without
    /// namespaces.
    pub fn set_id_mappings(&mut self, users: IdMap, groups: IdMap) -> Result<(), ProfileError> {
        self.change("set_id_mappings", "uidMappings", |profile| {
            (profile.uid_mappings, profile.gid_mappings) = (users, groups);
            Ok(())
        })
    }

    /// The host name inside.
    ///
    /// # Errors
    /// It is not one (hostname(7)), or there is no uts namespace.
    pub fn set_hostname(&mut self, hostname: &str) -> Result<(), ProfileError> {
        self.change("set_hostname", "hostname", |profile| {
            profile.hostname = Some(check::hostname(hostname)?);
            Ok(())
        })
    }

    /// Whether there is a network. What the system-call filter says about sockets stays as it is.
    ///
    /// # Errors
    /// Without namespaces there is none to choose.
    pub fn set_network(&mut self, network: Network) -> Result<(), ProfileError> {
        if self.namespaces.is_empty() {
            return Err(ProfileError::Conflict {
                profile: Origin::Text(self.name.clone()),
                key: "namespaces".to_owned(),
                source: super::Conflict::NeedsNamespaces,
            });
        }
        self.joined.remove(&Namespace::Network);
        match network {
            Network::None => self.namespaces.insert(Namespace::Network),
            Network::Host => self.namespaces.remove(&Namespace::Network),
        };
        Ok(())
    }

    /// How the caller's working directory is shown.
    ///
    /// # Errors
    /// Without Landlock and without namespaces nothing would hold it.
    pub fn set_workdir(&mut self, workdir: Workdir) -> Result<(), ProfileError> {
        self.change("set_workdir", "workdir", |profile| {
            profile.workdir = workdir;
            Ok(())
        })
    }

    /// Which symlinks a source may lead through.
    pub fn set_symlinks(&mut self, symlinks: super::Symlinks) {
        self.symlinks = symlinks;
    }

    /// What is done where a socket or FIFO of the host would be shown.
    pub fn set_sockets(&mut self, sockets: super::Sockets) {
        self.sockets = sockets;
    }

    /// The working directory inside.
    ///
    /// # Errors
    /// It is not absolute and normalised, or lies in `/proc`.
    pub fn set_cwd(&mut self, directory: &Path) -> Result<(), ProfileError> {
        self.change("set_cwd", "process.cwd", |profile| {
            profile.process.cwd = Some(check::cwd_path(directory)?);
            Ok(())
        })
    }

    /// A resource limit by its name (`nofile`); `None` is unlimited.
    ///
    /// # Errors
    /// An unknown name, `cpu` or `fsize` (see [`Limits`](super::Limits)), or a soft limit above the hard one.
    pub fn set_rlimit(&mut self, name: &str, limit: Rlimit) -> Result<(), ProfileError> {
        self.change("set_rlimit", "process.rlimits", |profile| {
            let name = names::rlimit(name)?;
            profile.process.rlimits.insert(name.to_owned(), check::rlimit(limit)?);
            Ok(())
        })
    }

    /// Wall time for the whole run; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or not whole milliseconds.
    pub fn set_timeout(&mut self, time: Option<Duration>) -> Result<(), ProfileError> {
        self.change("set_timeout", "limits.timeout", |profile| {
            profile.limits.timeout = time.map(check::real_timeout).transpose()?;
            Ok(())
        })
    }

    /// CPU time of each process; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or not whole seconds.
    pub fn set_cpu_time(&mut self, time: Option<Duration>) -> Result<(), ProfileError> {
        self.change("set_cpu_time", "limits.cpuTime", |profile| {
            profile.limits.cpu_time = time.map(check::real_cpu_time).transpose()?;
            Ok(())
        })
    }

    /// Bytes of output, beyond which the run is ended; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or above 2^63 - 1.
    pub fn set_output(&mut self, bytes: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_output", "limits.output", |profile| {
            profile.limits.output = bytes.map(positive).transpose()?;
            profile.limits.output_truncated = false;
            Ok(())
        })
    }

    /// Bytes of output, beyond which it is thrown away and the run goes on.
    ///
    /// # Errors
    /// 0, or above 2^63 - 1.
    pub fn set_output_truncated(&mut self, bytes: u64) -> Result<(), ProfileError> {
        self.change("set_output_truncated", "limits.output", |profile| {
            profile.limits.output = Some(positive(bytes)?);
            profile.limits.output_truncated = true;
            Ok(())
        })
    }

    /// Bytes that a file may have; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or above 2^63 - 1.
    pub fn set_file_size(&mut self, bytes: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_file_size", "limits.fileSize", |profile| {
            profile.limits.file_size = bytes.map(positive).transpose()?;
            Ok(())
        })
    }

    /// Bytes of memory; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or above 2^63 - 1.
    pub fn set_memory(&mut self, bytes: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_memory", "resources.memory.limit", |profile| {
            profile.resources.memory = bytes.map(positive).transpose()?;
            Ok(())
        })
    }

    /// Processes and threads; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or above 2^63 - 1.
    pub fn set_pids(&mut self, number: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_pids", "resources.pids.limit", |profile| {
            profile.resources.pids = number.map(positive).transpose()?;
            Ok(())
        })
    }

    /// CPUs in thousandths (see [`units::cpus`]); `None` is unlimited.
    ///
    /// # Errors
    /// 0, or above 2^20 CPUs.
    pub fn set_cpus(&mut self, thousandths: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_cpus", "resources.cpu.quota", |profile| {
            let most = units::MAX_CPUS;
            let cpus = thousandths.map(positive).transpose()?;
            if let Some(n) = cpus.filter(|&n| n > most) {
                return Err(ValueError::Range { text: n.to_string(), min: 1, max: most });
            }
            profile.resources.cpus = cpus;
            Ok(())
        })
    }

    /// Bytes of memory and swap together; `None` is no swap.
    ///
    /// # Errors
    /// Less than the memory alone, or no limit of that.
    pub fn set_memory_swap(&mut self, bytes: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_memory_swap", "resources.memory.swap", |profile| {
            profile.resources.swap = bytes.map(positive).transpose()?;
            Ok(())
        })
    }

    /// Its part of the CPUs where others want them too, 2 to 262144 (1024 is everybody's); `None` leaves it
    /// as it is.
    ///
    /// # Errors
    /// Any other number.
    pub fn set_cpu_shares(&mut self, shares: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_cpu_shares", "resources.cpu.shares", |profile| {
            profile.resources.cpu_shares =
                shares.map(|shares| check::cpu_shares(&shares.to_string())).transpose()?;
            Ok(())
        })
    }

    /// CPU time of the whole sandbox; `None` is unlimited.
    ///
    /// # Errors
    /// 0, or not whole milliseconds.
    pub fn set_total_cpu_time(&mut self, time: Option<Duration>) -> Result<(), ProfileError> {
        self.change("set_total_cpu_time", "resources.cpu.time", |profile| {
            profile.resources.cpu_time = time.map(check::real_timeout).transpose()?;
            Ok(())
        })
    }

    /// Its part of what disks do where others want them too, 1 to 1000 (100 is everybody's); `None` leaves it
    /// as it is.
    ///
    /// # Errors
    /// Any other number.
    pub fn set_io_weight(&mut self, weight: Option<u64>) -> Result<(), ProfileError> {
        self.change("set_io_weight", "resources.blockIO.weight", |profile| {
            profile.resources.io_weight =
                weight.map(|weight| check::io_weight(&weight.to_string())).transpose()?;
            Ok(())
        })
    }

    /// What may be read from or written to the disk that `path` is, or is on, in a second; in place of what
    /// the profile says of the same path.
    ///
    /// # Errors
    /// The path is not absolute and normalised, or the rate is none.
    pub fn add_throttle(&mut self, path: &Path, kind: Throttled, rate: u64) -> Result<(), ProfileError> {
        self.change("add_throttle", "resources.blockIO", |profile| {
            let path = check::inside_path(path)?;
            let rate = units::rate(&units::show_rate(positive(rate)?, kind), kind)?;
            let all = &mut profile.resources.throttles;
            all.retain(|throttle| throttle.kind != kind || throttle.path != path);
            all.push(Throttle { path, kind, rate });
            // As they are read, one kind after the other.
            all.sort_by_key(|throttle| throttle.kind);
            Ok(())
        })
    }

    /// The control group to make the sandbox's in, from the tree's root; `None` is the caller's own.
    ///
    /// # Errors
    /// It is not absolute and normalised.
    pub fn set_cgroup_parent(&mut self, path: Option<&Path>) -> Result<(), ProfileError> {
        self.change("set_cgroup_parent", "resources.cgroupParent", |profile| {
            profile.resources.cgroup_parent = path.map(check::inside_path).transpose()?;
            Ok(())
        })
    }

    /// What enforces the limits that need a control group.
    pub fn set_enforce(&mut self, enforce: super::Enforce) {
        self.resources.enforce = enforce;
    }

    fn put(&mut self, destination: PathBuf, kind: MountKind, readonly: bool) {
        self.mounts.retain(|mount| mount.destination != destination);
        self.mounts.push(Mount {
            destination,
            kind,
            readonly,
            noexec: false,
            optional: false,
            system: false,
            attributes: super::Attributes::default(),
        });
        self.mounts.sort_by(|a, b| plain::compare(&a.destination, &b.destination));
    }

    fn change(
        &mut self,
        call: &'static str,
        key: &'static str,
        change: impl FnOnce(&mut Self) -> Result<(), ValueError>,
    ) -> Result<(), ProfileError> {
        // The filter has hundreds of names and none of the changes is about it: it is lent, not copied.
        let policy = self.seccomp.take();
        let mut changed = self.clone();
        changed.seccomp = policy;
        let done = change(&mut changed)
            .map_err(|source| ProfileError::Value {
                place: Place { origin: Origin::Call(call), position: None },
                key: key.to_owned(),
                source: Box::new(source),
            })
            .and_then(|()| changed.validate());
        match done {
            Ok(()) => *self = changed,
            Err(_) => self.seccomp = changed.seccomp,
        }
        done
    }
}

fn positive(n: u64) -> Result<u64, ValueError> {
    match n {
        0 => Err(ValueError::Zero),
        n if n > units::MAX => Err(ValueError::Range { text: n.to_string(), min: 1, max: units::MAX }),
        n => Ok(n),
    }
}
