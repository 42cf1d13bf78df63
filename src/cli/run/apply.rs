//! The options of `belljar run`, applied to the profile.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::options::{FileOptions, LimitOptions, Net, ProcessOptions, RunArgs, UserNs, Way};
use crate::cli::error::Error;
use crate::cli::units::Limit;
use crate::cli::values::Bind;
use crate::profile::{Enforce, IdMap, Network, Profile, ProfileError, Sockets, Symlinks};

/// What is asked for on the command line wins over the profile; nothing that was asked for is left out.
pub fn apply(args: &RunArgs, profile: &mut Profile) -> Result<(), Error> {
    if let Some(net) = args.profile.net {
        let network = match net {
            Net::None => Network::None,
            Net::Host => Network::Host,
        };
        profile.set_network(network).map_err(of("--net"))?;
    }
    files(&args.files, profile)?;
    process(&args.process, profile)?;
    limits(&args.limits, profile)
}

fn files(options: &FileOptions, profile: &mut Profile) -> Result<(), Error> {
    if let Some(directory) = &options.rootfs {
        profile.set_rootfs(&from_here(directory)?).map_err(of("--rootfs"))?;
    }
    if options.overlay_tmp {
        profile.set_overlay(true).map_err(of("--overlay-tmp"))?;
    }
    if options.follow_symlinks {
        profile.set_symlinks(Symlinks::Follow);
    }
    if options.allow_sockets {
        profile.set_sockets(Sockets::Allow);
    }
    let mut destinations = BTreeSet::new();
    let mut once = |destination: &Path| match destinations.insert(destination.to_owned()) {
        true => Ok(()),
        false => Err(Error::DestinationTwice { path: destination.to_owned() }),
    };
    for (option, binds, readonly) in [("--bind", &options.bind, false), ("--ro-bind", &options.ro_bind, true)]
    {
        for bind in binds {
            let source = from_here(&bind.source)?;
            let destination = destination(option, bind, &source)?;
            once(&destination)?;
            profile.add_bind(&source, &destination, readonly).map_err(of(option))?;
        }
    }
    for tmpfs in &options.tmpfs {
        once(&tmpfs.destination)?;
        profile.add_tmpfs(&tmpfs.destination, tmpfs.size).map_err(of("--tmpfs"))?;
    }
    Ok(())
}

/// Where a bind is shown.
fn destination(option: &'static str, bind: &Bind, source: &Path) -> Result<PathBuf, Error> {
    if let Some(destination) = &bind.destination {
        return Ok(destination.clone());
    }
    if bind.source.components().any(|part| part == Component::ParentDir) {
        // Where `..` leads depends on the links before it.
        let failed = |cause| Error::HostPath { option, path: bind.source.clone(), source: cause };
        return std::fs::canonicalize(source).map_err(failed);
    }
    Ok(source.components().collect())
}

fn process(options: &ProcessOptions, profile: &mut Profile) -> Result<(), Error> {
    if let Some(name) = &options.hostname {
        profile.set_hostname(name).map_err(of("--hostname"))?;
    }
    if let Some(UserNs::Auto) = options.userns {
        profile.set_id_mappings(IdMap::Auto, IdMap::Auto).map_err(of("--userns"))?;
    } else if !options.uidmap.is_empty() {
        let (users, groups) = (options.uidmap.clone(), options.gidmap.clone());
        let set = profile.set_id_mappings(IdMap::Ranges(users), IdMap::Ranges(groups));
        set.map_err(of("--uidmap"))?;
    }
    if let Some(user) = options.user {
        profile.set_user(user).map_err(of("--user"))?;
    }
    Ok(())
}

fn limits(options: &LimitOptions, profile: &mut Profile) -> Result<(), Error> {
    if let Some(Limit(bytes)) = options.memory {
        profile.set_memory(bytes).map_err(of("--memory"))?;
    }
    if let Some(bytes) = options.memory_swap {
        profile.set_memory_swap(Some(bytes)).map_err(of("--memory-swap"))?;
    }
    if let Some(weight) = options.cpu_weight {
        // systemd's and the kernel's 100 is OCI's 1024.
        let shares = (weight.saturating_mul(1024).saturating_add(50) / 100).max(2);
        profile.set_cpu_shares(Some(shares)).map_err(of("--cpu-weight"))?;
    }
    if options.io_weight.is_some() {
        profile.set_io_weight(options.io_weight).map_err(of("--io-weight"))?;
    }
    for (option, throttles) in [
        ("--io-read-bps", &options.io_read_bps),
        ("--io-write-bps", &options.io_write_bps),
        ("--io-read-iops", &options.io_read_iops),
        ("--io-write-iops", &options.io_write_iops),
    ] {
        for throttle in throttles {
            let path = from_here(&throttle.path)?;
            profile.add_throttle(&path, throttle.kind, throttle.rate).map_err(of(option))?;
        }
    }
    if let Some(parent) = &options.cgroup_parent {
        profile.set_cgroup_parent(Some(parent)).map_err(of("--cgroup-parent"))?;
    }
    if let Some(way) = options.limits {
        profile.set_enforce(match way {
            Way::Cgroup => Enforce::Cgroup,
            Way::Rlimit => Enforce::Rlimit,
        });
    }
    if let Some(Limit(number)) = options.pids {
        profile.set_pids(number).map_err(of("--pids"))?;
    }
    if let Some(Limit(thousandths)) = options.cpus {
        profile.set_cpus(thousandths).map_err(of("--cpus"))?;
    }
    if let Some(Limit(time)) = options.timeout {
        profile.set_timeout(time).map_err(of("--timeout"))?;
    }
    if let Some(Limit(time)) = options.cpu_time {
        profile.set_total_cpu_time(time).map_err(of("--cpu-time"))?;
        if time.is_none() {
            // What the profile says of each process is lifted, too.
            profile.set_cpu_time(None).map_err(of("--cpu-time"))?;
        }
    }
    if let Some(Limit(bytes)) = options.file_size {
        profile.set_file_size(bytes).map_err(of("--file-size"))?;
    }
    if let Some(Limit(limit)) = options.output_limit {
        match limit {
            Some((bytes, true)) => profile.set_output_truncated(bytes),
            limit => profile.set_output(limit.map(|(bytes, _)| bytes)),
        }
        .map_err(of("--output-limit"))?;
    }
    Ok(())
}

/// A path of the host as an absolute one. Its links and `..` are the kernel's to follow.
fn from_here(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::CurrentDirectory { path: path.to_owned(), source })
}

fn of(option: &'static str) -> impl Fn(ProfileError) -> Error {
    move |source| Error::Option { option, source: Box::new(source) }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
