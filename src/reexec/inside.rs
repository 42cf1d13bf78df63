//! What the sandbox's init uses of this module.

use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;

use super::clone::clone_into;
use super::registry::Function;

/// A child of [`clone_vfork`].
#[derive(Debug)]
pub(crate) struct Cloned {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// Starts `entry(argument)` in a child that shares the caller's memory; returns once it has executed a
/// program or ended, which [`sys::process::has_executed`](crate::sys::process::has_executed) tells apart.
///
/// # Safety
/// The caller has one thread. `entry` does not return or unwind; it may use the caller's memory, the
/// allocator included, as the caller is held until the end of it. `argument` is what `entry` expects.
pub(crate) unsafe fn clone_vfork(
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> io::Result<Cloned> {
    // The child resets its signal dispositions itself, so that the old clone needs nothing more.
    // SAFETY: the caller's promise; with one thread no lock is held by another.
    let cloned = unsafe { clone_into(0, 0, None, entry, argument, || ()) }?;
    Ok(Cloned { pid: cloned.pid, pidfd: cloned.pidfd })
}

/// A role's function, as the registry has it.
pub(crate) type RoleFn = Function;

/// Runs a role and gives its exit code; an error that it returns goes to its standard error, as from `main`.
pub(crate) fn run_role(name: &str, function: &RoleFn) -> i32 {
    match function() {
        Ok(()) => 0,
        Err(error) => {
            // Standard error may be closed; the exit code says it too.
            drop(io::Write::write_fmt(&mut io::stderr(), format_args!("{name}: {error}\n")));
            1
        }
    }
}

/// Registers one of belljar's own roles, whose name has a `:`.
macro_rules! reserved_role {
    ($name:expr, $function:path) => {
        const _: () = {
            fn start_role() -> $crate::reexec::RoleOutcome {
                $crate::reexec::RoleResult::into_outcome($function())
            }
            #[linkme::distributed_slice($crate::reexec::ROLES)]
            static TABLE_ENTRY: $crate::reexec::Role = $crate::reexec::Role::reserved($name, start_role);
        };
    };
}
pub(crate) use reserved_role;
