//! The three runs of a row, and what they say together.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use super::inside::ROLE;
use super::setup::Run;
use super::{Answer, Check, Claim, Control, Probe, Removal, Row, SelfTestError, Setup, Verdict, rows};
use crate::profile::{MountKind, Profile, builtin_names};
use crate::sandbox::Sandbox;

/// What is run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    /// Only this built-in profile.
    pub profile: Option<String>,
    /// Only these rows; all where it is empty.
    pub rows: Vec<String>,
}

/// What a row came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RowVerdict {
    /// It was blocked, and worked outside.
    Held,
    /// It worked inside; or it did not work although its walls were gone, so that something is not as the
    /// table says.
    Failed,
    /// It cannot be tested on this host, in this way.
    NotTestable,
}

/// A row under one profile.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UnderProfile {
    /// Its name.
    pub profile: &'static str,
    /// What came out.
    pub verdict: RowVerdict,
    /// The walls that hold it, by the table.
    pub walls: &'static [&'static str],
    /// What the probe said inside.
    pub inside: Option<Answer>,
    /// What it said without the walls.
    pub mutation: Option<Answer>,
    /// Why it failed, could not be tested, or why its walls could not be removed.
    pub why: Option<String>,
}

/// A row's report: one line of `--json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The row's id.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Where it is known from.
    pub source: &'static str,
    /// What came out over all profiles: the worst.
    pub verdict: RowVerdict,
    /// What the probe said outside.
    pub control: Option<Answer>,
    /// Tests that prove it, where no probe can.
    pub tests: &'static [&'static str],
    /// Why it could not be tested.
    pub why: Option<String>,
    /// Profile by profile.
    pub profiles: Vec<UnderProfile>,
}

/// How many rows are tried at the same time, at most.
const AT_ONCE: usize = 4;

/// Runs the selected rows, some at a time, and gives their reports in the table's order.
///
/// # Errors
/// A row that does not exist.
pub fn run(selection: &Selection, mut each: impl FnMut(&Report)) -> Result<(), SelfTestError> {
    let rows = selected(&selection.rows)?;
    let next = AtomicUsize::new(0);
    let (done, reports) = mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(AT_ONCE);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (done, next, rows) = (done.clone(), &next, &rows);
            scope.spawn(move || {
                while let Some((at, row)) = take(next, rows) {
                    // The receiver is there until all have ended.
                    let _ = done.send((at, check(row, selection.profile.as_deref())));
                }
            });
        }
        drop(done);
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        for (at, report) in reports {
            waiting.insert(at, report);
            while let Some(report) = waiting.remove(&expected) {
                each(&report);
                expected += 1;
            }
        }
    });
    Ok(())
}

/// The rows that have these ids; all where there is none.
pub(super) fn selected(ids: &[String]) -> Result<Vec<&'static Row>, SelfTestError> {
    if let Some(id) = ids.iter().find(|id| !rows().any(|row| row.id == **id)) {
        return Err(SelfTestError::UnknownRow { id: id.clone() });
    }
    Ok(rows().filter(|row| ids.is_empty() || ids.iter().any(|id| id == row.id)).collect())
}

/// The next row that no thread has taken.
fn take(next: &AtomicUsize, rows: &[&'static Row]) -> Option<(usize, &'static Row)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    rows.get(at).map(|row| (at, *row))
}

fn check(row: &'static Row, only: Option<&str>) -> Report {
    let mut report = Report {
        id: row.id,
        title: row.title,
        source: row.source,
        verdict: RowVerdict::NotTestable,
        control: None,
        tests: &[],
        why: None,
        profiles: Vec::new(),
    };
    let probe = match &row.check {
        Check::Probe(probe) => probe,
        Check::Tests(tests) => {
            report.tests = tests;
            report.why = Some("an attack on the caller's side, which the project's tests prove".to_owned());
            return report;
        }
        Check::Open(why) => {
            report.why = Some((*why).to_owned());
            return report;
        }
    };
    if let Some(why) = control(row, probe, &mut report) {
        report.why = Some(why);
        return report;
    }
    for profile in builtin_names() {
        let claim = probe.claims.iter().find(|claim| claim.profiles.contains(profile));
        let wanted = only.is_none_or(|name| name == *profile);
        if let Some(claim) = claim.filter(|_| wanted) {
            report.profiles.push(under(row, probe, claim, profile));
        }
    }
    let any = |verdict| report.profiles.iter().any(|under| under.verdict == verdict);
    report.verdict = match () {
        () if any(RowVerdict::Failed) => RowVerdict::Failed,
        () if any(RowVerdict::Held) => RowVerdict::Held,
        () => RowVerdict::NotTestable,
    };
    if report.profiles.is_empty() {
        report.why = Some("the profile does not claim to hold it".to_owned());
    } else if report.verdict == RowVerdict::NotTestable {
        report.why = report.profiles.iter().find_map(|under| under.why.clone());
    }
    report
}

