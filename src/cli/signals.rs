//! Passes signals on to the sandbox. The sandbox has its own session, so the terminal and service managers send
//! their signals to belljar.
//!
//! The signals are blocked before the task can run, so that none is lost, and read from a signalfd(2) while
//! belljar waits for the sandbox. Ctrl-Z stops the task and belljar, as one job. Signals that were ignored when
//! belljar started (nohup(1), background jobs of a shell) stay ignored.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::terminal;
use crate::protocol::{Channel, PASSED_ON, Passed};
use crate::sandbox::supervisor::{Asked, Supervisor};
use crate::sys;

/// Where signals are sent.
#[derive(Debug)]
pub struct Receiver {
    pub target: Target,
    /// The outer end of its terminal, where it has one of its own.
    pub terminal: Option<OwnedFd>,
}

/// The receiving process, or its channel.
#[derive(Debug)]
pub enum Target {
    /// The sandbox's init, by its pidfd.
    Init(OwnedFd),
    /// init, for a task beyond the first, by that one's channel.
    Task(Channel),
}

impl Target {
    fn send(&self, signal: Signal) -> Result<(), Errno> {
        match self {
            Self::Init(pidfd) => sys::process::pidfd_send_signal(pidfd.as_fd(), signal as i32),
            // init closes it when the task has ended.
            Self::Task(channel) => channel.send(&Passed { signal: signal as i32 }).map_err(|_| Errno::ESRCH),
        }
    }
}

/// How far the run is.
#[derive(Debug)]
enum State<T> {
    /// The sandbox is being set up.
    Starting { kept: Vec<Signal> },
    /// The task runs.
    Running { sandbox: T },
    /// The task has ended, and its last output is being copied.
    Finishing,
}

/// What to do with a signal.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Nothing more.
    None,
    /// belljar is killed by it, as any program would be.
    Die,
    /// It is sent to the sandbox.
    Forward,
}

impl<T> State<T> {
    fn take(&mut self, signal: Signal) -> Action {
        match self {
            // The task may already run: the first one is kept for it.
            State::Starting { kept } if !kept.contains(&signal) => {
                kept.push(signal);
                Action::None
            }
            // A second request ends belljar at once. The unfinished sandbox ends with it.
            State::Starting { .. } if ends_a_program(signal) => Action::Die,
            // As in the kernel, a signal is pending once.
            State::Starting { .. } => Action::None,
            State::Running { .. } => Action::Forward,
            // The output may never be read.
            State::Finishing if ends_a_program(signal) => Action::Die,
            State::Finishing => Action::None,
        }
    }
}

fn ends_a_program(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP | Signal::SIGQUIT)
}

/// Receives the signals and forwards them. Until [`Forwarder::block`] they have their usual effect.
#[derive(Debug)]
pub struct Forwarder {
    /// Set when the signals are blocked.
    signals: Option<SignalFd>,
    state: State<Receiver>,
    requests: Requests,
    heard: Heard,
}

/// The signals that were received.
#[derive(Debug, Default)]
pub struct Heard {
    /// Each one once.
    all: Vec<Signal>,
    /// The signal that was sent a second time, so that the run was killed.
    pub forced: Option<Signal>,
}

impl Heard {
    /// The signal with this number, if it was received and is a request to end.
    pub fn request(&self, number: i32) -> Option<Signal> {
        let signal = Signal::try_from(number).ok()?;
        (ends_a_program(signal) && self.all.contains(&signal)).then_some(signal)
    }
}

impl Supervisor for Forwarder {
    /// Blocks the signals in this thread, and in threads that it starts.
    fn before(&mut self) -> io::Result<()> {
        self.block()
    }

    fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.signals.as_ref().map(SignalFd::as_fd)
    }

    /// Handles the next pending signal.
    fn handle(&mut self) -> io::Result<Asked> {
        let Some(signals) = &self.signals else { return Ok(Asked::Nothing) };
        let Some(info) = signals.read_signal()? else { return Ok(Asked::Nothing) };
        let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        let Some(signal) = signal else { return Ok(Asked::Nothing) };
        let again = self.requests.again(signal, info.ssi_code, Instant::now());
        if !self.heard.all.contains(&signal) {
            self.heard.all.push(signal);
        }
        self.state.handle(signal);
        if again && matches!(self.state, State::Running { .. }) {
            log::debug!("{signal} again: the run is ended by force");
            self.heard.forced.get_or_insert(signal);
            return Ok(Asked::Force);
        }
        Ok(Asked::Nothing)
    }
}

