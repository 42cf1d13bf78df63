//! The effective profile as TOML: what is left when everything that is inherited, overridden or left out is
//! written down.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::decode::{ENFORCE, THROTTLES};
use super::filter::FLAGS;
use super::validate::namespace_name;
use super::{IdMap, IdRange, MountKind, Profile, Rlimit, Scope, Throttle, Workdir, decode, resolve, units};
use crate::seccomp::{Action, Condition, Op, Policy, Rule};

impl Profile {
    /// The profile as a TOML text that is complete in itself: no `extends`, no groups, no defaults. Read
    /// again, it makes the same profile (but for its name; a path that is not UTF-8 is shown, but can not be
    /// read again).
    #[must_use]
    pub fn to_toml(&self) -> String {
        format!("description = {}\n{}", quote(&self.description), policy(self))
    }
}

/// All but the description.
fn policy(profile: &Profile) -> String {
    let mut text = Text(String::new());
    walls(&mut text, profile);
    seccomp(&mut text, profile.seccomp.as_ref());
    mounts(&mut text, profile);
    text.0
}

/// All but the description and the filter.
pub(super) fn without_filter(profile: &Profile) -> String {
    let mut text = Text(String::new());
    walls(&mut text, profile);
    mounts(&mut text, profile);
    text.0
}

/// The filter.
pub(super) fn filter(policy: Option<&Policy>) -> String {
    let mut text = Text(String::new());
    seccomp(&mut text, policy);
    text.0
}

fn walls(text: &mut Text, profile: &Profile) {
    let lite = profile.namespaces.is_empty();
    let joined = profile.joined.iter().map(|(namespace, at)| {
        format!("{{ type = {}, path = {} }}", quote(namespace_name(*namespace)), path(at))
    });
    let own = profile.namespaces.iter().map(|namespace| quote(namespace_name(*namespace)));
    text.list("namespaces", own.chain(joined));
    if !lite {
        text.key("uidMappings", &id_map(&profile.uid_mappings));
        text.key("gidMappings", &id_map(&profile.gid_mappings));
    }
    text.key("hostname", &quote(profile.hostname.as_deref().unwrap_or("")));
    text.key("workdir", &quote(workdir(profile.workdir)));
    text.key("symlinks", &quote(word(&decode::SYMLINKS, profile.symlinks)));
    text.key("sockets", &quote(word(&decode::SOCKETS, profile.sockets)));
    text.list("maskedPaths", profile.masked_paths.iter().map(|p| path(p)));
    text.list("readonlyPaths", profile.readonly_paths.iter().map(|p| path(p)));
    if !lite {
        root(text, profile);
    }
    process(text, profile);
    limits(text, profile);
    text.table("landlock");
    text.key("mode", if profile.landlock.require { "\"require\"" } else { "\"off\"" });
    text.list("scopes", profile.landlock.scopes.iter().map(|s| quote(scope(*s))));
}

fn id_map(map: &IdMap) -> String {
    let range = |range: &IdRange| {
        let IdRange { inside, outside, count } = range;
        format!("{{ containerID = {inside}, hostID = {outside}, size = {count} }}")
    };
    match map {
        IdMap::One => quote("default"),
        IdMap::Auto => quote("auto"),
        IdMap::Ranges(ranges) => format!("[{}]", ranges.iter().map(range).collect::<Vec<_>>().join(", ")),
    }
}

fn root(text: &mut Text, profile: &Profile) {
    let root = &profile.root;
    text.table("root");
    if let Some(directory) = &root.path {
        text.key("path", &path(directory));
    }
    text.key("pathRequired", &root.path_required.to_string());
    text.key("readonly", &root.readonly.to_string());
    text.key("overlay", &root.overlay.to_string());
    text.key("size", &size(root.size));
    text.key("inodes", &root.inodes.to_string());
    text.key("etc", if root.synthetic_etc { "\"synthetic\"" } else { "\"none\"" });
    text.list("etcPrograms", root.etc_programs.iter().map(|name| quote(name)));
}

fn process(text: &mut Text, profile: &Profile) {
    let process = &profile.process;
    text.table("process");
    if let Some(cwd) = &process.cwd {
        text.key("cwd", &path(cwd));
    }
    text.list("env", process.env.iter().map(|e| quote(e)));
    let user = process.user.map_or_else(|| "default".to_owned(), |user| format!("{}:{}", user.uid, user.gid));
    text.key("user", &quote(&user));
    text.list("capabilities", process.capabilities.iter().map(|c| quote(&c.to_string())));
    text.key("noNewPrivileges", &process.no_new_privileges.to_string());
    text.key("umask", &format!("0o{:03o}", process.umask));
    text.table("process.rlimits");
    for (name, Rlimit { soft, hard }) in &process.rlimits {
        let number = |n: &Option<u64>| n.map_or_else(|| "\"unlimited\"".to_owned(), |n| n.to_string());
        if soft == hard {
            text.key(name, &number(soft));
        } else {
            text.key(name, &format!("{{ soft = {}, hard = {} }}", number(soft), number(hard)));
        }
    }
}

