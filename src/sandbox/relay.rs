//! Passes the task's output on and counts it: a run that writes more than it may is ended, or what it writes
//! beyond is thrown away. Bounded memory for any output, and no waiting for a reader who does not
//! read once the run was ended.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::kill_handle::KillHandle;
use super::reading::never_wait;

/// `PIPE_BUF`: what a pipe that polls as writable takes without blocking.
const CHUNK: usize = 4096;

/// What is read at once where it goes nowhere: as much as a pipe mostly holds.
const DISCARD: usize = 65_536;

/// The most that is read of what a pipe still holds once the run is over: others may have it, and write
/// without an end.
const LEFT_OVER: u64 = 1 << 20;

/// How much may be written, and what happens then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Bytes, of all streams together.
    pub(super) bytes: u64,
    /// Whether what comes after is thrown away; otherwise the run is ended.
    pub(super) truncate: bool,
}

/// What became of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relayed {
    /// It reached the limit, and the run was ended for it.
    pub(super) flooded: bool,
    /// Bytes that were thrown away.
    pub(super) discarded: u64,
}

/// The thread that relays.
#[derive(Debug)]
pub(super) struct Relay {
    work: Finishing,
    /// Closed when the run is over.
    running: PipeWriter,
    cut: Arc<AtomicBool>,
}

/// The thread that relays, once the run is over.
#[derive(Debug)]
pub(super) struct Finishing {
    thread: JoinHandle<Result<(), Errno>>,
    flooded: Arc<AtomicBool>,
    discarded: Arc<AtomicU64>,
    /// Its other end is closed once the thread is done.
    done: PipeReader,
}

/// What the thread hears of the run.
#[derive(Debug)]
struct Run {
    /// Readable, as its other end is closed, once the run is over and there is no writer any more.
    over: OwnedFd,
    /// Whether what is left then is given only to a reader who takes it at once. Set before `over` is closed.
    cut: Arc<AtomicBool>,
}

