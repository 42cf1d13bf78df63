//! One text's worth of a profile, and how the next one goes on top of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::filter::{FilterLayer, Mode};
use super::validate::Conflict;
use super::{
    Enforce, IdMap, Mount, Namespace, Origin, Place, ProfileError, Rlimit, Scope, Sockets, Symlinks,
    Throttle, Throttled, User, ValueError, Workdir,
};
use crate::capability::CapabilitySet;

/// What one text says; `None` and empty is "nothing".
#[derive(Debug, Default, Clone)]
pub(crate) struct Layer {
    pub(crate) description: Option<String>,
    /// `Some(None)` is none, in spite of what is inherited.
    pub(crate) hostname: Option<Option<String>>,
    pub(crate) workdir: Option<Workdir>,
    pub(crate) symlinks: Option<Symlinks>,
    pub(crate) sockets: Option<Sockets>,
    pub(crate) namespaces: Option<List<Namespace>>,
    /// Those that are joined, of the same list.
    pub(crate) joined: BTreeMap<Namespace, PathBuf>,
    pub(crate) root: RootLayer,
    pub(crate) process: ProcessLayer,
    pub(crate) mounts: BTreeMap<PathBuf, MountEntry>,
    pub(crate) masked_paths: Option<List<PathBuf>>,
    pub(crate) readonly_paths: Option<List<PathBuf>>,
    pub(crate) uid_mappings: Option<IdMap>,
    pub(crate) gid_mappings: Option<IdMap>,
    pub(crate) seccomp: FilterLayer,
    pub(crate) landlock: LandlockLayer,
    pub(crate) limits: LimitsLayer,
    pub(crate) resources: ResourcesLayer,
}

/// A list without order that replaces the inherited one, or edits it.
#[derive(Debug, Clone)]
pub(crate) enum List<T> {
    Replace(BTreeSet<T>),
    Edit { add: BTreeSet<T>, remove: BTreeSet<T> },
}

impl<T: Ord> List<T> {
    fn apply(below: &mut Option<Self>, above: Option<Self>) {
        *below = match (below.take(), above) {
            (below, None) => below,
            (Some(Self::Replace(mut list)), Some(Self::Edit { add, remove })) => {
                list.retain(|entry| !remove.contains(entry));
                list.extend(add);
                Some(Self::Replace(list))
            }
            (_, Some(Self::Edit { add, .. })) => Some(Self::Replace(add)),
            (_, above) => above,
        };
    }

    /// The entries, once nothing can be inherited any more.
    pub(crate) fn entries(list: Option<Self>) -> BTreeSet<T> {
        match list {
            Some(Self::Replace(list) | Self::Edit { add: list, .. }) => list,
            None => BTreeSet::new(),
        }
    }
}

