//! The doctor: tries each layer in a child and says what works, what does not, and what fixes it.
//!
//! Nothing is tried in the calling process. The caller launches one re-executed child, which has a single
//! thread, and that child forks a further one for each trial.

mod finding;
mod layer;
#[cfg(feature = "cli")]
pub(crate) mod report;
mod trial;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use self::trial::{Line, Miss, Outcome};
use crate::capability::CapabilitySet;
use crate::host::{Facts, Failure, Step, Symptoms};
use crate::profile::Profile;
use crate::reexec::{self, Launch, LaunchError, Stdio, Stream};

pub use finding::{Finding, State, Verdict, verdicts};
pub use layer::Layer;
pub(crate) use layer::needed;
#[cfg(feature = "cli")]
pub(crate) use report::{exit_code, json, render};

/// The doctor's own role.
const ROLE: &str = "belljar:doctor";

/// How long all trials together may take; each has a shorter limit of its own.
const LIMIT: Duration = Duration::from_secs(15);

/// How long the child may take until it is in its role.
const READY: Duration = Duration::from_secs(5);

/// Examines a host for the profiles it is given.
#[derive(Debug, Clone, Default)]
pub struct Doctor {
    profiles: Vec<Profile>,
}

/// Why the trials could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum TrialsError {
    #[error("cannot open {stream:?} for the trials' process")]
    Stream { stream: Stream, source: io::Error },
    #[error("cannot start the trials' process")]
    Launch { source: LaunchError },
    #[error("cannot read the trials' answers")]
    Read { source: io::Error },
    #[error("cannot end the trials' process")]
    End { source: Errno },
}

impl Doctor {
    /// A doctor who says, for each of these profiles, whether it runs here.
    pub fn new(profiles: impl IntoIterator<Item = Profile>) -> Self {
        Self { profiles: profiles.into_iter().collect() }
    }

    /// Tries every layer, each in a child of its own, in well under a second on a host that answers. A trial
    /// that dies or hangs is a finding. The findings are in the order of [`Layer::ALL`], one for each.
    pub fn examine(&self) -> Vec<Finding> {
        let mut symptoms = Symptoms::read();
        // Of the trials' processes, which is what failed; not of the caller.
        symptoms.threads = Some(1);
        // Who is called root in a user namespace of one id gives the sandbox that id.
        let as_user = Facts::detect().is_ok_and(|facts| facts.is_as_a_user());
        let root = symptoms.uid == 0 && !as_user;
        let needs: Vec<_> =
            self.profiles.iter().map(|profile| (&profile.name, needed(profile, root))).collect();
        let (lines, error) = match trials() {
            Ok(lines) => (lines, None),
            Err((lines, error)) => (lines, Some(error)),
        };
        Layer::ALL
            .iter()
            .map(|&layer| {
                let needed_by = needs
                    .iter()
                    .filter(|(_, layers)| layers.contains(&layer))
                    .map(|(name, _)| (*name).clone())
                    .collect();
                let outcome = match lines.iter().find(|line| line.layer == layer) {
                    Some(line) => line.outcome.clone(),
                    None => unanswered(layer, error.as_ref()),
                };
                Finding::new(layer, outcome, &symptoms, needed_by)
            })
            .collect()
    }
}

/// A layer of which no answer came.
fn unanswered(layer: Layer, error: Option<&TrialsError>) -> Outcome {
    match (layer, error) {
        // A reading, which needs no child.
        (Layer::Kernel, _) => Outcome::Ran(trial::kernel()),
        (Layer::Reexec, None) => Outcome::Ran(Ok(String::new())),
        (Layer::Reexec, Some(error)) => Outcome::Ran(Err(reexec_miss(error))),
        (_, Some(_)) => Outcome::Ran(Err(Miss::Skipped(format!("{} does not work", Layer::Reexec)))),
        (_, None) => Outcome::Hung,
    }
}

