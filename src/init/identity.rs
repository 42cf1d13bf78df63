//! The ids inside, and no supplementary groups.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::start::Context;
use crate::plan::{HostIdentity, Identity};
use crate::protocol::Fault;

/// In a user namespace of its own an unprivileged caller's process is refused; without one it is no business of who stays who they
/// are, but who steps down is to have no groups.
fn may_be_refused(context: &Context) -> bool {
    let Identity { uid, host, .. } = context.plan.walls.identity;
    let stays = !context.plan.walls.namespaces.is_lite() || nix::unistd::geteuid().as_raw() == uid;
    matches!(host, HostIdentity::Own { .. }) && stays
}

/// Becomes the user and group that the Plan names.
///
/// An unprivileged caller's user namespace denies setgroups(2), so its supplementary groups stay in the credentials (they
/// show as the overflow id and open nothing that the mounts do not show; user_namespaces(7), CVE-2014-8989).
pub(super) fn assume(context: &mut Context) -> Result<(), Fault> {
    let identity = context.plan.walls.identity;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    match setgroups(&[]) {
        Ok(()) => {}
        Err(Errno::EPERM) if may_be_refused(context) => {}
        Err(errno) => return Err(Fault::system("setgroups", b"", errno)),
    }
    // The kernel forgets it when the ids change (PR_SET_PDEATHSIG(2const)): an init that is stopped would outlive its caller.
    let death_signal = prctl::get_pdeathsig().map_err(Fault::on("prctl", b"PR_GET_PDEATHSIG"))?;
    setresgid(gid, gid, gid).map_err(Fault::on("setresgid", gid.to_string().as_bytes()))?;
    setresuid(uid, uid, uid).map_err(Fault::on("setresuid", uid.to_string().as_bytes()))?;
    if death_signal.is_some() {
        // A caller that ended in between is seen later, by the end of its channel.
        prctl::set_pdeathsig(death_signal).map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
    }
    Ok(())
}
