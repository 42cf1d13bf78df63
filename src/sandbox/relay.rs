//! Passes the task's output on and counts it: a run that writes more than it may is ended. Bounded memory, whatever the
//! task writes, and no waiting for a reader who does not read once the run was ended.

use std::io::PipeWriter;
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
    /// Closed when the run is over.
    running: PipeWriter,
    cut: Arc<AtomicBool>,
}

/// What the thread hears of the run.
#[derive(Debug)]
struct Run {
    /// Readable, as its other end is closed, once the run is over and nobody writes any more.
    over: OwnedFd,
    /// Whether what is left then is given only to a reader who takes it at once. Set before `over` is closed.
    cut: Arc<AtomicBool>,
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
        let cut = Arc::new(AtomicBool::new(false));
        let (over, running) = std::io::pipe()?;
        let run = Run { over: over.into(), cut: Arc::clone(&cut) };
        let thread = std::thread::Builder::new().name("belljar-relay".to_owned()).spawn(move || {
            if relay(streams, limit, &run) == Ended::Limit {
                flag.store(true, Ordering::Release);
                if let Err(errno) = ender.end() {
                    // Its pipes close with this thread: it cannot write any more, but it goes on until its time limit.
                    log::error!("the sandbox reached its output limit and cannot be ended: {errno}");
                }
            }
        })?;
        Ok(Self { thread, flooded, running, cut })
    }

    /// For when the sandbox is gone: waits until everything was passed on, and says whether the limit was reached. With
    /// `cut` it does not wait for a reader who does not read: the run was ended before its time, and so is its output.
    pub(super) fn finish(self, cut: bool) -> bool {
        self.cut.store(cut, Ordering::Release);
        drop(self.running);
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

fn relay(mut streams: Vec<Stream>, limit: u64, run: &Run) -> Ended {
    let mut left = limit;
    let mut buffer = [0u8; CHUNK];
    while !streams.is_empty() {
        let Some(ready) = wait_for_any(streams.iter(), run) else { return Ended::Streams };
        let mut keep = Vec::with_capacity(streams.len());
        for (stream, events) in streams.iter().zip(ready) {
            keep.push(events.is_empty() || pass_on(stream, &mut buffer, &mut left, run));
        }
        let mut kept = keep.into_iter();
        streams.retain(|_| kept.next().unwrap_or(false));
        if left == 0 {
            // Exactly the limit is allowed; one byte more is not.
            return if more_comes(&streams, run) { Ended::Limit } else { Ended::Streams };
        }
    }
    Ended::Streams
}

/// Moves one chunk; false once the stream has ended on either side (the task's next write then fails with EPIPE).
fn pass_on(stream: &Stream, buffer: &mut [u8], left: &mut u64, run: &Run) -> bool {
    let room = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else { return true };
    match nix::unistd::read(&stream.from, part) {
        Ok(0) => false,
        Ok(count) => {
            *left = left.saturating_sub(count as u64);
            part.get(..count).is_some_and(|bytes| write_all(&stream.to, bytes, run))
        }
        Err(Errno::EINTR | Errno::EAGAIN) => true,
        Err(_) => false,
    }
}

fn write_all(to: &OwnedFd, bytes: &[u8], run: &Run) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        if !takes_more(to, run) {
            return false;
        }
        match nix::unistd::write(to, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            // The caller's own descriptor may be non-blocking, and others may write to it.
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Waits until the caller's side takes more; false if the run was cut before.
fn takes_more(to: &OwnedFd, run: &Run) -> bool {
    let mut watched =
        vec![PollFd::new(to.as_fd(), PollFlags::POLLOUT), PollFd::new(run.over.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return false,
        }
        let mut ready = watched.iter().map(is_ready);
        if ready.next() == Some(true) {
            return true;
        }
        if ready.next() == Some(true) {
            if run.cut.load(Ordering::Acquire) {
                return false;
            }
            // It ended by itself: its reader gets all of it, in its own time.
            watched.truncate(1);
        }
    }
}

/// Whether any stream has a byte beyond the limit, waiting until all have ended.
fn more_comes(streams: &[Stream], run: &Run) -> bool {
    let mut open: Vec<&Stream> = streams.iter().collect();
    while !open.is_empty() {
        let Some(events) = wait_for_any(open.iter().copied(), run) else { return false };
        if events.iter().any(|events| events.contains(PollFlags::POLLIN)) {
            return true;
        }
        let mut ended = events.into_iter().map(|events| !events.is_empty());
        open.retain(|_| !ended.next().unwrap_or(true));
    }
    false
}

/// Waits until there is something to read, or the end of a stream. `None` once the run is over and nothing is left: what
/// still holds a stream open is not of the sandbox.
fn wait_for_any<'a>(streams: impl Iterator<Item = &'a Stream>, run: &Run) -> Option<Vec<PollFlags>> {
    let mut watched: Vec<PollFd<'_>> =
        streams.map(|stream| PollFd::new(stream.from.as_fd(), PollFlags::POLLIN)).collect();
    watched.push(PollFd::new(run.over.as_fd(), PollFlags::POLLIN));
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
    watched.pop();
    let events: Vec<PollFlags> =
        watched.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();
    events.iter().any(|events| !events.is_empty()).then_some(events)
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
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
        let (over, _running) = std::io::pipe().expect("a pipe");
        let run = Run { over: over.into(), cut: Arc::default() };
        let ended = relay(vec![Stream { from, to }], limit, &run);
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

    /// A full pipe as the caller's side, a task that has written and is held open by somebody else.
    fn stuck(cut: bool) -> (JoinHandle<Ended>, PipeWriter, OwnedFd, OwnedFd) {
        let (from, task) = pipe().expect("a pipe");
        let (reader, to) = pipe().expect("a pipe");
        std::fs::File::from(to.try_clone().expect("dup")).write_all(&[b'-'; 65_536]).expect("write");
        std::fs::File::from(task.try_clone().expect("dup")).write_all(b"all of it").expect("write");
        let (over, running) = std::io::pipe().expect("a pipe");
        let run = Run { over: over.into(), cut: Arc::new(AtomicBool::new(cut)) };
        let relay = std::thread::spawn(move || relay(vec![Stream { from, to }], 1000, &run));
        (relay, running, reader, task)
    }

    #[test]
    fn a_run_that_was_cut_does_not_wait_for_its_reader() {
        let (relay, running, _reader, _task) = stuck(true);
        drop(running);
        assert_eq!(relay.join().expect("the relay"), Ended::Streams);
    }

    #[test]
    fn a_run_that_ended_gives_its_reader_everything() {
        let (relay, running, reader, _task) = stuck(false);
        drop(running);
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!relay.is_finished());
        let mut all = Vec::new();
        std::fs::File::from(reader).read_to_end(&mut all).expect("read");
        assert!(all.ends_with(b"-all of it"));
        // Though the task's end is still held.
        assert_eq!(relay.join().expect("the relay"), Ended::Streams);
    }
}
