//! Reading FlatBuffers from untrusted bytes.
//!
//! A FlatBuffer is a web of tables that point forward by unsigned offsets; each table points back to
//! a vtable that says where its fields lie. Every access here is checked against the file's end, so
//! that any bytes give a value or an error. The `flatbuffers` crate can do this too, but only with
//! generated code: its table access is `unsafe`, and the schema is far larger than what we read.
//! Source: the FlatBuffers internals page ("Format", "Tables", "Vectors").

/// A place where the file contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} reaches beyond the file's {len} bytes")]
pub struct FlatError {
    /// What was to be read.
    pub what: &'static str,
    /// Where it begins.
    pub at: usize,
    /// Length of the file.
    pub len: usize,
}

fn bytes_at<'a, const N: usize>(file: &'a [u8], at: usize, what: &'static str) -> Result<&'a [u8; N], FlatError> {
    let error = FlatError { what, at, len: file.len() };
    file.get(at..).and_then(|rest| rest.first_chunk()).ok_or(error)
}

fn u16_at(file: &[u8], at: usize, what: &'static str) -> Result<u16, FlatError> {
    bytes_at(file, at, what).map(|b| u16::from_le_bytes(*b))
}

fn u32_at(file: &[u8], at: usize, what: &'static str) -> Result<u32, FlatError> {
    bytes_at(file, at, what).map(|b| u32::from_le_bytes(*b))
}

/// Follows the unsigned offset at `at`.
fn follow(file: &[u8], at: usize, what: &'static str) -> Result<usize, FlatError> {
    let offset = u32_at(file, at, what)? as usize;
    at.checked_add(offset).filter(|to| *to < file.len()).ok_or(FlatError { what, at, len: file.len() })
}

/// One table.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    file: &'a [u8],
    at: usize,
    /// The vtable's field entries.
    fields: &'a [u8],
}

impl<'a> Table<'a> {
    /// The table that the file's first word points to.
    pub fn root(file: &'a [u8]) -> Result<Self, FlatError> {
        Self::new(file, follow(file, 0, "root table")?)
    }

    fn new(file: &'a [u8], at: usize) -> Result<Self, FlatError> {
        let what = "table";
        let back = i32::from_le_bytes(*bytes_at(file, at, what)?);
        let error = FlatError { what: "vtable", at, len: file.len() };
        // The vtable lies `back` bytes before the table, or after it if negative.
        let vtable = i64::try_from(at).ok().and_then(|at| usize::try_from(at - i64::from(back)).ok()).ok_or(error)?;
        let bytes = usize::from(u16_at(file, vtable, "vtable")?);
        let fields = file.get(vtable..).and_then(|v| v.get(4..bytes.max(4))).ok_or(error)?;
        Ok(Self { file, at, fields })
    }

    /// Where a field lies; `None` if it is absent and has its default.
    fn field(&self, id: usize) -> Option<usize> {
        let entry = self.fields.get(id * 2..)?.first_chunk()?;
        match u16::from_le_bytes(*entry) {
            0 => None,
            offset => self.at.checked_add(usize::from(offset)),
        }
    }

    fn scalar<const N: usize>(&self, id: usize) -> Result<Option<[u8; N]>, FlatError> {
        self.field(id).map(|at| bytes_at(self.file, at, "scalar field").copied()).transpose()
    }

    /// A byte field, such as an enumeration.
    pub fn u8(&self, id: usize) -> Result<u8, FlatError> {
        self.u8_or(id, 0)
    }

    /// A byte field with its default.
    pub fn u8_or(&self, id: usize, default: u8) -> Result<u8, FlatError> {
        Ok(self.scalar(id)?.map_or(default, u8::from_le_bytes))
    }

    /// A truth value; absent means false.
    pub fn bool(&self, id: usize) -> Result<bool, FlatError> {
        Ok(self.u8(id)? != 0)
    }

    /// A 32-bit field with its default.
    pub fn i32(&self, id: usize, default: i32) -> Result<i32, FlatError> {
        Ok(self.scalar(id)?.map_or(default, i32::from_le_bytes))
    }

    /// A 32-bit field; absent means 0.
    pub fn u32(&self, id: usize) -> Result<u32, FlatError> {
        Ok(self.scalar(id)?.map_or(0, u32::from_le_bytes))
    }