/// Requests to end that were received. The second one kills a task that ignored the first.
#[derive(Debug, Default)]
struct Requests {
    terminated: bool,
    interrupted: bool,
    /// When Ctrl-C was typed last.
    typed: Option<Instant>,
}

/// Two Ctrl-C within this time are a second request. Interactive programs (an interpreter's prompt) use single
/// ones.
const IN_A_ROW: Duration = Duration::from_secs(1);

impl Requests {
    /// Whether this is the second request of its kind. `code` is `SI_KERNEL` for a key typed on the terminal.
    fn again(&mut self, signal: Signal, code: i32, now: Instant) -> bool {
        /// Of the kernel's siginfo.h.
        const SI_KERNEL: i32 = 0x80;
        match (signal, code) {
            (Signal::SIGINT, SI_KERNEL) => {
                let before = self.typed.replace(now);
                before.is_some_and(|before| now.saturating_duration_since(before) < IN_A_ROW)
            }
            (Signal::SIGTERM, _) => std::mem::replace(&mut self.terminated, true),
            (Signal::SIGINT, _) => std::mem::replace(&mut self.interrupted, true),
            _ => false,
        }
    }
}

impl Forwarder {
    pub fn new() -> Forwarder {
        let state = State::Starting { kept: Vec::new() };
        Forwarder { signals: None, state, requests: Requests::default(), heard: Heard::default() }
    }

    /// Blocks the signals from now on, to read them one by one.
    pub fn block(&mut self) -> io::Result<()> {
        let mut signals = SigSet::empty();
        for signal in PASSED_ON {
            if !is_ignored(signal)? {
                signals.add(signal);
            }
        }
        signals.thread_block()?;
        self.signals = Some(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?);
        Ok(())
    }

    /// The signals that were received.
    pub fn heard(self) -> Heard {
        self.heard
    }

    /// From now on signals are sent to the sandbox, first those that were kept for it.
    pub fn attach(&mut self, sandbox: Receiver) {
        if let State::Starting { kept } = &self.state {
            for signal in kept {
                forward(&sandbox, *signal);
            }
        }
        self.state = State::Running { sandbox };
    }
}

impl State<Receiver> {
    fn handle(&mut self, signal: Signal) {
        match (self.take(signal), &*self) {
            (Action::Die, _) => die(signal),
            (Action::Forward, State::Running { sandbox }) => {
                if !forward(sandbox, signal) && ends_a_program(signal) {
                    *self = State::Finishing;
                }
            }
            (_, _) => {}
        }
    }
}

/// Forwards a signal. False if the sandbox has ended.
fn forward(sandbox: &Receiver, signal: Signal) -> bool {
    if let (Signal::SIGWINCH, Some(terminal)) = (signal, &sandbox.terminal) {
        // The kernel sends SIGWINCH to the foreground processes of the sandbox's terminal.
        match terminal::copy_size(terminal.as_fd()) {
            Ok(()) => log::debug!("the terminal's new size is passed on"),
            Err(errno) => log::error!("the terminal's new size cannot be passed on: {errno}"),
        }
        return true;
    }
    if signal == Signal::SIGTSTP {
        return suspend(sandbox);
    }
    send(sandbox, signal)
}

/// How long a program has to restore the terminal when it is stopped, before the caller's shell uses it.
const BEFORE_A_STOP: Duration = Duration::from_millis(50);

/// Ctrl-Z: stops the task, then belljar, as one job of the caller's shell. Returns when the shell continues the
/// job (`fg`, `bg`).
fn suspend(sandbox: &Receiver) -> bool {
    // With its own terminal the task has its own job control. Then only belljar stops; the task blocks when it
    // writes to the terminal.
    if sandbox.terminal.is_none() {
        if !send(sandbox, Signal::SIGTSTP) {
            return false;
        }
        std::thread::sleep(BEFORE_A_STOP);
    }
    stop();
    // SIGCONT is forwarded like every other signal. If none is pending, belljar was not stopped: the kernel does
    // not stop an orphaned process group (setpgid(2)).
    let continued = pending().is_ok_and(|set| set.contains(Signal::SIGCONT));
    continued || send(sandbox, Signal::SIGCONT)
}

