//! A value from bytes that a sandbox wrote, within bounds.

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::bounds::{Budget, Place};
use super::{CodecError, tag};

/// The value that all of `bytes` stand for, within the bounds for what a sandbox sent.
pub(in crate::sandbox) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    within(Budget::for_length(bytes.len()), bytes)
}

/// The same of what the caller wrote: it is as large as the caller wants it.
pub(in crate::sandbox) fn decode_trusted<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    within(Budget::unlimited(), bytes)
}

fn within<T: DeserializeOwned>(budget: Budget, bytes: &[u8]) -> Result<T, CodecError> {
    let mut decoder = Decoder { input: bytes, at: 0, names: Vec::new(), budget, place: Place::of::<T>() };
    let value = T::deserialize(&mut decoder)?;
    match bytes.len() - decoder.at {
        0 => Ok(value),
        bytes => Err(CodecError::Trailing { bytes }),
    }
}

struct Decoder<'de> {
    input: &'de [u8],
    at: usize,
    /// Names by their numbers.
    names: Vec<&'de str>,
    budget: Budget,
    /// Where the next value goes.
    place: Place,
}

impl<'de> Decoder<'de> {
    fn malformed(&self) -> CodecError {
        CodecError::Malformed { at: self.at }
    }

    fn peek(&self) -> Result<u8, CodecError> {
        self.input.get(self.at).copied().ok_or(self.malformed())
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Whether this tag comes next; it is taken then.
    fn takes(&mut self, tag: u8) -> Result<bool, CodecError> {
        let found = self.peek()? == tag;
        self.at += usize::from(found);
        Ok(found)
    }

    fn bytes(&mut self, length: u64) -> Result<&'de [u8], CodecError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let bytes = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let bytes = bytes.ok_or(self.malformed())?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let malformed = self.malformed();
        self.bytes(N as u64)?.try_into().map_err(|_| malformed)
    }

    fn number(&mut self) -> Result<u64, CodecError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(self.malformed());
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed())
    }

    fn text(&mut self) -> Result<&'de str, CodecError> {
        let length = self.number()?;
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed())
    }

    /// The name of a field or variant. A name that is kept counts each time: it is written only once.
    fn name(&mut self) -> Result<&'de str, CodecError> {
        let name = match self.byte()? {
            tag::NEW_NAME => {
                let name = self.text()?;
                self.names.push(name);
                name
            }
            tag::NAME => {
                let number = self.number()?;
                let name = usize::try_from(number).ok().and_then(|number| self.names.get(number)).copied();
                name.ok_or(self.malformed())?
            }
            _ => return Err(self.malformed()),
        };
        self.budget.charge(name.len() as u64)?;
        Ok(name)
    }

    /// One level deeper.
    fn deeper<T>(&mut self, then: impl FnOnce(&mut Self) -> Result<T, CodecError>) -> Result<T, CodecError> {
        self.budget.down()?;
        let value = then(self);
        self.budget.up();
        value
    }

    /// A value for this place.
    fn element<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, CodecError> {
        self.place = Place::of::<S::Value>();
        self.deeper(|decoder| seed.deserialize(decoder))
    }

    /// What `visitor` makes of the elements up to the end.
    fn elements<V: Visitor<'de>>(&mut self, inline: bool, visitor: V) -> Result<V::Value, CodecError> {
        let mut elements = Elements { decoder: self, inline, first: true, ended: false };
        let value = visitor.visit_seq(&mut elements)?;
        elements.end()?;
        Ok(value)
    }

    /// The same of keys, or of names, with their values.
    fn entries<V: Visitor<'de>>(
        &mut self,
        names: bool,
        inline: bool,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        let elements = Elements { decoder: self, inline, first: true, ended: false };
        let mut entries = Entries { elements, names };
        let value = visitor.visit_map(&mut entries)?;
        entries.elements.end()?;
        Ok(value)
    }

    /// What the tag says, for a type that takes what comes. `inline`: the elements lie in the value itself.
    fn any<V: Visitor<'de>>(&mut self, inline: bool, visitor: V) -> Result<V::Value, CodecError> {
        self.budget.value::<V::Value>(self.place)?;
        self.place = Place::of::<V::Value>();
        match self.byte()? {
            small @ ..0x80 => visitor.visit_u64(small.into()),
            tag::NONE => visitor.visit_none(),
            tag::SOME => self.deeper(|decoder| visitor.visit_some(decoder)),
            tag::UNIT => visitor.visit_unit(),
            tag::FALSE => visitor.visit_bool(false),
            tag::TRUE => visitor.visit_bool(true),
            tag::UNSIGNED => visitor.visit_u64(self.number()?),
            tag::NEGATIVE => {
                let below = i64::try_from(self.number()?).map_err(|_| self.malformed())?;
                visitor.visit_i64(!below)
            }
            tag::U128 => visitor.visit_u128(u128::from_le_bytes(self.array()?)),
            tag::I128 => visitor.visit_i128(i128::from_le_bytes(self.array()?)),
            tag::F32 => visitor.visit_f32(f32::from_le_bytes(self.array()?)),
            tag::F64 => visitor.visit_f64(f64::from_le_bytes(self.array()?)),
            tag::CHAR => {
                let number = u32::try_from(self.number()?).ok().and_then(char::from_u32);
                visitor.visit_char(number.ok_or(self.malformed())?)
            }
            tag::STR => {
                let text = self.text()?;
                self.budget.text(text.as_bytes())?;
                visitor.visit_borrowed_str(text)
            }
            tag::BYTES => {
                let length = self.number()?;
                let bytes = self.bytes(length)?;
                self.budget.text(bytes)?;
                visitor.visit_borrowed_bytes(bytes)
            }
            tag::SEQ => self.elements(inline, visitor),
            tag::MAP => self.entries(false, inline, visitor),
            tag::STRUCT => self.entries(true, inline, visitor),
            // As other formats with descriptions have variants, for types that look at the value before they
            // know what it is.
            tag::UNIT_VARIANT => visitor.visit_borrowed_str(self.name()?),
            tag::VARIANT => visitor.visit_map(OneVariant { decoder: self, taken: false }),
            _ => {
                self.at -= 1;
                Err(self.malformed())
            }
        }
    }
}

