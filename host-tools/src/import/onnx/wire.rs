//! The protobuf wire format: fields of a message, read in place.
//!
//! A message is a slice and stays one; what it holds is found by walking it again. Nothing is copied
//! here, so a length in the file costs no memory.

use quick_protobuf::BytesReader;

/// A protobuf message, not decoded.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a>(pub &'a [u8]);

/// One field's value.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    /// An integer, or an enum's number.
    Integer(u64),
    /// Four bytes, such as a float.
    Fixed32(u32),
    /// Eight bytes, such as a double.
    Fixed64(u64),
    /// A string, a message or a packed list.
    Bytes(&'a [u8]),
}

/// Bytes that are no protobuf message, or a field of the wrong kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum WireError {
    #[error("a field ends behind its message")]
    Truncated,
    #[error("field {field} has wire type {found}, which is unknown")]
    WireType { field: u32, found: u32 },
    #[error("field {field} is not stored as {expected}")]
    Kind { field: u32, expected: &'static str },
    #[error("field {field} is not valid UTF-8")]
    Text { field: u32 },
}

/// The fields of a message in order.
#[derive(Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    reader: BytesReader,
}

impl<'a> Message<'a> {
    pub fn fields(self) -> Fields<'a> {
        Fields { bytes: self.0, reader: BytesReader::from_bytes(self.0) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_eof() {
            return None;
        }
        let item = self.field();
        if item.is_err() {
            // Nothing sensible follows.
            self.reader.read_to_end();
        }
        Some(item)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Field<'a>), WireError> {
        let (bytes, reader) = (self.bytes, &mut self.reader);
        let cut = |_| WireError::Truncated;
        let tag = reader.next_tag(bytes).map_err(cut)?;
        let (field, kind) = (tag >> 3, tag & 7);
        let value = match kind {
            0 => Field::Integer(reader.read_varint64(bytes).map_err(cut)?),
            1 => Field::Fixed64(reader.read_fixed64(bytes).map_err(cut)?),
            2 => Field::Bytes(reader.read_bytes(bytes).map_err(cut)?),
            5 => Field::Fixed32(reader.read_fixed32(bytes).map_err(cut)?),
            found => return Err(WireError::WireType { field, found }),
        };
        Ok((field, value))
    }
}

impl<'a> Field<'a> {
    pub fn bytes(self, field: u32) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Kind { field, expected: "bytes" }),
        }
    }

    pub fn message(self, field: u32) -> Result<Message<'a>, WireError> {
        self.bytes(field).map(Message)
    }

    pub fn text(self, field: u32) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| WireError::Text { field })
    }

    pub fn integer(self, field: u32) -> Result<i64, WireError> {
        match self {
            Self::Integer(value) => Ok(value as i64),
            _ => Err(WireError::Kind { field, expected: "an integer" }),
        }
    }

    pub fn float(self, field: u32) -> Result<f32, WireError> {
        match self {
            Self::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(WireError::Kind { field, expected: "a float" }),
        }
    }
}

/// Integers of a repeated field, of which this is one part: packed, or one alone.
pub fn integers(part: Field<'_>, field: u32, mut each: impl FnMut(i64) -> bool) -> Result<(), WireError> {
    match part {
        Field::Integer(value) => _ = each(value as i64),
        Field::Bytes(bytes) => {
            let mut reader = BytesReader::from_bytes(bytes);
            while !reader.is_eof() {
                let value = reader.read_varint64(bytes).map_err(|_| WireError::Truncated)?;
                if !each(value as i64) {
                    break;
                }
            }
        }
        _ => return Err(WireError::Kind { field, expected: "integers" }),
    }
    Ok(())
}

/// The bytes of a repeated float or double field, of which this is one part.
pub fn fixed<'a>(part: Field<'a>, field: u32, single: &'a mut [u8; 8]) -> Result<&'a [u8], WireError> {
    match part {
        Field::Bytes(bytes) => Ok(bytes),
        Field::Fixed32(bits) => {
            let (four, _) = single.split_at_mut(4);
            four.copy_from_slice(&bits.to_le_bytes());
            Ok(four)
        }
        Field::Fixed64(bits) => {
            *single = bits.to_le_bytes();
            Ok(single)
        }
        Field::Integer(_) => Err(WireError::Kind { field, expected: "floats" }),
    }
}
