//! Bombs: memory of every kind, processes, CPU time, output, zombies.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::json;

use crate::Check;
use crate::need::Need;
use crate::parent::{Parent, check};

const PYTHON: &[Need] = &[Need::Program("python3")];

pub const CHECKS: &[(&str, &[Need], Check)] = &[
    ("anonymous_memory", &[], |parent| memory(parent, &["tail", "/dev/zero"])),
    ("memory_in_a_child", &[], |parent| memory(parent, &["sh", "-c", "tail /dev/zero; sleep 50"])),
    ("memory_in_a_daemon", &[], |parent| {
        memory(parent, &["sh", "-c", "(setsid tail /dev/zero </dev/null &) ; sleep 50"])
    }),
    ("memory_in_a_tmpfs", &[], |parent| {
        memory(parent, &["sh", "-c", "head -c 200M /dev/zero >/big/x; sleep 50"])
    }),
    ("memory_in_dev_shm", &[], |parent| {
        memory(parent, &["sh", "-c", "head -c 200M /dev/zero >/dev/shm/x; sleep 50"])
    }),
    ("memory_in_a_memfd", PYTHON, |parent| {
        let script = "import os\nfd = os.memfd_create('x')\nwhile True: os.write(fd, b'x' * (1 << 20))";
        memory(parent, &["python3", "-c", script])
    }),
    ("memory_in_system_v_shm", PYTHON, |parent| {
        let script = "import ctypes, time\nc = ctypes.CDLL(None)\nc.shmat.restype = ctypes.c_void_p\nn = 200 << 20\n\
                      at = c.shmat(c.shmget(0, n, 0o1600), None, 0)\nctypes.memset(at, 1, n)\ntime.sleep(50)";
        memory_with(parent, "standard", &["python3", "-c", script])
    }),
    ("memory_of_many_children", &[], |parent| {
        let script = "for i in 1 2 3 4 5 6 7 8; do head -c 20M /dev/zero | tail & done; wait; sleep 50";
        memory(parent, &["sh", "-c", script])
    }),
    ("the_page_cache_is_given_back", &[], page_cache),
    ("a_fork_bomb_that_gives_up", &[], fork_bomb),
    ("a_fork_bomb_that_goes_on", &[], endless_fork_bomb),
    ("refused_processes_that_the_program_survives", PYTHON, survived),
    ("threads_count_as_processes", PYTHON, threads),
    ("sixteen_busy_children_share_the_cpu_time", &[], cpu_time),
    ("a_quota_of_cpus_holds", &[], cpus),
    ("a_sleeper_ends_at_its_time", &[], sleeper),
    ("a_flood_of_output", &[], flood),
    ("a_flood_of_output_that_is_cut", &[], cut_flood),
    ("what_holds_the_pipe_does_not_hold_up_the_end", PYTHON, held_pipe),
    ("ten_thousand_orphans", &[], orphans),
];

/// Ended for its memory: the whole of it, at once, and it is said so.
fn memory(parent: &Parent, task: &[&str]) -> Result<(), Failed> {
    memory_with(parent, "strict", task)
}

fn memory_with(parent: &Parent, profile: &str, task: &[&str]) -> Result<(), Failed> {
    let began = Instant::now();
    let options = ["-p", profile, "--memory=48M", "--tmpfs=/big:1G", "--timeout=40s"];
    let (run, report) = parent.run(&options, task)?;
    let line = format!("belljar: {} was ended: memory limit 48MiB reached (peak 4", task[0]);
    let said = run.stderr.lines().last().unwrap_or_default();
    check(said.starts_with(&line) && said.ends_with("; raise it with --memory"), &run)?;
    check(run.code == Some(137) && report["exitCode"] == 137, (&run, &report))?;
    check(report["ended"]["kind"] == "memory-limit" && report["ended"]["limitBytes"] == 48 << 20, &report)?;
    check(report["cgroup"]["events"]["oomKills"].as_u64() > Some(0), &report)?;
    let peak = report["cgroup"]["usage"]["memoryPeakBytes"].as_u64();
    // v2 counts the peak since Linux 5.19.
    check(peak.is_none_or(|peak| (40 << 20..=48 << 20).contains(&peak)), &report)?;
    check(began.elapsed() < Duration::from_secs(30), began.elapsed())
}

fn page_cache(parent: &Parent) -> Result<(), Failed> {
    let bind = format!("--bind={}:/out", parent.directory.path().display());
    let script = "head -c 150M /dev/zero >/out/x && cat /out/x >/dev/null && rm /out/x";
    let (run, report) = parent.shell(&["--memory=48M", &bind, "--file-size=1G"], script)?;
    check(run.code == Some(0) && run.stderr.is_empty(), (&run, &report))?;
    check(report["ended"] == json!({"kind": "exit", "code": 0}), &report)
}

