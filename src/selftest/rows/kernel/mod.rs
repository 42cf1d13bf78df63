//! User namespaces, capabilities and system calls (K).

mod calls;
mod foreign;
mod ipc;
mod keys;
mod namespaces;
mod others;
mod privileges;
mod sockets;

use std::path::Path;

use nix::errno::Errno;

use crate::profile::Profile;
use crate::selftest::row::{ALL, NO_FILTER};
use crate::selftest::{
    Answer, Check, Claim, Control, Probe, Removal, Row, Scene, SelfTestError, Setup, Verdict,
};

/// The family's tables.
pub(super) const TABLES: [&[Row]; 8] = [
    namespaces::ROWS,
    foreign::ROWS,
    privileges::ROWS,
    others::ROWS,
    keys::ROWS,
    calls::ROWS,
    sockets::ROWS,
    ipc::ROWS,
];

/// Landlock, whole: scopes are kept where the kernel has them, even where a profile does not list them.
pub(super) const NO_LANDLOCK: Removal = Removal::Edit(|profile, _| {
    no_landlock(profile);
    Ok(())
});

/// Neither Landlock nor the filter.
pub(super) const NO_FILTER_NO_LANDLOCK: Removal = Removal::Edit(|profile, _| {
    profile.seccomp = None;
    no_landlock(profile);
    Ok(())
});

/// No Landlock; a profile without namespaces has no other way to hold the paths that it lists, and may then
/// list none.
fn no_landlock(profile: &mut Profile) {
    profile.landlock.require = false;
    profile.landlock.scopes.clear();
    if profile.namespaces.is_empty() {
        profile.mounts.clear();
    }
}

/// Held by the filter, in every profile.
const FILTER: Claim = Claim { profiles: ALL, walls: &["seccomp"], removal: NO_FILTER };

/// A row with a probe whose control runs in a plain process outside.
pub(super) const fn probe(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    run: fn(&Scene) -> Answer,
    setup: fn(&mut Setup) -> Result<(), SelfTestError>,
    claims: &'static [Claim],
) -> Row {
    Row { id, title, source, check: Check::Probe(Probe { run, setup, control: Control::Outside, claims }) }
}

/// A row with a probe whose control runs in fresh namespaces.
pub(super) const fn fresh(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    run: fn(&Scene) -> Answer,
    claims: &'static [Claim],
) -> Row {
    let setup = crate::selftest::row::nothing;
    Row { id, title, source, check: Check::Probe(Probe { run, setup, control: Control::Fresh, claims }) }
}

/// Tells the probe, by [`also`], that this host's setting refuses the call to unprivileged processes as well.
fn told_of(setup: &mut Setup, sysctl: &'static str, refusing: std::ops::RangeFrom<i64>) {
    let path = Path::new("/proc/sys").join(sysctl.replace('.', "/"));
    let value = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    if let Some(value) = value.filter(|value| refusing.contains(value)) {
        setup.value("also", format!("{sysctl}={value} holds it as well"));
    }
}

/// Without the filter, a call that the host itself refuses to unprivileged processes says nothing about the
/// filter.
pub(super) fn also(scene: &Scene, answer: Answer) -> Answer {
    let why = scene.text("also");
    if scene.stage() == "mutation" && answer.verdict == Verdict::Blocked && !why.is_empty() {
        return Answer::na(format!("{}: {why}", answer.tried));
    }
    answer
}

/// A pointer that is none.
const NULL: *const u8 = std::ptr::null();

/// The answer to a call that may change the process: made in a child.
fn in_child(tried: &str, reached: &[Errno], body: impl FnOnce() -> Result<(), Errno>) -> Answer {
    Answer::of_reached(tried, crate::selftest::answer::in_child(body), reached)
}
