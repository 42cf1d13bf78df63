//! The ids inside, and no supplementary groups.

use std::fs::File;
use std::io::{ErrorKind, Read};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::context::Context;
use crate::plan::{HostIdentity, Identity, ranges};
use crate::profile::IdRange;
use crate::protocol::Fault;
use crate::sys;

/// More than the kernel shows of 340 ranges, each in a line of 33 bytes.
const MAX_MAP: usize = 16 << 10;

/// In a user namespace of its own an unprivileged caller's process is refused; without one a process
/// that keeps its ids keeps its groups, and one that gives up root has none.
fn may_be_refused(context: &Context) -> bool {
    let Identity { uid, host, .. } = &context.plan.walls.identity;
    let stays = !context.plan.walls.namespaces.is_lite() || nix::unistd::geteuid().as_raw() == *uid;
    matches!(host, HostIdentity::Own { .. }) && stays
}

/// Becomes the user and group that the Plan names.
///
/// Where an unprivileged caller maps its own ids alone, the user namespace denies setgroups(2), so its
/// supplementary groups stay in the credentials (they show as the overflow id and open nothing that the
/// mounts do not show; user_namespaces(7), CVE-2014-8989).
pub(super) fn assume(context: &mut Context) -> Result<(), Fault> {
    let identity = &context.plan.walls.identity;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let has_ranges = match &identity.host {
        HostIdentity::Ranges(all) => {
            check_map("/proc/self/uid_map", &all.users)?;
            check_map("/proc/self/gid_map", &all.groups)?;
            true
        }
        // The caller has chosen it by now.
        HostIdentity::UniqueRange => {
            return Err(Fault::mismatch("the ranges of ids", "chosen", "not chosen"));
        }
        HostIdentity::Own { .. } | HostIdentity::Unique => false,
    };
    match setgroups(&[]) {
        Ok(()) => {}
        Err(Errno::EPERM) if may_be_refused(context) => {}
        Err(errno) => return Err(Fault::system("setgroups", b"", errno)),
    }
    // The kernel forgets it when the ids change (PR_SET_PDEATHSIG(2const)): an init that is stopped would
    // outlive its caller.
    let death_signal = prctl::get_pdeathsig().map_err(Fault::on("prctl", b"PR_GET_PDEATHSIG"))?;
    setresgid(gid, gid, gid).map_err(Fault::on("setresgid", gid.to_string().as_bytes()))?;
    if has_ranges {
        keep_capabilities(|| become_user(uid))?;
    } else {
        become_user(uid)?;
    }
    if death_signal.is_some() {
        // A caller that ended in between is seen later, by the end of its channel.
        prctl::set_pdeathsig(death_signal).map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
    }
    Ok(())
}

fn become_user(uid: Uid) -> Result<(), Fault> {
    setresuid(uid, uid, uid).map_err(Fault::on("setresuid", uid.to_string().as_bytes()))
}

/// With ranges init can be 0 before, and would lose all capabilities when it becomes another
/// (capabilities(7)).
fn keep_capabilities(change: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    let before = sys::capability::securebits().map_err(Fault::on("prctl", b"PR_GET_SECUREBITS"))?;
    let set = |bits| sys::capability::set_securebits(bits).map_err(Fault::on("prctl", b"PR_SET_SECUREBITS"));
    set(before | libc::SECBIT_NO_SETUID_FIXUP)?;
    change()?;
    set(before)
}

/// What the kernel maps is what the Plan has. Within the namespace itself the ids outside are shown as its
/// parent has them.
fn check_map(path: &'static str, expected: &[IdRange]) -> Result<(), Fault> {
    let file = File::open(path).map_err(on_io("open", path.as_bytes()))?;
    let text = map_text(&file, path.as_bytes())?;
    if ranges::read(&text) == Some(ranges::sorted(expected.to_vec())) {
        return Ok(());
    }
    let shown = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Fault::mismatch(path, shown(&ranges::text(expected)), shown(&text)))
}

/// The text of a `uid_map` or `gid_map`.
pub(super) fn map_text(file: &File, name: &[u8]) -> Result<String, Fault> {
    let mut text = String::new();
    let read = file.take(MAX_MAP as u64).read_to_string(&mut text);
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(Fault::mismatch(&String::from_utf8_lossy(name), "a map", "no text"))
        }
        Err(error) => Err(on_io("read", name)(error)),
    }
}

pub(super) fn on_io<'a>(call: &'static str, object: &'a [u8]) -> impl FnOnce(std::io::Error) -> Fault + 'a {
    move |error| Fault::system(call, object, Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}
