//! Whether a profile's values are right, and go together.

use super::keys::KEYS;
use super::{
    Attributes, Conflict, MountKind, Namespace, Origin, Place, Profile, ProfileError, ValueError, Workdir,
};

impl Profile {
    /// Whether every value is one that could have been read, and all go together.
    ///
    /// # Errors
    /// [`ProfileError::Value`] for a value that its key cannot have, and [`ProfileError::Conflict`] with the
    /// key and what it is at odds with.
    #[doc(hidden)]
    pub fn validate(&self) -> Result<(), ProfileError> {
        for key in KEYS {
            (key.check)(self).map_err(|source| self.value_error(key.name, source))?;
        }
        match self.conflict() {
            None => Ok(()),
            Some((key, source)) => Err(self.conflict_error(key, source)),
        }
    }

    /// [`Self::validate`], and whether everything is given that has to be before something can run.
    ///
    /// # Errors
    /// As [`Self::validate`]; a root that is required and not given.
    #[doc(hidden)]
    pub fn validate_complete(&self) -> Result<(), ProfileError> {
        self.validate()?;
        if self.root.path_required && self.root.path.is_none() {
            return Err(self.conflict_error("root.path".to_owned(), Conflict::RootRequired));
        }
        Ok(())
    }

    pub(super) fn value_error(&self, key: &str, source: ValueError) -> ProfileError {
        ProfileError::Value {
            place: Place { origin: Origin::Text(self.name.clone()), position: None },
            key: key.to_owned(),
            source: Box::new(source),
        }
    }

    fn conflict_error(&self, key: String, source: Conflict) -> ProfileError {
        ProfileError::Conflict { profile: Origin::Text(self.name.clone()), key, source }
    }

    fn conflict(&self) -> Option<(String, Conflict)> {
        let found = |key: &str, conflict| Some((key.to_owned(), conflict));
        if let Some(together) = self.resources.swap
            && self.resources.memory.is_none_or(|memory| memory > together)
        {
            return found("resources.memory.swap", Conflict::SwapBelowMemory);
        }
        let has = |namespace| self.namespaces.contains(&namespace);
        if self.namespaces.is_empty() && self.joined.is_empty() {
            return self.lite_conflict();
        }
        const JOINED: [Namespace; 4] =
            [Namespace::Network, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup];
        if let Some(other) = self.joined.keys().find(|namespace| !JOINED.contains(namespace)) {
            return found("namespaces", Conflict::NotJoined(*other));
        }
        if let Some(both) = self.joined.keys().find(|namespace| has(**namespace)) {
            return found("namespaces", Conflict::NewAndJoined(*both));
        }
        let mut missing = vec![Namespace::User, Namespace::Mount, Namespace::Pid];
        missing.retain(|namespace| !has(*namespace));
        if !missing.is_empty() {
            return found("namespaces", Conflict::Foundations(missing));
        }
        if std::mem::discriminant(&self.uid_mappings) != std::mem::discriminant(&self.gid_mappings) {
            return found("uidMappings", Conflict::IdMaps);
        }
        if self.hostname.is_some() && !has(Namespace::Uts) {
            return found("hostname", Conflict::NeedsNamespace(Namespace::Uts));
        }
        if self.root.overlay && self.root.path.is_none() {
            return found("root.overlay", Conflict::OverlayWithoutPath);
        }
        if self.root.overlay && self.root.readonly {
            return found("root.overlay", Conflict::OverlayReadonly);
        }
        for mount in &self.mounts {
            let key = || format!("mounts ({})", mount.destination.to_string_lossy());
            let needs =
                [("mqueue", Namespace::Ipc), ("sysfs", Namespace::Network), ("cgroup2", Namespace::Cgroup)];
            let is = |name| mount.kind.is_filesystem(name);
            if let Some((_, needs)) = needs.into_iter().find(|(name, needs)| is(name) && !has(*needs)) {
                return Some((key(), Conflict::NeedsNamespace(needs)));
            }
            let places = [("proc", "/proc"), ("mqueue", "/dev/mqueue"), ("devpts", "/dev/pts")];
            let place = match mount.kind {
                MountKind::Dev => Some(("dev", "/dev")),
                _ => places.into_iter().find(|(name, _)| is(name)),
            };
            if let Some((what, place)) = place.filter(|(_, place)| mount.destination.as_os_str() != *place) {
                return Some((key(), Conflict::Elsewhere { what, place }));
            }
        }
        None
    }

    /// Without namespaces: what is left is no_new_privs, Landlock, seccomp and limits.
    fn lite_conflict(&self) -> Option<(String, Conflict)> {
        let needs_namespaces = |key: &str| Some((key.to_owned(), Conflict::NeedsNamespaces));
        let empty = Self::empty();
        if let Some(key) = KEYS.iter().find(|key| (key.differs)(self, &empty)) {
            return needs_namespaces(key.name);
        }
        if !self.landlock.require && (self.workdir != Workdir::None || !self.mounts.is_empty()) {
            return needs_namespaces("landlock.mode");
        }
        if !self.landlock.require && self.seccomp.is_none() {
            return Some(("namespaces".to_owned(), Conflict::NothingLeft));
        }
        for mount in &self.mounts {
            let key = format!("mounts ({})", mount.destination.to_string_lossy());
            match &mount.kind {
                _ if mount.attributes != Attributes::default() => {
                    return Some((key, Conflict::NeedsNamespaces));
                }
                MountKind::Bind { source, idmap: false } if *source == mount.destination => {}
                MountKind::Bind { idmap: false, .. } => return Some((key, Conflict::BindElsewhere)),
                _ => return Some((key, Conflict::NeedsNamespaces)),
            }
        }
        None
    }
}
