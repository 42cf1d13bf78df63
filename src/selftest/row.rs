//! A row of the table: one attack, how it is tried, and what holds it.

use std::path::PathBuf;

use super::{Answer, Scene, SelfTestError, Setup};
use crate::plan::{Ending, Inner, Plan};
use crate::profile::{Mount, MountKind, Profile};

/// One attack.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Row {
    /// `T1`, `M13`: a letter for the family (T terminal, X descriptors and execution, M mounts and files, K
    /// kernel, R life cycle, N network, L leaks, C command line and profiles) and a number.
    pub id: &'static str,
    /// The attack in a few words.
    pub title: &'static str,
    /// Where it is known from: a CVE, a manual page, a project's history.
    pub source: &'static str,
    /// How it is checked.
    pub check: Check,
}

impl Row {
    /// A row that is checked by tests.
    pub(super) const fn tests(
        id: &'static str,
        title: &'static str,
        source: &'static str,
        tests: &'static [&'static str],
    ) -> Self {
        Self { id, title, source, check: Check::Tests(tests) }
    }

    /// A row that is not checked.
    pub(super) const fn open(
        id: &'static str,
        title: &'static str,
        source: &'static str,
        why: &'static str,
    ) -> Self {
        Self { id, title, source, check: Check::Open(why) }
    }
}

/// How a row is checked.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Check {
    /// By a probe that runs inside.
    Probe(Probe),
    /// It is an attack on the caller's side: proved by tests, which are named (`tests/cli/main.rs: name`).
    Tests(&'static [&'static str]),
    /// It is not checked, and why.
    Open(&'static str),
}

/// A probe, and what is expected of it.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Probe {
    /// Tries the attack, in a process of its own with one thread.
    pub run: fn(&Scene) -> Answer,
    /// What the caller's side gets ready before each run.
    pub setup: fn(&mut Setup) -> Result<(), SelfTestError>,
    /// How the control is run.
    pub control: Control,
    /// Which profiles claim to hold it, and by what. A profile is in one claim at most.
    pub claims: &'static [Claim],
}

/// For [`Probe::setup`]: nothing to get ready.
pub(super) fn nothing(_: &mut Setup) -> Result<(), SelfTestError> {
    Ok(())
}

/// How the control is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Control {
    /// In a plain process of the caller's.
    Outside,
    /// In fresh namespaces (user, mount, pid, network, ipc, uts, cgroup) of its own, as their root: it would
    /// touch the host.
    Fresh,
    /// Not at all, and why. The mutation is then what proves that the probe can succeed.
    None(&'static str),
}

/// Profiles that hold a row in the same way.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Claim {
    /// Their names.
    pub profiles: &'static [&'static str],
    /// The walls that hold it, by name. More than one: each alone would hold it, and the mutation removes
    /// all.
    pub walls: &'static [&'static str],
    /// How these walls, and only these, are removed.
    pub removal: Removal,
}

/// How walls are removed.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Removal {
    /// By overrides, as `--set` takes them.
    Set(&'static [&'static str]),
    /// By a change of the profile.
    Edit(fn(&mut Profile, &Setup) -> Result<(), SelfTestError>),
    /// By overrides, and a change of the plan that no profile can make.
    Plan(&'static [&'static str], fn(&mut Plan)),
    /// By the row's own setup, which looks at [`Setup::run`](super::Setup).
    Caller,
    /// As an ordinary user in this way. As root not, and why: another wall, which no profile can remove,
    /// holds it there too.
    UserOnly(&'static Removal, &'static str),
    /// No profile can remove it, and why: it always holds.
    Fixed(&'static str),
}

/// Shows a host path inside, under its own name and with its owners as they are.
pub(super) fn show(profile: &mut Profile, path: &str, readonly: bool) {
    let kind = MountKind::Bind { source: path.into(), idmap: false };
    let destination = PathBuf::from(path);
    profile.mounts.retain(|mount| mount.destination != destination);
    let (noexec, optional, system) = (false, false, false);
    let attributes = crate::profile::Attributes::default();
    profile.mounts.push(Mount { destination, kind, readonly, noexec, optional, system, attributes });
}

/// The capability that most of what a mount namespace offers asks for, without the walls before it.
pub(super) const ADMIN: Removal = Removal::Set(KEPT_ADMIN);

/// The same, without the inner user namespace in which it is held.
pub(super) const ADMIN_OF_INIT: Removal = Removal::Plan(KEPT_ADMIN, without_inner);

const KEPT_ADMIN: &[&str] = &[
    "seccomp.mode=off",
    "landlock.mode=off",
    "landlock.scopes=[]",
    "process.capabilities=[\"CAP_SYS_ADMIN\"]",
];

/// A kept capability counts for what init has made.
pub(super) fn without_inner(plan: &mut Plan) {
    plan.walls.inner = Inner::LeftOut;
}

/// In *lite*: init enters no domain of its own, and the task's keeps no signals in.
pub(super) fn without_scopes(plan: &mut Plan) {
    plan.walls.ending = Ending::Children;
    if let Some(landlock) = &mut plan.task.landlock {
        landlock.scoped = 0;
    }
}

/// In *lite*: none of the domains, and no filter, which a profile cannot do without both of.
pub(super) fn without_layers(plan: &mut Plan) {
    plan.walls.ending = Ending::Children;
    (plan.task.landlock, plan.task.seccomp) = (None, None);
}

/// Profiles that build a root of their own from the host's system.
pub(super) const WALLED: &[&str] = &["strict", "standard", "build", "network", "nested"];
/// All that have namespaces.
pub(super) const NAMESPACED: &[&str] = &["strict", "standard", "build", "network", "container", "nested"];
/// Those of them that have a /proc, by which some attacks go.
pub(super) const WITH_PROC: &[&str] = &["strict", "standard", "build", "network", "container"];
/// All.
pub(super) const ALL: &[&str] = &["strict", "standard", "build", "network", "container", "nested", "lite"];

/// The filter, whole.
pub(super) const NO_FILTER: Removal = Removal::Set(&["seccomp.mode=off"]);

/// What holds it, too, where root starts it.
pub(super) const OTHER_ID: &str = "the id of a sandbox that root starts is no other process's";
