//! What a process hands down to those that it starts: of all that belljar's caller had of it, the task gets
//! what was chosen for it.
//!
//! Each state is set before `belljar` is executed, or a program that uses the library, and what the task sees
//! of itself is compared with what it sees when nothing was set.

use nix::sys::resource::{Resource, setrlimit};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller, Run};
use crate::library::CASE;
use crate::need::{Need, trial};

/// A state that is inherited, and what becomes of it.
struct State {
    name: &'static str,
    /// The rights that it takes.
    needs: &'static [Need],
    /// Without the system-call filter, which would hold it by itself.
    unfiltered: bool,
    /// As an ordinary user it takes a right of root's until the ids have changed.
    before_ids: bool,
    /// Runs between fork and exec: system calls only.
    apply: fn() -> io::Result<()>,
    then: Then,
}

enum Then {
    /// The task sees none of it.
    Chosen,
    /// The caller's own is the stricter and holds for the task too, as no process without privileges can lift
    /// it. It shows in lines that begin so, and only there.
    Callers(&'static [&'static str]),
    /// Nothing runs, and the message has these words.
    Refused(&'static [&'static str]),
}

use Then::{Callers, Chosen, Refused};

const STATES: &[State] = &[
    open("sigchld_ignored", || ignore(libc::SIGCHLD..=libc::SIGCHLD), Chosen),
    open("every_signal_ignored", || ignore(1..=64), Chosen),
    open("every_signal_blocked", block_all, Chosen),
    open("signals_pending", leave_pending, Chosen),
    open("no_stream", || close(&[0, 1, 2]), Chosen),
    // RLIMIT_FSIZE holds for files in memory too.
    open("file_size_0", || limit(Resource::RLIMIT_FSIZE, 0), Refused(&["File too large"])),
    open("file_size_100", || limit(Resource::RLIMIT_FSIZE, 100), Refused(&["File too large"])),
    open("umask_0777", || umask(0o777), Chosen),
    open("niceness_19", || syscall(libc::SYS_setpriority, [0, 0, 19]), Callers(&["niceness"])),
    open("scheduler_batch", || scheduler(libc::SCHED_BATCH, 0), Callers(&["scheduler"])),
    open("scheduler_idle", || scheduler(libc::SCHED_IDLE, 0), Callers(&["scheduler"])),
    by_root("scheduler_fifo", || scheduler(libc::SCHED_FIFO, 1), Chosen),
    open("timers", timers, Chosen),
    open("not_dumpable", || prctl(libc::PR_SET_DUMPABLE, 0), Chosen),
    open("death_signal", || prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1 as u64), Chosen),
    open("subreaper", || prctl(libc::PR_SET_CHILD_SUBREAPER, 1), Chosen),
    open("timer_slack", || prctl(libc::PR_SET_TIMERSLACK, 1_000_000_000), Chosen),
    open("no_huge_pages", || prctl(libc::PR_SET_THP_DISABLE, 1), Chosen),
    open("no_new_privileges", || prctl(libc::PR_SET_NO_NEW_PRIVS, 1), Chosen),
    open("keep_capabilities", || prctl(libc::PR_SET_KEEPCAPS, 1), Chosen),
    by_root("secure_bits", || prctl(libc::PR_SET_SECUREBITS, 0x2a), Chosen),
    open("personality", || syscall(libc::SYS_personality, [0x0004_0000, 0, 0]), Chosen),
    open("personality_32", || syscall(libc::SYS_personality, [8, 0, 0]), Chosen),
    by_root(
        "out_of_memory_score",
        || write_file(c"/proc/self/oom_score_adj", b"500"),
        Callers(&["oom_score_adj"]),
    ),
    by_root(
        "core_dump_filter",
        || write_file(c"/proc/self/coredump_filter", b"1"),
        Callers(&["coredump_filter"]),
    ),
    open("io_priority", || syscall(libc::SYS_ioprio_set, [1, 0, 3 << 13]), Callers(&["io priority"])),
    by_root("io_priority_real_time", || syscall(libc::SYS_ioprio_set, [1, 0, 1 << 13]), Chosen),
    State {
        needs: &[Need::Root, Need::Capability("CAP_SYS_RESOURCE", 24)],
        ..open("spared_when_memory_runs_out", || write_file(c"/proc/self/oom_score_adj", b"-900"), Chosen)
    },
    open("deleted_directory", deleted_directory, Chosen),
    open("a_thousand_descriptors", || many_descriptors(1000), Chosen),
    open("descriptors_above_the_limit", descriptors_above_the_limit, Callers(&["Max open files"])),
    open("no_gain_of_execution", || prctl(PR_SET_MDWE, 1), Callers(&["no gain of execution"])),
    open("one_processor", one_processor, Callers(&["Cpus_allowed:"])),
    open("session_keyring", session_keyring, Chosen),
    State { unfiltered: true, ..open("session_keyring_without_a_filter", session_keyring, Chosen) },
    State { before_ids: true, ..open("ambient_capabilities", ambient_capabilities, Chosen) },
    open("descriptors_8", || limit(Resource::RLIMIT_NOFILE, 8), Refused(&["RLIMIT_NOFILE is 8"])),
    open("core_0", || limit(Resource::RLIMIT_CORE, 0), Callers(&["Max core"])),
    open("locked_memory_0", || limit(Resource::RLIMIT_MEMLOCK, 0), Callers(&["Max locked"])),
    open("stack_unlimited", || limit(Resource::RLIMIT_STACK, libc::RLIM_INFINITY), Chosen),
    open("stack_small", || limit(Resource::RLIMIT_STACK, 256 << 10), Callers(&["Max stack"])),
    open("processor_time", || limit(Resource::RLIMIT_CPU, 1000), Callers(&["Max cpu"])),
    open("address_space", || limit(Resource::RLIMIT_AS, 4 << 30), Callers(&["Max address"])),
    open("processes", || limit(Resource::RLIMIT_NPROC, 900), Callers(&["Max processes"])),
    open("standard_input_closed", || close(&[0]), Chosen),
    open("standard_output_closed", || close(&[1]), Chosen),
    open("standard_error_closed", || close(&[2]), Chosen),
    open("both_outputs_closed", || close(&[1, 2]), Chosen),
];

