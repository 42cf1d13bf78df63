//! The new root, mounted over the old one and filled by descriptor; `pivot` then lets the old one go.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::statfs::{Statfs, fstatfs};

use super::context::Context;
use super::detached::{self, Detached};
use super::place::MountPoint;
use super::table::Made;
use super::{mounts, place, tree};
use crate::plan::{Base, Device, Node, Presence, Root, Source, Tmpfs};
use crate::profile::Propagation;
use crate::protocol::{Fault, shown};
use crate::sys;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Parameter};

/// The attributes of all that init makes, and of directories of the host's as a root.
const OWN: u64 = ATTR_NOSUID | ATTR_NODEV;

/// What a copy of a mount in the sandbox keeps of it; access times it has by itself.
const BASIC: u64 = OWN | ATTR_NOEXEC | ATTR_RDONLY;

const PRIVATE: Propagation = Propagation::Private;

/// What a masked directory becomes: empty, and nothing can be made in it.
const EMPTY: Tmpfs = Tmpfs { size: 4096, inodes: 1, mode: 0o555 };

/// include/uapi/linux/magic.h.
const OVERLAYFS: i64 = 0x794c_7630;

/// Builds the root and everything in it.
pub(super) fn build(context: &mut Context) -> Result<(), Fault> {
    let Some(plan) = context.plan.walls.root.take() else { return Ok(()) };
    let done = build_as(context, &plan);
    context.plan.walls.root = Some(plan);
    done
}

fn build_as(context: &mut Context, plan: &Root) -> Result<(), Fault> {
    // Files and directories that are made get exactly the Plan's modes.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    tree::take_roots(context, plan)?;
    let root = match &plan.base {
        Base::Tmpfs(limits) => over_old_root(mounts::tmpfs(limits, OWN)?)?,
        Base::Directory(source) => directory(context, source, plan.readonly)?,
        Base::Overlay { lower, upper } => overlay(context, lower, upper)?,
    };
    let mut directories = place::OwnDirectories::of(matches!(plan.base, Base::Tmpfs(_)));
    for (path, node) in &plan.nodes {
        make(context, root.as_fd(), &mut directories, path, node)?;
    }
    if plan.readonly {
        detached::set_own_attributes(&root, ATTR_RDONLY, b"/")?;
    }
    let shows = place::identity(&root).map_err(Fault::on("fstat", b"/"))?;
    let attributes = OWN | if plan.readonly { ATTR_RDONLY } else { 0 };
    context.made.add(&root, c"/", attributes, None, PRIVATE)?;
    context.root_id = Some(shows);
    context.root = Some(root);
    Ok(())
}

/// Mounts a detached tree over the old root. Paths of the old root still resolve: a process's own root is not
/// crossed by what is mounted on it.
pub(super) fn over_old_root(tree: OwnedFd) -> Result<OwnedFd, Fault> {
    let old = sys::open_without_symlinks(c"/", OFlag::O_PATH).map_err(Fault::on("openat2", b"/"))?;
    sys::mount::attach(tree.as_fd(), old.as_fd(), c"").map_err(Fault::on("move_mount", b"/"))?;
    Ok(tree)
}

/// A directory of the host as the root. With a read-only root all that is mounted below the directory is
/// read-only too; its top becomes so after the mount points were made.
fn directory(context: &mut Context, source: &Source, readonly: bool) -> Result<OwnedFd, Fault> {
    let name = source.path.to_bytes();
    let tree = tree::of(context, source)?;
    detached::set_attributes(&tree, OWN | if readonly { ATTR_RDONLY } else { 0 }, name)?;
    if readonly {
        match sys::mount::clear_attributes(tree.as_fd(), ATTR_RDONLY) {
            // EPERM: the host itself has it read-only, and it stays so.
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(Fault::system("mount_setattr", name, errno)),
        }
    }
    over_old_root(tree)
}

