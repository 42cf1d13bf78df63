//! `seccomp`: the system-call filter, by groups and names, or from an OCI JSON profile.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::filter_source;
use super::names;
use super::reader::{Spanned, Table, Value};
use super::value_error::{ValueError, word};
use super::{Place, ProfileError};
use crate::capability::CapabilitySet;
use crate::seccomp::{Action, Condition, Op, Policy, Unknown, groups};

/// Whether there is a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Filter,
    Off,
}

impl Mode {
    pub(crate) fn of(policy: Option<&Policy>) -> Self {
        policy.map_or(Self::Off, |_| Self::Filter)
    }
}

/// An action by its word, before its errno is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionWord {
    Allow,
    Log,
    Errno,
    Kill,
    KillThread,
    Trap,
    Trace,
    Notify,
}

pub(crate) const ACTIONS: [(&str, ActionWord); 8] = [
    ("allow", ActionWord::Allow),
    ("log", ActionWord::Log),
    ("errno", ActionWord::Errno),
    ("kill", ActionWord::Kill),
    ("killThread", ActionWord::KillThread),
    ("trap", ActionWord::Trap),
    ("trace", ActionWord::Trace),
    ("notify", ActionWord::Notify),
];

/// `SECCOMP_FILTER_FLAG_*` (`linux/seccomp.h`). That of a listener comes with the action "notify".
pub(crate) const FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", libc::SECCOMP_FILTER_FLAG_TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", libc::SECCOMP_FILTER_FLAG_LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV),
];

