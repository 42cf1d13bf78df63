//! What needs something of the caller: notifications that are answered, hooks.

use super::super::{Call, HookProgram, Plan, PlanError, resolve};
use super::fixtures::*;
use crate::host::Facts;
use crate::profile::Profile;
use crate::seccomp::{Action, Condition, Op, Policy, Rule};

const LISTENER: u64 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
const KILLABLE: u64 = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

fn notifying(rules: impl IntoIterator<Item = Rule>, flags: u64) -> Profile {
    let mut policy = Policy::new(Action::Allow).with(rules);
    policy.flags |= flags;
    Profile { seccomp: Some(policy.with_listener_flag()), ..profile() }
}

fn plan(profile: &Profile, facts: &Facts, seccomp_listener: bool) -> Result<Plan, PlanError> {
    resolve(profile, facts, &files(), &Call { seccomp_listener, ..Call::program(["sh"]) })
}

#[test]
fn a_filter_that_notifies_needs_a_caller_and_a_kernel() {
    let mkdir = || Rule::new(["mkdirat"], Action::Notify);
    let profile = notifying([mkdir()], libc::SECCOMP_FILTER_FLAG_TSYNC);
    let seccomp = plan(&profile, &facts(), true).unwrap().task.seccomp.unwrap();
    // The thread that sends the listener stays out of the filter.
    assert!(seccomp.flags == LISTENER && seccomp.has_listener() && !seccomp.notifies_of_execve());
    let refused = plan(&profile, &facts(), false).unwrap_err();
    assert!(matches!(refused, PlanError::NoListener) && refused.hint().is_some());

    let killable = notifying([mkdir()], KILLABLE);
    for (kernel, profile, works) in [
        ((5, 18), &profile, true),
        ((5, 18), &killable, false),
        ((5, 19), &killable, true),
        ((6, 12), &notifying([], KILLABLE), false),
    ] {
        let facts = Facts { kernel, ..facts() };
        assert_eq!(plan(profile, &facts, true).is_ok(), works, "{kernel:?}");
    }
}

#[test]
fn the_execution_of_the_program_is_notified_of_always_or_never() {
    let execve = |action| Rule::new(["execve", "execveat"], action);
    let some = Condition { index: 0, op: Op::Ne, value: 7 };
    let seccomp = plan(&notifying([execve(Action::Notify)], 0), &facts(), true).unwrap().task.seccomp;
    assert!(seccomp.unwrap().notifies_of_execve());
    for rules in [
        vec![execve(Action::Notify).when(some)],
        vec![execve(Action::Allow).when(some), execve(Action::Notify)],
    ] {
        let refused = plan(&notifying(rules, 0), &facts(), true);
        assert!(matches!(refused, Err(PlanError::Unenforceable { .. })), "{refused:?}");
    }
}

#[test]
fn hooks_that_prepare_a_root_need_one() {
    let hook =
        HookProgram { path: c"/bin/hook".into(), argv: vec![c"hook".into()], env: vec![], timeout_ms: None };
    let call = Call { create_container: vec![hook.clone()], ..Call::program(["sh"]) };
    let mut made = resolve(&profile(), &facts(), &files(), &call).unwrap();
    assert_eq!(made.hooks, std::slice::from_ref(&hook));
    let refused = resolve(&lite(), &facts(), &files(), &call);
    assert!(matches!(refused, Err(PlanError::Unenforceable { .. })), "{refused:?}");
    for wrong in [
        HookProgram { path: c"bin/hook".into(), ..hook.clone() },
        HookProgram { path: c"/../hook".into(), ..hook.clone() },
        HookProgram { argv: vec![], ..hook.clone() },
    ] {
        made.hooks = vec![wrong.clone()];
        assert!(made.check().is_err(), "{wrong:?}");
        (made.hooks, made.task.hooks) = (Vec::new(), vec![wrong.clone()]);
        assert!(made.check().is_err(), "{wrong:?}");
    }
    made.task.hooks = vec![hook; 65];
    assert!(made.check().is_err());
}
