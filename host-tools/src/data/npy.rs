//! NumPy's `.npy` and `.npz` files.
//!
//! Reads format versions 1 to 3, either byte order, C or Fortran order, every integer and float
//! type up to 64 bits and bool. Writes version 1.0, little endian, C order.
//!
//! The header is a Python literal of three fixed keys. It is parsed here rather than by a general
//! literal parser, because such a file comes from outside: a shape whose product overflows and a
//! tower of brackets must be errors, not panics or a full stack.
//!
//! Source of the format: NumPy's enhancement proposal 1 and `numpy.lib.format`.

use std::io::{self, Read, Seek};

use super::array::{Array, Values, count_of};

/// Why bytes are no usable `.npy` or `.npz` file.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The first bytes are not NumPy's.
    #[error("not an npy file: it does not begin with \\x93NUMPY")]
    Magic,
    /// The format version is not 1, 2 or 3.
    #[error("npy format version {0}.{1} is unknown; versions 1.0 to 3.0 are")]
    Version(u8, u8),
    /// The file ends inside the header.
    #[error("the npy header needs {need} bytes and the file has {have}")]
    HeaderCut {
        /// Bytes up to the end of the header.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The header text does not read as NumPy writes it.
    #[error("npy header: {0}")]
    Header(&'static str),
    /// A type this reader does not know (strings, complex numbers, records, objects).
    #[error("type {0:?} is not supported; integers, floats of 16 to 64 bits and bool are")]
    Type(String),
    /// The data are shorter or longer than the header says.
    #[error("shape {shape:?} of {type_text} needs {need} bytes of data and the file has {have}")]
    Length {
        /// The shape in the header.
        shape: Vec<usize>,
        /// The type in the header.
        type_text: String,
        /// Bytes the two need.
        need: usize,
        /// Bytes after the header.
        have: usize,
    },
    /// The shape's product is beyond this machine.
    #[error("shape {0:?} is too large")]
    TooLarge(Vec<usize>),
    /// The archive around the arrays is damaged.
    #[error("not a readable npz archive")]
    Archive(#[source] zip::result::ZipError),
    /// A member of the archive cannot be unpacked.
    #[error("array {name:?} of the archive cannot be unpacked")]
    Member {
        /// The array.
        name: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The archive lacks the wanted array.
    #[error("no array {wanted:?} in the archive; it holds {known}")]
    NoArray {
        /// The name asked for.
        wanted: String,
        /// The names there are.
        known: String,
    },
}

/// What the header says.
struct Header {
    type_text: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// The first bytes of every `.npy` file.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// Parses a whole `.npy` file.
pub fn parse(bytes: &[u8]) -> Result<Array, NpyError> {
    let (header, data) = split(bytes)?;
    let Header { type_text, fortran, shape } = header;
    let Some((order, code)) = type_text.split_at_checked(1) else {
        return Err(NpyError::Type(type_text));
    };
    let big = order == ">";
    if !matches!(order, "<" | ">" | "|" | "=") {
        return Err(NpyError::Type(type_text));
    }
    let size = match code.get(1..).and_then(|digits| digits.parse::<usize>().ok()) {
        Some(size @ (1 | 2 | 4 | 8)) => size,
        _ => return Err(NpyError::Type(type_text)),
    };
    let count = count_of(&shape).ok_or_else(|| NpyError::TooLarge(shape.clone()))?;
    let need = count.checked_mul(size).ok_or_else(|| NpyError::TooLarge(shape.clone()))?;
    if need != data.len() {
        return Err(NpyError::Length { shape, type_text, need, have: data.len() });
    }
    macro_rules! read {
        ($type:ty) => {
            numbers(data, if big { <$type>::from_be_bytes } else { <$type>::from_le_bytes })
        };
    }
    let values = match code {
        "b1" => Values::Bool(data.iter().map(|&byte| byte != 0).collect()),
        "i1" => Values::I8(read!(i8)),
        "u1" => Values::U8(data.to_vec()),
        "i2" => Values::I16(read!(i16)),
        "u2" => Values::U16(read!(u16)),
        "i4" => Values::I32(read!(i32)),
        "u4" => Values::U32(read!(u32)),
        "i8" => Values::I64(read!(i64)),
        "u8" => Values::U64(read!(u64)),
        "f2" => Values::F32(read!(u16).into_iter().map(f32_from_half).collect()),
        "f4" => Values::F32(read!(f32)),
        "f8" => Values::F64(read!(f64)),
        _ => return Err(NpyError::Type(type_text)),
    };
    let values = if fortran { super::array::each!(values, v => to_c_order(&v, &shape).into()) } else { values };
    Ok(Array::new(shape, values).expect("the count was checked against the shape"))
}

macro_rules! from_vec {
    ($($variant:ident $type:ty),*) => {
        $(impl From<Vec<$type>> for Values {
            fn from(v: Vec<$type>) -> Self {
                Values::$variant(v)
            }
        })*
    };
}
from_vec!(Bool bool, I8 i8, U8 u8, I16 i16, U16 u16, I32 i32, U32 u32, I64 i64, U64 u64, F32 f32, F64 f64);

fn numbers<T, const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
}

/// IEEE 754 binary16 to binary32; exact.
fn f32_from_half(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(half & 0x3ff);
    match (half >> 10) & 0x1f {
        0 => sign * fraction / 16_777_216.0, // subnormal: fraction * 2^-24
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1024.0 + fraction) * f32::powi(2.0, i32::from(exponent) - 25),
    }
}

/// Reorders numbers whose first axis runs fastest.
fn to_c_order<T: Copy>(from: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &axis in shape {
        strides.push(stride);
        stride *= axis;
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut to = Vec::with_capacity(from.len());
    for _ in 0..from.len() {
        to.push(from[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    to
}

fn split(bytes: &[u8]) -> Result<(Header, &[u8]), NpyError> {
    let cut = |need| NpyError::HeaderCut { need, have: bytes.len() };
    if !bytes.starts_with(MAGIC) {
        return Err(NpyError::Magic);
    }
    let (major, minor) = match bytes.get(6..8) {
        Some(version) => (version[0], version[1]),
        None => return Err(cut(10)),
    };
    let (start, length) = match (major, minor) {
        (1, 0) => {
            let field = bytes.get(8..10).ok_or_else(|| cut(10))?;
            (10, usize::from(u16::from_le_bytes([field[0], field[1]])))
        }
        (2 | 3, 0) => {
            let field = bytes.get(8..12).ok_or_else(|| cut(12))?;
            (12, u32::from_le_bytes([field[0], field[1], field[2], field[3]]) as usize)
        }
        _ => return Err(NpyError::Version(major, minor)),
    };
    let end = start + length;
    let text = bytes.get(start..end).ok_or_else(|| cut(end))?;
    let text = std::str::from_utf8(text).map_err(|_| NpyError::Header("not text"))?;
    Ok((header(text)?, &bytes[end..]))
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn header(text: &str) -> Result<Header, NpyError> {
    let mut rest = Text(text);
    let (mut type_text, mut fortran, mut shape) = (None, None, None);
    rest.expect('{', "no dictionary")?;
    while !rest.eat('}') {
        let key = rest.string().ok_or(NpyError::Header("a key is no string"))?;
        rest.expect(':', "no colon after a key")?;
        match key {
            "descr" => match rest.string() {
                Some(text) => type_text = Some(text.to_string()),
                // A list here is a record type.
                None => return Err(NpyError::Type("a record of several fields".into())),
            },
            "fortran_order" => fortran = Some(rest.boolean()?),
            "shape" => shape = Some(rest.tuple()?),
            _ => return Err(NpyError::Header("an unknown key")),
        }
        if !rest.eat(',') {
            rest.expect('}', "no end of the dictionary")?;
            break;
        }
    }
    Ok(Header {
        type_text: type_text.ok_or(NpyError::Header("no key 'descr'"))?,
        fortran: fortran.ok_or(NpyError::Header("no key 'fortran_order'"))?,
        shape: shape.ok_or(NpyError::Header("no key 'shape'"))?,
    })
}

/// What is left of the header text.
struct Text<'t>(&'t str);

impl<'t> Text<'t> {
    fn eat(&mut self, wanted: char) -> bool {
        let text = self.0.trim_start();
        let rest = text.strip_prefix(wanted);
        self.0 = rest.unwrap_or(text);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char, or: &'static str) -> Result<(), NpyError> {
        if self.eat(wanted) { Ok(()) } else { Err(NpyError::Header(or)) }
    }

    /// A string in either kind of quotes; NumPy writes no escapes here.
    fn string(&mut self) -> Option<&'t str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|&c| c == '\'' || c == '"')?;
        let (inner, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(inner)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        let text = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = text.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(NpyError::Header("'fortran_order' is neither True nor False"))
    }

    /// `()`, `(3,)`, `(2, 3)`; Python 2 wrote `3L` for 3.
    fn tuple(&mut self) -> Result<Vec<usize>, NpyError> {
        self.expect('(', "'shape' is no tuple")?;
        let mut axes = Vec::new();
        while !self.eat(')') {
            let text = self.0.trim_start();
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let axis = text[..end].parse().map_err(|_| NpyError::Header("'shape' holds no whole number"))?;
            // NumPy itself stops at 64 axes.
            if axes.len() == 64 {
                return Err(NpyError::Header("'shape' has more than 64 axes"));
            }
            axes.push(axis);
            self.0 = &text[end..];
            self.eat('L');
            if !self.eat(',') {
                self.expect(')', "no end of 'shape'")?;
                break;
            }
        }
        Ok(axes)
    }
}

/// The bytes of a `.npy` file.
pub fn emit(shape: &[usize], values: &Values) -> Vec<u8> {
    let type_text = match values {
        Values::Bool(_) => "|b1",
        Values::I8(_) => "|i1",
        Values::U8(_) => "|u1",
        Values::I16(_) => "<i2",
        Values::U16(_) => "<u2",
        Values::I32(_) => "<i4",
        Values::U32(_) => "<u4",
        Values::I64(_) => "<i8",
        Values::U64(_) => "<u8",
        Values::F32(_) => "<f4",
        Values::F64(_) => "<f8",
    };
    let axes: Vec<_> = shape.iter().map(usize::to_string).collect();
    let comma = if axes.len() == 1 { "," } else { "" };
    let mut header =
        format!("{{'descr': '{type_text}', 'fortran_order': False, 'shape': ({}{comma}), }}", axes.join(", "));
    // The data begin at a multiple of 64; the header ends in a line feed.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.push_str(&" ".repeat(padded - header.len() - 1));
    header.push('\n');

    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    macro_rules! put {
        ($v:expr) => {
            $v.iter().for_each(|x| bytes.extend(x.to_le_bytes()))
        };
    }
    match values {
        Values::Bool(v) => bytes.extend(v.iter().map(|&x| u8::from(x))),
        Values::U8(v) => bytes.extend(v),
        Values::I8(v) => put!(v),
        Values::I16(v) => put!(v),
        Values::U16(v) => put!(v),
        Values::I32(v) => put!(v),
        Values::U32(v) => put!(v),
        Values::I64(v) => put!(v),
        Values::U64(v) => put!(v),
        Values::F32(v) => put!(v),
        Values::F64(v) => put!(v),
    }
    bytes
}

/// An `.npz` archive: `.npy` files in a zip, stored or deflated.
pub struct Npz<R: Read + Seek> {
    zip: zip::ZipArchive<R>,
}

impl<R: Read + Seek> std::fmt::Debug for Npz<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Npz").field("arrays", &self.names()).finish()
    }
}

impl<R: Read + Seek> Npz<R> {
    /// Reads the archive's directory.
    pub fn new(reader: R) -> Result<Self, NpyError> {
        Ok(Self { zip: zip::ZipArchive::new(reader).map_err(NpyError::Archive)? })
    }

    /// The arrays in it, in the archive's order.
    pub fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_string())).collect()
    }

    /// Unpacks one array.
    pub fn array(&mut self, name: &str) -> Result<Array, NpyError> {
        let member = format!("{name}.npy");
        if self.zip.index_for_name(&member).is_none() {
            return Err(NpyError::NoArray { wanted: name.into(), known: self.names().join(", ") });
        }
        let file = self.zip.by_name(&member).map_err(NpyError::Archive)?;
        let mut bytes = Vec::new();
        // The declared size bounds what a hostile member may unpack to; a longer one fails its check below.
        let limit = file.size().min(super::MAX_FILE_BYTES).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(|source| NpyError::Member { name: name.into(), source })?;
        parse(&bytes)
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
