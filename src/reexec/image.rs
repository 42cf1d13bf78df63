//! The image this process runs, however its path fares.
//!
//! The literal `/proc/self/exe` names it also after the file was deleted or replaced (the link is followed by
//! the kernel, not by its text). Where `/proc` cannot be reached (a chroot, an own mount namespace) a
//! descriptor that was opened when the process started serves; and where `/proc` was missing already then,
//! the file that the kernel says it executed (`AT_EXECFN`, getauxval(3)), once its bytes were compared with
//! those in memory.

use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

use super::{guard, own_code};

/// The descriptor is kept out of the low numbers, which belong to the program, and within the kernel's first
/// table.
const LOWEST: libc::c_int = 60;

/// Not looked for yet; looked for and not found.
const UNKNOWN: i32 = -2;
const NONE: i32 = -1;

static DESCRIPTOR: AtomicI32 = AtomicI32::new(UNKNOWN);
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);
static TRUST: AtomicU8 = AtomicU8::new(UNCHECKED);

/// Opened by name: to be compared with the memory before its first use.
const UNCHECKED: u8 = 0;
const TRUSTED: u8 = 1;
const FOREIGN: u8 = 2;

/// Where the image can be had from.
pub(super) struct Image {
    /// `/proc/self/exe` is in reach, on a real procfs.
    pub(super) by_path: bool,
    pub(super) descriptor: Option<BorrowedFd<'static>>,
}

/// Where the image's file is, for a child in a mount namespace of its own: opened there it is in one of the
/// namespace's mounts, which can be made read-only, and what the image's process does to its file through
/// `/proc/self/exe` stays within that.
pub(super) struct Named {
    pub(super) path: CString,
    /// Which file it has to be: device and inode.
    pub(super) identity: (u64, u64),
}

/// Why the image cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Neither `/proc` nor a descriptor of the image nor its file.
    #[error(
        "cannot reach the program's own image: /proc is not mounted, and no descriptor of the image could be opened when the program started"
    )]
    OutOfReach,
    /// The file the program was started from holds another program by now.
    #[error(
        "the file that this program was started from is not this program any more (/proc is not mounted)"
    )]
    Replaced,
    /// The kernel executed another file, which runs this program: its loader, an emulator, an interpreter.
    #[error(
        "this program was started through {executed:?}, which cannot be executed in its place: start the program itself"
    )]
    Interpreter {
        /// What the kernel executed.
        executed: PathBuf,
    },
    /// This code is not the program's but of a library that it has loaded.
    #[error(
        "belljar is linked into the shared library {library:?}, not into the program itself, and so cannot start it again in a role"
    )]
    SharedLibrary {
        /// The library.
        library: PathBuf,
    },
}

/// Is the procfs of this process at `/proc`.
pub(crate) fn proc_in_reach() -> bool {
    // SAFETY: all zero is a valid statfs.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a literal path and a buffer of the right type.
    let result = unsafe { libc::statfs(c"/proc/self".as_ptr(), &mut found) };
    result == 0 && is_proc(&found)
}

/// The types of both differ between the C libraries.
#[allow(clippy::unnecessary_cast)]
fn is_proc(found: &libc::statfs) -> bool {
    found.f_type as u64 == libc::PROC_SUPER_MAGIC as u64
}

