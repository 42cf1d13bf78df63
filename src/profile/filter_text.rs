//! The words of a filter: how its rules are read and written.

use super::filter_source::{trace_data, well_formed};
use super::form::{Written, list, quote};
use super::names::errno;
use super::reader::{Table, Value};
use super::value_error::{ValueError, word, word_for};
use super::{Place, ProfileError};
use crate::seccomp::{Action, Condition, Op, Policy, Rule};

/// Actions, and what they answer where nothing else is said.
const ACTIONS: [(&str, Action); 8] = [
    ("allow", Action::Allow),
    ("log", Action::Log),
    ("errno", Action::Errno(1)),
    ("kill", Action::KillProcess),
    ("killThread", Action::KillThread),
    ("trap", Action::Trap),
    ("trace", Action::Trace(0)),
    ("notify", Action::Notify),
];

/// OCI's words and the operators that they stand for; both are understood. The mask is a value of its own.
const OPERATORS: [(&str, Op); 14] = [
    ("SCMP_CMP_EQ", Op::Eq),
    ("SCMP_CMP_NE", Op::Ne),
    ("SCMP_CMP_LT", Op::Lt),
    ("SCMP_CMP_LE", Op::Le),
    ("SCMP_CMP_GT", Op::Gt),
    ("SCMP_CMP_GE", Op::Ge),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEq(0)),
    ("==", Op::Eq),
    ("!=", Op::Ne),
    ("<", Op::Lt),
    ("<=", Op::Le),
    (">", Op::Gt),
    (">=", Op::Ge),
    ("&==", Op::MaskedEq(0)),
];

/// `SECCOMP_FILTER_FLAG_*` (`linux/seccomp.h`). That of a listener comes with the action "notify".
const FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", libc::SECCOMP_FILTER_FLAG_TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", libc::SECCOMP_FILTER_FLAG_LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV),
];

/// One entry of `syscalls`.
#[derive(Debug, Clone)]
pub(crate) struct RuleLayer {
    pub(crate) names: Vec<String>,
    pub(crate) action: Action,
    pub(crate) args: Vec<Condition>,
    pub(crate) place: Place,
}

/// An action by its word, before its number is known.
fn action(value: &Value<'_>) -> Result<Action, ProfileError> {
    value.parse(|text| word(text, "action", &ACTIONS))
}

/// The same, for `defaultAction`.
pub(super) fn default_action(value: &Value<'_>) -> Result<Action, ProfileError> {
    match action(value)? {
        Action::Notify => {
            let why = "the caller would have to answer for every system call";
            Err(value.fail(ValueError::Refused { word: "notify".to_owned(), why }))
        }
        action => Ok(action),
    }
}

/// With its errno, or a tracer's data.
pub(super) fn with_number(action: Action, number: Option<u16>) -> Result<Action, ValueError> {
    match (action, number) {
        (action, None) => Ok(action),
        (Action::Errno(_), Some(errno)) => Ok(Action::Errno(errno)),
        (Action::Trace(_), Some(data)) => Ok(Action::Trace(data)),
        _ => Err(ValueError::OnlyWith { with: "action \"errno\" or \"trace\"" }),
    }
}

/// Its word and its number.
fn parts(action: Action) -> (&'static str, Option<u16>) {
    match action {
        Action::Errno(errno) => ("errno", Some(errno)),
        Action::Trace(data) => ("trace", Some(data)),
        action => (word_for(&ACTIONS, &action), None),
    }
}

/// `flags`.
pub(super) fn flags(value: &Value<'_>) -> Result<u64, ProfileError> {
    let flags = value.each(|v| v.parse(|text| word(text, "filter flag", &FLAGS)))?;
    Ok(flags.into_iter().fold(0, |all, flag| all | flag))
}

pub(super) fn written_flags(policy: &Policy) -> Written {
    let set = FLAGS.iter().filter(|(_, flag)| policy.flags & flag != 0);
    Written::Value(list(set.map(|(name, _)| quote(name))))
}

