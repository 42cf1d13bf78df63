//! A parsed TOML text, read key by key: every value knows its place.
//!
//! Not serde's derive, because its errors are text: here an error keeps the key, the line, the column and the
//! nearest known key as data.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::{Origin, Place, ProfileError, SyntaxError, ValueError};
use crate::text::nearest;

/// The most that a profile's text may have.
pub(crate) const MAX_TEXT: usize = 256 * 1024;

/// A text and where it is from.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) text: &'a str,
    /// Whether the text is a whole file, where lines and columns help.
    pub(crate) positions: bool,
    /// The place that was asked for last.
    cursor: Cell<Cursor>,
}

/// An offset into a text, and its line and column, both from 1.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    offset: usize,
    line: usize,
    column: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(origin: &'a Origin, text: &'a str, positions: bool) -> Self {
        Self { origin, text, positions, cursor: Cell::new(Cursor { offset: 0, line: 1, column: 1 }) }
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let position = self.positions.then(|| {
            // Every entry of a list keeps its place: counting on from the last one keeps all of them together
            // linear.
            let mut at = self.cursor.get();
            if offset < at.offset {
                at = Cursor { offset: 0, line: 1, column: 1 };
            }
            let between = self.text.get(at.offset..offset).or_else(|| self.text.get(at.offset..));
            for c in between.unwrap_or_default().chars() {
                at.offset += c.len_utf8();
                (at.line, at.column) = if c == '\n' { (at.line + 1, 1) } else { (at.line, at.column + 1) };
            }
            self.cursor.set(at);
            (at.line, at.column)
        });
        Place { origin: self.origin.clone(), position }
    }

    pub(crate) fn syntax(&self, error: toml::de::Error) -> ProfileError {
        let offset = error.span().map_or(0, |span| span.start);
        ProfileError::Syntax { place: self.place(offset), source: SyntaxError(Box::new(error)) }
    }
}

