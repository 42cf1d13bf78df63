//! The rules of a policy. Those of a built-in filter have hundreds of names, which a start has no use for: it
//! takes the filter that was compiled ahead.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Rule;

/// Rules, of which the first that matches wins: a `Vec` of them in all but its type.
///
/// Those of a built-in filter are only expanded when they are read; until then a copy of them costs nothing.
#[derive(Clone, Default)]
pub struct Rules {
    built: Option<Built>,
    /// Where they are not built in.
    own: Vec<Rule>,
}

#[derive(Clone)]
struct Built {
    encoded: &'static [u8],
    expanded: OnceLock<Vec<Rule>>,
}

impl Rules {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { built: None, own: Vec::new() }
    }

    /// Rules that [`encoded`](Self::encoded) gave, which are not checked until they are read.
    pub(crate) const fn built_in(encoded: &'static [u8]) -> Self {
        Self { built: Some(Built { encoded, expanded: OnceLock::new() }), own: Vec::new() }
    }

    /// As bytes.
    pub(crate) fn encoded(&self) -> Option<Cow<'static, [u8]>> {
        match &self.built {
            Some(built) => Some(Cow::Borrowed(built.encoded)),
            None => postcard::to_stdvec(&self.own).ok().map(Cow::Owned),
        }
    }
}

fn spell(encoded: &[u8]) -> Vec<Rule> {
    // The tests of `profile::built` make the bytes, and compare them with the profiles' texts. There is no
    // other answer: no rules, where the default is to allow, would allow everything.
    postcard::from_bytes(encoded).expect("rules as a test has encoded them")
}

impl Deref for Rules {
    type Target = Vec<Rule>;

    fn deref(&self) -> &Vec<Rule> {
        match &self.built {
            Some(built) => built.expanded.get_or_init(|| spell(built.encoded)),
            None => &self.own,
        }
    }
}

impl DerefMut for Rules {
    fn deref_mut(&mut self) -> &mut Vec<Rule> {
        if let Some(Built { encoded, expanded }) = self.built.take() {
            self.own = expanded.into_inner().unwrap_or_else(|| spell(encoded));
        }
        &mut self.own
    }
}

impl From<Vec<Rule>> for Rules {
    fn from(own: Vec<Rule>) -> Self {
        Self { built: None, own }
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Vec::from_iter(rules).into()
    }
}

impl IntoIterator for Rules {
    type Item = Rule;
    type IntoIter = std::vec::IntoIter<Rule>;

    fn into_iter(mut self) -> Self::IntoIter {
        std::mem::take(&mut *self).into_iter()
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        match (&self.built, &other.built) {
            (Some(a), Some(b)) if std::ptr::eq(a.encoded, b.encoded) => true,
            _ => **self == **other,
        }
    }
}

impl Eq for Rules {}

impl PartialEq<Rules> for [Rule] {
    fn eq(&self, other: &Rules) -> bool {
        *self == ***other
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;

    fn expanded() -> Vec<Rule> {
        vec![Rule::new(["read", "write"], Action::Allow), Rule::new(["kill"], Action::KillProcess)]
    }

    fn built() -> Rules {
        Rules::built_in(Rules::from(expanded()).encoded().unwrap().into_owned().leak())
    }

    #[test]
    fn built_in_rules_are_as_good_as_their_own() {
        let (built, own) = (built(), Rules::from(expanded()));
        assert_eq!(built, own);
        assert_eq!(expanded()[..], built);
        assert_eq!(built.len(), 2);
        assert_eq!(built.clone().into_iter().collect::<Rules>(), own);
        assert_eq!(format!("{built:?}"), format!("{:?}", expanded()));
        assert_eq!(built.encoded(), own.encoded());
        let json = serde_json::to_string(&built).unwrap();
        assert_eq!(json, serde_json::to_string(&expanded()).unwrap());
        assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), built);
    }

    #[test]
    fn a_change_is_no_longer_what_was_built_in() {
        for look_first in [true, false] {
            let built = built();
            let mut changed = built.clone();
            assert!(!look_first || changed.len() == 2);
            changed.pop();
            assert_eq!(changed[..], expanded()[..1]);
            assert_ne!(changed, built);
            assert_ne!(changed.encoded(), built.encoded());
            assert_eq!(built, Rules::from(expanded()));
        }
    }
}
