//! The working directory, inside.

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::unistd::chdir;

use super::context::Context;
use crate::protocol::{Fault, shown};

/// Enters it, and makes sure that it is below the root (CVE-2024-21626).
pub(super) fn enter(context: &mut Context) -> Result<(), Fault> {
    let path = &context.plan.task.cwd;
    chdir(path.as_c_str()).map_err(Fault::on("chdir", path.to_bytes()))?;
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is writable and its length is given. The raw call, as libc's hides what is
    // unreachable.
    Errno::result(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })
        .map_err(Fault::on("getcwd", path.to_bytes()))?;
    if buffer.first() != Some(&b'/') {
        return Err(Fault::mismatch("the working directory", "below the root", "unreachable from it"));
    }
    let named = stat(path.as_c_str()).map_err(Fault::on("stat", path.to_bytes()))?;
    let found = stat(".").map_err(Fault::on("stat", b"."))?;
    if (named.st_dev, named.st_ino) != (found.st_dev, found.st_ino) {
        let found = shown(buffer.split(|&byte| byte == 0).next().unwrap_or_default());
        return Err(Fault::mismatch("the working directory", shown(path.to_bytes()), found));
    }
    Ok(())
}