/// A table, and the keys that were asked for so far.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    source: &'a Source<'a>,
    key: String,
    at: usize,
    table: &'a DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The table of a whole text.
    pub(crate) fn root(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Self {
        Self { source, key: String::new(), at: 0, table, known: RefCell::default() }
    }

    pub(crate) fn origin(&self) -> &'a Origin {
        self.source.origin
    }

    /// The value of a key, if it is there.
    fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.known.borrow_mut().push(key);
        self.table.get(key).map(|value| self.value(key, value))
    }

    /// The value of a key by its whole name, with the tables that it is in, if it is there.
    ///
    /// # Errors
    /// One of the tables is none.
    pub(crate) fn find(&self, name: &'static str) -> Result<Option<Value<'a>>, ProfileError> {
        match name.split_once('.') {
            None => Ok(self.get(name)),
            Some((table, rest)) => match self.get(table) {
                Some(value) => value.table()?.find(rest),
                None => Ok(None),
            },
        }
    }

    /// Whether all keys are among `names`, which are whole names.
    ///
    /// # Errors
    /// [`ProfileError::UnknownKey`] for the first one in the text.
    pub(crate) fn only(&self, names: &[&'static str]) -> Result<(), ProfileError> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = join(&self.key, key.get_ref());
            let within = |other: &&str| other.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('.'));
            if names.contains(&&*name) {
                continue;
            }
            if !names.iter().any(within) {
                let above = if self.key.is_empty() { String::new() } else { format!("{}.", self.key) };
                let siblings =
                    names.iter().filter_map(|other| other.strip_prefix(&*above)?.split('.').next());
                let near = nearest(key.get_ref(), siblings).map(|near| join(&self.key, near));
                let near = near.or_else(|| nearest_name(key.get_ref(), names).map(str::to_owned));
                return Err(self.unknown(key, near));
            }
            if value.get_ref().is_table() {
                self.value(key.get_ref(), value).table()?.only(names)?;
            }
        }
        Ok(())
    }

    /// The value of a key, read by `read`, if it is there.
    pub(crate) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Value<'a>) -> Result<T, ProfileError>,
    ) -> Result<Option<T>, ProfileError> {
        self.get(key).map(|value| read(&value)).transpose()
    }

    /// What was read of a key that has to be there. Unknown keys come first: one of them may be the key,
    /// mistyped.
    pub(crate) fn need<T>(&self, key: &str, value: Option<T>) -> Result<T, ProfileError> {
        self.done()?;
        value.ok_or_else(|| self.fail(key, ValueError::Missing))
    }

    /// All keys with their values, for tables whose keys are names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.table.iter().map(|(k, v)| (&**k.get_ref(), self.value(k.get_ref(), v)))
    }

    /// Ends the reading: a key that was not asked for is an error.
    ///
    /// # Errors
    /// [`ProfileError::UnknownKey`] for the first one in the text.
    pub(crate) fn done(&self) -> Result<(), ProfileError> {
        let known = self.known.borrow();
        let unknown = self
            .table
            .keys()
            .filter(|k| !known.iter().any(|n| n == k.get_ref()))
            .min_by_key(|k| k.span().start);
        match unknown {
            None => Ok(()),
            Some(key) => {
                let near = nearest(key.get_ref(), known.iter().copied());
                Err(self.unknown(key, near.map(|near| join(&self.key, near))))
            }
        }
    }

    fn unknown(&self, key: &toml::Spanned<Cow<'_, str>>, nearest: Option<String>) -> ProfileError {
        ProfileError::UnknownKey {
            place: self.source.place(key.span().start),
            key: join(&self.key, key.get_ref()),
            nearest,
        }
    }

    /// An error about one of the table's keys that is not there.
    pub(crate) fn fail(&self, key: &str, source: ValueError) -> ProfileError {
        ProfileError::Value {
            place: self.source.place(self.at),
            key: join(&self.key, key),
            source: Box::new(source),
        }
    }

    fn value(&self, key: &str, value: &'a toml::Spanned<DeValue<'a>>) -> Value<'a> {
        Value {
            source: self.source,
            key: join(&self.key, key),
            at: value.span().start,
            value: value.get_ref(),
        }
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// The name that a wrong key was most likely meant to be: the same word in another table, else the most
/// similar.
fn nearest_name<'n>(key: &str, names: &[&'n str]) -> Option<&'n str> {
    let last = |name: &'n str| name.rsplit('.').next().unwrap_or(name);
    let names = || names.iter().copied();
    let same = names().find(|name| last(name).eq_ignore_ascii_case(key));
    let similar = || {
        let near = nearest(key, names().map(last))?;
        names().find(|name| last(name) == near)
    };
    same.or_else(|| nearest(key, names())).or_else(similar)
}

