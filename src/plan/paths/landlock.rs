//! The second layer: a Landlock ruleset over the same paths as the mounts. Pure; see `landlock(7)` and
//! `Documentation/userspace-api/landlock.rst`.

use crate::host::plain::PlainPath;
use crate::plan::error::PlanError;
use crate::plan::model::{Filesystem, Landlock, LandlockRule, Node};
use crate::plan::paths::convert::c_path;
use crate::plan::paths::marks::Mark;
use crate::plan::paths::places::Places;
use crate::plan::paths::view::RootBase;
use crate::profile::{Profile, Scope};

/// `LANDLOCK_ACCESS_FS_*`, `LANDLOCK_ACCESS_NET_*` and `LANDLOCK_SCOPE_*` of `linux/landlock.h`.
pub(crate) mod access {
    pub const EXECUTE: u64 = 1 << 0;
    pub const WRITE_FILE: u64 = 1 << 1;
    pub const READ_FILE: u64 = 1 << 2;
    pub const READ_DIR: u64 = 1 << 3;
    pub const REMOVE_DIR: u64 = 1 << 4;
    pub const REMOVE_FILE: u64 = 1 << 5;
    #[cfg(test)]
    pub const MAKE_CHAR: u64 = 1 << 6;
    pub const MAKE_DIR: u64 = 1 << 7;
    pub const MAKE_REG: u64 = 1 << 8;
    pub const MAKE_SOCK: u64 = 1 << 9;
    pub const MAKE_FIFO: u64 = 1 << 10;
    #[cfg(test)]
    pub const MAKE_BLOCK: u64 = 1 << 11;
    pub const MAKE_SYM: u64 = 1 << 12;
    /// ABI 2
    pub const REFER: u64 = 1 << 13;
    /// ABI 3
    pub const TRUNCATE: u64 = 1 << 14;
    /// ABI 5
    pub const IOCTL_DEV: u64 = 1 << 15;
    /// ABI 9: connecting to a unix socket by its path, unless it was made in the same domain.
    pub const RESOLVE_UNIX: u64 = 1 << 16;
    /// ABI 4
    pub const BIND_TCP: u64 = 1 << 0;
    /// ABI 4
    pub const CONNECT_TCP: u64 = 1 << 1;
    /// ABI 6
    pub const ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
    /// ABI 6
    pub const SIGNAL: u64 = 1 << 1;
}
use access::*;

const READ: u64 = READ_FILE | READ_DIR;
/// What a writable directory grants. Device nodes cannot be made anywhere, and a socket of the host that lies
/// in a shared directory cannot be connected to (ABI 9).
const WRITE: u64 = WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE;
/// The rights that exist for a file; the kernel refuses the others on one (`EINVAL`).
const FOR_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// All file-system rights of an ABI.
pub(crate) fn handled_fs(abi: u32) -> u64 {
    let mut handled = (MAKE_SYM << 1) - 1;
    for (since, right) in [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV), (9, RESOLVE_UNIX)] {
        if abi >= since {
            handled |= right;
        }
    }
    handled
}

/// All network rights of an ABI.
pub(crate) fn handled_net(abi: u32) -> u64 {
    if abi >= 4 { BIND_TCP | CONNECT_TCP } else { 0 }
}

/// All scopes of an ABI.
pub(crate) fn scoped(abi: u32) -> u64 {
    if abi >= 6 { ABSTRACT_UNIX_SOCKET | SIGNAL } else { 0 }
}

/// Rights by path inside.
pub(crate) type Rules = Places<u64>;

/// What a bind mount grants.
pub(crate) fn bind(directory: bool, readonly: bool, noexec: bool) -> u64 {
    let write = if readonly { 0 } else { WRITE };
    let execute = if noexec { 0 } else { EXECUTE };
    let granted = READ | write | execute;
    if directory { granted } else { granted & FOR_FILES }
}

/// null, zero, full, random, urandom: nothing needs their `ioctl(2)`, and random's could drain or stir the
/// pool.
const PLAIN: [(u32, u32); 5] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)];

/// What a device node grants.
pub(crate) fn device(major: u32, minor: u32, readonly: bool) -> u64 {
    let write = if readonly { 0 } else { WRITE_FILE };
    let ioctl = if PLAIN.contains(&(major, minor)) { 0 } else { IOCTL_DEV };
    READ_FILE | write | ioctl
}

/// What a new file system grants.
fn filesystem(filesystem: &Filesystem) -> u64 {
    let (readonly, noexec) = (filesystem.is_readonly(), filesystem.is_noexec());
    // Threads name each other by writing to /proc/self/task/N/comm; a shell's `>` truncates. What is not a
    // process's own is held by ownership (no host root inside) and by the profile's masks.
    let (write, ioctl) = match filesystem.fstype.to_bytes() {
        b"proc" => (WRITE_FILE | TRUNCATE, 0),
        b"devpts" => (WRITE_FILE, IOCTL_DEV),
        b"mqueue" => (WRITE_FILE | MAKE_REG | REMOVE_FILE, 0),
        _ => (WRITE, 0),
    };
    READ | ioctl | if readonly { 0 } else { write } | if noexec { 0 } else { EXECUTE }
}

