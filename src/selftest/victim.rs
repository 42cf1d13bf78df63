//! The role `belljar:selftest-victim`: a process of the caller's, outside, that probes try to reach. It waits
//! and can be traced.

use std::io::{Read as _, Write as _};

use super::{SelfTestError, Setup};
use crate::reexec::{Child, Stdio};

const ROLE: &str = "belljar:selftest-victim";

crate::reexec::reserved_role!(ROLE, wait);

/// Says that it is ready, and waits for its standard input's end.
fn wait() -> Result<(), SelfTestError> {
    // Yama (`kernel.yama.ptrace_scope=1`) would otherwise only let its ancestors trace it.
    // SAFETY: takes numbers; a kernel without Yama says EINVAL, and needs no permission.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
    let mut out = std::io::stdout();
    out.write_all(b"r").and_then(|()| out.flush()).map_err(|source| SelfTestError::Write { source })?;
    std::io::stdin().read_to_end(&mut Vec::new()).map_err(SelfTestError::setup("wait as the victim"))?;
    Ok(())
}

/// Ends the victim with the run.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            log::warn!("cannot end the self-test's victim: {error}");
        }
    }
}

/// Starts a victim and tells the probe its `pid`, as the host counts.
pub(super) fn victim(setup: &mut Setup) -> Result<(), SelfTestError> {
    let mut child = super::own_role(ROLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| SelfTestError::Control { source })?;
    let stdout = child.stdout.take();
    let pid = child.id();
    setup.keep(Guard(child));
    let mut ready = [0; 1];
    match stdout {
        Some(mut stdout) => stdout.read_exact(&mut ready),
        None => Err(std::io::ErrorKind::NotConnected.into()),
    }
    .map_err(SelfTestError::setup("start the victim"))?;
    setup.value("pid", pid);
    Ok(())
}
