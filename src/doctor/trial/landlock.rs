//! Landlock: a ruleset without rules, and what it denies.

use std::os::fd::AsFd;

use nix::sys::prctl::set_no_new_privs;

use super::{At, Miss, Step, Trial, sys};

/// `LANDLOCK_ACCESS_FS_READ_DIR`
const READ_DIR: u64 = 1 << 3;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL`
const SCOPES: u64 = 0b11;
/// The ABI that brought scopes, Linux 6.12.
const SCOPES_SINCE: u32 = 6;

fn restrict(files: u64, scopes: u64) -> Result<(), Miss> {
    set_no_new_privs().at(Step::Call, "prctl", "PR_SET_NO_NEW_PRIVS")?;
    let ruleset = sys::landlock::create_ruleset(files, 0, scopes);
    let ruleset = ruleset.at(Step::Landlock, "landlock_create_ruleset", "")?;
    sys::landlock::restrict_self(ruleset.as_fd()).at(Step::Landlock, "landlock_restrict_self", "")
}

pub(super) fn files() -> Trial {
    let abi = sys::landlock::abi().at(Step::Landlock, "landlock_create_ruleset", "")?;
    restrict(READ_DIR, 0)?;
    match std::fs::read_dir("/").map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EACCES)) => Ok(format!("ABI {abi}")),
        Err(_) => {
            Err(Miss::Without("the root directory fails otherwise than Landlock would make it".to_owned()))
        }
        Ok(_) => Err(Miss::Without("a ruleset without rules denies nothing".to_owned())),
    }
}

pub(super) fn scopes() -> Trial {
    let abi = sys::landlock::abi().at(Step::Landlock, "landlock_create_ruleset", "")?;
    if abi < SCOPES_SINCE {
        return Err(Miss::Without(format!("ABI {abi}; scopes need ABI {SCOPES_SINCE} (Linux 6.12)")));
    }
    let parent = nix::unistd::getppid();
    restrict(0, SCOPES)?;
    match nix::sys::signal::kill(parent, None) {
        Err(nix::errno::Errno::EPERM) => Ok("signal, abstract-unix-socket".to_owned()),
        Err(errno) => Err(errno).at(Step::Landlock, "kill", "the parent"),
        Ok(()) => Err(Miss::Without("a signal still reaches the parent".to_owned())),
    }
}
