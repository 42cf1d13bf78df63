//! The kinds of values that keys take: each is read, put on top of what is inherited, checked and written
//! here.

use std::collections::BTreeSet;
use std::path::Path;

use super::ProfileError;
use super::reader::Value;
use super::value_error::{ValueError, word, word_for};

/// What a key's value is written as.
#[derive(Debug)]
pub(super) enum Written {
    /// Not at all.
    Nothing,
    /// As one value.
    Value(String),
    /// As a table: keys and values.
    Table(Vec<(String, String)>),
    /// As a list of tables.
    Tables(Vec<Vec<(&'static str, String)>>),
}

/// How a key's value is read on top of what is inherited, checked and written.
pub(super) trait Form {
    type Value;
    /// For people.
    fn takes(&self) -> String;
    /// # Errors
    /// With the value's place.
    fn read(&self, at: &mut Self::Value, value: &Value<'_>) -> Result<(), ProfileError>;
    /// Whether a value that was set from code could have been read.
    fn check(&self, at: &Self::Value) -> Result<(), ValueError>;
    fn write(&self, at: &Self::Value) -> Written;
}

/// A value in one piece, which takes the place of the inherited one.
pub(super) struct One<T: 'static> {
    pub(super) takes: &'static str,
    pub(super) read: fn(&Value<'_>) -> Result<T, ProfileError>,
    pub(super) check: fn(&T) -> Result<(), ValueError>,
    pub(super) write: fn(&T) -> String,
}

impl<T> One<T> {
    pub(super) fn value(&self, value: &Value<'_>) -> Result<T, ProfileError> {
        let read = (self.read)(value)?;
        (self.check)(&read).map_err(|error| value.fail(error))?;
        Ok(read)
    }
}

impl<T> Form for One<T> {
    type Value = T;

    fn takes(&self) -> String {
        self.takes.to_owned()
    }

    fn read(&self, at: &mut T, value: &Value<'_>) -> Result<(), ProfileError> {
        *at = self.value(value)?;
        Ok(())
    }

    fn check(&self, at: &T) -> Result<(), ValueError> {
        (self.check)(at)
    }

    fn write(&self, at: &T) -> Written {
        Written::Value((self.write)(at))
    }
}

/// One of a few words, with what they are called together.
pub(super) struct Words<T: 'static>(pub(super) &'static str, pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Form for Words<T> {
    type Value = T;

    fn takes(&self) -> String {
        self.1.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    }

    fn read(&self, at: &mut T, value: &Value<'_>) -> Result<(), ProfileError> {
        *at = value.parse(|text| word(text, self.0, self.1))?;
        Ok(())
    }

    fn check(&self, _: &T) -> Result<(), ValueError> {
        Ok(())
    }

    fn write(&self, at: &T) -> Written {
        Written::Value(quote(word_for(self.1, at)))
    }
}

/// A value that may be missing, which is said by a word.
pub(super) struct Or<F>(pub(super) &'static str, pub(super) F);

impl<F: Form<Value: Default>> Form for Or<F> {
    type Value = Option<F::Value>;

    fn takes(&self) -> String {
        let word = if self.0.is_empty() { "\"\"" } else { self.0 };
        format!("{}, `{word}`", self.1.takes())
    }

    fn read(&self, at: &mut Self::Value, value: &Value<'_>) -> Result<(), ProfileError> {
        if value.is_word(self.0) {
            *at = None;
            return Ok(());
        }
        self.1.read(at.get_or_insert_default(), value)
    }

    fn check(&self, at: &Self::Value) -> Result<(), ValueError> {
        at.as_ref().map_or(Ok(()), |value| self.1.check(value))
    }

    fn write(&self, at: &Self::Value) -> Written {
        at.as_ref().map_or_else(|| Written::Value(quote(self.0)), |value| self.1.write(value))
    }
}

/// A value that may be missing, for which there is no word.
pub(super) struct Maybe<F>(pub(super) F);

impl<F: Form<Value: Default>> Form for Maybe<F> {
    type Value = Option<F::Value>;

    fn takes(&self) -> String {
        self.0.takes()
    }

    fn read(&self, at: &mut Self::Value, value: &Value<'_>) -> Result<(), ProfileError> {
        self.0.read(at.get_or_insert_default(), value)
    }

    fn check(&self, at: &Self::Value) -> Result<(), ValueError> {
        at.as_ref().map_or(Ok(()), |value| self.0.check(value))
    }

    fn write(&self, at: &Self::Value) -> Written {
        at.as_ref().map_or(Written::Nothing, |value| self.0.write(value))
    }
}

/// A list without order, whose entries replace the inherited ones or, where all start with `+` or `-`, edit
/// them.
pub(super) struct Set<C: 'static, T: 'static> {
    pub(super) takes: &'static str,
    pub(super) parse: fn(&str) -> Result<T, ValueError>,
    pub(super) show: fn(&T) -> String,
    pub(super) check: fn(&C) -> Result<(), ValueError>,
    /// The entries of what holds them, and back.
    pub(super) entries: fn(&C) -> BTreeSet<T>,
    pub(super) collect: fn(BTreeSet<T>) -> C,
}

impl<C, T: Ord> Form for Set<C, T> {
    type Value = C;

    fn takes(&self) -> String {
        self.takes.to_owned()
    }

    fn read(&self, at: &mut C, value: &Value<'_>) -> Result<(), ProfileError> {
        let edit = Edit::read(value, &value.list()?, self.parse)?;
        *at = (self.collect)(edit.on((self.entries)(at)));
        Ok(())
    }

    fn check(&self, at: &C) -> Result<(), ValueError> {
        (self.check)(at)
    }

    fn write(&self, at: &C) -> Written {
        Written::Value(list((self.entries)(at).iter().map(|entry| quote(&(self.show)(entry)))))
    }
}

/// What such a list does to the inherited one.
pub(super) enum Edit<T> {
    Replace(BTreeSet<T>),
    Change { add: BTreeSet<T>, remove: BTreeSet<T> },
}

impl<T: Ord> Edit<T> {
    pub(super) fn read(
        value: &Value<'_>,
        entries: &[Value<'_>],
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Result<Self, ProfileError> {
        let (mut plain, mut add, mut remove) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut seen = BTreeSet::new();
        for entry in entries {
            let text = entry.string()?;
            let (to, bare) = match text.split_at_checked(1) {
                Some(("+", rest)) => (&mut add, rest),
                Some(("-", rest)) => (&mut remove, rest),
                _ => (&mut plain, text),
            };
            to.insert(parse(bare).map_err(|error| entry.fail(error))?);
            if !seen.insert(bare) {
                return Err(entry.fail(ValueError::Duplicate { entry: bare.to_owned() }));
            }
        }
        match (plain.is_empty(), add.is_empty() && remove.is_empty()) {
            (_, true) => Ok(Self::Replace(plain)),
            (true, false) => Ok(Self::Change { add, remove }),
            (false, false) => Err(value.fail(ValueError::MixedEdit)),
        }
    }

    /// The list that it makes of the inherited one.
    pub(super) fn on(self, mut below: BTreeSet<T>) -> BTreeSet<T> {
        match self {
            Self::Replace(list) => list,
            Self::Change { add, remove } => {
                below.retain(|entry| !remove.contains(entry));
                below.extend(add);
                below
            }
        }
    }
}

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if crate::text::needs_escape(c) => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A path as a string; what is not UTF-8 in it is replaced.
pub(super) fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A TOML list.
pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}