/// Opens the image for later; called when the process starts. Its failures show when the image is asked for.
pub(super) fn remember() {
    if DESCRIPTOR.load(Ordering::Acquire) != UNKNOWN {
        return;
    }
    let (opened, trust) = if proc_in_reach() {
        // A re-executed child is what its launcher has made sure of.
        let trusted = guard::state() == guard::State::Pending || own_code::executed().is_ok();
        (open(c"/proc/self/exe", libc::O_PATH), if trusted { TRUSTED } else { FOREIGN })
    } else {
        // SAFETY: getauxval has no preconditions; AT_EXECFN is null or a string that lives as long as the
        // process.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
        if name.is_null() {
            (Err(io::ErrorKind::NotFound.into()), UNCHECKED)
        } else {
            // SAFETY: see above.
            (open(unsafe { CStr::from_ptr(name) }, libc::O_RDONLY | libc::O_NONBLOCK), UNCHECKED)
        }
    };
    let kept = opened.and_then(|fd| {
        let (device, inode) = identity(fd.as_fd())?;
        DEVICE.store(device, Ordering::Relaxed);
        INODE.store(inode, Ordering::Relaxed);
        TRUST.store(trust, Ordering::Relaxed);
        move_up(fd)
    });
    let descriptor = kept.map_or(NONE, IntoRawFd::into_raw_fd);
    if DESCRIPTOR.compare_exchange(UNKNOWN, descriptor, Ordering::AcqRel, Ordering::Acquire).is_err()
        && descriptor >= 0
    {
        // SAFETY: opened above, and another thread's is the one that is used.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
}

/// Takes over the launcher's descriptor of the image, which is this process's image too. Where there is one
/// already, that one is kept: it was not handed over.
pub(super) fn adopt(number: i32) -> io::Result<()> {
    // SAFETY: any number may be asked about.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, put there by the launcher, and used here only.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    if remembered().is_some() {
        return Ok(());
    }
    let (device, inode) = identity(fd.as_fd())?;
    DEVICE.store(device, Ordering::Relaxed);
    INODE.store(inode, Ordering::Relaxed);
    TRUST.store(TRUSTED, Ordering::Relaxed);
    DESCRIPTOR.store(move_up(fd)?.into_raw_fd(), Ordering::Release);
    Ok(())
}

/// The image, by every way that leads to it.
pub(super) fn locate() -> Result<Image, ImageError> {
    remember();
    let by_path = proc_in_reach();
    if by_path { own_code::executed() } else { own_code::in_program() }?;
    let descriptor = match remembered() {
        Some(fd) if TRUST.load(Ordering::Relaxed) == TRUSTED => Some(fd),
        Some(_) if by_path => None,
        Some(fd) => {
            if TRUST.load(Ordering::Relaxed) == UNCHECKED {
                let same = is_this_program(fd);
                TRUST.store(if same { TRUSTED } else { FOREIGN }, Ordering::Relaxed);
            }
            if TRUST.load(Ordering::Relaxed) == FOREIGN {
                return Err(ImageError::Replaced);
            }
            Some(fd)
        }
        None => None,
    };
    if !by_path && descriptor.is_none() {
        return Err(ImageError::OutOfReach);
    }
    Ok(Image { by_path, descriptor })
}

/// What the kernel says of its path; nothing where that is not to be had. The file may be gone by now, or be
/// another.
pub(super) fn named() -> Option<Named> {
    remembered()?;
    let path = std::fs::read_link("/proc/self/exe").ok()?;
    let path = CString::new(path.into_os_string().into_encoded_bytes()).ok()?;
    Some(Named { path, identity: (DEVICE.load(Ordering::Relaxed), INODE.load(Ordering::Relaxed)) })
}

/// The remembered descriptor, unless it was closed and the number means another file now.
fn remembered() -> Option<BorrowedFd<'static>> {
    let raw = DESCRIPTOR.load(Ordering::Acquire);
    if raw < 0 {
        return None;
    }
    // SAFETY: never closed by us; if someone else did, the comparison below tells.
    let fd = unsafe { BorrowedFd::borrow_raw(raw) };
    let found = identity(fd).ok()?;
    (found == (DEVICE.load(Ordering::Relaxed), INODE.load(Ordering::Relaxed))).then_some(fd)
}

