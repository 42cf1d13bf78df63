//! A function whose second thread meddles with the reply while the first returns its value: a typed error or
//! the value, in time.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::FromRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use belljar::{Error, Limits, Sandbox};
use serde::{Deserialize, Serialize};

use crate::library::{Outcome, ensure, reply_pipe, send_over_stdout, socket_for_stdout, strict};

/// Long enough to be written in parts, as a pipe holds 64 KiB.
const LONG: usize = 300_000;
const TRUE: u8 = 7;
const FORGED: u8 = 9;

/// How the second thread meddles.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Attack {
    /// The forged reply in so many writes.
    pieces: usize,
    /// Over and over, not once.
    again: bool,
    /// 0, 1 and 2 are closed before.
    closed: bool,
    /// The value's length.
    length: usize,
}

/// The bytes of a reply with this value, as a function that returned it sends them.
fn frame(length: usize) -> Vec<u8> {
    belljar::fuzzing::value_bytes(&vec![FORGED; length])
}

fn attacked(attack: Attack) -> Vec<u8> {
    static STARTED: AtomicBool = AtomicBool::new(false);
    let number = reply_pipe();
    if attack.closed {
        for stream in 0..3 {
            // SAFETY: nothing of std uses them afterwards: what is written there is lost, which is meant.
            unsafe { libc::close(stream) };
        }
    }
    std::thread::spawn(move || {
        // SAFETY: the pipe that the reply goes to; it is not closed here.
        let mut reply = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
        let frame = frame(attack.length);
        loop {
            for piece in frame.chunks(frame.len().div_ceil(attack.pieces)) {
                let _ = reply.write_all(piece);
                STARTED.store(true, Ordering::Release);
            }
            if !attack.again {
                return;
            }
        }
    });
    while !STARTED.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
    vec![TRUE; attack.length]
}

/// The value, or what belongs to a reply that is none.
fn right(answer: &Result<Vec<u8>, Error>, length: usize) -> bool {
    match answer {
        Ok(value) => value.len() == length && value.iter().all(|byte| *byte == TRUE),
        Err(error) => matches!(error, Error::Value { .. } | Error::ResultTooLong { .. }),
    }
}

fn limited() -> Result<Sandbox, Error> {
    strict()?.limited(&Limits::new().timeout(Duration::from_secs(5)))
}

fn in_time<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    let began = Instant::now();
    let value = act();
    let took = began.elapsed();
    if took < Duration::from_secs(10) { Ok(value) } else { Err(format!("took {took:?}")) }
}

fn all(closed: bool) -> Outcome {
    let sandbox = limited()?;
    for length in [1, LONG] {
        for (pieces, again) in [(1, false), (1, true), (5, false), (5, true)] {
            let attack = Attack { pieces, again, closed, length };
            let answer = in_time(|| sandbox.call(attacked, &attack))?;
            ensure(right(&answer, length), format!("{attack:?}: {answer:.200?}"))?;
        }
    }
    Ok(())
}

pub fn beside_the_value() -> Outcome {
    all(false)
}

/// The caller's streams are closed, too: what it opens for a call gets no number below 3.
pub fn without_streams() -> Outcome {
    let kept = std::io::stderr();
    let kept = nix::fcntl::fcntl(&kept, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(10))?;
    for stream in 0..3 {
        // SAFETY: std writes there only what is lost until it is put back below.
        unsafe { libc::close(stream) };
    }
    let outcome = all(true);
    // SAFETY: both numbers are open or free; the case's error is told by it.
    unsafe { libc::dup2(kept, 2) };
    outcome
}

/// The pipe is opened again for reading: the caller's read may find nothing where there was something just
/// before.
pub fn read_again() -> Outcome {
    fn take_back((): ()) -> Vec<u8> {
        // Its end is no end of the pipe then.
        send_over_stdout(reply_pipe());
        let path = format!("/proc/self/fd/{}", reply_pipe());
        for mut reply in (0..2).map(|_| File::open(&path).expect("to open the pipe again")) {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while reply.read(&mut bytes).is_ok() {}
            });
        }
        // SAFETY: as above.
        let mut reply = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(reply_pipe()) });
        let _ = reply.write_all(&[0; 1 << 16]);
        std::thread::sleep(Duration::from_secs(60));
        vec![TRUE]
    }
    // Unread: what was sent stays open in the socket.
    let _ours = socket_for_stdout()?;
    let sandbox = strict()?.limited(&Limits::new().timeout(Duration::from_millis(150)))?;
    // Which reader comes first is a matter of luck.
    for _ in 0..30 {
        let answer = in_time(|| sandbox.call(take_back, &()))?;
        // As root the pipe is another user's inside.
        let refused = nix::unistd::geteuid().is_root() && matches!(answer, Err(Error::Panicked { .. }));
        // The second on a machine that has much else to do.
        let ended = matches!(answer, Err(Error::CallEnded { .. } | Error::NotStarted { .. }));
        ensure(refused || ended, format!("{answer:.200?}"))?;
    }
    Ok(())
}
