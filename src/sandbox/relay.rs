//! Passes the task's output on and counts it: a run that writes more than it may is ended. Bounded memory, whatever the
//! task writes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ender::Ender;

/// `PIPE_BUF`: what a pipe that polls as writable takes without blocking.
const CHUNK: usize = 4096;

/// The thread that relays.
#[derive(Debug)]
pub(super) struct Relay {
    thread: JoinHandle<Result<(), Errno>>,
    flooded: Arc<AtomicBool>,
    /// Closed when what cannot be written at once is not worth waiting for any more.
    wanted: OwnedFd,
}

/// One direction: from the task's pipe to where the caller wants it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) from: OwnedFd,
    pub(super) to: OwnedFd,
}

impl Relay {
    /// Starts relaying; `limit` holds for all streams together; beyond it the run is ended.
    pub(super) fn start(streams: Vec<Stream>, limit: u64, ender: Ender) -> std::io::Result<Self> {
        let flooded = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&flooded);
        let (unwanted, wanted) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let thread = std::thread::Builder::new().name("belljar-relay".to_owned()).spawn(move || {
            let ended = relay(streams, limit, &unwanted);
            if ended == Ok(Ended::Limit) {
                flag.store(true, Ordering::Release);
            }
            if ended != Ok(Ended::Streams)
                && let Err(errno) = ender.end()
            {
                // Its pipes close with this thread: it cannot write any more, but it goes on until its time limit.
                log::error!("the sandbox's output is not relayed any more, and it cannot be ended: {errno}");
            }
            ended.map(drop)
        })?;
        Ok(Self { thread, flooded, wanted })
    }

    /// Waits until everything was passed on; whether the limit was reached. An error: output was lost, and the run ended
    /// for it. `ended`: the run was ended, and a reader that does not read holds nothing up.
    pub(super) fn finish(self, ended: bool) -> Result<bool, Errno> {
        let wanted = Some(self.wanted).filter(|_| !ended);
        // A panic of the thread has printed itself; what it relayed is not known.
        self.thread.join().unwrap_or(Err(Errno::ENOTRECOVERABLE))?;
        drop(wanted);
        Ok(self.flooded.load(Ordering::Acquire))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// All streams ended, or nobody wants them.
    Streams,
    /// The limit was reached.
    Limit,
}

