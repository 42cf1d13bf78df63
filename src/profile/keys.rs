//! Every key of a profile, for suggestions and shell completion.

use crate::text::nearest;

/// Every key that an override can set, in the order of the file; `process.rlimits` takes [`RLIMITS`](super::RLIMITS).
pub const KEYS: [&str; 51] = [
    "description",
    "hostname",
    "workdir",
    "namespaces",
    "root.path",
    "root.pathRequired",
    "root.readonly",
    "root.overlay",
    "root.size",
    "root.inodes",
    "root.etc",
    "root.etcPrograms",
    "process.cwd",
    "process.env",
    "process.user",
    "process.user.uid",
    "process.user.gid",
    "process.capabilities",
    "process.noNewPrivileges",
    "process.umask",
    "process.rlimits",
    "mounts",
    "maskedPaths",
    "readonlyPaths",
    "seccomp.mode",
    "seccomp.defaultAction",
    "seccomp.defaultErrnoRet",
    "seccomp.syscalls",
    "seccomp.profile",
    "seccomp.unknownNames",
    "seccomp.flags",
    "landlock.mode",
    "landlock.scopes",
    "limits.timeout",
    "limits.cpuTime",
    "limits.output",
    "limits.fileSize",
    "resources.memory.limit",
    "resources.memory.swap",
    "resources.pids.limit",
    "resources.cpu.quota",
    "resources.cpu.period",
    "resources.cpu.shares",
    "resources.cpu.time",
    "resources.blockIO.weight",
    "resources.blockIO.throttleReadBpsDevice",
    "resources.blockIO.throttleWriteBpsDevice",
    "resources.blockIO.throttleReadIOPSDevice",
    "resources.blockIO.throttleWriteIOPSDevice",
    "resources.cgroupParent",
    "resources.enforce",
];

/// The key that a wrong one was most likely meant to be: the same word in another table, else the most similar.
pub(crate) fn nearest_key(key: &str) -> Option<&'static str> {
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let word = key.rsplit('.').next().unwrap_or(key);
    let same = KEYS.into_iter().find(|known| last(known).eq_ignore_ascii_case(word));
    let similar = || {
        let near = nearest(word, KEYS.into_iter().map(last))?;
        KEYS.into_iter().find(|known| last(known) == near)
    };
    same.or_else(|| nearest(key, KEYS)).or_else(similar)
}
