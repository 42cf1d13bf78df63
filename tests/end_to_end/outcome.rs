//! How a run ended, in every way that it can: exit code, message, report; and that the limits hold for all
//! that the program does.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::caller::{self, Caller, Run};
use crate::leftovers::gone_within;
use crate::need::{Need, trial};

type Check = fn(Caller) -> Result<(), Failed>;

const CHECKS: &[(&str, &[&str], Check)] = &[
    ("exit_codes_pass_through", &[], exit_codes_pass_through),
    ("signals_are_128_and_more", &[], signals_are_128_and_more),
    ("every_report_has_its_fields", &[], every_report_has_its_fields),
    ("a_time_limit_ends_everything", &[], a_time_limit_ends_everything),
    ("cpu_time_is_limited", &[], cpu_time_is_limited),
    ("a_files_size_is_limited", &[], a_files_size_is_limited),
    ("a_flood_is_cut_at_the_limit", &[], a_flood_is_cut_at_the_limit),
    ("a_flood_costs_no_memory", &[], a_flood_costs_no_memory),
    ("a_reader_who_does_not_read_holds_nothing_up", &[], a_reader_who_does_not_read_holds_nothing_up),
    ("output_is_whole_for_a_slow_reader", &[], output_is_whole_for_a_slow_reader),
    ("who_asks_twice_need_not_wait_for_a_reader", &[], who_asks_twice_need_not_wait_for_a_reader),
    ("a_seccomp_kill_is_named", &[], a_seccomp_kill_is_named),
    ("limits_without_a_control_group_are_refused", &[], limits_without_a_control_group_are_refused),
    ("all_seven_signals_reach_the_program", &["bash"], all_seven_signals_reach_the_program),
    ("what_cannot_be_executed", &[], what_cannot_be_executed),
    ("hints_lead_to_a_run", &[], hints_lead_to_a_run),
];

/// Each ending, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        for (name, programs, check) in CHECKS {
            let needs: Vec<Need> =
                needs.iter().copied().chain(programs.iter().map(|name| Need::Program(name))).collect();
            trials.push(trial(format!("outcome::{name} as {caller:?}"), &needs, move || check(caller)));
        }
    }
    trials
}

/// A shell script inside, with options.
fn shell(caller: Caller, options: &[&str], script: &str) -> Run {
    caller::run(caller, ["run"].iter().chain(options).chain(&["--", "sh", "-c", script]))
}

/// The same with a report: the run, and the report that it wrote.
fn reported(caller: Caller, args: &[&str]) -> Result<(Run, Value), Failed> {
    let directory = caller::directory(caller);
    let path = directory.path().join("report");
    let option = format!("--report={}", path.display());
    let run = caller::run(caller, ["run", &option].iter().chain(args));
    let text = fs::read(&path).map_err(|error| format!("{error}: {run:#?}"))?;
    let report = serde_json::from_slice(&text).map_err(|error| format!("{error}: {run:#?}"))?;
    Ok((run, report))
}

fn check(holds: bool, what: impl std::fmt::Debug) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{what:#?}").into()) }
}

/// Starts belljar with its streams piped.
fn start(caller: Caller, args: &[&str]) -> Result<Child, Failed> {
    let mut command = caller::belljar(caller, args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn().map_err(|error| error.to_string())?)
}