macro_rules! any {
    ($inline:literal: $($method:ident($($argument:ident: $kind:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $kind,)* visitor: V) -> Result<V::Value, CodecError> {
            self.any($inline, visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CodecError;

    any! { false:
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_seq() deserialize_map() deserialize_identifier() deserialize_ignored_any()
    }

    any! { true:
        deserialize_tuple(length: usize) deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.peek()? {
            tag::NONE | tag::SOME => self.any(true, visitor),
            // Written by a type that has no absent value.
            _ => self.deeper(|decoder| visitor.visit_some(decoder)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.budget.value::<V::Value>(self.place)?;
        self.place = Place::of::<V::Value>();
        self.deeper(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.budget.value::<V::Value>(self.place)?;
        self.place = Place::of::<V::Value>();
        match self.byte()? {
            tag::STR => visitor.visit_enum(StrDeserializer::<CodecError>::new(self.text()?)),
            tag::UNIT_VARIANT => visitor.visit_enum(Variant { decoder: self, unit: true }),
            tag::VARIANT => visitor.visit_enum(Variant { decoder: self, unit: false }),
            _ => {
                self.at -= 1;
                Err(CodecError::custom("not a variant of an enum"))
            }
        }
    }
}

/// Elements, up to the end.
struct Elements<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    /// Whether they lie in the value itself.
    inline: bool,
    first: bool,
    ended: bool,
}

impl<'de> Elements<'_, 'de> {
    fn is_over(&mut self) -> Result<bool, CodecError> {
        if !self.ended {
            self.ended = self.decoder.takes(tag::END)?;
        }
        Ok(self.ended)
    }

    fn charge<T>(&mut self) -> Result<(), CodecError> {
        if !self.inline {
            self.decoder.budget.element::<T>(self.first)?;
        }
        Ok(())
    }

    /// After the last one: nothing is left over.
    fn end(mut self) -> Result<(), CodecError> {
        if self.is_over()? { Ok(()) } else { Err(self.decoder.malformed()) }
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = CodecError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, CodecError> {
        if self.is_over()? {
            return Ok(None);
        }
        self.charge::<S::Value>()?;
        self.first = false;
        self.decoder.element(seed).map(Some)
    }
}

/// Keys, or names, with their values.
struct Entries<'d, 'de> {
    elements: Elements<'d, 'de>,
    names: bool,
}

impl<'de> MapAccess<'de> for &mut Entries<'_, 'de> {
    type Error = CodecError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        if self.elements.is_over()? {
            return Ok(None);
        }
        self.elements.charge::<S::Value>()?;
        if self.names {
            let name = self.elements.decoder.name()?;
            return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
        }
        self.elements.decoder.element(seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, CodecError> {
        self.elements.charge::<S::Value>()?;
        self.elements.first = false;
        self.elements.decoder.element(seed)
    }
}

/// A variant, once its tag was taken.
struct Variant<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    unit: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), CodecError> {
        let name = self.decoder.name()?;
        Ok((seed.deserialize(BorrowedStrDeserializer::<CodecError>::new(name))?, self))
    }
}

impl<'d, 'de> Variant<'d, 'de> {
    fn content(self) -> Result<&'d mut Decoder<'de>, CodecError> {
        if self.unit { Err(CodecError::custom("a variant without a value")) } else { Ok(self.decoder) }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        if self.unit { Ok(()) } else { Err(CodecError::custom("a variant with a value")) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, CodecError> {
        self.content()?.element(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.content()?.any(true, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.content()?.any(true, visitor)
    }
}

/// A variant as a map of one entry: its name, and what it has.
struct OneVariant<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    taken: bool,
}

impl<'de> MapAccess<'de> for OneVariant<'_, 'de> {
    type Error = CodecError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        if std::mem::replace(&mut self.taken, true) {
            return Ok(None);
        }
        self.decoder.budget.element::<S::Value>(true)?;
        let name = self.decoder.name()?;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, CodecError> {
        self.decoder.budget.element::<S::Value>(true)?;
        self.decoder.element(seed)
    }
}
