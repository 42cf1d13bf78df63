//! Capabilities: none in any of the five sets but those that the Plan keeps, and no way back.

use nix::sys::prctl;

use super::context::Context;
use crate::capability::{Capability, CapabilitySet};
use crate::protocol::Fault;
use crate::sys;

/// What init itself needs until all walls stand, by its stages; it gets these and those that the Plan
/// keeps, no others.
const NEEDED: CapabilitySet = CapabilitySet::of(&[
    // Files and directories below a root directory of the mapped owner's.
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    // The ids inside.
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    // The bounding set and the securebits.
    Capability::CAP_SETPCAP,
    // The loopback interface.
    Capability::CAP_NET_ADMIN,
    // Away from an initramfs.
    Capability::CAP_SYS_CHROOT,
    // Mounts, the host name.
    Capability::CAP_SYS_ADMIN,
    // Limits.
    Capability::CAP_SYS_RESOURCE,
]);

/// What init is given: what it needs, and what it is to keep for the task.
pub(crate) fn needed(keep: CapabilitySet, inner: bool) -> CapabilitySet {
    NEEDED | keep | if inner { super::inner::NEEDED } else { CapabilitySet::EMPTY }
}

/// Locked for ever: uid 0 means nothing, ids change no sets, nothing is kept over a change of ids, nothing
/// becomes ambient.
pub(super) const SECUREBITS: i32 = libc::SECBIT_NOROOT
    | libc::SECBIT_NOROOT_LOCKED
    | libc::SECBIT_NO_SETUID_FIXUP
    | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
    | libc::SECBIT_KEEP_CAPS_LOCKED
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

/// Empties the sets. In *lite* (no user namespace) an unprivileged caller has nothing to empty and may not
/// change the bounding set or the securebits; the read-back accepts that only with all other sets empty and
/// no_new_privs set.
pub(super) fn drop_all_but_kept(context: &mut Context) -> Result<(), Fault> {
    let keep = context.plan.task.capabilities;
    sys::capability::clear_ambient().map_err(Fault::on("prctl", b"PR_CAP_AMBIENT_CLEAR_ALL"))?;
    if may_change_securebits(context)? {
        sys::capability::limit_bounding(keep).map_err(Fault::on("prctl", b"PR_CAPBSET_DROP"))?;
        if keep.is_empty() {
            sys::capability::set_securebits(SECUREBITS).map_err(Fault::on("prctl", b"PR_SET_SECUREBITS"))?;
        }
    }
    // Root keeps its capabilities over an execution by itself; another id needs them as ambient
    // (CVE-2022-24769: nothing is inheritable that need not be).
    let ambient = if context.plan.walls.identity.uid == 0 { CapabilitySet::EMPTY } else { keep };
    sys::capability::set(keep, ambient).map_err(Fault::on("capset", b""))?;
    sys::capability::raise_ambient(ambient).map_err(Fault::on("prctl", b"PR_CAP_AMBIENT_RAISE"))
}

fn may_change_securebits(context: &Context) -> Result<bool, Fault> {
    if !context.plan.walls.namespaces.is_lite() {
        return Ok(true);
    }
    let sets = sys::capability::get().map_err(Fault::on("capget", b""))?;
    Ok(sets.effective.contains(Capability::CAP_SETPCAP))
}

/// From here on no execution gives privileges.
pub(super) fn set_no_new_privileges(context: &mut Context) -> Result<(), Fault> {
    if !context.plan.task.no_new_privileges {
        return Ok(());
    }
    prctl::set_no_new_privs().map_err(Fault::on("prctl", b"PR_SET_NO_NEW_PRIVS"))
}

/// For the tasks beyond the first: their bounding set and securebits, and a control group namespace of their
/// own.
const FOR_MORE: CapabilitySet = CapabilitySet::of(&[Capability::CAP_SETPCAP, Capability::CAP_SYS_ADMIN]);

/// What is left to init once the task runs: nothing, but where more tasks may follow what they keep, and what
/// it takes to start them.
pub(super) fn drop_own(context: &Context) -> Result<(), Fault> {
    let keep = match &context.orders {
        None => CapabilitySet::EMPTY,
        Some(_) => {
            let has = sys::capability::permitted().map_err(Fault::on("capget", b"init"))?;
            has & (context.plan.task.capabilities | FOR_MORE)
        }
    };
    sys::capability::set(keep, CapabilitySet::EMPTY).map_err(Fault::on("capset", b"init"))?;
    let left = sys::capability::permitted().map_err(Fault::on("capget", b"init"))?;
    if left != keep {
        let (keep, left) = (format!("{keep:#x}"), format!("{left:#x}"));
        return Err(Fault::mismatch("init's permitted capability set", keep, left));
    }
    if context.orders.is_some() && !context.plan.task.no_new_privileges {
        // It would be the tasks', too.
        return Ok(());
    }
    prctl::set_no_new_privs().map_err(Fault::on("prctl", b"PR_SET_NO_NEW_PRIVS"))?;
    match prctl::get_no_new_privs().map_err(Fault::on("prctl", b"PR_GET_NO_NEW_PRIVS"))? {
        true => Ok(()),
        false => Err(Fault::mismatch("init's no_new_privs", "on", "off")),
    }
}
