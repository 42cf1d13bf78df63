//! The ids inside, and no supplementary groups.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::start::Context;
use crate::plan::HostIdentity;
use crate::protocol::Fault;

/// In a user namespace of its own an unprivileged caller's process is refused, and without one it is no business of an ordinary
/// user; root without namespaces is to have no groups.
fn may_be_refused(context: &Context) -> bool {
    context.plan.namespaces != 0 || !nix::unistd::geteuid().is_root()
}

/// Becomes the user and group that the Plan names.
///
/// An unprivileged caller's user namespace denies setgroups(2), so its supplementary groups stay in the credentials (they
/// show as the overflow id and open nothing that the mounts do not show; user_namespaces(7), CVE-2014-8989).
pub(super) fn assume(context: &mut Context) -> Result<(), Fault> {
    let identity = context.plan.identity;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    match setgroups(&[]) {
        Ok(()) => {}
        Err(Errno::EPERM) if matches!(identity.host, HostIdentity::Own { .. }) && may_be_refused(context) => {
        }
        Err(errno) => return Err(Fault::system("setgroups", b"", errno)),
    }
    setresgid(gid, gid, gid).map_err(Fault::on("setresgid", gid.to_string().as_bytes()))?;
    setresuid(uid, uid, uid).map_err(Fault::on("setresuid", uid.to_string().as_bytes()))?;
    if context.go.death_signal {
        // A change of ids has cleared it (PR_SET_PDEATHSIG(2const)). A caller that is gone by now has closed its channel.
        crate::sys::process::set_death_signal(libc::SIGKILL)
            .map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
    }
    Ok(())
}
