//! The options of `belljar run`, applied to the profile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::options::{FileOptions, LimitOptions, Net, ProcessOptions, RunArgs};
use crate::cli::error::Error;
use crate::cli::units::Limit;
use crate::cli::values::{Bind, Tmpfs};
use crate::profile::{Mount, MountKind, Namespace, Profile};

/// What a tmpfs holds that does not say, as in a profile's file.
const TMPFS_SIZE: u64 = 64 << 20;
const TMPFS_INODES: u64 = 8192;

/// What the user asks for on the command line wins over the profile; nothing that was asked for is left out.
pub fn apply(args: &RunArgs, profile: &mut Profile) -> Result<(), Error> {
    if let Some(net) = args.profile.net {
        network(net, profile)?;
    }
    files(&args.files, profile)?;
    process(&args.process, profile)?;
    limits(&args.limits, profile);
    Ok(())
}

fn network(net: Net, profile: &mut Profile) -> Result<(), Error> {
    match net {
        Net::None if profile.namespaces.is_empty() => {
            Err(lacks(profile, "--net none", "it has no namespaces, and the network is one"))
        }
        Net::None => {
            profile.namespaces.insert(Namespace::Network);
            Ok(())
        }
        Net::Host => {
            profile.namespaces.remove(&Namespace::Network);
            Ok(())
        }
    }
}

fn files(options: &FileOptions, profile: &mut Profile) -> Result<(), Error> {
    if let Some(folder) = &options.rootfs {
        profile.root.path = Some(from_here(folder)?);
        // Such a root has an /etc, and a system, of its own.
        profile.root.synthetic_etc = false;
        profile.mounts.retain(|mount| !mount.system);
    }
    if options.overlay_tmp {
        if profile.root.path.is_none() {
            return Err(lacks(
                profile,
                "--overlay-tmp",
                "it has no root folder to lay it over; add --rootfs DIR",
            ));
        }
        profile.root.overlay = true;
    }
    let mut mounts = Vec::new();
    for (option, binds, readonly) in [("--bind", &options.bind, false), ("--ro-bind", &options.ro_bind, true)]
    {
        for bind in binds {
            mounts.push(bind_mount(option, bind, readonly)?);
        }
    }
    for tmpfs in &options.tmpfs {
        mounts.push(tmpfs_mount(tmpfs));
    }
    let mut destinations = BTreeSet::new();
    if let Some(twice) = mounts.iter().find(|mount| !destinations.insert(&mount.destination)) {
        return Err(Error::DestinationTwice { path: twice.destination.clone() });
    }
    if !mounts.is_empty() && profile.namespaces.is_empty() {
        return Err(lacks(profile, "--bind, --ro-bind and --tmpfs", "it has no namespaces to mount in"));
    }
    profile.mounts.retain(|mount| !destinations.contains(&mount.destination));
    profile.mounts.append(&mut mounts);
    Ok(())
}

fn bind_mount(option: &'static str, bind: &Bind, readonly: bool) -> Result<Mount, Error> {
    let source = from_here(&bind.source)?;
    let destination = match &bind.destination {
        Some(destination) => destination.clone(),
        None if bind.source.components().any(|part| part == std::path::Component::ParentDir) => {
            // Where `..` leads depends on the links before it.
            std::fs::canonicalize(&source).map_err(|cause| Error::HostPath {
                option,
                path: bind.source.clone(),
                source: cause,
            })?
        }
        None => source.components().collect(),
    };
    // As root the sandbox has another id on the host. A file that is named on the command line is shown as its own,
    // as it is for an ordinary user: it can be read though its mode is 0600, and what is written keeps the owner.
    let kind = MountKind::Bind { source, idmap: true };
    Ok(Mount { destination, kind, readonly, noexec: false, optional: false, system: false })
}

fn tmpfs_mount(tmpfs: &Tmpfs) -> Mount {
    Mount {
        destination: tmpfs.destination.clone(),
        // As /tmp: whoever runs inside can use it.
        kind: MountKind::Tmpfs { size: tmpfs.size.unwrap_or(TMPFS_SIZE), inodes: TMPFS_INODES, mode: 0o1777 },
        readonly: false,
        noexec: false,
        optional: false,
        system: false,
    }
}

fn process(options: &ProcessOptions, profile: &mut Profile) -> Result<(), Error> {
    if let Some(name) = &options.hostname {
        if !profile.namespaces.contains(&Namespace::Uts) {
            return Err(lacks(profile, "--hostname", "it has no uts namespace, and the host keeps its name"));
        }
        profile.hostname = Some(name.clone());
    }
    if let Some(user) = options.user {
        if !profile.namespaces.contains(&Namespace::User) {
            return Err(lacks(profile, "--user", "it has no user namespace, and ids are the caller's own"));
        }
        profile.process.user = Some(user);
    }
    Ok(())
}

fn limits(options: &LimitOptions, profile: &mut Profile) {
    fn set<T: Copy>(target: &mut Option<T>, option: Option<Limit<T>>) {
        if let Some(Limit(value)) = option {
            *target = value;
        }
    }
    set(&mut profile.limits.timeout, options.timeout);
    set(&mut profile.limits.cpu_time, options.cpu_time);
    set(&mut profile.limits.file_size, options.file_size);
    set(&mut profile.limits.output, options.output_limit);
    set(&mut profile.resources.memory, options.memory);
    set(&mut profile.resources.pids, options.pids);
    set(&mut profile.resources.cpus, options.cpus);
}

/// A path of the host as an absolute one. Its links and `..` are the kernel's to follow.
fn from_here(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::CurrentDirectory { path: path.to_owned(), source })
}

fn lacks(profile: &Profile, option: &'static str, lack: &'static str) -> Error {
    Error::ProfileLacks { option, profile: profile.name.clone(), lack }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