/// One that takes a right of root's.
const fn by_root(name: &'static str, apply: fn() -> io::Result<()>, then: Then) -> State {
    State { needs: &[Need::Root], ..open(name, apply, then) }
}

fn umask(mask: libc::mode_t) -> io::Result<()> {
    // SAFETY: a number only.
    unsafe { libc::umask(mask) };
    Ok(())
}

fn scheduler(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // The kernel's sched_param is a number. The call itself: musl's function answers ENOSYS.
    // SAFETY: a number that is read.
    check(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) } as i32)
}

fn prctl(option: libc::c_int, value: u64) -> io::Result<()> {
    // SAFETY: options that take a number.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) })
}

fn syscall(number: libc::c_long, arguments: [u64; 3]) -> io::Result<()> {
    let [one, two, three] = arguments;
    // SAFETY: calls that take numbers.
    check(unsafe { libc::syscall(number, one, two, three) } as i32)
}

/// All three, an hour from now.
fn timers() -> io::Result<()> {
    let hour = libc::timeval { tv_sec: 3600, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: hour, it_value: hour };
    [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF].iter().try_for_each(|which| {
        // SAFETY: a timer that is read.
        check(unsafe { libc::setitimer(*which, &raw const timer, std::ptr::null_mut()) })
    })
}

fn write_file(path: &std::ffi::CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: a C string, and a buffer of the length that is given.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY);
        check(file)?;
        check(libc::write(file, text.as_ptr().cast(), text.len()) as i32)?;
        check(libc::close(file))
    }
}

fn deleted_directory() -> io::Result<()> {
    // SAFETY: C strings.
    unsafe {
        check(libc::mkdir(c"deleted".as_ptr(), 0o755))?;
        check(libc::chdir(c"deleted".as_ptr()))?;
        check(libc::rmdir(c"../deleted".as_ptr()))
    }
}

