//! Docker's and the OCI runtime-spec's seccomp profiles, as they are.
//!
//! Three shapes are read alike: `linux.seccomp` of the runtime-spec, Docker's (`archMap`, `includes`,
//! `excludes`, `minKernel`, the old `name`), and that of containers/common (`defaultErrno`, `errno` by name).
//! A key that none has is an error.
//!
//! What a profile means is what container engines make of it through libseccomp:
//!
//! * Entries for one system call add up, in any order. One without `args` wins over those with; of
//!   several without, the first. An entry without `args` that repeats the default action says nothing.
//! * Several conditions on the *same* argument in one entry are alternatives, not a conjunction (runc and
//!   crun split such an entry). [`Unknown::Refuse`] makes it an error; otherwise a warning is logged.
//! * A name that no known system call has is left out with a log line; [`Unknown::Refuse`] makes it an error.
//!
//! Where entries for one call overlap in their `args` and differ in their action, libseccomp promises
//! nothing; here the stricter action decides, in the kernel's own order (kill process, kill thread, trap,
//! errno, trace, log, allow).
//!
//! What is never taken from a profile: `architectures` and `archMap` are checked for their spelling, but no
//! foreign architecture is opened. 32-bit and x32 calls kill the process. The listener of `SCMP_ACT_NOTIFY`
//! is the caller's; `listenerPath` and `listenerMetadata` are not used; as the default action it is an error,
//! as in runc.

mod error;
mod json;
mod merge;

use super::names::{self, Known};
use super::{Action, Arch, Condition, Op, Policy, Unknown};
use crate::capability::{self, CapabilitySet};
pub use error::{OciError, Place, SyntaxError};
use merge::Merger;

/// The largest profile, in bytes. Docker's has 17 thousand.
pub const MAX_SIZE: usize = 1 << 20;
/// The most rules (system calls × entries) that a profile may have.
pub const MAX_RULES: usize = 1 << 16;

/// What `includes` and `excludes` are decided by, and how strict to be.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs)]
pub struct Context {
    /// The capabilities that the process keeps (its bounding set).
    pub capabilities: CapabilitySet,
    /// The kernel's version, major and minor.
    pub kernel: (u32, u32),
    /// What the filter is for.
    pub arch: Arch,
    /// What is done about unknown names.
    pub unknown: Unknown,
}

