//! Resource limits and the umask.

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};

use super::start::Context;
use crate::protocol::Fault;

/// Sets each limit of the Plan.
pub(super) fn set(context: &mut Context) -> Result<(), Fault> {
    for limit in &context.plan.rlimits {
        let value = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
        // SAFETY: the struct lives through the call. The resource's type differs between the C libraries.
        Errno::result(unsafe { libc::setrlimit(limit.resource as _, &raw const value) })
            .map_err(Fault::on("setrlimit", limit.resource.to_string().as_bytes()))?;
    }
    let mask = Mode::from_bits_truncate(context.plan.umask);
    umask(mask);
    // There is no other way to read it than to set it.
    let found = umask(mask);
    if found != mask {
        return Err(Fault::mismatch("umask", format!("{mask:o}"), format!("{found:o}")));
    }
    Ok(())
}