fn many_descriptors(count: i32) -> io::Result<()> {
    // SAFETY: numbers only.
    (0..count).try_for_each(|_| check(unsafe { libc::dup(2) }))
}

/// One that everybody can set.
const fn open(name: &'static str, apply: fn() -> io::Result<()>, then: Then) -> State {
    State { name, needs: &[], unfiltered: false, before_ids: false, apply, then }
}

/// `prctl(2)`: memory that can be written to never becomes executable, for ever (Linux 6.3).
const PR_SET_MDWE: libc::c_int = 65;
const PR_GET_MDWE: libc::c_int = 66;

/// The lowest of those that there are.
fn one_processor() -> io::Result<()> {
    // SAFETY: sets of the size that is given, the first of which is written.
    unsafe {
        let (mut all, mut one): (libc::cpu_set_t, libc::cpu_set_t) = std::mem::zeroed();
        check(libc::sched_getaffinity(0, size_of_val(&all), &raw mut all))?;
        let first = (0..libc::CPU_SETSIZE as usize).find(|&number| libc::CPU_ISSET(number, &all));
        libc::CPU_SET(first.unwrap_or(0), &mut one);
        check(libc::sched_setaffinity(0, size_of_val(&one), &raw const one))
    }
}

/// What the key in the caller's session keyring is called.
const KEY: &std::ffi::CStr = c"belljar-inherited";
const SESSION: i32 = -3;
const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
const KEYCTL_SEARCH: i32 = 10;

fn session_keyring() -> io::Result<()> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: C strings, and a value of the length that is given.
    unsafe {
        check(libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, none) as i32)?;
        let (kind, name) = (c"user".as_ptr(), KEY.as_ptr());
        check(libc::syscall(libc::SYS_add_key, kind, name, c"secret".as_ptr(), 6, SESSION) as i32)
    }
}

/// More than one, on both sides of where the kernel enlarges its table.
fn descriptors_above_the_limit() -> io::Result<()> {
    for number in [600, 601, 1000] {
        // SAFETY: numbers only.
        check(unsafe { libc::dup2(2, number) })?;
    }
    limit(Resource::RLIMIT_NOFILE, 512)
}

/// `_LINUX_CAPABILITY_VERSION_3`
const VERSION: u32 = 0x2008_0522;
/// NET_BIND_SERVICE, NET_RAW: containers have them too.
const AMBIENT: [u64; 2] = [10, 13];

/// With the ids that the process has; `become_user` keeps what is permitted.
fn ambient_capabilities() -> io::Result<()> {
    let header = [VERSION, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: a header and sets of that version.
    check(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) } as i32)?;
    let [effective, permitted, inheritable, ..] = &mut sets;
    *inheritable |= AMBIENT.iter().fold(0, |set, number| set | 1 << number);
    *effective = *permitted;
    // SAFETY: as above.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) } as i32)?;
    AMBIENT.iter().try_for_each(|number| {
        // SAFETY: numbers only.
        check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, *number, 0, 0) })
    })
}

/// Gives up root's ids, and no capability that is permitted.
fn become_user() -> io::Result<()> {
    let id = caller::USER;
    prctl(libc::PR_SET_KEEPCAPS, 1)?;
    // SAFETY: no groups, and numbers.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(id, id, id))?;
        check(libc::setresuid(id, id, id))?;
    }
    prctl(libc::PR_SET_KEEPCAPS, 0)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, most, most)?)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn ignore(mut signals: std::ops::RangeInclusive<i32>) -> io::Result<()> {
    signals.try_for_each(|signal| {
        // SAFETY: SIG_IGN is no function. KILL, STOP and what the C library keeps for itself cannot be
        // ignored.
        let refused = unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR;
        if refused && ![libc::SIGKILL, libc::SIGSTOP, 32, 33, 34].contains(&signal) {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    })
}

fn block_all() -> io::Result<()> {
    let all = u64::MAX;
    // SAFETY: the kernel's own set, of 8 bytes, which it reads.
    check(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, std::ptr::null::<u64>(), 8)
    } as i32)
}