/// A directory of the host below a tmpfs that takes the writes.
fn overlay(context: &mut Context, lower: &Source, upper: &Tmpfs) -> Result<OwnedFd, Fault> {
    let lower_tree = tree::of(context, lower)?;
    detached::set_attributes(&lower_tree, OWN | ATTR_RDONLY, lower.path.to_bytes())?;
    detached::has_attributes(&lower_tree, OWN | ATTR_RDONLY, lower.path.to_bytes())?;
    let noexec = sys::mount::attributes(lower_tree.as_fd())
        .map_err(Fault::on("fstatfs", lower.path.to_bytes()))?
        & ATTR_NOEXEC;
    // overlayfs takes mounted paths only, so both parts are mounted over the old root for as long as it
    // takes.
    let scratch = over_old_root(mounts::tmpfs(upper, OWN)?)?;
    for name in [c"lower", c"upper", c"work"] {
        place::make_directory(scratch.as_fd(), name, 0o755).map_err(Fault::on("mkdirat", name.to_bytes()))?;
    }
    let at = |path: &CStr| place::open(scratch.as_fd(), path).map_err(Fault::on("openat2", path.to_bytes()));
    sys::mount::attach(lower_tree.as_fd(), at(c"/lower")?.as_fd(), c"")
        .map_err(Fault::on("move_mount", lower.path.to_bytes()))?;
    let (upper, work) = (at(c"/upper")?, at(c"/work")?);
    // The upper directory is the root that the task sees: it gets the lower one's mode.
    let mode = sys::fstat(lower_tree.as_fd()).map_err(Fault::on("fstat", lower.path.to_bytes()))?.st_mode;
    nix::sys::stat::fchmodat(
        &scratch,
        c"upper",
        nix::sys::stat::Mode::from_bits_truncate(mode),
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
    .map_err(Fault::on("fchmodat", b"upper"))?;
    // By descriptor: no path of the host's goes through overlayfs's own option syntax.
    let [lower_path, upper, work] = [&lower_tree, &upper, &work].map(sys::mount::descriptor_path);
    let parameters = [
        Parameter::Text(c"lowerdir", &lower_path),
        Parameter::Text(c"upperdir", &upper),
        Parameter::Text(c"workdir", &work),
        // An unprivileged overlay keeps its marks in user.* attributes; trusted.* of the lower one mean
        // nothing.
        Parameter::Flag(c"userxattr"),
    ];
    let overlay = mounts::new_mount(c"overlay", &parameters, OWN | noexec).map_err(|fault| {
        // That is all that the kernel says where there are too many; its reason is in its own log only.
        if fault.errno() == Some(Errno::EINVAL) && fstatfs(&lower_tree).is_ok_and(is_overlay) {
            return Fault::OverlayDepth { path: shown(lower.path.to_bytes()) };
        }
        fault
    })?;
    // It has private copies of both. Nothing but the new root may be stacked on the old one: what is would be
    // all that goes when the old root is detached, and the old root would stay in reach as `/..`.
    sys::mount::detach(c"/").map_err(Fault::on("umount2", b"/"))?;
    over_old_root(overlay)
}

fn is_overlay(found: Statfs) -> bool {
    // The number's type differs between the C libraries.
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
    let kind = found.filesystem_type().0 as i64;
    kind == OVERLAYFS
}

fn make<'a>(
    context: &mut Context,
    root: BorrowedFd<'_>,
    directories: &mut place::OwnDirectories<'a>,
    path: &'a CStr,
    node: &Node,
) -> Result<(), Fault> {
    let new = match node {
        Node::Directory { mode } => {
            let (parent, name) = directories.parent(root, path)?;
            place::make_directory(parent.as_fd(), &name, *mode)
                .map_err(Fault::on("mkdirat", path.to_bytes()))?;
            directories.keep(path, parent);
            return Ok(());
        }
        Node::Symlink { target } => {
            let (parent, name) = directories.parent(root, path)?;
            nix::unistd::symlinkat(target.as_c_str(), parent.as_fd(), name.as_c_str())
                .map_err(Fault::on("symlinkat", path.to_bytes()))?;
            directories.keep(path, parent);
            return Ok(());
        }
        Node::File { mode, content } => {
            let (parent, name) = directories.parent(root, path)?;
            let file = place::make_file(parent.as_fd(), &name, *mode)
                .map_err(Fault::on("openat", path.to_bytes()))?;
            directories.keep(path, parent);
            return place::fill(&file, content).map_err(Fault::on("write", path.to_bytes()));
        }
        Node::Pin => return pin(&mut context.made, root, path),
        Node::Mask { presence } => return mask(&mut context.made, root, path, *presence),
        Node::Readonly { presence } => return make_readonly(&mut context.made, root, path, *presence),
        Node::Bind(bind) => mounts::bind(context, bind)?,
        Node::Device(device) => tree::of_device(device)?,
        Node::Filesystem(filesystem) => mounts::filesystem(filesystem).map_err(|fault| at(fault, path))?,
    };
    let target = directories.mount_point(root, path, new.directory)?;
    new.attach(&mut context.made, &target, path)?;
    directories.mounted(path);
    Ok(())
}

