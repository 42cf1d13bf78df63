//! The plan for a person: grouped, aligned, terse.

use std::fmt::{self, Write as _};

use super::json::option;
use super::{namespaces, network_rights, rlimit, scopes, text};
use crate::plan::paths::landlock::access::{EXECUTE, WRITE_FILE};
use crate::plan::{
    BLOCK, Base, Bind, Cgroup, Device, HostIdentity, Inner, Landlock, Mapped, Node, Note, Plan, Presence,
    Source, Throttle, Tmpfs, Via, Workload,
};
use crate::profile::{IdRange, Throttled};

impl Plan {
    /// The plan for a person, for `--dry-run`: ends with a line break. Nothing in it can move a terminal's
    /// cursor.
    #[must_use]
    pub fn to_text(&self, notes: &[Note]) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, notes);
        out
    }

    fn write(&self, out: &mut String, notes: &[Note]) -> fmt::Result {
        line(out, "profile", &crate::plan::show::text::shown(&self.profile))?;
        line(out, "task", &task(&self.task.workload))?;
        line(out, "directory", &text(&self.task.cwd))?;
        line(out, "user", &self.user())?;
        if let Some(name) = &self.walls.hostname {
            line(out, "host name", &text(name))?;
        }
        let joined = self.walls.joined.iter().find(|joined| joined.flag == libc::CLONE_NEWNET as u64);
        let network = match joined {
            Some(joined) => format!("that of {}, as far as the filter lets it", text(&joined.path)),
            None if self.walls.loopback => "none but its own loopback".to_owned(),
            None => "the host's, as far as the filter lets it".to_owned(),
        };
        line(out, "network", &network)?;
        if self.task.terminal {
            line(out, "terminal", "its own")?;
        }
        if !self.task.descriptors.is_empty() {
            line(out, "descriptors", &list(self.task.descriptors.iter().map(ToString::to_string)))?;
        }
        out.push_str("\nwalls\n");
        self.walls(out)?;
        self.root(out)?;
        self.limits(out)?;
        if !self.task.env.is_empty() {
            out.push_str("\nenvironment\n");
            for entry in &self.task.env {
                writeln!(out, "  {}", text(entry))?;
            }
        }
        if !notes.is_empty() {
            out.push_str("\nnotes\n");
            for note in notes {
                writeln!(out, "  {note}")?;
            }
        }
        Ok(())
    }

    fn user(&self) -> String {
        let identity = &self.walls.identity;
        if self.walls.namespaces.is_lite() && identity.host == HostIdentity::Unique {
            return "an id that nothing else has, chosen at the start: it reaches what all users may"
                .to_owned();
        }
        let host = match &identity.host {
            HostIdentity::Own { uid, gid } => format!("{uid}:{gid} on the host"),
            HostIdentity::Unique => "on the host an id that nothing else has".to_owned(),
            HostIdentity::UniqueRange => format!("0 to {} on the host ids that nothing else has", BLOCK - 1),
            HostIdentity::Ranges(all) => {
                format!("users {}; groups {}", ranges(&all.users), ranges(&all.groups))
            }
        };
        format!("{}:{} inside, {host}", identity.uid, identity.gid)
    }

    fn walls(&self, out: &mut String) -> fmt::Result {
        let none = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
        line(out, "  namespaces", &none(namespaces(self.walls.namespaces.new_flags())))?;
        for joined in &self.walls.joined {
            line(out, "  joined", &format!("{} {}", namespaces(joined.flag).join(" "), text(&joined.path)))?;
        }
        let capabilities: Vec<String> = self.task.capabilities.names().collect();
        line(out, "  capabilities", &none(capabilities.iter().map(String::as_str).collect()))?;
        if self.walls.inner == Inner::Made {
            line(out, "  inner", "a user and mount namespace below init's, in which the capabilities count")?;
        }
        if self.task.session_keyring {
            line(out, "  keyring", "a session keyring of the task's own, empty")?;
        }
        line(out, "  no_new_privs", if self.task.no_new_privileges { "on" } else { "OFF" })?;
        let seccomp = self.task.seccomp.as_ref();
        let seccomp = seccomp.map(|s| format!("on, {} instructions", s.program.instructions.len()));
        line(out, "  seccomp", seccomp.as_deref().unwrap_or("OFF"))?;
        line(out, "  landlock", &self.task.landlock.as_ref().map_or_else(|| "OFF".to_owned(), landlock))?;
        if let (Some(ruleset), None) = (&self.task.landlock, &self.walls.root) {
            for rule in &ruleset.rules {
                let write = if rule.access & WRITE_FILE == 0 { "ro" } else { "rw" };
                let exec = if rule.access & EXECUTE == 0 { " noexec" } else { "" };
                writeln!(out, "    {write} {}{exec}", text(&rule.path))?;
            }
        }
        Ok(())
    }

    fn root(&self, out: &mut String) -> fmt::Result {
        let Some(root) = &self.walls.root else { return Ok(()) };
        let base = match &root.base {
            Base::Tmpfs(limits) => tmpfs(limits),
            Base::Directory(directory) => source(directory),
            Base::Overlay { lower, upper } => {
                format!("{} below {} for the writes", source(lower), tmpfs(upper))
            }
        };
        let mut rows = vec![(String::from("/"), access(root.readonly, false), base)];
        let mut marks = Vec::new();
        for (path, node) in &root.nodes {
            match node {
                Node::Pin => marks.push(("cannot be renamed", text(path))),
                Node::Mask { presence } => {
                    let words = ["masked", "masked, if it is there", "absent"];
                    marks.push((mark(*presence, words), text(path)));
                }
                Node::Readonly { presence } => {
                    let words = ["read-only", "read-only, if it is there", "absent"];
                    marks.push((mark(*presence, words), text(path)));
                }
                node => rows.extend(row(node).map(|(access, what)| (text(path), access, what))),
            }
        }
        out.push_str("\nroot\n");
        let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0).min(40);
        let middle = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
        for (path, access, what) in rows {
            writeln!(out, "  {path:width$}  {access:middle$}  {what}")?;
        }
        for (mark, path) in marks {
            writeln!(out, "  {path:width$}  {mark}")?;
        }
        Ok(())
    }

    fn limits(&self, out: &mut String) -> fmt::Result {
        out.push_str("\nlimits\n");
        line(
            out,
            "  timeout",
            &self.limits.timeout_ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms} ms")),
        )?;
        let beyond = if self.limits.output_truncated { ", the rest is thrown away" } else { "" };
        let output = self.limits.output.map(|bytes| size(bytes) + beyond);
        line(out, "  output", &output.unwrap_or_else(|| "unlimited".to_owned()))?;
        for limit in &self.task.attributes.rlimits {
            let word = |value| if value == u64::MAX { "unlimited".to_owned() } else { format!("{value}") };
            let (soft, hard) = (word(limit.soft), word(limit.hard));
            let value = if soft == hard { soft } else { format!("{soft}, can be raised to {hard}") };
            line(out, &format!("  {}", rlimit(limit.resource)), &value)?;
        }
        if let Some(cgroup) = &self.cgroup {
            self.cgroup(out, cgroup)?;
        }
        for (name, value) in self.task.attributes.words() {
            if let Some(value) = value {
                line(out, &format!("  {name}"), &value)?;
            }
        }
        Ok(())
    }
}

