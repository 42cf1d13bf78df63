//! The same probes under another program's sandbox, to compare (docs/comparison).
//!
//! That program is started by a wrapper, which is given what to run as its arguments and, in [`SHOW`], what
//! the row wants to be shown inside. What a row asks of a profile ([`Setup::set`]) does not reach it: each
//! sandbox is as its caller has made it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Serialize;

use super::check::{RowVerdict, answer, arguments, say, selected};
use super::setup::Run;
use super::{Answer, Check, Control, Probe, Row, Scene, SelfTestError, Setup, Verdict, inside};

/// The wrapper's variable for what the row wants to be shown, a line each: `ro` or `rw`, and a path, the same
/// inside.
pub const SHOW: &str = "BELLJAR_SELFTEST_SHOW";

/// The value `sandbox` of a probe's: it is not belljar's, and this program is not a role in it.
const OTHER: &str = "other";

/// Whether it is. What a row overlooks then would be a finding in a sandbox of belljar's.
pub(super) fn is_other(scene: &Scene) -> bool {
    scene.text("sandbox") == OTHER
}

/// What a row came to under another sandbox.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Under {
    /// The row's id.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// [`RowVerdict::Failed`] where the attack worked.
    pub verdict: RowVerdict,
    /// What the probe said outside, started in the same way.
    pub control: Option<Answer>,
    /// What it said inside.
    pub inside: Option<Answer>,
    /// Why it cannot be tested.
    pub why: Option<String>,
}

/// Runs one row's probe in this process, as it is, and writes its answer to standard output as one JSON line.
/// The values are those that the row's setup told, as `name=value`.
///
/// # Errors
/// A row without a probe, a value that is none, fresh namespaces that cannot be had, or an output that cannot
/// be written.
pub fn probe(id: &str, values: &[String]) -> Result<(), SelfTestError> {
    let scene = Scene::read(values.iter().map(OsString::from))?;
    inside::answer(id.as_ref(), &scene)
}

/// Runs each row that has a probe outside, and under the sandbox that `wrapper` makes; one after the other,
/// as descriptors that a row leaks on purpose are everybody's.
///
/// # Errors
/// A row that does not exist.
pub fn under(wrapper: &Path, rows: &[String], mut each: impl FnMut(&Under)) -> Result<(), SelfTestError> {
    for row in selected(rows)? {
        if let Check::Probe(probe) = &row.check {
            each(&compare(wrapper, row, probe));
        }
    }
    Ok(())
}

fn compare(wrapper: &Path, row: &'static Row, probe: &Probe) -> Under {
    let (id, title, verdict) = (row.id, row.title, RowVerdict::NotTestable);
    let mut under = Under { id, title, verdict, control: None, inside: None, why: None };
    match run(None, row, probe) {
        Ok(answer) => {
            let works = answer.verdict == Verdict::Allowed;
            under.why = (!works).then(|| format!("does not work outside either: {}", say(&answer)));
            under.control = Some(answer);
        }
        Err(error) => under.why = Some(format!("no control: {}", crate::error_chain(&error))),
    }
    if under.why.is_some() {
        return under;
    }
    match run(Some(wrapper), row, probe) {
        Ok(answer) => {
            under.verdict = match answer.verdict {
                Verdict::Blocked => RowVerdict::Held,
                Verdict::Allowed => RowVerdict::Failed,
                Verdict::Na => RowVerdict::NotTestable,
            };
            under.why = (answer.verdict == Verdict::Na).then(|| say(&answer));
            under.inside = Some(answer);
        }
        // It cannot be told whether the attack or the sandbox ended it.
        Err(error) => under.why = Some(crate::error_chain(&error)),
    }
    under
}

fn run(wrapper: Option<&Path>, row: &Row, probe: &Probe) -> Result<Answer, SelfTestError> {
    let mut setup = Setup::new(if wrapper.is_some() { Run::Inside } else { Run::Control });
    if wrapper.is_none() && probe.control == Control::Fresh {
        setup.value("namespaces", "fresh");
    }
    setup.value("sandbox", OTHER);
    (probe.setup)(&mut setup)?;
    let image = std::env::current_exe().map_err(SelfTestError::setup("find the own image"))?;
    let mut command = match wrapper {
        Some(wrapper) => {
            let mut command = Command::new(wrapper);
            command.arg(image).env(SHOW, shown(&setup));
            command
        }
        None => Command::new(image),
    };
    command.args(["selftest", "--probe", row.id, "--"]).args(arguments(&setup));
    command.stdin(setup.stdin.take().map_or_else(Stdio::null, Stdio::from));
    if let Some(stderr) = setup.stderr.take() {
        command.stderr(stderr);
    }
    let Output { status, stdout, stderr } =
        command.output().map_err(SelfTestError::setup("start the probe"))?;
    // The setup's copies of what the probe was given go with it.
    drop(command);
    answer(setup, &stdout, &stderr, status.to_string())
}

fn shown(setup: &Setup) -> OsString {
    let mut lines = OsString::new();
    for bind in &setup.binds {
        lines.push(if bind.readonly { "ro " } else { "rw " });
        lines.push(&bind.destination);
        lines.push("\n");
    }
    lines
}
