//! The plan as JSON: names in place of numbers, and strings without loss (a backslash is doubled, bytes that
//! are not printable UTF-8 are `\xNN`).

use std::ffi::CString;

use serde_json::{Value, json};

use super::{namespaces, network_rights, rlimit, scopes, text};
use crate::plan::{
    BLOCK, Base, Bind, Device, Ending, HostIdentity, Inner, Landlock, Mapped, Node, Note, Plan, Presence,
    Root, Seccomp, Source, Tmpfs, Via, Workload,
};
use crate::profile::{Attributes, IdRange};

impl Plan {
    /// The plan as JSON, for `--dry-run --json`. The filter is counted, not listed; the encoded plan has it
    /// all.
    ///
    /// Strings are escaped: `\\` for a backslash and `\xNN` for each byte that is not printable UTF-8.
    #[must_use]
    pub fn to_json(&self, notes: &[Note]) -> Value {
        let chosen_later =
            self.walls.namespaces.is_lite() && self.walls.identity.host == HostIdentity::Unique;
        let mut plan = json!({
            "profile": self.profile,
            "hash": self.hash().ok(),
            "task": task(&self.task.workload),
            "identity": {
                "uid": (!chosen_later).then_some(self.walls.identity.uid),
                "gid": (!chosen_later).then_some(self.walls.identity.gid),
                "host": match &self.walls.identity.host {
                    HostIdentity::Own { uid, gid } => json!({ "uid": uid, "gid": gid }),
                    HostIdentity::Unique => json!("unique"),
                    HostIdentity::UniqueRange => json!({ "unique": BLOCK }),
                    HostIdentity::Ranges(all) => json!({
                        "uidMappings": ranges(&all.users), "gidMappings": ranges(&all.groups),
                    }),
                },
            },
            "namespaces": namespaces(self.walls.namespaces.new_flags()),
            "joined": self.walls.joined.iter().map(|joined| json!({
                "namespaces": namespaces(joined.flag), "path": text(&joined.path),
            })).collect::<Vec<_>>(),
            "ending": match self.walls.ending {
                Ending::Namespace => "pid-namespace",
                Ending::Scope => "landlock-scope",
                Ending::Children => "children",
            },
            "hostname": self.walls.hostname.as_ref().map(text),
            "loopback": self.walls.loopback,
            "root": self.walls.root.as_ref().map(root),
            "cwd": text(&self.task.cwd),
            "rlimits": self.task.attributes.rlimits.iter().map(|limit| json!({
                "type": rlimit(limit.resource), "soft": number(limit.soft), "hard": number(limit.hard),
            })).collect::<Vec<_>>(),
            "capabilities": self.task.capabilities.names().collect::<Vec<_>>(),
            "innerUserNamespace": self.walls.inner == Inner::Made,
            "sessionKeyring": if self.task.session_keyring { "own" } else { "out-of-reach" },
            "no_new_privileges": self.task.no_new_privileges,
            "landlock": self.task.landlock.as_ref().map(landlock),
            "seccomp": self.task.seccomp.as_ref().map(seccomp),
            "env": self.task.env.iter().map(text).collect::<Vec<_>>(),
            "descriptors": self.task.descriptors,
            "terminal": self.task.terminal,
            "limits": {
                "timeout_ms": self.limits.timeout_ms, "output": self.limits.output,
                "output_truncated": self.limits.output_truncated,
            },
            "cgroup": self.cgroup.as_ref().map(|cgroup| json!({
                "parent": cgroup.parent.as_ref().map(text),
                "memory": cgroup.memory, "swap": cgroup.memory.map(|_| cgroup.swap), "pids": cgroup.pids,
                "cpus_thousandths": cgroup.cpus, "cpu_shares": cgroup.cpu_shares, "cpu_time_ms": cgroup.cpu_time_ms,
                "io_weight": cgroup.io_weight,
                "throttles": cgroup.throttles.iter().map(|throttle| json!({
                    "path": text(&throttle.path), "kind": throttle.kind, "rate": throttle.rate,
                })).collect::<Vec<_>>(),
            })),
            "notes": notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        for (name, value) in self.task.attributes.words() {
            plan[name] = json!(value);
        }
        plan
    }
}

/// `RLIM_INFINITY` by its word.
fn number(value: u64) -> Value {
    if value == u64::MAX { json!("unlimited") } else { json!(value) }
}

fn task(task: &Workload) -> Value {
    match task {
        Workload::Program { path, argv } => {
            json!({ "program": text(path), "argv": argv.iter().map(text).collect::<Vec<_>>() })
        }
        Workload::Role { name } => json!({ "role": name }),
        Workload::Call { entry, function } => json!({ "call": { "entry": entry, "function": function } }),
    }
}

/// In OCI's words.
fn ranges(ranges: &[IdRange]) -> Vec<Value> {
    let range = |IdRange { inside, outside, count }: &IdRange| json!({ "containerID": inside, "hostID": outside, "size": count });
    ranges.iter().map(range).collect()
}

fn source(source: &Source) -> Value {
    let (via, idmap) = match source.via {
        Via::Path => ("path", None),
        Via::Tree { idmap } => ("tree", idmap),
    };
    json!({
        "path": text(&source.path), "device": source.device, "inode": source.inode, "directory": source.directory,
        "via": via, "idmap": idmap.map(|mapped| match mapped {
            Mapped::Owner(uid, gid) => json!({ "uid": uid, "gid": gid }),
            Mapped::All => json!("all"),
        }),
    })
}

fn tmpfs(limits: &Tmpfs) -> Value {
    json!({ "size": limits.size, "inodes": limits.inodes, "mode": format!("{:04o}", limits.mode) })
}

fn root(root: &Root) -> Value {
    let base = match &root.base {
        Base::Tmpfs(limits) => json!({ "tmpfs": tmpfs(limits) }),
        Base::Directory(directory) => json!({ "directory": source(directory) }),
        Base::Overlay { lower, upper } => {
            json!({ "overlay": { "lower": source(lower), "upper": tmpfs(upper) } })
        }
    };
    json!({ "base": base, "readonly": root.readonly, "nodes": root.nodes.iter().map(node).collect::<Vec<_>>() })
}

fn node((path, node): &(CString, Node)) -> Value {
    let path = text(path);
    match node {
        Node::Directory { mode } => {
            json!({ "type": "directory", "path": path, "mode": format!("{mode:04o}") })
        }
        Node::Symlink { target } => json!({ "type": "symlink", "path": path, "target": text(target) }),
        Node::File { mode, content } => json!({
            "type": "file", "path": path, "mode": format!("{mode:04o}"),
            "content": crate::plan::show::text::escaped(content),
        }),
        Node::Pin => json!({ "type": "pin", "path": path }),
        Node::Mask { presence } => json!({ "type": "mask", "path": path, "presence": word(*presence) }),
        Node::Readonly { presence } => {
            json!({ "type": "readonly", "path": path, "presence": word(*presence) })
        }
        Node::Bind(Bind { source: from, readonly, noexec, attributes }) => {
            let mut bind = json!({
                "type": "bind", "path": path, "source": source(from), "readonly": readonly, "noexec": noexec,
            });
            if *attributes != Attributes::default() {
                bind["attributes"] = attributes.words().collect();
            }
            bind
        }
        Node::Device(Device { source, block, major, minor, readonly }) => json!({
            "type": if *block { "block device" } else { "device" }, "path": path, "source": text(source),
            "major": major, "minor": minor, "readonly": readonly,
        }),
        Node::Filesystem(filesystem) => json!({
            "type": "filesystem", "path": path, "fstype": text(&filesystem.fstype),
            "data": filesystem.data.iter().map(option).collect::<Vec<_>>(),
            "limits": filesystem.limits.as_ref().map(tmpfs),
            "attributes": filesystem.attributes,
            "propagation": format!("{:?}", filesystem.propagation).to_lowercase(),
        }),
    }
}

/// `key` or `key=value`.
pub(super) fn option((key, value): &(CString, Option<CString>)) -> String {
    value.as_ref().map_or_else(|| text(key), |value| format!("{}={}", text(key), text(value)))
}

fn word(presence: Presence) -> &'static str {
    match presence {
        Presence::There => "there",
        Presence::Absent => "absent",
        Presence::Unknown => "unknown",
    }
}

fn landlock(ruleset: &Landlock) -> Value {
    let rules =
        ruleset.rules.iter().map(|rule| json!({ "path": text(&rule.path), "access": names(rule.access) }));
    json!({
        "handled_access_fs": names(ruleset.handled_fs),
        "handled_access_net": network_rights(ruleset.handled_net),
        "scoped": scopes(ruleset.scoped),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn seccomp(seccomp: &Seccomp) -> Value {
    json!({
        "flags": seccomp.flags,
        "instructions": seccomp.program.instructions.len(),
        "readback": seccomp.readback,
    })
}

/// The kernel's names of the rights in a mask, lower case.
fn names(mask: u64) -> Vec<&'static str> {
    const NAMES: [&str; 17] = [
        "execute",
        "write_file",
        "read_file",
        "read_dir",
        "remove_dir",
        "remove_file",
        "make_char",
        "make_dir",
        "make_reg",
        "make_sock",
        "make_fifo",
        "make_block",
        "make_sym",
        "refer",
        "truncate",
        "ioctl_dev",
        "resolve_unix",
    ];
    NAMES.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::names;
    use crate::plan::paths::landlock::handled_fs;

    #[test]
    fn every_right_has_a_name() {
        for abi in 1..=9 {
            assert_eq!(handled_fs(abi).count_ones() as usize, names(handled_fs(abi)).len());
        }
    }
}