fn open(path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a string that ends with NUL.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The same file under a number that is not in anyone's way; with a very low `RLIMIT_NOFILE`, one that is no
/// standard stream's.
fn move_up(fd: OwnedFd) -> io::Result<OwnedFd> {
    let number = fd.as_raw_fd();
    let at_least = |lowest: libc::c_int| {
        // SAFETY: an open descriptor.
        let high = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, lowest) };
        // SAFETY: just made, if it is none of the error's.
        (high >= 0).then(|| unsafe { OwnedFd::from_raw_fd(high) }).ok_or_else(io::Error::last_os_error)
    };
    at_least(LOWEST).or_else(|_| if number > 2 { Ok(fd) } else { at_least(3) })
}

/// Device and inode: what makes two files the same.
pub(super) fn identity(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    // SAFETY: all zero is a valid stat.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor and a buffer of the right type.
    if unsafe { libc::fstat(fd.as_raw_fd(), &mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((found.st_dev, found.st_ino))
}

/// Compares every segment that is mapped from the file and never written with the file's own bytes.
fn is_this_program(fd: BorrowedFd<'_>) -> bool {
    struct Search<'a> {
        file: &'a File,
        executable_seen: bool,
        same: bool,
    }

    // SAFETY (of a call): `data` is this function's Search, `info` is libc's: dl_iterate_phdr(3) below, the
    // only one to call it.
    unsafe extern "C" fn visit(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: dl_iterate_phdr hands us a valid record and our own pointer back.
        let (info, search) = unsafe { (&*info, &mut *data.cast::<Search<'_>>()) };
        // SAFETY: the program headers of a loaded object.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            if header.p_flags & libc::PF_R == 0 {
                search.same = false;
                break;
            }
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize) as *const u8;
            // SAFETY: a readable segment, mapped for as long as the program runs and never written.
            let memory = unsafe { std::slice::from_raw_parts(start, header.p_filesz as usize) };
            if !same_bytes(search.file, header.p_offset, memory) {
                search.same = false;
                break;
            }
            search.executable_seen |= header.p_flags & libc::PF_X != 0;
        }
        // The first object is the program itself; the libraries do not matter.
        1
    }

    // SAFETY: borrowed for this function; ManuallyDrop keeps it open.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
    let mut search = Search { file: &file, executable_seen: false, same: true };
    // SAFETY: `visit` fits, and `search` lives over the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.same && search.executable_seen
}

fn same_bytes(file: &File, mut offset: u64, memory: &[u8]) -> bool {
    let mut buffer = [0u8; 16 * 1024];
    for chunk in memory.chunks(buffer.len()) {
        let part = &mut buffer[..chunk.len()];
        if file.read_exact_at(part, offset).is_err() || part != chunk {
            return false;
        }
        offset += chunk.len() as u64;
    }
    true
}

/// A descriptor of the running program's own image.
///
/// Opened with `O_PATH`: it can be executed (`execveat(2)` with `AT_EMPTY_PATH`, `/proc/self/fd/N`), compared
/// (`fstat(2)`) and handed on, and needs no read permission on the file.
#[derive(Debug)]
pub struct SelfExe(OwnedFd);

impl AsFd for SelfExe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<SelfExe> for OwnedFd {
    fn from(value: SelfExe) -> OwnedFd {
        value.0
    }
}

/// Opens the image that this process runs.
///
/// Unlike [`std::env::current_exe`], which returns a *name*: after the file was deleted that name ends in `
/// (deleted)`, after it was replaced (every upgrade does) it names another program, and in a chroot it names
/// nothing. The descriptor is the very file that was executed.
///
/// # Errors
/// When `/proc` is not in reach and was not when the program started, or descriptors have run out.
pub fn self_exe() -> io::Result<SelfExe> {
    let image = locate().map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    if image.by_path {
        return open(c"/proc/self/exe", libc::O_PATH).map(SelfExe);
    }
    match image.descriptor {
        Some(fd) => fd.try_clone_to_owned().map(SelfExe),
        None => Err(io::Error::new(io::ErrorKind::NotFound, ImageError::OutOfReach)),
    }
}
