//! Keyrings of a session, keyctl(2).

use nix::errno::Errno;

use super::check;

const GET_KEYRING_ID: libc::c_long = 0;
const JOIN_SESSION_KEYRING: libc::c_long = 1;
/// `KEY_SPEC_SESSION_KEYRING`
const SESSION: libc::c_long = -3;

/// Puts a new and empty keyring without a name in place of this process's session keyring; gives its number.
pub(crate) fn join_session_keyring() -> Result<libc::c_long, Errno> {
    // SAFETY: a null pointer for the name, and numbers that this operation does not look at.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<u8>(), 0, 0, 0) })
}

/// The number of this process's session keyring. It is not made if there is none.
pub(crate) fn session_keyring() -> Result<libc::c_long, Errno> {
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION, 0, 0, 0) })
}
