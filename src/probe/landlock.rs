//! Landlock, which has no call that tells of it: the layers over the process are counted by what is left of
//! the 16 that the kernel allows (landlock(7)).

use crate::sys::landlock::abi;
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::Serialize;

use crate::host::failure::errno_name;

/// `LANDLOCK_MAX_NUM_LAYERS`
const LAYERS: i32 = 16;

/// Added to an errno in the counting child's exit code.
const FAILED: i32 = 100;

/// What can be told of Landlock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Landlock {
    /// The kernel's ABI, where it may be asked for.
    pub abi: Option<u32>,
    /// How many rulesets are in force over this process.
    pub layers: Option<i32>,
    /// Why one of them is not known.
    pub errno: Option<String>,
}

impl Landlock {
    pub(super) fn look() -> Self {
        let (abi, layers) = (abi(), layers());
        let errno = abi.err().or(layers.err()).map(errno_name);
        Self { abi: abi.ok(), layers: layers.ok(), errno }
    }
}

/// Adds layers in a child until no more fits.
fn layers() -> Result<i32, Errno> {
    // SAFETY: the child makes system calls and ends.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => match waitpid(child, None)? {
            WaitStatus::Exited(_, added @ 0..=LAYERS) => Ok(LAYERS - added),
            WaitStatus::Exited(_, code) => Err(Errno::from_raw(code - FAILED)),
            // Killed by a filter.
            _ => Err(Errno::EPERM),
        },
        ForkResult::Child => {
            let code = match add_all() {
                Ok(added) => added,
                Err(errno) => FAILED + errno as i32,
            };
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(code) }
        }
    }
}

fn add_all() -> Result<i32, Errno> {
    // LANDLOCK_ACCESS_FS_MAKE_BLOCK; nothing is made here.
    let handled: u64 = 1 << 11;
    // SAFETY: the first field of landlock_ruleset_attr, whose size is passed.
    let ruleset = Errno::result(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<u64>(), 0_u32)
    })?;
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    for added in 0..=LAYERS {
        // SAFETY: an open descriptor and no flags.
        match Errno::result(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0_u32) }) {
            Ok(_) => {}
            Err(Errno::E2BIG) => return Ok(added),
            Err(errno) => return Err(errno),
        }
    }
    // More than the kernel is known to allow: nothing can be told from it.
    Err(Errno::E2BIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted() {
        let Ok(before) = layers() else { return assert!(abi().is_err()) };
        // SAFETY: the child adds one layer, counts, and ends.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).expect("its end"), WaitStatus::Exited(child, before + 1));
            }
            ForkResult::Child => {
                let handled: u64 = 1 << 11;
                // SAFETY: as in `add_all`.
                let counted = unsafe {
                    let ruleset = libc::syscall(
                        libc::SYS_landlock_create_ruleset,
                        &raw const handled,
                        size_of::<u64>(),
                        0_u32,
                    );
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                    libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0_u32);
                    layers()
                };
                // SAFETY: ends the child.
                unsafe { libc::_exit(counted.unwrap_or(99)) }
            }
        }
    }
}
