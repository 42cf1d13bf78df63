//! The task's standard streams become a terminal of the sandbox's own devpts; its outer end goes to the
//! caller (pty(7)).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{FsType, fstatfs};

use super::context::Context;
use crate::plan::Plan;
use crate::protocol::{Fault, Message, Window};
use crate::sys;

nix::ioctl_write_ptr_bad!(set_lock, libc::TIOCSPTLCK, libc::c_int);
nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, libc::winsize);

/// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
const DEVPTS: FsType = FsType(0x1cd1);

/// Opens a pair, puts the inner end in the place of the standard streams, and sends the outer one away.
pub(super) fn open(context: &mut Context) -> Result<(), Fault> {
    let Some(window) = context.window else { return Ok(()) };
    let devpts = devpts(&context.plan)?;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let outer = openat(&devpts, c"ptmx", flags, Mode::empty()).map_err(Fault::on("openat", b"ptmx"))?;
    // SAFETY: the kernel reads one int.
    unsafe { set_lock(outer.as_raw_fd(), &0) }.map_err(Fault::on("ioctl", b"TIOCSPTLCK"))?;
    resize(&outer, window)?;
    // By descriptor: a path below /dev/pts could lead elsewhere (CVE-2025-52565). Linux 4.13.
    // SAFETY: TIOCGPTPEER takes open(2) flags as its argument and gives a new descriptor.
    let inner = Errno::result(unsafe { libc::ioctl(outer.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()) })
        .map_err(Fault::on("ioctl", b"TIOCGPTPEER"))?;
    // SAFETY: the kernel has just made it for us.
    let inner = unsafe { OwnedFd::from_raw_fd(inner) };
    is_the_tasks(inner.as_fd(), devpts.as_fd(), context.plan.walls.identity.uid)?;
    for number in 0..3 {
        // SAFETY: numbers only. init uses its standard streams for nothing.
        Errno::result(unsafe { libc::dup2(inner.as_raw_fd(), number) })
            .map_err(Fault::on("dup2", number.to_string().as_bytes()))?;
    }
    context
        .channel
        .send_with(&Message::Terminal, &[outer.as_fd()])
        .map_err(|_| Fault::Protocol { what: "terminal".to_owned() })
}

/// Where the Plan has mounted it, and nothing else.
fn devpts(plan: &Plan) -> Result<OwnedFd, Fault> {
    let path = plan.walls.root.iter().flat_map(|root| &root.nodes).find_map(|node| match node {
        (path, node) if node.is_filesystem("devpts") => Some(path),
        _ => None,
    });
    let path = path.ok_or_else(|| Fault::Protocol { what: "a terminal without a devpts".to_owned() })?;
    let name = path.to_bytes();
    let directory = sys::open_without_symlinks(path, OFlag::O_PATH | OFlag::O_DIRECTORY)
        .map_err(Fault::on("openat2", name))?;
    let found = fstatfs(&directory).map_err(Fault::on("fstatfs", name))?.filesystem_type();
    if found == DEVPTS {
        return Ok(directory);
    }
    Err(Fault::mismatch("the file system of the terminals", "devpts", format!("{found:?}")))
}

fn resize(outer: &OwnedFd, window: Window) -> Result<(), Fault> {
    let Window { rows, columns, width, height } = window;
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: width, ws_ypixel: height };
    // SAFETY: the kernel reads one winsize.
    unsafe { set_size(outer.as_raw_fd(), &raw const size) }
        .map(drop)
        .map_err(Fault::on("ioctl", b"TIOCSWINSZ"))
}

/// It is of this devpts, and can be opened by name: `/dev/stderr` leads to it.
fn is_the_tasks(inner: BorrowedFd<'_>, devpts: BorrowedFd<'_>, uid: u32) -> Result<(), Fault> {
    let stat = |fd| sys::fstat(fd).map_err(Fault::on("fstat", b"terminal"));
    let (terminal, directory) = (stat(inner)?, stat(devpts)?);
    for (what, expected, found) in [
        ("the device of the terminal's file system", directory.st_dev, terminal.st_dev),
        ("the owner of the terminal", uid.into(), terminal.st_uid.into()),
        ("the mode of the terminal", 0o620, (terminal.st_mode & 0o7777).into()),
    ] {
        if expected != found {
            return Err(Fault::mismatch(what, expected, found));
        }
    }
    Ok(())
}