fn fork_bomb(parent: &Parent) -> Result<(), Failed> {
    let (run, report) = parent.shell(
        &["--pids=24", "--timeout=20s"],
        "f() { f | f & }; f; i=0; while [ $i -lt 500000 ]; do i=$((i + 1)); done; exit 3",
    )?;
    check(run.code == Some(3), &run)?;
    check(report["ended"] == json!({"kind": "pids-limit", "limit": 24}), &report)?;
    let line =
        "belljar: sh failed after the kernel refused it a process: limit of 24 reached; raise it with --pids";
    check(run.stderr.lines().last() == Some(line), &run)?;
    check(report["cgroup"]["events"]["pidsRefused"].as_u64() > Some(0), &report)?;
    let peak = report["cgroup"]["usage"]["pidsPeak"].as_u64();
    check(peak.is_none_or(|peak| peak == 24), &report)
}

fn endless_fork_bomb(parent: &Parent) -> Result<(), Failed> {
    let began = Instant::now();
    let script = "trap '' TERM; f() { while :; do f & done; }; f 2>/dev/null; while :; do :; done";
    let (run, report) = parent.shell(&["--pids=24", "--timeout=1s", "--output-limit=1M"], script)?;
    check(report["ended"]["kind"] == "timeout" || report["ended"]["kind"] == "pids-limit", (&run, &report))?;
    check(report["cgroup"]["events"]["pidsRefused"].as_u64() > Some(0), &report)?;
    check(run.stderr.contains("raise it with --pids"), &run)?;
    check(began.elapsed() < Duration::from_secs(20), began.elapsed())
}

fn survived(parent: &Parent) -> Result<(), Failed> {
    let script = "import os, time\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(50)\nexcept OSError: print('no')";
    let (run, report) = parent.run(&["--pids=10"], &["python3", "-c", script])?;
    check(run.code == Some(0) && run.stdout == "no\n", &run)?;
    check(
        run.stderr
            == "belljar: python3 was refused more processes than its limit of 10; raise it with --pids\n",
        &run,
    )?;
    check(report["ended"] == json!({"kind": "exit", "code": 0}), &report)?;
    check(report["cgroup"]["events"]["pidsRefused"] == 1, &report)
}

fn threads(parent: &Parent) -> Result<(), Failed> {
    let script = "import threading, time\nfor i in range(50): threading.Thread(target=time.sleep, args=(50,), daemon=True).start()";
    let (run, report) = parent.run(&["--pids=10"], &["python3", "-c", script])?;
    check(run.code == Some(1) && report["ended"]["kind"] == "pids-limit", (&run, &report))
}

fn cpu_time(parent: &Parent) -> Result<(), Failed> {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do (while :; do :; done) & done; wait";
    let (run, report) = parent.shell(&["--cpu-time=600ms"], script)?;
    check(run.code == Some(152), (&run, &report))?;
    check(
        run.stderr == "belljar: sh was ended: it used up its CPU time of 600ms; raise it with --cpu-time\n",
        &run,
    )?;
    check(report["ended"] == json!({"kind": "cpu-limit", "limitSeconds": 0.6}), &report)?;
    let used = report["cgroup"]["usage"]["cpuMicros"].as_u64().unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // It is looked at every 20 ms; a loaded machine comes to it later.
    check((600_000..600_000 + cpus * 200_000).contains(&used), &report)
}

fn cpus(parent: &Parent) -> Result<(), Failed> {
    let script = "(while :; do :; done) & (while :; do :; done) & wait";
    let (run, report) = parent.shell(&["--cpus=0.2", "--cpu-time=50s", "--timeout=1500ms"], script)?;
    check(run.code == Some(124) && report["ended"]["kind"] == "timeout", (&run, &report))?;
    let used = report["cgroup"]["usage"]["cpuMicros"].as_u64().unwrap_or(u64::MAX);
    check((20_000..600_000).contains(&used), &report)?;
    check(report["cgroup"]["usage"]["throttledMicros"].as_u64() > Some(0), &report)
}

fn sleeper(parent: &Parent) -> Result<(), Failed> {
    let began = Instant::now();
    let script = "(setsid sleep 100 &) ; trap '' TERM INT HUP; sleep 100";
    let (run, report) =
        parent.shell(&["--pids=9", "--memory=32M", "--cpu-time=1s", "--timeout=300ms"], script)?;
    check(
        run.code == Some(124) && report["ended"] == json!({"kind": "timeout", "limitSeconds": 0.3}),
        &report,
    )?;
    check(began.elapsed() < Duration::from_secs(10), began.elapsed())
}

