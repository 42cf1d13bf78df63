//! Why the kernel refused a call that a start needs: the host is asked.

use nix::errno::Errno;

use super::error::{StartError, Step};
use crate::host::{self, Symptoms, diagnose};
use crate::plan::Namespaces;
use crate::profile::Namespace;
use crate::protocol::{Failure, Fault, Stage};
use crate::reexec::LaunchError;

/// The cause and what ends it, if the error is the kernel's refusal.
pub(super) fn explain(error: &StartError) -> Vec<String> {
    let Some(refusal) = refusal(error) else { return Vec::new() };
    let diagnosis = diagnose(&refusal, &Symptoms::read());
    if matches!(diagnosis.cause, host::Cause::Unexplained { .. }) {
        return vec![super::hints::RUN_DOCTOR.to_owned()];
    }
    lines(diagnosis)
}

/// Why root is without capabilities.
pub(super) fn of_capabilities() -> Vec<String> {
    host::capabilities_withheld(&Symptoms::read()).map(lines).unwrap_or_default()
}

/// The kernel's refusal behind the error, in the doctor's words.
fn refusal(error: &StartError) -> Option<host::Failure> {
    match error {
        StartError::Launch { namespaces, source } => launch(*namespaces, source),
        StartError::Prepare { step, call, object, source } => {
            let (step, call) = match (step, *source) {
                (Step::IdMaps, _) => (host::Step::IdMap, (*call).to_owned()),
                (Step::Trees, Errno::EINVAL) => {
                    let path = std::path::Path::new(object);
                    (host::Step::IdMappedMount, host::id_mapped::id_mapped_mount(path))
                }
                _ => (host::Step::Call, (*call).to_owned()),
            };
            Some(host::Failure::new(step, call, object.as_str(), *source))
        }
        StartError::Init { source } => init(source),
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

fn lines(diagnosis: host::Diagnosis) -> Vec<String> {
    std::iter::once(diagnosis.cause.to_string()).chain(diagnosis.fix).collect()
}
