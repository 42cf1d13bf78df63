//! The built program, used as its users use it.
#![cfg(feature = "cli")]

mod support;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{BELLJAR, belljar, finish, run, run_in, shell, start};

#[test]
fn a_program_has_the_streams_to_itself() {
    let ran = run_in(["--", "echo", "hi"]).quietly(0);
    assert_eq!(ran.out(), "hi\n");
    let ran = run(Command::new(BELLJAR).args(["run", "--", "sort"]), b"b\na\n").quietly(0);
    assert_eq!(ran.out(), "a\nb\n");
    let ran = run_in(["--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((ran.out().as_str(), ran.err().as_str(), ran.code()), ("out\n", "err\n", 0));
}

#[test]
fn arguments_reach_the_program_unchanged() {
    let mut args: Vec<OsString> =
        ["", " ", "a b", "'", "\"", "\\", "$HOME", "`id`", "new\nline", "--bind", "--", "-v", "*", "ü€"]
            .map(Into::into)
            .to_vec();
    args.push(OsString::from_vec(b"\xff\x01\x1b[m".to_vec()));
    let line = ["--", "printf", "%s\\0"].map(OsString::from).into_iter().chain(args.iter().cloned());
    let ran = run_in(line).quietly(0);
    let words: Vec<_> =
        ran.out.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    assert_eq!(words[..words.len() - 1], args);
}

#[test]
fn a_megabyte_of_arguments_reaches_the_program_or_is_refused() {
    // The kernel takes up to 128 KiB in one.
    let long = "x".repeat(100_000);
    let count = "n=0; for a; do n=$((n + ${#a})); done; echo $n";
    let line = ["--", "sh", "-c", count, "sh"].into_iter().chain(std::iter::repeat_n(long.as_str(), 10));
    let ran = run_in(line);
    if ran.code() == 0 {
        assert_eq!(ran.quietly(0).out(), "1000000\n");
    } else {
        assert!(matches!(ran.code(), 125 | 126), "{ran:?}");
        let code = ran.code();
        ran.refused(code, &[]);
    }
}

#[test]
fn exit_codes() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 125", 125), ("exit 255", 255)] {
        run_in(["--", "sh", "-c", script]).quietly(code);
    }
    run_in(["--", "sh", "-c", "kill -TERM $$"]).quietly(143);
    let crashed = run_in(["--", "sh", "-c", "kill -SEGV $$"]);
    assert_eq!(crashed.code(), 139);
    assert_eq!(crashed.err(), "belljar: sh was ended by signal 11 (SIGSEGV)\n");
}

#[test]
fn a_command_that_is_missing_or_none() {
    run_in(["--", "no-such-command-here"]).refused(127, &["no-such-command-here"]);
    run_in(["--", "/no/such/file"]).refused(127, &["/no/such/file"]);
    run_in(["--", "--bind"]).refused(127, &["--bind"]);
    run_in(["--", "/usr"]).refused(126, &["/usr"]);
    run_in(["--", "/etc/passwd"]).refused(126, &["/etc/passwd", "not executable"]);
    let directory = tempfile::tempdir().expect("a directory");
    let plain = directory.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").expect("write");
    let bind = format!("--ro-bind={}:/plain", plain.display());
    run_in([bind.as_str(), "--", "/plain"]).refused(126, &["/plain"]);
}

#[test]
fn what_a_role_is_called_comes_without_dashes() {
    run_in(["no-such-role"]).refused(125, &["no-such-role", "probe", "belljar run -- no-such-role"]);
    run_in(["--"]).refused(125, &["no command after --"]);
    run_in([""; 0]).refused(125, &["neither a role nor a command"]);
    assert!(run_in(["probe"]).quietly(0).out().len() > 100);
    // What only the program itself starts is not told.
    let told = run_in(["true"]).refused(125, &["probe"]).err();
    assert!(!told.contains("init") && !told.contains("cleaner") && !told.contains("selftest"), "{told}");
}

#[test]
fn bad_usage_is_125_and_help_is_0() {
    belljar(["frob"]).refused(125, &["frob"]);
    belljar([""; 0]).refused(125, &["no subcommand"]);
    run_in(["--timeout", "5x", "--", "true"]).refused(125, &["--timeout", "unit"]);
    run_in(["--net", "wifi", "--", "true"]).refused(125, &["--net", "none, host"]);
    run_in(["--keep-fd", "99", "--", "true"]).refused(125, &["--keep-fd 99"]);
    for line in [&["--help"][..], &["run", "--help"], &["help", "run"], &["--version"], &["doctor", "-h"]] {
        assert!(belljar(line).quietly(0).out().contains("belljar"), "{line:?}");
    }
}

