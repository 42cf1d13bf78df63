//! The inner user namespace: where a kept capability could undo a wall, the task has it in a user namespace
//! below init's.
//!
//! What init has built belongs to its own user namespace. In one below it the task's capabilities mean
//! nothing to init, the pid namespace and the mounts: a mount namespace that is copied into it has all mounts
//! and their attributes locked (mount_namespaces(7)). The network, message queues and the host name, which
//! are there for the task alone, belong to the inner one.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::context::Context;
use super::exit::exit;
use super::{identity, loopback, mounts};
use crate::capability::{Capability, CapabilitySet};
use crate::plan::{HostIdentity, Inner, ranges};
use crate::profile::IdRange;
use crate::protocol::Fault;
use crate::sys;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID};

/// Besides what init needs: to map an id that is called 0 on both sides (user_namespaces(7)).
pub(super) const NEEDED: CapabilitySet = CapabilitySet::of(&[Capability::CAP_SETFCAP]);

/// Those that belong to the inner user namespace where the plan has them.
const OWN: CloneFlags =
    CloneFlags::CLONE_NEWNET.union(CloneFlags::CLONE_NEWIPC).union(CloneFlags::CLONE_NEWUTS);

/// Makes the namespaces, with the ids that init has, before anything is mounted: message queues are those of
/// the namespace that mounts them.
pub(super) fn make(context: &mut Context) -> Result<(), Fault> {
    match context.plan.walls.inner {
        Inner::Made => {}
        Inner::Needless => return Ok(()),
        // By name, so that a program without this feature does not compile where it could read this from a
        // plan.
        #[cfg(feature = "cli")]
        Inner::LeftOut => return Ok(()),
    }
    let flags = libc::c_int::try_from(context.plan.walls.namespaces.new_flags())
        .map_or(OWN, CloneFlags::from_bits_truncate);
    let own = flags & OWN;
    let maker = Maker::start(own | CloneFlags::CLONE_NEWUSER)?;
    // A procfs of our own, in which the maker is known by the number that we know.
    let procfs = mounts::new_mount(c"proc", &[], ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC)?;
    let identity = &context.plan.walls.identity;
    let one = |id| vec![IdRange { inside: id, outside: id, count: 1 }];
    let (users, groups) = match &identity.host {
        HostIdentity::Ranges(all) => (ranges::as_inside(&all.users), ranges::as_inside(&all.groups)),
        _ => (one(identity.uid), one(identity.gid)),
    };
    write_map(&procfs, maker.pid, "gid_map", &groups)?;
    write_map(&procfs, maker.pid, "uid_map", &users)?;
    let path = format!("{}/ns/user", maker.pid);
    let user = openat(&procfs, path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Fault::on("openat", path.as_bytes()))?;
    if !own.is_empty() {
        setns(&maker.pidfd, own).map_err(Fault::on("setns", b"the inner namespaces"))?;
    }
    maker.end()?;
    // The host name was copied.
    loopback::bring_up(context.plan.walls.loopback)?;
    context.inner = Some(user);
    Ok(())
}

/// Goes in, in the task's process, once all mounts stand; and asks whether they are locked.
pub(super) fn enter(context: &mut Context) -> Result<(), Fault> {
    let Some(user) = &context.inner else { return Ok(()) };
    setns(user, CloneFlags::CLONE_NEWUSER).map_err(Fault::on("setns", b"the inner user namespace"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(Fault::on("unshare", b"CLONE_NEWNS"))?;
    // Every root is `nosuid`.
    let root = sys::open_without_symlinks(c"/", OFlag::O_PATH).map_err(Fault::on("openat2", b"/"))?;
    match sys::mount::clear_attributes(root.as_fd(), ATTR_NOSUID) {
        Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Fault::mismatch("taking nosuid from the root", Errno::EPERM, errno)),
        Ok(()) => Err(Fault::mismatch("the attributes of the mounts", "locked", "free to be changed")),
    }
}

/// A process that makes the namespaces, and is gone before the task starts: it has all capabilities in them.
struct Maker {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Maker {
    fn start(flags: CloneFlags) -> Result<Self, Fault> {
        let (answer, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(Fault::on("pipe2", b""))?;
        // SAFETY: init is single-threaded, so the child may do anything that init may.
        let pid = match unsafe { fork() } {
            Ok(ForkResult::Parent { child }) => child,
            Ok(ForkResult::Child) => make_and_wait(flags, theirs),
            Err(errno) => return Err(Fault::system("fork", b"", errno)),
        };
        drop(theirs);
        // Our child, not waited for: the number is its own.
        let pidfd = sys::process::pidfd_open(pid.as_raw()).map_err(Fault::on("pidfd_open", b"maker"))?;
        let maker = Self { pid, pidfd };
        let mut errno = [0; size_of::<i32>()];
        let read = File::from(answer).read_exact(&mut errno);
        match (read, i32::from_ne_bytes(errno)) {
            (Ok(()), 0) => Ok(maker),
            (Ok(()), errno) => Err(Fault::system("unshare", b"CLONE_NEWUSER", Errno::from_raw(errno))),
            (Err(_), _) => {
                Err(Fault::mismatch("the inner namespaces", "made", "not: their maker was killed"))
            }
        }
    }

    fn end(self) -> Result<(), Fault> {
        sys::process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL)
            .map_err(Fault::on("pidfd_send_signal", b"maker"))?;
        sys::process::wait_pidfd(self.pidfd.as_fd(), libc::__WALL)
            .map(drop)
            .map_err(Fault::on("waitid", b"maker"))
    }
}

/// The maker. If init ends, it ends with the pid namespace.
fn make_and_wait(flags: CloneFlags, answer: OwnedFd) -> ! {
    // Its maps are to be ours to write: the files in procfs of a process that is not dumpable are root's, who
    // may have no id here.
    let made = unshare(flags).and_then(|()| prctl::set_dumpable(true));
    let errno = made.err().map_or(0, |errno| errno as i32);
    if File::from(answer).write_all(&errno.to_ne_bytes()).is_err() || errno != 0 {
        exit(1);
    }
    loop {
        nix::unistd::pause();
    }
}

/// The same ids on both sides, and no others.
fn write_map(procfs: &OwnedFd, pid: Pid, file: &str, ids: &[IdRange]) -> Result<(), Fault> {
    let path = format!("{pid}/{file}");
    let name = CString::new(path.as_str()).map_err(|_| Fault::Protocol { what: "path".to_owned() })?;
    let map = ranges::text(ids);
    let opened = openat(procfs, name.as_c_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Fault::on("openat", path.as_bytes()))?;
    debug_assert!(opened.as_raw_fd() > 2);
    // The kernel takes a map in one write or not at all.
    nix::unistd::write(&opened, map.as_bytes()).map_err(Fault::on("write", path.as_bytes()))?;
    let mut written = File::from(opened);
    written.rewind().map_err(identity::on_io("lseek", path.as_bytes()))?;
    let text = identity::map_text(&written, path.as_bytes())?;
    if ranges::read(&text) == Some(ranges::sorted(ids.to_vec())) {
        return Ok(());
    }
    Err(Fault::mismatch(&format!("the inner {file}"), map.trim(), text.trim()))
}
