use serde_json::{Value, json};

use super::*;

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
            capabilities: 0,
            bounding: 0,
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
        (crate::Error::Disturbed { source }, "disturbed"),
        (crate::Error::Left { left: Some(3) }, "left"),
        (crate::Error::Protocol, "setup-error"),
    ] {
        let report = value(&Report::of_error(&Error::from(error)));
        assert_eq!((&report["ended"]["kind"], &report["exitCode"]), (&json!(kind), &json!(125)));
    }
}

#[test]
fn the_file_is_emptied_before_and_holds_one_line_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report");
    std::fs::write(&path, "old ".repeat(1000)).expect("write");
    let mut sink = Sink::open(&path).expect("opened");
    assert_eq!(std::fs::read(&path).expect("read"), b"");
    // What runs may write to a file that it can reach; nothing of it is left in the report.
    std::fs::write(&path, "forged ".repeat(1000)).expect("write");
    sink.write(&of_outcome(&outcome(Ended::CpuLimit { limit_ms: None }))).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    assert_eq!(text.matches('\n').count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["exitCode"], 152);
}

#[test]
fn a_file_that_was_replaced_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report");
    let outcome = outcome(Ended::Exit { code: 0 });

    let mut sink = Sink::open(&path).expect("opened");
    std::fs::rename(&path, folder.path().join("aside")).expect("rename");
    let removed = sink.write(&of_outcome(&outcome));
    assert!(matches!(removed, Err(Error::ReportReplaced { .. })), "{removed:?}");
    std::fs::write(&path, "{\"exitCode\": 0}").expect("write");
    let replaced = sink.write(&of_outcome(&outcome));
    assert!(matches!(replaced, Err(Error::ReportReplaced { .. })), "{replaced:?}");
}

#[test]
fn what_cannot_be_written_is_an_error_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let errno = |path: &Path| match Sink::open(path) {
        Err(Error::Report { source, action: "open", .. }) => source.raw_os_error(),
        other => panic!("{other:?}"),
    };
    assert_eq!(errno(folder.path()), Some(libc::EISDIR));
    assert_eq!(errno(&folder.path().join("missing/report")), Some(libc::ENOENT));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("target"), &link).expect("symlink");
    assert_eq!(errno(&link), Some(libc::ELOOP));
    assert!(!folder.path().join("target").exists());
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    assert_eq!(errno(&pipe), Some(libc::ENXIO));
}

#[test]
fn a_device_takes_a_report() {
    let mut sink = Sink::open(Path::new("/dev/null")).expect("opened");
    sink.write(&of_outcome(&outcome(Ended::Seccomp))).expect("written");
    let mut full = Sink::open(Path::new("/dev/full")).expect("opened");
    let refused = full.write(&of_outcome(&outcome(Ended::Seccomp)));
    assert!(matches!(refused, Err(Error::Report { action: "write", .. })), "{refused:?}");
}