fn limits(text: &mut Text, profile: &Profile) {
    let limits = &profile.limits;
    text.table("limits");
    text.key("timeout", &or_unlimited(limits.timeout, time));
    text.key("cpuTime", &or_unlimited(limits.cpu_time, time));
    let output = |bytes| quote(&units::show_output(bytes, limits.output_truncated));
    text.key("output", &or_unlimited(limits.output, output));
    text.key("fileSize", &or_unlimited(limits.file_size, size));
    let resources = &profile.resources;
    text.table("resources");
    text.key("memory.limit", &or_unlimited(resources.memory, size));
    text.key("memory.swap", &resources.swap.map_or_else(|| quote("none"), size));
    text.key("pids.limit", &or_unlimited(resources.pids, |n| n.to_string()));
    let quota = |cpus: u64| {
        let period = u64::try_from(resolve::CPU_PERIOD.as_micros()).unwrap_or(0);
        time(Duration::from_micros(cpus.saturating_mul(period / 1000)))
    };
    text.key("cpu.quota", &or_unlimited(resources.cpus, quota));
    text.key("cpu.shares", &resources.cpu_shares.map_or_else(|| quote("default"), |n| n.to_string()));
    text.key("cpu.time", &or_unlimited(resources.cpu_time, time));
    text.key("blockIO.weight", &resources.io_weight.map_or_else(|| quote("default"), |n| n.to_string()));
    for (key, kind) in THROTTLES {
        let of_kind: Vec<_> = resources.throttles.iter().filter(|throttle| throttle.kind == kind).collect();
        let entry = |throttle: &&Throttle| {
            let rate = units::show_rate(throttle.rate, kind);
            format!("{{ path = {}, rate = {} }}", path(&throttle.path), quote(&rate))
        };
        if !of_kind.is_empty() {
            text.list(&format!("blockIO.{key}"), of_kind.iter().map(entry));
        }
    }
    let parent = resources.cgroup_parent.as_ref().map(|path| path.to_string_lossy());
    text.key("cgroupParent", &quote(parent.as_deref().unwrap_or("own")));
    let enforce = ENFORCE.iter().find(|(_, way)| *way == resources.enforce);
    text.key("enforce", &quote(enforce.map_or("cgroup", |(word, _)| word)));
}

fn seccomp(text: &mut Text, policy: Option<&Policy>) {
    text.table("seccomp");
    let Some(policy) = policy else { return text.key("mode", "\"off\"") };
    text.key("mode", "\"filter\"");
    let (word, errno) = action(policy.default);
    text.key("defaultAction", &quote(word));
    if let Some(errno) = errno {
        text.key("defaultErrnoRet", &errno.to_string());
    }
    let flags = FLAGS.iter().filter(|(_, flag)| policy.flags & flag != 0);
    text.list("flags", flags.map(|(name, _)| quote(name)));
    for rule in &policy.rules {
        text.table_of_list("seccomp.syscalls");
        syscalls(text, rule);
    }
}

fn syscalls(text: &mut Text, rule: &Rule) {
    text.list("names", rule.names.iter().map(|n| quote(n)));
    let (word, errno) = action(rule.action);
    text.key("action", &quote(word));
    if let Some(errno) = errno {
        text.key("errnoRet", &errno.to_string());
    }
    if !rule.args.is_empty() {
        text.list("args", rule.args.iter().map(condition));
    }
}

fn condition(condition: &Condition) -> String {
    let (op, value, second) = match condition.op {
        Op::Eq => ("SCMP_CMP_EQ", condition.value, None),
        Op::Ne => ("SCMP_CMP_NE", condition.value, None),
        Op::Lt => ("SCMP_CMP_LT", condition.value, None),
        Op::Le => ("SCMP_CMP_LE", condition.value, None),
        Op::Gt => ("SCMP_CMP_GT", condition.value, None),
        Op::Ge => ("SCMP_CMP_GE", condition.value, None),
        Op::MaskedEq(mask) => ("SCMP_CMP_MASKED_EQ", mask, Some(condition.value)),
    };
    let second = second.map_or_else(String::new, |second| format!(", valueTwo = {second:#x}"));
    format!("{{ index = {}, op = \"{op}\", value = {value:#x}{second} }}", condition.index)
}