fn leave_pending() -> io::Result<()> {
    block_all()?;
    // SAFETY: numbers only; they are blocked.
    // None that would end the caller: those are its own to answer, once it takes signals.
    [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH]
        .iter()
        .try_for_each(|signal| check(unsafe { libc::raise(*signal) }))
}

fn close(streams: &[i32]) -> io::Result<()> {
    // SAFETY: this process is about to execute a program and uses them for nothing.
    streams.iter().try_for_each(|stream| check(unsafe { libc::close(*stream) }))
}

/// What a process sees of itself, a line each.
pub fn observe() -> String {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_else(|error| error.to_string())
    };
    let status = read("status");
    let mut lines: Vec<String> = status
        .lines()
        .filter(|line| {
            [
                "Umask",
                "SigPnd",
                "ShdPnd",
                "SigBlk",
                "SigIgn",
                "CapInh",
                "CapAmb",
                "NoNewPrivs",
                "THP_enabled",
                "Cpus_allowed:",
            ]
            .iter()
            .any(|field| line.starts_with(field))
        })
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.extend(read("limits").lines().map(str::to_owned));
    for file in ["oom_score_adj", "coredump_filter"] {
        lines.push(format!("{file}: {}", read(file).trim()));
    }
    lines.extend(told().into_iter().map(|(what, value)| format!("{what}: {value}")));
    lines.push(format!("descriptors: {}", std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)));
    lines.join("\n")
}

/// What the kernel says of this process when it is asked; -1 where the filter does not let it.
fn told() -> Vec<(&'static str, i64)> {
    let mut timer = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval { tv_sec: 0, tv_usec: 0 },
    };
    let mut number: libc::c_int = 0;
    // SAFETY: numbers, and places of the types that each call writes, which live through it.
    unsafe {
        let mut told = vec![
            ("niceness", libc::getpriority(libc::PRIO_PROCESS, 0).into()),
            ("scheduler", libc::syscall(libc::SYS_sched_getscheduler, 0)),
            ("personality", libc::personality(0xffff_ffff).into()),
            ("io priority", libc::syscall(libc::SYS_ioprio_get, 1, 0)),
            ("dumpable", libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0).into()),
            ("timer slack", libc::prctl(libc::PR_GET_TIMERSLACK, 0, 0, 0, 0).into()),
            ("secure bits", libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0).into()),
            ("kept capabilities", libc::prctl(libc::PR_GET_KEEPCAPS, 0, 0, 0, 0).into()),
            ("huge pages off", libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0).into()),
            ("death signal's answer", libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut number, 0, 0, 0).into()),
            ("death signal", number.into()),
            (
                "subreaper's answer",
                libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut number, 0, 0, 0).into(),
            ),
            ("subreaper", number.into()),
            ("no gain of execution", libc::prctl(PR_GET_MDWE, 0, 0, 0, 0).into()),
            ("the caller's key", {
                let (kind, name) = (c"user".as_ptr(), KEY.as_ptr());
                libc::syscall(libc::SYS_keyctl, KEYCTL_SEARCH, SESSION, kind, name, 0).signum()
            }),
        ];
        for which in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
            libc::getitimer(which, &raw mut timer);
            told.push(("timer", timer.it_value.tv_sec));
        }
        told
    }
}

/// The program that is run inside: this one.
pub fn show() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write(std::env::var("OBSERVED")?, observe())?;
    Ok(())
}

/// What the library's caller is to change of the profile.
const OVERRIDE: &str = "BELLJAR_TEST_OVERRIDE";
const NO_FILTER: &str = "seccomp.mode=off";

/// The library's caller.
pub fn call() -> Result<(), Box<dyn std::error::Error>> {
    let overrides: Vec<String> = std::env::var(OVERRIDE).into_iter().collect();
    let profile = belljar::profile::Profile::load_with("standard", &overrides)?;
    let seen = belljar::Sandbox::with_profile(profile).call(|(): ()| observe(), &());
    let path = std::env::var("OBSERVED")?;
    std::fs::write(&path, seen.map_err(with_causes)?)?;
    // The umask is one of the states: the harness has to read it.
    Ok(std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?)
}

