//! What must hold of any plan, wherever it comes from.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::error::PlanError;
use super::model::{
    Base, Cgroup, Ending, Filesystem, HookProgram, HostIdentity, Identity, Inner, Landlock, Node, Plan,
    RLIMITS, Ranges, Rlimit, Root, Task, Walls, Workload,
};
use super::paths::landlock;
use super::ranges;
use super::task::kept;
use crate::profile::CapabilitySet;
use crate::sys::mount::ATTR_NOSUID;

/// `CLONE_NEWTIME | NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`
const NAMESPACES: u64 =
    0x80 | 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
const ALWAYS: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID) as u64;
const MAX_NODES: usize = 8192;
const MAX_RULES: usize = 8192;
const MAX_STRINGS: usize = 1 << 17;
const MAX_DESCRIPTORS: usize = 1024;
const MAX_HOOKS: usize = 64;
/// `HOST_NAME_MAX`
const MAX_HOSTNAME: usize = 64;

impl Plan {
    /// Checks what must hold of any plan: absolute paths without `..`, parents before children, numbers that
    /// the kernel knows, a filter that it would take. init calls it on what it is given.
    ///
    /// # Errors
    /// [`PlanError::Decode`], [`PlanError::TooMany`].
    pub fn check(&self) -> Result<(), PlanError> {
        check_walls(&self.walls)?;
        check_hooks(&self.hooks)?;
        ensure(
            !self.walls.namespaces.is_lite() || self.hooks.is_empty(),
            "createContainer hooks without namespaces",
        )?;
        check_task(&self.task)?;
        ensure(
            (self.walls.inner != Inner::Needless)
                == kept::inner(self.walls.namespaces, self.task.capabilities),
            "capabilities that could undo a wall, or an inner user namespace without them",
        )?;
        self.cgroup.as_ref().map_or(Ok(()), check_cgroup)
    }
}

fn check_walls(walls: &Walls) -> Result<(), PlanError> {
    let namespaces = walls.namespaces;
    let (lite, flags) = (namespaces.is_lite(), namespaces.new_flags());
    ensure(flags & !NAMESPACES == 0, "unknown namespaces")?;
    ensure(lite || flags & ALWAYS == ALWAYS, "namespaces without user, mount and pid")?;
    for joined in &walls.joined {
        const CAN: i32 = libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
        ensure(
            joined.flag.is_power_of_two() && joined.flag & CAN as u64 != 0,
            "a namespace that is not joined",
        )?;
        ensure(!lite && joined.flag & flags == 0, "a namespace that is both new and joined")?;
        path(&joined.path)?;
    }
    ensure(walls.root.is_none() == lite, "a root and no namespaces, or the reverse")?;
    ensure(
        (walls.ending != Ending::Namespace) == lite,
        "an ending of a pid namespace without one, or the reverse",
    )?;
    ensure(walls.identity.uid != u32::MAX && walls.identity.gid != u32::MAX, "an id of -1")?;
    check_ids(&walls.identity, lite)?;
    if let Some(name) = &walls.hostname {
        ensure(namespaces.has_new(libc::CLONE_NEWUTS), "a host name without a uts namespace")?;
        ensure((1..=MAX_HOSTNAME).contains(&name.as_bytes().len()), "a host name that is empty or too long")?;
    }
    ensure(
        !walls.loopback || namespaces.has_new(libc::CLONE_NEWNET),
        "loopback without a network namespace",
    )?;
    walls.root.as_ref().map_or(Ok(()), check_root)
}

fn check_ids(identity: &Identity, lite: bool) -> Result<(), PlanError> {
    ensure(!lite || !identity.host.has_ranges(), "ranges of ids without a user namespace")?;
    let HostIdentity::Ranges(Ranges { users, groups, .. }) = &identity.host else { return Ok(()) };
    ranges::check("uidMappings", users)?;
    ranges::check("gidMappings", groups)?;
    let mapped =
        ranges::outside(users, identity.uid).is_some() && ranges::outside(groups, identity.gid).is_some();
    ensure(mapped, "ids that are not mapped")
}

fn check_task(task: &Task) -> Result<(), PlanError> {
    path(&task.cwd)?;
    check_rlimits(&task.attributes.rlimits)?;
    ensure(task.attributes.umask <= 0o777, "a umask beyond 0777")?;
    ensure(CapabilitySet::NAMED.contains_all(task.capabilities), "unknown capabilities")?;
    if let Some(landlock) = &task.landlock {
        check_landlock(landlock)?;
    }
    if let Some(seccomp) = &task.seccomp {
        ensure(seccomp.program.validate().is_ok(), "a filter that the kernel would refuse")?;
    }
    count("environment variables", task.env.len(), MAX_STRINGS)?;
    let named = |entry: &CString| entry.as_bytes().iter().position(|&b| b == b'=').is_some_and(|at| at > 0);
    ensure(task.env.iter().all(named), "an environment variable without a name")?;
    check_hooks(&task.hooks)?;
    check_workload(&task.workload)?;
    count("descriptors", task.descriptors.len(), MAX_DESCRIPTORS)?;
    ensure(task.descriptors.first().is_none_or(|first| *first > 2), "descriptors below 3")?;
    ensure(task.descriptors.is_sorted_by(|a, b| a < b), "descriptors out of order")
}

