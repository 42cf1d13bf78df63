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
    thread: JoinHandle<()>,
    flooded: Arc<AtomicBool>,
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
        let thread = std::thread::Builder::new().name("belljar-relay".to_owned()).spawn(move || {
            if relay(streams, limit) == Ended::Limit {
                flag.store(true, Ordering::Release);
                if let Err(errno) = ender.end() {
                    // Its pipes close with this thread: it cannot write any more, but it goes on until its time limit.
                    log::error!("the sandbox reached its output limit and cannot be ended: {errno}");
                }
            }
        })?;
        Ok(Self { thread, flooded })
    }

    /// Waits until everything was passed on; whether the limit was reached.
    pub(super) fn finish(self) -> bool {
        // A panic of the thread has printed itself; what it had counted still holds.
        drop(self.thread.join());
        self.flooded.load(Ordering::Acquire)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// All streams ended, or nobody wants them.
    Streams,
    /// The limit was reached.
    Limit,
}

fn relay(mut streams: Vec<Stream>, limit: u64) -> Ended {
    let mut left = limit;
    let mut buffer = [0u8; CHUNK];
    while !streams.is_empty() {
        let mut watched: Vec<PollFd<'_>> =
            streams.iter().map(|stream| PollFd::new(stream.from.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Ended::Streams,
        }
        let ready: Vec<bool> =
            watched.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let mut keep = Vec::with_capacity(streams.len());
        for (stream, ready) in streams.iter().zip(ready) {
            keep.push(!ready || pass_on(stream, &mut buffer, &mut left));
        }
        let mut kept = keep.into_iter();
        streams.retain(|_| kept.next().unwrap_or(false));
        if left == 0 {
            // Exactly the limit is allowed; one byte more is not.
            return if more_comes(&streams) { Ended::Limit } else { Ended::Streams };
        }
    }
    Ended::Streams
}

/// Moves one chunk; false once the stream has ended on either side (the task's next write then fails with EPIPE).
fn pass_on(stream: &Stream, buffer: &mut [u8], left: &mut u64) -> bool {
    let room = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else { return true };
    match nix::unistd::read(&stream.from, part) {
        Ok(0) => false,
        Ok(count) => {
            *left = left.saturating_sub(count as u64);
            part.get(..count).is_some_and(|bytes| write_all(&stream.to, bytes))
        }
        Err(Errno::EINTR | Errno::EAGAIN) => true,
        Err(_) => false,
    }
}

fn write_all(to: &OwnedFd, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match nix::unistd::write(to, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            // The caller's own descriptor may be non-blocking.
            Err(Errno::EAGAIN) => {
                let mut watched = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                poll(&mut watched, PollTimeout::NONE).ok();
            }
            Err(_) => return false,
        }
    }
    true
}

/// Whether any stream has a byte beyond the limit, waiting until all have ended.
fn more_comes(streams: &[Stream]) -> bool {
    let mut open: Vec<&Stream> = streams.iter().collect();
    while !open.is_empty() {
        let mut watched: Vec<PollFd<'_>> =
            open.iter().map(|stream| PollFd::new(stream.from.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
        if watched.iter().any(|fd| fd.revents().is_some_and(|e| e.contains(PollFlags::POLLIN))) {
            return true;
        }
        let ended: Vec<bool> =
            watched.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let mut ended = ended.into_iter();
        open.retain(|_| !ended.next().unwrap_or(true));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::io::{Read, Write};

    fn run(limit: u64, written: usize) -> (Ended, Vec<u8>) {
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
        let ended = relay(vec![Stream { from, to }], limit);
        writer.join().expect("the writer");
        (ended, collector.join().expect("the collector").expect("its bytes"))
    }

    #[test]
    fn passes_everything_on_below_and_at_the_limit() {
        for written in [0, 1, 4095, 4096, 100_000] {
            for limit in [100_000, 100_001] {
                let (ended, bytes) = run(limit, written);
                assert_eq!((ended, bytes.len()), (Ended::Streams, written));
            }
        }
    }

    #[test]
    fn stops_exactly_at_the_limit() {
        for limit in [1, 4096, 5000] {
            let (ended, bytes) = run(limit, 100_000);
            assert_eq!((ended, bytes.len() as u64), (Ended::Limit, limit));
        }
    }
}
