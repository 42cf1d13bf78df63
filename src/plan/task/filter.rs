//! The system-call filter, compiled for this machine.

use crate::host::Facts;
use crate::host::kernel::Version;
use crate::plan::call::Call;
use crate::plan::error::PlanError;
use crate::plan::model::Seccomp;
use crate::plan::show::note::Exposed;
use crate::plan::show::note::Note;
use crate::profile::Profile;
use crate::seccomp::{Action, Data, Policy, Program, Unknown, compile, names};

/// The compiled filter; `None` where the profile turned it off. Where others can reach what the task writes
/// (`exposed`), it refuses set-user-ID and set-group-ID bits before anything that the profile says, with a
/// note where the profile would have allowed them.
///
/// A name that no system call has is left out, with a note, where the filter allows only what it lists: less
/// is allowed then. Where it lists what is refused, leaving one out would allow more, and it is an error.
pub(crate) fn filter(
    profile: &Profile,
    facts: &Facts,
    exposed: Option<&Exposed>,
    notes: &mut Vec<Note>,
) -> Result<Option<Seccomp>, PlanError> {
    let Some(policy) = &profile.seccomp else { return Ok(None) };
    let (program, allowed) = match crate::profile::built_filter(policy, facts.arch, exposed.is_some()) {
        Some(built) => built,
        None => {
            let asked = compiled(policy, facts, notes)?;
            match exposed {
                None => (asked, false),
                Some(_) => {
                    let kept = compiled(&policy.without_set_id(), facts, &mut Vec::new())?;
                    let changed = kept != asked;
                    (kept, changed)
                }
            }
        }
    };
    if let Some(exposed) = exposed.filter(|_| allowed) {
        notes.push(Note::SetId { exposed: exposed.clone() });
    }
    // A program that was just compiled evaluates; an answer that is unknown is treated as one that kills.
    let readback = program.readback(facts.arch).unwrap_or(None);
    // A task's process has one thread when it loads the filter; one that sends the listener must stay out of
    // it.
    let flags = if listens(policy) { policy.flags & !libc::SECCOMP_FILTER_FLAG_TSYNC } else { policy.flags };
    Ok(Some(Seccomp { flags, program, readback }))
}

fn listens(policy: &Policy) -> bool {
    policy.flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0
}

/// What a filter that notifies of system calls needs (seccomp_unotify(2)): a caller that takes its listener,
/// a kernel that lets a call go on after that, and a start that can be told from what comes after it.
pub(crate) fn notifies(profile: &Profile, facts: &Facts, call: &Call) -> Result<(), PlanError> {
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let Some(policy) = &profile.seccomp else { return Ok(()) };
    if !listens(policy) {
        return match policy.flags & killable {
            0 => Ok(()),
            _ => Err(PlanError::Unenforceable {
                key: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV".to_owned(),
                reason: "no rule of the filter has the action notify",
                hint: "leave it out of seccomp.flags",
            }),
        };
    }
    if !call.seccomp_listener {
        return Err(PlanError::NoListener);
    }
    let has = Version { major: facts.kernel.0, minor: facts.kernel.1 };
    let since = |what, call, major, minor| match (Version { major, minor }) {
        needs if has < needs => Err(PlanError::Kernel { what, call, needs, has }),
        _ => Ok(()),
    };
    since("a filter with the action notify", "SECCOMP_USER_NOTIF_FLAG_CONTINUE", 5, 5)?;
    if policy.flags & killable != 0 {
        since("a filter flag", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 5, 19)?;
    }
    // init's own execve is let through, and no other: see `sandbox::listener`.
    let rules = || policy.rules.iter().filter(|rule| rule.names.iter().any(|name| name == "execve"));
    if rules().any(|rule| rule.action == Action::Notify) && rules().any(|rule| !rule.args.is_empty()) {
        return Err(PlanError::Unenforceable {
            key: "the action notify for some arguments of execve".to_owned(),
            reason: "the start of the program could not be told from what it starts itself",
            hint: "notify of execve without args, or not at all",
        });
    }
    Ok(())
}

fn compiled(policy: &Policy, facts: &Facts, notes: &mut Vec<Note>) -> Result<Program, PlanError> {
    let unknown = match policy.default {
        Action::Allow | Action::Log => Unknown::Refuse,
        _ => Unknown::Skip,
    };
    let compiled = compile(policy, facts.arch, unknown).map_err(|source| PlanError::Seccomp { source })?;
    if !compiled.skipped.is_empty() {
        notes.push(Note::UnknownSyscalls { names: compiled.skipped });
    }
    Ok(compiled.program)
}

/// Whether a filter may let a call through that reaches keys. Keyrings are handed down to every child, and no
/// namespace holds them apart.
pub(crate) fn reaches_keys(policy: Option<&Policy>) -> bool {
    let Some(policy) = policy else { return true };
    let reaches = |name: &String| ["keyctl", "add_key", "request_key"].contains(&name.as_str());
    lets_through(policy.default)
        || policy.rules.iter().any(|rule| lets_through(rule.action) && rule.names.iter().any(reaches))
}

fn lets_through(action: Action) -> bool {
    matches!(action, Action::Allow | Action::Log | Action::Trace(_) | Action::Notify)
}

/// Whether a filter lets a process open internet sockets.
pub(crate) fn allows_internet(program: &Program, facts: &Facts) -> bool {
    let names::Known::Here(number) = names::lookup("socket", facts.arch) else { return true };
    [libc::AF_INET, libc::AF_INET6].iter().any(|&family| {
        [libc::SOCK_STREAM, libc::SOCK_DGRAM].iter().any(|&kind| {
            let args = [family as u64, kind as u64, 0, 0, 0, 0];
            match program.evaluate(&Data::new(number, facts.arch, args)).map(Action::from_return) {
                Ok(action) => lets_through(action),
                Err(_) => true,
            }
        })
    })
}
