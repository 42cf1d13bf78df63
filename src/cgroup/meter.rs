//! What a group has at a moment, read while things run in it.

use serde::Serialize;

use super::dir::Dir;
use super::error::CgroupError;
use super::{Controller, Version, parse};

/// Reads a sandbox's control group for as long as it is there.
#[derive(Debug)]
pub struct Meter {
    parts: Vec<(Version, Vec<Controller>, Dir)>,
}

/// What everything in a sandbox had at a moment. What the kernel does not count, or not any more, is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Sample {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// CPU time until now, microseconds.
    pub cpu_micros: Option<u64>,
    /// Bytes read from disks until now (where the controller is there).
    pub io_read_bytes: Option<u64>,
    /// Bytes written to disks until now (likewise).
    pub io_written_bytes: Option<u64>,
}

impl Meter {
    pub(super) fn new(parts: Vec<(Version, Vec<Controller>, Dir)>) -> Self {
        Self { parts }
    }

    /// What it has now.
    ///
    /// # Errors
    /// A file of the group that is there cannot be read.
    pub fn read(&self) -> Result<Sample, CgroupError> {
        let mut sample = Sample::default();
        for (version, controllers, group) in &self.parts {
            let number = |file: &'static str, key: &str| {
                let text = group.read_if_there(file)?;
                Ok::<_, CgroupError>(text.and_then(|text| parse::number(&text, key)))
            };
            // v2 counts in one group what nothing is asked of, too; what a v1 tree has is not there.
            let has = |controller| controllers.contains(&controller) || *version == Version::V2;
            if has(Controller::Memory) {
                let file = match version {
                    Version::V1 => "memory.usage_in_bytes",
                    Version::V2 => "memory.current",
                };
                sample.memory_bytes = sample.memory_bytes.or(number(file, "")?);
            }
            if has(Controller::Pids) {
                sample.pids = sample.pids.or(number("pids.current", "")?);
            }
            if has(Controller::Cpuacct) {
                let micros = match version {
                    Version::V1 => number("cpuacct.usage", "")?.map(|nanos| nanos / 1000),
                    Version::V2 => number("cpu.stat", "usage_usec")?,
                };
                sample.cpu_micros = sample.cpu_micros.or(micros);
            }
            if let Some((read, written)) = io_bytes(group, *version)? {
                (sample.io_read_bytes, sample.io_written_bytes) = (Some(read), Some(written));
            }
        }
        Ok(sample)
    }
}

/// Bytes read and written, where the group has the controller.
pub(super) fn io_bytes(group: &Dir, version: Version) -> Result<Option<(u64, u64)>, CgroupError> {
    Ok(match version {
        Version::V1 => group
            .read_if_there("blkio.throttle.io_service_bytes")?
            .map(|text| (parse::sum_after(&text, "Read"), parse::sum_after(&text, "Write"))),
        Version::V2 => group
            .read_if_there("io.stat")?
            .map(|text| (parse::sum(&text, "rbytes"), parse::sum(&text, "wbytes"))),
    })
}