impl Run {
    fn is_over(&self) -> Result<bool, Errno> {
        loop {
            match poll(&mut [PollFd::new(self.over.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// One direction: from the task's pipe to where the caller wants it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) from: OwnedFd,
    pub(super) to: OwnedFd,
}

impl Relay {
    /// Starts relaying.
    pub(super) fn start(streams: Vec<Stream>, limit: Limit, ender: KillHandle) -> std::io::Result<Self> {
        streams.iter().try_for_each(|stream| never_wait(stream.from.as_fd()))?;
        let flooded = Arc::new(AtomicBool::new(false));
        let discarded = Arc::new(AtomicU64::new(0));
        let (flag, count) = (Arc::clone(&flooded), Arc::clone(&discarded));
        let cut = Arc::new(AtomicBool::new(false));
        let (over, running) = std::io::pipe()?;
        let (done, working) = std::io::pipe()?;
        let run = Run { over: over.into(), cut: Arc::clone(&cut) };
        let thread = std::thread::Builder::new().name("belljar-relay".to_owned()).spawn(move || {
            let _working = working;
            let ended = relay(streams, limit, &run);
            match ended {
                Ok(Ended::Limit) => flag.store(true, Ordering::Release),
                Ok(Ended::Streams { discarded }) => count.store(discarded, Ordering::Release),
                Err(_) => {}
            }
            if !matches!(ended, Ok(Ended::Streams { .. }))
                && let Err(errno) = ender.end()
            {
                // Its pipes close with this thread: it cannot write any more, but it goes on until its time
                // limit.
                log::error!("the sandbox's output is not relayed any more, and it cannot be ended: {errno}");
            }
            ended.map(drop)
        })?;
        Ok(Self { work: Finishing { thread, flooded, discarded, done }, running, cut })
    }

    /// For when the sandbox is gone. With `cut` what is left does not wait for a reader who does not read:
    /// the run was ended before its time, and so is its output.
    pub(super) fn over(self, cut: bool) -> Finishing {
        self.cut.store(cut, Ordering::Release);
        drop(self.running);
        self.work
    }
}

impl Finishing {
    /// Shows its end (`POLLHUP`) once all was passed on.
    pub(super) fn done(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// What became of the output. An error: output was lost, and the run was ended for it. A thread that is
    /// not done goes on by itself: it waits for a reader, and keeps what it has for him.
    pub(super) fn finish(self) -> Result<Relayed, Errno> {
        let mut done = [PollFd::new(self.done.as_fd(), PollFlags::POLLIN)];
        if poll(&mut done, PollTimeout::ZERO)? > 0 {
            // A panic of the thread has printed itself; what it relayed is not known.
            self.thread.join().unwrap_or(Err(Errno::ENOTRECOVERABLE))?;
        }
        let (flooded, discarded) =
            (self.flooded.load(Ordering::Acquire), self.discarded.load(Ordering::Acquire));
        Ok(Relayed { flooded, discarded })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// All streams ended, or have no reader; so much was thrown away.
    Streams { discarded: u64 },
    /// The limit was reached.
    Limit,
}

const NOTHING_LOST: Ended = Ended::Streams { discarded: 0 };

fn relay(mut streams: Vec<Stream>, limit: Limit, run: &Run) -> Result<Ended, Errno> {
    let mut left = limit.bytes;
    let mut buffer = [0u8; CHUNK];
    while !streams.is_empty() {
        let Some(ready) = wait_for_any(streams.iter(), run)? else { return Ok(NOTHING_LOST) };
        let mut keep = Vec::with_capacity(streams.len());
        for (stream, events) in streams.iter().zip(ready) {
            keep.push(events.is_empty() || pass_on(stream, &mut buffer, &mut left, run)?);
        }
        let mut kept = keep.into_iter();
        streams.retain(|_| kept.next().unwrap_or(false));
        if left == 0 {
            if limit.truncate {
                return Ok(Ended::Streams { discarded: discard(streams, run)? });
            }
            // Exactly the limit is allowed; one byte more is not.
            return Ok(if more_comes(&streams, run)? { Ended::Limit } else { NOTHING_LOST });
        }
    }
    Ok(NOTHING_LOST)
}

/// Reads what comes after the limit and keeps nothing, until the streams end or the run is over. Gives how
/// much it was.
fn discard(mut streams: Vec<Stream>, run: &Run) -> Result<u64, Errno> {
    let mut buffer = vec![0u8; DISCARD];
    let (mut discarded, mut left_over) = (0u64, 0u64);
    while !streams.is_empty() && left_over < LEFT_OVER {
        let Some(ready) = wait_for_any(streams.iter(), run)? else { break };
        let over = run.is_over()?;
        let mut keep = Vec::with_capacity(streams.len());
        for (stream, events) in streams.iter().zip(ready) {
            keep.push(
                events.is_empty()
                    || match nix::unistd::read(&stream.from, &mut buffer) {
                        Ok(count) => {
                            discarded = discarded.saturating_add(count as u64);
                            left_over = left_over.saturating_add(if over { count as u64 } else { 0 });
                            count > 0
                        }
                        Err(Errno::EINTR | Errno::EAGAIN) => true,
                        Err(errno) => return Err(errno),
                    },
            );
        }
        let mut kept = keep.into_iter();
        streams.retain(|_| kept.next().unwrap_or(false));
    }
    Ok(discarded)
}

/// Moves one chunk; false once the stream has ended on either side (the task's next write then fails with
/// EPIPE).
fn pass_on(stream: &Stream, buffer: &mut [u8], left: &mut u64, run: &Run) -> Result<bool, Errno> {
    let room = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    let Some(part) = buffer.get_mut(..room).filter(|part| !part.is_empty()) else { return Ok(true) };
    match nix::unistd::read(&stream.from, part) {
        Ok(0) => Ok(false),
        Ok(count) => {
            *left = left.saturating_sub(count as u64);
            write_all(&stream.to, part.get(..count).unwrap_or_default(), run)
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// False where there is no reader any more, or the run was cut.
fn write_all(to: &OwnedFd, bytes: &[u8], run: &Run) -> Result<bool, Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        if !takes_more(to, run)? {
            return Ok(false);
        }
        match nix::unistd::write(to, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            // The caller's own descriptor may be non-blocking, and others may write to it.
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EPIPE) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

/// Waits until the caller's side takes more; false if the run was cut before.
fn takes_more(to: &OwnedFd, run: &Run) -> Result<bool, Errno> {
    let mut watched =
        vec![PollFd::new(to.as_fd(), PollFlags::POLLOUT), PollFd::new(run.over.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        let mut ready = watched.iter().map(is_ready);
        if ready.next() == Some(true) {
            return Ok(true);
        }
        if ready.next() == Some(true) {
            if run.cut.load(Ordering::Acquire) {
                return Ok(false);
            }
            // It ended by itself: its reader gets all of it, in its own time.
            watched.truncate(1);
        }
    }
}

/// Whether any stream has a byte beyond the limit, waiting until all have ended.
fn more_comes(streams: &[Stream], run: &Run) -> Result<bool, Errno> {
    let mut open: Vec<&Stream> = streams.iter().collect();
    while !open.is_empty() {
        let Some(events) = wait_for_any(open.iter().copied(), run)? else { return Ok(false) };
        if events.iter().any(|events| events.contains(PollFlags::POLLIN)) {
            return Ok(true);
        }
        let mut ended = events.into_iter().map(|events| !events.is_empty());
        open.retain(|_| !ended.next().unwrap_or(true));
    }
    Ok(false)
}

/// Waits until there is something to read, or the end of a stream. `None` once the run is over and nothing is
/// left: what still holds a stream open is not of the sandbox.
fn wait_for_any<'a>(
    streams: impl Iterator<Item = &'a Stream>,
    run: &Run,
) -> Result<Option<Vec<PollFlags>>, Errno> {
    let mut watched: Vec<PollFd<'_>> =
        streams.map(|stream| PollFd::new(stream.from.as_fd(), PollFlags::POLLIN)).collect();
    watched.push(PollFd::new(run.over.as_fd(), PollFlags::POLLIN));
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    watched.pop();
    let events: Vec<PollFlags> =
        watched.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();
    Ok(events.iter().any(|events| !events.is_empty()).then_some(events))
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::io::{Read, Write};

    const END: Limit = Limit { bytes: 1000, truncate: false };

    fn run(limit: Limit, written: usize) -> (Result<Ended, Errno>, Vec<u8>) {
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
                let (ended, bytes) = run(Limit { bytes: limit, truncate: written % 2 == 0 }, written);
                assert_eq!((ended, bytes.len()), (Ok(NOTHING_LOST), written));
            }
        }
    }

    #[test]
    fn stops_exactly_at_the_limit_or_throws_the_rest_away() {
        for limit in [1, 4096, 5000] {
            let (ended, bytes) = run(Limit { bytes: limit, truncate: false }, 100_000);
            assert_eq!((ended, bytes.len() as u64), (Ok(Ended::Limit), limit));
            let (ended, bytes) = run(Limit { bytes: limit, truncate: true }, 100_000);
            let discarded = 100_000 - limit;
            assert_eq!((ended, bytes.len() as u64), (Ok(Ended::Streams { discarded }), limit));
        }
    }

    #[test]
    fn a_writer_outside_does_not_hold_up_the_end() {
        let (from, task) = pipe().expect("a pipe");
        let (_reader, to) = pipe().expect("a pipe");
        let writer = std::thread::spawn(move || {
            let mut task = std::fs::File::from(task);
            while task.write_all(&[b'x'; 65_536]).is_ok() {}
        });
        let (over, running) = std::io::pipe().expect("a pipe");
        let run = Run { over: over.into(), cut: Arc::default() };
        drop(running);
        let ended = relay(vec![Stream { from, to }], Limit { bytes: 10, truncate: true }, &run);
        let most = LEFT_OVER + DISCARD as u64;
        assert!(matches!(ended, Ok(Ended::Streams { discarded }) if discarded <= most), "{ended:?}");
        writer.join().expect("the writer");
    }

    /// A full pipe as the caller's side, a task that has written and is held open by another process.
    fn stuck(cut: bool) -> (JoinHandle<Result<Ended, Errno>>, PipeWriter, OwnedFd, OwnedFd) {
        let (from, task) = pipe().expect("a pipe");
        let (reader, to) = pipe().expect("a pipe");
        std::fs::File::from(to.try_clone().expect("dup")).write_all(&[b'-'; 65_536]).expect("write");
        std::fs::File::from(task.try_clone().expect("dup")).write_all(b"all of it").expect("write");
        let (over, running) = std::io::pipe().expect("a pipe");
        let run = Run { over: over.into(), cut: Arc::new(AtomicBool::new(cut)) };
        let relay = std::thread::spawn(move || relay(vec![Stream { from, to }], END, &run));
        (relay, running, reader, task)
    }

    #[test]
    fn a_place_that_takes_nothing_is_an_error_and_a_reader_that_left_is_none() {
        for (full, expected) in [(true, Err(Errno::ENOSPC)), (false, Ok(NOTHING_LOST))] {
            let (from, task) = pipe().expect("a pipe");
            let (_, closed) = pipe().expect("a pipe");
            let to = if full {
                std::fs::File::options().write(true).open("/dev/full").expect("/dev/full").into()
            } else {
                closed
            };
            std::fs::File::from(task).write_all(b"text").expect("to write to a pipe");
            let (over, _running) = std::io::pipe().expect("a pipe");
            let run = Run { over: over.into(), cut: Arc::default() };
            assert_eq!(relay(vec![Stream { from, to }], END, &run), expected);
        }
    }

    #[test]
    fn a_run_that_was_cut_does_not_wait_for_its_reader() {
        let (relay, running, _reader, _task) = stuck(true);
        drop(running);
        assert_eq!(relay.join().expect("the relay"), Ok(NOTHING_LOST));
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
        assert_eq!(relay.join().expect("the relay"), Ok(NOTHING_LOST));
    }
}
