//! The side of the belljar that runs the sandbox: one thread, one request at a time, each of which is done in
//! milliseconds. Before it does something it asks whether its client is still there: what has failed there is
//! not done later.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, UnixAddr, accept4, bind, getsockopt, listen,
    setsockopt, shutdown, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::request::{Answer, Bytes, LONGEST, Request, Word};
use super::{Name, failed};
use crate::cli::error::Error;
use crate::plan::PlanError;
use crate::protocol::{Channel, ChannelError, PASSED_ON};
use crate::reexec::Stdio;
use crate::sandbox::exec::{Exec, Orders};
use crate::sandbox::kill_handle::KillHandle;
use crate::sandbox::{Child, Sandbox};
use crate::sys;

/// How long a request may take to come.
const PATIENCE: TimeVal = TimeVal::new(2, 0);

/// The same, once the run has ended: those that come as it does have sent theirs.
const SHORT: TimeVal = TimeVal::new(0, 10_000);

/// How many may be told of the end.
const MOST_WAITING: usize = 256;

/// Takes requests as long as it lives.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Until the end.
    name: Option<Name>,
}

#[derive(Debug)]
struct Shared {
    listener: OwnedFd,
    over: AtomicBool,
    /// Those that are told of the end.
    waiting: Mutex<Vec<Channel>>,
    sandbox: Sandbox,
    orders: Arc<Orders>,
    ender: KillHandle,
}