/// Runs the control. Gives the reason if the row cannot be tested.
fn control(row: &Row, probe: &Probe, report: &mut Report) -> Option<String> {
    if let Control::None(_) = probe.control {
        return None;
    }
    match outside(row, probe) {
        Ok(answer) => {
            let why = (answer.verdict != Verdict::Allowed)
                .then(|| format!("does not work outside either: {}", say(&answer)));
            report.control = Some(answer);
            why
        }
        Err(error) => Some(format!("no control: {}", crate::error_chain(&error))),
    }
}

fn under(row: &Row, probe: &Probe, claim: &Claim, profile: &'static str) -> UnderProfile {
    let mut under = UnderProfile {
        profile,
        verdict: RowVerdict::NotTestable,
        walls: claim.walls,
        inside: None,
        mutation: None,
        why: None,
    };
    match inside(row, probe, profile, None) {
        Ok(answer) => {
            under.verdict = match answer.verdict {
                Verdict::Blocked => RowVerdict::Held,
                Verdict::Allowed => RowVerdict::Failed,
                Verdict::Na => RowVerdict::NotTestable,
            };
            if answer.verdict != Verdict::Blocked {
                under.why = Some(say(&answer));
            }
            under.inside = Some(answer);
        }
        Err(error @ SelfTestError::NoAnswer { .. }) => {
            under.verdict = RowVerdict::Failed;
            under.why = Some(crate::error_chain(&error));
        }
        Err(error) => under.why = Some(crate::error_chain(&error)),
    }
    if under.verdict != RowVerdict::Held {
        return under;
    }
    let fixed = match claim.removal {
        Removal::Fixed(why) => Some(why),
        Removal::UserOnly(_, why) if as_root() => Some(why),
        _ => None,
    };
    if let Some(why) = fixed {
        under.why = Some(format!("cannot be removed: {why}"));
        return under;
    }
    match inside(row, probe, profile, Some(&claim.removal)) {
        Ok(answer) => {
            match answer.verdict {
                Verdict::Allowed => {}
                Verdict::Blocked => {
                    under.verdict = RowVerdict::Failed;
                    under.why =
                        Some(format!("still blocked without {}: {}", claim.walls.join(", "), say(&answer)));
                }
                Verdict::Na => {
                    under.why = Some(format!("the walls' removal cannot be tested here: {}", answer.tried));
                }
            }
            under.mutation = Some(answer);
        }
        Err(error) => {
            under.verdict = RowVerdict::Failed;
            under.why = Some(format!("the walls' removal: {}", crate::error_chain(&error)));
        }
    }
    under
}

fn as_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub(super) fn say(answer: &Answer) -> String {
    match &answer.errno {
        Some(errno) => format!("{} ({errno})", answer.tried),
        None => answer.tried.clone(),
    }
}

fn outside(row: &Row, probe: &Probe) -> Result<Answer, SelfTestError> {
    let mut setup = Setup::new(Run::Control);
    if probe.control == Control::Fresh {
        setup.value("namespaces", "fresh");
    }
    (probe.setup)(&mut setup)?;
    let mut command = super::own_role(ROLE);
    command.arg(row.id).args(arguments(&setup));
    if let Some(stdin) = setup.stdin.take() {
        command.stdin(stdin);
    }
    if let Some(stderr) = setup.stderr.take() {
        command.stderr(stderr);
    }
    let output = command.output().map_err(|source| SelfTestError::Control { source })?;
    let how = output.status.to_string();
    answer(setup, &output.stdout, &output.stderr, how)
}

