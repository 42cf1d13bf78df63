//! Runs a command under ptrace(2), counts the system calls of each of its processes, and changes one of them.
//!
//! A process is named by its place in the family: `caller`, `caller.t1` (its first further thread),
//! `caller>1` (its first child), `caller>1>1` (that one's first child). A run of the same command makes the
//! same calls in the same processes, so that a place and a number name one call. Only x86-64: the registers
//! are its.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::calls;

/// One system call of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The process or thread.
    pub place: String,
    /// How many calls of the same kind (see [`calls::key`]) that process made before.
    pub index: usize,
    /// The call's number.
    pub number: i64,
    pub args: [u64; 6],
}

/// What is done to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is not executed, and fails.
    Fail(i32),
    /// It is not executed, and returns this as if it were.
    Fake(i64),
    /// The argument of that number (a length) is 1.
    Short(usize),
    /// Before it: SIGKILL to the processes at these places.
    Kill(Vec<String>),
}

/// Which call is changed, and how.
#[derive(Debug, Clone)]
pub struct Injection {
    pub place: String,
    /// Its kind.
    pub key: (i64, u64),
    /// Which one of that kind, from 0.
    pub index: usize,
    pub change: Change,
}

/// What came of it.
#[derive(Debug)]
pub struct Traced {
    /// The wait status of the command itself.
    pub status: i32,
    /// All calls, if they were recorded.
    pub calls: Vec<Call>,
    /// The call that was changed.
    pub hit: Option<Call>,
    /// The arguments that each place was executed with, last.
    pub executed: BTreeMap<String, String>,
    /// It was not over in time, and was killed.
    pub hung: bool,
    /// From the change, or the start, to the end of the last process.
    pub took: Duration,
}

#[derive(Debug, Default)]
struct Tracee {
    place: Option<String>,
    started: bool,
    calls: HashMap<(i64, u64), usize>,
    threads: usize,
    children: usize,
    /// What the call that it is in is to return.
    pending: Option<i64>,
}

/// Where the first program of the task begins, its calls are its own: the tracer lets go.
fn is_task(place: &str) -> bool {
    place.matches('>').count() >= 2
}

/// Runs `command` (whose streams are files or null). With `record` every call is noted.
pub fn run(mut command: Command, injection: Option<&Injection>, record: bool, patience: Duration) -> Traced {
    // SAFETY: ptrace and raise are async-signal-safe.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    #[allow(clippy::zombie_processes)] // it is waited for with all others
    let child = command.spawn().expect("to start the command");
    let main = child.id().cast_signed();
    let mut session = Session {
        main,
        tracees: HashMap::from([(main, Tracee { place: Some("caller".to_owned()), ..Tracee::default() })]),
        alive: Arc::new(Mutex::new(vec![main])),
        injection,
        record,
        began: Instant::now(),
        traced: Traced {
            status: 0,
            calls: Vec::new(),
            hit: None,
            executed: BTreeMap::new(),
            hung: false,
            took: Duration::ZERO,
        },
    };
    let alive = Arc::clone(&session.alive);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let mut hung = false;
        while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(patience) {
            hung = true;
            // None of them was waited for while it is on the list: the numbers are theirs.
            for pid in alive.lock().expect("the list").iter() {
                // SAFETY: numbers only.
                unsafe { libc::kill(*pid, libc::SIGKILL) };
            }
        }
        hung
    });
    session.watch();
    drop(stop);
    session.traced.hung = watchdog.join().expect("the watchdog");
    session.traced.took = session.began.elapsed();
    session.traced
}

struct Session<'a> {
    main: i32,
    tracees: HashMap<i32, Tracee>,
    alive: Arc<Mutex<Vec<i32>>>,
    injection: Option<&'a Injection>,
    record: bool,
    began: Instant,
    traced: Traced,
}