/// The rules that follow from the root and what is in it.
pub(crate) fn rules(
    root_base: &RootBase,
    root_readonly: bool,
    nodes: &Places<Node>,
    marks: &[Mark],
) -> Rules {
    let mut rules = Rules::new();
    let marked = |path: PlainPath<'_>, masked| {
        marks.iter().any(|mark| mark.masked == masked && path.is_in(mark.path.plain()))
    };
    let mut allow = |path: PlainPath<'_>, access: u64| {
        let access = if marked(path, false) { access & (READ | EXECUTE) } else { access };
        // Below a mask there is nothing to open.
        if !marked(path, true) {
            *rules.get_or_insert(path, 0) |= access;
        }
    };
    // On the minimal root only listing is needed: everything else on it has a rule of its own.
    let root = match root_base {
        RootBase::Tmpfs => READ_DIR,
        RootBase::Directory { .. } => READ | EXECUTE,
    };
    allow(PlainPath::ROOT, if root_readonly { root } else { root | READ | WRITE });
    for (path, node) in nodes.iter() {
        match node {
            // One rule for the directory of the synthetic files, not one for each.
            Node::File { .. } => allow(path.parent().unwrap_or(path), READ),
            Node::Bind(b) => allow(path, bind(b.source.directory, b.readonly, b.noexec)),
            Node::Device(d) => allow(path, device(d.major, d.minor, d.readonly)),
            Node::Filesystem(new) => allow(path, filesystem(new)),
            Node::Directory { .. } | Node::Symlink { .. } => {}
            // What is only marked has the rights of what it is a part of.
            Node::Pin | Node::Mask { .. } | Node::Readonly { .. } => {}
        }
    }
    rules
}

/// The ruleset; `None` where the profile turned Landlock off. `deny_net`: no TCP at all.
pub(crate) fn ruleset(
    profile: &Profile,
    abi: Option<u32>,
    rules: &Rules,
    deny_net: bool,
) -> Result<Option<Landlock>, PlanError> {
    let wanted = &profile.landlock;
    if !wanted.require {
        if wanted.scopes.is_empty() {
            return Ok(None);
        }
        return Err(PlanError::Unenforceable {
            key: "landlock.scopes".to_owned(),
            reason: "the profile turns Landlock off",
            hint: "require Landlock, or leave the scopes out",
        });
    }
    let missing = |key, needs| PlanError::Landlock { key, needs, has: abi };
    let Some(abi) = abi.filter(|abi| *abi > 0) else { return Err(missing("landlock", 1)) };
    let mut scoped = scoped(abi);
    for scope in &wanted.scopes {
        let bit = match scope {
            Scope::Signal => SIGNAL,
            Scope::AbstractUnixSocket => ABSTRACT_UNIX_SOCKET,
        };
        if scoped & bit == 0 {
            return Err(missing("landlock.scopes", 6));
        }
        scoped |= bit;
    }
    let handled_fs = handled_fs(abi);
    let handled_net = if deny_net { handled_net(abi) } else { 0 };
    let rules = slim(rules, handled_fs)
        .iter()
        .map(|(path, access)| Ok(LandlockRule { path: c_path(path.path())?, access: *access }))
        .collect::<Result<_, PlanError>>()?;
    Ok(Some(Landlock { handled_fs, handled_net, scoped, rules }))
}

/// Only rights that are handled, and only rules that add something: the kernel grants what the rules of a
/// path and of the directories above it grant together, across mounts too.
fn slim(rules: &Rules, handled: u64) -> Rules {
    let mut out = Rules::new();
    for (path, access) in rules.iter() {
        let access = access & handled;
        if access & !granted(&out, path) != 0 {
            out.insert(path.to_buf(), access);
        }
    }
    out
}

/// What rules grant at a path: those of the path and of the directories above it, together.
pub(crate) fn granted(rules: &Rules, path: PlainPath<'_>) -> u64 {
    let mut granted = 0;
    let mut next = Some(path);
    while let Some((at, access)) = next.and_then(|path| rules.nearest(path, None)) {
        granted |= access;
        next = at.parent();
    }
    granted
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn rights_grow_with_the_abi() {
        let counts: Vec<u32> = (1..=9).map(|abi| handled_fs(abi).count_ones()).collect();
        assert_eq!(counts, [13, 14, 15, 15, 16, 16, 16, 16, 17]);
        for abi in 1..9 {
            assert_eq!(handled_fs(abi) & !handled_fs(abi + 1), 0);
        }
        assert_eq!((handled_net(3), handled_net(4)), (0, 3));
        assert_eq!((scoped(5), scoped(6)), (0, 3));
    }

    #[test]
    fn no_rule_lets_devices_be_made_or_host_sockets_be_reached() {
        for directory in [true, false] {
            for readonly in [true, false] {
                for noexec in [true, false] {
                    let granted = bind(directory, readonly, noexec);
                    assert_eq!(granted & (MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV | RESOLVE_UNIX), 0);
                    assert_eq!(granted & EXECUTE == 0, noexec);
                    assert_eq!(granted & WRITE_FILE == 0, readonly);
                    assert!(directory || granted & !FOR_FILES == 0);
                }
            }
        }
    }

    proptest::proptest! {
        /// What a rule set grants at any path is the same before and after it is slimmed.
        #[test]
        fn slimming_changes_nothing(paths in proptest::collection::vec(("(/[ab]){1,4}", 0_u64..1 << 17), 0..12), path in "(/[ab]){1,5}", abi in 1_u32..=9) {
            let rules: Rules =
                paths.into_iter().map(|(path, access)| (PathBuf::from(path).into(), access)).collect();
            let handled = handled_fs(abi);
            let path = Path::new(&path);
            let expected = |rules: &Rules| {
                let above = rules.iter().filter(|(at, _)| path.starts_with(at.path()));
                above.fold(0, |sum, (_, access)| sum | access) & handled
            };
            let slimmed = slim(&rules, handled);
            proptest::prop_assert_eq!(expected(&slimmed), expected(&rules));
            let plain = PlainPath::new(path).unwrap();
            proptest::prop_assert_eq!(granted(&rules, plain) & handled, expected(&rules));
            proptest::prop_assert!(slimmed.values().all(|access| access & !handled == 0 && *access != 0));
        }
    }
}
