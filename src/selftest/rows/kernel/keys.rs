//! Kernel keys, which no namespace holds apart (K18).

use std::ffi::CString;

use nix::errno::Errno;

use super::probe;
use crate::selftest::answer::call;
use crate::selftest::row::{ALL, nothing};
use crate::selftest::{Answer, Claim, Removal, Row, Scene, SelfTestError, Setup};

/// `KEY_SPEC_SESSION_KEYRING`, inherited by every child.
const SESSION: i32 = -3;
const KEYCTL_UNLINK: i32 = 9;
const KEYCTL_SEARCH: i32 = 10;

pub(super) const ROWS: &[Row] = &[
    probe(
        "K18a",
        "a key of the caller's session",
        "session-keyring(7)",
        search,
        add,
        &[Claim {
            profiles: ALL,
            walls: &["seccomp", "a session keyring of the task's own"],
            removal: Removal::Plan(&["seccomp.mode=off"], |plan| plan.task.session_keyring = false),
        }],
    ),
    probe(
        "K18b",
        "a key added",
        "add_key(2), CVE-2016-0728",
        |_| {
            // Neither type nor name: said once the call is reached.
            let result = call!(libc::SYS_add_key, super::NULL, super::NULL, super::NULL, 0_usize, SESSION);
            Answer::of_reached("add_key(NULL)", result.map(drop), &[Errno::EFAULT, Errno::EINVAL])
        },
        nothing,
        &[super::FILTER],
    ),
];

/// A key in the session's keyring, taken away with the run.
struct Key(i64);

impl Drop for Key {
    fn drop(&mut self) {
        if let Err(errno) = call!(libc::SYS_keyctl, KEYCTL_UNLINK, self.0, SESSION, 0, 0) {
            log::warn!("cannot take the self-test's key away: {errno}");
        }
    }
}

fn add(setup: &mut Setup) -> Result<(), SelfTestError> {
    let name = format!("belljar-selftest-{}", std::process::id());
    let description =
        CString::new(name.clone()).map_err(|error| SelfTestError::setup("name a key")(error.into()))?;
    let value = b"marker";
    let key = call!(
        libc::SYS_add_key,
        c"user".as_ptr(),
        description.as_ptr(),
        value.as_ptr(),
        value.len(),
        SESSION
    )
    .map_err(SelfTestError::errno("add a key to the session"))?;
    setup.keep(Key(key));
    setup.value("key", name);
    Ok(())
}

fn search(scene: &Scene) -> Answer {
    let Ok(description) = CString::new(scene.text("key")) else { return Answer::na("no name") };
    let result = call!(libc::SYS_keyctl, KEYCTL_SEARCH, SESSION, c"user".as_ptr(), description.as_ptr(), 0);
    Answer::of("keyctl(KEYCTL_SEARCH, session)", result.map(drop))
}