/// Why the child could not be started: like any other failure, where a system call was refused.
fn reexec_miss(error: &TrialsError) -> Miss {
    let (step, syscall, source) = match error {
        TrialsError::Launch { source: LaunchError::Clone { source, .. } } => {
            (Step::Process, "clone3", source)
        }
        TrialsError::Launch { source: LaunchError::Credential { source } } => {
            (Step::Call, "memfd_create", source)
        }
        TrialsError::Launch { source: LaunchError::Channel { source } } => (Step::Call, "socketpair", source),
        TrialsError::Launch { source: LaunchError::Setup { step: reexec::Step::CloseOthers, source } } => {
            (Step::Call, "CLOSE_RANGE_CLOEXEC", source)
        }
        TrialsError::Launch { source: LaunchError::Setup { step: reexec::Step::Exec, source } } => {
            (Step::Call, "execve", source)
        }
        error => return Miss::Without(chain(error)),
    };
    match source.raw_os_error() {
        Some(errno) => Miss::Failed(Failure::new(step, syscall, "", Errno::from_raw(errno))),
        None => Miss::Without(chain(error)),
    }
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Runs the role and collects its lines; on an error, those that came until then.
fn trials() -> Result<Vec<Line>, (Vec<Line>, TrialsError)> {
    let none = |error| (Vec::new(), error);
    let prepare = |stdio: &'static Stdio, stream| {
        stdio.prepare(stream).map_err(|source| none(TrialsError::Stream { stream, source }))
    };
    static NULL: std::sync::LazyLock<Stdio> = std::sync::LazyLock::new(Stdio::null);
    static PIPED: std::sync::LazyLock<Stdio> = std::sync::LazyLock::new(Stdio::piped);
    let stdin = prepare(&NULL, Stream::Stdin)?;
    let stdout = prepare(&PIPED, Stream::Stdout)?;
    let stderr = prepare(&NULL, Stream::Stderr)?;
    let launched = reexec::launch(&Launch {
        role: ROLE,
        payload: &[],
        argv: &[c"belljar:doctor".to_owned()],
        env: &[],
        stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        extra: &[],
        clone_flags: 0,
        raise_capabilities: CapabilitySet::EMPTY,
        cwd: None,
        death_signal: true,
        death_watch: true,
        new_session: true,
        cgroup: None,
    })
    .map_err(|source| none(TrialsError::Launch { source }))?;
    let answers = stdout.into_ours();
    let ready = launched.wait_ready(READY).map_err(|source| TrialsError::Launch { source });
    let (text, read) = match (&ready, answers) {
        (Ok(_), Some(answers)) => collect(answers),
        _ => (Vec::new(), Ok(())),
    };
    // However it went: the child is ended, not only asked to.
    let ended = end(launched.pidfd.as_fd());
    let lines: Vec<Line> =
        String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match ready.map(drop).and(read.map_err(|source| TrialsError::Read { source })) {
        Err(error) => Err((lines, error)),
        Ok(()) => match ended {
            Ok(()) => Ok(lines),
            Err(source) => Err((lines, TrialsError::End { source })),
        },
    }
}

/// Reads to the end, but not for ever. What came before an error counts.
fn collect(answers: OwnedFd) -> (Vec<u8>, io::Result<()>) {
    let until = Instant::now() + LIMIT;
    let mut text = Vec::new();
    let mut answers = File::from(answers);
    let mut buffer = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = PollTimeout::try_from(left.as_millis()) else { return (text, Ok(())) };
        match poll(&mut [PollFd::new(answers.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return (text, Ok(())),
            Err(Errno::EINTR) => continue,
            Err(errno) => return (text, Err(errno.into())),
            Ok(_) => {}
        }
        match answers.read(&mut buffer) {
            Ok(0) => return (text, Ok(())),
            Ok(length) => text.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (text, Err(error)),
        }
    }
}

/// Kills the child, if it has not ended, and reaps it.
fn end(pidfd: std::os::fd::BorrowedFd<'_>) -> Result<(), Errno> {
    match trial::kill(pidfd) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => return Err(errno),
    }
    loop {
        match waitid(Id::PIDFd(pidfd), WaitPidFlag::WEXITED) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The role's body.
fn role() -> reexec::RoleOutcome {
    reexec::RoleResult::into_outcome(trial::all(&mut io::stdout().lock()))
}

#[linkme::distributed_slice(reexec::ROLES)]
static DOCTOR: reexec::Role = reexec::Role::reserved(ROLE, role);