#[test]
fn paths_that_are_missing_are_named() {
    for option in ["--bind", "--ro-bind", "--rootfs"] {
        let value = format!("{option}=/no/such\u{1b}[2Jplace");
        run_in([value.as_str(), "--", "true"]).refused(125, &["/no/such", "place"]);
    }
    run_in(["-p", "./no/such.toml", "--", "true"]).refused(125, &["no/such.toml"]);
    run_in(["-p", "no-such-profile", "--", "true"]).refused(125, &["no-such-profile"]);
    run_in(["-p", "mine.toml", "--", "true"]).refused(125, &["./mine.toml"]);
    run_in(["--set", "no.such.key=1", "--", "true"]).refused(125, &["no"]);
    run_in(["-w", "/no/such/directory", "--", "true"]).refused(125, &["/no/such/directory"]);
    run_in(["--report", "/no/such/report", "--", "true"]).refused(125, &["/no/such/report"]);
}

#[test]
fn a_limit_that_cannot_be_enforced_is_refused() {
    for options in [
        ["--limits=rlimit", "--cpus=1"],
        ["--limits=rlimit", "--cpu-weight=1"],
        ["--cgroup-parent=/no/such/group", "--memory=64M"],
        ["--cgroup-parent=/no/such/group", "--pids=10"],
        ["--cgroup-parent=/no/such/group", "--cpu-time=1s"],
    ] {
        run_in(options.iter().chain(&["--", "true"])).refused(125, &[]);
    }
}

#[test]
fn limits_end_the_program_and_one_line_says_which() {
    for (option, script, code, part) in [
        ("--timeout=300ms", "sleep 50", 124, "it ran for 300ms, its limit; raise it with --timeout"),
        ("--limits=rlimit --cpu-time=1s", "while :; do :; done", 152, "raise it with --cpu-time"),
        ("--output-limit=4K", "yes", 137, "raise it with --output-limit"),
        (
            "--file-size=4K",
            "exec dd if=/dev/zero of=/tmp/x bs=8K count=1 2>/dev/null",
            153,
            "raise it with --file-size",
        ),
    ] {
        let ran = run_in(option.split(' ').chain(["--", "sh", "-c", script]));
        let err = ran.err();
        assert_eq!(ran.code(), code, "{option}: {err}");
        assert_eq!(err.lines().count(), 1, "{option}: {err}");
        assert!(err.starts_with("belljar: sh was ended: ") && err.contains(part), "{option}: {err}");
        assert!(ran.out.len() <= 4096, "{option}: {} bytes", ran.out.len());
    }
}

#[test]
fn the_report_tells_how_it_ended() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    let option = format!("--report={}", path.display());
    let report = |args: &[&str]| -> serde_json::Value {
        run_in([option.as_str()].iter().chain(args));
        let text = fs::read_to_string(&path).expect("a report");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    };

    let exited = report(&["--", "sh", "-c", "exit 3"]);
    assert_eq!(exited["version"], 1);
    assert_eq!(exited["ended"], serde_json::json!({"kind": "exit", "code": 3}));
    assert_eq!(exited["exitCode"], 3);
    assert_eq!(exited["profile"], "strict");
    assert!(exited["wallSeconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{exited}");
    assert!(exited["maxRssBytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{exited}");
    assert_eq!(exited["protections"]["seccomp"], true, "{exited}");
    for hash in ["profileHash", "planHash"] {
        assert!(exited[hash].as_str().is_some_and(|hash| hash.len() >= 16), "{exited}");
    }
    assert_eq!(report(&["--timeout=200ms", "--", "sleep", "9"])["ended"]["kind"], "timeout");
    let signalled = report(&["--", "sh", "-c", "kill -9 $$"]);
    assert_eq!((&signalled["ended"]["name"], &signalled["exitCode"]), (&"SIGKILL".into(), &137.into()));
    for (args, code) in [(&["--", "no-such-command"][..], 127), (&["-p", "no-such", "--", "true"], 125)] {
        let failed = report(args);
        assert_eq!(failed["ended"]["kind"], "setup-error");
        assert_eq!(failed["exitCode"], code);
        assert!(failed["error"]["message"].as_str().is_some_and(|message| message.contains("no-such")));
    }
}

/// What an earlier run left must not be read as the report of one that was refused.
#[test]
fn a_refused_command_line_takes_the_place_of_an_earlier_report() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    let path = path.to_str().expect("UTF-8");
    for line in [
        &["--report", path, "--timeout", "banana", "--", "true"][..],
        &["--timeout", "banana", &format!("--report={path}"), "--", "true"],
        &["--report", path, "--no-such-option", "--", "true"],
        &["--report", path],
    ] {
        run_in(["--report", path, "--", "true"]).quietly(0);
        let refused = run_in(line);
        assert_eq!(refused.code(), 125, "{line:?}: {}", refused.err());
        let text = fs::read_to_string(path).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["ended"]["kind"], "setup-error", "{line:?}");
    }
}

