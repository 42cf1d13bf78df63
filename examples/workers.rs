//! A master and its workers: the master keeps N processes of itself, hands them requests from standard input
//! (one a line), prints the answers, restarts a worker that dies or hangs, and ends them all when it ends,
//! however it ends.
//!
//! ```text
//! $ printf 'sum 1 2 3\nprimes 100000\ncrash\nsum 4 5\n' | cargo run -q --example workers -- 2
//! 1: 6
//! 3: failed: the worker died (signal: 6 (SIGABRT) (core dumped))
//! 4: 9
//! 2: 9592
//! ```
//!
//! Requests: `sum NUMBER…`, `primes BELOW`, `sleep MILLISECONDS`, `pid`, `crash`. The answers come as they
//! are ready, with the number of the request's line. Usage: `workers [COUNT [TIMEOUT_MILLISECONDS]]`.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use belljar::reexec::{Child, CommandError, Stdio, command};

// ---- The worker: a line in, a line out, until its input ends. ----

fn worker() -> io::Result<()> {
    for request in io::stdin().lines() {
        println!("{}", answer(&request?));
    }
    Ok(())
}
belljar::role!("worker", worker);

fn answer(request: &str) -> String {
    let mut words = request.split_whitespace();
    match (words.next(), words.clone().map(str::parse).collect::<Result<Vec<u64>, _>>()) {
        (Some("sum"), Ok(numbers)) => numbers.iter().map(|n| u128::from(*n)).sum::<u128>().to_string(),
        (Some("primes"), Ok(below)) if below.len() == 1 => primes(below[0]).to_string(),
        (Some("sleep"), Ok(time)) if time.len() == 1 => {
            thread::sleep(Duration::from_millis(time[0]));
            format!("slept {} ms", time[0])
        }
        (Some("pid"), _) => std::process::id().to_string(),
        (Some("crash"), _) => std::process::abort(),
        _ => format!("error: cannot do {request:?}"),
    }
}

fn primes(below: u64) -> usize {
    (2..below).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

// ---- The master's side of one worker. ----

struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

enum Failure {
    Died,
    Hangs,
}

impl Worker {
    fn start() -> Result<Worker, CommandError> {
        let mut child = command("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(requests), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for");
        };
        // A thread of its own reads, so that the wait for an answer can have a limit.
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Worker { child, requests, answers })
    }

    fn ask(&mut self, request: &str, timeout: Duration) -> Result<String, Failure> {
        writeln!(self.requests, "{request}").map_err(|_| Failure::Died)?;
        self.answers.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => Failure::Hangs,
            RecvTimeoutError::Disconnected => Failure::Died,
        })
    }

    /// After a failure: how it ended.
    fn bury(mut self, failure: Failure, timeout: Duration) -> String {
        if matches!(failure, Failure::Hangs)
            && let Err(error) = self.child.kill()
        {
            return format!("failed: the worker hangs and cannot be killed ({error})");
        }
        match (failure, self.child.wait()) {
            (Failure::Hangs, _) => format!("failed: no answer within {} ms", timeout.as_millis()),
            (Failure::Died, Ok(status)) => format!("failed: the worker died ({status})"),
            (Failure::Died, Err(error)) => format!("failed: the worker died ({error})"),
        }
    }

    /// The end of its input is its end.
    fn finish(mut self) -> io::Result<()> {
        drop(self.requests);
        self.child.wait().map(drop)
    }
}

type Requests = Arc<Mutex<Receiver<(usize, String)>>>;

/// Keeps one worker alive for as long as there are requests.
fn keep(requests: &Requests, timeout: Duration) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut worker = Worker::start()?;
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, request)) = next else { break };
        let answer = match worker.ask(&request, timeout) {
            Ok(answer) => answer,
            Err(failure) => {
                let dead = std::mem::replace(&mut worker, Worker::start()?);
                dead.bury(failure, timeout)
            }
        };
        writeln!(io::stdout(), "{number}: {answer}")?;
    }
    Ok(worker.finish()?)
}

fn main() -> ExitCode {
    belljar::init();

    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|arg| arg.parse()).collect();
    let (count, timeout) = match numbers.as_deref() {
        Ok([]) => (3, 5000),
        Ok([count @ 1..=64]) => (*count, 5000),
        Ok([count @ 1..=64, timeout]) if *timeout > 0 => (*count, *timeout),
        _ => {
            eprintln!("usage: workers [COUNT [TIMEOUT_MILLISECONDS]], with 1 to 64 workers");
            return ExitCode::from(125);
        }
    };

    // A bounded queue: a flood of requests waits in the pipe, not in our memory.
    let (sender, receiver) = mpsc::sync_channel(2 * count as usize);
    let requests: Requests = Arc::new(Mutex::new(receiver));
    let cleaners: Vec<_> = (0..count)
        .map(|_| {
            let requests = Arc::clone(&requests);
            thread::spawn(move || keep(&requests, Duration::from_millis(timeout)))
        })
        .collect();
    drop(requests);

    let mut failed = false;
    for (index, line) in io::stdin().lines().enumerate() {
        match line {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                // Fails when no cleaner is left; each says why below.
                if sender.send((index + 1, line)).is_err() {
                    break;
                }
            }
            Err(error) => {
                eprintln!("cannot read the requests: {error}");
                failed = true;
                break;
            }
        }
    }
    drop(sender);
    for cleaner in cleaners {
        if let Ok(Err(error)) = cleaner.join() {
            eprintln!("{error}");
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
