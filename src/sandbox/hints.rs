//! What a person can do about an error.

use nix::errno::Errno;

use super::error::{Error, StartError};
#[cfg(feature = "doctor")]
use super::refusal;
use crate::cgroup::CgroupError;
use crate::plan::PlanError;
use crate::protocol::{Failure, Fault};

impl Error {
    /// What a person can do about it, a line each: causes first, then commands. Reads the host's state, so it
    /// is for the edge, right after the failure. Why the kernel refused a call is found by the feature
    /// `doctor`; without it the hint is to run `belljar doctor`.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        if let Some(hint) = out_of_descriptors(self) {
            return vec![hint];
        }
        match self {
            Self::Threads { .. } => vec!["begin before any thread is started".to_owned()],
            Self::Plan(error) => match error.downcast_ref() {
                Some(error @ PlanError::RootWithoutCapabilities) => {
                    refusal::of_capabilities().into_iter().chain(error.hint()).collect()
                }
                error => error.and_then(PlanError::hint).into_iter().collect(),
            },
            Self::Cgroup { source } => source.downcast_ref().map(CgroupError::hints).unwrap_or_default(),
            Self::OtherLimit { .. } => vec![
                "limits of the whole sandbox are set when it starts: have the command made by a sandbox with the same \
                 ones (those of file size, and resource limits, are each task's own)"
                    .to_owned(),
            ],
            Self::TooManyProcesses { .. } => vec!["raise it with --pids".to_owned()],
            Self::MemoryTooLow { .. } => vec!["raise it with --memory".to_owned()],
            Self::DescriptorKind { kind, .. } => vec![kind.hint().to_owned()],
            Self::Execute { .. } => vec![
                "the program, its interpreter (#!) or its loader is not visible or not executable inside; \
                 --dry-run shows what is"
                    .to_owned(),
            ],
            _ => self.start().map(of_start).unwrap_or_default(),
        }
    }
}

fn of_start(error: &StartError) -> Vec<String> {
    match error {
        StartError::IdMapProgram { program, .. } => vec![id_map_program(program)],
        StartError::ForeignProc => vec!["mount this namespace's own: mount -t proc proc /proc".to_owned()],
        StartError::Init { source: Failure { fault: Fault::OverlayDepth { .. }, .. } } => vec![
                "copy it to another file system, or leave the overlay out (mount points that are missing in a read-only \
                 root need one: proc, dev, tmp)"
                    .to_owned(),
            ],
        // Whether it can be is not the host's to say.
        StartError::Join { problem, source, .. } => problem.hint(*source).into_iter().collect(),
        _ => refusal::explain(error),
    }
}

/// What keeps a set-user-ID program from its work, if not what it says itself.
fn id_map_program(program: &str) -> String {
    match nix::sys::prctl::get_no_new_privs() {
        Ok(true) => format!(
            "no_new_privs is set here, so {program} gets no privileges: start belljar where it is not \
             (systemd: NoNewPrivileges=no), or without ranges of ids"
        ),
        _ => format!(
            "{program} maps what /etc/subuid and /etc/subgid name, and needs its set-user-ID bit or file capabilities, on a mount \
             without nosuid"
        ),
    }
}

/// What to raise, if the cause is that there are no more descriptors: this process's, or the host's.
fn out_of_descriptors(error: &Error) -> Option<String> {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut errnos = causes.filter_map(|cause| {
        let by_io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        by_io.map(Errno::from_raw).or_else(|| cause.downcast_ref::<Errno>().copied())
    });
    let of_init = error.errno();
    match errnos.find(|errno| [Errno::EMFILE, Errno::ENFILE].contains(errno)).or(of_init)? {
        Errno::EMFILE => {
            let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
            let limit = limit.map_or_else(|_| "unknown".to_owned(), |(soft, _)| soft.to_string());
            Some(format!(
                "no more files can be open here (RLIMIT_NOFILE is {limit}): raise it, as with ulimit -n"
            ))
        }
        Errno::ENFILE => {
            Some("no more files can be open on this host: raise the sysctl fs.file-max".to_owned())
        }
        _ => None,
    }
}

/// Where nothing on this host tells why, or nothing asks.
pub(super) const RUN_DOCTOR: &str = "run 'belljar doctor' to see what this host supports";

/// In place of the file: a program without the feature `doctor` does not ask the host.
#[cfg(not(feature = "doctor"))]
mod refusal {
    use super::{RUN_DOCTOR, StartError};
    use crate::protocol::{Failure, Fault};
    use crate::reexec::LaunchError;

    pub(super) fn explain(error: &StartError) -> Vec<String> {
        match error {
            StartError::Launch { source: LaunchError::Clone { .. }, .. }
            | StartError::Prepare { .. }
            | StartError::Init { source: Failure { fault: Fault::System { .. }, .. } } => {
                vec![RUN_DOCTOR.to_owned()]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn of_capabilities() -> Vec<String> {
        vec![RUN_DOCTOR.to_owned()]
    }
}
