//! Capabilities: none in any of the five sets but those that the Plan keeps, and no way back.

use super::start::Context;
use crate::protocol::Fault;
use crate::sys;

/// What init itself needs until all walls stand, by its stages; capabilities(7) has the numbers. It gets these and those that the Plan
/// keeps, no others.
const NEEDED: u64 = 1 << 0 // CHOWN,
    | 1 << 1 // DAC_OVERRIDE,
    | 1 << 2 // DAC_READ_SEARCH,
    | 1 << 3 // FOWNER,
    | 1 << 4 // FSETID: files and folders below a root folder of the mapped owner's
    | 1 << 6 // SETGID,
    | 1 << 7 // SETUID: the ids inside
    | 1 << 8 // SETPCAP: the bounding set and the securebits
    | 1 << 12 // NET_ADMIN: the loopback interface
    | 1 << 18 // SYS_CHROOT: away from an initramfs
    | 1 << 21 // SYS_ADMIN: mounts, the host name
    | 1 << 24; // SYS_RESOURCE: limits

/// What init is given: what it needs, and what it is to keep for the task.
pub(crate) fn needed(keep: u64, inner: bool) -> u64 {
    NEEDED | keep | if inner { super::inner::NEEDED } else { 0 }
}

/// Locked for ever: uid 0 means nothing, ids change no sets, nothing is kept over a change of ids, nothing becomes ambient.
pub(super) const SECUREBITS: i32 = libc::SECBIT_NOROOT
    | libc::SECBIT_NOROOT_LOCKED
    | libc::SECBIT_NO_SETUID_FIXUP
    | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
    | libc::SECBIT_KEEP_CAPS_LOCKED
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

/// Empties the sets. In *lite* (no user namespace) an unprivileged caller has nothing to empty and may not change the
/// bounding set or the securebits; the read-back accepts that only with all other sets empty and no_new_privs set.
pub(super) fn drop_all_but_kept(context: &mut Context) -> Result<(), Fault> {
    let keep = context.plan.capabilities;
    sys::capability::clear_ambient().map_err(Fault::on("prctl", b"PR_CAP_AMBIENT_CLEAR_ALL"))?;
    if may_change_securebits(context)? {
        sys::capability::limit_bounding(keep).map_err(Fault::on("prctl", b"PR_CAPBSET_DROP"))?;
        if keep == 0 {
            sys::capability::set_securebits(SECUREBITS).map_err(Fault::on("prctl", b"PR_SET_SECUREBITS"))?;
        }
    }
    // Root keeps its capabilities over an execution by itself; another id needs them as ambient (CVE-2022-24769: nothing
    // is inheritable that need not be).
    let ambient = if context.plan.identity.uid == 0 { 0 } else { keep };
    sys::capability::set(keep, ambient).map_err(Fault::on("capset", b""))?;
    sys::capability::raise_ambient(ambient).map_err(Fault::on("prctl", b"PR_CAP_AMBIENT_RAISE"))
}

fn may_change_securebits(context: &Context) -> Result<bool, Fault> {
    if context.plan.namespaces != 0 {
        return Ok(true);
    }
    let sets = sys::capability::get().map_err(Fault::on("capget", b""))?;
    const SETPCAP: u32 = 8;
    Ok(sets.effective & (1 << SETPCAP) != 0)
}

/// From here on no execution gives privileges.
pub(super) fn set_no_new_privileges(context: &mut Context) -> Result<(), Fault> {
    if !context.plan.no_new_privileges {
        return Ok(());
    }
    sys::process::set_no_new_privileges().map_err(Fault::on("prctl", b"PR_SET_NO_NEW_PRIVS"))
}

/// What is left to init once the task runs: nothing.
pub(super) fn drop_own() -> Result<(), Fault> {
    sys::capability::set(0, 0).map_err(Fault::on("capset", b"init"))?;
    let left = sys::capability::permitted().map_err(Fault::on("capget", b"init"))?;
    if left != 0 {
        return Err(Fault::mismatch("init's permitted capability set", "0x0", format!("{left:#x}")));
    }
    sys::process::set_no_new_privileges().map_err(Fault::on("prctl", b"PR_SET_NO_NEW_PRIVS"))?;
    match sys::process::no_new_privileges().map_err(Fault::on("prctl", b"PR_GET_NO_NEW_PRIVS"))? {
        true => Ok(()),
        false => Err(Fault::mismatch("init's no_new_privs", "on", "off")),
    }
}
