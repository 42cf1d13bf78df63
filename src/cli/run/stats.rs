//! `--stats`: prints what a sandbox uses while it runs.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cgroup::Sample;
use crate::cli::error::Error;
use crate::cli::{stdio, units};
use crate::sandbox::Child;

/// The thread that prints.
#[derive(Debug)]
pub struct Stats {
    ended: Sender<()>,
    thread: JoinHandle<()>,
}

/// A line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Since the start.
    seconds: f64,
    #[serde(flatten)]
    sample: &'a Sample,
}

impl Stats {
    /// Prints at once, and then each `interval` until [`stop`](Self::stop).
    pub fn start(child: &Child, interval: Duration) -> Result<Self, Error> {
        let meter = child.meter()?.ok_or(Error::StatsWithoutGroup)?;
        let (ended, end) = mpsc::channel();
        let terminal = io::stderr().is_terminal();
        let began = Instant::now();
        let print = move || {
            let mut last = None;
            loop {
                let sample = match meter.read() {
                    Ok(sample) => sample,
                    Err(error) => {
                        log::warn!("--stats ends: {}", crate::error_chain(&error));
                        break;
                    }
                };
                let now = began.elapsed();
                // The control group may be removed by now.
                if sample != Sample::default() {
                    stdio::complain(&if terminal {
                        on_terminal(now, &sample, last)
                    } else {
                        json(now, &sample)
                    });
                }
                last = sample.cpu_micros.map(|cpu| (now, cpu));
                match end.recv_timeout(interval) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if terminal {
                stdio::complain("\r\x1b[K");
            }
        };
        let thread = std::thread::Builder::new().name("belljar-stats".to_owned()).spawn(print);
        let thread = thread.map_err(|source| Error::Stats { source })?;
        Ok(Self { ended, thread })
    }

    /// Ends the thread. Nothing is printed after this returns.
    pub fn stop(self) {
        drop(self.ended);
        // A panic of the thread has printed itself.
        drop(self.thread.join());
    }
}

fn json(now: Duration, sample: &Sample) -> String {
    let line = Line { seconds: (now.as_secs_f64() * 1000.0).round() / 1000.0, sample };
    // Numbers only.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// The line, in place of the last one; `last` is when that was, and the CPU time then.
fn on_terminal(now: Duration, sample: &Sample, last: Option<(Duration, u64)>) -> String {
    let mut words = vec![units::show_elapsed(now)];
    words.extend(sample.memory_bytes.map(|bytes| format!("memory {}", units::show_rounded(bytes))));
    words.extend(sample.pids.map(|pids| format!("processes {pids}")));
    if let Some(cpu) = sample.cpu_micros {
        let (before, used) = last.unwrap_or((Duration::ZERO, 0));
        let since = now.saturating_sub(before).as_micros().max(1);
        let percent = u128::from(cpu.saturating_sub(used)) * 100 / since;
        words.push(format!("CPU {:.1}s ({percent}%)", Duration::from_micros(cpu).as_secs_f64()));
    }
    if let (Some(read), Some(written)) = (sample.io_read_bytes, sample.io_written_bytes) {
        words.push(format!("read {}, written {}", units::show_rounded(read), units::show_rounded(written)));
    }
    format!("\r\x1b[Kbelljar: {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            memory_bytes: Some(3 << 20),
            pids: Some(4),
            cpu_micros: Some(1_500_000),
            ..Sample::default()
        }
    }

    #[test]
    fn a_line_of_json_has_every_number() {
        let line = json(Duration::from_micros(2_000_400), &sample());
        let expected = "{\"seconds\":2.0,\"memoryBytes\":3145728,\"pids\":4,\"cpuMicros\":1500000,\"ioReadBytes\":null,\
                        \"ioWrittenBytes\":null}\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn the_line_takes_the_place_of_the_last_one() {
        let last = Some((Duration::from_secs(62), 500_000));
        let line = on_terminal(Duration::from_secs(64), &sample(), last);
        assert_eq!(line, "\r\x1b[Kbelljar: 1m04s, memory 3MiB, processes 4, CPU 1.5s (50%)");
    }
}