fn check_rlimits(rlimits: &[Rlimit]) -> Result<(), PlanError> {
    let mut last = None;
    for limit in rlimits {
        let is_next = (limit.resource as usize) < RLIMITS.len() && last < Some(limit.resource);
        ensure(is_next, "unknown or double limits")?;
        ensure(limit.soft <= limit.hard, "a soft limit above the hard one")?;
        last = Some(limit.resource);
    }
    Ok(())
}

fn check_workload(workload: &Workload) -> Result<(), PlanError> {
    match workload {
        Workload::Program { path: program, argv } => {
            path(program)?;
            ensure(!argv.is_empty(), "a program without argv[0]")?;
            count("arguments", argv.len(), MAX_STRINGS)
        }
        Workload::Role { name } => ensure(role_name(name), "a role without a proper name"),
        Workload::Call { .. } => Ok(()),
    }
}

fn check_hooks(hooks: &[HookProgram]) -> Result<(), PlanError> {
    count("hooks", hooks.len(), MAX_HOOKS)?;
    for hook in hooks {
        path(&hook.path)?;
        ensure(!hook.argv.is_empty(), "a hook without argv[0]")?;
        count("arguments of a hook", hook.argv.len(), MAX_STRINGS)?;
        count("environment variables of a hook", hook.env.len(), MAX_STRINGS)?;
    }
    Ok(())
}

fn check_cgroup(cgroup: &Cgroup) -> Result<(), PlanError> {
    if let Some(parent) = &cgroup.parent {
        path(parent)?;
    }
    count("disks with limits", cgroup.throttles.len(), MAX_STRINGS)?;
    for throttle in &cgroup.throttles {
        path(&throttle.path)?;
    }
    ensure(cgroup.memory.is_some() || cgroup.swap == 0, "swap without memory")
}

/// Whether a role may be called so: as `reexec::register` has it, not empty, one line and no path.
pub(super) fn role_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.contains('/') && !name.contains(char::is_control)
}

fn ensure(holds: bool, problem: &'static str) -> Result<(), PlanError> {
    if holds { Ok(()) } else { Err(PlanError::Decode { problem }) }
}

fn count(what: &'static str, count: usize, limit: usize) -> Result<(), PlanError> {
    if count > limit { Err(PlanError::TooMany { what, count, limit }) } else { Ok(()) }
}

fn path(path: &CString) -> Result<&Path, PlanError> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
    ensure(path.is_absolute(), "a relative path")?;
    ensure(!path.components().any(|c| c == Component::ParentDir), "a path with `..`")?;
    Ok(path)
}

fn check_root(root: &Root) -> Result<(), PlanError> {
    match &root.base {
        Base::Tmpfs(_) => {}
        Base::Directory(source) | Base::Overlay { lower: source, .. } => {
            path(&source.path)?;
            ensure(source.directory, "a root that is not a directory")?;
        }
    }
    count("nodes", root.nodes.len(), MAX_NODES)?;
    let mut seen: BTreeSet<&Path> = BTreeSet::new();
    for (at, node) in &root.nodes {
        let is_mark = match node {
            Node::Bind(bind) => path(&bind.source.path).map(|_| false)?,
            Node::Device(device) => path(&device.source).map(|_| false)?,
            Node::Filesystem(filesystem) => check_filesystem(filesystem).map(|()| false)?,
            Node::Directory { .. } | Node::Symlink { .. } | Node::File { .. } | Node::Pin => false,
            Node::Mask { .. } | Node::Readonly { .. } => true,
        };
        let at = path(at)?;
        ensure(at != Path::new("/"), "something in place of the root")?;
        if !is_mark {
            // The next one in path order after `at` is below it, if any is.
            let covers = seen.range(at..).next().is_some_and(|next| next.starts_with(at));
            ensure(!covers, "a node above or in place of an earlier one")?;
            seen.insert(at);
        }
    }
    Ok(())
}

fn check_filesystem(filesystem: &Filesystem) -> Result<(), PlanError> {
    const MAX_DATA: usize = 64;
    /// All of mount_setattr(2) but the id map.
    const ATTRIBUTES: u64 = 0x0020_00bf;
    count("options of a mount", filesystem.data.len(), MAX_DATA)?;
    ensure(!filesystem.fstype.is_empty(), "a file system without a type")?;
    ensure(filesystem.attributes & !ATTRIBUTES == 0, "unknown attributes of a mount")?;
    ensure(filesystem.attributes & ATTR_NOSUID != 0, "a mount without nosuid")?;
    let limited = filesystem.limits.is_some() == filesystem.is("tmpfs");
    ensure(limited, "a tmpfs without limits, or limits of another file system")?;
    // 0 is "no limit" to the kernel.
    let has_none = filesystem.limits.is_some_and(|limits| limits.size == 0 || limits.inodes == 0);
    ensure(!has_none, "a tmpfs without a limit")
}

fn check_landlock(ruleset: &Landlock) -> Result<(), PlanError> {
    const NEWEST: u32 = 9;
    ensure(ruleset.handled_fs & !landlock::handled_fs(NEWEST) == 0, "unknown Landlock rights")?;
    ensure(ruleset.handled_net & !landlock::handled_net(NEWEST) == 0, "unknown Landlock network rights")?;
    ensure(ruleset.scoped & !landlock::scoped(NEWEST) == 0, "unknown Landlock scopes")?;
    count("Landlock rules", ruleset.rules.len(), MAX_RULES)?;
    for rule in &ruleset.rules {
        path(&rule.path)?;
        ensure(
            rule.access != 0 && rule.access & !ruleset.handled_fs == 0,
            "a Landlock rule beyond what is handled",
        )?;
    }
    Ok(())
}
