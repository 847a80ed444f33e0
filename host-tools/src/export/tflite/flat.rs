//! Writing FlatBuffers.
//!
//! The content is a tree of tables; it is laid out parents first, so that every offset points
//! forward, and children take their places one after the other. No vtables are shared: a model has
//! few tables and many weights. Source: the FlatBuffers internals page.

/// What a field or a vector holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    U8(u8),
    I32(i32),
    U32(u32),
    F32(f32),
    Table(Table),
    Tables(Vec<Table>),
    /// Bytes at a multiple of `align`.
    Bytes {
        data: Vec<u8>,
        align: usize,
    },
    I32s(Vec<i32>),
    I64s(Vec<i64>),
    F32s(Vec<f32>),
    Text(String),
}

/// A table: field numbers and values, ascending.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table(Vec<(usize, Value)>);

impl Table {
    /// Without fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, id: usize, value: Value) -> Self {
        self.0.push((id, value));
        self
    }
}

impl Value {
    /// Bytes within the table: the scalar itself, or the offset to the rest.
    const fn inline(&self) -> usize {
        match self {
            Self::U8(_) => 1,
            _ => 4,
        }
    }
}

/// The file: root offset, identifier, tables.
pub fn to_bytes(root: &Table, identifier: &[u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(identifier);
    let at = table(&mut bytes, root);
    patch(&mut bytes, 0, at);
    bytes
}

/// Writes the offset from `from`, where it lies, to `to`.
fn patch(bytes: &mut [u8], from: usize, to: usize) {
    let offset = (to - from) as u32;
    bytes[from..from + 4].copy_from_slice(&offset.to_le_bytes());
}

/// Zeros until the length is `ahead` below a multiple of `align`.
fn pad(bytes: &mut Vec<u8>, align: usize, ahead: usize) {
    while !(bytes.len() + ahead).is_multiple_of(align) {
        bytes.push(0);
    }
}

/// Appends a table with all that it refers to; gives its position.
fn table(bytes: &mut Vec<u8>, table: &Table) -> usize {
    let entries = table.0.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
    let vtable_bytes = 4 + 2 * entries;
    // The table itself begins at a multiple of 4, right behind its vtable.
    pad(bytes, 4, vtable_bytes);
    let vtable = bytes.len();
    let at = vtable + vtable_bytes;
    bytes.resize(at, 0);
    bytes.extend_from_slice(&((at - vtable) as i32).to_le_bytes());

    // Four-byte fields first, so that all are aligned.
    let mut places = Vec::new();
    for size in [4, 1] {
        for (id, value) in table.0.iter().filter(|(_, v)| v.inline() == size) {
            let place = bytes.len();
            let entry = vtable + 4 + 2 * id;
            bytes[entry..entry + 2].copy_from_slice(&((place - at) as u16).to_le_bytes());
            match value {
                Value::U8(v) => bytes.push(*v),
                Value::I32(v) => bytes.extend_from_slice(&v.to_le_bytes()),
                Value::U32(v) => bytes.extend_from_slice(&v.to_le_bytes()),
                Value::F32(v) => bytes.extend_from_slice(&v.to_le_bytes()),
                referred => {
                    bytes.extend_from_slice(&[0; 4]);
                    places.push((place, referred));
                }
            }
        }
    }
    let table_bytes = bytes.len() - at;
    bytes[vtable..vtable + 2].copy_from_slice(&(vtable_bytes as u16).to_le_bytes());
    bytes[vtable + 2..vtable + 4].copy_from_slice(&(table_bytes as u16).to_le_bytes());
    for (place, value) in places {
        let to = referred(bytes, value);
        patch(bytes, place, to);
    }
    at
}

/// Appends what an offset points to; gives its position.
fn referred(bytes: &mut Vec<u8>, value: &Value) -> usize {
    match value {
        Value::Table(content) => table(bytes, content),
        Value::Tables(tables) => {
            let at = vector(bytes, tables.len(), 4);
            bytes.resize(bytes.len() + 4 * tables.len(), 0);
            for (i, content) in tables.iter().enumerate() {
                let to = table(bytes, content);
                patch(bytes, at + 4 + 4 * i, to);
            }
            at
        }
        Value::Bytes { data, align } => {
            let at = vector(bytes, data.len(), *align);
            bytes.extend_from_slice(data);
            at
        }
        Value::I32s(v) => {
            let at = vector(bytes, v.len(), 4);
            bytes.extend(v.iter().flat_map(|x| x.to_le_bytes()));
            at
        }
        Value::F32s(v) => {
            let at = vector(bytes, v.len(), 4);
            bytes.extend(v.iter().flat_map(|x| x.to_le_bytes()));
            at
        }
        Value::I64s(v) => {
            let at = vector(bytes, v.len(), 8);
            bytes.extend(v.iter().flat_map(|x| x.to_le_bytes()));
            at
        }
        Value::Text(text) => {
            let at = vector(bytes, text.len(), 4);
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
            at
        }
        Value::U8(_) | Value::I32(_) | Value::U32(_) | Value::F32(_) => unreachable!("scalars lie in the table"),
    }
}

/// Begins a vector whose elements, after the count, lie at a multiple of `align`.
fn vector(bytes: &mut Vec<u8>, count: usize, align: usize) -> usize {
    pad(bytes, align.max(4), 4);
    let at = bytes.len();
    bytes.extend_from_slice(&(count as u32).to_le_bytes());
    at
}