fn with_causes(error: belljar::Error) -> String {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).chain(error.hints()).collect::<Vec<_>>().join(": ")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Command,
    Library,
}

/// The observer's caller, and where it is to write what it saw.
fn observer(who: Caller, way: Way, unfiltered: bool) -> (Command, tempfile::TempDir) {
    let directory = caller::directory(who);
    let observed = directory.path().join("observed");
    let itself = caller::shelf().join("end_to_end");
    let mut command = match way {
        Way::Library => {
            let mut command = Command::new(&itself);
            caller::as_caller(who, &mut command);
            command.env(CASE, "inherited_call").env("OBSERVED", &observed);
            if unfiltered {
                command.env(OVERRIDE, NO_FILTER);
            }
            command
        }
        Way::Command => {
            let (show, itself) =
                (format!("--bind={}:/out", directory.path().display()), itself.display().to_string());
            let bind = format!("--ro-bind={itself}:/observer");
            let case = format!("--env={CASE}=inherited_show");
            let set = format!("--set={NO_FILTER}");
            let set = unfiltered.then_some(set.as_str());
            let options = [&show, &bind, &case, "--env=OBSERVED=/out/observed"].into_iter().chain(set);
            caller::belljar(
                who,
                ["run", "--profile=standard"].into_iter().chain(options).chain(["--", "/observer"]),
            )
        }
    };
    command.current_dir(directory.path());
    (command, directory)
}

/// Runs the observer as the caller, in the state; gives what it saw.
fn seen(who: Caller, way: Way, unfiltered: bool, state: Option<&State>) -> (Run, String) {
    let (mut command, directory) = observer(who, way, unfiltered);
    if let Some(state) = state {
        let apply = state.apply;
        let falls = state.before_ids && who == Caller::User && nix::unistd::geteuid().is_root();
        if falls {
            command.uid(0).gid(0);
        }
        let state = move || if falls { become_user().and_then(|()| apply()) } else { apply() };
        // SAFETY: the states are set by system calls only.
        unsafe { command.pre_exec(state) };
    }
    let run = caller::finish(command);
    (run, std::fs::read_to_string(directory.path().join("observed")).unwrap_or_default())
}

/// What the task sees when nothing was set.
fn plain(who: Caller, way: Way, unfiltered: bool) -> &'static str {
    static PLAIN: [OnceLock<String>; 8] = [const { OnceLock::new() }; 8];
    let index = usize::from(who == Caller::Root) * 4 + usize::from(way == Way::Library) * 2;
    PLAIN[index + usize::from(unfiltered)].get_or_init(|| seen(who, way, unfiltered, None).1)
}