/// Waits for belljar's end, for so long.
fn ends_within(child: &mut Child, patience: Duration) -> Result<std::process::ExitStatus, Failed> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        if began.elapsed() > patience {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Err(format!("it still ran after {patience:?}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) -> Result<(), Failed> {
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, signal).map_err(|errno| format!("kill: {errno}").into())
}

fn exit_codes_pass_through(caller: Caller) -> Result<(), Failed> {
    for code in [0, 1, 42, 124, 126, 127, 128, 255] {
        let run = shell(caller, &[], &format!("exit {code}"));
        check(run.code == Some(code) && run.stderr.is_empty() && run.stdout.is_empty(), (code, run))?;
    }
    Ok(())
}

fn signals_are_128_and_more(caller: Caller) -> Result<(), Failed> {
    for (number, name, told) in [
        (libc::SIGSEGV, "SIGSEGV", true),
        (libc::SIGKILL, "SIGKILL", true),
        (libc::SIGABRT, "SIGABRT", true),
        (libc::SIGBUS, "SIGBUS", true),
        (libc::SIGTERM, "SIGTERM", false),
        (libc::SIGPIPE, "SIGPIPE", false),
        // By glibc's count, with any C library of belljar's own: musl's own is 35.
        (34, "SIGRTMIN", true),
        (37, "SIGRTMIN+3", true),
    ] {
        let script = format!("kill -{number} $$; sleep 5");
        let (run, report) = reported(caller, &["--", "sh", "-c", &script])?;
        let line = format!("belljar: sh was ended by signal {number} ({name})\n");
        let line = if told { line } else { String::new() };
        check(run.code == Some(128 + number) && run.stderr == line, &run)?;
        let ended = json!({"kind": "signal", "signal": number, "name": name, "coreDumped": false});
        check(report["ended"] == ended && report["exitCode"] == 128 + number, &report)?;
    }
    Ok(())
}

fn every_report_has_its_fields(caller: Caller) -> Result<(), Failed> {
    let sh = |script: &'static str| ["--", "sh", "-c", script];
    let directory = caller::directory(caller);
    let profile = directory.path().join("kill.toml");
    caller::file(caller, &profile, KILL_MKDIR);
    let profile = profile.to_str().expect("UTF-8");
    let cases: [(&[&str], [&str; 4], Value, i32); 7] = [
        (&[], sh("exit 3"), json!({"kind": "exit", "code": 3}), 3),
        (
            &[],
            sh("kill -TERM $$"),
            json!({"kind": "signal", "signal": 15, "name": "SIGTERM", "coreDumped": false}),
            143,
        ),
        (&["--timeout=200ms"], sh("sleep 9"), json!({"kind": "timeout", "limitSeconds": 0.2}), 124),
        (&["--output-limit=64K"], sh("yes"), json!({"kind": "output-limit", "limitBytes": 65536}), 137),
        (&["--file-size=1K"], sh("exec head -c 2000 /dev/zero >/tmp/x"), json!({"kind": "file-size"}), 153),
        (&["-p", profile], ["--", "mkdir", "/tmp/a", "/tmp/b"], json!({"kind": "seccomp"}), 159),
        (&["--limits=rlimit", "--cpus=9"], sh("true"), json!({"kind": "setup-error"}), 125),
    ];
    for (options, task, ended, code) in cases {
        let (run, report) = reported(caller, &[options, &task].concat())?;
        check(run.code == Some(code), (&run, &report))?;
        check(report["version"] == 1 && report["ended"] == ended && report["exitCode"] == code, &report)?;
        let object = report.as_object().ok_or("no object")?;
        let mut fields: Vec<&str> = object.keys().map(String::as_str).collect();
        fields.sort_unstable();
        if code == 125 {
            check(fields == ["ended", "error", "exitCode", "version"], &report)?;
            check(
                report["error"]["message"].as_str().is_some_and(|text| text.contains("cpu.quota")),
                &report,
            )?;
            check(report["error"]["hints"].as_array().is_some_and(|hints| !hints.is_empty()), &report)?;
            continue;
        }
        let expected = [
            "contextSwitches",
            "ended",
            "exitCode",
            "maxRssBytes",
            "planHash",
            "profile",
            "profileHash",
            "protections",
            "systemSeconds",
            "userSeconds",
            "version",
            "wallSeconds",
        ];
        check(fields == expected, &report)?;
        let wall = report["wallSeconds"].as_f64().unwrap_or(-1.0);
        let cpu =
            report["userSeconds"].as_f64().unwrap_or(-1.0) + report["systemSeconds"].as_f64().unwrap_or(-1.0);
        check(wall > 0.0 && wall < 60.0 && (0.0..10.0).contains(&cpu), &report)?;
        if ended["kind"] == "timeout" {
            check((0.2..15.0).contains(&wall), &report)?;
        }
        let holds = &report["protections"];
        let inside = holds["newRoot"] == true
            && holds["noNewPrivileges"] == true
            && holds["landlock"] == true
            && holds["seccomp"] == true
            && holds["capabilities"] == 0
            && holds["bounding"] == 0
            && holds["uid"].as_u64().is_some_and(|uid| uid > 0)
            && holds["namespaces"].as_array().is_some_and(|names| names.len() == 7);
        check(inside, &report)?;
    }
    Ok(())
}

fn a_time_limit_ends_everything(caller: Caller) -> Result<(), Failed> {
    let scripts = [
        ("ignores", "trap '' TERM INT HUP QUIT USR1 USR2 PIPE; while :; do sleep 0.1; done"),
        (
            "daemons",
            "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP; (sleep 77 & sleep 78) &' &); done; sleep 79",
        ),
        ("stopped", "kill -STOP $$"),
        ("children_stopped", "sleep 50 & kill -STOP $!; wait"),
        ("holds_its_output", "(setsid sleep 76 &) ; exec sleep 75"),
    ];
    for profile in ["strict", "lite"] {
        for (name, script) in scripts {
            let mark = format!("belljar-mark-{name}-{profile}-{caller:?}");
            let script = format!(": {mark}; {script}");
            let began = Instant::now();
            let run = shell(caller, &["-p", profile, "--timeout=400ms"], &script);
            let took = began.elapsed();
            let line = "belljar: sh was ended: it ran for 400ms, its limit; raise it with --timeout\n";
            check(run.code == Some(124) && run.stderr == line, (name, profile, &run))?;
            check((0.4..20.0).contains(&took.as_secs_f64()), (name, took))?;
            gone_within(&mark, Duration::from_secs(2))?;
        }
    }
    Ok(())
}

fn cpu_time_is_limited(caller: Caller) -> Result<(), Failed> {
    let line = "belljar: sh was ended: it used up its CPU time of 1s; raise it with --cpu-time\n";
    // One process's: that of the whole sandbox needs a control group (tests/limits).
    const LIMIT: [&str; 2] = ["--limits=rlimit", "--cpu-time=1s"];
    let (run, report) = reported(caller, &[&LIMIT[..], &["--", "sh", "-c", "while :; do :; done"]].concat())?;
    check(run.code == Some(152) && run.stderr == line, &run)?;
    check(report["ended"] == json!({"kind": "cpu-limit"}) && report["exitCode"] == 152, &report)?;
    // The limit goes by the clock's ticks, the report by what was used.
    let cpu =
        report["userSeconds"].as_f64().unwrap_or(-1.0) + report["systemSeconds"].as_f64().unwrap_or(-1.0);
    check((0.5..3.0).contains(&cpu), &report)?;
    // One that ignores the signal gets another second, and then one that it cannot ignore; the message says
    // why that may be.
    let (run, report) =
        reported(caller, &[&LIMIT[..], &["--", "sh", "-c", "trap '' XCPU; while :; do :; done"]].concat())?;
    check(run.code == Some(137) && report["ended"]["name"] == "SIGKILL", (&run, &report))?;
    check(run.stderr.starts_with("belljar: sh was ended by signal 9 (SIGKILL); it had used "), &run)?;
    check(run.stderr.ends_with(" of CPU time, with a limit of 1s: raise it with --cpu-time\n"), &run)?;
    let run = shell(caller, &LIMIT, "kill -9 $$");
    check(run.stderr == "belljar: sh was ended by signal 9 (SIGKILL)\n", run)?;
    // Sleeping uses none; a child's end is its parent's to see.
    let run = shell(caller, &LIMIT, "sleep 1.2; (while :; do :; done); echo $?");
    check(run.code == Some(0) && run.stdout == "152\n", run)
}

fn a_files_size_is_limited(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let bind = format!("--bind={}:/out", directory.path().display());
    for place in ["/tmp/x", "/out/x", "/dev/shm/x"] {
        let script = format!("exec head -c 20000 /dev/zero >{place}");
        let run = shell(caller, &[&bind, "--file-size=8K"], &script);
        // The shell has become head: the name is that of what was started.
        let line = "belljar: sh was ended: a file that it wrote went over the limit of 8KiB; raise it with --file-size\n";
        check(run.code == Some(153) && run.stderr == line, (place, &run))?;
    }
    let size = fs::metadata(directory.path().join("x")).map_err(|error| error.to_string())?.len();
    check(size == 8192, size)?;
    // One that ignores the signal sees an error of its own.
    let run = shell(
        caller,
        &["--file-size=8K"],
        "trap '' XFSZ; head -c 20000 /dev/zero >/tmp/x; stat -c %s /tmp/x",
    );
    check(run.code == Some(0) && run.stdout == "8192\n" && run.stderr.contains("File too large"), &run)?;
    // Pipes are no files.
    let run = shell(caller, &["--file-size=8K"], "head -c 20000 /dev/zero | wc -c");
    check(run.code == Some(0) && run.stdout == "20000\n", run)
}

fn a_flood_is_cut_at_the_limit(caller: Caller) -> Result<(), Failed> {
    let cases = [
        "exec head -c 10G /dev/zero",
        "exec head -c 10G /dev/zero >&2",
        "head -c 10G /dev/zero & exec head -c 10G /dev/zero >&2",
        "trap '' PIPE TERM; while :; do yes 2>/dev/null; done",
    ];
    for script in cases {
        let began = Instant::now();
        let run = shell(caller, &["--output-limit=3M"], script);
        let took = began.elapsed();
        let line =
            "belljar: sh was ended: its output went over the limit of 3MiB; raise it with --output-limit\n";
        let told = run.stderr.strip_suffix(line).map(str::len);
        let written = told.map(|told| told + run.bytes.len());
        check(run.code == Some(137) && written == Some(3 << 20), (script, run.code, run.bytes.len(), told))?;
        check(took < Duration::from_secs(20), (script, took))?;
    }
    // Exactly the limit is allowed.
    let run = shell(caller, &["--output-limit=1M"], "head -c 1048576 /dev/zero");
    check(run.code == Some(0) && run.bytes.len() == 1 << 20 && run.stderr.is_empty(), (run.code, run.stderr))
}

fn a_flood_costs_no_memory(caller: Caller) -> Result<(), Failed> {
    let mut command = caller::belljar(
        caller,
        ["run", "--output-limit=10G", "--timeout=50s", "--", "head", "-c", "400M", "/dev/zero"],
    );
    let mut child = command.stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut seen) = (0u64, 0);
    let ended = loop {
        if let Some(ended) = child.try_wait().map_err(|error| error.to_string())? {
            break ended;
        }
        // A zombie has no such line.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) {
            peak = peak.max(kib * 1024);
            seen += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    check(ended.success() && seen > 10 && peak > 0 && peak < 32 << 20, (ended, seen, peak))
}

/// A program that fills every pipe and ends, or goes on.
fn a_reader_who_does_not_read_holds_nothing_up(caller: Caller) -> Result<(), Failed> {
    for limit in [&["--output-limit=1G"][..], &[]] {
        let args = [&["run", "--timeout=300ms"], limit, &["--", "yes"]].concat();
        let mut child = start(caller, &args)?;
        let status = ends_within(&mut child, Duration::from_secs(20))?;
        check(status.code() == Some(124), status)?;
    }
    Ok(())
}

fn output_is_whole_for_a_slow_reader(caller: Caller) -> Result<(), Failed> {
    let mut child = start(caller, &["run", "--output-limit=1G", "--", "head", "-c", "130000", "/dev/zero"])?;
    std::thread::sleep(Duration::from_millis(500));
    let mut all = Vec::new();
    let mut output = child.stdout.take().ok_or("not piped")?;
    output.read_to_end(&mut all).map_err(|error| error.to_string())?;
    let status = ends_within(&mut child, Duration::from_secs(20))?;
    check(status.success() && all.len() == 130_000, (status, all.len()))
}

fn who_asks_twice_need_not_wait_for_a_reader(caller: Caller) -> Result<(), Failed> {
    // More than one pipe holds, less than two: the program ends, and its output is still to be read.
    let mut child = start(caller, &["run", "--output-limit=1G", "--", "head", "-c", "100000", "/dev/zero"])?;
    std::thread::sleep(Duration::from_millis(700));
    check(child.try_wait().map_err(|error| error.to_string())?.is_none(), "it did not wait for its reader")?;
    send(&child, Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(100));
    check(
        child.try_wait().map_err(|error| error.to_string())?.is_none(),
        "one request took the output away",
    )?;
    send(&child, Signal::SIGTERM)?;
    let status = ends_within(&mut child, Duration::from_secs(20))?;
    check(status.signal() == Some(libc::SIGTERM), status)
}

const KILL_MKDIR: &str = "extends = \"strict\"\n[seccomp]\nsyscalls = [ { names = [\"mkdir\", \"mkdirat\"], action = \"kill\" } ]\n";
const KILL_MKDIR_OCI: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;

fn a_seccomp_kill_is_named(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let path = |name: &str| directory.path().join(name).display().to_string();
    caller::file(caller, Path::new(&path("kill.toml")), KILL_MKDIR);
    caller::file(caller, Path::new(&path("kill.json")), KILL_MKDIR_OCI);
    caller::file(
        caller,
        Path::new(&path("oci.toml")),
        format!("extends = \"strict\"\n[seccomp]\nprofile = \"{}\"\n", path("kill.json")),
    );
    let set = format!("seccomp.profile={}", path("kill.json"));
    for options in [["-p", &path("kill.toml")], ["-p", &path("oci.toml")], ["--set", &set]] {
        let (run, report) = reported(caller, &[&options[..], &["--", "mkdir", "/tmp/made"]].concat())?;
        check(run.code == Some(159), (options, &run))?;
        check(run.stderr.starts_with("belljar: mkdir was killed by the system-call filter (profile "), &run)?;
        check(run.stderr.lines().count() == 1 && report["ended"] == json!({"kind": "seccomp"}), &report)?;
        // Everything else goes on as before.
        let run = caller::run(caller, ["run"].iter().chain(&options).chain(&["--", "ls", "-d", "/tmp"]));
        check(run.succeeded()? == "/tmp\n", run)?;
        // A child's end is its parent's to see.
        let run = shell(caller, &options, "(mkdir /tmp/made) 2>/dev/null; echo $?; ls /tmp");
        check(run.stdout == "159\n", run)?;
    }
    Ok(())
}

fn limits_without_a_control_group_are_refused(caller: Caller) -> Result<(), Failed> {
    for option in ["--memory=64M", "--pids=10", "--cpus=1.5", "--cpu-weight=7", "--cpu-time=1s"] {
        let directory = caller::directory(caller);
        let bind = format!("--bind={}:/out", directory.path().display());
        let parent = "--cgroup-parent=/belljar/no/such/group";
        let run = shell(caller, &[option, parent, &bind], "touch /out/ran");
        run.refused(125, &["control group", "no/such/group", "\nhint: "])?;
        check(!directory.path().join("ran").exists(), "it ran")?;
    }
    Ok(())
}

fn all_seven_signals_reach_the_program(caller: Caller) -> Result<(), Failed> {
    let script = "for s in TERM INT HUP QUIT USR1 USR2 WINCH; do trap \"echo $s\" $s; done; trap 'echo end; exit 0' USR2; \
                  echo ready; while :; do sleep 0.02; done";
    let mut child = start(caller, &["run", "--timeout=50s", "--", "bash", "-c", script])?;
    let mut output = std::io::BufReader::new(child.stdout.take().ok_or("not piped")?);
    let mut expect = |line: &str| -> Result<(), Failed> {
        let mut found = String::new();
        std::io::BufRead::read_line(&mut output, &mut found).map_err(|error| error.to_string())?;
        check(found.trim_end() == line, (line, found))
    };
    expect("ready")?;
    use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH};
    // A second TERM or INT would end the run by force.
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGWINCH, SIGUSR1, SIGHUP] {
        send(&child, signal)?;
        expect(signal.as_str().trim_start_matches("SIG"))?;
    }
    send(&child, Signal::SIGUSR2)?;
    expect("end")?;
    let status = ends_within(&mut child, Duration::from_secs(20))?;
    check(status.code() == Some(0), status)
}

