//! Facts of a made-up host, for tests and for the fuzzers.

use super::{Facts, HostLimit};
use crate::capability::CapabilitySet;
use crate::seccomp::Arch;

impl Facts {
    /// An ordinary user without groups, on Linux 6.12 with all that the profiles ask for.
    pub(crate) fn sample() -> Self {
        Self {
            uid: 1000,
            gid: 1000,
            groups: Vec::new(),
            capabilities: CapabilitySet::EMPTY,
            mapped_ids: Some(1 << 32),
            spare_ids: Some((0x7000_0000, 0x7800_0000)),
            spare_blocks: Some((0x7800_0000, 0x7ffe_0000)),
            subordinate: None,
            root_outside: true,
            kernel: (6, 12),
            landlock_abi: Some(6),
            arch: Arch::X86_64,
            cwd: Some("/".into()),
            crash_handler: false,
            limits: (0..16).map(|resource| HostLimit { resource, soft: u64::MAX, hard: u64::MAX }).collect(),
        }
    }
}