/// Reads a profile. Names that exist on other architectures only, or nowhere ([`Unknown::Skip`]), are not in
/// the result.
///
/// # Errors
/// [`OciError`], with the line and column or the entry.
pub fn parse(json: &[u8], context: &Context) -> Result<Policy, OciError> {
    if json.len() > MAX_SIZE {
        return Err(OciError::Size { size: json.len() });
    }
    let profile: json::Profile = serde_json::from_slice(json).map_err(|source| OciError::Syntax {
        line: source.line(),
        column: source.column(),
        source: SyntaxError(Box::new(source)),
    })?;
    if profile.architectures.is_some() && profile.arch_map.is_some() {
        return Err(OciError::Architectures);
    }
    if profile.listener_path.is_some() || profile.listener_metadata.is_some() {
        log::debug!("seccomp: listenerPath and listenerMetadata are ignored: the caller has the listener");
    }
    let default =
        action(profile.default_action, profile.default_errno, profile.default_errno_ret, Place::Default)?;
    if default == Action::Notify {
        return Err(OciError::Notify { place: Place::Default });
    }
    let mut merger = Merger::new(default);
    for (at, entry) in profile.syscalls.unwrap_or_default().iter().enumerate() {
        merge(&mut merger, entry, Place::Entry(at), context)?;
    }
    let mut policy = Policy::new(default).with(merger.rules());
    policy.flags = flags(&profile.flags.unwrap_or_default());
    let policy = policy.with_listener_flag();
    let (listener, killable) =
        (libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if policy.flags & (listener | killable) == killable {
        return Err(OciError::Notify { place: Place::Flags });
    }
    Ok(policy)
}

fn merge(
    merger: &mut Merger,
    entry: &json::Syscall,
    place: Place,
    context: &Context,
) -> Result<(), OciError> {
    // Also of an entry that does not count here: the profile is wrong all the same.
    let action = action(entry.action, entry.errno, entry.errno_ret, place)?;
    let args = args(entry, place)?;
    let names = match (&entry.name, &entry.names) {
        (Some(name), None) => std::slice::from_ref(name),
        (None, Some(names)) => names.as_slice(),
        _ => return Err(OciError::Names { place }),
    };
    let counts = included(entry.includes.as_ref(), context) && !excluded(entry.excludes.as_ref(), context);
    let alternatives = alternatives(args, place, context.unknown)?;
    for name in names {
        let here = exists(name, place, context)?;
        for args in alternatives.iter().filter(|_| counts && here) {
            merger.add(name, action, args)?;
        }
    }
    Ok(())
}

fn action(
    action: json::Action,
    by_name: Option<json::Errno>,
    by_number: Option<u32>,
    place: Place,
) -> Result<Action, OciError> {
    // containers/common: the name overrides the number.
    let given = by_name.map(|errno| u32::from(errno.0)).or(by_number);
    let errno = || match given {
        None => Ok(libc::EPERM as u16),
        Some(errno) => {
            u16::try_from(errno).ok().filter(|errno| *errno <= 4095).ok_or(OciError::Errno { place, errno })
        }
    };
    let plain = match action {
        json::Action::Errno => return Ok(Action::Errno(errno()?)),
        json::Action::Trace => return Ok(Action::Trace(errno()?)),
        json::Action::Notify => Action::Notify,
        json::Action::Kill | json::Action::KillThread => Action::KillThread,
        json::Action::KillProcess => Action::KillProcess,
        json::Action::Trap => Action::Trap,
        json::Action::Allow => Action::Allow,
        json::Action::Log => Action::Log,
    };
    // The runtime-spec: "when the action doesn't support an errno, the runtime MUST print an error and fail".
    given.map_or(Ok(plain), |errno| Err(OciError::Errno { place, errno }))
}

fn args(entry: &json::Syscall, place: Place) -> Result<Vec<Condition>, OciError> {
    let args = entry.args.as_deref().unwrap_or_default();
    args.iter()
        .map(|arg| {
            let index = u8::try_from(arg.index).ok().filter(|&index| index < 6);
            let index = index.ok_or(OciError::Index { place, index: arg.index })?;
            let (op, value) = match arg.op {
                json::Op::Eq => (Op::Eq, arg.value),
                json::Op::Ne => (Op::Ne, arg.value),
                json::Op::Lt => (Op::Lt, arg.value),
                json::Op::Le => (Op::Le, arg.value),
                json::Op::Gt => (Op::Gt, arg.value),
                json::Op::Ge => (Op::Ge, arg.value),
                // `value` is the mask, `valueTwo` what is compared with.
                json::Op::MaskedEq => (Op::MaskedEq(arg.value), arg.value_two.unwrap_or(0)),
            };
            Ok(Condition { index, op, value })
        })
        .collect()
}

/// The conditions as alternatives of conjunctions.
fn alternatives(
    args: Vec<Condition>,
    place: Place,
    unknown: Unknown,
) -> Result<Vec<Vec<Condition>>, OciError> {
    let repeated =
        args.iter().enumerate().find(|&(at, arg)| args[..at].iter().any(|other| other.index == arg.index));
    match repeated.map(|(_, arg)| arg.index) {
        None => Ok(vec![args]),
        Some(index) if unknown == Unknown::Refuse => Err(OciError::Repeated { place, index }),
        Some(index) => {
            log::warn!(
                "seccomp: {place}: conditions on argument {index} are alternatives, as in container engines"
            );
            Ok(args.into_iter().map(|arg| vec![arg]).collect())
        }
    }
}

/// Whether the architecture has it.
fn exists(name: &str, place: Place, context: &Context) -> Result<bool, OciError> {
    match (names::lookup(name, context.arch), context.unknown) {
        (Known::Here(_), _) => Ok(true),
        (Known::Elsewhere, _) => Ok(false),
        (Known::Nowhere, Unknown::Skip) => {
            log::debug!("seccomp: {place}: unknown system call {name:?} is left out");
            Ok(false)
        }
        (Known::Nowhere, Unknown::Refuse) => {
            let nearest = names::nearest(name, context.arch);
            Err(OciError::Unknown { place, name: name.to_owned(), nearest })
        }
    }
}

/// All that is asked for is there.
fn included(filter: Option<&json::Filter>, context: &Context) -> bool {
    filter.is_none_or(|filter| {
        let caps = filter.caps.as_deref().unwrap_or_default();
        let arches = filter.arches.as_deref().unwrap_or_default();
        caps.iter().all(|cap| has(cap, context))
            && (arches.is_empty() || arches.iter().any(|arch| arch == context.arch.go_name()))
            && filter.min_kernel.is_none_or(|min| context.kernel >= min.0)
    })
}

/// Anything of it is there.
fn excluded(filter: Option<&json::Filter>, context: &Context) -> bool {
    filter.is_some_and(|filter| {
        let caps = filter.caps.as_deref().unwrap_or_default();
        let arches = filter.arches.as_deref().unwrap_or_default();
        caps.iter().any(|cap| has(cap, context))
            || arches.iter().any(|arch| arch == context.arch.go_name())
            || filter.min_kernel.is_some_and(|min| context.kernel >= min.0)
    })
}

fn has(cap: &str, context: &Context) -> bool {
    capability::parse(cap).is_some_and(|cap| context.capabilities.contains(cap))
}

fn flags(flags: &[json::Flag]) -> u64 {
    flags.iter().fold(0, |all, flag| {
        all | match flag {
            json::Flag::Tsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            json::Flag::Log => libc::SECCOMP_FILTER_FLAG_LOG,
            json::Flag::SpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            json::Flag::WaitKillableRecv => libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
        }
    })
}
