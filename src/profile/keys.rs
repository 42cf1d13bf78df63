//! The table of keys: reading, layering, `--set`, checks, printing, the page of all keys and completion come
//! from it.
//!
//! A new key that is a value of its own is a field of the model, whose `Default` says what it is where no
//! profile does, and a row here: its name (the OCI runtime-spec's, where that has one), its
//! [form](super::form), its field, and what it means. `needs namespaces` refuses it in lite.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::draft::{Draft, read_namespaces, written_namespaces, written_quota};
use super::form::{Form, Maybe, One, Or, Set, Words, Written, quote};
use super::kinds::{
    COUNT, CPU_PERIOD, CPU_QUOTA, CPU_SHARES, CPU_TIME, CWD, Environment, FLAG, HOST_PATH, HOSTNAME, ID_MAP,
    INSIDE, IO_WEIGHT, LINE, Output, PATHS, Rlimits, SIZE, TIME, Throttles, UMASK, USER, set,
};
use super::mounts::Mounts;
use super::names::{capability, errno};
use super::reader::{Spanned, Table, Value};
use super::scheduling::{IO_CLASSES, POLICIES};
use super::value_error::{ValueError, word, word_for};
use super::{
    Enforce, IoClass, IoPriority, Profile, ProfileError, Scheduler, SchedulerPolicy, Scope, Sockets,
    Symlinks, Throttled, Workdir,
};
use super::{check, filter, filter_text, units};
use crate::capability::CapabilitySet;
use crate::seccomp::{Policy, Unknown};

/// A key of a profile.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Key {
    /// Its name, with the tables that it is in.
    pub name: &'static str,
    /// What it means.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub meaning: &'static str,
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    takes: fn() -> String,
    /// `None` where it is a part of the value of the key before it.
    read: Option<Read>,
    pub(super) check: fn(&Profile) -> Result<(), ValueError>,
    pub(super) write: fn(&Profile) -> Written,
    /// Whether it differs between two profiles; only where it needs namespaces.
    pub(super) differs: fn(&Profile, &Profile) -> bool,
}

