//! Decodes what a sandbox sent, within bounds of depth and memory.
//!
//! A few hostile bytes can stand for a value that is far larger than they are: a list of a type without a size has any
//! length for the price of a number, an absent value of a large type takes one byte, and a type that contains itself can
//! be nested until the stack of the caller ends. serde and postcard bound none of these; this does, for any type.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// How deeply a value may be nested: fields, elements and variants in each other. Each level takes stack, up to some
/// kilobytes in a debug build, and a thread may have as little as 2 MiB of it.
pub(super) const MAX_DEPTH: u32 = 256;
/// Bytes of stack from which on nothing goes deeper: what a level takes depends on the type, whose values may lie on the stack
/// several times, and on the build. Half of what a thread of std's has.
const MAX_STACK: usize = 1 << 20;
/// Bytes that the elements of lists and maps may take up together once they are decoded, however long the encoded value is.
/// A list of the smallest numbers that are encoded in one byte and held in eight still fits at
/// [`RESULT_LIMIT`](super::RESULT_LIMIT).
const MAX_MEMORY: u64 = 8 * super::RESULT_LIMIT;
/// The same, of a short value: this much,
const BASE_MEMORY: u64 = 8 << 20;
/// and for every byte this much more.
const MEMORY_PER_BYTE: u64 = 128;
/// What an element of a type without a size counts as: it takes no memory and no byte of the value, but time.
const NOTHING: u64 = 64;
/// Elements that memory is set aside for at once.
const MAX_RESERVED: usize = 256;

/// Why bytes are no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BoundedError {
    /// Beyond [`MAX_DEPTH`] or [`MAX_STACK`].
    Depth,
    /// Beyond what [`memory`] allows.
    Memory { limit: u64 },
    /// Not an encoded value, or something follows it.
    Malformed(postcard::Error),
}

/// Bytes that a value of this encoded length may take up.
fn memory(length: usize) -> u64 {
    (length as u64).saturating_mul(MEMORY_PER_BYTE).saturating_add(BASE_MEMORY).min(MAX_MEMORY)
}

/// The value that all of `bytes` stand for.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BoundedError> {
    let limit = memory(bytes.len());
    let budget = Budget {
        depth: Cell::new(MAX_DEPTH),
        stack: stack_pointer(),
        memory: Cell::new(limit),
        over: Cell::new(None),
    };
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    let value = T::deserialize(Bounded { inner: &mut deserializer, budget: &budget });
    let value = value.map_err(|error| match budget.over.take() {
        Some(Over::Depth) => BoundedError::Depth,
        Some(Over::Memory) => BoundedError::Memory { limit },
        None => BoundedError::Malformed(error),
    })?;
    match deserializer.finalize().map_err(BoundedError::Malformed)? {
        [] => Ok(value),
        _ => Err(BoundedError::Malformed(postcard::Error::DeserializeBadEncoding)),
    }
}

#[derive(Debug, Clone, Copy)]
enum Over {
    Depth,
    Memory,
}

/// What is left.
struct Budget {
    depth: Cell<u32>,
    /// Where the stack pointer was at first.
    stack: usize,
    memory: Cell<u64>,
    /// What ran out: postcard's errors carry no text.
    over: Cell<Option<Over>>,
}

impl Budget {
    /// Goes one level deeper.
    fn deeper<T, E: serde::de::Error>(&self, then: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let depth = self.depth.get();
        let Some(left) = depth.checked_sub(1) else { return Err(self.exceeded(Over::Depth)) };
        if self.stack.abs_diff(stack_pointer()) > MAX_STACK {
            return Err(self.exceeded(Over::Depth));
        }
        self.depth.set(left);
        let value = then();
        self.depth.set(depth);
        value
    }

    /// An element of this type.
    fn charge<T, E: serde::de::Error>(&self) -> Result<(), E> {
        let size = match size_of::<T>() {
            0 => NOTHING,
            size => size as u64,
        };
        match self.memory.get().checked_sub(size) {
            Some(left) => {
                self.memory.set(left);
                Ok(())
            }
            None => Err(self.exceeded(Over::Memory)),
        }
    }

    fn exceeded<E: serde::de::Error>(&self, over: Over) -> E {
        self.over.set(Some(over));
        E::custom("beyond the bounds of a result")
    }
}

/// The stack pointer itself: the address sanitizer keeps locals elsewhere.
#[cfg(not(miri))]
#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// Miri has neither assembly nor a stack that ends.
#[cfg(miri)]
fn stack_pointer() -> usize {
    0
}

/// A deserializer, visitor, seed or access within a budget.
struct Bounded<'b, T> {
    inner: T,
    budget: &'b Budget,
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Bounded { inner: visitor, budget: self.budget })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit()
        deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str)
        deserialize_seq() deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_map() deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: serde::de::Error>(self, value: $kind) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<'_, V> {
    type Value = V::Value;

    visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let budget = self.budget;
        budget.deeper(|| self.inner.visit_some(Bounded { inner, budget }))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let budget = self.budget;
        budget.deeper(|| self.inner.visit_newtype_struct(Bounded { inner, budget }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Bounded { inner, budget: self.budget })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Bounded { inner, budget: self.budget })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Bounded { inner, budget: self.budget })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let budget = self.budget;
        budget.deeper(|| self.inner.deserialize(Bounded { inner, budget }))
    }
}

/// How many elements a list sets memory aside for at once: what it says of its length is not to be trusted.
fn reserved(said: Option<usize>) -> Option<usize> {
    said.map(|said| said.min(MAX_RESERVED))
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<Option<S::Value>, A::Error> {
        self.budget.charge::<S::Value, A::Error>()?;
        self.inner.next_element_seed(Bounded { inner, budget: self.budget })
    }

    fn size_hint(&self) -> Option<usize> {
        reserved(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<Option<S::Value>, A::Error> {
        self.budget.charge::<S::Value, A::Error>()?;
        self.inner.next_key_seed(Bounded { inner, budget: self.budget })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        self.budget.charge::<S::Value, A::Error>()?;
        self.inner.next_value_seed(Bounded { inner, budget: self.budget })
    }

    fn size_hint(&self) -> Option<usize> {
        reserved(self.inner.size_hint())
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'b, A> {
    type Error = A::Error;
    type Variant = Bounded<'b, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, inner: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let budget = self.budget;
        let (value, inner) = self.inner.variant_seed(Bounded { inner, budget })?;
        Ok((value, Bounded { inner, budget }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, inner: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Bounded { inner, budget: self.budget })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, inner: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Bounded { inner, budget: self.budget })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        inner: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Bounded { inner, budget: self.budget })
    }
}

#[cfg(test)]
#[path = "bounded_tests.rs"]
mod tests;
