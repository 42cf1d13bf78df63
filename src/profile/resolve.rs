//! From all layers of a profile, put on top of each other, to the [`Profile`] that they make.

use std::collections::BTreeSet;
use std::time::Duration;

use super::layer::{Layer, List, ResourcesLayer};
use super::validate::Conflict;
use super::{
    Landlock, Limits, MountKind, Origin, Process, Profile, ProfileError, Resources, Root, Sockets, Symlinks,
    Workdir, units,
};

/// `root.size` where nobody says.
const ROOT_SIZE: u64 = 16 << 20;
/// `root.inodes` where nobody says.
const ROOT_INODES: u64 = 4096;
/// The kernel's own `cpu.cfs_period_us`.
pub(crate) const CPU_PERIOD: Duration = Duration::from_millis(100);

/// Fills in what nobody says and checks what goes together.
pub(crate) fn profile(layer: Layer, name: String, origin: &Origin) -> Result<Profile, ProfileError> {
    let conflict =
        |key: &str, source| ProfileError::Conflict { profile: origin.clone(), key: key.to_owned(), source };
    let missing = |key: &str| conflict(key, Conflict::Missing);
    let Some(namespaces) = layer.namespaces else { return Err(missing("namespaces")) };
    let namespaces = List::entries(Some(namespaces));
    let lite = namespaces.is_empty();
    let root = layer.root;
    if lite {
        // There is no root of the sandbox's own that these could be about.
        let said = [
            ("root.readonly", root.readonly.is_some()),
            ("root.size", root.size.is_some()),
            ("root.inodes", root.inodes.is_some()),
            ("root.etcPrograms", root.etc_programs.is_some()),
        ];
        if let Some((key, _)) = said.into_iter().find(|(_, said)| *said) {
            return Err(conflict(key, Conflict::NeedsNamespaces));
        }
    }
    let own_root = root.path.is_some();
    let overlay = root.overlay.unwrap_or(false);
    let synthetic_etc = root.synthetic_etc.unwrap_or(!lite) && !own_root;
    let root = Root {
        path: root.path,
        path_required: root.path_required.unwrap_or(false),
        readonly: root.readonly.unwrap_or(!overlay && !lite),
        overlay,
        size: root.size.unwrap_or(ROOT_SIZE),
        inodes: root.inodes.unwrap_or(ROOT_INODES),
        synthetic_etc,
        // Without an /etc of its own there is none to show them in.
        etc_programs: if synthetic_etc { List::entries(root.etc_programs) } else { BTreeSet::new() },
    };
    let capabilities = List::entries(layer.process.capabilities).into_iter().collect();
    let seccomp = layer.seccomp.resolve(capabilities, missing)?;
    let mounts = layer.mounts.into_values().filter_map(|entry| entry.mount);
    let profile = Profile {
        name,
        description: layer.description.unwrap_or_default(),
        namespaces,
        joined: layer.joined,
        uid_mappings: layer.uid_mappings.unwrap_or_default(),
        gid_mappings: layer.gid_mappings.unwrap_or_default(),
        hostname: layer.hostname.flatten(),
        workdir: layer.workdir.unwrap_or(Workdir::None),
        symlinks: layer.symlinks.unwrap_or(Symlinks::System),
        sockets: layer.sockets.unwrap_or(Sockets::Tell),
        root,
        process: Process {
            cwd: layer.process.cwd,
            env: layer.process.env.into_values().collect(),
            user: layer.process.user.flatten(),
            capabilities,
            no_new_privileges: layer.process.no_new_privileges.unwrap_or(true),
            umask: layer.process.umask.unwrap_or(0o022),
            rlimits: layer.process.rlimits,
        },
        mounts: mounts.filter(|mount| !(own_root && mount.system)).collect(),
        masked_paths: List::entries(layer.masked_paths).into_iter().collect(),
        readonly_paths: List::entries(layer.readonly_paths).into_iter().collect(),
        seccomp,
        landlock: Landlock {
            require: layer.landlock.require.unwrap_or(true),
            scopes: List::entries(layer.landlock.scopes),
        },
        limits: Limits {
            timeout: layer.limits.timeout.flatten(),
            cpu_time: layer.limits.cpu_time.flatten(),
            output: layer.limits.output.flatten().map(|(bytes, _)| bytes),
            output_truncated: layer.limits.output.flatten().is_some_and(|(_, truncated)| truncated),
            file_size: layer.limits.file_size.flatten(),
        },
        resources: resources(&layer.resources).map_err(|source| conflict("resources.cpu", source))?,
    };
    profile.validate()?;
    Ok(profile)
}

fn resources(layer: &ResourcesLayer) -> Result<Resources, Conflict> {
    let cpus = match (layer.quota, layer.period) {
        (None, Some(_)) => return Err(Conflict::PeriodWithoutQuota),
        (None | Some(None), _) => None,
        (Some(Some(quota)), period) => {
            let period = period.unwrap_or(CPU_PERIOD).as_micros();
            let quota = quota.as_micros() * 1000;
            if !quota.is_multiple_of(period) {
                return Err(Conflict::Quota);
            }
            let cpus = u64::try_from(quota / period).ok().filter(|cpus| *cpus <= units::MAX_CPUS);
            Some(cpus.ok_or(Conflict::Quota)?)
        }
    };
    Ok(Resources {
        memory: layer.memory.flatten(),
        swap: layer.swap.flatten(),
        pids: layer.pids.flatten(),
        cpus,
        cpu_shares: layer.shares.flatten(),
        cpu_time: layer.cpu_time.flatten(),
        io_weight: layer.io_weight.flatten(),
        throttles: layer.throttles.values().flatten().cloned().collect(),
        cgroup_parent: layer.cgroup_parent.clone().flatten(),
        enforce: layer.enforce.unwrap_or_default(),
    })
}

impl Profile {
    /// Takes out what only the minimal root needs, now that there is a root of one's own.
    pub(super) fn leave_system_to_root(&mut self) {
        self.root.synthetic_etc = false;
        self.root.etc_programs.clear();
        self.mounts.retain(|mount| !(mount.system && matches!(mount.kind, MountKind::Bind { .. })));
    }
}
