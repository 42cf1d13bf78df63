//! The options of `belljar run`, said to the library's builder.

use std::path::{Component, PathBuf};

use super::options::{FileOptions, LimitOptions, Net, ProcessOptions, RunArgs, UserNs, Way};
use crate::cli::error::Error;
use crate::cli::units::Limit;
use crate::cli::values::Bind;
use crate::profile::{Enforce, IdMap, Network, Sockets, Symlinks};
use crate::sandbox::{Builder, Limits, Sandbox};

/// The options override the profile. Each of them is applied, or is an error.
pub fn sandbox(args: &RunArgs) -> Result<Sandbox, Error> {
    let mut builder = Sandbox::builder().profile(&args.profile.profile);
    for set in &args.profile.set {
        builder = builder.set(set);
    }
    if let Some(net) = args.profile.net {
        builder = builder.network(match net {
            Net::None => Network::None,
            Net::Host => Network::Host,
        });
    }
    builder = files(&args.files, builder)?;
    builder = process(&args.process, builder);
    builder = limits(&args.limits, builder);
    builder.build().map_err(named)
}

fn files(options: &FileOptions, mut builder: Builder) -> Result<Builder, Error> {
    if let Some(directory) = &options.rootfs {
        builder = builder.rootfs(directory);
    }
    if options.overlay_tmp {
        builder = builder.overlay_tmp();
    }
    if options.follow_symlinks {
        builder = builder.symlinks(Symlinks::Follow);
    }
    if options.allow_sockets {
        builder = builder.sockets(Sockets::Allow);
    }
    for bind in &options.bind {
        builder = builder.bind(&bind.source, destination("--bind", bind)?);
    }
    for bind in &options.ro_bind {
        builder = builder.ro_bind(&bind.source, destination("--ro-bind", bind)?);
    }
    for tmpfs in &options.tmpfs {
        builder = builder.tmpfs(&tmpfs.destination, tmpfs.size);
    }
    Ok(builder)
}

/// Where a bind is shown.
fn destination(option: &'static str, bind: &Bind) -> Result<PathBuf, Error> {
    if let Some(destination) = &bind.destination {
        return Ok(destination.clone());
    }
    let failed = |source| Error::HostPath { option, path: bind.source.clone(), source };
    if bind.source.components().any(|part| part == Component::ParentDir) {
        // Where `..` leads depends on the links before it.
        return std::fs::canonicalize(&bind.source).map_err(failed);
    }
    Ok(std::path::absolute(&bind.source).map_err(failed)?.components().collect())
}

fn process(options: &ProcessOptions, mut builder: Builder) -> Builder {
    if let Some(name) = &options.hostname {
        builder = builder.hostname(name);
    }
    if let Some(UserNs::Auto) = options.userns {
        builder = builder.id_mappings(IdMap::Auto, IdMap::Auto);
    } else if !options.uidmap.is_empty() {
        let (users, groups) = (options.uidmap.clone(), options.gidmap.clone());
        builder = builder.id_mappings(IdMap::Ranges(users), IdMap::Ranges(groups));
    }
    if let Some(user) = options.user {
        builder = builder.user(user.uid, user.gid);
    }
    if let Some(scheduler) = options.scheduler {
        builder = builder.set(format!("process.scheduler={scheduler}"));
    }
    if let Some(priority) = options.ionice {
        builder = builder.set(format!("process.ioPriority={priority}"));
    }
    builder
}

fn limits(options: &LimitOptions, mut builder: Builder) -> Builder {
    let throttles =
        [&options.io_read_bps, &options.io_write_bps, &options.io_read_iops, &options.io_write_iops];
    builder = builder.limits(Limits {
        memory: options.memory.map(|Limit(bytes)| bytes),
        memory_swap: options.memory_swap,
        pids: options.pids.map(|Limit(number)| number),
        cpus: options.cpus.map(|Limit(thousandths)| thousandths.map(Ok)),
        cpu_weight: options.cpu_weight,
        cpu_time: options.cpu_time.map(|Limit(time)| time),
        io_weight: options.io_weight,
        io_rates: throttles.into_iter().flatten().cloned().collect(),
        timeout: options.timeout.map(|Limit(time)| time),
        file_size: options.file_size.map(|Limit(bytes)| bytes),
        output: options.output_limit.map(|Limit(output)| output),
    });
    if let Some(parent) = &options.cgroup_parent {
        builder = builder.cgroup_parent(parent);
    }
    if let Some(way) = options.limits {
        builder = builder.enforce(match way {
            Way::Cgroup => Enforce::Cgroup,
            Way::Rlimit => Enforce::Rlimit,
        });
    }
    builder
}

/// The builder's error, with the option's name on the command line.
fn named(error: crate::Error) -> Error {
    match error {
        crate::Error::Option { option, source } => Error::Option { option: flag(option), source },
        crate::Error::Profile(source) => match source.downcast() {
            Ok(error) => Error::Profile(error),
            Err(source) => crate::Error::Profile(source).into(),
        },
        error => error.into(),
    }
}

/// The option that says what a method of the builder does. Mostly they have the same name.
fn flag(method: &str) -> String {
    match method {
        "network" => "--net".to_owned(),
        "id_mappings" => "--userns or --uidmap".to_owned(),
        "output" => "--output-limit".to_owned(),
        method => format!("--{}", method.replace('_', "-")),
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
