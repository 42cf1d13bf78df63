//! The reports as a table for a person, or one line of JSON each.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use super::Report;
use super::check::RowVerdict;

/// How many rows came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Rows that held.
    pub held: usize,
    /// Rows that failed.
    pub failed: usize,
    /// Rows that cannot be tested on this host, or not by a probe.
    pub not_testable: usize,
    /// Of these, how many are attacks on the caller's side, which the project's tests prove.
    pub by_tests: usize,
    /// Runs inside a profile that were blocked.
    pub checks: usize,
    /// Of these, how many were allowed again once the named walls were gone.
    pub proven: usize,
}

impl Summary {
    /// Counts a report.
    pub fn add(&mut self, report: &Report) {
        match report.verdict {
            RowVerdict::Held => self.held += 1,
            RowVerdict::Failed => self.failed += 1,
            RowVerdict::NotTestable => self.not_testable += 1,
        }
        self.by_tests += usize::from(!report.tests.is_empty());
        for under in report.profiles.iter().filter(|under| under.verdict == RowVerdict::Held) {
            self.checks += 1;
            let proven = under.mutation.as_ref().is_some_and(|m| m.verdict == super::Verdict::Allowed);
            self.proven += usize::from(proven);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, failed, not_testable, by_tests, checks, proven } = self;
        writeln!(
            f,
            "{held} held, {failed} failed, {not_testable} not testable ({by_tests} by the project's tests)"
        )?;
        write!(f, "{checks} times blocked inside, {proven} of them allowed again without the walls")?;
        Ok(())
    }
}

/// A report as one line of JSON.
///
/// # Errors
/// Those of `to`.
pub fn json_line(report: &Report, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, report)?;
    writeln!(to)
}

/// A report as lines of the table.
///
/// # Errors
/// Those of `to`.
pub fn render(report: &Report, to: &mut impl Write) -> io::Result<()> {
    let word = |held| match held {
        RowVerdict::Held => "held",
        RowVerdict::Failed => "FAILED",
        RowVerdict::NotTestable => "not testable",
    };
    let held: Vec<&str> =
        report.profiles.iter().filter(|u| u.verdict == RowVerdict::Held).map(|under| under.profile).collect();
    let detail = match &report.why {
        Some(why) => why.clone(),
        None => format!("{}, by {}", held.join(" "), walls(report)),
    };
    writeln!(to, "{:<4} {:<12} {:<58} {detail}", report.id, word(report.verdict), report.title)?;
    for under in report.profiles.iter().filter(|under| under.verdict != RowVerdict::Held) {
        // Said once, below the table.
        if report.verdict == RowVerdict::NotTestable {
            continue;
        }
        let why = under.why.as_deref().unwrap_or_default();
        writeln!(to, "{:<4} {:<12} under {}: {why}", "", word(under.verdict), under.profile)?;
    }
    Ok(())
}

/// The walls that hold a row, each once.
fn walls(report: &Report) -> String {
    let mut walls: Vec<&str> = Vec::new();
    for wall in report.profiles.iter().flat_map(|under| under.walls) {
        if !walls.contains(wall) {
            walls.push(wall);
        }
    }
    walls.join("; ")
}