/// `defaultAction`.
pub(super) fn written_action(policy: &Policy) -> Written {
    Written::Value(quote(parts(policy.default).0))
}

/// `defaultErrnoRet`.
pub(super) fn written_errno(policy: &Policy) -> Written {
    parts(policy.default).1.map_or(Written::Nothing, |errno| Written::Value(errno.to_string()))
}

/// `syscalls`.
pub(super) fn rules(value: &Value<'_>) -> Result<Vec<RuleLayer>, ProfileError> {
    value.each(|entry| entry.keys(|t| rule(t, entry)))
}

pub(super) fn written_rules(policy: &Policy) -> Written {
    Written::Tables(policy.rules.iter().map(written_rule).collect())
}

fn rule(t: &Table<'_>, entry: &Value<'_>) -> Result<RuleLayer, ProfileError> {
    let names = t.read("names", |v| {
        let names = v.each(|v| v.parse(|text| well_formed(text).map(str::to_owned)))?;
        if names.is_empty() { Err(v.fail(ValueError::Missing)) } else { Ok(names) }
    })?;
    let action = t.read("action", action)?;
    let traced = matches!(action, Some(Action::Trace(_)));
    let number =
        t.read("errnoRet", |v| v.number(|text| if traced { trace_data(text) } else { errno(text) }))?;
    let args = t.read("args", |v| v.each(|v| v.keys(condition)))?.unwrap_or_default();
    let (names, action) = (t.need("names", names)?, t.need("action", action)?);
    let action = with_number(action, number).map_err(|error| t.fail("errnoRet", error))?;
    Ok(RuleLayer { names, action, args, place: entry.place() })
}

fn written_rule(rule: &Rule) -> Vec<(&'static str, String)> {
    let (word, number) = parts(rule.action);
    let names = list(rule.names.iter().map(|name| quote(name)));
    let mut keys = vec![("names", names), ("action", quote(word))];
    keys.extend(number.map(|number| ("errnoRet", number.to_string())));
    if !rule.args.is_empty() {
        keys.push(("args", list(rule.args.iter().map(written_condition))));
    }
    keys
}

fn condition(t: &Table<'_>) -> Result<Condition, ProfileError> {
    let index = t.read("index", |v| {
        let index = v.u64()?;
        let range = || v.fail(ValueError::range(index, 0, 5));
        u8::try_from(index).ok().filter(|&i| i < 6).ok_or_else(range)
    })?;
    let op = t.read("op", |v| v.parse(|text| word(text, "operator", &OPERATORS)))?;
    let value = t.read("value", Value::u64)?;
    let second = t.read("valueTwo", Value::u64)?;
    let (index, op, value) = (t.need("index", index)?, t.need("op", op)?, t.need("value", value)?);
    match (op, second) {
        // As in the OCI runtime-spec: the first value is the mask, the second what is left of the argument.
        (Op::MaskedEq(_), Some(second)) => Ok(Condition { index, op: Op::MaskedEq(value), value: second }),
        (Op::MaskedEq(_), None) => Err(t.fail("valueTwo", ValueError::Missing)),
        (op, None) => Ok(Condition { index, op, value }),
        (_, Some(_)) => {
            Err(t.fail("valueTwo", ValueError::OnlyWith { with: "operator SCMP_CMP_MASKED_EQ (&==)" }))
        }
    }
}

fn written_condition(condition: &Condition) -> String {
    let Condition { index, op, value } = condition;
    match op {
        Op::MaskedEq(mask) => {
            format!(
                "{{ index = {index}, op = \"SCMP_CMP_MASKED_EQ\", value = {mask:#x}, valueTwo = {value:#x} }}"
            )
        }
        op => format!("{{ index = {index}, op = \"{}\", value = {value:#x} }}", word_for(&OPERATORS, op)),
    }
}
