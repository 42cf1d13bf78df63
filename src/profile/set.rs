//! Changes from code, as the command line's own options and users of the library make them. What results is
//! checked as a file is.

use std::path::Path;

use super::mounts::{DEFAULT_INODES, DEFAULT_MODE, DEFAULT_SIZE};
use super::{
    Attributes, Conflict, Mount, MountKind, Namespace, Origin, Profile, ProfileError, Throttle, Throttled,
    ValueError, environment,
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

/// For [`Builder`](crate::Builder); no part of the interface.
#[doc(hidden)]
impl Profile {
    /// Changes the profile, and checks it; where it is not right, it stays as it was.
    ///
    /// ```
    /// # use belljar::profile::Profile;
    /// let mut profile = Profile::load("strict")?;
    /// profile.change(|profile| {
    ///     profile.resources.memory = Some(256 << 20);
    ///     profile.hostname = Some("box".to_owned());
    /// })?;
    /// assert!(profile.change(|profile| profile.resources.pids = Some(0)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn change(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), ProfileError> {
        let before = self.clone();
        change(self);
        let checked = self.validate();
        if checked.is_err() {
            *self = before;
        }
        checked
    }

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
        // As root the sandbox has another id on the host: what is named one by one is shown as its own,
        // as it is for an ordinary user, so that it can be read though its mode is 0600, and what is
        // written keeps the owner. Without namespaces nothing is mounted, and ids are the caller's.
        let idmap = !self.namespaces.is_empty();
        let kind = MountKind::Bind { source: source.to_owned(), idmap };
        self.change(|profile| profile.put(destination, kind, readonly))
    }

    /// Puts an empty file system in memory at `destination`; `None` holds 64 MiB.
    ///
    /// # Errors
    /// As [`Self::add_bind`]; a size of 0 or above 2^63 - 1; without namespaces.
    pub fn add_tmpfs(&mut self, destination: &Path, size: Option<u64>) -> Result<(), ProfileError> {
        let size = size.unwrap_or(DEFAULT_SIZE);
        let kind = MountKind::Tmpfs { size, inodes: DEFAULT_INODES, mode: DEFAULT_MODE };
        self.change(|profile| profile.put(destination, kind, false))
    }

    /// Makes a directory of the host the root. The host's system is not shown in it, and `/etc` is its own.
    ///
    /// # Errors
    /// The path is empty or has control characters; without namespaces.
    pub fn set_rootfs(&mut self, directory: &Path) -> Result<(), ProfileError> {
        self.change(|profile| {
            profile.root.path = Some(directory.to_owned());
            profile.leave_system_to_root();
        })
    }

    /// Whether writes to the root directory go to memory and are thrown away. The root can then be written
    /// to.
    ///
    /// # Errors
    /// There is no root directory.
    pub fn set_overlay(&mut self, overlay: bool) -> Result<(), ProfileError> {
        self.change(|profile| {
            profile.root.overlay = overlay;
            profile.root.readonly &= !overlay;
        })
    }

    /// Sets a variable, or passes the caller's on, in place of what the profile says about it.
    ///
    /// # Errors
    /// No name, or one with `=` or a NUL in it, or such a value.
    pub fn set_env(&mut self, name: &str, value: Option<&str>) -> Result<(), ProfileError> {
        let wrong = |why| self.value_error("process.env", ValueError::Refused { word: name.to_owned(), why });
        environment(name.as_bytes(), value.map(str::as_bytes)).map_err(wrong)?;
        let name_of = |entry: &str| entry.split('=').next().map(str::to_owned);
        self.change(|profile| {
            let env = &mut profile.process.env;
            env.retain(|other| name_of(other).as_deref() != Some(name));
            env.push(value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}")));
            env.sort_by_key(|entry| name_of(entry));
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
                source: Conflict::NeedsNamespaces,
            });
        }
        self.joined.remove(&Namespace::Network);
        match network {
            Network::None => self.namespaces.insert(Namespace::Network),
            Network::Host => self.namespaces.remove(&Namespace::Network),
        };
        Ok(())
    }

    /// What may be read from or written to the disk that `path` is, or is on, in a second; in place of what
    /// the profile says of the same path.
    ///
    /// # Errors
    /// The path is not absolute and normalised, or the rate is none.
    pub fn add_throttle(&mut self, path: &Path, kind: Throttled, rate: u64) -> Result<(), ProfileError> {
        self.change(|profile| {
            let all = &mut profile.resources.throttles;
            all.retain(|throttle| throttle.kind != kind || throttle.path != path);
            all.push(Throttle { path: path.to_owned(), kind, rate });
            // As they are read, one kind after the other.
            all.sort_by_key(|throttle| throttle.kind);
        })
    }

    fn put(&mut self, destination: &Path, kind: MountKind, readonly: bool) {
        self.mounts.retain(|mount| mount.destination != destination);
        self.mounts.push(Mount {
            destination: destination.to_owned(),
            kind,
            readonly,
            noexec: false,
            optional: false,
            system: false,
            attributes: Attributes::default(),
        });
        self.mounts.sort_by(|a, b| plain::compare(&a.destination, &b.destination));
    }
}