/// Runs the probe inside; without the walls that `removal` takes away, if it is given.
fn inside(
    row: &Row,
    probe: &Probe,
    name: &'static str,
    removal: Option<&Removal>,
) -> Result<Answer, SelfTestError> {
    let run = if removal.is_some() { Run::Mutation } else { Run::Inside };
    let mut setup = Setup::new(run);
    (probe.setup)(&mut setup)?;
    let removal = match removal {
        Some(Removal::UserOnly(removal, _)) => Some(*removal),
        other => other,
    };
    let sets: &[&str] = match removal {
        Some(Removal::Set(sets) | Removal::Plan(sets, _)) => sets,
        _ => &[],
    };
    let overrides: Vec<&str> =
        setup.overrides.iter().map(String::as_str).chain(sets.iter().copied()).collect();
    let mut profile = Profile::load_with(name, &overrides)?;
    if profile.root.path_required {
        give_root(&mut setup, &mut profile)?;
    }
    for bind in &setup.binds {
        profile.add_bind(&bind.source, &bind.destination, bind.readonly)?;
    }
    profile.limits.timeout = Some(Duration::from_secs(10));
    if let Some(Removal::Edit(edit)) = removal {
        edit(&mut profile, &setup)?;
        if profile.root.path_required {
            make_places(&setup.directory()?.join("root"), &profile)?;
        }
    }
    let sandbox = Sandbox::with_profile(profile);
    let mut command = sandbox.role(ROLE);
    command.own = true;
    command.arg(row.id).args(arguments(&setup));
    if let Some(stdin) = setup.stdin.take() {
        command.stdin(stdin);
    }
    if let Some(stderr) = setup.stderr.take() {
        command.stderr(stderr);
    }
    // A row may give what no task is given, to show what that would let through.
    command.every_kind = true;
    if let Some(Removal::Plan(_, amend)) = removal {
        command.amend = Some(*amend);
    }
    for (fd, number) in setup.kept.drain(..) {
        command.keep_fd(fd, number);
    }
    let output = command.output()?;
    answer(setup, &output.stdout, &output.stderr, output.outcome.ended.to_string())
}

pub(super) fn arguments(setup: &Setup) -> Vec<String> {
    setup.values.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Reads the answer, and lets what was seen from outside decide where the row looks there.
pub(super) fn answer(
    mut setup: Setup,
    stdout: &[u8],
    stderr: &[u8],
    how: String,
) -> Result<Answer, SelfTestError> {
    let text = String::from_utf8_lossy(stdout);
    let line = text.lines().rev().find_map(|line| serde_json::from_str::<Answer>(line.trim()).ok());
    let Some(mut answer) = line else {
        let said = format!("{text}{}", String::from_utf8_lossy(stderr));
        return Err(SelfTestError::NoAnswer { how, said: said.trim().to_owned() });
    };
    if let Some(look) = setup.effect.take()
        && answer.verdict != Verdict::Na
    {
        match look() {
            Some(seen) => {
                answer.verdict = Verdict::Allowed;
                answer.tried = format!("{}; outside: {seen}", answer.tried);
            }
            None => answer.verdict = Verdict::Blocked,
        }
    }
    Ok(answer)
}

/// Makes the mount points of what a row's removal shows: in a root of the caller's own belljar makes none.
fn make_places(root: &Path, profile: &Profile) -> Result<(), SelfTestError> {
    for mount in &profile.mounts {
        let MountKind::Bind { source, .. } = &mount.kind else { continue };
        let place = root.join(mount.destination.strip_prefix("/").unwrap_or(&mount.destination));
        if !place.exists() {
            make_place(source, &place)?;
        }
    }
    Ok(())
}

fn make_place(source: &Path, place: &Path) -> Result<(), SelfTestError> {
    let made = if source.is_dir() {
        std::fs::create_dir_all(place)
    } else {
        place.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(place, ""))
    };
    made.map_err(SelfTestError::setup("make a mount point in the root"))
}

/// A root directory for a profile that needs one: empty but for the places where the host's system is shown.
fn give_root(setup: &mut Setup, profile: &mut Profile) -> Result<(), SelfTestError> {
    let root = setup.directory()?.join("root");
    let make = |path: &Path| {
        std::fs::create_dir_all(path).map_err(SelfTestError::setup("make a directory of the root"))
    };
    make(&root)?;
    for bind in &setup.binds {
        let place = root.join(bind.destination.strip_prefix("/").unwrap_or(&bind.destination));
        make_place(&bind.source, &place)?;
    }
    for name in ["usr", "etc", "dev", "proc", "tmp", "sys", "run", "root"] {
        make(&root.join(name))?;
    }
    for (name, target) in
        [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")]
    {
        std::os::unix::fs::symlink(target, root.join(name))
            .map_err(SelfTestError::setup("make a symlink of the root"))?;
    }
    profile.set_rootfs(&root)?;
    profile.add_bind(Path::new("/usr"), Path::new("/usr"), true)?;
    Ok(())
}
