//! The control group: the task's process joins it, init looks at its accounts from outside.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::uio::{pread, pwrite};

use super::context::Context;
use crate::cgroup;
use crate::protocol::{Fault, Watch, Watched};

/// What a file of a group may have.
const LIMIT: usize = 4096;

/// Writes this process, which has one thread, into each tree's group, with the rights of the caller, who has
/// opened the files; and reads back that it is there. A control group namespace then starts there, so that
/// its name is not seen inside.
pub(super) fn join(context: &mut Context) -> Result<(), Fault> {
    if context.cgroup_procs_fds.is_empty() {
        return Ok(());
    }
    let own = std::process::id().to_string();
    for procs in &context.cgroup_procs_fds {
        pwrite(procs, b"0", 0).map_err(Fault::on("write", b"the control group"))?;
        let mut buffer = [0; LIMIT];
        let text = read(procs, &mut buffer).map_err(Fault::on("read", b"the control group"))?;
        if !text.lines().any(|line| line == own) {
            return Err(Fault::mismatch("the control group's process", own, text.trim()));
        }
    }
    if let Some((limit, counter)) = &context.pids {
        let mut buffer = [0; LIMIT];
        let text = read(counter, &mut buffer).map_err(Fault::on("read", b"pids.current"))?;
        // This process is one of them. The kernel does not ask where one joins.
        match text.trim().parse::<u64>() {
            Ok(count) if count <= *limit => {}
            Ok(_) => return Err(Fault::TooManyProcesses { limit: *limit }),
            Err(_) => return Err(Fault::mismatch("pids.current", "a number", text.trim())),
        }
    }
    if context.plan.walls.namespaces.has_new(libc::CLONE_NEWCGROUP) {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
            .map_err(Fault::on("unshare", b"CLONE_NEWCGROUP"))?;
    }
    Ok(())
}

/// The limit that was passed, if one was. Takes no memory.
pub(super) fn passed(watches: &[(Watch, OwnedFd)]) -> Result<Option<Watched>, Fault> {
    for (watch, file) in watches {
        let mut buffer = [0; LIMIT];
        let text = read(file, &mut buffer).map_err(Fault::on("read", watch.key.as_bytes()))?;
        match cgroup::number(text, &watch.key) {
            Some(number) if number > watch.above => return Ok(Some(watch.what)),
            Some(_) => {}
            None => return Err(Fault::mismatch("an account of the control group", "a number", text.trim())),
        }
    }
    Ok(None)
}

fn read<'a>(file: &impl AsFd, buffer: &'a mut [u8; LIMIT]) -> Result<&'a str, Errno> {
    let count = pread(file, buffer, 0)?;
    // It is the kernel's, and ASCII; what is not has no number in it.
    Ok(std::str::from_utf8(buffer.get(..count).unwrap_or_default()).unwrap_or_default())
}