type Read = fn(&mut Draft, &Value<'_>) -> Result<(), ProfileError>;

#[cfg(feature = "cli")]
impl Key {
    /// What it takes.
    #[must_use]
    pub fn takes(&self) -> String {
        (self.takes)()
    }
}

/// A row of the table: a field and its form, or a value by its parts.
macro_rules! key {
    ($name:literal, $form:expr, $($field:ident).+, needs namespaces, $meaning:literal) => {
        Key {
            differs: |one, other| one.$($field).+ != other.$($field).+,
            ..key!($name, $form, $($field).+, $meaning)
        }
    };
    ($name:literal, $form:expr, $($field:ident).+, $meaning:literal) => {
        Key {
            check: |profile| $form.check(&profile.$($field).+),
            ..key!(
                $name,
                $form.takes(),
                |draft, value| $form.read(&mut draft.profile.$($field).+, value),
                |profile| $form.write(&profile.$($field).+),
                $meaning
            )
        }
    };
    ($name:literal, $takes:expr, $read:expr, $write:expr, $meaning:literal) => {
        Key { read: Some($read), write: $write, ..key!($name, $takes, $meaning) }
    };
    // A part of the key before it.
    ($name:literal, $takes:expr, $meaning:literal) => {
        Key {
            name: $name,
            meaning: $meaning,
            takes: || $takes.to_owned(),
            read: None,
            check: |_| Ok(()),
            write: |_| Written::Nothing,
            differs: |_, _| false,
        }
    };
}

/// Every key that an override can set, in the order in which they are printed; `process.rlimits` takes
/// [`RLIMITS`](super::names::RLIMITS).
#[rustfmt::skip] // Rows of a table.
pub static KEYS: &[Key] = &[
    key!("description", LINE, description, "one line for `belljar profile list`"),
    key!("namespaces", "list of `user`, `mount`, `pid`, `ipc`, `uts`, `network`, `cgroup`, `time`, or `{ type, path }`",
        read_namespaces, written_namespaces,
        "the namespaces of its own; `[]` is lite; with `extends`, `-NAME` takes one away and `+NAME` adds one; `{ type = \"network\", path = \"/run/netns/x\" }` joins one that is there (network, ipc, uts, cgroup; needs CAP_SYS_ADMIN)"),
    key!("uidMappings", ID_MAP, uid_mappings, needs namespaces,
        "user ids of the user namespace (`--uidmap`); `auto`: root inside is the caller, above it its subordinate ids, and for root 65536 ids that nothing else has (`--userns auto`); `default`: the one of `process.user`"),
    key!("gidMappings", ID_MAP, gid_mappings, needs namespaces,
        "group ids (`--gidmap`); goes together with `uidMappings`"),
    key!("hostname", Or("", HOSTNAME), hostname, needs namespaces,
        "the host name inside (needs the uts namespace); `\"\"`: the host's"),
    key!("workdir", Words("workdir mode", &[("none", Workdir::None), ("readonly", Workdir::Readonly), ("writable", Workdir::Writable)]), workdir,
        "whether and how the caller's working directory is shown, at its own path"),
    key!("symlinks", Words("symlinks mode", &[("system", Symlinks::System), ("follow", Symlinks::Follow)]), symlinks,
        "which symlinks a path of the host may lead through: the system's own, or all"),
    key!("sockets", Words("sockets mode", &[("refuse", Sockets::Refuse), ("tell", Sockets::Tell), ("allow", Sockets::Allow)]), sockets,
        "what is done where a shown directory holds sockets or FIFOs of the host"),
    key!("maskedPaths", PATHS, masked_paths, needs namespaces, "what is hidden behind an empty file or directory"),
    key!("readonlyPaths", PATHS, readonly_paths, needs namespaces, "what is made read-only"),
    key!("root.path", Maybe(HOST_PATH), root.path, needs namespaces,
        "a directory of the host that becomes the root (`--rootfs`); without it a minimal root is made"),
    key!("root.pathRequired", FLAG, root.path_required, needs namespaces, "whether nothing runs without `root.path`"),
    key!("root.readonly", FLAG, root.readonly, needs namespaces,
        "whether the root itself cannot be written to; true unless there is an overlay"),
    key!("root.overlay", FLAG, root.overlay, needs namespaces,
        "writes to `root.path` go to memory and are thrown away (`--overlay-tmp`)"),
    key!("root.size", SIZE, root.size, needs namespaces, "what the root's own tmpfs, or the overlay, may hold"),
    key!("root.inodes", COUNT, root.inodes, needs namespaces, "files that the same may hold"),
    key!("root.etc", Words("way to make /etc", &[("synthetic", true), ("none", false)]), root.synthetic_etc, needs namespaces,
        "whether /etc is made by belljar: passwd, group, hosts, resolv.conf and the like"),
    key!("root.etcPrograms", PROGRAMS, root.etc_programs, needs namespaces,
        "programs whose directories in the host's /etc are shown, read-only: installed ones, without a version (`java`)"),
    key!("process.cwd", Maybe(CWD), process.cwd,
        "the working directory; without it the caller's where `workdir` shows it, else /tmp, else /"),
    key!("process.env", Environment, process.env, "the environment: set, or passed on from the caller"),
    key!("process.user", USER, process.user, needs namespaces,
        "the ids inside; `default`: the caller's own, or 1000 for root; 0 where `uidMappings` is `auto`"),
    key!("process.user.uid", "number", "the user id alone"),
    key!("process.user.gid", "number", "the group id alone"),
    key!("process.capabilities", CAPABILITIES, process.capabilities, needs namespaces,
        "the capabilities that are kept, in the sandbox's own user namespace"),
    key!("process.noNewPrivileges", FLAG, process.no_new_privileges, needs namespaces, "`PR_SET_NO_NEW_PRIVS`"),
    key!("process.umask", UMASK, process.umask, "the file mode creation mask"),
    key!("process.scheduler", Maybe(SCHEDULER), process.scheduler,
        "scheduling policy (`--scheduler`): other, batch, idle, fifo, rr, or OCI's `SCHED_…`; N is the nice value of other and batch, or the priority of fifo and rr, which the caller's RLIMIT_NICE and RLIMIT_RTPRIO must allow; `flags`: `SCHED_FLAG_RESET_ON_FORK`; no SCHED_DEADLINE, which needs CAP_SYS_NICE outside of the sandbox; without it the caller's, but never real-time"),
    key!("process.ioPriority", Maybe(IO_PRIORITY), process.io_priority,
        "I/O scheduling class (`--ionice`): best-effort, idle, or OCI's `IOPRIO_CLASS_…`; N is the priority of best-effort, from 0 (highest) to 7, or else 4; no IOPRIO_CLASS_RT, which needs CAP_SYS_NICE outside of the sandbox; without it the caller's, but never real-time"),
    key!("process.rlimits", Rlimits, process.rlimits, "resource limits, by the names of getrlimit(2) without `RLIMIT_`"),
    key!("limits.timeout", Or("unlimited", TIME), limits.timeout, "wall time of the run (`--timeout`)"),
    key!("limits.cpuTime", Or("unlimited", CPU_TIME), limits.cpu_time, "CPU time of each process (`RLIMIT_CPU`)"),
    key!("limits.output", Output, limits,
        "bytes of standard output and error together (`--output-limit`): more ends the run, or is thrown away"),
    key!("limits.fileSize", Or("unlimited", SIZE), limits.file_size, "bytes of one file (`--file-size`)"),
    key!("resources.memory.limit", Or("unlimited", SIZE), resources.memory, "memory of the whole sandbox (`--memory`)"),
    key!("resources.memory.swap", Or("none", SIZE), resources.swap, "memory and swap together"),
    key!("resources.pids.limit", Or("unlimited", COUNT), resources.pids, "processes and threads of the whole sandbox (`--pids`)"),
    Key {
        check: |profile| profile.resources.cpus.map_or(Ok(()), |cpus| units::within(cpus, 1, units::MAX_CPUS)),
        ..key!("resources.cpu.quota", "time, `unlimited`",
            |draft, value| Maybe(Or("unlimited", CPU_QUOTA)).read(&mut draft.quota, value), written_quota,
            "CPU time in each period (`--cpus`)")
    },
    key!("resources.cpu.period", "time",
        |draft, value| Maybe(CPU_PERIOD).read(&mut draft.period, value), |_| Written::Nothing,
        "the period of the quota; 100ms unless it is given"),
    key!("resources.cpu.shares", Or("default", CPU_SHARES), resources.cpu_shares,
        "its part of the CPUs where others want them, too"),
    key!("resources.cpu.time", Or("unlimited", TIME), resources.cpu_time, "CPU time of the whole sandbox (`--cpu-time`)"),
    key!("resources.blockIO.weight", Or("default", IO_WEIGHT), resources.io_weight,
        "its part of what disks do where others want them, too"),
    key!("resources.blockIO.throttleReadBpsDevice", Throttles(Throttled::ReadBps), resources.throttles,
        "bytes read from a disk in a second"),
    key!("resources.blockIO.throttleWriteBpsDevice", Throttles(Throttled::WriteBps), resources.throttles,
        "bytes written to a disk in a second"),
    key!("resources.blockIO.throttleReadIOPSDevice", Throttles(Throttled::ReadIops), resources.throttles,
        "reads from a disk in a second"),
    key!("resources.blockIO.throttleWriteIOPSDevice", Throttles(Throttled::WriteIops), resources.throttles,
        "writes to a disk in a second"),
    key!("resources.cgroupParent", Or("own", PARENT), resources.cgroup_parent,
        "the control group that the sandbox's is made in"),
    key!("resources.enforce", Words("way to enforce limits", &[("cgroup", Enforce::Cgroup), ("rlimit", Enforce::Rlimit)]), resources.enforce,
        "what enforces memory, processes and CPUs (`--limits`)"),
    key!("landlock.mode", Words("Landlock mode", &[("require", true), ("off", false)]), landlock.require,
        "whether the same paths are held by Landlock, too"),
    key!("landlock.scopes", SCOPES, landlock.scopes, "Landlock's scopes (Linux 6.12)"),
    key!("seccomp.mode", MODE.takes(),
        |draft, value| MODE.read(draft.filter.mode.get_or_insert(filter::Mode::Filter), value),
        |profile| MODE.write(&filter::Mode::of(profile.seccomp.as_ref())),
        "whether there is a system-call filter"),
    key!("seccomp.defaultAction", "`allow`, `log`, `errno`, `kill`, `killThread`, `trap`, `trace`",
        |draft, value| { draft.filter.default = Some(filter_text::default_action(value)?); Ok(()) },
        |profile| policy(profile, filter_text::written_action),
        "what happens to a call that no rule names"),
    key!("seccomp.defaultErrnoRet", "error name or number",
        |draft, value| { draft.filter.default_errno = Some(spanned(value, value.number(errno)?)); Ok(()) },
        |profile| policy(profile, filter_text::written_errno),
        "the error that it gets"),
    key!("seccomp.profile", "path",
        |draft, value| { draft.filter.oci_file = Some(spanned(value, value.host_path()?)); Ok(()) },
        |_| Written::Nothing,
        "a filter in OCI's JSON, as Docker's"),
    key!("seccomp.unknownNames", UNKNOWN.takes(),
        |draft, value| UNKNOWN.read(draft.filter.unknown.get_or_insert(Unknown::Refuse), value),
        |_| Written::Nothing,
        "what is done with a name that no known system call has; without it, one in `seccomp.syscalls` is refused and one in `seccomp.profile` skipped"),
    key!("seccomp.flags", "list of `SECCOMP_FILTER_FLAG_…`",
        |draft, value| { draft.filter.flags = Some(filter_text::flags(value)?); Ok(()) },
        |profile| policy(profile, filter_text::written_flags),
        "flags of seccomp(2): TSYNC, LOG, SPEC_ALLOW"),
    key!("seccomp.syscalls", "list of tables: `names`, `action`, `errnoRet`, `args`",
        |draft, value| { draft.filter.rules = filter_text::rules(value)?; Ok(()) },
        |profile| policy(profile, filter_text::written_rules),
        "the rules; the first that matches decides; a name with `@` is a group"),
    key!("mounts", Mounts, mounts,
        "what is mounted; at one destination the later entry wins; `type`: bind (the default), tmpfs, proc, dev, mqueue, sysfs, cgroup2, devpts, binfmt_misc, c or b (a device by number)"),
];

const CAPABILITIES: Set<CapabilitySet, CapabilitySet> = Set {
    takes: "list of `CAP_…`",
    parse: |text| capability(text).map(CapabilitySet::from),
    show: |set| set.iter().map(|capability| capability.to_string()).collect(),
    check: |_| Ok(()),
    entries: |all| all.iter().map(CapabilitySet::from).collect(),
    collect: |entries| entries.into_iter().collect(),
};

const SCHEDULER: One<Scheduler> = One {
    takes: "`POLICY[:N]`, `{ policy, nice, priority, flags }`",
    read: |v| {
        if !v.is_table() {
            return v.parse(str::parse);
        }
        v.keys(|t| {
            let policy = t.read("policy", |v| v.parse(SchedulerPolicy::read))?;
            let nice = t.read("nice", |v| v.number(whole))?;
            let priority = t.read("priority", |v| v.number(whole))?;
            let flag = |v: &Value<'_>| v.parse(|text| word(text, "scheduler flag", &[(RESET_ON_FORK, ())]));
            let flags = t.read("flags", |v| v.each(flag))?;
            Ok(Scheduler {
                policy: policy.unwrap_or_default(),
                nice,
                priority: priority.unwrap_or_default(),
                reset_on_fork: flags.is_some_and(|flags| !flags.is_empty()),
            })
        })
    },
    check: Scheduler::check,
    write: |Scheduler { policy, nice, priority, reset_on_fork }| {
        let parts = [
            Some(format!("policy = {}", quote(word_for(&POLICIES, policy)))),
            nice.map(|nice| format!("nice = {nice}")),
            (*priority > 0).then(|| format!("priority = {priority}")),
            reset_on_fork.then(|| format!("flags = [{}]", quote(RESET_ON_FORK))),
        ];
        format!("{{ {} }}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    },
};
const RESET_ON_FORK: &str = "SCHED_FLAG_RESET_ON_FORK";

const IO_PRIORITY: One<IoPriority> = One {
    takes: "`CLASS[:N]`, `{ class, priority }`",
    read: |v| {
        if !v.is_table() {
            return v.parse(str::parse);
        }
        v.keys(|t| {
            let class = t.read("class", |v| v.parse(IoClass::read))?;
            let priority = t.read("priority", |v| v.number(whole))?;
            let class = class.unwrap_or_default();
            Ok(IoPriority { class, priority: priority.unwrap_or(class.default_priority()) })
        })
    },
    check: IoPriority::check,
    write: |IoPriority { class, priority }| {
        format!("{{ class = {}, priority = {priority} }}", quote(word_for(&IO_CLASSES, class)))
    },
};

fn whole<T: std::str::FromStr>(text: &str) -> Result<T, ValueError> {
    text.parse().map_err(|_| ValueError::Malformed { text: text.to_owned(), expected: "a whole number" })
}

const SCOPES: Set<BTreeSet<Scope>, Scope> = set(
    "list of `signal`, `abstract-unix-socket`",
    |text| word(text, "Landlock scope", &SCOPE_WORDS),
    |scope| word_for(&SCOPE_WORDS, scope).to_owned(),
    |_| Ok(()),
);
const SCOPE_WORDS: [(&str, Scope); 2] =
    [("signal", Scope::Signal), ("abstract-unix-socket", Scope::AbstractUnixSocket)];

const PROGRAMS: Set<BTreeSet<String>, String> = set(
    "list of names, or `*`",
    |text| check::program_name(text).map(str::to_owned),
    String::clone,
    |names| names.iter().try_for_each(|name| check::program_name(name).map(drop)),
);

const PARENT: One<PathBuf> = One { takes: "path from the tree's root", ..INSIDE };

const MODE: Words<filter::Mode> =
    Words("seccomp mode", &[("filter", filter::Mode::Filter), ("off", filter::Mode::Off)]);

const UNKNOWN: Words<Unknown> =
    Words("way with unknown names", &[("skip", Unknown::Skip), ("refuse", Unknown::Refuse)]);

fn policy(profile: &Profile, write: fn(&Policy) -> Written) -> Written {
    profile.seccomp.as_ref().map_or(Written::Nothing, write)
}

fn spanned<T>(at: &Value<'_>, value: T) -> Spanned<T> {
    Spanned { value, place: at.place() }
}

/// Whether a text has known keys only; `extends` is one where it can be said.
///
/// # Errors
/// An unknown key, with the nearest known one.
pub(super) fn known(text: &Table<'_>, extends: bool) -> Result<(), ProfileError> {
    let names = KEYS.iter().map(|key| key.name).chain(extends.then_some("extends"));
    text.only(&names.collect::<Vec<_>>())
}

/// Puts a text, whose keys are known, on top of what those below make.
///
/// # Errors
/// A value that its key cannot have, or that does not go with what is inherited.
pub(super) fn read(draft: &mut Draft, text: &Table<'_>) -> Result<(), ProfileError> {
    for key in KEYS {
        if let Some(read) = key.read
            && let Some(value) = text.find(key.name)?
        {
            read(draft, &value)?;
            draft.say(key.name);
        }
    }
    draft.end(text)
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
        let row = |key: &Key| format!("| `{}` | {} | {} |\n", key.name, key.takes(), key.meaning);
        let expected = format!("{head}| --- | --- | --- |\n{}", KEYS.iter().map(row).collect::<String>());
        if std::env::var_os("BELLJAR_WRITE").is_some() {
            std::fs::write(path, &expected).expect("to write it");
        }
        assert!(text == expected, "docs/profile.md differs; see the comment of this test");
    }
}
