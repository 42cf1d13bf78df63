//! Pipes that a task writes to and the caller reads: without blocking, and never until they end, which
//! each holder of the other end decides, outside of the sandbox, too (SCM_RIGHTS).

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Read at once; as much as a pipe holds unless it was made larger.
const CHUNK: u64 = 65_536;

/// A pipe, and what was read of it.
#[derive(Debug)]
pub(crate) struct Reading {
    /// `None` once it has ended.
    from: Option<File>,
    bytes: Vec<u8>,
    /// Bytes; one more is too much.
    most: u64,
}

impl Reading {
    pub(super) fn new(from: Option<OwnedFd>, most: u64) -> io::Result<Self> {
        from.as_ref().map_or(Ok(()), |from| never_wait(from.as_fd()))?;
        Ok(Self { from: from.map(File::from), bytes: Vec::new(), most })
    }

    /// Reads what there is now, at most [`CHUNK`].
    pub(super) fn read_some(&mut self) -> io::Result<()> {
        if self.read(CHUNK)? == Some(0) {
            self.from = None;
        }
        Ok(())
    }

    /// Once no process of the run writes any more: what the pipe holds at this moment.
    pub(super) fn read_the_rest(&mut self) -> io::Result<()> {
        let Some(from) = &self.from else { return Ok(()) };
        let mut left = waiting(from.as_fd())?;
        while left > 0 {
            let Some(count) = self.read(left)?.filter(|count| *count > 0) else { break };
            left = left.saturating_sub(count);
        }
        self.from = None;
        Ok(())
    }

    /// Reads once; how much, which is nothing at the end. `None` where there is nothing now.
    fn read(&mut self, most: u64) -> io::Result<Option<u64>> {
        let Some(from) = &mut self.from else { return Ok(None) };
        let room = self.most.saturating_add(1).saturating_sub(self.bytes.len() as u64).min(most).min(CHUNK);
        if room == 0 {
            return Ok(None);
        }
        let before = self.bytes.len();
        let end = before + usize::try_from(room).unwrap_or(usize::MAX);
        self.bytes.resize(end, 0);
        let read = loop {
            let read = self.bytes.get_mut(before..).map_or(Ok(0), |room| from.read(room));
            if !matches!(&read, Err(error) if error.kind() == ErrorKind::Interrupted) {
                break read;
            }
        };
        self.bytes.truncate(before + read.as_ref().map_or(0, |count| *count));
        match read {
            Ok(count) => Ok(Some(count as u64)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it was more than the limit; of the rest only one byte is kept.
    pub(super) fn has_too_much(&self) -> bool {
        self.bytes.len() as u64 > self.most
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Those that have not ended.
pub(super) fn open(pipes: &[Reading]) -> Vec<BorrowedFd<'_>> {
    pipes.iter().filter_map(|pipe| pipe.from.as_ref().map(AsFd::as_fd)).collect()
}

/// Has reads of this end of a pipe give `EAGAIN` where there is nothing. That poll(2) has seen something is
/// no promise: who opens the pipe again by `/proc/self/fd` can take it back, and who holds its other end
/// outside can keep it open.
pub(super) fn never_wait(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?);
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);

/// How much a pipe holds.
fn waiting(pipe: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count = 0;
    // SAFETY: the kernel writes one int.
    unsafe { fionread(pipe.as_raw_fd(), &raw mut count) }?;
    Ok(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn reads_what_there_is_and_never_waits() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut reading = Reading::new(Some(reader.into()), 5).expect("a pipe");
        reading.read_some().expect("nothing");
        writer.write_all(b"abc").expect("written");
        reading.read_some().expect("three bytes");
        assert!(!reading.has_too_much());
        writer.write_all(&[b'x'; 1000]).expect("written");
        // Its other end is still held.
        reading.read_the_rest().expect("the rest");
        assert!(reading.has_too_much() && open(&[reading]).is_empty());
    }

    #[test]
    fn sees_the_end() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"all").expect("written");
        drop(writer);
        let mut readings = [Reading::new(Some(reader.into()), u64::MAX).expect("a pipe")];
        for _ in 0..2 {
            assert_eq!(open(&readings).len(), 1);
            readings[0].read_some().expect("read");
        }
        assert!(open(&readings).is_empty());
        let [reading] = readings;
        assert_eq!(reading.into_bytes(), b"all");
    }
}
