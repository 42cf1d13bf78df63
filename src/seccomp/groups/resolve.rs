//! From a profile's entry to rules.

use thiserror::Error;

use super::{EDITION, Entry, Group, Verdict, What, group, groups};
use crate::seccomp::names::nearest_of;
use crate::seccomp::{Action, Arch, Condition, Rule, names};

/// How deep groups may nest.
const MAX_DEPTH: usize = 8;
/// How many names one entry of a profile may spell out.
const MAX_NAMES: usize = 16_384;

/// A group cannot be used as a profile uses it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No such group.
    #[error("unknown system-call group {name:?}{}", hint(*nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// A group with nearly that name.
        nearest: Option<&'static str>,
    },
    /// No such edition.
    #[error("system-call group {name:?} has the versions 1 to {newest}, not {asked:?}")]
    Version {
        /// The group.
        name: String,
        /// What stands behind the dot.
        asked: String,
        /// The newest edition.
        newest: u32,
    },
    /// A set is used to refuse something.
    #[error(
        "group {name:?} says what may be allowed and refuses the rest: it goes with allow or log, not {action:?}"
    )]
    Action {
        /// The group.
        name: String,
        /// The action of the entry.
        action: Action,
    },
    /// An entry with `args` names a group that has its own.
    #[error("group {name:?} has conditions of its own: an entry that names it cannot have args")]
    Args {
        /// The group.
        name: String,
    },
    /// Too many names, or groups nested too deep.
    #[error("the entry spells out more than {max} system calls", max = MAX_NAMES)]
    TooMany,
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

/// Spells out one entry of a profile: `names` (system calls and groups), the action and the conditions.
///
/// The rules are to be kept in order. Names of system calls are taken as they are; the compiler knows which
/// exist.
///
/// # Errors
/// [`GroupError`]: no such group or version, or a group with arguments used for what it cannot do.
pub fn resolve<S: AsRef<str>>(
    names: &[S],
    action: Action,
    args: &[Condition],
) -> Result<Vec<Rule>, GroupError> {
    let mut spelling = Spelling { action, args, rules: Vec::new(), count: 0 };
    for name in names {
        spelling.name(name.as_ref(), EDITION, 0)?;
    }
    Ok(spelling.rules)
}

struct Spelling<'a> {
    action: Action,
    args: &'a [Condition],
    rules: Vec<Rule>,
    count: usize,
}

impl Spelling<'_> {
    fn name(&mut self, name: &str, edition: u32, depth: usize) -> Result<(), GroupError> {
        if !name.starts_with('@') {
            return self.push(&[name], self.action, self.args);
        }
        if depth == MAX_DEPTH {
            return Err(GroupError::TooMany);
        }
        let (group, edition) = find(name, edition)?;
        for entry in group.entries.iter().filter(|entry| entry.since <= edition) {
            self.entry(name, entry, edition, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, group: &str, entry: &Entry, edition: u32, depth: usize) -> Result<(), GroupError> {
        match entry.what {
            What::Names(names) => names.iter().try_for_each(|name| self.name(name, edition, depth + 1)),
            What::Known => {
                for &arch in Arch::ALL {
                    let names: Vec<_> = names::all(arch).map(|(name, _)| name).collect();
                    self.push(&names, self.action, self.args)?;
                }
                Ok(())
            }
            What::Rule { names, args, verdict } => {
                if !self.args.is_empty() {
                    return Err(GroupError::Args { name: group.to_owned() });
                }
                match verdict {
                    Verdict::Asked => self.push(&names.iter().collect::<Vec<_>>(), self.action, args),
                    Verdict::Fixed(fixed) => {
                        // Refusals of its own would make a refused set allow what the set allows, or hide it.
                        if !matches!(self.action, Action::Allow | Action::Log) {
                            return Err(GroupError::Action { name: group.to_owned(), action: self.action });
                        }
                        self.push(&names.iter().collect::<Vec<_>>(), fixed, args)
                    }
                }
            }
        }
    }

    /// Adds a rule, or its names to the last one where that says the same.
    fn push(&mut self, names: &[&str], action: Action, args: &[Condition]) -> Result<(), GroupError> {
        self.count += names.len();
        if self.count > MAX_NAMES {
            return Err(GroupError::TooMany);
        }
        let names = names.iter().map(|&name| name.to_owned());
        match self.rules.last_mut() {
            Some(last) if last.action == action && last.args == args => last.names.extend(names),
            _ => self.rules.push(Rule { names: names.collect(), action, args: args.to_vec() }),
        }
        Ok(())
    }
}

/// Finds `@name` or `@name.VERSION`; without a version it has the edition of what names it.
fn find(name: &str, edition: u32) -> Result<(&'static Group, u32), GroupError> {
    let (base, version) = match name.split_once('.') {
        Some((base, version)) => (base, Some(version)),
        None => (name, None),
    };
    let Some(group) = group(base) else {
        let nearest = nearest_of(base, groups().map(|group| group.name));
        return Err(GroupError::Unknown { name: name.to_owned(), nearest });
    };
    let edition = match version {
        None => edition,
        Some(asked) => {
            asked.parse().ok().filter(|version| (1..=EDITION).contains(version)).ok_or_else(|| {
                GroupError::Version { name: base.to_owned(), asked: asked.to_owned(), newest: EDITION }
            })?
        }
    };
    Ok((group, edition))
}