/// A new file system that was refused, with where it should be.
fn at(fault: Fault, path: &CStr) -> Fault {
    match fault {
        Fault::System { call, object, errno } if call.starts_with("fs") => {
            Fault::System { call, object: format!("{object} at {}", shown(path.to_bytes())), errno }
        }
        fault => fault,
    }
}

/// Mounts a directory onto itself.
fn pin(made: &mut Made, root: BorrowedFd<'_>, path: &CStr) -> Result<(), Fault> {
    let name = path.to_bytes();
    let target = place::open(root, path).map_err(Fault::on("openat2", name))?;
    let attributes = made.attributes_at(name) & BASIC | OWN;
    let shows = Some(place::identity(&target).map_err(Fault::on("fstat", name))?);
    let tree = sys::mount::clone_tree(target.as_fd()).map_err(Fault::on("open_tree", name))?;
    detached::set_attributes(&tree, attributes, name)?;
    let pin = Detached { tree, directory: true, attributes, shows, propagation: PRIVATE };
    pin.attach(made, &MountPoint::Opened(target), path)
}

/// What is at `path`, unless nothing is and nothing has to be.
fn existing(root: BorrowedFd<'_>, path: &CStr, presence: Presence) -> Result<Option<OwnedFd>, Fault> {
    match place::open(root, path) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT | Errno::ENOTDIR) if presence != Presence::There => Ok(None),
        Err(errno) => Err(Fault::system("openat2", path.to_bytes(), errno)),
    }
}

/// Hides a file behind the host's /dev/null (checked to be it, CVE-2025-31133) and a directory behind an
/// empty one.
fn mask(made: &mut Made, root: BorrowedFd<'_>, path: &CStr, presence: Presence) -> Result<(), Fault> {
    let Some(target) = existing(root, path, presence)? else { return Ok(()) };
    let stat = sys::fstat(target.as_fd()).map_err(Fault::on("fstat", path.to_bytes()))?;
    let cover = if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        let attributes = OWN | ATTR_RDONLY;
        Detached {
            tree: mounts::tmpfs(&EMPTY, attributes)?,
            directory: true,
            attributes,
            shows: None,
            propagation: PRIVATE,
        }
    } else {
        let source = c"/dev/null".into();
        tree::of_device(&Device { source, block: false, major: 1, minor: 3, readonly: false })?
    };
    made.cover(path);
    cover.attach(made, &MountPoint::Opened(target), path)
}

fn make_readonly(
    made: &mut Made,
    root: BorrowedFd<'_>,
    path: &CStr,
    presence: Presence,
) -> Result<(), Fault> {
    let Some(target) = existing(root, path, presence)? else { return Ok(()) };
    let name = path.to_bytes();
    let attributes = made.attributes_at(name) & BASIC | ATTR_RDONLY;
    let tree = sys::mount::clone_tree(target.as_fd()).map_err(Fault::on("open_tree", name))?;
    detached::set_attributes(&tree, ATTR_RDONLY, name)?;
    let copy = Detached { tree, directory: false, attributes, shows: None, propagation: PRIVATE };
    copy.attach(made, &MountPoint::Opened(target), path)
}
