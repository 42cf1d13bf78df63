//! The findings as text for a person and as JSON for a program.

use std::io::{self, Write};

use serde::Serialize;

use super::finding::{Finding, State, verdicts};

/// The profile that the exit code is about: the default one.
const DEFAULT: &str = "strict";

/// How many of the layers that share a cause are named.
const NAMED: usize = 4;

/// 0 only where the default profile runs.
pub fn exit_code(findings: &[Finding]) -> u8 {
    let runs = verdicts(findings).iter().any(|verdict| verdict.profile == DEFAULT && verdict.runs);
    u8::from(!runs)
}

/// Writes a table of the layers, what it means for each profile, and how to fix what a profile lacks.
///
/// # Errors
/// Those of `to`.
pub fn render(findings: &[Finding], to: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        let state = match finding.state {
            State::Works => "works",
            State::Missing => "missing",
            State::Unknown => "unknown",
        };
        let line = format!("{:<18} {state:<8} {}", finding.layer, finding.detail);
        write!(to, "{}", line.trim_end())?;
        if finding.state != State::Works && !finding.needed_by.is_empty() {
            write!(to, " (needed by {})", finding.needed_by.join(", "))?;
        }
        writeln!(to)?;
    }
    writeln!(to)?;
    for verdict in verdicts(findings) {
        if verdict.runs {
            writeln!(to, "{:<18} runs here", verdict.profile)?;
        } else {
            let lacks: Vec<_> = verdict.lacks.iter().map(|layer| layer.name()).collect();
            writeln!(to, "{:<18} does not run here: {}", verdict.profile, lacks.join(", "))?;
        }
    }
    fixes(findings, to)
}

/// Causes with their commands, each cause once: one fix often brings several layers.
fn fixes(findings: &[Finding], to: &mut impl Write) -> io::Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.state == State::Missing) {
        let Some(cause) = finding.cause.as_deref().filter(|cause| !seen.contains(cause)) else { continue };
        seen.push(cause);
        let layers: Vec<_> = findings
            .iter()
            .filter(|other| other.cause.as_deref() == Some(cause))
            .map(|other| other.layer.name())
            .collect();
        let (shown, more) = layers.split_at(layers.len().min(NAMED));
        write!(to, "\n{}", shown.join(", "))?;
        if !more.is_empty() {
            write!(to, " and {} more", more.len())?;
        }
        writeln!(to, ": {cause}")?;
        for command in &finding.fix {
            writeln!(to, "  {}", command.replace('\n', "\n  "))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    layers: &'a [Finding],
    profiles: Vec<super::finding::Verdict>,
}

/// Writes one JSON object: `layers` (the findings) and `profiles` (the verdicts).
///
/// # Errors
/// Those of `to`.
pub fn json(findings: &[Finding], to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, &Report { layers: findings, profiles: verdicts(findings) })?;
    writeln!(to)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