#[test]
fn a_report_goes_to_descriptors_and_pipes() {
    let exit_code = |text: &str| {
        let report: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        report["exitCode"].as_u64()
    };
    for script in [
        "\"$0\" run --report /dev/stdout -- sh -c 'exit 3' | cat",
        "\"$0\" run --report /proc/self/fd/1 -- sh -c 'exit 3' | cat",
        "exec 7>&1; \"$0\" run --report-fd 7 -- sh -c 'exit 3' >/dev/null; exit 0",
        "exec 7>&1; \"$0\" run --report-fd=7 --timeout banana -- true 2>/dev/null >/dev/null; exit 0",
        "bash -c '\"$0\" run --report >(cat >&7) -- sh -c \"exit 3\"; sleep 1' \"$0\" 7>&1; exit 0",
        // A file that is also the output is written behind it: it is a descriptor.
        "\"$0\" run --report /dev/stdout -- sh -c 'exit 3' >\"$1\"; cat \"$1\"",
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("out");
        let ran = shell(script, &[file.to_str().expect("UTF-8")]);
        let expected = if script.contains("banana") { 125 } else { 3 };
        assert_eq!(exit_code(&ran.out()), Some(expected), "{script}: {}", ran.err());
    }
    let ran = shell("\"$0\" run --report-fd 9 -- true 9</dev/null", &[]);
    ran.refused(125, &["--report 9", "reading only"]);
    shell("\"$0\" run --report-fd 9 -- true", &[]).refused(125, &["--report 9", "left no descriptor"]);
}

/// The report would take the place of the output.
#[test]
fn a_report_to_the_file_of_a_stream_is_refused_and_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("out");
    let path = file.to_str().expect("UTF-8");
    for redirection in [">>\"$1\"", "2>>\"$1\""] {
        fs::write(&file, "kept\n").expect("write");
        let ran = shell(&format!("\"$0\" run --report \"$1\" -- echo hi {redirection}"), &[path]);
        assert_eq!(ran.code(), 125, "{redirection}");
        let text = fs::read_to_string(&file).expect("read");
        assert!(text.starts_with("kept\n") && !text.contains("hi\n"), "{redirection}: {text}");
    }
}

#[test]
fn times_and_sizes_are_written_as_elsewhere() {
    for (option, value) in
        [("--timeout", "1.5s"), ("--timeout", "1m30s"), ("--timeout", "90"), ("--file-size", "64m")]
    {
        run_in([option, value, "--", "true"]).quietly(0);
    }
}

#[test]
fn a_report_on_standard_error_leaves_standard_output_alone() {
    let ran = run_in(["--report", "-", "--", "echo", "hi"]);
    assert_eq!((ran.out().as_str(), ran.code()), ("hi\n", 0));
    let report: serde_json::Value = serde_json::from_slice(&ran.err).expect("JSON alone");
    assert_eq!(report["exitCode"], 0);
}

#[test]
fn a_dry_run_prints_the_plan_and_runs_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let bind = format!("--bind={}:/shared", directory.path().display());
    let line = ["--dry-run", bind.as_str(), "--", "touch", "/shared/made"];
    assert!(run_in(line).quietly(0).out().contains("touch"));
    let json = run_in(["--json"].into_iter().chain(line)).quietly(0);
    let plan: serde_json::Value = serde_json::from_slice(&json.out).expect("JSON");
    assert!(plan.is_object(), "{plan}");
    assert!(!directory.path().join("made").exists());
    // Without the dry run it is made, so the above means something.
    run_in([bind.as_str(), "--", "touch", "/shared/made"]).quietly(0);
    assert!(directory.path().join("made").exists());
}

