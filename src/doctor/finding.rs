//! What the doctor found, and what follows for each profile.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::layer::Layer;
use super::trial::{Miss, Outcome};
use crate::host::failure::errno_name;
use crate::host::{Symptoms, diagnose, kernel_for_namespaces};

/// Whether a layer works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// It was tried and did what it should.
    Works,
    /// It was tried and failed.
    Missing,
    /// It could not be tried, or the trial did not come back.
    Unknown,
}

/// What was found about one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The layer.
    pub layer: Layer,
    /// Whether it works.
    pub state: State,
    /// What was seen, or what failed. May be empty where it works.
    pub detail: String,
    /// The kernel's answer by name (`EPERM`), where a system call failed.
    pub errno: Option<String>,
    /// Why it failed, as far as the host's readings tell.
    pub cause: Option<String>,
    /// Commands that fix it, in order; some span lines.
    pub fix: Vec<String>,
    /// Profiles that cannot do without it.
    pub needed_by: Vec<String>,
}

/// Whether a profile runs on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The profile's name.
    pub profile: String,
    /// Whether all that it needs works.
    pub runs: bool,
    /// What it needs and does not have, or may not have.
    pub lacks: Vec<Layer>,
}

impl Finding {
    /// From how a trial ended.
    pub(super) fn new(layer: Layer, outcome: Outcome, symptoms: &Symptoms, needed_by: Vec<String>) -> Self {
        let (state, detail) = match outcome {
            Outcome::Ran(Ok(detail)) => (State::Works, detail),
            Outcome::Ran(Err(Miss::Failed(failure))) => {
                let diagnosis = diagnose(&failure, symptoms);
                return Self {
                    layer,
                    state: State::Missing,
                    detail: failure.to_string(),
                    errno: (failure.errno != Errno::UnknownErrno).then(|| errno_name(failure.errno)),
                    cause: Some(diagnosis.cause.to_string()),
                    fix: diagnosis.fix,
                    needed_by,
                };
            }
            Outcome::Ran(Err(Miss::Without(what))) => (State::Missing, what),
            Outcome::Ran(Err(Miss::Skipped(why))) => (State::Unknown, format!("not tried: {why}")),
            Outcome::Died(how) => (State::Unknown, format!("the trial died: {how}")),
            Outcome::Hung => (State::Unknown, "the trial did not come back in time".to_owned()),
        };
        let old = (layer == Layer::Kernel && state == State::Missing)
            .then(|| kernel_for_namespaces(symptoms))
            .flatten();
        let (cause, fix) = old.map(|old| (old.cause.to_string(), old.fix)).unzip();
        Self { layer, state, detail, errno: None, cause, fix: fix.unwrap_or_default(), needed_by }
    }
}

/// What the findings mean for each profile that any of them names, by name.
pub fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
    let mut lacks: BTreeMap<&str, Vec<Layer>> = BTreeMap::new();
    for finding in findings {
        for profile in &finding.needed_by {
            let lacks = lacks.entry(profile).or_default();
            if finding.state != State::Works {
                lacks.push(finding.layer);
            }
        }
    }
    lacks
        .into_iter()
        .map(|(profile, lacks)| Verdict { profile: profile.to_owned(), runs: lacks.is_empty(), lacks })
        .collect()
}
