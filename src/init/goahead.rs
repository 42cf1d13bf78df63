//! The caller's go-ahead, and what it sends with it.

use std::os::fd::OwnedFd;

use super::start::Context;
use crate::plan::{Plan, Via};
use crate::protocol::{Channel, Fault, Go, Trees};
use crate::sys;

/// Waits for it. Before, this process has no ids: it can make nothing that somebody owns.
pub(super) fn wait(context: &mut Context) -> Result<(), Fault> {
    let (go, sent): (Go, Vec<OwnedFd>) = match context.channel.receive_with() {
        Ok(Some(received)) => received,
        Ok(None) => return Err(Fault::Protocol { what: "the caller is gone".to_owned() }),
        Err(_) => return Err(Fault::Protocol { what: "go-ahead".to_owned() }),
    };
    // From here on nobody of the same id can look into this process (CVE-2016-9962). Not before: /proc/PID of a process that is
    // not dumpable belongs to root, and an unprivileged caller could not write the id maps.
    sys::process::set_not_dumpable().map_err(Fault::on("prctl", b"PR_SET_DUMPABLE"))?;
    let doors = usize::try_from(go.doors).unwrap_or(usize::MAX);
    if doors.checked_add(go.watches.len()) != Some(sent.len()) {
        return Err(Fault::Protocol { what: "the control group's descriptors".to_owned() });
    }
    let mut sent = sent.into_iter();
    context.doors = sent.by_ref().take(doors).collect();
    context.watches = go.watches.into_iter().zip(sent).collect();
    context.trees = trees(&context.plan, &context.channel)?.into_iter();
    Ok(())
}

/// The trees that the caller hands over.
fn trees(plan: &Plan, channel: &Channel) -> Result<Vec<OwnedFd>, Fault> {
    let count = plan.sources().filter(|source| matches!(source.via, Via::Tree { .. })).count();
    let mut trees = Vec::new();
    while trees.len() < count {
        match channel.receive_with() {
            Ok(Some((Trees { count }, more)))
                if !more.is_empty() && usize::try_from(count) == Ok(more.len()) =>
            {
                trees.extend(more);
            }
            Ok(None) => return Err(Fault::Protocol { what: "the caller is gone".to_owned() }),
            Ok(Some(_)) | Err(_) => return Err(Fault::Protocol { what: "trees".to_owned() }),
        }
    }
    if trees.len() == count { Ok(trees) } else { Err(Fault::Protocol { what: "trees".to_owned() }) }
}
