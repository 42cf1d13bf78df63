//! What can be wrong with a single value.

use crate::text::Escaped;

/// What can be wrong with a single value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Another TOML type than the key takes.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What the key takes.
        expected: &'static str,
        /// What it has.
        found: &'static str,
    },
    /// A word that is not one of the known ones.
    #[error("unknown {what} \"{}\"{}", Escaped(word), match nearest {
        Some(n) => format!(" (did you mean {n}?)"), None => String::new() })]
    Unknown {
        /// What the word should name.
        what: &'static str,
        /// The word.
        word: String,
        /// The known word that is nearest to it.
        nearest: Option<String>,
    },
    /// A value that is known, but never accepted here.
    #[error("\"{}\" is refused: {why}", Escaped(word))]
    Refused {
        /// The value.
        word: String,
        /// Why, and what to do instead.
        why: &'static str,
    },
    /// A number, size, time or id that is not written as one.
    #[error("\"{}\" is not {expected}", Escaped(text))]
    Malformed {
        /// The value.
        text: String,
        /// What it should be, with an example.
        expected: &'static str,
    },
    /// A number without its unit.
    #[error("\"{}\" has no unit: {hint}", Escaped(text))]
    NoUnit {
        /// The value.
        text: String,
        /// The units that there are.
        hint: &'static str,
    },
    /// A unit that is not known, or can be read in two ways.
    #[error("\"{}\" has an unknown or ambiguous unit: {hint}", Escaped(text))]
    Unit {
        /// The value.
        text: String,
        /// The units that there are.
        hint: &'static str,
    },
    /// A limit of zero.
    #[error("0 is not a limit: write a value above 0, or \"unlimited\" where there may be none")]
    Zero,
    /// A number outside of its range.
    #[error("\"{}\" is out of range ({min} to {max})", Escaped(text))]
    Range {
        /// The value.
        text: String,
        /// The least that is possible, with its unit.
        min: String,
        /// The most that is possible, with its unit.
        max: String,
    },
    /// A soft limit above its hard limit.
    #[error("the soft limit is above the hard limit")]
    SoftAboveHard,
    /// A key that has to be there.
    #[error("missing")]
    Missing,
    /// An entry that is there twice.
    #[error("\"{}\" is there twice", Escaped(entry))]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// A text with a NUL byte or another control character.
    #[error("\"{}\" has a control character in it", Escaped(text))]
    ControlCharacter {
        /// The text.
        text: String,
    },
    /// A path that is not absolute and normalised.
    #[error(
        "\"{}\" is not an absolute path without '.', '..', empty components or a slash at its end",
        Escaped(path)
    )]
    Path {
        /// The path.
        path: String,
    },
    /// A key or an option that goes with something that is not there.
    #[error("only goes with {with}")]
    OnlyWith {
        /// What it goes with.
        with: &'static str,
    },
    /// A key or an option that can not be there together with another.
    #[error("does not go with {with}")]
    NotWith {
        /// What it does not go with.
        with: &'static str,
    },
    /// A bind that leaves open whether it can be written to.
    #[error("a bind says \"ro\" or \"rw\" among its options")]
    BindAccess,
    /// An entry that removes what is not there.
    #[error("\"{}\" is to be removed, but is not inherited", Escaped(entry))]
    NothingToRemove {
        /// The entry.
        entry: String,
    },
    /// A list with entries of both kinds.
    #[error(
        "either all entries start with '+' or '-' and edit the inherited list, or none does and the list replaces it"
    )]
    MixedEdit,
    /// A group of system calls that is not known, or that is not used as it can be.
    #[error(transparent)]
    Group(#[from] crate::seccomp::groups::GroupError),
}

impl ValueError {
    /// A number outside of its range.
    pub(crate) fn range(text: impl ToString, min: impl ToString, max: impl ToString) -> Self {
        Self::Range { text: text.to_string(), min: min.to_string(), max: max.to_string() }
    }

    /// An unknown word, with the known one that is nearest to it.
    pub(crate) fn unknown<'w>(
        text: &str,
        what: &'static str,
        known: impl IntoIterator<Item = &'w str>,
    ) -> Self {
        let nearest = crate::text::nearest(text, known).map(str::to_owned);
        Self::Unknown { what, word: text.to_owned(), nearest }
    }
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    text: &str,
    what: &'static str,
    words: &[(&'static str, T)],
) -> Result<T, ValueError> {
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => Err(ValueError::unknown(text, what, words.iter().map(|(word, _)| *word))),
    }
}

/// The first word for a value.
pub(crate) fn word_for<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, other)| other == value).map_or("unknown", |(word, _)| word)
}
