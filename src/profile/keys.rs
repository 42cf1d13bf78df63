//! Every key of a profile: for suggestions, for completion, and for people.

use crate::text::nearest;

/// A key of a profile.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Key {
    /// Its name, with the tables that it is in.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn key(name: &'static str, takes: &'static str, meaning: &'static str) -> Key {
    Key { name, takes, meaning }
}

/// Every key that an override can set, in the order of the file; `process.rlimits` takes
/// [`RLIMITS`](super::RLIMITS).
#[rustfmt::skip] // A line each.
pub const KEYS: [Key; 55] = [
    key("description", "text", "one line for `belljar profile list`"),
    key("hostname", "text, at most 64 bytes; `\"\"`: the host's", "the host name inside (needs the uts namespace)"),
    key("workdir", "`none`, `readonly`, `writable`", "whether and how the caller's working directory is shown, at its own path"),
    key("symlinks", "`system`, `follow`", "which symlinks a path of the host may lead through: the system's own, or all"),
    key("sockets", "`refuse`, `tell`, `allow`", "what is done where a shown directory holds sockets or FIFOs of the host"),
    key("namespaces", "list of `user`, `mount`, `pid`, `ipc`, `uts`, `network`, `cgroup`, `time`, or `{ type, path }`", "the namespaces of its own; `[]` is lite; with `extends`, `-NAME` takes one away and `+NAME` adds one; `{ type = \"network\", path = \"/run/netns/x\" }` joins one that is there (network, ipc, uts, cgroup; needs CAP_SYS_ADMIN)"),
    key("uidMappings", "list of `{ containerID, hostID, size }`, `auto`, `default`", "user ids of the user namespace (`--uidmap`); `auto`: root inside is the caller, above it its subordinate ids, and for root 65536 ids that nothing else has (`--userns auto`); `default`: the one of `process.user`"),
    key("gidMappings", "the same", "group ids (`--gidmap`); goes together with `uidMappings`"),
    key("root.path", "path", "a directory of the host that becomes the root (`--rootfs`)"),
    key("root.pathRequired", "true, false", "whether nothing runs without `root.path`"),
    key("root.readonly", "true, false", "whether the root itself cannot be written to"),
    key("root.overlay", "true, false", "writes to `root.path` go to memory and are thrown away (`--overlay-tmp`)"),
    key("root.size", "size", "what the root's own tmpfs, or the overlay, may hold"),
    key("root.inodes", "number", "files that the same may hold"),
    key("root.etc", "`synthetic`, `none`", "whether /etc is made by belljar: passwd, group, hosts, resolv.conf and the like"),
    key("root.etcPrograms", "list of names, or `*`", "programs whose directories in the host's /etc are shown, read-only"),
    key("process.cwd", "path inside", "the working directory; without it the caller's where `workdir` shows it, else /tmp, else /"),
    key("process.env", "list of `K=V` and `K`", "the environment: set, or passed on from the caller"),
    key("process.user", "`UID[:GID]`, `default`", "the ids inside; `default`: the caller's own, or 1000 for root; 0 where `uidMappings` is `auto`"),
    key("process.user.uid", "number", "the user id alone"),
    key("process.user.gid", "number", "the group id alone"),
    key("process.capabilities", "list of `CAP_…`", "the capabilities that are kept, in the sandbox's own user namespace"),
    key("process.noNewPrivileges", "true, false", "`PR_SET_NO_NEW_PRIVS`"),
    key("process.umask", "octal number", "the file mode creation mask"),
    key("process.rlimits", "table of NAME = number, size, `unlimited` or `{ soft, hard }`", "resource limits, by the names of getrlimit(2) without `RLIMIT_`"),
    key("mounts", "list of tables: `destination`, `type`, `source`, `options`, `remove`", "what is mounted; at one destination the later entry wins; `type`: bind (the default), tmpfs, proc, dev, mqueue, sysfs, cgroup2, devpts, binfmt_misc, c or b (a device by number)"),
    key("maskedPaths", "list of paths inside", "what is hidden behind an empty file or directory"),
    key("readonlyPaths", "list of paths inside", "what is made read-only"),
    key("seccomp.mode", "`filter`, `off`", "whether there is a system-call filter"),
    key("seccomp.defaultAction", "`errno`, `allow`, `kill`, …", "what happens to a call that no rule names"),
    key("seccomp.defaultErrnoRet", "error name or number", "the error that it gets"),
    key("seccomp.syscalls", "list of tables: `names`, `action`, `errnoRet`, `args`", "the rules; the first that matches decides; a name with `@` is a group"),
    key("seccomp.profile", "path", "a filter in OCI's JSON, as Docker's"),
    key("seccomp.unknownNames", "`error`, `ignore`", "what a name does that no known system call has"),
    key("seccomp.flags", "list of `SECCOMP_FILTER_FLAG_…`", "flags of seccomp(2)"),
    key("landlock.mode", "`require`, `off`", "whether the same paths are held by Landlock, too"),
    key("landlock.scopes", "list of `signal`, `abstract-unix-socket`", "Landlock's scopes (Linux 6.12)"),
    key("limits.timeout", "time, `unlimited`", "wall time of the run (`--timeout`)"),
    key("limits.cpuTime", "time in whole seconds, `unlimited`", "CPU time of each process (`RLIMIT_CPU`)"),
    key("limits.output", "size, size`:truncate`, `unlimited`", "bytes of standard output and error together (`--output-limit`)"),
    key("limits.fileSize", "size, `unlimited`", "bytes of one file (`--file-size`)"),
    key("resources.memory.limit", "size, `unlimited`", "memory of the whole sandbox (`--memory`)"),
    key("resources.memory.swap", "size, `none`", "memory and swap together"),
    key("resources.pids.limit", "number, `unlimited`", "processes and threads of the whole sandbox (`--pids`)"),
    key("resources.cpu.quota", "time, `unlimited`", "CPU time in each period (`--cpus`)"),
    key("resources.cpu.period", "time", "the period of the quota"),
    key("resources.cpu.shares", "2 to 262144, `default`", "its part of the CPUs where others want them, too"),
    key("resources.cpu.time", "time, `unlimited`", "CPU time of the whole sandbox (`--cpu-time`)"),
    key("resources.blockIO.weight", "1 to 1000, `default`", "its part of what disks do where others want them, too"),
    key("resources.blockIO.throttleReadBpsDevice", "list of `{ path, rate }`", "bytes read from a disk in a second"),
    key("resources.blockIO.throttleWriteBpsDevice", "list of `{ path, rate }`", "bytes written to a disk in a second"),
    key("resources.blockIO.throttleReadIOPSDevice", "list of `{ path, rate }`", "reads from a disk in a second"),
    key("resources.blockIO.throttleWriteIOPSDevice", "list of `{ path, rate }`", "writes to a disk in a second"),
    key("resources.cgroupParent", "path from the tree's root, `own`", "the control group that the sandbox's is made in"),
    key("resources.enforce", "`cgroup`, `rlimit`", "what enforces memory, processes and CPUs (`--limits`)"),
];