impl Plan {
    fn cgroup(&self, out: &mut String, cgroup: &Cgroup) -> fmt::Result {
        let parent = cgroup.parent.as_ref().map_or_else(|| "the caller's own".to_owned(), text);
        line(out, "  control group", &format!("in {parent}"))?;
        let thousandths = |n: u64| format!("{}.{:03}", n / 1000, n % 1000);
        for (name, value) in [
            (
                "    memory",
                cgroup.memory.map(|bytes| format!("{}, and {} of swap", size(bytes), size(cgroup.swap))),
            ),
            ("    pids", cgroup.pids.map(|n| n.to_string())),
            ("    cpus", cgroup.cpus.map(thousandths)),
            ("    cpu shares", cgroup.cpu_shares.map(|n| n.to_string())),
            ("    cpu time", cgroup.cpu_time_ms.map(|ms| format!("{ms} ms"))),
            ("    I/O weight", cgroup.io_weight.map(|n| n.to_string())),
        ] {
            if let Some(value) = value {
                line(out, name, &value)?;
            }
        }
        for Throttle { path, kind, rate } in &cgroup.throttles {
            let (name, value) = match kind {
                Throttled::ReadBps => ("    read", format!("{}/s", size(*rate))),
                Throttled::WriteBps => ("    write", format!("{}/s", size(*rate))),
                Throttled::ReadIops => ("    read", format!("{rate} times/s")),
                Throttled::WriteIops => ("    write", format!("{rate} times/s")),
            };
            line(out, name, &format!("{value} (disk of {})", text(path)))?;
        }
        Ok(())
    }
}

