//! Files that are only in memory (memfd_create(2)).

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};

/// `MFD_NOEXEC_SEAL` (Linux 6.3), which nix does not have.
const NOEXEC_SEAL: MFdFlags = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);

/// An empty one, close-on-exec, which can be sealed, and never be executed where the kernel knows of that.
pub(crate) fn file(name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // With vm.memfd_noexec=2 nothing else is allowed.
    match memfd_create(name, flags | NOEXEC_SEAL) {
        Err(Errno::EINVAL) => memfd_create(name, flags),
        made => made,
    }
}

/// One with these bytes in it. `RLIMIT_FSIZE` holds for it too, and who writes beyond that is ended by
/// `SIGXFSZ` (setrlimit(2)): what would be too large is `EFBIG` before anything is written.
pub(crate) fn filled(name: &CStr, parts: &[&[u8]]) -> io::Result<File> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if size as u64 > limit {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let mut file = File::from(self::file(name)?);
    parts.iter().try_for_each(|part| file.write_all(part))?;
    Ok(file)
}
