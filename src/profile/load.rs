//! A profile with all that it extends and all overrides.

use std::path::Path;

use super::built;
use super::find::{self, Found};
use super::layer::Layer;
use super::reader::Source;
use super::{Chain, Origin, Profile, ProfileError, decode, overrides, resolve};

/// How many profiles may extend each other, the first one counted.
pub const MAX_CHAIN: usize = 8;
/// How much text they may have together.
const MAX_TOTAL: usize = 512 * 1024;

impl Profile {
    /// Loads a profile by its name (built in, else from the user's directory) or by a path with a `/` in it.
    ///
    /// # Errors
    /// [`ProfileError`]: no such profile, a file that others can write to, text that is not a profile, a
    /// circle of `extends`, or parts that do not go together.
    pub fn load(name_or_path: &str) -> Result<Self, ProfileError> {
        Self::load_with::<&str>(name_or_path, &[])
    }

    /// [`Self::load`], with overrides (`KEY=VALUE`, the last one wins).
    ///
    /// ```
    /// let profile = belljar::profile::Profile::load_with("strict", &["limits.timeout=5s"])?;
    /// assert_eq!(profile.limits.timeout, Some(std::time::Duration::from_secs(5)));
    /// # Ok::<(), belljar::profile::ProfileError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::load`]; an override that fits no key.
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

    /// A profile from a text. `name` is what it is called in messages and reports; a path that it extends, or
    /// binds, starts at the current directory.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_toml(text: &str, name: &str) -> Result<Self, ProfileError> {
        Self::from_toml_with(text, name, &[])
    }

    /// [`Self::from_toml`], with overrides.
    pub(crate) fn from_toml_with(text: &str, name: &str, overrides: &[&str]) -> Result<Self, ProfileError> {
        let origin = Origin::Text(name.to_owned());
        find::bounded(text.len(), &origin)?;
        let found = Found { origin, text: text.to_owned(), identity: None };
        build(found, name, overrides, find::user_directory().as_deref()).map(|(profile, _)| profile)
    }

    /// Like [`Self::from_toml`], for bytes that may not even be text.
    ///
    /// # Errors
    /// As [`Self::load`].
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
    let (mut layers, chain) = chain(found, user_directory)?;
    // The one that was asked for describes itself, or nothing does.
    let description = layers.first_mut().and_then(|(layer, _)| layer.description.take());
    let mut merged = Layer::default();
    while let Some((layer, origin)) = layers.pop() {
        merged.apply(layer, &origin)?;
    }
    merged.description = description;
    for text in overrides {
        let (layer, origin) = overrides::parse(text.as_ref())?;
        merged.apply(layer, &origin)?;
    }
    Ok((resolve::profile(merged, name.to_owned(), &origin)?, chain))
}

type Layers = Vec<(Layer, Origin)>;

/// All layers, from the one that was asked for to the one that extends nothing.
fn chain(first: Found, user_directory: Option<&Path>) -> Result<(Layers, Chain), ProfileError> {
    let mut layers: Layers = Vec::new();
    let mut chain = Chain(vec![first.origin.clone()]);
    let mut seen = vec![(first.origin.clone(), first.identity)];
    let mut total = 0;
    let mut found = first;
    loop {
        total += found.text.len();
        if total > MAX_TOTAL {
            let source = ProfileError::TooLarge { origin: found.origin, limit: MAX_TOTAL as u64 };
            return Err(within(&chain, source));
        }
        let (layer, extends) = parse(&found).map_err(|error| within(&chain, error))?;
        layers.push((layer, found.origin.clone()));
        let Some(extends) = extends else { return Ok((layers, chain)) };
        let directory = match &found.origin {
            Origin::File(path) => path.parent(),
            _ => None,
        };
        // The one that is not found is no link of the chain; the last one names it.
        found = find::find(&extends, directory, user_directory)
            .map_err(|error| ProfileError::Extends { chain: chain.clone(), source: Box::new(error) })?;
        chain.0.push(found.origin.clone());
        let again = |(origin, identity): &(Origin, Option<(u64, u64)>)| match (identity, found.identity) {
            (Some(a), Some(b)) => *a == b,
            _ => *origin == found.origin,
        };
        if seen.iter().any(again) {
            return Err(ProfileError::Cycle { chain });
        }
        if chain.0.len() > MAX_CHAIN {
            return Err(ProfileError::TooDeep { chain, limit: MAX_CHAIN });
        }
        seen.push((found.origin.clone(), found.identity));
    }
}

fn parse(found: &Found) -> Result<(Layer, Option<String>), ProfileError> {
    let source = Source::new(&found.origin, &found.text, true);
    let (mut layer, extends) = decode::text(&source)?;
    if let Origin::File(path) = &found.origin
        && let Some(directory) = path.parent()
    {
        layer.rebase(directory);
    }
    Ok((layer, extends))
}

/// Says how one came to a profile that is wrong, unless it is the very one that was asked for.
fn within(chain: &Chain, source: ProfileError) -> ProfileError {
    if chain.0.len() == 1 {
        return source;
    }
    ProfileError::Extends { chain: chain.clone(), source: Box::new(source) }
}
