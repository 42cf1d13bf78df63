//! From a failure and the host's readings to its cause and the commands that fix it. Pure.
//!
//! The order of the rules is that of how often each is met and how sure its reading is: an outer filter, the
//! distributions' switches, limits, then what is only likely.

use nix::errno::Errno;

use crate::capability::Capability;
use crate::host::cause::Cause;
use crate::host::failure::{Failure, Step};
use crate::host::kernel::{self, Version};
use crate::host::symptoms::Symptoms;
use crate::profile::Namespace;

/// Why something failed and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Why.
    pub cause: Cause,
    /// Commands that fix it, in order; some span lines. Empty where no command does.
    pub fix: Vec<String>,
}

/// Finds the cause of a failure.
pub fn diagnose(failure: &Failure, symptoms: &Symptoms) -> Diagnosis {
    let cause = cause(failure, symptoms).unwrap_or(Cause::Unexplained { errno: failure.errno });
    Diagnosis { fix: cause.fix(symptoms), cause }
}

fn cause(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    match failure.errno {
        Errno::ENOSYS => Some(absent(failure, symptoms)),
        Errno::EOPNOTSUPP if failure.step == Step::Landlock => {
            Some(Cause::LandlockOff { boot_lsm: symptoms.boot_lsm.clone().or_else(|| symptoms.lsm.clone()) })
        }
        Errno::ENOENT if !symptoms.proc_mounted => Some(Cause::NoProc),
        Errno::ENODEV => Some(Cause::FileSystemMissing { kind: file_system(failure) }),
        Errno::EAGAIN => match failure.step {
            Step::Process | Step::Namespace(_) => {
                Some(Cause::ProcessLimit { nproc: symptoms.nproc, pids_max: symptoms.pids_max })
            }
            _ => None,
        },
        Errno::ENOMEM => Some(Cause::OutOfMemory),
        Errno::EUSERS => Some(Cause::NestedTooDeep { namespace: Namespace::User }),
        Errno::ENOSPC => no_space(failure, symptoms),
        Errno::EINVAL => invalid(failure, symptoms),
        Errno::EROFS if failure.step == Step::Cgroup => {
            Some(Cause::CgroupNotDelegated { object: failure.object.clone() })
        }
        Errno::EPERM | Errno::EACCES => refused(failure, symptoms),
        _ => None,
    }
}

/// ENOSYS: not in this kernel, or a filter says so.
fn absent(failure: &Failure, symptoms: &Symptoms) -> Cause {
    if let Some(too_old) = too_old(&failure.syscall, symptoms) {
        return too_old;
    }
    if symptoms.filtered() {
        return Cause::OuterSeccomp { syscall: failure.syscall.clone() };
    }
    let option = match failure.step {
        Step::Landlock => "CONFIG_SECURITY_LANDLOCK".to_owned(),
        Step::Seccomp => "CONFIG_SECCOMP_FILTER".to_owned(),
        Step::Namespace(namespace) => option(namespace).to_owned(),
        _ => failure.syscall.clone(),
    };
    Cause::KernelWithout { option }
}

/// The option that builds a kind of namespace into a kernel.
fn option(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::User => "CONFIG_USER_NS",
        Namespace::Mount => "CONFIG_NAMESPACES",
        Namespace::Pid => "CONFIG_PID_NS",
        Namespace::Ipc => "CONFIG_IPC_NS",
        Namespace::Uts => "CONFIG_UTS_NS",
        Namespace::Network => "CONFIG_NET_NS",
        Namespace::Cgroup => "CONFIG_CGROUPS",
        Namespace::Time => "CONFIG_TIME_NS",
    }
}

/// Whether this kernel is older than the call. An unknown version is not taken for an old one.
fn too_old(call: &str, symptoms: &Symptoms) -> Option<Cause> {
    let (needs, has) = (kernel::since(call)?, symptoms.kernel?);
    (has < needs).then(|| Cause::KernelTooOld { call: call.to_owned(), needs, has: Some(has) })
}

fn file_system(failure: &Failure) -> String {
    let kind = match failure.step {
        Step::MountProc => "proc",
        Step::MountOverlay => "overlay",
        _ => failure.object.split(' ').next().unwrap_or_default(),
    };
    kind.to_owned()
}

fn no_space(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    match failure.step {
        Step::Namespace(namespace) => {
            let limit = symptoms.namespace_limits.get(&namespace).copied();
            let nested = symptoms.initial_userns == Some(false);
            Some(match limit {
                // A nested namespace starts with the largest limit there is; what stopped it is further out.
                Some(limit) if !(nested && limit >= i32::MAX as u64) => {
                    Cause::NamespaceLimit { namespace, limit }
                }
                _ => Cause::NestedTooDeep { namespace },
            })
        }
        Step::Fill => Some(Cause::TmpfsFull { object: failure.object.clone() }),
        Step::Mount | Step::MountProc | Step::MountOverlay => Some(Cause::MountLimit),
        _ => None,
    }
}

