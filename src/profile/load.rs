//! A profile with all that it extends and all overrides.

use std::path::Path;

use toml::de::DeTable;

use super::draft::Draft;
use super::find::{self, Found};
use super::reader::{Source, Table};
use super::{Chain, Origin, Profile, ProfileError, built, keys, overrides};
use crate::Error;

/// How many profiles may extend each other, the first one counted.
pub const MAX_CHAIN: usize = 8;
/// How much text they may have together.
const MAX_TOTAL: usize = 512 * 1024;

impl Profile {
    /// Loads a profile by its name (built in, else from the user's directory) or by a path with a `/` in it.
    ///
    /// # Errors
    /// [`Error::Profile`]: no such profile, a file that others can write to, text that is not a profile, a
    /// circle of `extends`, or parts that do not go together.
    pub fn load(name_or_path: &str) -> Result<Self, Error> {
        Ok(Self::load_with::<&str>(name_or_path, &[])?)
    }

    /// A profile from a text. `name` is what it is called in messages and reports; a path that it extends, or
    /// binds, starts at the current directory.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_toml(text: &str, name: &str) -> Result<Self, Error> {
        Ok(Self::from_toml_with::<&str>(text, name, &[])?)
    }

    /// [`Self::load`], with overrides (`KEY=VALUE`, the last one wins).
    #[doc(hidden)]
    pub fn load_with<S: AsRef<str>>(name_or_path: &str, overrides: &[S]) -> Result<Self, ProfileError> {
        if overrides.is_empty()
            && let Some(profile) = built::profile(name_or_path)
        {
            return Ok(profile);
        }
        let user_directory = find::user_directory();
        let found = find::find(name_or_path, None, user_directory.as_deref())?;
        build(found, name_or_path, overrides, user_directory.as_deref()).map(|(profile, _)| profile)
    }

    /// [`Self::from_toml`], with overrides.
    #[doc(hidden)]
    pub fn from_toml_with<S: AsRef<str>>(
        text: &str,
        name: &str,
        overrides: &[S],
    ) -> Result<Self, ProfileError> {
        let origin = Origin::Text(name.to_owned());
        find::bounded(text.len(), &origin)?;
        let found = Found { origin, text: text.to_owned(), identity: None };
        build(found, name, overrides, find::user_directory().as_deref()).map(|(profile, _)| profile)
    }

    /// Like [`Self::from_toml`], for bytes that may not even be text.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    pub fn from_slice(bytes: &[u8], name: &str) -> Result<Self, ProfileError> {
        let origin = Origin::Text(name.to_owned());
        find::bounded(bytes.len(), &origin)?;
        let found = Found { text: find::decode(bytes.to_vec(), &origin)?, origin, identity: None };
        build::<&str>(found, name, &[], find::user_directory().as_deref()).map(|(profile, _)| profile)
    }
}

/// The profile that a text and all it extends make, and those it extends.
pub(crate) fn build<S: AsRef<str>>(
    found: Found,
    name: &str,
    overrides: &[S],
    user_directory: Option<&Path>,
) -> Result<(Profile, Chain), ProfileError> {
    let origin = found.origin.clone();
    let mut texts = Texts { user_directory, chain: Chain(Vec::new()), seen: Vec::new(), total: 0 };
    let mut draft = texts.draft(&found)?;
    for text in overrides {
        overrides::read(&mut draft, text.as_ref())?;
    }
    let profile = draft.finish(name.to_owned(), &origin)?;
    profile.validate()?;
    Ok((profile, texts.chain))
}

/// The texts that extend each other.
struct Texts<'a> {
    user_directory: Option<&'a Path>,
    /// From the one that was asked for.
    chain: Chain,
    seen: Vec<(Origin, Option<(u64, u64)>)>,
    /// Bytes so far.
    total: usize,
}

impl Texts<'_> {
    /// What a text makes on top of all that it extends.
    fn draft(&mut self, found: &Found) -> Result<Draft, ProfileError> {
        self.chain.0.push(found.origin.clone());
        let chain = self.chain.clone();
        let within = |error| within(&chain, error);
        self.check(found)?;
        let source = Source::new(&found.origin, &found.text, true);
        let document = DeTable::parse(source.text).map_err(|error| within(source.syntax(error)))?;
        let text = Table::root(&source, document.get_ref());
        let extends = text.find("extends").and_then(|v| v.map(|v| v.string()).transpose()).map_err(within)?;
        // Before what it extends: one of them may be a mistyped `extends`.
        keys::known(&text, true).map_err(within)?;
        let mut draft = match extends {
            None => Draft::default(),
            Some(extends) => {
                let directory = match &found.origin {
                    Origin::File(path) => path.parent(),
                    _ => None,
                };
                // The one that is not found is no link of the chain; the last one names it.
                let below = find::find(extends, directory, self.user_directory);
                self.draft(&below.map_err(|error| extended(&chain, error))?)?
            }
        };
        // A text describes itself, or nothing does.
        draft.profile.description.clear();
        keys::read(&mut draft, &text).map_err(within)?;
        Ok(draft)
    }

    /// Whether one more text, the last of the chain, can be taken.
    fn check(&mut self, found: &Found) -> Result<(), ProfileError> {
        let chain = &self.chain;
        let again = |(origin, identity): &(Origin, Option<(u64, u64)>)| match (identity, found.identity) {
            (Some(a), Some(b)) => *a == b,
            _ => *origin == found.origin,
        };
        if self.seen.iter().any(again) {
            return Err(ProfileError::Cycle { chain: chain.clone() });
        }
        if chain.0.len() > MAX_CHAIN {
            return Err(ProfileError::TooDeep { chain: chain.clone(), limit: MAX_CHAIN });
        }
        self.seen.push((found.origin.clone(), found.identity));
        self.total += found.text.len();
        if self.total > MAX_TOTAL {
            let error = ProfileError::TooLarge { origin: found.origin.clone(), limit: MAX_TOTAL as u64 };
            return Err(within(chain, error));
        }
        Ok(())
    }
}

/// Says how one came to a profile that is wrong, unless it is the very one that was asked for.
fn within(chain: &Chain, source: ProfileError) -> ProfileError {
    if chain.0.len() == 1 { source } else { extended(chain, source) }
}

fn extended(chain: &Chain, source: ProfileError) -> ProfileError {
    ProfileError::Extends { chain: chain.clone(), source: Box::new(source) }
}