fn flood(parent: &Parent) -> Result<(), Failed> {
    let options = ["--memory=32M", "--pids=9", "--output-limit=2M"];
    let (run, report) = parent.run(&options, &["yes"])?;
    check(run.code == Some(137) && report["ended"]["kind"] == "output-limit", (run.code, &report))?;
    check(run.bytes.len() <= 2 << 20, run.bytes.len())
}

/// 1 GB, or what `BELLJAR_TEST_FLOOD` says (head's -c): 10G takes twenty seconds.
fn cut_flood(parent: &Parent) -> Result<(), Failed> {
    let much = std::env::var("BELLJAR_TEST_FLOOD").unwrap_or_else(|_| "1G".to_owned());
    let script = format!("head -c {much} /dev/zero; echo done >&2; exit 3");
    let mut command =
        parent.command(&["--memory=32M", "--pids=9", "--output-limit=2M:truncate"], &["sh", "-c", &script]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let full = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&full);
    let reader = std::thread::spawn(move || {
        let mut stdout = stdout;
        let passed = std::io::copy(&mut stdout.by_ref().take(2 << 20), &mut std::io::sink())?;
        seen.store(true, Ordering::Release);
        Ok::<_, std::io::Error>(passed + std::io::copy(&mut stdout, &mut std::io::sink())?)
    });
    let mut sizes = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        // In pages, while the rest comes: the relay's memory is bounded.
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", child.id())).unwrap_or_default();
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        sizes.extend(pages.filter(|pages| *pages > 0 && full.load(Ordering::Acquire)));
        std::thread::sleep(Duration::from_millis(20));
    };
    let passed = reader.join().map_err(|_| "a panic")?.map_err(|error| error.to_string())?;
    let mut told = String::new();
    stderr.read_to_string(&mut told).map_err(|error| error.to_string())?;
    let report = parent.report()?;
    // The program's own end, and nothing beyond the limit; what it says on standard error is beyond it, too.
    check(status.code() == Some(3) && report["ended"] == json!({"kind": "exit", "code": 3}), &report)?;
    check(passed == 2 << 20, passed)?;
    check(told.starts_with("belljar: sh wrote ") && told.ends_with("raise it with --output-limit\n"), &told)?;
    if much == "1G" {
        check(report["outputDiscardedBytes"] == (1u64 << 30) - (2 << 20) + 5, &report)?;
    }
    let (least, most) = (sizes.iter().min().copied(), sizes.iter().max().copied());
    check(least.zip(most).is_none_or(|(least, most)| most - least < 512), (least, most))
}

/// Its standard output is open in a process outside, which got it through a socket, when it ends.
fn held_pipe(parent: &Parent) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;
    let path = parent.directory.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).map_err(|error| error.to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
        .map_err(|error| error.to_string())?;
    let bind = format!("--bind={}:/s", parent.directory.path().display());
    let script = "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/s/socket')\n\
                  socket.send_fds(s, [b'x'], [1])\ns.recv(1)\nprint('out')";
    for (limit, passed) in [("--output-limit=1M", "out\n"), ("--output-limit=2B:truncate", "ou")] {
        let listener = listener.try_clone().map_err(|error| error.to_string())?;
        let holder = std::thread::spawn(move || listener.accept().and_then(|(stream, _)| receive(&stream)));
        let began = Instant::now();
        let (run, report) = parent.run(
            &["--pids=9", "--timeout=30s", "--allow-sockets", limit, &bind],
            &["python3", "-c", script],
        )?;
        check(run.code == Some(0) && run.stdout == passed, (&run, &report))?;
        check(began.elapsed() < Duration::from_secs(10), began.elapsed())?;
        drop(holder.join().map_err(|_| "a panic")?.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// A descriptor that comes with a byte; the answer is a byte.
fn receive(stream: &std::os::unix::net::UnixStream) -> std::io::Result<Vec<std::os::fd::OwnedFd>> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd};
    let mut byte = [0u8];
    let mut parts = [std::io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let message =
        recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut held = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just made them for us.
            held.extend(fds.into_iter().map(|fd| unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }));
        }
    }
    (&mut { stream }).write_all(b"y")?;
    if held.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(held) }
}

fn orphans(parent: &Parent) -> Result<(), Failed> {
    let script = "i=0; while [ $i -lt 10000 ]; do (: &); i=$((i + 1)); done; echo done";
    // On a busy machine hundreds are there at once before they get to run.
    let room = ["--pids=9000", "--set", "process.rlimits.nproc=9000", "--memory=1G"];
    let (run, report) = parent.shell(&room, script)?;
    check(run.code == Some(0) && run.stdout == "done\n" && run.stderr.is_empty(), (&run, &report))?;
    check(report["cgroup"]["events"]["pidsRefused"] == 0, &report)
}