    /// A 64-bit field; absent means 0.
    pub fn u64(&self, id: usize) -> Result<u64, FlatError> {
        Ok(self.scalar(id)?.map_or(0, u64::from_le_bytes))
    }

    /// A float field; absent means 0.
    pub fn f32(&self, id: usize) -> Result<f32, FlatError> {
        Ok(self.scalar(id)?.map_or(0.0, f32::from_le_bytes))
    }

    /// A table field.
    pub fn table(&self, id: usize) -> Result<Option<Table<'a>>, FlatError> {
        let Some(at) = self.field(id) else { return Ok(None) };
        Self::new(self.file, follow(self.file, at, "table")?).map(Some)
    }

    /// The raw elements of a vector field of `N`-byte scalars; empty if absent.
    fn vector<const N: usize>(&self, id: usize, what: &'static str) -> Result<(usize, &'a [[u8; N]]), FlatError> {
        let Some(at) = self.field(id) else { return Ok((0, &[])) };
        let at = follow(self.file, at, what)?;
        let count = u32_at(self.file, at, what)? as usize;
        let error = FlatError { what, at, len: self.file.len() };
        let start = at.checked_add(4).ok_or(error)?;
        let bytes = count.checked_mul(N).ok_or(error)?;
        let elements = self.file.get(start..).and_then(|v| v.get(..bytes)).ok_or(error)?;
        Ok((start, elements.as_chunks().0))
    }

    /// A vector of bytes.
    pub fn bytes(&self, id: usize) -> Result<&'a [u8], FlatError> {
        self.vector::<1>(id, "byte vector").map(|(_, v)| v.as_flattened())
    }

    /// A string; absent means empty. TFLite never promises UTF-8.
    pub fn string(&self, id: usize) -> Result<&'a [u8], FlatError> {
        self.vector::<1>(id, "string").map(|(_, v)| v.as_flattened())
    }

    /// A vector of 32-bit integers.
    pub fn i32s(&self, id: usize) -> Result<Scalars<'a, 4>, FlatError> {
        self.vector(id, "integer vector").map(|(_, v)| Scalars(v))
    }

    /// A vector of floats.
    pub fn f32s(&self, id: usize) -> Result<Scalars<'a, 4>, FlatError> {
        self.vector(id, "float vector").map(|(_, v)| Scalars(v))
    }

    /// A vector of 64-bit integers.
    pub fn i64s(&self, id: usize) -> Result<Scalars<'a, 8>, FlatError> {
        self.vector(id, "long vector").map(|(_, v)| Scalars(v))
    }

    /// A vector of tables.
    pub fn tables(&self, id: usize) -> Result<Tables<'a>, FlatError> {
        let (start, entries) = self.vector(id, "table vector")?;
        Ok(Tables { file: self.file, start, entries })
    }
}

/// A vector of little-endian scalars, read on demand.
#[derive(Debug, Clone, Copy)]
pub struct Scalars<'a, const N: usize>(&'a [[u8; N]]);

impl<const N: usize> Scalars<'_, N> {
    /// No scalars.
    pub const EMPTY: Self = Self(&[]);

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Scalars<'a, 4> {
    /// As integers.
    pub fn i32(self) -> impl Iterator<Item = i32> + 'a {
        self.0.iter().map(|b| i32::from_le_bytes(*b))
    }

    /// As floats.
    pub fn f32(self) -> impl Iterator<Item = f32> + 'a {
        self.0.iter().map(|b| f32::from_le_bytes(*b))
    }
}

impl<'a> Scalars<'a, 8> {
    /// As integers.
    pub fn i64(self) -> impl Iterator<Item = i64> + 'a {
        self.0.iter().map(|b| i64::from_le_bytes(*b))
    }
}

/// A vector of tables, followed on demand.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    file: &'a [u8],
    start: usize,
    entries: &'a [[u8; 4]],
}

impl<'a> Tables<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The table at `index`, if there are so many.
    pub fn get(&self, index: usize) -> Result<Option<Table<'a>>, FlatError> {
        if index >= self.entries.len() {
            return Ok(None);
        }
        Table::new(self.file, follow(self.file, self.start + index * 4, "table")?).map(Some)
    }

    /// All in order.
    pub fn iter(self) -> impl Iterator<Item = Result<Table<'a>, FlatError>> {
        (0..self.len()).filter_map(move |i| self.get(i).transpose())
    }
}