/// The first `from` in a program's bytes, replaced.
fn patched(program: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>, Failed> {
    let at = program.windows(from.len()).position(|window| window == from).ok_or("not in the program")?;
    let mut patched = program.to_vec();
    patched[at..at + to.len()].copy_from_slice(to);
    Ok(patched)
}

fn what_cannot_be_executed(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let own = fs::read("/bin/true").map_err(|error| error.to_string())?;
    let mut foreign = own.clone();
    // e_machine (elf(5)): the other of the two that belljar knows.
    let (machine, name) = if cfg!(target_arch = "x86_64") { (183u16, "aarch64") } else { (62, "x86-64") };
    foreign[18..20].copy_from_slice(&machine.to_le_bytes());
    let files: [(&str, Vec<u8>, u32); 8] = [
        ("data", b"1,2,3\n".to_vec(), 0o644),
        ("text", b"no first line\n".to_vec(), 0o755),
        ("empty", Vec::new(), 0o755),
        ("script", b"#!/opt/no/such/interpreter -x\n".to_vec(), 0o755),
        ("dos", b"#!/bin/sh\r\nexit 0\r\n".to_vec(), 0o755),
        ("foreign", foreign, 0o755),
        ("loader", patched(&own, b"/ld-linux", b"/no-linux")?, 0o755),
        ("cut", own[..50].to_vec(), 0o755),
    ];
    for (name, content, mode) in files {
        let path = directory.path().join(name);
        caller::file(caller, &path, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(|error| error.to_string())?;
    }
    let bind = format!("--ro-bind={}:/files", directory.path().display());
    let outside = directory.path().join("dos").display().to_string();
    let show = format!("hint: show it with --ro-bind {}", directory.path().display());
    let cases: &[(&str, i32, &[&str])] = &[
        ("no-such-program", 127, &["was not found in PATH="]),
        ("/files/none", 127, &["/files/none", "was not found"]),
        ("/files/data/none", 127, &["was not found"]),
        ("", 127, &["the name is empty"]),
        (&outside, 127, &["on the host, which the sandbox does not see", &show]),
        ("/files", 126, &["is a directory"]),
        ("/usr/bin/..", 126, &["is a directory"]),
        ("/dev/null", 126, &["is not executable"]),
        ("/files/data", 126, &["is not executable", "hint: chmod +x"]),
        ("/files/text", 126, &["neither a program nor a script", "hint: name its interpreter"]),
        ("/files/empty", 126, &["neither a program nor a script"]),
        ("/files/cut", 126, &["neither a program nor a script"]),
        (
            "/files/script",
            126,
            &["interpreter \"/opt/no/such/interpreter\"", "--ro-bind /opt/no/such/interpreter"],
        ),
        ("/files/dos", 126, &["DOS line endings"]),
        ("/files/foreign", 126, &["is a program for", name]),
        ("/files/loader", 126, &["wants the loader", "no-linux", "--ro-bind"]),
    ];
    for (program, code, words) in cases {
        let run = caller::run(caller, ["run", &bind, "--", program]);
        run.refused(*code, words).map_err(|error| format!("{program}: {error}"))?;
        check(run.stdout.is_empty(), run)?;
    }
    Ok(())
}

/// What a newcomer types first, and the hints that follow, to the end.
fn hints_lead_to_a_run(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let draft = directory.path().join("draft");
    caller::file(caller, &draft, "#!/bin/sh\necho ran in $PWD\n");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    let bin = directory.path().join("bin");
    fs::create_dir(&bin).map_err(|error| error.to_string())?;
    caller::give(caller, &bin);
    let path = directory.path().display().to_string();
    let run = |args: &[&str]| {
        let mut command = caller::belljar(caller, ["run"].iter().chain(args));
        command.current_dir(directory.path()).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        caller::finish(command)
    };
    // A script in the working directory.
    let first = run(&["--", "./draft"]);
    let hint = format!("hint: show it with --ro-bind {path}, and start there with --workdir {path}\n");
    check(first.code == Some(127) && first.stderr.ends_with(&hint), &first)?;
    check(run(&["--ro-bind", &path, "--", "./draft"]).succeeded()? == format!("ran in {path}\n"), "")?;
    let elsewhere = run(&["--ro-bind", &path, "--set", "process.cwd=/usr", "--", "./draft"]);
    let hint = format!("hint: start there with --workdir {path}\n");
    check(elsewhere.code == Some(127) && elsewhere.stderr.ends_with(&hint), &elsewhere)?;
    // What is shown by a relative path is found by it.
    check(run(&["--ro-bind", "draft", "--", "sh", "draft"]).succeeded()? == format!("ran in {path}\n"), "")?;
    check(
        run(&["--ro-bind", &path, "--workdir", &path, "--", "./draft"]).succeeded()?
            == format!("ran in {path}\n"),
        "",
    )?;
    check(run(&["-p", "build", "--", "./draft"]).succeeded()? == format!("ran in {path}\n"), "")?;
    // A program that only the caller's PATH leads to.
    fs::rename(&draft, bin.join("tool")).map_err(|error| error.to_string())?;
    let tool = bin.join("tool").display().to_string();
    let first = run(&["--", "tool"]);
    let hint = format!("hint: show it with --ro-bind {path}, and run {tool}\n");
    check(first.code == Some(127) && first.stderr.ends_with(&hint), &first)?;
    let second = run(&["--ro-bind", &path, "--", "tool"]);
    let hint = format!("hint: run {tool}, or set PATH with --env PATH=...\n");
    check(second.code == Some(127) && second.stderr.ends_with(&hint), &second)?;
    let ran = format!("ran in {path}\n");
    check(run(&["--ro-bind", &path, "--", &tool]).succeeded()? == ran, "")?;
    let env = format!("PATH={}:/usr/bin:/bin", bin.display());
    check(run(&["--ro-bind", &path, "--env", &env, "--", "tool"]).succeeded()? == ran, "")
}
