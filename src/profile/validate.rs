//! Values that are right by themselves, but not together.

use super::{IdMap, MountKind, Namespace, Origin, Profile, ProfileError, Workdir};

/// Why two parts of a profile do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A key that a complete profile has.
    #[error("missing: extend a built-in profile, or say it")]
    Missing,
    /// A list is edited that nothing below has.
    #[error("'+' and '-' edit an inherited list, but none is inherited")]
    NothingInherited,
    /// Rules for a filter that is off.
    #[error("there are rules, but the inherited mode is \"off\": say mode = \"filter\"")]
    FilterIsOff,
    /// Some namespaces, but not those that all the others stand on.
    #[error("needs user, mount and pid among the namespaces, or none at all (lite)")]
    Foundations,
    /// A namespace is missing for what is asked.
    #[error("needs the {} namespace", namespace_name(*.0))]
    NeedsNamespace(Namespace),
    /// A namespace that is always new.
    #[error("the {} namespace is always new: only network, ipc, uts and cgroup can be joined", namespace_name(*.0))]
    NotJoined(Namespace),
    /// A namespace that is both new and joined.
    #[error("the {} namespace is either new or joined", namespace_name(*.0))]
    NewAndJoined(Namespace),
    /// Without namespaces there is no such thing.
    #[error("is not possible without namespaces (lite)")]
    NeedsNamespaces,
    /// Without a mount namespace nothing can be shown under another name.
    #[error(
        "without namespaces (lite) a bind shows a path at its own place: source and destination must be the same"
    )]
    BindElsewhere,
    /// Users and groups are mapped in different ways.
    #[error("goes together with gidMappings: both lists (--uidmap and --gidmap), both \"auto\", or neither")]
    IdMaps,
    /// An overlay over nothing.
    #[error("goes over a directory: root.path is not set")]
    OverlayWithoutPath,
    /// An overlay that takes no writes.
    #[error("takes writes, which root.readonly = true forbids")]
    OverlayReadonly,
    /// A root has to be given.
    #[error("missing: this profile runs in a root file system of one's own (--rootfs DIR)")]
    RootRequired,
    /// A special file system where nothing looks for it.
    #[error("is mounted at {0} or not at all")]
    Elsewhere(&'static str),
    /// CPU time without the period it is counted in, or the other way round.
    #[error("goes together with resources.cpu.quota")]
    PeriodWithoutQuota,
    /// More CPUs than there can be.
    #[error("the quota is not a multiple of a thousandth of the period, or more than 2^20 periods")]
    Quota,
    /// Memory and swap together are less than memory alone.
    #[error("is memory and swap together: at least resources.memory.limit, and not without it")]
    SwapBelowMemory,
    /// Every layer is turned off.
    #[error(
        "no layer is left that holds anything: seccomp and Landlock are off, and there are no namespaces"
    )]
    NothingLeft,
}

pub(crate) fn namespace_name(namespace: Namespace) -> &'static str {
    super::decode::NAMESPACES.iter().find(|(_, n)| *n == namespace).map_or("unknown", |(name, _)| name)
}

impl Profile {
    /// Whether everything in the profile goes together.
    ///
    /// # Errors
    /// [`ProfileError::Conflict`] with the key and what it is at odds with.
    pub fn validate(&self) -> Result<(), ProfileError> {
        match self.conflict() {
            None => Ok(()),
            Some((key, source)) => Err(self.conflict_error(key, source)),
        }
    }

    /// [`Self::validate`], and whether everything is given that has to be before something can run.
    ///
    /// # Errors
    /// As [`Self::validate`]; [`Conflict::RootRequired`].
    pub fn validate_complete(&self) -> Result<(), ProfileError> {
        self.validate()?;
        if self.root.path_required && self.root.path.is_none() {
            return Err(self.conflict_error("root.path".to_owned(), Conflict::RootRequired));
        }
        Ok(())
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
        if self.namespaces.is_empty() {
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
        if ![Namespace::User, Namespace::Mount, Namespace::Pid].into_iter().all(has) {
            return found("namespaces", Conflict::Foundations);
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
            let place = match mount.kind {
                MountKind::Dev => "/dev",
                _ if is("proc") => "/proc",
                _ if is("mqueue") => "/dev/mqueue",
                _ if is("devpts") => "/dev/pts",
                _ => continue,
            };
            if mount.destination.as_os_str() != place {
                return Some((key(), Conflict::Elsewhere(place)));
            }
        }
        None
    }

    /// Without namespaces: what is left is no_new_privs, Landlock, seccomp and limits.
    fn lite_conflict(&self) -> Option<(String, Conflict)> {
        let needs: [(&str, bool); 13] = [
            ("namespaces", !self.joined.is_empty()),
            ("uidMappings", self.uid_mappings != IdMap::One),
            ("gidMappings", self.gid_mappings != IdMap::One),
            ("hostname", self.hostname.is_some()),
            ("maskedPaths", !self.masked_paths.is_empty()),
            ("readonlyPaths", !self.readonly_paths.is_empty()),
            ("root.path", self.root.path.is_some() || self.root.path_required),
            ("root.overlay", self.root.overlay),
            ("root.etc", self.root.synthetic_etc),
            ("process.user", self.process.user.is_some()),
            ("process.capabilities", !self.process.capabilities.is_empty()),
            ("process.noNewPrivileges", !self.process.no_new_privileges),
            (
                "landlock.mode",
                !self.landlock.require && (self.workdir != Workdir::None || !self.mounts.is_empty()),
            ),
        ];
        if let Some((key, _)) = needs.into_iter().find(|(_, used)| *used) {
            return Some((key.to_owned(), Conflict::NeedsNamespaces));
        }
        if !self.landlock.require && self.seccomp.is_none() {
            return Some(("namespaces".to_owned(), Conflict::NothingLeft));
        }
        for mount in &self.mounts {
            let key = format!("mounts ({})", mount.destination.to_string_lossy());
            match &mount.kind {
                _ if mount.attributes != super::Attributes::default() => {
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
