//! libseccomp's way of adding up entries, as rules of which the first match decides.

use std::collections::BTreeMap;

use super::{MAX_RULES, OciError};
use crate::seccomp::{Action, Condition, Rule};

pub(super) struct Merger {
    default: Action,
    calls: BTreeMap<String, Call>,
    rules: usize,
}

#[derive(Default)]
struct Call {
    /// The first entry without conditions.
    always: Option<Action>,
    /// Entries with conditions.
    sometimes: Vec<(Action, Vec<Condition>)>,
}

impl Merger {
    pub fn new(default: Action) -> Self {
        Self { default, calls: BTreeMap::new(), rules: 0 }
    }

    pub fn add(&mut self, name: &str, action: Action, args: &[Condition]) -> Result<(), OciError> {
        self.rules += 1;
        if self.rules > MAX_RULES {
            return Err(OciError::TooManyRules);
        }
        if args.is_empty() && action == self.default {
            return Ok(());
        }
        let call = self.calls.entry(name.to_owned()).or_default();
        if args.is_empty() {
            call.always.get_or_insert(action);
        } else {
            call.sometimes.push((action, args.to_vec()));
        }
        Ok(())
    }

    pub fn rules(self) -> Vec<Rule> {
        let mut always: BTreeMap<Action, Vec<String>> = BTreeMap::new();
        let mut rules = Vec::new();
        for (name, mut call) in self.calls {
            if let Some(action) = call.always {
                always.entry(action).or_default().push(name);
                continue;
            }
            call.sometimes.sort_by_key(|(action, _)| permissiveness(*action));
            rules.extend(call.sometimes.into_iter().map(|(action, args)| Rule {
                names: vec![name.clone()],
                action,
                args,
            }));
        }
        rules.extend(always.into_iter().map(|(action, names)| Rule::new(names, action)));
        rules
    }
}

/// The kernel's own order between filters (`seccomp(2)`).
fn permissiveness(action: Action) -> u8 {
    match action {
        Action::KillProcess => 0,
        Action::KillThread => 1,
        Action::Trap => 2,
        Action::Errno(_) => 3,
        Action::Notify => 4,
        Action::Trace(_) => 5,
        Action::Log => 6,
        Action::Allow => 7,
    }
}
