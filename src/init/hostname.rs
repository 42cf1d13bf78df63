//! The host name inside.

use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::bootstrap::Bootstrap;
use crate::protocol::{Fault, shown};

/// Sets the host name, and forgets the host's NIS domain.
pub(super) fn set(bootstrap: &mut Bootstrap) -> Result<(), Fault> {
    let Some(name) = &bootstrap.prelude.hostname else { return Ok(()) };
    nix::unistd::sethostname(std::ffi::OsStr::from_bytes(name.to_bytes()))
        .map_err(Fault::on("sethostname", name.to_bytes()))?;
    let none = b"(none)".as_slice();
    // SAFETY: the pointer and the length are of one array.
    Errno::result(unsafe { libc::setdomainname(none.as_ptr().cast(), none.len()) })
        .map_err(Fault::on("setdomainname", none))?;
    // SAFETY: utsname is plain data for which all zeroes is a value.
    let mut found: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: room for the answer.
    Errno::result(unsafe { libc::uname(&raw mut found) }).map_err(Fault::on("uname", b""))?;
    for (what, expected, found) in
        [("the host name", name.to_bytes(), &found.nodename), ("the domain name", none, &found.domainname)]
    {
        let found: Vec<u8> =
            found.iter().map(|&byte| byte.to_ne_bytes()[0]).take_while(|&byte| byte != 0).collect();
        if expected != found {
            return Err(Fault::mismatch(what, shown(expected), shown(&found)));
        }
    }
    Ok(())
}
