//! A system-call filter as a profile writes it.

use super::filter::FLAGS;
use super::form::{Written, list, quote};
use crate::seccomp::{Action, Condition, Op, Policy, Rule};

/// `defaultAction`.
pub(super) fn default_action(policy: &Policy) -> Written {
    Written::Value(quote(action(policy.default).0))
}

/// `defaultErrnoRet`.
pub(super) fn default_errno(policy: &Policy) -> Written {
    action(policy.default).1.map_or(Written::Nothing, |errno| Written::Value(errno.to_string()))
}

/// `flags`.
pub(super) fn flags(policy: &Policy) -> Written {
    let set = FLAGS.iter().filter(|(_, flag)| policy.flags & flag != 0);
    Written::Value(list(set.map(|(name, _)| quote(name))))
}

/// `syscalls`.
pub(super) fn syscalls(policy: &Policy) -> Written {
    Written::Tables(policy.rules.iter().map(rule).collect())
}

fn rule(rule: &Rule) -> Vec<(&'static str, String)> {
    let (word, errno) = action(rule.action);
    let names = list(rule.names.iter().map(|name| quote(name)));
    let mut keys = vec![("names", names), ("action", quote(word))];
    keys.extend(errno.map(|errno| ("errnoRet", errno.to_string())));
    if !rule.args.is_empty() {
        keys.push(("args", list(rule.args.iter().map(condition))));
    }
    keys
}

fn condition(condition: &Condition) -> String {
    let (op, value, second) = match condition.op {
        Op::Eq => ("SCMP_CMP_EQ", condition.value, None),
        Op::Ne => ("SCMP_CMP_NE", condition.value, None),
        Op::Lt => ("SCMP_CMP_LT", condition.value, None),
        Op::Le => ("SCMP_CMP_LE", condition.value, None),
        Op::Gt => ("SCMP_CMP_GT", condition.value, None),
        Op::Ge => ("SCMP_CMP_GE", condition.value, None),
        Op::MaskedEq(mask) => ("SCMP_CMP_MASKED_EQ", mask, Some(condition.value)),
    };
    let second = second.map_or_else(String::new, |second| format!(", valueTwo = {second:#x}"));
    format!("{{ index = {}, op = \"{op}\", value = {value:#x}{second} }}", condition.index)
}

fn action(action: Action) -> (&'static str, Option<u16>) {
    match action {
        Action::Allow => ("allow", None),
        Action::Log => ("log", None),
        Action::Errno(errno) => ("errno", Some(errno)),
        Action::KillProcess => ("kill", None),
        Action::KillThread => ("killThread", None),
        Action::Trap => ("trap", None),
        Action::Trace(data) => ("trace", Some(data)),
        Action::Notify => ("notify", None),
    }
}
