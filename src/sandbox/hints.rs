//! What a person can do about an error: the host is asked why the kernel refused.

use nix::errno::Errno;

use super::error::{Error, Step};
use crate::host::{self, Symptoms, diagnose};
use crate::plan::Namespaces;
use crate::plan::PlanError;
use crate::profile::Namespace;
use crate::protocol::{Failure, Fault, Stage};
use crate::reexec::LaunchError;

impl Error {
    /// What a person can do about it, a line each: causes first, then commands. Reads the host's state, so it is for the
    /// edge, right after the failure.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        if let Some(hint) = out_of_descriptors(self) {
            return vec![hint];
        }
        match self {
            Self::Plan(error @ PlanError::RootWithoutCapabilities) => {
                let withheld = host::capabilities_withheld(&Symptoms::read());
                withheld.map(lines).into_iter().flatten().chain(error.hint()).collect()
            }
            Self::Plan(error) => error.hint().into_iter().collect(),
            Self::Cgroup { source } => source.hints(),
            Self::ForeignProc => vec!["mount this namespace's own: mount -t proc proc /proc".to_owned()],
            Self::MemoryTooLow { .. } => vec!["raise it with --memory".to_owned()],
            Self::DescriptorKind { kind, .. } => vec![kind.hint().to_owned()],
            Self::Execute { .. } => vec![
                "the program, its interpreter (#!) or its loader is not visible or not executable inside; \
                 --dry-run shows what is"
                    .to_owned(),
            ],
            Self::Init { source: Failure { fault: Fault::OverlayDepth { .. }, .. } } => vec![
                "copy it to another file system, or leave the overlay out (mount points that are missing in a read-only \
                 root need one: proc, dev, tmp)"
                    .to_owned(),
            ],
            _ => self.refusal().map(|refusal| explain(&refusal)).unwrap_or_default(),
        }
    }

    /// The kernel's refusal behind the error, in the doctor's words.
    fn refusal(&self) -> Option<host::Failure> {
        match self {
            Self::Launch { namespaces, source } => launch(*namespaces, source),
            Self::Prepare { step, call, object, source } => {
                let (step, call) = match (step, *source) {
                    (Step::IdMaps, _) => (host::Step::IdMap, (*call).to_owned()),
                    (Step::Trees, Errno::EINVAL) => {
                        let path = std::path::Path::new(object);
                        (host::Step::IdMappedMount, host::kernel::id_mapped_mount(path))
                    }
                    _ => (host::Step::Call, (*call).to_owned()),
                };
                Some(host::Failure::new(step, call, object.as_str(), *source))
            }
            Self::Init { source } => init(source),
            _ => None,
        }
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

fn launch(namespaces: Namespaces, error: &LaunchError) -> Option<host::Failure> {
    let LaunchError::Clone { source, .. } = error else { return None };
    let errno = Errno::from_raw(source.raw_os_error()?);
    let step =
        if namespaces.is_lite() { host::Step::Process } else { host::Step::Namespace(Namespace::User) };
    Some(host::Failure::new(step, "clone3", "", errno))
}

fn init(failure: &Failure) -> Option<host::Failure> {
    let Fault::System { call, object, errno } = &failure.fault else { return None };
    let errno = Errno::from_raw(*errno);
    let step = match (failure.stage, object.as_str(), call.as_str()) {
        (Stage::Root, "proc", _) => host::Step::MountProc,
        (Stage::Root, "overlay", _) => host::Step::MountOverlay,
        (Stage::Root, _, "write" | "mkdirat" | "openat" | "symlinkat") if errno == Errno::ENOSPC => {
            host::Step::Fill
        }
        (Stage::Root | Stage::Pivot | Stage::Propagation, ..) => host::Step::Mount,
        (Stage::Loopback, ..) => host::Step::Loopback,
        (Stage::Landlock, ..) => host::Step::Landlock,
        (Stage::Seccomp, ..) => host::Step::Seccomp,
        (Stage::Process, ..) => host::Step::Process,
        _ => host::Step::Call,
    };
    Some(host::Failure::new(step, call.as_str(), object.as_str(), errno))
}

fn explain(refusal: &host::Failure) -> Vec<String> {
    let diagnosis = diagnose(refusal, &Symptoms::read());
    if matches!(diagnosis.cause, host::Cause::Unexplained { .. }) {
        return vec!["run 'belljar doctor' to see what this host supports".to_owned()];
    }
    lines(diagnosis)
}

fn lines(diagnosis: host::Diagnosis) -> Vec<String> {
    std::iter::once(diagnosis.cause.to_string()).chain(diagnosis.mend).collect()
}
