//! `seccomp`: the system-call filter, by groups and names, or from an OCI JSON profile.

use std::path::PathBuf;

use super::filter_source;
use super::filter_text::{RuleLayer, with_number};
use super::reader::{Spanned, Table};
use super::{Place, ProfileError, ValueError};
use crate::capability::CapabilitySet;
use crate::seccomp::{Action, Policy, Unknown, groups};

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

/// What one text says about the filter.
#[derive(Debug, Default, Clone)]
pub(crate) struct FilterLayer {
    pub(crate) mode: Option<Mode>,
    pub(crate) default: Option<Action>,
    pub(crate) default_errno: Option<Spanned<u16>>,
    pub(crate) rules: Vec<RuleLayer>,
    pub(crate) oci_file: Option<Spanned<PathBuf>>,
    pub(crate) unknown: Option<Unknown>,
    pub(crate) flags: Option<u64>,
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
        self.flags = above.flags.or(self.flags);
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
            (Some(action), _) => with_number(action, self.default_errno.as_ref().map(|errno| errno.value))
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
        policy.flags = self.flags.unwrap_or(0);
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
