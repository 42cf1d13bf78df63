//! What the kernel says this process is, compared with the Plan: the last word before the hand-over.

use nix::sys::prctl;
use nix::unistd::{getgroups, getresgid, getresuid};

use super::capabilities::SECUREBITS;
use super::context::Context;
use super::limits;
use crate::capability::CapabilitySet;
use crate::plan::HostIdentity;
use crate::protocol::Fault;
use crate::sys;

/// Reads everything back; any difference is a fault.
pub(super) fn verify(context: &mut Context) -> Result<(), Fault> {
    ids(context)?;
    capabilities(context)?;
    let set = prctl::get_no_new_privs().map_err(Fault::on("prctl", b"PR_GET_NO_NEW_PRIVS"))?;
    expect("no_new_privs", context.plan.task.no_new_privileges, set)?;
    context.readback.no_new_privileges = set;
    let dumpable = prctl::get_dumpable().map_err(Fault::on("prctl", b"PR_GET_DUMPABLE"))?;
    expect("dumpable", false, dumpable)?;
    expect("the Landlock domain", context.plan.task.landlock.is_some(), context.readback.landlock)?;
    expect("the new root", context.plan.walls.root.is_some(), context.readback.new_root)?;
    super::pivot::verify(context)?;
    limits::verify(&context.plan.task.attributes)
}

fn expect(what: &str, expected: bool, found: bool) -> Result<(), Fault> {
    if expected == found {
        return Ok(());
    }
    let word = |on| if on { "on" } else { "off" };
    Err(Fault::mismatch(what, word(expected), word(found)))
}

fn ids(context: &mut Context) -> Result<(), Fault> {
    let identity = &context.plan.walls.identity;
    let uids = getresuid().map_err(Fault::on("getresuid", b""))?;
    let gids = getresgid().map_err(Fault::on("getresgid", b""))?;
    for (what, expected, found) in [
        ("real uid", identity.uid, uids.real.as_raw()),
        ("effective uid", identity.uid, uids.effective.as_raw()),
        ("saved uid", identity.uid, uids.saved.as_raw()),
        ("real gid", identity.gid, gids.real.as_raw()),
        ("effective gid", identity.gid, gids.effective.as_raw()),
        ("saved gid", identity.gid, gids.saved.as_raw()),
    ] {
        if expected != found {
            return Err(Fault::mismatch(what, expected, found));
        }
    }
    if !matches!(identity.host, HostIdentity::Own { .. }) {
        let groups = getgroups().map_err(Fault::on("getgroups", b""))?;
        if !groups.is_empty() {
            return Err(Fault::mismatch("the number of supplementary groups", 0, groups.len()));
        }
    }
    context.readback.uid = identity.uid;
    context.readback.gid = identity.gid;
    Ok(())
}

fn capabilities(context: &mut Context) -> Result<(), Fault> {
    let keep = context.plan.task.capabilities;
    let ambient = if context.plan.walls.identity.uid == 0 { CapabilitySet::EMPTY } else { keep };
    let sets = sys::capability::get().map_err(Fault::on("capget", b""))?;
    let bits = sys::capability::securebits().map_err(Fault::on("prctl", b"PR_GET_SECUREBITS"))?;
    // Without a user namespace an unprivileged process cannot change these two; they mean nothing to one
    // whose other sets are empty and that can gain nothing by an execution.
    let locked = !context.plan.walls.namespaces.is_lite() || (sets.bounding == keep && bits == SECUREBITS);
    for (what, expected, found) in [
        ("the effective capability set", keep, sets.effective),
        ("the permitted capability set", keep, sets.permitted),
        ("the inheritable capability set", ambient, sets.inheritable),
        ("the ambient capability set", ambient, sets.ambient),
        ("the bounding capability set", if locked { keep } else { sets.bounding }, sets.bounding),
    ] {
        if expected != found {
            return Err(Fault::mismatch(what, format!("{expected:#x}"), format!("{found:#x}")));
        }
    }
    if locked && keep.is_empty() && bits != SECUREBITS {
        return Err(Fault::mismatch("securebits", format!("{SECUREBITS:#x}"), format!("{bits:#x}")));
    }
    if !locked && !context.plan.task.no_new_privileges {
        return Err(Fault::mismatch("no_new_privs", "on", "off"));
    }
    context.readback.capabilities =
        [sets.effective, sets.permitted, sets.inheritable, sets.bounding, sets.ambient];
    context.readback.securebits = bits;
    Ok(())
}
