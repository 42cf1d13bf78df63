//! How a call's argument and result are written: every value says what it is, so that each type that serde
//! can carry comes back as it was, or is refused.
//!
//! The formats of crates do not do. Those without descriptions (postcard, bincode) give another value for a
//! type that leaves fields out (`skip_serializing_if`), and cannot carry `flatten` and untagged enums; those
//! with them (CBOR, MessagePack, JSON, pot) take `Some(None)` for `None`.
//!
//! | byte | what follows |
//! | --- | --- |
//! | 0 to 127 | nothing: the number itself |
//! | [`tag`] | as each says there; lengths and numbers in LEB128 |
//!
//! Names of fields and variants are written once and then by number. Sequences, maps and structs end with
//! [`tag::END`]: there is no length to lie about. Both sides are the same image, so there are no versions.

mod bounds;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(super) use decode::{decode, decode_trusted};
pub(super) use encode::encode;

/// What a value is.
mod tag {
    pub(super) const NONE: u8 = 0x80;
    /// The value follows.
    pub(super) const SOME: u8 = 0x81;
    /// `()` and structs without fields.
    pub(super) const UNIT: u8 = 0x82;
    pub(super) const FALSE: u8 = 0x83;
    pub(super) const TRUE: u8 = 0x84;
    /// A number from 128 to `u64::MAX`.
    pub(super) const UNSIGNED: u8 = 0x85;
    /// A number below 0, down to `i64::MIN`: -1 less it.
    pub(super) const NEGATIVE: u8 = 0x86;
    /// 16 bytes, the lowest first.
    pub(super) const U128: u8 = 0x87;
    /// As [`U128`].
    pub(super) const I128: u8 = 0x88;
    /// Four bytes, the lowest first.
    pub(super) const F32: u8 = 0x89;
    /// Eight bytes, the lowest first.
    pub(super) const F64: u8 = 0x8a;
    /// Its number.
    pub(super) const CHAR: u8 = 0x8b;
    /// Length, bytes.
    pub(super) const STR: u8 = 0x8c;
    /// Length, bytes.
    pub(super) const BYTES: u8 = 0x8d;
    /// Elements, [`END`].
    pub(super) const SEQ: u8 = 0x8e;
    /// Keys, each with its value, [`END`].
    pub(super) const MAP: u8 = 0x8f;
    /// Names, each with its value, [`END`].
    pub(super) const STRUCT: u8 = 0x90;
    /// Name.
    pub(super) const UNIT_VARIANT: u8 = 0x91;
    /// Name; its value, or [`SEQ`] or [`STRUCT`].
    pub(super) const VARIANT: u8 = 0x92;
    pub(super) const END: u8 = 0x93;
    /// In the place of a name: length, bytes. It has the next number.
    pub(super) const NEW_NAME: u8 = 0x94;
    /// In the place of a name: the number of an earlier one.
    pub(super) const NAME: u8 = 0x95;
}

/// Why a value cannot be written, or bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// By the type's own account: a missing field, another type, a number out of its range. The text may have
    /// parts of what the sandbox sent.
    #[error("{}", super::error::one_line(.0))]
    Type(String),
    /// The bytes are not of this format.
    #[error("byte {at} is not what such a value is written as")]
    Malformed {
        /// Where.
        at: usize,
    },
    /// Something follows the value.
    #[error("{bytes} bytes follow the value")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Nested too deeply: more levels, or levels that take more stack, than are allowed.
    #[error("the value is nested more than {limit} levels deep, or its levels take too much of the stack")]
    Depth {
        /// The limit.
        limit: u32,
    },
    /// It would take up too much memory.
    #[error("the value takes more than {limit} bytes of memory")]
    Memory {
        /// The limit.
        limit: u64,
    },
}

/// Characters that are kept of a text that a type's own code made of hostile bytes.
const TEXT: usize = 512;

impl CodecError {
    fn of_type(text: &impl std::fmt::Display) -> Self {
        let text = text.to_string();
        if text.chars().nth(TEXT).is_some() {
            return Self::Type(text.chars().take(TEXT).chain(['…']).collect());
        }
        Self::Type(text)
    }
}

impl serde::ser::Error for CodecError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self::of_type(&text)
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self::of_type(&text)
    }
}
