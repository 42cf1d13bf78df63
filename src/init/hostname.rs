//! The host name inside.

use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::start::Context;
use crate::protocol::Fault;

/// Sets the host name, and forgets the host's NIS domain.
pub(super) fn set(context: &mut Context) -> Result<(), Fault> {
    let Some(name) = &context.plan.hostname else { return Ok(()) };
    nix::unistd::sethostname(std::ffi::OsStr::from_bytes(name.to_bytes()))
        .map_err(Fault::on("sethostname", name.to_bytes()))?;
    let none = b"(none)";
    // SAFETY: the pointer and the length are of one array.
    Errno::result(unsafe { libc::setdomainname(none.as_ptr().cast(), none.len()) })
        .map(drop)
        .map_err(Fault::on("setdomainname", none))
}
