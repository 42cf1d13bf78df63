use super::*;
use crate::cli::args::{Command, Parsed, parse};

fn run_args(line: &[&str]) -> RunArgs {
    let line: Vec<OsString> = line.iter().map(Into::into).collect();
    match parse(&line) {
        Ok(Parsed::Do(cli)) => match cli.command {
            Command::Run(args) => *args,
            other => panic!("{line:?}: {other:?}"),
        },
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn a_run_that_cannot_begin_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report");
    let report = format!("--report={}", path.display());
    let args = run_args(&["belljar", "run", "--keep-fd", "987654", &report, "--", "true"]);
    let error = main(&args, Stopwatch::start()).expect_err("refused");
    assert_eq!(error.message(), "--keep-fd 987654: the caller left no descriptor of that number open");
    let text = std::fs::read_to_string(&path).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["ended"]["kind"], "setup-error");
    assert_eq!(report["exitCode"], 125);
    assert_eq!(report["error"]["message"], error.message());
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_anything_runs() {
    let args = run_args(&["belljar", "run", "--report", "/", "--", "true"]);
    assert!(matches!(main(&args, Stopwatch::start()), Err(Error::Report { action: "open", .. })));
}
