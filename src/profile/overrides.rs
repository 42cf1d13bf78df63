//! Overrides: `KEY=VALUE` for any key of a profile, with the same checks as in a file.
//!
//! The value is TOML (`["ipc"]`, `true`, `{ soft = 1, hard = 2 }`) or a bare word (`5s`, `-network`); a list with one entry
//! needs no brackets.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::nearest_key;
use super::layer::Layer;
use super::reader::{Source, Table};
use super::{Origin, Place, ProfileError, ValueError, decode, find};

/// One override as a layer.
pub(crate) fn parse(text: &str) -> Result<(Layer, Origin), ProfileError> {
    let origin = Origin::Override(shorten(text));
    find::bounded(text.len(), &origin)?;
    let not_one = || ProfileError::Override { text: shorten(text) };
    let (key, value) = text.split_once('=').ok_or_else(not_one)?;
    let segment = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    // No key of a profile is deeper; see `keys`.
    if !key.split('.').all(segment) || key.split('.').count() > 4 {
        return Err(not_one());
    }
    let fail = |source| ProfileError::Value {
        place: Place { origin: origin.clone(), position: None },
        key: key.to_owned(),
        source,
    };
    if key == "extends" {
        let why = "what a profile extends is decided in its file";
        return Err(fail(ValueError::Refused { word: value.to_owned(), why }));
    }
    let source = Source { origin: &origin, text: value, positions: false };
    let mut node = Spanned::new(0..value.len(), toml_value(&source)?);
    for segment in key.rsplit('.') {
        let mut table = DeTable::new();
        table.insert(Spanned::new(0..0, segment.into()), node);
        node = Spanned::new(0..0, DeValue::Table(table));
    }
    let DeValue::Table(table) = node.get_ref() else { return Err(not_one()) };
    let root = Table::root(&source, table);
    let layer = decode::layer(&root).and_then(|layer| root.done().map(|()| layer)).map_err(|error| match error {
        ProfileError::UnknownKey { place, key, nearest: None } => {
            let nearest = nearest_key(&key).map(str::to_owned);
            ProfileError::UnknownKey { place, key, nearest }
        }
        other => other,
    })?;
    Ok((layer, origin))
}

fn toml_value<'a>(source: &Source<'a>) -> Result<DeValue<'a>, ProfileError> {
    match DeValue::parse(source.text) {
        Ok(value) => Ok(value.into_inner()),
        // Meant to be TOML: a bare word would not start like this.
        Err(error) if source.text.starts_with(['[', '{', '"', '\'']) => Err(source.syntax(error)),
        Err(_) => Ok(DeValue::String(source.text.into())),
    }
}

/// As much of an override as anyone wants to read in a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
