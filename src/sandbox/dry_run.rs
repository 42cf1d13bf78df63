//! What a start would do.

use super::Error;
use crate::plan::{Note, Plan};

/// What [`Command::dry_run`](super::Command::dry_run) found: everything that a start would do. With the
/// feature `cli` it is shown and serialized as by `belljar run --dry-run`, where `--json` says so.
#[derive(Debug, Clone)]
pub struct DryRun {
    pub(super) plan: Plan,
    pub(super) notes: Vec<Note>,
}

impl DryRun {
    /// What a person may want to know besides: what was lowered, left out or added.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.notes.iter().map(ToString::to_string)
    }

    /// The SHA-256 of all that was decided, as [`Outcome::plan_hash`](super::Outcome::plan_hash).
    ///
    /// # Errors
    /// [`Error::Plan`]: it is longer than a plan may be.
    pub fn hash(&self) -> Result<String, Error> {
        Ok(self.plan.hash()?)
    }
}

#[cfg(feature = "cli")]
impl std::fmt::Display for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.plan.to_text(&self.notes))
    }
}

#[cfg(feature = "cli")]
impl serde::Serialize for DryRun {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.plan.to_json(&self.notes).serialize(serializer)
    }
}
