//! A value's bytes.

use std::collections::HashMap;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{CodecError, tag};

/// The bytes of a value.
pub(in crate::sandbox) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut encoder = Encoder { bytes: Vec::new(), names: HashMap::new() };
    value.serialize(&mut encoder)?;
    Ok(encoder.bytes)
}

struct Encoder {
    bytes: Vec<u8>,
    /// The numbers of the names so far.
    names: HashMap<&'static str, u64>,
}

impl Encoder {
    fn number(&mut self, mut number: u64) {
        while let 0x80.. = number {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    fn text(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn name(&mut self, name: &'static str) {
        match self.names.get(name).copied() {
            Some(number) => {
                self.bytes.push(tag::NAME);
                self.number(number);
            }
            None => {
                self.names.insert(name, self.names.len() as u64);
                self.text(tag::NEW_NAME, name.as_bytes());
            }
        }
    }

    fn open(&mut self, tag: u8) -> Result<&mut Self, CodecError> {
        self.bytes.push(tag);
        Ok(self)
    }

    fn variant(&mut self, tag: u8, name: &'static str) -> &mut Self {
        self.bytes.push(tag);
        self.name(name);
        self
    }

    fn close(&mut self) -> Result<(), CodecError> {
        self.bytes.push(tag::END);
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident($kind:ty) as $wide:ident),*) => {$(
        fn $method(self, value: $kind) -> Result<(), CodecError> {
            self.$wide(value.into())
        }
    )*};
}

impl<'e> Serializer for &'e mut Encoder {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = &'e mut Encoder;
    type SerializeTuple = &'e mut Encoder;
    type SerializeTupleStruct = &'e mut Encoder;
    type SerializeTupleVariant = &'e mut Encoder;
    type SerializeMap = &'e mut Encoder;
    type SerializeStruct = &'e mut Encoder;
    type SerializeStructVariant = &'e mut Encoder;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers! {
        serialize_u8(u8) as serialize_u64, serialize_u16(u16) as serialize_u64, serialize_u32(u32) as serialize_u64,
        serialize_i8(i8) as serialize_i64, serialize_i16(i16) as serialize_i64, serialize_i32(i32) as serialize_i64
    }

    fn serialize_u64(self, value: u64) -> Result<(), CodecError> {
        if value >= 0x80 {
            self.bytes.push(tag::UNSIGNED);
        }
        self.number(value);
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), CodecError> {
        match u64::try_from(value) {
            Ok(value) => self.serialize_u64(value),
            Err(_) => {
                self.bytes.push(tag::NEGATIVE);
                self.number((!value).cast_unsigned());
                Ok(())
            }
        }
    }

    fn serialize_u128(self, value: u128) -> Result<(), CodecError> {
        self.bytes.push(tag::U128);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), CodecError> {
        self.bytes.push(tag::I128);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), CodecError> {
        self.bytes.push(tag::F32);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), CodecError> {
        self.bytes.push(tag::F64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<(), CodecError> {
        self.bytes.push(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), CodecError> {
        self.bytes.push(tag::CHAR);
        self.number(u64::from(u32::from(value)));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), CodecError> {
        self.text(tag::STR, value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), CodecError> {
        self.text(tag::BYTES, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), CodecError> {
        self.bytes.push(tag::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        self.bytes.push(tag::SOME);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), CodecError> {
        self.bytes.push(tag::UNIT);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<(), CodecError> {
        self.variant(tag::UNIT_VARIANT, name);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        value.serialize(self.variant(tag::VARIANT, name))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, CodecError> {
        self.open(tag::SEQ)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, CodecError> {
        self.open(tag::SEQ)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, CodecError> {
        self.open(tag::SEQ)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self, CodecError> {
        self.variant(tag::VARIANT, name).open(tag::SEQ)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, CodecError> {
        self.open(tag::MAP)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, CodecError> {
        self.open(tag::STRUCT)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self, CodecError> {
        self.variant(tag::VARIANT, name).open(tag::STRUCT)
    }
}

macro_rules! elements {
    ($($kind:ident::$method:ident),*) => {$(
        impl $kind for &mut Encoder {
            type Ok = ();
            type Error = CodecError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), CodecError> {
                self.close()
            }
        }
    )*};
}

elements! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element, SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($kind:ident),*) => {$(
        impl $kind for &mut Encoder {
            type Ok = ();
            type Error = CodecError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), CodecError> {
                self.name(name);
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), CodecError> {
                self.close()
            }
        }
    )*};
}

fields! { SerializeStruct, SerializeStructVariant }

impl SerializeMap for &mut Encoder {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), CodecError> {
        self.close()
    }
}