/// OCI's words and the operators that they stand for; both are understood.
const OPERATORS: [(&str, OpWord); 14] = [
    ("SCMP_CMP_EQ", OpWord::Plain(Op::Eq)),
    ("SCMP_CMP_NE", OpWord::Plain(Op::Ne)),
    ("SCMP_CMP_LT", OpWord::Plain(Op::Lt)),
    ("SCMP_CMP_LE", OpWord::Plain(Op::Le)),
    ("SCMP_CMP_GT", OpWord::Plain(Op::Gt)),
    ("SCMP_CMP_GE", OpWord::Plain(Op::Ge)),
    ("SCMP_CMP_MASKED_EQ", OpWord::Masked),
    ("==", OpWord::Plain(Op::Eq)),
    ("!=", OpWord::Plain(Op::Ne)),
    ("<", OpWord::Plain(Op::Lt)),
    ("<=", OpWord::Plain(Op::Le)),
    (">", OpWord::Plain(Op::Gt)),
    (">=", OpWord::Plain(Op::Ge)),
    ("&==", OpWord::Masked),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpWord {
    Plain(Op),
    Masked,
}

/// What one text says about the filter.
#[derive(Debug, Default, Clone)]
pub(crate) struct FilterLayer {
    pub(crate) mode: Option<Mode>,
    pub(crate) default: Option<ActionWord>,
    pub(crate) default_errno: Option<Spanned<u16>>,
    pub(crate) rules: Vec<RuleLayer>,
    pub(crate) oci_file: Option<Spanned<PathBuf>>,
    pub(crate) unknown: Option<Unknown>,
    pub(crate) flags: Option<BTreeSet<u64>>,
}

/// One entry of `syscalls`.
#[derive(Debug, Clone)]
pub(crate) struct RuleLayer {
    pub(crate) names: Vec<String>,
    pub(crate) action: Action,
    pub(crate) args: Vec<Condition>,
    pub(crate) place: Place,
}

impl FilterLayer {
    pub(crate) fn is_off(&self) -> bool {
        self.mode == Some(Mode::Off)
    }

    pub(crate) fn says_anything(&self) -> bool {
        self.default.is_some()
            || self.default_errno.is_some()
            || !self.rules.is_empty()
            || self.oci_file.is_some()
            || self.flags.is_some()
    }

    /// Puts `above` on top: its rules come first; an OCI profile takes the place of everything below but the
    /// mode.
    pub(crate) fn apply(&mut self, mut above: Self) {
        if above.oci_file.is_some() {
            above.mode = above.mode.or(self.mode);
            above.unknown = above.unknown.or(self.unknown);
            *self = above;
            return;
        }
        self.mode = above.mode.or(self.mode);
        if above.default.is_some() {
            // An errno belongs to the action that it was written for.
            (self.default, self.default_errno) = (above.default, None);
        }
        self.default_errno = above.default_errno.or(self.default_errno.take());
        above.rules.append(&mut self.rules);
        self.rules = above.rules;
        self.unknown = above.unknown.or(self.unknown);
        self.flags = above.flags.or(self.flags.take());
    }

    /// The policy, with groups expanded; `None` where the filter is off.
    ///
    /// # Errors
    /// There is no default action, a group or a name is not known, or an OCI profile can not be read.
    pub(crate) fn resolve(
        self,
        capabilities: CapabilitySet,
        missing: impl Fn(&str) -> ProfileError,
    ) -> Result<Option<Policy>, ProfileError> {
        if self.mode == Some(Mode::Off) {
            return Ok(None);
        }
        let below = match &self.oci_file {
            Some(file) => Some(filter_source::oci(file, capabilities, self.unknown)?),
            None => None,
        };
        let default = match (self.default, &below) {
            (Some(word), _) => action(word, self.default_errno.as_ref().map(|errno| errno.value))
                .map_err(|source| at(self.default_errno.as_ref().map(|e| &e.place), source, &missing))?,
            (None, Some(policy)) => policy.default,
            (None, None) => return Err(missing("seccomp.defaultAction")),
        };
        let mut policy = Policy::new(default);
        for rule in self.rules {
            let fail = |source| ProfileError::Value {
                place: rule.place.clone(),
                key: "seccomp.syscalls".to_owned(),
                source: Box::new(source),
            };
            let names =
                filter_source::known(&rule.names, self.unknown.unwrap_or(Unknown::Refuse)).map_err(fail)?;
            let rules =
                groups::resolve(&names, rule.action, &rule.args).map_err(|error| fail(error.into()))?;
            policy.rules.extend(rules);
        }
        policy.flags = self.flags.into_iter().flatten().fold(0, |all, flag| all | flag);
        if let Some(below) = below {
            policy.rules.extend(below.rules);
            policy.flags |= below.flags;
        }
        Ok(Some(policy.with_listener_flag()))
    }
}

fn at(place: Option<&Place>, source: ValueError, missing: impl Fn(&str) -> ProfileError) -> ProfileError {
    match place {
        Some(place) => ProfileError::Value {
            place: place.clone(),
            key: "seccomp.defaultErrnoRet".to_owned(),
            source: Box::new(source),
        },
        None => missing("seccomp.defaultErrnoRet"),
    }
}

/// What one text says has to go together; `seccomp` is its table.
///
/// # Errors
/// A filter that is off with anything else, or an OCI profile with a default action.
pub(crate) fn check(layer: &FilterLayer, seccomp: &Table<'_>) -> Result<(), ProfileError> {
    let not_with = |key, with| Err(seccomp.fail(key, ValueError::NotWith { with }));
    let with_profile = "profile, which has one";
    match layer {
        FilterLayer { mode: Some(Mode::Off), .. } if layer.says_anything() => {
            not_with("mode", "anything else in this table, as \"off\"")
        }
        FilterLayer { oci_file: Some(_), default: Some(_), .. } => not_with("defaultAction", with_profile),
        FilterLayer { oci_file: Some(_), default_errno: Some(_), .. } => {
            not_with("defaultErrnoRet", with_profile)
        }
        _ => Ok(()),
    }
}

/// An entry of `syscalls`.
pub(crate) fn entry(entry: &Value<'_>) -> Result<RuleLayer, ProfileError> {
    entry.keys(|t| rule(t, entry))
}

fn rule(t: &Table<'_>, entry: &Value<'_>) -> Result<RuleLayer, ProfileError> {
    let names = t.read("names", |v| {
        let names = v.each(|v| v.parse(|text| filter_source::well_formed(text).map(str::to_owned)))?;
        if names.is_empty() { Err(v.fail(ValueError::Missing)) } else { Ok(names) }
    })?;
    let word = t.read("action", |v| v.parse(action_word))?;
    let errno = t.read("errnoRet", |v| {
        v.number(|text| {
            if word == Some(ActionWord::Trace) { filter_source::trace_data(text) } else { names::errno(text) }
        })
    })?;
    let args = t.read("args", |v| v.each(|v| v.keys(condition)))?.unwrap_or_default();
    let (names, word) = (t.need("names", names)?, t.need("action", word)?);
    let action = action(word, errno).map_err(|error| t.fail("errnoRet", error))?;
    Ok(RuleLayer { names, action, args, place: entry.place() })
}

pub(crate) fn action_word(text: &str) -> Result<ActionWord, ValueError> {
    word(text, "action", &ACTIONS)
}

pub(crate) fn default_word(text: &str) -> Result<ActionWord, ValueError> {
    match action_word(text)? {
        ActionWord::Notify => {
            let why = "the caller would have to answer for every system call";
            Err(ValueError::Refused { word: text.to_owned(), why })
        }
        word => Ok(word),
    }
}

fn action(word: ActionWord, errno: Option<u16>) -> Result<Action, ValueError> {
    match (word, errno) {
        (ActionWord::Errno, errno) => Ok(Action::Errno(errno.unwrap_or(1))),
        (ActionWord::Trace, data) => Ok(Action::Trace(data.unwrap_or(0))),
        (_, Some(_)) => Err(ValueError::OnlyWith { with: "action \"errno\" or \"trace\"" }),
        (ActionWord::Allow, None) => Ok(Action::Allow),
        (ActionWord::Log, None) => Ok(Action::Log),
        (ActionWord::Kill, None) => Ok(Action::KillProcess),
        (ActionWord::KillThread, None) => Ok(Action::KillThread),
        (ActionWord::Trap, None) => Ok(Action::Trap),
        (ActionWord::Notify, None) => Ok(Action::Notify),
    }
}

fn condition(t: &Table<'_>) -> Result<Condition, ProfileError> {
    let index = t.read("index", |v| {
        let index = v.u64()?;
        u8::try_from(index)
            .ok()
            .filter(|&i| i < 6)
            .ok_or_else(|| v.fail(ValueError::Range { text: index.to_string(), min: 0, max: 5 }))
    })?;
    let op = t.read("op", |v| v.parse(|text| word(text, "operator", &OPERATORS)))?;
    let value = t.read("value", Value::u64)?;
    let second = t.read("valueTwo", Value::u64)?;
    let (index, op, value) = (t.need("index", index)?, t.need("op", op)?, t.need("value", value)?);
    match (op, second) {
        // As in the OCI runtime-spec: the first value is the mask, the second what is left of the argument.
        (OpWord::Masked, Some(second)) => Ok(Condition { index, op: Op::MaskedEq(value), value: second }),
        (OpWord::Masked, None) => Err(t.fail("valueTwo", ValueError::Missing)),
        (OpWord::Plain(op), None) => Ok(Condition { index, op, value }),
        (OpWord::Plain(_), Some(_)) => {
            Err(t.fail("valueTwo", ValueError::OnlyWith { with: "operator SCMP_CMP_MASKED_EQ (&==)" }))
        }
    }
}
