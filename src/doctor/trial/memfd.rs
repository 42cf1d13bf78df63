//! A sealed memfd, as the plan crosses in.

use std::fs::File;
use std::io::Write;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{At, Miss, Step, Trial};
use crate::host::read;

pub(super) fn sealed() -> Trial {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create("belljar", flags).at(Step::Call, "memfd_create", "")?;
    let mut memory = File::from(memory);
    memory.write_all(b"plan").at(Step::Call, "write", "a memfd")?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).at(Step::Call, "fcntl", "F_ADD_SEALS")?;
    match memory.write(b"more").map_err(|error| error.raw_os_error()) {
        Err(Some(errno)) if Errno::from_raw(errno) == Errno::EPERM => {}
        _ => return Err(Miss::Without("a sealed memfd can be written".to_owned())),
    }
    Ok(match read::number("/proc/sys/vm/memfd_noexec") {
        Some(mode @ 1..) => format!("vm.memfd_noexec={mode}"),
        _ => String::new(),
    })
}
