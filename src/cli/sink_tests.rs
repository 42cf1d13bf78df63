use serde_json::Value;

use super::*;

fn refused() -> Report<'static> {
    Report::of_error(&Error::Usage { message: "no".into(), hints: Vec::new() })
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(Into::into).collect()
}

/// `belljar run --report r.json --timeout banana`: an earlier report reads as a success otherwise.
#[test]
fn a_command_line_that_cannot_be_read_still_says_where_its_report_goes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report");
    for option in [format!("--report {}", path.display()), format!("--report={}", path.display())] {
        std::fs::write(&path, "{\"exitCode\": 0}").expect("write");
        let words = words(&format!("--timeout banana {option} -- true"));
        let mut sink = Sink::of_words(&words).expect("opened").expect("named");
        sink.write(&refused()).expect("written");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["exitCode"], 125);
    }
    for line in ["-- true --report x", "--timeout banana", "--reporter x", "--report"] {
        assert!(Sink::of_words(&words(line)).expect("nothing to open").is_none(), "{line}");
    }
}

#[test]
fn paths_that_stand_for_descriptors() {
    for (path, number) in [
        ("/dev/stdout", Some(1)),
        ("/dev/stderr", Some(2)),
        ("/dev/fd/63", Some(63)),
        ("/proc/self/fd/7", Some(7)),
        ("/dev/fd/", None),
        ("/dev/fd/x", None),
        ("/dev/fd/99999999999", None),
        ("/dev/null", None),
        ("report", None),
    ] {
        assert_eq!(descriptor_of(Path::new(path)), number, "{path}");
    }
}

#[test]
fn the_file_is_emptied_before_and_holds_one_line_after() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report");
    std::fs::write(&path, "old ".repeat(1000)).expect("write");
    let mut sink = Sink::open(&path).expect("opened");
    assert_eq!(std::fs::read(&path).expect("read"), b"");
    // What runs may write to a file that it can reach; nothing of it is left in the report.
    std::fs::write(&path, "forged ".repeat(1000)).expect("write");
    sink.write(&refused()).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    assert_eq!(text.matches('\n').count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["exitCode"], 125);
}

#[test]
fn a_file_that_was_replaced_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report");

    let mut sink = Sink::open(&path).expect("opened");
    std::fs::rename(&path, directory.path().join("aside")).expect("rename");
    let removed = sink.write(&refused());
    assert!(matches!(removed, Err(Error::ReportReplaced { .. })), "{removed:?}");
    std::fs::write(&path, "{\"exitCode\": 0}").expect("write");
    let replaced = sink.write(&refused());
    assert!(matches!(replaced, Err(Error::ReportReplaced { .. })), "{replaced:?}");
}

#[test]
fn what_cannot_be_written_is_an_error_before_the_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let errno = |path: &Path| match Sink::open(path) {
        Err(Error::Report { source, action: "open", .. }) => source.raw_os_error(),
        other => panic!("{other:?}"),
    };
    assert_eq!(errno(directory.path()), Some(libc::EISDIR));
    assert_eq!(errno(&directory.path().join("missing/report")), Some(libc::ENOENT));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path().join("target"), &link).expect("symlink");
    assert_eq!(errno(&link), Some(libc::ELOOP));
    assert!(!directory.path().join("target").exists());
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    assert_eq!(errno(&pipe), Some(libc::ENXIO));
}

#[test]
fn a_device_takes_a_report() {
    let mut sink = Sink::open(Path::new("/dev/null")).expect("opened");
    sink.write(&refused()).expect("written");
    let mut full = Sink::open(Path::new("/dev/full")).expect("opened");
    let refused = full.write(&refused());
    assert!(matches!(refused, Err(Error::Report { action: "write", .. })), "{refused:?}");
}