/// The key that a wrong one was most likely meant to be: the same word in another table, else the most
/// similar.
pub(crate) fn nearest_key(key: &str) -> Option<&'static str> {
    let names = || KEYS.iter().map(|key| key.name);
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let word = key.rsplit('.').next().unwrap_or(key);
    let same = names().find(|known| last(known).eq_ignore_ascii_case(word));
    let similar = || {
        let near = nearest(word, names().map(last))?;
        names().find(|known| last(known) == near)
    };
    same.or_else(|| nearest(key, names())).or_else(similar)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written anew with `BELLJAR_WRITE=1 cargo test --lib the_page_of_keys`.
    #[test]
    fn the_page_of_keys_is_as_the_code_has_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/profile.md");
        let text = std::fs::read_to_string(path).expect("docs/profile.md");
        let (head, _) = text.split_once("| --- |").expect("a table");
        let row = |key: &Key| format!("| `{}` | {} | {} |\n", key.name, key.takes, key.meaning);
        let expected = format!("{head}| --- | --- | --- |\n{}", KEYS.iter().map(row).collect::<String>());
        if std::env::var_os("BELLJAR_WRITE").is_some() {
            std::fs::write(path, &expected).expect("to write it");
        }
        assert!(text == expected, "docs/profile.md differs; see the comment of this test");
    }
}
