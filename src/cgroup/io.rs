//! Limits of disks: which disk is meant, and how each version is told.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::Serialize;

use super::dir::Dir;
use super::error::CgroupError;
use super::{Version, parse};
use crate::plan::{Cgroup, Throttle};
use crate::profile::Throttled;

const THROTTLED: [Throttled; 4] =
    [Throttled::ReadBps, Throttled::WriteBps, Throttled::ReadIops, Throttled::WriteIops];

/// v1's file, and v2's word in `io.max`.
fn names(kind: Throttled) -> (&'static str, &'static str) {
    match kind {
        Throttled::ReadBps => ("blkio.throttle.read_bps_device", "rbps"),
        Throttled::WriteBps => ("blkio.throttle.write_bps_device", "wbps"),
        Throttled::ReadIops => ("blkio.throttle.read_iops_device", "riops"),
        Throttled::WriteIops => ("blkio.throttle.write_iops_device", "wiops"),
    }
}

/// Where a weight is set; the kernel has those of its schedulers.
const V1_WEIGHTS: [&str; 2] = ["blkio.bfq.weight", "blkio.weight"];
const V2_WEIGHTS: [&str; 2] = ["io.bfq.weight", "io.weight"];

/// What may be read from and written to a disk in a second, as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DiskLimit {
    /// Major and minor number, as in `8:0`.
    pub disk: String,
    /// Bytes read.
    pub read_bps: Option<u64>,
    /// Bytes written.
    pub write_bps: Option<u64>,
    /// Reads.
    pub read_iops: Option<u64>,
    /// Writes.
    pub write_iops: Option<u64>,
}

/// Sets what the plan asks, and reads it back; `parent` is the group that it is made in.
pub(super) fn set(group: &Dir, parent: &Dir, version: Version, plan: &Cgroup) -> Result<(), CgroupError> {
    if let Some(weight) = plan.io_weight {
        set_weight(group, version, weight)?;
    }
    check(parent, version, plan)?;
    for throttle in &plan.throttles {
        set_throttle(group, version, throttle)?;
    }
    Ok(())
}

/// What can be told before there is a group.
pub(super) fn check(parent: &Dir, version: Version, plan: &Cgroup) -> Result<(), CgroupError> {
    if version == Version::V1 && !plan.throttles.is_empty() {
        // v1 does not hand them down.
        for (file, _) in THROTTLED.map(names) {
            if parent.read_if_there(file)?.is_some_and(|text| !text.trim().is_empty()) {
                return Err(CgroupError::OwnLimits { file });
            }
        }
    }
    plan.throttles.iter().try_for_each(|throttle| disk(&throttle.path).map(drop))
}

fn set_weight(group: &Dir, version: Version, weight: u64) -> Result<(), CgroupError> {
    let (files, default) = match version {
        Version::V1 => (V1_WEIGHTS, ""),
        Version::V2 => (V2_WEIGHTS, "default "),
    };
    let mut set = false;
    for file in files.into_iter().filter(|file| group.has(file)) {
        group.write(file, &weight.to_string())?;
        let found = group.read(file)?;
        let line = found.lines().next().unwrap_or_default();
        if line.strip_prefix(default).unwrap_or(line) != weight.to_string() {
            let (path, written) = (group.path.join(file), weight.to_string());
            return Err(CgroupError::Mismatch { path, written, found: line.to_owned() });
        }
        set = true;
    }
    if set { Ok(()) } else { Err(CgroupError::NoWeight) }
}

fn set_throttle(group: &Dir, version: Version, throttle: &Throttle) -> Result<(), CgroupError> {
    let disk = disk(&throttle.path)?;
    let (v1, word) = names(throttle.kind);
    let (file, setting) = match version {
        Version::V1 => (v1, throttle.rate.to_string()),
        Version::V2 => ("io.max", format!("{word}={}", throttle.rate)),
    };
    let written = format!("{disk} {setting}");
    group.write(file, &written)?;
    let found = group.read(file)?;
    let mut lines = found.lines().filter_map(|line| line.strip_prefix(&disk)?.strip_prefix(' '));
    if lines.any(|line| line.split(' ').any(|word| word == setting)) {
        return Ok(());
    }
    Err(CgroupError::Mismatch { path: group.path.join(file), written, found: found.trim().to_owned() })
}

/// What is in force: the weight, and each disk with a limit.
pub(super) fn in_force(group: &Dir, version: Version) -> Result<(Option<u64>, Vec<DiskLimit>), CgroupError> {
    let files = if version == Version::V1 { V1_WEIGHTS } else { V2_WEIGHTS };
    let mut weight = None;
    for file in files {
        let text = group.read_if_there(file)?;
        weight =
            weight.or(text.and_then(|text| parse::number(&text, "").or(parse::number(&text, "default"))));
    }
    let mut disks: Vec<DiskLimit> = Vec::new();
    let mut add = |disk: &str, kind, rate: Option<u64>| {
        let at = disks.iter().position(|limit| limit.disk == disk).unwrap_or_else(|| {
            disks.push(DiskLimit { disk: disk.to_owned(), ..DiskLimit::default() });
            disks.len() - 1
        });
        if let Some(limit) = disks.get_mut(at) {
            match kind {
                Throttled::ReadBps => limit.read_bps = rate,
                Throttled::WriteBps => limit.write_bps = rate,
                Throttled::ReadIops => limit.read_iops = rate,
                Throttled::WriteIops => limit.write_iops = rate,
            }
        }
    };
    for kind in THROTTLED {
        let (v1, word) = names(kind);
        let file = if version == Version::V1 { v1 } else { "io.max" };
        let text = group.read_if_there(file)?.unwrap_or_default();
        for (disk, settings) in text.lines().filter_map(|line| line.split_once(' ')) {
            let rate = match version {
                Version::V1 => settings.trim().parse().ok(),
                Version::V2 => settings
                    .split(' ')
                    .find_map(|setting| setting.strip_prefix(word)?.strip_prefix('=')?.parse().ok()),
            };
            add(disk, kind, rate);
        }
    }
    Ok((weight, disks))
}

/// The disk that a path is, or is on, as `MAJOR:MINOR`; of a partition, the whole: the kernel limits no part.
fn disk(path: &CStr) -> Result<String, CgroupError> {
    let shown = PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let stat = nix::sys::stat::stat(path).map_err(CgroupError::on("stat", &shown))?;
    let block = stat.st_mode & libc::S_IFMT == libc::S_IFBLK;
    let device = if block { stat.st_rdev } else { stat.st_dev };
    let name = format!("{}:{}", libc::major(device), libc::minor(device));
    let directory = Path::new("/sys/dev/block").join(&name);
    let read = |file: &str| match std::fs::read_to_string(directory.join(file)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            Err(CgroupError::on("read", directory.join(file))(errno))
        }
    };
    let no_disk = || CgroupError::NoDisk { path: shown.clone() };
    if read("dev")?.is_none() {
        return Err(no_disk());
    }
    match read("partition")? {
        None => Ok(name),
        Some(_) => read("../dev")?.ok_or_else(no_disk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_no_disk_is_an_error() {
        for path in [c"/proc", c"/dev/null", c"/no/such/path"] {
            assert!(disk(path).is_err(), "{path:?}");
        }
    }
}