#[test]
fn closed_streams_are_filled_and_files_stay_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let report = directory.path().join("report");
    let report = report.to_str().expect("UTF-8");
    let closings = ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"];
    for closing in closings {
        let script =
            format!("\"$0\" run --report \"$1\" -- sh -c 'cat; echo out; echo err >&2; exit 4' {closing}");
        let ran = shell(&script, &[report]);
        assert_eq!(ran.code(), 4, "{closing}: {}", ran.err());
        let text = fs::read(report).expect("a report");
        let json: serde_json::Value = serde_json::from_slice(&text).expect("the report alone");
        assert_eq!(json["exitCode"], 4);
    }
    assert_eq!(shell("\"$0\" run --timeout 0s -- true 2>&- 1>&-", &[]).code(), 125);
}

#[test]
fn only_the_environment_that_is_named_goes_in() {
    let mut command = Command::new(BELLJAR);
    command.env("BELLJAR_TEST_SECRET", "1").env("PASSED", "p q").env("LD_LIBRARY_PATH", "/nowhere");
    let ran = run(command.args(["run", "-e", "PASSED", "-e", "SET=x=y", "-e", "EMPTY=", "--", "env"]), b"");
    let out = ran.quietly(0).out();
    for line in ["PASSED=p q", "SET=x=y", "EMPTY="] {
        assert!(out.lines().any(|found| found == line), "{line}: {out}");
    }
    assert!(!out.contains("SECRET") && !out.contains("LD_LIBRARY_PATH"), "{out}");
}

#[test]
fn descriptors_are_closed_unless_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "kept\n").expect("write");
    let file = file.to_str().expect("UTF-8");
    let ran = shell("exec 5<\"$1\"; exec \"$0\" run --keep-fd 5 -- sh -c 'cat <&5'", &[file]).quietly(0);
    assert_eq!(ran.out(), "kept\n");
    let ran = shell("exec 5<\"$1\"; exec \"$0\" run -- sh -c 'cat <&5'", &[file]);
    assert_ne!(ran.code(), 0);
    assert_eq!(ran.out(), "");
}

/// belljar with the default disposition of each signal: what is ignored from the start stays ignored, and
/// under nohup(1) or in a shell's background these tests would have some that is.
fn by_default() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", BELLJAR]);
    command
}

/// Starts `belljar run -- sh -c SCRIPT` and waits for its first line.
fn started(command: &mut Command, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = start(command.args(["run", "--timeout=30s", "--", "sh", "-c", script]));
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("read");
    if line != "ready\n" {
        panic!("{line:?}: {}", finish(child, b"", "belljar").err());
    }
    (child, out)
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
    kill(pid, signal).expect("kill");
}

#[test]
fn signals_reach_the_program() {
    use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH] {
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!("trap 'exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        let (child, _out) = started(&mut by_default(), &script);
        send(&child, signal);
        let ran = finish(child, b"", name);
        // The shell says what a signal did to the `sleep` that it waits for, which belongs to the same group.
        assert!(ran.code() == 9 && !ran.err().contains("belljar"), "{signal}: {ran:?}");
    }
}

/// The program takes the first as it likes.
#[test]
fn a_second_interrupt_that_is_sent_ends_the_run_by_force() {
    let script = "n=0; trap 'n=$((n+1)); echo $n' INT; echo ready; while :; do sleep 0.02; done";
    let (child, mut out) = started(&mut by_default(), script);
    send(&child, Signal::SIGINT);
    let mut line = String::new();
    out.read_line(&mut line).expect("read");
    assert_eq!(line, "1\n");
    send(&child, Signal::SIGINT);
    assert_eq!(finish(child, b"", "two interrupts").code(), 130);
}

#[test]
fn a_signal_that_nobody_handles_ends_it_as_it_would_without_belljar() {
    let (child, _out) = started(&mut by_default(), "echo ready; exec sleep 50");
    send(&child, Signal::SIGTERM);
    finish(child, b"", "SIGTERM").quietly(143);
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let mut command = Command::new(BELLJAR);
    // SAFETY: signal(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::signal(Signal::SIGHUP, nix::sys::signal::SigHandler::SigIgn)?;
            Ok(())
        });
    }
    let (child, _out) = started(&mut command, "trap 'exit 8' TERM; echo ready; while :; do sleep 0.02; done");
    send(&child, Signal::SIGHUP);
    send(&child, Signal::SIGTERM);
    assert_eq!(finish(child, b"", "nohup").code(), 8);
}

