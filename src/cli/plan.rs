//! `--dry-run`: the plan, for a person or as JSON.

use super::error::Error;
use crate::plan::Plan;

/// For a person.
pub fn text(plan: &Plan) -> String {
    format!("{plan:#?}\n")
}

/// As JSON.
pub fn json(plan: &Plan) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(plan).map_err(|source| Error::Json { source })?;
    text.push('\n');
    Ok(text)
}
