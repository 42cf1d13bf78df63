//! Mounts, in a mount namespace of the trial's own.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::mount::MsFlags;
use nix::unistd::geteuid;

use super::namespaces::{and, enter, with_map};
use super::process::in_child;
use super::{At, Miss, Step, Trial};
use crate::profile::Namespace;
use crate::sys::mount::{
    ATTR_NODEV, ATTR_NOSUID, ATTR_RDONLY, Parameter, attach, clone_tree, detach, new_filesystem,
    pivot_root_here, set_attributes, set_idmap, set_propagation_of_all,
};

const SAFE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// mount(2) of a new file system.
fn mount(kind: &CStr, at: &CStr, flags: MsFlags, data: &CStr) -> Result<(), Errno> {
    nix::mount::mount(Some(kind), at, Some(kind), flags, Some(data))
}

/// A mount namespace whose mounts reach no other.
fn private() -> Result<(), Miss> {
    enter(Namespace::Mount)?;
    set_propagation_of_all(libc::MS_PRIVATE).at(Step::Mount, "mount_setattr", "MS_PRIVATE on /")
}

pub(super) fn namespace() -> Trial {
    private().map(|()| String::new())
}

/// A directory that every system has, to mount on.
fn directory() -> &'static CStr {
    const COMMON: [&CStr; 4] = [c"/tmp", c"/run", c"/var", c"/usr"];
    COMMON
        .into_iter()
        .find(|path| path.to_str().is_ok_and(|path| std::path::Path::new(path).is_dir()))
        .unwrap_or(c"/")
}

/// A private mount namespace with a small tmpfs, which is the working directory.
fn scratch() -> Result<(), Miss> {
    private()?;
    let directory = directory();
    let data = c"size=65536,nr_inodes=16,mode=0755";
    mount(c"tmpfs", directory, SAFE, data).at(Step::Mount, "mount", "tmpfs")?;
    let path = directory.to_string_lossy();
    // Where only `/` was left, `..` of it leads to the mount that covers it.
    let path = if path == "/" { "/.." } else { &path };
    nix::unistd::chdir(path).at(Step::Mount, "chdir", path)
}

pub(super) fn tmpfs() -> Trial {
    scratch()?;
    std::fs::write("small", b"fits").at(Step::Fill, "write", "a file")?;
    match std::fs::write("large", vec![0; 1 << 20]).map_err(|error| error.raw_os_error()) {
        Err(Some(libc::ENOSPC)) => Ok(String::new()),
        Err(errno) => {
            Err(errno.map_or(Errno::UnknownErrno, Errno::from_raw)).at(Step::Fill, "write", "a file")
        }
        Ok(()) => Err(Miss::Without("the size limit does not hold".to_owned())),
    }
}

pub(super) fn bind() -> Trial {
    scratch()?;
    for path in ["from", "to"] {
        std::fs::create_dir(path).at(Step::Mount, "mkdir", path)?;
    }
    let from = File::open("from").at(Step::Mount, "open", "from")?;
    let tree = clone_tree(from.as_fd()).at(Step::Mount, "open_tree", "a directory")?;
    let attributes = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV;
    set_attributes(tree.as_fd(), attributes, true).at(Step::Mount, "mount_setattr", "a directory")?;
    attach(tree.as_fd(), AT_FDCWD, c"to").at(Step::Mount, "move_mount", "a directory")?;
    std::fs::write("from/file", b"").at(Step::Fill, "write", "a file")?;
    match File::create("to/file").map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EROFS)) => Ok(String::new()),
        Err(_) => Err(Miss::Without("the bound directory cannot be reached".to_owned())),
        Ok(_) => Err(Miss::Without("the bound directory can be written".to_owned())),
    }
}

pub(super) fn fsopen() -> Trial {
    scratch()?;
    std::fs::create_dir("at").at(Step::Mount, "mkdir", "at")?;
    let size = Parameter::Text(c"size", c"65536");
    let mount = new_filesystem(c"tmpfs", &[size], ATTR_NOSUID | ATTR_NODEV)
        .or_else(|refused| Err(refused.errno).at(Step::Mount, refused.call, "tmpfs"))?;
    attach(mount.as_fd(), AT_FDCWD, c"at").at(Step::Mount, "move_mount", "tmpfs")?;
    Ok(String::new())
}

pub(super) fn pivot_root() -> Trial {
    scratch()?;
    let detail = match pivot_root_here() {
        Ok(()) => "",
        Err(Errno::EINVAL) => {
            pivot_from_initramfs()?;
            "from an initramfs, which is covered for it"
        }
        Err(errno) => return Err(errno).at(Step::Mount, "pivot_root", "/"),
    };
    detach(c".").at(Step::Mount, "umount2", "the old root")?;
    match std::fs::read_dir("/").at(Step::Mount, "open", "/")?.count() {
        0 => Ok(detail.to_owned()),
        more => Err(Miss::Without(format!("the new root shows {more} entries of the old one"))),
    }
}

