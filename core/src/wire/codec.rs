//! Messages as bytes, in the encoding of postcard 1: `docs/wire.md` says which parts of it the protocol uses.
//!
//! Our own, because the crate's code for these few messages takes 7 KB of a device's flash and this a third of it: it
//! has one function for all numbers, where the crate's is copied to every field. The tests compare both.
//!
//! What does not fit, or is not there, is remembered and told once at the end: so no field has a branch for it.

use serde::de::{self, Deserialize, DeserializeSeed, EnumAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{
    Impossible, Serialize, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, Serializer,
};

/// A message that the buffer is too short for, bytes that are no message, or a type that messages do not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodecError;

impl core::fmt::Display for CodecError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no message")
    }
}

impl core::error::Error for CodecError {}

impl serde::ser::Error for CodecError {
    fn custom<T: core::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl de::Error for CodecError {
    fn custom<T: core::fmt::Display>(_: T) -> Self {
        Self
    }
}

type Done = Result<(), CodecError>;

/// Where encoded bytes go. It remembers whether all of them had room.
pub(super) trait Sink {
    /// Takes bytes.
    fn bytes(&mut self, bytes: &[u8]);
}

/// Writes one message into a sink.
pub(super) fn write<T: Serialize + ?Sized>(message: &T, sink: &mut impl Sink) -> Done {
    message.serialize(&mut Encoder(sink))
}

struct Encoder<'s, S>(&'s mut S);

impl<S: Sink> Encoder<'_, S> {
    #[inline(never)]
    fn byte(&mut self, byte: u8) {
        self.0.bytes(&[byte]);
    }

    /// Seven bits a byte, the lowest first; all but the last have the high bit.
    #[inline(never)]
    fn number(&mut self, mut value: u32) {
        while value > 0x7F {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    #[inline(never)]
    fn slice(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u32);
        self.0.bytes(bytes);
    }
}

impl<S: Sink> Serializer for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), CodecError>;
    type SerializeTupleVariant = Impossible<(), CodecError>;
    type SerializeMap = Impossible<(), CodecError>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, value: bool) -> Done {
        self.byte(value.into());
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.byte(value);
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Done {
        self.number(value.into());
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Done {
        self.number(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.0.bytes(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Done {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.slice(value);
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, variant: u32, _: &'static str) -> Done {
        self.number(variant);
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        self.number(variant);
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, CodecError> {
        self.number(len.ok_or(CodecError)? as u32);
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, CodecError> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, CodecError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, CodecError> {
        self.number(variant);
        Ok(self)
    }

    // What no message uses.

    fn serialize_i8(self, _: i8) -> Done {
        Err(CodecError)
    }

    fn serialize_i16(self, _: i16) -> Done {
        Err(CodecError)
    }

    fn serialize_i32(self, _: i32) -> Done {
        Err(CodecError)
    }

    fn serialize_i64(self, _: i64) -> Done {
        Err(CodecError)
    }

    fn serialize_u64(self, _: u64) -> Done {
        Err(CodecError)
    }

    fn serialize_f64(self, _: f64) -> Done {
        Err(CodecError)
    }

    fn serialize_char(self, _: char) -> Done {
        Err(CodecError)
    }

    fn serialize_none(self) -> Done {
        Err(CodecError)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Done {
        Err(CodecError)
    }

    fn serialize_unit(self) -> Done {
        Err(CodecError)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Err(CodecError)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Done {
        Err(CodecError)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, CodecError> {
        Err(CodecError)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, CodecError> {
        Err(CodecError)
    }

    fn collect_str<T: core::fmt::Display + ?Sized>(self, _: &T) -> Done {
        Err(CodecError)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, CodecError> {
        Err(CodecError)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<S: Sink> SerializeSeq for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}

impl<S: Sink> SerializeTuple for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}

impl<S: Sink> SerializeStruct for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}

impl<S: Sink> SerializeStructVariant for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}

/// Reads one message; gives it with the bytes that are left.
pub(super) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<(T, &'de [u8]), CodecError> {
    let mut reader = Reader { rest: bytes, failed: false };
    let message = T::deserialize(&mut reader)?;
    if reader.failed { Err(CodecError) } else { Ok((message, reader.rest)) }
}

struct Reader<'de> {
    rest: &'de [u8],
    /// Whether something was not as it has to be; zeros, or nothing, stand in its place.
    failed: bool,
}

impl<'de> Reader<'de> {
    #[inline(never)]
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else {
            self.failed = true;
            return 0;
        };
        self.rest = rest;
        byte
    }

    /// A number of so many bits. More bytes than it needs are no number, nor is one that is too large.
    #[inline(never)]
    fn number(&mut self, bits: u32) -> u32 {
        let (mut value, mut shift) = (0, 0);
        while shift < bits {
            let byte = self.byte();
            let part = byte & 0x7F;
            if bits - shift < 7 && part >> (bits - shift) != 0 {
                break;
            }
            value |= u32::from(part) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
            shift += 7;
        }
        self.failed = true;
        0
    }

    #[inline(never)]
    fn bytes(&mut self) -> &'de [u8] {
        let len = self.number(32) as usize;
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            self.failed = true;
            return &[];
        };
        self.rest = rest;
        bytes
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = CodecError;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let value = self.byte();
        self.failed |= value > 1;
        visitor.visit_bool(value == 1)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_u8(self.byte())
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_u16(self.number(16) as u16)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_u32(self.number(32))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_f32(f32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_str(core::str::from_utf8(self.bytes()).map_err(|_| CodecError)?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_bytes(self.bytes())
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_seq(Fields(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_enum(self)
    }

    // What no message uses.

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        Err(CodecError)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 u64 f64 char string byte_buf option unit unit_struct newtype_struct seq tuple_struct map identifier
        ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The fields of a message, which asks for as many as it has.
struct Fields<'r, 'de>(&'r mut Reader<'de>);

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, CodecError> {
        seed.deserialize(&mut *self.0).map(Some)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), CodecError> {
        let variant = self.number(32);
        let value = seed.deserialize(de::value::U32Deserializer::<CodecError>::new(variant))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Done {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CodecError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}