fn holds(who: Caller, way: Way, state: &State) -> Result<(), Failed> {
    let plain = plain(who, way, state.unfiltered);
    if plain.is_empty() {
        return Err("nothing was observed without the state".into());
    }
    let (run, observed) = seen(who, way, state.unfiltered, Some(state));
    if let Refused(words) = state.then {
        let told = words.iter().all(|word| run.stderr.contains(word));
        return if run.code != Some(0) && observed.is_empty() && told {
            Ok(())
        } else {
            Err(format!("{run:#?}").into())
        };
    }
    let callers: &[&str] = if let Callers(lines) = state.then { lines } else { &[] };
    let chosen = |text: &str| {
        let lines = text.lines().filter(|line| !callers.iter().any(|start| line.starts_with(start)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    // A state that shows nowhere was not set.
    let kept = callers.is_empty() || observed != plain;
    if run.code == Some(0) && !observed.is_empty() && kept && chosen(&observed) == chosen(plain) {
        return Ok(());
    }
    let differ = |one: &str, other: &str| {
        let lines = one.lines().filter(|line| !other.lines().any(|known| known == *line));
        lines.collect::<Vec<_>>().join("\n")
    };
    Err(format!("{run:#?}\nplain:\n{}\nobserved:\n{}", differ(plain, &observed), differ(&observed, plain))
        .into())
}

/// A megabyte of environment: nothing of it goes in that was not named.
fn large_environment(who: Caller, way: Way) -> Result<(), Failed> {
    let (mut command, directory) = observer(who, way, false);
    for number in 0..10 {
        command.env(format!("LARGE_{number}"), "x".repeat(105_000));
    }
    let run = caller::finish(command);
    let observed = std::fs::read_to_string(directory.path().join("observed")).unwrap_or_default();
    let same = !observed.is_empty() && observed == plain(who, way, false);
    if run.code == Some(0) && same { Ok(()) } else { Err(format!("{run:#?}\n{observed}").into()) }
}

/// execve(2) without an argument, not so much as a name (CVE-2021-4034). A library needs none; the command
/// has nothing to do.
fn no_arguments(who: Caller, way: Way) -> Result<(), Failed> {
    let (mut command, directory) = observer(who, way, false);
    let c_string = |text: &std::ffi::OsStr| CString::new(text.as_bytes()).expect("no NUL byte");
    let program = c_string(command.get_program());
    let variables: Vec<CString> = command
        .get_envs()
        .filter_map(|(name, value)| Some(c_string(&[name, value?].join("=".as_ref()))))
        .collect();
    let pointers = |strings: &[CString]| -> Vec<usize> {
        strings.iter().map(|string| string.as_ptr() as usize).chain([0]).collect()
    };
    let environment = pointers(&variables);
    let execute = move || {
        // It keeps what the pointers lead to.
        let _ = &variables;
        let nothing = [std::ptr::null()];
        // SAFETY: lists of C strings that end with null.
        check(unsafe { libc::execve(program.as_ptr(), nothing.as_ptr(), environment.as_ptr().cast()) })
    };
    // SAFETY: one system call.
    unsafe { command.pre_exec(execute) };
    let run = caller::finish(command);
    let observed = std::fs::read_to_string(directory.path().join("observed")).unwrap_or_default();
    let holds = match way {
        Way::Library => run.code == Some(0) && !observed.is_empty() && observed == plain(who, way, false),
        Way::Command => observed.is_empty() && run.refused(125, &["no subcommand is given"]).is_ok(),
    };
    if holds { Ok(()) } else { Err(format!("{run:#?}\n{observed}").into()) }
}

/// A descriptor above the limit cannot be given: it is refused by its number.
fn kept_above_the_limit(who: Caller) -> Result<(), Failed> {
    for (number, fits) in [(700, false), (510, false), (400, true)] {
        let kept = format!("--keep-fd={number}");
        let mut command = caller::belljar(who, ["run", &kept, "--", "echo", "ran"]);
        let state = move || {
            // SAFETY: numbers only.
            check(unsafe { libc::dup2(2, number) })?;
            limit(Resource::RLIMIT_NOFILE, 512)
        };
        // SAFETY: system calls only.
        unsafe { command.pre_exec(state) };
        let run = caller::finish(command);
        if fits {
            run.succeeded()?;
        } else {
            run.refused(125, &[&number.to_string(), "RLIMIT_NOFILE"])?;
        }
    }
    Ok(())
}

/// Checks that are more than a state.
type Special = (&'static str, fn(Caller, Way) -> Result<(), Failed>);
const SPECIAL: [Special; 2] =
    [("environment_of_a_megabyte", large_environment), ("no_arguments", no_arguments)];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for who in [Caller::Root, Caller::User] {
        let needs = if who == Caller::Root { &[Need::Root][..] } else { &[] };
        let name = format!("inherited::kept_descriptor_above_the_limit as {who:?}");
        trials.push(trial(name, needs, move || kept_above_the_limit(who)));
        for way in [Way::Command, Way::Library] {
            for (name, check) in SPECIAL {
                let name = format!("inherited::{name} by {way:?} as {who:?}");
                trials.push(trial(name, needs, move || check(who, way)));
            }
            for state in STATES.iter().filter(|state| who == Caller::Root || state.needs.is_empty()) {
                let root = if state.before_ids || who == Caller::Root { &[Need::Root][..] } else { &[] };
                let needs = &[root, state.needs].concat()[..];
                let name = format!("inherited::{} by {way:?} as {who:?}", state.name);
                trials.push(trial(name, needs, move || holds(who, way, state)));
            }
        }
    }
    trials
}
