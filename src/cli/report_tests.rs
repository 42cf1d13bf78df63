use serde_json::{Value, json};

use super::*;
use crate::capability::CapabilitySet;

fn outcome(ended: Ended) -> Outcome {
    Outcome {
        ended,
        wall: Duration::from_millis(1500),
        user: Some(Duration::from_millis(250)),
        system: Some(Duration::ZERO),
        max_rss: Some(4096),
        context_switches: Some(7),
        output_discarded: None,
        account: None,
        profile: "strict".into(),
        profile_hash: "aa".into(),
        plan_hash: "bb".into(),
        status: std::process::ExitStatus::default(),
        protections: Protections {
            namespaces: vec!["pid".into()],
            uid: 1000,
            gid: 1001,
            new_root: true,
            capabilities: CapabilitySet::EMPTY,
            bounding: CapabilitySet::EMPTY,
            no_new_privileges: true,
            landlock: true,
            seccomp: true,
        },
        timing: Timing::default(),
    }
}

fn of_outcome(outcome: &Outcome) -> Report<'_> {
    Report::of_outcome(outcome, outcome.ended.exit_code())
}

fn value(report: &Report) -> Value {
    serde_json::to_value(report).expect("JSON")
}

#[test]
fn a_run() {
    assert_eq!(
        value(&of_outcome(&outcome(Ended::Exit { code: 3 }))),
        json!({
            "version": 1,
            "ended": {"kind": "exit", "code": 3},
            "exitCode": 3,
            "wallSeconds": 1.5,
            "userSeconds": 0.25,
            "systemSeconds": 0.0,
            "maxRssBytes": 4096,
            "contextSwitches": 7,
            "profile": "strict",
            "profileHash": "aa",
            "planHash": "bb",
            "protections": {
                "namespaces": ["pid"],
                "uid": 1000,
                "gid": 1001,
                "newRoot": true,
                "capabilities": 0,
                "bounding": 0,
                "noNewPrivileges": true,
                "landlock": true,
                "seccomp": true,
            },
        })
    );
}

#[test]
fn every_end_has_its_kind() {
    let signal = Ended::Signal { signal: libc::SIGSEGV, core_dumped: false };
    for (ended, expected) in [
        (signal, json!({"kind": "signal", "signal": 11, "name": "SIGSEGV", "coreDumped": false})),
        (Ended::Timeout { limit_ms: 500 }, json!({"kind": "timeout", "limitSeconds": 0.5})),
        (Ended::OutputLimit { limit: 9 }, json!({"kind": "output-limit", "limitBytes": 9})),
        (Ended::CpuLimit { limit_ms: None }, json!({"kind": "cpu-limit"})),
        (Ended::CpuLimit { limit_ms: Some(1500) }, json!({"kind": "cpu-limit", "limitSeconds": 1.5})),
        (
            Ended::MemoryLimit { limit: 64, peak: None },
            json!({"kind": "memory-limit", "limitBytes": 64, "peakBytes": null}),
        ),
        (Ended::PidsLimit { limit: 4, status: 256 }, json!({"kind": "pids-limit", "limit": 4})),
        (Ended::FileSize, json!({"kind": "file-size"})),
        (Ended::Seccomp, json!({"kind": "seccomp"})),
        (Ended::KilledByCaller, json!({"kind": "killed-by-caller"})),
    ] {
        assert_eq!(value(&of_outcome(&outcome(ended)))["ended"], expected);
    }
}

#[test]
fn an_error() {
    let error = Error::Usage { message: "no\n".into(), hints: vec!["do".into()] };
    assert_eq!(
        value(&Report::of_error(&error)),
        json!({
            "version": 1,
            "ended": {"kind": "setup-error"},
            "exitCode": 125,
            "error": {"message": "no\\n", "hints": ["do"]},
        })
    );
}

#[test]
fn what_went_wrong_after_the_start_is_no_failure_to_set_up() {
    let fault = crate::protocol::Fault::Protocol { what: "x".to_owned() };
    let source = crate::protocol::Failure { stage: crate::protocol::Stage::Supervise, fault };
    for (error, kind) in [
        (crate::Error::Disturbed { source: Box::new(source) }, "disturbed"),
        (crate::Error::Left { left: Some(3) }, "left"),
        (crate::Error::Protocol, "setup-error"),
    ] {
        let report = value(&Report::of_error(&Error::from(error)));
        assert_eq!((&report["ended"]["kind"], &report["exitCode"]), (&json!(kind), &json!(125)));
    }
}