/// As a sandbox does where the root is mounted on nothing: a mount comes between.
fn pivot_from_initramfs() -> Result<(), Miss> {
    mount(c"tmpfs", c"/", SAFE, c"size=4096").at(Step::Mount, "mount", "tmpfs")?;
    nix::unistd::chdir("/..").at(Step::Mount, "chdir", "/..")?;
    nix::unistd::chroot(".").at(Step::Mount, "chroot", "/..")?;
    std::fs::create_dir("new").at(Step::Mount, "mkdir", "new")?;
    mount(c"tmpfs", c"new", SAFE, c"size=65536,mode=0755").at(Step::Mount, "mount", "tmpfs")?;
    nix::unistd::chdir("/new").at(Step::Mount, "chdir", "/new")?;
    pivot_root_here().at(Step::Mount, "pivot_root", "/")
}

pub(super) fn proc() -> Trial {
    mount_proc(c"", "mount")
}

pub(super) fn proc_pid() -> Trial {
    mount_proc(c"subset=pid", "subset=pid")
}

fn mount_proc(data: &CStr, call: &str) -> Trial {
    scratch()?;
    std::fs::create_dir("proc").at(Step::Mount, "mkdir", "proc")?;
    and(libc::CLONE_NEWPID, Namespace::Pid)?;
    in_child(|| {
        mount(c"proc", c"proc", SAFE | MsFlags::MS_NOEXEC, data).at(Step::MountProc, call, "proc")?;
        match (std::path::Path::new("proc/1").is_dir(), std::path::Path::new("proc/sys").exists()) {
            (true, whole) if whole == data.is_empty() => Ok(String::new()),
            (true, _) => Err(Miss::Without("subset=pid has no effect".to_owned())),
            (false, _) => Err(Miss::Without("the new procfs does not show the first process".to_owned())),
        }
    })
}

pub(super) fn devpts() -> Trial {
    scratch()?;
    std::fs::create_dir("pts").at(Step::Mount, "mkdir", "pts")?;
    let data = c"newinstance,ptmxmode=0666,mode=0620";
    mount(c"devpts", c"pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, data).at(
        Step::Mount,
        "mount",
        "devpts",
    )?;
    let _terminal =
        File::options().read(true).write(true).open("pts/ptmx").at(Step::Mount, "open", "pts/ptmx")?;
    Ok(String::new())
}

pub(super) fn mqueue() -> Trial {
    scratch()?;
    std::fs::create_dir("mqueue").at(Step::Mount, "mkdir", "mqueue")?;
    and(libc::CLONE_NEWIPC, Namespace::Ipc)?;
    mount(c"mqueue", c"mqueue", SAFE | MsFlags::MS_NOEXEC, c"").at(Step::Mount, "mount", "mqueue")?;
    Ok(String::new())
}

pub(super) fn overlay() -> Trial {
    scratch()?;
    for path in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(path).at(Step::Mount, "mkdir", path)?;
    }
    std::fs::write("lower/file", b"below").at(Step::Fill, "write", "a file")?;
    let data = c"lowerdir=lower,upperdir=upper,workdir=work,userxattr";
    mount(c"overlay", c"merged", SAFE, data).at(Step::MountOverlay, "overlay", "overlay")?;
    std::fs::write("merged/file", b"above").at(Step::Fill, "write", "a file")?;
    match std::fs::read("lower/file").at(Step::Fill, "read", "a file")?.as_slice() {
        b"below" => Ok(String::new()),
        _ => Err(Miss::Without("a write reached the lower layer".to_owned())),
    }
}

/// The working directory's file system, as root would bind it for a sandbox.
pub(super) fn id_mapped() -> Trial {
    if !geteuid().is_root() {
        return Err(Miss::Skipped("only root can, and only root's sandboxes need it".to_owned()));
    }
    let path = std::env::current_dir().at(Step::IdMappedMount, "getcwd", "")?;
    let name = path.to_string_lossy().into_owned();
    let (_, mut mapped) = with_map("0 100000 1")?;
    let userns = File::open(format!("/proc/{}/ns/user", mapped.process));
    mapped.end()?;
    let userns = userns.at(Step::IdMappedMount, "open", "ns/user")?;
    let here = File::open(&path).at(Step::IdMappedMount, "open", &name)?;
    let tree = clone_tree(here.as_fd()).at(Step::IdMappedMount, "open_tree", &name)?;
    let feature = crate::host::id_mapped::id_mapped_mount(&path);
    set_idmap(tree.as_fd(), userns.as_fd(), false).at(Step::IdMappedMount, &feature, &name)?;
    Ok(format!("the file system of {name}"))
}
