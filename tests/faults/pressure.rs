//! Runs under bad conditions: stopped processes, closed and blocked streams, hardly any descriptors or
//! processes, a full disk.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::kills::family;
use crate::scenario::{BARE, BARE_LITE, Caller, Place, Scenario};

/// Its type differs between the C libraries.
#[cfg(target_env = "musl")]
pub type Resource = libc::c_int;
#[cfg(not(target_env = "musl"))]
pub type Resource = libc::__rlimit_resource_t;

/// On a machine with other work.
const PATIENCE: Duration = Duration::from_secs(10);

fn fail(text: impl Into<String>) -> Failed {
    Failed::from(text.into())
}

/// Waits for the end of a belljar that has to end by itself.
fn ended(child: &mut Child) -> Result<ExitStatus, Failed> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| fail(error.to_string()))? {
            return Ok(status);
        }
        if began.elapsed() > PATIENCE {
            let family = family(child.id());
            child.kill().map_err(|error| fail(error.to_string()))?;
            child.wait().map_err(|error| fail(error.to_string()))?;
            return Err(fail(format!("it hung; its processes were {family:?}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn expect(status: ExitStatus, code: i32) -> Result<(), Failed> {
    if status.code() == Some(code) { Ok(()) } else { Err(fail(format!("{status} instead of {code}"))) }
}

fn gone(place: &Place) -> Result<(), Failed> {
    place.gone_within(PATIENCE).map_err(|left| fail(format!("left behind: {left:?}")))
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: numbers only; a process that has not been waited for.
    unsafe { libc::kill(pid.cast_signed(), signal) };
}

/// Starts a task that would last a minute, and waits until it is there.
fn waiting(place: &Place, scenario: &Scenario, timeout: &str) -> Result<(Child, Vec<u32>), Failed> {
    let mut command = place.command(scenario, &["--timeout", timeout], Some("wait"));
    let child = command.spawn().map_err(|error| fail(error.to_string()))?;
    let began = Instant::now();
    loop {
        let family = family(child.id());
        // belljar, init, the task and its descendant.
        if family.len() >= 4 {
            return Ok((child, family));
        }
        if began.elapsed() > PATIENCE {
            return Err(fail(format!("the task did not start: {family:?}")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A caller that is stopped does not stop the time limit.
pub fn stopped_caller(caller: Caller, scenario: &Scenario) -> Result<(), Failed> {
    let place = Place::new(caller);
    let (mut child, family) = waiting(&place, scenario, "1s")?;
    signal(child.id(), libc::SIGSTOP);
    let began = Instant::now();
    // init is its child, and stays a zombie: the task and its descendant are gone.
    let alive = |pid: &&u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| !arguments.is_empty())
    };
    while family.iter().skip(1).any(|pid| alive(&pid)) {
        if began.elapsed() > PATIENCE {
            let left: Vec<&u32> = family.iter().skip(1).filter(alive).collect();
            signal(child.id(), libc::SIGKILL);
            child.wait().map_err(|error| fail(error.to_string()))?;
            return Err(fail(format!("the time limit did not hold: {left:?} of {family:?}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(child.id(), libc::SIGCONT);
    expect(ended(&mut child)?, 124)?;
    gone(&place)
}

/// An init that is stopped and goes on is as before; the limit has passed meanwhile.
pub fn stopped_init(caller: Caller, scenario: &Scenario) -> Result<(), Failed> {
    let place = Place::new(caller);
    let (mut child, family) = waiting(&place, scenario, "500ms")?;
    let init = family.get(1).copied().ok_or_else(|| fail("no init"))?;
    signal(init, libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(700));
    signal(init, libc::SIGCONT);
    expect(ended(&mut child)?, 124)?;
    gone(&place)
}

/// An init that is stopped does not outlive its caller.
pub fn stopped_init_without_caller(caller: Caller, scenario: &Scenario) -> Result<(), Failed> {
    let place = Place::new(caller);
    let (mut child, family) = waiting(&place, scenario, "60s")?;
    let init = family.get(1).copied().ok_or_else(|| fail("no init"))?;
    signal(init, libc::SIGSTOP);
    signal(child.id(), libc::SIGKILL);
    child.wait().map_err(|error| fail(error.to_string()))?;
    let done = gone(&place);
    if done.is_err() {
        family.iter().skip(1).for_each(|pid| signal(*pid, libc::SIGKILL));
    }
    done
}

/// Each of the standard streams, and all, closed.
pub fn closed_streams(caller: Caller, scenario: &Scenario) -> Result<(), Failed> {
    let place = Place::new(caller);
    for closed in [&[0][..], &[1], &[2], &[0, 1, 2]] {
        let mut command = place.command(scenario, &[], None);
        // SAFETY: close is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                closed.iter().for_each(|fd| {
                    libc::close(*fd);
                });
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
        expect(ended(&mut child)?, 0).map_err(|failed| fail(format!("{closed:?}: {failed:?}")))?;
        gone(&place)?;
        let report =
            std::fs::read_to_string(place.path("out/report")).map_err(|error| fail(error.to_string()))?;
        serde_json::from_str::<serde_json::Value>(&report)
            .map_err(|error| fail(format!("{closed:?}: {error}: {report}")))?;
    }
    Ok(())
}

/// A pipe that is full and has no reader: the time limit holds, and so does a request to end.
pub fn full_pipe(caller: Caller, scenario: &Scenario, more: &[&str]) -> Result<(), Failed> {
    let place = Place::new(caller);
    let options: Vec<&str> = more.iter().copied().chain(["--timeout", "700ms"]).collect();
    let mut command = place.command(scenario, &options, Some("flood"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| fail(error.to_string()))?;
    expect(ended(&mut child)?, 124)?;
    gone(&place)
}

/// Limits of the caller, from nothing at all on: whole or refused.
pub fn few(
    caller: Caller,
    scenario: &Scenario,
    resource: Resource,
    values: impl Iterator<Item = u64>,
) -> Result<(), Failed> {
    let place = Place::new(caller);
    let (mut refused, mut whole) = (0, 0);
    for value in values {
        let mut command = place.command(scenario, &[], None);
        limit(&mut command, resource, value);
        let mut child = match command.stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            // std itself, before belljar is executed.
            Err(_) => continue,
        };
        let status = ended(&mut child)?;
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut said).map_err(|error| fail(error.to_string()))?;
        }
        gone(&place)?;
        match status.code() {
            Some(0) => whole += 1,
            Some(125..=127) if said.starts_with("belljar: ") && !said.contains("panicked") => refused += 1,
            // The dynamic linker has no descriptor for a library.
            Some(127) if said.contains("error while loading shared libraries") => refused += 1,
            _ => return Err(fail(format!("limit {value}: {status}, said {said:?}"))),
        }
    }
    println!("pressure: {} as {caller:?}: limit {resource}: {whole} whole, {refused} refused", scenario.name);
    if refused > 0 { Ok(()) } else { Err(fail("no limit was low enough to be felt")) }
}

fn limit(command: &mut Command, resource: Resource, value: u64) {
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
            match libc::setrlimit(resource, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// The report's disk is full: the program has run, and belljar says that there is no report.
pub fn full_disk() -> Result<(), Failed> {
    let place = Place::new(Caller::Root);
    let directory = place.path("out");
    let path = std::ffi::CString::new(directory.to_string_lossy().into_owned())
        .map_err(|error| fail(error.to_string()))?;
    let filler = std::ffi::CString::new(format!("{}/filler", directory.display()))
        .map_err(|error| fail(error.to_string()))?;
    let mut command = place.command(&BARE, &[], None);
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            let failed = || Err(std::io::Error::last_os_error());
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                return failed();
            }
            let null = std::ptr::null();
            if libc::mount(null, c"/".as_ptr(), null, libc::MS_REC | libc::MS_PRIVATE, null.cast()) != 0 {
                return failed();
            }
            let options = c"size=4096".as_ptr().cast();
            if libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, options) != 0 {
                return failed();
            }
            let fd = libc::open(filler.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o600);
            let page = [0u8; 4096];
            if fd < 0 || libc::write(fd, page.as_ptr().cast(), page.len()) != 4096 {
                return failed();
            }
            libc::close(fd);
            Ok(())
        });
    }
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| fail(error.to_string()))?;
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    expect(output.status, 125).map_err(|failed| fail(format!("{failed:?}: {said}")))?;
    if !out.trim_end().ends_with(crate::witness::END)
        || !said.contains("report")
        || !said.contains("No space left")
    {
        return Err(fail(format!("wrote {out:?}, said {said:?}")));
    }
    gone(&place)
}

/// On a host whose mounts are shared (systemd makes them so), nothing of a run is mounted on the host.
pub fn shared_mounts() -> Result<(), Failed> {
    let place = Place::new(Caller::Root);
    let inner = place.path("bound").join("sub");
    std::fs::create_dir(&inner).map_err(|error| fail(error.to_string()))?;
    let inner = inner.to_string_lossy().into_owned();
    let command = place.command(&BARE, &["--tmpfs", &inner, "--report", "-"], None);
    let mut shell = Command::new("unshare");
    let script = "mount --make-rshared / && \"$@\" && grep -c \"$0\" /proc/self/mountinfo";
    shell.args(["-m", "sh", "-c", script, &inner]);
    shell.arg(command.get_program());
    let mut words: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    // The first --report, to a file, is the common one.
    words.drain(3..5);
    shell.args(words);
    let output = shell.output().map_err(|error| fail(error.to_string()))?;
    let out = String::from_utf8_lossy(&output.stdout);
    if !out.contains(crate::witness::END) || out.trim_end().lines().last() != Some("0") {
        return Err(fail(format!("{out}{}", String::from_utf8_lossy(&output.stderr))));
    }
    std::fs::remove_dir(&inner).map_err(|error| fail(error.to_string()))?;
    gone(&place)
}

/// A pipe that is full, and a caller that is asked to end: it does.
pub fn full_pipe_and_term(caller: Caller) -> Result<(), Failed> {
    let place = Place::new(caller);
    let (reader, writer) = std::io::pipe().map_err(|error| fail(error.to_string()))?;
    // SAFETY: an open descriptor and a number.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    let mut command = place.command(&BARE, &["--output-limit", "1MiB"], Some("pages"));
    let mut child = command
        .stdout(File::from(std::os::fd::OwnedFd::from(writer)))
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    drop(command);
    // The witness writes more than the pipe takes; once it has ended, belljar waits for the reader.
    let began = Instant::now();
    loop {
        let mut waiting: libc::c_int = 0;
        // SAFETY: room for the answer.
        unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut waiting) };
        if waiting > 0 && family(child.id()).len() == 1 {
            break;
        }
        if began.elapsed() > PATIENCE {
            child.kill().map_err(|error| fail(error.to_string()))?;
            return Err(fail(format!("the task did not end; {waiting} bytes in the pipe")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // It is gone, and a moment later waited for.
    std::thread::sleep(Duration::from_millis(200));
    // The first one is for the task, which is gone: its output is still the reader's. The second one is for
    // belljar.
    signal(child.id(), libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(200));
    signal(child.id(), libc::SIGTERM);
    let status = ended(&mut child)?;
    drop(reader);
    if status.success() {
        return Err(fail("it succeeded without a reader"));
    }
    gone(&place)
}

pub const SCENARIOS: [(Caller, Scenario); 3] =
    [(Caller::Root, BARE), (Caller::User, BARE), (Caller::User, BARE_LITE)];