/// A value, its key and its place.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    source: &'a Source<'a>,
    key: String,
    at: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(crate) fn place(&self) -> Place {
        self.source.place(self.at)
    }

    pub(crate) fn fail(&self, source: ValueError) -> ProfileError {
        ProfileError::Value { place: self.place(), key: self.key.clone(), source: Box::new(source) }
    }

    /// The same, at the place of one of the entries.
    pub(crate) fn fail_at(&self, entry: &Value<'_>, source: ValueError) -> ProfileError {
        ProfileError::Value { place: entry.place(), key: self.key.clone(), source: Box::new(source) }
    }

    fn wrong_type(&self, expected: &'static str) -> ProfileError {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.fail(ValueError::Type { expected, found })
    }

    /// Whether this is the whole value of an override.
    fn is_bare(&self) -> bool {
        !self.source.positions && self.at == 0
    }

    /// The text of a string. An override that is a single word need not have quotes, even where TOML takes it
    /// for.
    pub(crate) fn string(&self) -> Result<&'a str, ProfileError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)
                if self.is_bare() =>
            {
                Ok(self.source.text)
            }
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// Whether it is this word.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.value, DeValue::String(text) if text == word)
    }

    /// A path of the host. In a file, a relative one starts at the directory that the file is in.
    pub(crate) fn host_path(&self) -> Result<PathBuf, ProfileError> {
        let path = self.parse(super::check::host_path)?;
        match self.source.origin {
            Origin::File(file) => Ok(file.parent().map_or_else(|| path.clone(), |from| from.join(&path))),
            _ => Ok(path),
        }
    }

    /// A string that `parse` understands.
    pub(crate) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ProfileError> {
        parse(self.string()?).map_err(|error| self.fail(error))
    }

    /// A string, or an integer in decimal digits, that `parse` understands.
    pub(crate) fn number<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ProfileError> {
        let text = match self.value {
            DeValue::String(text) => Cow::Borrowed(&**text),
            DeValue::Integer(n) if n.radix() == 10 => Cow::Borrowed(n.as_str()),
            DeValue::Integer(n) => match u64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Cow::Owned(n.to_string()),
                Err(_) => Cow::Borrowed(n.as_str()),
            },
            DeValue::Float(_) | DeValue::Datetime(_) if self.is_bare() => Cow::Borrowed(self.source.text),
            _ => return Err(self.wrong_type("a number or a string")),
        };
        parse(&text).map_err(|error| self.fail(error))
    }

    /// A mode or mask: octal in a string, or with TOML's `0o`. A decimal integer is refused, 22 would not
    /// mean 022.
    pub(crate) fn octal(&self, max: u32) -> Result<u32, ProfileError> {
        match self.value {
            DeValue::String(text) => super::units::octal(text, max).map_err(|error| self.fail(error)),
            DeValue::Integer(n) if n.radix() == 8 => {
                super::units::octal(n.as_str(), max).map_err(|error| self.fail(error))
            }
            DeValue::Integer(n) => Err(self.fail(ValueError::Refused {
                word: n.as_str().to_owned(),
                why: "is it octal? write 0o022, or \"022\" as a string",
            })),
            _ => Err(self.wrong_type("an octal integer or a string of octal digits")),
        }
    }

    /// An integer of 0 to 2^64 - 1, in any of TOML's notations.
    pub(crate) fn u64(&self) -> Result<u64, ProfileError> {
        match self.value {
            DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix())
                .map_err(|_| self.fail(ValueError::range(n.as_str(), 0, u64::MAX))),
            _ => Err(self.wrong_type("an integer")),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, ProfileError> {
        match self.value {
            DeValue::Boolean(b) => Ok(*b),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// The entries of a list. An override may leave the brackets out where the list has one entry.
    pub(crate) fn list(&self) -> Result<Vec<Value<'a>>, ProfileError> {
        match self.value {
            DeValue::Array(list) => Ok(list
                .iter()
                .enumerate()
                .map(|(i, v)| Value {
                    source: self.source,
                    key: format!("{}[{i}]", self.key),
                    at: v.span().start,
                    value: v.get_ref(),
                })
                .collect()),
            DeValue::String(_) if self.is_bare() => Ok(vec![Value { key: self.key.clone(), ..*self }]),
            _ => Err(self.wrong_type("a list")),
        }
    }

    /// The entries of a list, each read by `read`.
    pub(crate) fn each<T>(
        &self,
        read: impl FnMut(&Value<'a>) -> Result<T, ProfileError>,
    ) -> Result<Vec<T>, ProfileError> {
        self.list()?.iter().map(read).collect()
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(crate) fn table(&self) -> Result<Table<'a>, ProfileError> {
        match self.value {
            DeValue::Table(table) => Ok(Table {
                source: self.source,
                key: self.key.clone(),
                at: self.at,
                table,
                known: RefCell::default(),
            }),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// The table of a key, read by `read`; a key in it that `read` does not ask for is an error.
    pub(crate) fn keys<T>(
        &self,
        read: impl FnOnce(&Table<'a>) -> Result<T, ProfileError>,
    ) -> Result<T, ProfileError> {
        let table = self.table()?;
        let value = read(&table)?;
        table.done()?;
        Ok(value)
    }
}

/// A value and where it was said.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// The cursor makes no difference, in any order of questions.
        #[test]
        fn places_are_lines_and_columns(text in "[a-cü\n]{0,40}", offsets in proptest::collection::vec(0_usize..60, 0..8)) {
            let origin = Origin::Text("t".to_owned());
            let source = Source::new(&origin, &text, true);
            for offset in offsets {
                let before = text.get(..offset).unwrap_or(&text);
                // Within a character no token begins; beyond the end there is the end.
                if offset <= text.len() && !text.is_char_boundary(offset) {
                    continue;
                }
                let start = before.rfind('\n').map_or(0, |at| at + 1);
                let expected = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
                proptest::prop_assert_eq!(source.place(offset).position, Some(expected));
            }
        }
    }
}
