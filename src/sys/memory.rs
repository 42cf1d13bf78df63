//! Files that are only in memory (memfd_create(2)).

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};

/// An empty one, close-on-exec, which can be sealed, and never be executed where the kernel knows of that.
pub(crate) fn file(name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Linux 6.3 on; with vm.memfd_noexec=2 nothing else is allowed.
    match create(name, flags | libc::MFD_NOEXEC_SEAL) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => create(name, flags),
        made => made,
    }
}

/// One with these bytes in it. `RLIMIT_FSIZE` holds for it too, and who writes beyond that is ended by `SIGXFSZ` (setrlimit(2)):
/// what would be too large is `EFBIG` before anything is written.
pub(crate) fn filled(name: &CStr, parts: &[&[u8]]) -> io::Result<File> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if size as u64 > limit.rlim_cur {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let mut file = File::from(self::file(name)?);
    parts.iter().try_for_each(|part| file.write_all(part))?;
    Ok(file)
}

fn create(name: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: a C string.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