#[derive(Debug, Default, Clone)]
pub(crate) struct RootLayer {
    pub(crate) path: Option<PathBuf>,
    pub(crate) path_required: Option<bool>,
    pub(crate) readonly: Option<bool>,
    pub(crate) overlay: Option<bool>,
    pub(crate) size: Option<u64>,
    pub(crate) inodes: Option<u64>,
    pub(crate) synthetic_etc: Option<bool>,
    pub(crate) etc_programs: Option<List<String>>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct ProcessLayer {
    pub(crate) cwd: Option<PathBuf>,
    /// By the variable's name, which the entry has too.
    pub(crate) env: BTreeMap<String, String>,
    /// `Some(None)` is the default, in spite of what is inherited.
    pub(crate) user: Option<Option<User>>,
    pub(crate) capabilities: Option<List<CapabilitySet>>,
    pub(crate) no_new_privileges: Option<bool>,
    pub(crate) umask: Option<u32>,
    pub(crate) rlimits: BTreeMap<String, Rlimit>,
}

/// A mount, or that there is none, and where that is said.
#[derive(Debug, Clone)]
pub(crate) struct MountEntry {
    pub(crate) mount: Option<Mount>,
    pub(crate) place: Place,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct LandlockLayer {
    pub(crate) require: Option<bool>,
    pub(crate) scopes: Option<List<Scope>>,
}

/// `Some(None)` is `unlimited`.
#[derive(Debug, Default, Clone)]
pub(crate) struct LimitsLayer {
    pub(crate) timeout: Option<Option<Duration>>,
    pub(crate) cpu_time: Option<Option<Duration>>,
    /// With whether what comes after it is thrown away.
    pub(crate) output: Option<Option<(u64, bool)>>,
    pub(crate) file_size: Option<Option<u64>>,
}

/// `Some(None)` is `unlimited`.
#[derive(Debug, Default, Clone)]
pub(crate) struct ResourcesLayer {
    pub(crate) memory: Option<Option<u64>>,
    /// `Some(None)` is no swap.
    pub(crate) swap: Option<Option<u64>>,
    pub(crate) pids: Option<Option<u64>>,
    pub(crate) quota: Option<Option<Duration>>,
    pub(crate) period: Option<Duration>,
    /// `Some(None)` is everybody's.
    pub(crate) shares: Option<Option<u64>>,
    pub(crate) cpu_time: Option<Option<Duration>>,
    /// `Some(None)` is everybody's.
    pub(crate) io_weight: Option<Option<u64>>,
    pub(crate) throttles: BTreeMap<Throttled, Vec<Throttle>>,
    /// `Some(None)` is the caller's own.
    pub(crate) cgroup_parent: Option<Option<PathBuf>>,
    pub(crate) enforce: Option<Enforce>,
}

impl Layer {
    /// Puts `above` on top. See [the module's page](super#merging) for the rules.
    ///
    /// # Errors
    /// `above` removes what is not there, or adds system-call rules to a filter that is off.
    pub(crate) fn apply(&mut self, above: Layer, origin: &Origin) -> Result<(), ProfileError> {
        over(&mut self.description, above.description);
        over(&mut self.hostname, above.hostname);
        over(&mut self.workdir, above.workdir);
        over(&mut self.symlinks, above.symlinks);
        over(&mut self.sockets, above.sockets);
        // An edit of nothing would end in few namespaces or none, which nobody asked for.
        if self.namespaces.is_none() && matches!(above.namespaces, Some(List::Edit { .. })) {
            return Err(conflict(origin, "namespaces", Conflict::NothingInherited));
        }
        match &above.namespaces {
            None => {}
            Some(List::Replace(_)) => self.joined.clear(),
            Some(List::Edit { add, remove }) => {
                self.joined.retain(|namespace, _| !add.contains(namespace) && !remove.contains(namespace));
            }
        }
        self.joined.extend(above.joined);
        List::apply(&mut self.namespaces, above.namespaces);
        over(&mut self.uid_mappings, above.uid_mappings);
        over(&mut self.gid_mappings, above.gid_mappings);
        over(&mut self.root.path, above.root.path);
        over(&mut self.root.path_required, above.root.path_required);
        over(&mut self.root.readonly, above.root.readonly);
        over(&mut self.root.overlay, above.root.overlay);
        over(&mut self.root.size, above.root.size);
        over(&mut self.root.inodes, above.root.inodes);
        over(&mut self.root.synthetic_etc, above.root.synthetic_etc);
        List::apply(&mut self.root.etc_programs, above.root.etc_programs);
        over(&mut self.process.cwd, above.process.cwd);
        self.process.env.extend(above.process.env);
        over(&mut self.process.user, above.process.user);
        List::apply(&mut self.process.capabilities, above.process.capabilities);
        over(&mut self.process.no_new_privileges, above.process.no_new_privileges);
        over(&mut self.process.umask, above.process.umask);
        self.process.rlimits.extend(above.process.rlimits);
        for (destination, entry) in above.mounts {
            if entry.mount.is_some() {
                self.mounts.insert(destination, entry);
            } else if self.mounts.remove(&destination).is_none() {
                return Err(ProfileError::Value {
                    place: entry.place,
                    key: "mounts".to_owned(),
                    source: Box::new(ValueError::NothingToRemove {
                        entry: destination.to_string_lossy().into_owned(),
                    }),
                });
            }
        }
        List::apply(&mut self.masked_paths, above.masked_paths);
        List::apply(&mut self.readonly_paths, above.readonly_paths);
        if self.seccomp.mode == Some(Mode::Off)
            && above.seccomp.mode.is_none()
            && above.seccomp.says_anything()
        {
            return Err(conflict(origin, "seccomp", Conflict::FilterIsOff));
        }
        self.seccomp.apply(above.seccomp);
        over(&mut self.landlock.require, above.landlock.require);
        List::apply(&mut self.landlock.scopes, above.landlock.scopes);
        over(&mut self.limits.timeout, above.limits.timeout);
        over(&mut self.limits.cpu_time, above.limits.cpu_time);
        over(&mut self.limits.output, above.limits.output);
        over(&mut self.limits.file_size, above.limits.file_size);
        over(&mut self.resources.memory, above.resources.memory);
        over(&mut self.resources.swap, above.resources.swap);
        over(&mut self.resources.pids, above.resources.pids);
        over(&mut self.resources.quota, above.resources.quota);
        over(&mut self.resources.period, above.resources.period);
        over(&mut self.resources.shares, above.resources.shares);
        over(&mut self.resources.cpu_time, above.resources.cpu_time);
        over(&mut self.resources.io_weight, above.resources.io_weight);
        self.resources.throttles.extend(above.resources.throttles);
        over(&mut self.resources.cgroup_parent, above.resources.cgroup_parent);
        over(&mut self.resources.enforce, above.resources.enforce);
        Ok(())
    }

    /// Joins the relative paths of a profile's file to the directory that the file is in.
    pub(crate) fn rebase(&mut self, directory: &Path) {
        let rebase = |path: &mut PathBuf| {
            if path.is_relative() {
                *path = directory.join(&path);
            }
        };
        self.root.path.iter_mut().for_each(rebase);
        self.seccomp.oci_file.iter_mut().for_each(|file| rebase(&mut file.value));
        for mount in self.mounts.values_mut().filter_map(|entry| entry.mount.as_mut()) {
            if let super::MountKind::Bind { source, .. } = &mut mount.kind {
                rebase(source);
            }
        }
    }
}

fn over<T>(below: &mut Option<T>, above: Option<T>) {
    if above.is_some() {
        *below = above;
    }
}

fn conflict(origin: &Origin, key: &str, source: Conflict) -> ProfileError {
    ProfileError::Conflict { profile: origin.clone(), key: key.to_owned(), source }
}