#[test]
fn profiles_are_listed_shown_and_checked() {
    let list = belljar(["profile", "list"]).quietly(0).out();
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["strict", "standard", "build", "network", "container", "lite"] {
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}: {list}");
        assert!(!belljar(["profile", "show", name]).quietly(0).out.is_empty());
        let effective = belljar(["profile", "show", name, "--effective"]).quietly(0).out;
        let file = directory.path().join(format!("{name}.toml"));
        fs::write(&file, effective).expect("write");
        assert_eq!(belljar(["profile", "check", file.to_str().expect("UTF-8")]).quietly(0).out(), "");
    }
    belljar(["profile", "show", "no-such"]).refused(125, &["no-such"]);
}

#[test]
fn broken_profiles_are_refused_with_a_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("write");
        path.to_str().expect("UTF-8").to_owned()
    };
    let mut broken = vec![
        (write("syntax.toml", b"extends = \"strict\"\nhostname = = 3\n"), "2"),
        (write("key.toml", b"extends = \"strict\"\nhostnam = \"x\"\n"), "hostname"),
        (write("type.toml", b"extends = \"strict\"\nhostname = 3\n"), "hostname"),
        (write("utf8.toml", b"hostname = \"\xff\"\n"), "UTF-8"),
        (write("big.toml", &b"# nothing but a comment\n".repeat(450_000)), "big.toml"),
        (write("deep.toml", format!("x = {}\n", "[".repeat(20_000)).as_bytes()), "deep.toml"),
        (write("tables.toml", format!("[{}]\n", vec!["a"; 20_000].join(".")).as_bytes()), "tables.toml"),
        (write("escape.toml", b"\"\\u001b[2J\\nbelljar: fine\" = 1\n"), "escape.toml"),
        (write("a.toml", b"extends = \"./b.toml\"\n"), "a.toml"),
        (directory.path().to_str().expect("UTF-8").to_owned(), ""),
        (directory.path().join("missing.toml").to_str().expect("UTF-8").to_owned(), "missing.toml"),
    ];
    write("b.toml", b"extends = \"./a.toml\"\n");
    let pipe = directory.path().join("pipe.toml");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    broken.push((pipe.to_str().expect("UTF-8").to_owned(), "pipe.toml"));
    broken.push(("/dev/zero".to_owned(), "/dev/zero"));
    for (file, reason) in &broken {
        belljar(["profile", "check", file]).refused(125, &[reason]);
        run_in(["-p", file, "--", "true"]).refused(125, &[reason]);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for what in ["man", "man run", "completions bash", "--help"] {
        let ran = shell(&format!("(\"$0\" {what}; echo $? >&3) 3>&2 | true"), &[]);
        assert_eq!(ran.err(), "0\n", "{what}");
    }
}

#[test]
fn manual_and_completions_are_printed() {
    assert!(belljar(["man"]).quietly(0).out().contains(".TH belljar 1"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(belljar(["completions", shell]).quietly(0).out().contains("belljar"));
    }
}

#[test]
fn the_log_is_on_standard_error_alone() {
    let ran = run_in(["-vvv", "--", "echo", "hi"]);
    assert_eq!((ran.out().as_str(), ran.code()), ("hi\n", 0));
    assert!(ran.err().lines().all(|line| line.starts_with("belljar: ")), "{}", ran.err());
    assert_ne!(ran.err(), "");
}

#[test]
fn borrowed_rights_are_refused() {
    if !support::is_root() {
        return; // Only root can give a copy to another user.
    }
    let directory = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let flags = nix::sys::statvfs::statvfs(directory.path()).expect("statvfs").flags();
    assert!(
        !flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID),
        "this test needs a /var/tmp without nosuid"
    );
    let copy = directory.path().join("belljar");
    fs::copy(BELLJAR, &copy).expect("copy");
    std::os::unix::fs::chown(&copy, Some(65534), Some(65534)).expect("chown");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).expect("chmod");
    run(Command::new(&copy).args(["run", "--", "true"]), b"").refused(125, &["set-user-ID", "chmod u-s"]);
    run(Command::new(&copy).arg("--version"), b"").refused(125, &["set-user-ID"]);
}