fn relay(mut streams: Vec<Stream>, limit: u64, unwanted: &OwnedFd) -> Result<Ended, Errno> {
    let mut left = limit;
    let mut buffer = [0u8; CHUNK];
    while !streams.is_empty() {
        let mut watched: Vec<PollFd<'_>> =
            streams.iter().map(|stream| PollFd::new(stream.from.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready: Vec<bool> =
            watched.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let mut keep = Vec::with_capacity(streams.len());
        for (stream, ready) in streams.iter().zip(ready) {
            keep.push(!ready || pass_on(stream, &mut buffer, &mut left, unwanted)?);
        }
        let mut kept = keep.into_iter();
        streams.retain(|_| kept.next().unwrap_or(false));
        if left == 0 {
            // Exactly the limit is allowed; one byte more is not.
            return Ok(if more_comes(&streams)? { Ended::Limit } else { Ended::Streams });
        }
    }
    Ok(Ended::Streams)
}

/// Moves one chunk; false once the stream has ended on either side (the task's next write then fails with EPIPE).
fn pass_on(stream: &Stream, buffer: &mut [u8], left: &mut u64, unwanted: &OwnedFd) -> Result<bool, Errno> {
    let room = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else { return Ok(true) };
    match nix::unistd::read(&stream.from, part) {
        Ok(0) => Ok(false),
        Ok(count) => {
            *left = left.saturating_sub(count as u64);
            write_all(&stream.to, part.get(..count).unwrap_or_default(), unwanted)
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// False where nobody reads any more, or nobody waits any more for somebody to read.
fn write_all(to: &OwnedFd, bytes: &[u8], unwanted: &OwnedFd) -> Result<bool, Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut watched =
            [PollFd::new(to.as_fd(), PollFlags::POLLOUT), PollFd::new(unwanted.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        let [to_ready, over] = watched.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if !to_ready {
            if over {
                return Ok(false);
            }
            continue;
        }
        match nix::unistd::write(to, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            // The caller's own descriptor may be non-blocking.
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EPIPE) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

/// Whether any stream has a byte beyond the limit, waiting until all have ended.
fn more_comes(streams: &[Stream]) -> Result<bool, Errno> {
    let mut open: Vec<&Stream> = streams.iter().collect();
    while !open.is_empty() {
        let mut watched: Vec<PollFd<'_>> =
            open.iter().map(|stream| PollFd::new(stream.from.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        if watched.iter().any(|fd| fd.revents().is_some_and(|e| e.contains(PollFlags::POLLIN))) {
            return Ok(true);
        }
        let ended: Vec<bool> =
            watched.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let mut ended = ended.into_iter();
        open.retain(|_| !ended.next().unwrap_or(true));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::io::{Read, Write};

    fn run(limit: u64, written: usize) -> (Result<Ended, Errno>, Vec<u8>) {
        let (from, task) = pipe().expect("a pipe");
        let (reader, to) = pipe().expect("a pipe");
        let writer = std::thread::spawn(move || {
            // The relay may stop reading: that is what is tested.
            drop(std::fs::File::from(task).write_all(&vec![b'x'; written]));
        });
        let collector = std::thread::spawn(move || {
            let mut all = Vec::new();
            std::fs::File::from(reader).read_to_end(&mut all).map(|_| all)
        });
        let (unwanted, _wanted) = pipe().expect("a pipe");
        let ended = relay(vec![Stream { from, to }], limit, &unwanted);
        writer.join().expect("the writer");
        (ended, collector.join().expect("the collector").expect("its bytes"))
    }

    #[test]
    fn passes_everything_on_below_and_at_the_limit() {
        for written in [0, 1, 4095, 4096, 100_000] {
            for limit in [100_000, 100_001] {
                let (ended, bytes) = run(limit, written);
                assert_eq!((ended, bytes.len()), (Ok(Ended::Streams), written));
            }
        }
    }

    #[test]
    fn a_place_that_takes_nothing_is_an_error_and_a_reader_that_left_is_none() {
        for (full, expected) in [(true, Err(Errno::ENOSPC)), (false, Ok(Ended::Streams))] {
            let (from, task) = pipe().expect("a pipe");
            let (_, closed) = pipe().expect("a pipe");
            let to = if full {
                std::fs::File::options().write(true).open("/dev/full").expect("/dev/full").into()
            } else {
                closed
            };
            std::fs::File::from(task).write_all(b"text").expect("to write to a pipe");
            let (unwanted, _wanted) = pipe().expect("a pipe");
            assert_eq!(relay(vec![Stream { from, to }], 1000, &unwanted), expected);
        }
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nothing_up_once_the_run_was_ended() {
        let (from, task) = pipe().expect("a pipe");
        let (_reader, to) = pipe().expect("a pipe");
        let (unwanted, wanted) = pipe().expect("a pipe");
        let relaying = std::thread::spawn(move || relay(vec![Stream { from, to }], u64::MAX, &unwanted));
        // Both pipes take 64 KiB each: the relay waits by then. The rest fails, once it has left.
        let writer = std::thread::spawn(move || std::fs::File::from(task).write_all(&vec![b'x'; 1 << 20]));
        drop(wanted);
        assert_eq!(relaying.join().expect("the relay"), Ok(Ended::Streams));
        assert!(writer.join().expect("the writer").is_err());
    }

    #[test]
    fn stops_exactly_at_the_limit() {
        for limit in [1, 4096, 5000] {
            let (ended, bytes) = run(limit, 100_000);
            assert_eq!((ended, bytes.len() as u64), (Ok(Ended::Limit), limit));
        }
    }
}