impl Server {
    /// Starts to take requests for a sandbox.
    pub fn start(name: Name, sandbox: &Sandbox, child: &Child) -> Result<Self, Error> {
        let path = name.files.socket.clone();
        let listener = listener(&name).map_err(|errno| failed("bind", &path)(errno.into()))?;
        let ender = child.ender().map_err(failed("dup", &path))?;
        let orders = child.orders().ok_or(crate::Error::NoMoreTasks)?;
        let shared = Arc::new(Shared {
            listener,
            over: AtomicBool::new(false),
            waiting: Mutex::default(),
            sandbox: sandbox.clone(),
            orders,
            ender,
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("requests".to_owned()).spawn(move || own.serve());
        let thread = Some(thread.map_err(failed("thread", &path))?);
        Ok(Self { shared, thread, name: Some(name) })
    }

    /// All of the run is over, its report too: the name is given up, and then everybody is told who waits,
    /// with the exit status, and what ended it if not the program itself.
    pub fn finish(mut self, code: u8, why: Option<&str>) {
        self.stop();
        let waiting = std::mem::take(&mut *self.shared.waiting());
        for channel in waiting {
            // One that is gone needs none.
            channel.send(&Answer::Ended { code, why: why.map(str::to_owned) }).ok();
        }
    }

    /// Answers those that have come so far, and gives up the name.
    fn stop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // No more come, and after the last the thread ends (accept(2) gives EINVAL).
        shutdown(self.shared.listener.as_raw_fd(), Shutdown::Both).ok();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread that takes requests panicked");
        }
        self.name = None;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listener(name: &Name) -> Result<OwnedFd, Errno> {
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(&name.files.socket)?)?;
    listen(&listener, Backlog::new(64)?)?;
    Ok(listener)
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one more to be told of the end; whether there was room. Those that are gone make it.
    fn tell_of_the_end(&self, channel: Channel) -> Result<(), Channel> {
        let mut waiting = self.waiting();
        waiting.retain(|channel| !channel.is_gone());
        if waiting.len() >= MOST_WAITING {
            return Err(channel);
        }
        waiting.push(channel);
        Ok(())
    }

    fn serve(&self) {
        loop {
            let accepted = match accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                // SAFETY: the kernel has just made it for us.
                Ok(number) => unsafe { OwnedFd::from_raw_fd(number) },
                Err(Errno::EINTR | Errno::ECONNABORTED) => continue,
                Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS) => {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    continue;
                }
                Err(errno) => {
                    if !self.over.load(Ordering::Acquire) {
                        log::error!("no more requests are taken: accept: {errno}");
                    }
                    return;
                }
            };
            if let Err(error) = self.answer(accepted) {
                log::warn!("a request cannot be answered: {error}");
            }
        }
    }

    fn answer(&self, accepted: OwnedFd) -> io::Result<()> {
        let peer = getsockopt(&accepted, sockopt::PeerCredentials)?;
        if peer.uid() != 0 && peer.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let patience = if self.over.load(Ordering::Acquire) { SHORT } else { PATIENCE };
        setsockopt(&accepted, sockopt::ReceiveTimeout, &patience)?;
        setsockopt(&accepted, sockopt::SendTimeout, &patience)?;
        let channel = Channel::new(accepted);
        let malformed = |_| io::Error::from(io::ErrorKind::InvalidData);
        let Some(bytes) = channel.receive_long(LONGEST).map_err(malformed)? else { return Ok(()) };
        let request = postcard::from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        if matches!(request, Request::Wait) {
            return self.wait(channel).map_err(malformed);
        }
        // From one that has given up the word does not come.
        let asked = channel.send(&Answer::Ready).and_then(|()| channel.receive_with());
        let Ok(Some((Word::Go, streams))) = asked else { return Ok(()) };
        if channel.is_gone() {
            return Ok(());
        }
        let answer = match request {
            Request::Wait => return Ok(()),
            Request::Signal { number: libc::SIGKILL } => match self.ender.end() {
                // It is answered at the end.
                Ok(()) => return self.wait(channel).map_err(malformed),
                Err(errno) => refused(&Error::Signals { action: "end the sandbox", source: errno.into() }),
            },
            Request::Signal { number } => self.signal(number),
            Request::Exec { argv, env, cwd, tty } => {
                let streams = streams.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
                match self.exec(argv, env, cwd, tty, streams) {
                    Ok(exec) => {
                        let (task, terminal) = exec.into_descriptors();
                        let sent: Vec<_> = std::iter::once(&task).chain(&terminal).map(AsFd::as_fd).collect();
                        channel.send_with(&Answer::Started, &sent).map_err(malformed)?;
                        // Without room it is not told why, but that the sandbox has ended.
                        self.tell_of_the_end(channel).ok();
                        return Ok(());
                    }
                    Err(error) => not_started(error),
                }
            }
        };
        channel.send(&answer).map_err(malformed)
    }

    fn wait(&self, channel: Channel) -> Result<(), ChannelError> {
        match self.tell_of_the_end(channel) {
            Ok(()) => Ok(()),
            Err(channel) => channel.send(&refused(&Error::TooManyWait { limit: MOST_WAITING })),
        }
    }

    fn exec(
        &self,
        argv: Vec<Bytes>,
        env: Vec<(Bytes, Bytes)>,
        cwd: Option<Bytes>,
        tty: bool,
        [input, output, error]: [OwnedFd; 3],
    ) -> Result<Exec, crate::Error> {
        let mut argv = argv.into_iter().map(OsString::from);
        let mut command = self.sandbox.command(argv.next().unwrap_or_default());
        command.args(argv).terminal(tty);
        if !tty {
            command.stdin(input).stdout(output).stderr(error);
        }
        for (key, value) in env {
            command.env(OsString::from(key), OsString::from(value));
        }
        if let Some(cwd) = cwd {
            command.current_dir(OsString::from(cwd));
        }
        self.orders.start(&mut command, [Stdio::null, Stdio::null, Stdio::null])
    }

    fn signal(&self, number: i32) -> Answer {
        if !PASSED_ON.iter().any(|passed| *passed as i32 == number) {
            return refused(&Error::SignalNotPassedOn { number });
        }
        match sys::process::pidfd_send_signal(self.ender.pidfd(), number) {
            Ok(()) | Err(Errno::ESRCH) => Answer::Done,
            Err(errno) => refused(&Error::Signals { action: "pidfd_send_signal", source: errno.into() }),
        }
    }
}

/// A start's hints may be about mounts, for which it is too late here.
fn not_started(error: crate::Error) -> Answer {
    const HINT: &str =
        "it is not found inside, and a sandbox that runs takes no more mounts: show it when that is started";
    let of_sight = matches!(&error, crate::Error::Plan(error) if error.downcast_ref().is_some_and(PlanError::is_of_sight));
    match refused(&Error::from(error)) {
        Answer::Refused { message, code, .. } if of_sight => {
            Answer::Refused { message, hints: vec![HINT.to_owned()], code }
        }
        answer => answer,
    }
}

fn refused(error: &Error) -> Answer {
    Answer::Refused { message: error.message(), hints: error.hints(), code: error.exit_code() }
}