impl Session<'_> {
    fn watch(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: an integer to write to. Only this thread's children and tracees: others run at the same
            // time.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if pid < 0 {
                match std::io::Error::last_os_error().raw_os_error() {
                    Some(libc::EINTR) => continue,
                    Some(libc::ECHILD) => return,
                    other => panic!("waitpid: {other:?}"),
                }
            }
            if libc::WIFSTOPPED(status) {
                self.stopped(pid, status);
                continue;
            }
            self.alive.lock().expect("the list").retain(|other| *other != pid);
            self.tracees.remove(&pid);
            if pid == self.main {
                self.traced.status = status;
            }
        }
    }

    fn stopped(&mut self, pid: i32, status: i32) {
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        let tracee = self.tracees.entry(pid).or_default();
        if !tracee.started {
            tracee.started = true;
            let mut alive = self.alive.lock().expect("the list");
            if !alive.contains(&pid) {
                alive.push(pid);
            }
            drop(alive);
            if pid == self.main {
                let options = libc::PTRACE_O_TRACESYSGOOD
                    | libc::PTRACE_O_TRACECLONE
                    | libc::PTRACE_O_TRACEFORK
                    | libc::PTRACE_O_TRACEVFORK
                    | libc::PTRACE_O_TRACEEXEC
                    | libc::PTRACE_O_EXITKILL;
                // SAFETY: numbers only.
                unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
            }
            // Its place comes with its parent's event, which may be second: it waits for it.
            if tracee.place.is_some() {
                self.go_on(pid, 0);
            }
            return;
        }
        match (signal, event) {
            (_, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {
                self.born(pid, event);
                self.go_on(pid, 0);
            }
            (_, libc::PTRACE_EVENT_EXEC) => {
                let place = self.place(pid);
                self.traced.executed.insert(place.clone(), arguments(pid));
                if is_task(&place) {
                    self.tracees.remove(&pid);
                    self.alive.lock().expect("the list").retain(|other| *other != pid);
                    // SAFETY: numbers only; if it has been killed meanwhile there is nothing to let go.
                    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
                } else {
                    self.go_on(pid, 0);
                }
            }
            (signal, 0) if signal == libc::SIGTRAP | 0x80 => {
                self.system_call(pid);
                self.go_on(pid, 0);
            }
            (signal, 0) => self.go_on(pid, signal),
            (_, _) => self.go_on(pid, 0),
        }
    }

    fn place(&self, pid: i32) -> String {
        self.tracees.get(&pid).and_then(|tracee| tracee.place.clone()).unwrap_or_default()
    }

    fn born(&mut self, parent: i32, event: i32) {
        let mut child: libc::c_ulong = 0;
        // SAFETY: room for the message.
        if unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, parent, 0, &raw mut child) } != 0 {
            return;
        }
        let child = child as i32;
        let Some(tracee) = self.tracees.get_mut(&parent) else { return };
        let name = tracee.place.clone().unwrap_or_default();
        let place = if event == libc::PTRACE_EVENT_CLONE {
            tracee.threads += 1;
            format!("{name}.t{}", tracee.threads)
        } else {
            tracee.children += 1;
            format!("{name}>{}", tracee.children)
        };
        let new = self.tracees.entry(child).or_default();
        new.place = Some(place);
        if new.started {
            self.go_on(child, 0);
        }
    }

    /// A system-call stop, at the entry or at the exit.
    fn system_call(&mut self, pid: i32) {
        let Some(tracee) = self.tracees.get_mut(&pid) else { return };
        // SAFETY: all zeroes is a value of it.
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        // SAFETY: room for the answer, whose size is given.
        let got = unsafe {
            libc::ptrace(
                libc::PTRACE_GET_SYSCALL_INFO,
                pid,
                size_of::<libc::ptrace_syscall_info>(),
                &raw mut info,
            )
        };
        if got <= 0 {
            return; // killed
        }
        if info.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            if let Some(value) = tracee.pending.take() {
                change_registers(pid, |registers| registers.rax = value.cast_unsigned());
            }
            return;
        }
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return;
        }
        // SAFETY: at the entry that is the member.
        let entry = unsafe { info.u.entry };
        let mut call = Call {
            place: tracee.place.clone().unwrap_or_default(),
            index: 0,
            number: entry.nr.cast_signed(),
            args: entry.args,
        };
        let key = calls::key(&call);
        let count = tracee.calls.entry(key).or_default();
        call.index = *count;
        *count += 1;
        if self.record {
            self.traced.calls.push(call.clone());
        }
        let Some(injection) = self.injection else { return };
        if self.traced.hit.is_some()
            || (&injection.place, injection.key, injection.index) != (&call.place, key, call.index)
        {
            return;
        }
        self.began = Instant::now();
        match &injection.change {
            // A call without effect is made instead. None at all (-1) would be killed by the sandbox's own
            // filter.
            Change::Fail(errno) => {
                tracee.pending = Some(-i64::from(*errno));
                change_registers(pid, |registers| registers.orig_rax = libc::SYS_getpid.cast_unsigned());
            }
            Change::Fake(value) => {
                tracee.pending = Some(*value);
                change_registers(pid, |registers| registers.orig_rax = libc::SYS_getpid.cast_unsigned());
            }
            Change::Short(argument) => change_registers(pid, |registers| match argument {
                1 => registers.rsi = 1,
                _ => registers.rdx = 1,
            }),
            Change::Kill(places) => {
                for (other, tracee) in &self.tracees {
                    if tracee.place.as_ref().is_some_and(|place| places.contains(place)) {
                        // SAFETY: numbers only; not waited for, so that the number is its own.
                        unsafe { libc::kill(*other, libc::SIGKILL) };
                    }
                }
            }
        }
        self.traced.hit = Some(call);
    }

    fn go_on(&self, pid: i32, signal: i32) {
        let tracee = self.tracees.get(&pid);
        let pending = tracee.is_some_and(|tracee| tracee.pending.is_some());
        let aimed_at = self.traced.hit.is_none()
            && self.injection.is_some_and(|injection| {
                tracee.and_then(|tracee| tracee.place.as_ref()) == Some(&injection.place)
            });
        let request =
            if self.record || pending || aimed_at { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
        // SAFETY: numbers only. ESRCH: it was killed in its stop, and its end comes with the next wait.
        unsafe { libc::ptrace(request, pid, 0, signal) };
    }
}

fn change_registers(pid: i32, change: impl FnOnce(&mut libc::user_regs_struct)) {
    // SAFETY: all zeroes is a value of it.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: room for the registers. A tracee that was killed meanwhile has none.
    if unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers) } == 0 {
        change(&mut registers);
        // SAFETY: as above.
        unsafe { libc::ptrace(libc::PTRACE_SETREGS, pid, 0, &raw const registers) };
    }
}

fn arguments(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}