fn line(out: &mut String, key: &str, value: &str) -> fmt::Result {
    writeln!(out, "{key:16}{value}")
}

fn mark(presence: Presence, [there, unknown, absent]: [&'static str; 3]) -> &'static str {
    match presence {
        Presence::There => there,
        Presence::Unknown => unknown,
        Presence::Absent => absent,
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" ")
}

fn task(task: &Workload) -> String {
    match task {
        Workload::Program { path, argv } => {
            let args = argv.iter().skip(1).map(|arg| {
                let arg = text(arg);
                let plain = !arg.is_empty() && !arg.contains([' ', '\'', '"']);
                if plain { arg } else { format!("{arg:?}") }
            });
            list(std::iter::once(text(path)).chain(args))
        }
        Workload::Role { name } => format!("role {name}"),
        Workload::Call { .. } => "a function of the caller's program".to_owned(),
    }
}

fn access(readonly: bool, noexec: bool) -> String {
    format!("{}{}", if readonly { "ro" } else { "rw" }, if noexec { " noexec" } else { "" })
}

/// How the file or directory at a path can be used, and what it is.
fn row(node: &Node) -> Option<(String, String)> {
    Some(match node {
        // They only lead to something.
        Node::Directory { .. } => return None,
        Node::Symlink { target } => ("->".to_owned(), text(target)),
        Node::File { content, .. } => {
            ("file".to_owned(), format!("made by belljar, {} bytes", content.len()))
        }
        Node::Bind(Bind { source: from, readonly, noexec, attributes }) => {
            let words = attributes.words().fold(String::new(), |words, word| format!("{words} {word}"));
            (access(*readonly, *noexec) + &words, source(from))
        }
        Node::Device(Device { source, block, major, minor, readonly }) => {
            let kind = if *block { "block device" } else { "device" };
            (access(*readonly, false), format!("{kind} {major}:{minor} ({})", text(source)))
        }
        Node::Filesystem(filesystem) => {
            let limits = filesystem.limits.as_ref().map_or_else(|| text(&filesystem.fstype), tmpfs);
            let options = filesystem.data.iter().map(option);
            let what = options.fold(limits, |all, option| format!("{all}, {option}"));
            (access(filesystem.is_readonly(), filesystem.is_noexec()), what)
        }
        Node::Pin | Node::Mask { .. } | Node::Readonly { .. } => return None,
    })
}

fn ranges(ranges: &[IdRange]) -> String {
    let last = |first: u32, count: u32| u64::from(first) + u64::from(count) - 1;
    let range = |IdRange { inside, outside, count }: &IdRange| match count {
        1 => format!("{inside} is {outside} on the host"),
        count => {
            format!("{inside} to {} are {outside} to {}", last(*inside, *count), last(*outside, *count))
        }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

fn source(source: &Source) -> String {
    let via = match source.via {
        Via::Path => String::new(),
        Via::Tree { idmap: None } => " (handed over by the caller)".to_owned(),
        Via::Tree { idmap: Some(Mapped::Owner(uid, gid)) } => format!(" (as owner {uid}:{gid})"),
        Via::Tree { idmap: Some(Mapped::All) } => " (every owner by number)".to_owned(),
    };
    format!("host {}{via}", text(&source.path))
}

fn tmpfs(limits: &Tmpfs) -> String {
    format!("tmpfs {}, {} files", size(limits.size), limits.inodes)
}

/// Bytes, in the largest unit that loses nothing.
fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes, "bytes");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value == 0 || value % 1024 != 0 {
            break;
        }
        (value, unit) = (value / 1024, next);
    }
    format!("{value} {unit}")
}

fn landlock(ruleset: &Landlock) -> String {
    let mut out = format!("on, {} rights, {} rules", ruleset.handled_fs.count_ones(), ruleset.rules.len());
    if ruleset.scoped != 0 {
        let _ = write!(out, ", scopes {}", scopes(ruleset.scoped).join(" "));
    }
    if ruleset.handled_net != 0 {
        let _ = write!(out, ", refuses {}", network_rights(ruleset.handled_net).join(" "));
    }
    out
}
