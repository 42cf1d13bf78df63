//! `--report`: how a run ended, as JSON. Version 1; later versions add fields, they do not change these.

use std::time::Duration;

use serde::Serialize;

use super::ended;
use super::error::Error;
use crate::cgroup::Account;
use crate::sandbox::{Ended, Outcome, Protections, Timing};

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    version: u32,
    ended: EndedReport,
    /// What belljar itself exits with.
    exit_code: u8,
    #[serde(flatten)]
    run: Option<RunReport<'a>>,
    /// With `--timing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    timing: Option<&'a Timing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

/// What is known once a program ran.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RunReport<'a> {
    wall_seconds: f64,
    user_seconds: Option<f64>,
    system_seconds: Option<f64>,
    max_rss_bytes: Option<u64>,
    context_switches: Option<u64>,
    /// Output that was thrown away, where the limit says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_discarded_bytes: Option<u64>,
    /// The kernel's accounts of its control group, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<&'a Account>,
    profile: &'a str,
    profile_hash: &'a str,
    plan_hash: &'a str,
    protections: &'a Protections,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind")]
enum EndedReport {
    Exit {
        code: i32,
    },
    Signal {
        signal: i32,
        name: String,
        core_dumped: bool,
    },
    Timeout {
        limit_seconds: f64,
    },
    OutputLimit {
        limit_bytes: u64,
    },
    CpuLimit {
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_seconds: Option<f64>,
    },
    MemoryLimit {
        limit_bytes: u64,
        peak_bytes: Option<u64>,
    },
    PidsLimit {
        limit: u64,
    },
    FileSize,
    Seccomp,
    KilledByCaller,
    SetupError,
    Disturbed,
    Left,
}

#[derive(Debug, Serialize)]
struct ErrorReport {
    message: String,
    hints: Vec<String>,
}

impl<'a> Report<'a> {
    /// Of a program that ran.
    pub fn of_outcome(outcome: &'a Outcome, exit_code: u8) -> Report<'a> {
        let seconds = |time: &Duration| time.as_secs_f64();
        let ended = match &outcome.ended {
            Ended::Exit { code } => EndedReport::Exit { code: *code },
            Ended::Signal { signal, core_dumped } => EndedReport::Signal {
                signal: *signal,
                name: ended::signal_name(*signal),
                core_dumped: *core_dumped,
            },
            Ended::Timeout { limit_ms } => {
                EndedReport::Timeout { limit_seconds: seconds(&Duration::from_millis(*limit_ms)) }
            }
            Ended::OutputLimit { limit } => EndedReport::OutputLimit { limit_bytes: *limit },
            Ended::CpuLimit { limit_ms } => EndedReport::CpuLimit {
                limit_seconds: limit_ms.map(|ms| seconds(&Duration::from_millis(ms))),
            },
            Ended::MemoryLimit { limit, peak } => {
                EndedReport::MemoryLimit { limit_bytes: *limit, peak_bytes: *peak }
            }
            Ended::PidsLimit { limit, .. } => EndedReport::PidsLimit { limit: *limit },
            Ended::FileSize => EndedReport::FileSize,
            Ended::Seccomp => EndedReport::Seccomp,
            Ended::KilledByCaller => EndedReport::KilledByCaller,
        };
        let run = RunReport {
            wall_seconds: seconds(&outcome.wall),
            user_seconds: outcome.user.as_ref().map(seconds),
            system_seconds: outcome.system.as_ref().map(seconds),
            max_rss_bytes: outcome.max_rss,
            context_switches: outcome.context_switches,
            output_discarded_bytes: outcome.output_discarded,
            cgroup: outcome.account.as_ref(),
            profile: &outcome.profile,
            profile_hash: &outcome.profile_hash,
            plan_hash: &outcome.plan_hash,
            protections: &outcome.protections,
        };
        Report { version: 1, ended, exit_code, run: Some(run), timing: None, error: None }
    }

    /// With where the time went, if that is asked for.
    pub fn with_timing(mut self, asked: bool, outcome: &'a Outcome) -> Report<'a> {
        self.timing = asked.then_some(&outcome.timing);
        self
    }

    /// Of a run that belljar could not, or would not, begin or end.
    pub fn of_error(error: &Error) -> Report<'a> {
        Report {
            version: 1,
            ended: match error {
                Error::Sandbox(error) if matches!(**error, crate::Error::Disturbed { .. }) => {
                    EndedReport::Disturbed
                }
                Error::Sandbox(error) if matches!(**error, crate::Error::Left { .. }) => EndedReport::Left,
                _ => EndedReport::SetupError,
            },
            exit_code: error.exit_code(),
            run: None,
            timing: None,
            error: Some(ErrorReport { message: error.message(), hints: error.hints() }),
        }
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