fn action(action: Action) -> (&'static str, Option<u16>) {
    match action {
        Action::Allow => ("allow", None),
        Action::Log => ("log", None),
        Action::Errno(errno) => ("errno", Some(errno)),
        Action::KillProcess => ("kill", None),
        Action::KillThread => ("killThread", None),
        Action::Trap => ("trap", None),
        Action::Trace(data) => ("trace", Some(data)),
        Action::Notify => ("notify", None),
    }
}

fn mounts(text: &mut Text, profile: &Profile) {
    for mount in &profile.mounts {
        text.table_of_list("mounts");
        text.key("destination", &path(&mount.destination));
        let mut options = Vec::new();
        let kind = match &mount.kind {
            MountKind::Bind { source, idmap } => {
                text.key("source", &path(source));
                options.extend(idmap.then(|| "idmap".to_owned()));
                "bind"
            }
            MountKind::Tmpfs { size, inodes, mode } => {
                options.push(format!("size={}", units::show_size(*size)));
                options.push(format!("nr_inodes={inodes}"));
                options.push(format!("mode={mode:04o}"));
                "tmpfs"
            }
            MountKind::Proc { subset_pid } => {
                options.extend(subset_pid.then(|| "subset=pid".to_owned()));
                "proc"
            }
            MountKind::Dev => "dev",
            MountKind::Mqueue => "mqueue",
            MountKind::Filesystem { fstype, data } => {
                options.extend(data.iter().map(|(key, value)| match value {
                    // Sizes are written with their unit.
                    Some(value) if fstype == "tmpfs" && key == "size" => {
                        let size = value.parse().map_or_else(|_| value.clone(), units::show_size);
                        format!("{key}={size}")
                    }
                    Some(value) => format!("{key}={value}"),
                    None => key.clone(),
                }));
                fstype
            }
            MountKind::Node { block, major, minor, mode, uid, gid } => {
                options.extend([format!("major={major}"), format!("minor={minor}")]);
                options.extend(mode.map(|mode| format!("mode={mode:04o}")));
                options.extend(uid.map(|uid| format!("uid={uid}")));
                options.extend(gid.map(|gid| format!("gid={gid}")));
                if *block { "b" } else { "c" }
            }
        };
        text.key("type", &quote(kind));
        if matches!(mount.kind, MountKind::Node { .. }) {
            options.push(if mount.readonly { "ro" } else { "rw" }.to_owned());
        }
        if matches!(
            mount.kind,
            MountKind::Bind { .. } | MountKind::Tmpfs { .. } | MountKind::Filesystem { .. }
        ) {
            options.push(if mount.readonly { "ro" } else { "rw" }.to_owned());
            options.push(if mount.noexec { "noexec" } else { "exec" }.to_owned());
        }
        options.extend(mount.optional.then(|| "optional".to_owned()));
        options.extend(mount.system.then(|| "system".to_owned()));
        options.extend(mount.attributes.words().map(str::to_owned));
        text.list("options", options.iter().map(|o| quote(o)));
    }
}

fn workdir(workdir: Workdir) -> &'static str {
    decode::WORKDIRS.iter().find(|(_, w)| *w == workdir).map_or("none", |(name, _)| name)
}

/// The word for a value.
fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("unknown", |(name, _)| name)
}

fn scope(scope: Scope) -> &'static str {
    decode::SCOPES.iter().find(|(_, s)| *s == scope).map_or("unknown", |(name, _)| name)
}

fn or_unlimited<T>(limit: Option<T>, show: impl FnOnce(T) -> String) -> String {
    limit.map_or_else(|| "\"unlimited\"".to_owned(), show)
}

fn size(bytes: u64) -> String {
    quote(&units::show_size(bytes))
}

fn time(time: Duration) -> String {
    quote(&units::show_duration(time))
}

fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if crate::text::needs_escape(c) => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

struct Text(String);

impl Text {
    fn key(&mut self, key: &str, value: &str) {
        self.line(format_args!("{key} = {value}"));
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        self.line(format_args!("{key} = [{}]", values.join(", ")));
    }

    fn table(&mut self, name: &str) {
        self.line(format_args!("\n[{name}]"));
    }

    fn table_of_list(&mut self, name: &str) {
        self.line(format_args!("\n[[{name}]]"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String can not fail.
        let _ = writeln!(self.0, "{line}");
    }
}