fn invalid(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    match failure.step {
        Step::Namespace(namespace) => {
            if namespace == Namespace::Time
                && let Some(cause) = too_old("CLONE_NEWTIME", symptoms)
            {
                return Some(cause);
            }
            let built = symptoms.namespaces.as_ref().is_none_or(|built| built.contains(&namespace));
            if !built {
                return Some(Cause::KernelWithout { option: option(namespace).to_owned() });
            }
            (namespace == Namespace::User && symptoms.threads > Some(1)).then_some(Cause::Threads)
        }
        Step::IdMappedMount => Some(
            too_old("mount_setattr", symptoms)
                .or_else(|| too_old(&failure.syscall, symptoms))
                .unwrap_or_else(|| Cause::IdmapUnsupported { path: failure.object.clone() }),
        ),
        Step::Seccomp => Some(Cause::KernelWithout { option: "CONFIG_SECCOMP_FILTER".to_owned() }),
        Step::IdMap => Some(Cause::IdMapRefused),
        _ => too_old(&failure.syscall, symptoms),
    }
}

/// EPERM and EACCES, in the order of the module's text.
fn refused(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    refused_by_step(failure, symptoms)
        .or_else(|| refused_by_module(failure, symptoms))
        .or_else(|| refused_without_admin(failure, symptoms))
}

/// What the step alone tells, and a filter around belljar.
fn refused_by_step(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    match failure.step {
        // Where even the proc mount was reached, tmpfs could be mounted: the masks are the surer reading.
        Step::MountProc
            if failure.errno == Errno::EPERM
                && (!symptoms.proc_masks.is_empty() || !symptoms.proc_mounted) =>
        {
            return Some(Cause::ProcMasked { paths: symptoms.proc_masks.clone() });
        }
        Step::Cgroup => return Some(Cause::CgroupNotDelegated { object: failure.object.clone() }),
        Step::MountOverlay => {
            if let Some(cause) = too_old("overlay", symptoms) {
                return Some(cause);
            }
        }
        _ => {}
    }
    // A map is written and an interface is set up by calls that no filter refuses.
    let filtered = symptoms.filtered() && !matches!(failure.step, Step::IdMap | Step::Loopback);
    filtered.then(|| Cause::OuterSeccomp { syscall: failure.syscall.clone() })
}

/// The host's switches and security modules.
fn refused_by_module(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    let creates_user = failure.step == Step::Namespace(Namespace::User);
    let admin = symptoms.capable(Capability::CAP_SYS_ADMIN);
    // Ubuntu's restriction lets the clone pass and takes the capabilities away in the new namespace.
    let restricted = symptoms.apparmor_userns.is_some_and(|on| on != 0) && !admin;
    let in_namespace = matches!(
        failure.step,
        Step::IdMap
            | Step::Mount
            | Step::MountProc
            | Step::MountOverlay
            | Step::Loopback
            | Step::Namespace(_)
    );
    let restricts = restricted && in_namespace && (!creates_user || failure.errno == Errno::EACCES);
    let label = symptoms.confined().unwrap_or_default();
    let causes = [
        (creates_user && symptoms.userns_clone == Some(0) && !admin, Cause::UsernsCloneOff),
        (restricts, Cause::AppArmorRestricts),
        (symptoms.confined().is_some(), Cause::AppArmorProfile { label: label.to_owned() }),
        (creates_user && symptoms.chrooted == Some(true), Cause::Chroot),
        (creates_user && symptoms.uid_unmapped, Cause::UnmappedIds),
        (symptoms.selinux_enforcing == Some(true), Cause::Selinux),
        (restricted && creates_user, Cause::AppArmorRestricts),
    ];
    causes.into_iter().find_map(|(holds, cause)| holds.then_some(cause))
}

/// The caller's own capabilities.
fn refused_without_admin(failure: &Failure, symptoms: &Symptoms) -> Option<Cause> {
    let admin = symptoms.capable(Capability::CAP_SYS_ADMIN);
    match failure.step {
        Step::Namespace(_)
        | Step::Mount
        | Step::MountProc
        | Step::MountOverlay
        | Step::IdMappedMount
        | Step::IdMap
            if symptoms.uid == 0 && !admin =>
        {
            Some(Cause::RootWithoutAdmin)
        }
        Step::IdMap => Some(Cause::IdMapRefused),
        Step::IdMappedMount if !admin => Some(Cause::NeedsAdmin { syscall: failure.syscall.clone() }),
        _ => None,
    }
}

/// The failure of a kernel that is too old for any namespace profile, before anything is tried.
pub fn kernel_for_namespaces(symptoms: &Symptoms) -> Option<Diagnosis> {
    let has: Version = symptoms.kernel.filter(|&has| has < kernel::NAMESPACES_NEED)?;
    let cause = Cause::KernelTooOld {
        call: "mount_setattr".to_owned(),
        needs: kernel::NAMESPACES_NEED,
        has: Some(has),
    };
    Some(Diagnosis { fix: cause.fix(symptoms), cause })
}

/// Why root is without capabilities that its own sets hold: an AppArmor profile takes them away, which shows
/// in capget(2) but not in `/proc/self/status`.
pub fn capabilities_withheld(symptoms: &Symptoms) -> Option<Diagnosis> {
    let label = symptoms.confined().filter(|_| symptoms.capable(Capability::CAP_SYS_ADMIN))?;
    let cause = Cause::AppArmorProfile { label: label.to_owned() };
    Some(Diagnosis { fix: cause.fix(symptoms), cause })
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