/// Stops this process as SIGTSTP does any other.
fn stop() {
    let stopped = SigSet::from(Signal::SIGTSTP);
    let done = stopped
        .thread_unblock()
        .and_then(|()| nix::sys::signal::raise(Signal::SIGTSTP))
        .and_then(|()| stopped.thread_block());
    if let Err(errno) = done {
        log::error!("cannot stop: {errno}");
    }
}

/// The pending signals.
fn pending() -> nix::Result<SigSet> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: room for the answer.
    Errno::result(unsafe { libc::sigpending(set.as_mut_ptr()) })?;
    // SAFETY: the kernel has written a set.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(set.assume_init()) })
}

/// Sends a signal to init, which passes it on; false if the sandbox has ended.
fn send(sandbox: &Receiver, signal: Signal) -> bool {
    match sandbox.target.send(signal) {
        Ok(()) => log::debug!("{signal} forwarded"),
        Err(Errno::ESRCH) => {
            log::debug!("{signal}: it has ended");
            return false;
        }
        Err(error) => log::error!("{signal} cannot be forwarded: {error}"),
    }
    true
}

/// Kills this process by `signal`, so that its parent sees the signal. (A shell's loop goes on after an exit
/// status of 130.)
pub fn die(signal: Signal) -> ! {
    // No core dump of belljar: RLIMIT_CORE does not prevent one that is piped to a program (core(5)).
    let _ = nix::sys::prctl::set_dumpable(false);
    // SAFETY: SIG_DFL is not a function.
    let _ = unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) };
    let _ = SigSet::from(signal).thread_unblock();
    let _ = nix::sys::signal::raise(signal);
    // Reached if one of these failed, or as PID 1 of a container.
    std::process::exit(128 + signal as i32)
}

fn is_ignored(signal: Signal) -> io::Result<bool> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action nothing changes, and the old one is written to memory of its type.
    if unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeroes is a valid sigaction, and the kernel's answer is one.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_there_is_a_sandbox_is_kept_for_it() {
        let mut state = State::<()>::Starting { kept: vec![] };
        for signal in [Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGWINCH, Signal::SIGUSR1] {
            assert_eq!(state.take(signal), Action::None);
        }
        let State::Starting { kept } = state else { panic!("{state:?}") };
        assert_eq!(kept, [Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGWINCH]);
    }

    #[test]
    fn a_second_request_to_end_while_there_is_no_sandbox_ends_belljar() {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            let mut state = State::<()>::Starting { kept: vec![] };
            assert_eq!(state.take(signal), Action::None);
            assert_eq!(state.take(signal), Action::Die);
        }
    }

    #[test]
    fn every_signal_is_forwarded_each_time_it_comes_until_the_end() {
        let mut state = State::Running { sandbox: () };
        for signal in PASSED_ON.iter().chain(&PASSED_ON) {
            assert_eq!(state.take(*signal), Action::Forward);
        }
        let mut state = State::<()>::Finishing;
        assert_eq!(state.take(Signal::SIGWINCH), Action::None);
        assert_eq!(state.take(Signal::SIGINT), Action::Die);
    }

    #[test]
    fn who_asks_a_second_time_is_obeyed_and_a_key_only_at_once() {
        use Signal::{SIGHUP, SIGINT, SIGTERM};
        let (user, key) = (0, 0x80);
        let now = Instant::now();
        let mut requests = Requests::default();
        let mut again =
            |signal, code, seconds| requests.again(signal, code, now + Duration::from_secs(seconds));
        assert!(!again(SIGTERM, user, 0) && !again(SIGINT, user, 0) && !again(SIGHUP, user, 0));
        assert!(!again(SIGHUP, user, 0), "what is not about the end");
        assert!(again(SIGTERM, user, 600) && again(SIGINT, user, 700) && again(SIGTERM, user, 800));
        assert!(!again(SIGINT, key, 0) && !again(SIGINT, key, 2) && !again(SIGINT, key, 4), "at a prompt");
        assert!(again(SIGINT, key, 4));
    }

    #[test]
    fn what_is_ignored_is_seen() {
        // std ignores SIGPIPE at the start of every program. SIGURG is not ignored here.
        assert!(is_ignored(Signal::SIGPIPE).expect("sigaction"));
        assert!(!is_ignored(Signal::SIGURG).expect("sigaction"));
    }
}
