//! What paths are decided from.

use std::path::PathBuf;

use crate::host::{Facts, Files};
use crate::plan::error::PlanError;
use crate::plan::model::Identity;
use crate::profile::Profile;

/// The inputs that all decisions about paths share.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub profile: &'a Profile,
    pub facts: &'a Facts,
    pub files: &'a dyn Files,
    /// The sandbox's ids.
    pub identity: &'a Identity,
}

impl Inputs<'_> {
    /// `path`, absolute.
    pub fn absolute(&self, path: &std::path::Path) -> Result<PathBuf, PlanError> {
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        Ok(self.facts.cwd.as_deref().ok_or(PlanError::NoCwd)?.join(path))
    }
}
