//! Tensors of the graph: constants with data, and activations with only a shape.

use serde::{Deserialize, Serialize};

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 4-bit integer: weights. Here and in files one to a byte, in flash two.
    I4,
    /// 8-bit integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
}

impl DType {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I4 | Self::I8 | Self::U8 => 1,
            Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// The short name that tables and messages use: `f32`, `i8`, ...
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I4 => "i4",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }

    /// Smallest and largest value of an integer type; `None` for floats.
    pub const fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::F32 => None,
            Self::I4 => Some((-8, 7)),
            Self::I8 => Some((i8::MIN as i64, i8::MAX as i64)),
            Self::U8 => Some((0, u8::MAX as i64)),
            Self::I16 => Some((i16::MIN as i64, i16::MAX as i64)),
            Self::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::I64 => Some((i64::MIN, i64::MAX)),
        }
    }
}

impl core::fmt::Display for DType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Values of a constant, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 4-bit integers, one to a byte, -8 to 7.
    I4(Vec<i8>),
    /// 8-bit integers.
    I8(Vec<i8>),
    /// 8-bit unsigned integers.
    U8(Vec<u8>),
    /// 16-bit integers.
    I16(Vec<i16>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
}

/// Reads whole little-endian elements; the caller has checked the length.
fn from_le<T, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|c| read(*c)).collect()
}

impl Data {
    /// Element type.
    pub const fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::I4(_) => DType::I4,
            Self::I8(_) => DType::I8,
            Self::U8(_) => DType::U8,
            Self::I16(_) => DType::I16,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::I4(v) | Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Little-endian bytes, as in files and in flash.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I4(v) | Self::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U8(v) => v.clone(),
            Self::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// [`Data::to_le_bytes`] with 4-bit integers two to a byte, the low nibble first: as in flash.
    pub fn to_packed_bytes(&self) -> Vec<u8> {
        let Self::I4(values) = self else { return self.to_le_bytes() };
        let nibble = |pair: &[i8], at: usize| pair.get(at).map_or(0, |v| v.to_le_bytes()[0] & 15);
        values.chunks(2).map(|pair| nibble(pair, 0) | nibble(pair, 1) << 4).collect()
    }

    /// The inverse of [`Data::to_le_bytes`]; `None` if the bytes are not whole elements of that type.
    pub fn from_le_bytes(dtype: DType, bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(dtype.bytes()) {
            return None;
        }
        Some(match dtype {
            DType::F32 => Self::F32(from_le(bytes, f32::from_le_bytes)),
            DType::I4 => {
                let values = from_le(bytes, i8::from_le_bytes);
                return values.iter().all(|v| (-8..8).contains(v)).then_some(Self::I4(values));
            }
            DType::I8 => Self::I8(from_le(bytes, i8::from_le_bytes)),
            DType::U8 => Self::U8(bytes.to_vec()),
            DType::I16 => Self::I16(from_le(bytes, i16::from_le_bytes)),
            DType::I32 => Self::I32(from_le(bytes, i32::from_le_bytes)),
            DType::I64 => Self::I64(from_le(bytes, i64::from_le_bytes)),
        })
    }

    /// Elements `first..first + count`; `None` if there are not so many.
    pub fn part(&self, first: usize, count: usize) -> Option<Self> {
        let size = self.dtype().bytes();
        let bytes = self.to_le_bytes();
        let part = bytes.get(first.checked_mul(size)?..first.checked_add(count)?.checked_mul(size)?)?;
        Self::from_le_bytes(self.dtype(), part)
    }

    /// The same values with `part` from element `first` on; `None` if that is of another type or too long.
    pub fn with_part(&self, first: usize, part: &Self) -> Option<Self> {
        let mut bytes = self.to_le_bytes();
        let new = part.to_le_bytes();
        let start = first.checked_mul(self.dtype().bytes())?;
        bytes.get_mut(start..start.checked_add(new.len())?)?.copy_from_slice(&new);
        (part.dtype() == self.dtype()).then(|| Self::from_le_bytes(self.dtype(), &bytes))?
    }

    /// The values if they are f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The values if they are i8 or i4.
    pub fn as_i8(&self) -> Option<&[i8]> {
        match self {
            Self::I4(v) | Self::I8(v) => Some(v),
            _ => None,
        }
    }

    /// The values if they are i32.
    pub fn as_i32(&self) -> Option<&[i32]> {
        match self {
            Self::I32(v) => Some(v),
            _ => None,
        }
    }
}

/// How integers stand for reals: `real = scale * (integer - zero_point)`.
///
/// One scale and zero point for the whole tensor, or one per index of `axis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quant {
    /// Positive, finite.
    #[serde(with = "crate::exact::list")]
    pub scales: Vec<f32>,
    /// As many as `scales`.
    pub zero_points: Vec<i32>,
    /// The axis that the entries run along; `None` when there is one entry for all.
    pub axis: Option<usize>,
}

impl Quant {
    /// One scale for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Self { scales: vec![scale], zero_points: vec![zero_point], axis: None }
    }

    /// Symmetric, one scale per index of `axis` (zero points are 0).
    pub fn per_axis(scales: Vec<f32>, axis: usize) -> Self {
        Self { zero_points: vec![0; scales.len()], scales, axis: Some(axis) }
    }

    /// Scale and zero point when there is exactly one of each.
    pub fn single(&self) -> Option<(f32, i32)> {
        match (self.scales.as_slice(), self.zero_points.as_slice()) {
            ([s], [z]) => Some((*s, *z)),
            _ => None,
        }
    }

    /// That of indices `range` of axis 0 alone.
    #[must_use]
    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        match (self.axis, self.scales.get(range.clone()), self.zero_points.get(range)) {
            (Some(0), Some(scales), Some(zero_points)) => {
                Self { scales: scales.to_vec(), zero_points: zero_points.to_vec(), axis: Some(0) }
            }
            _ => self.clone(),
        }
    }

    /// The scale of channel `c`; a per-tensor scale serves every channel.
    pub fn scale(&self, c: usize) -> f32 {
        self.scales.get(c).or(self.scales.first()).copied().unwrap_or(1.0)
    }
}

/// One tensor of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Unique in the graph.
    pub name: String,
    /// Constants: the whole shape. Activations: the shape of one sample, without the batch axis.
    /// Images are NHWC, so an image activation is `[height, width, channels]`.
    pub shape: Vec<usize>,
    /// Type of its elements.
    pub dtype: DType,
    /// How its integers stand for reals; `None` for floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quant: Option<Quant>,
    /// Values of a constant; they travel beside the JSON, not in it.
    #[serde(skip)]
    pub data: Option<Data>,
    /// Whether training may change this constant.
    #[serde(default)]
    pub trainable: bool,
}

impl Tensor {
    /// An activation.
    pub fn activation(name: impl Into<String>, shape: impl Into<Vec<usize>>, dtype: DType) -> Self {
        Self { name: name.into(), shape: shape.into(), dtype, quant: None, data: None, trainable: false }
    }

    /// A constant that training leaves alone.
    pub fn constant(name: impl Into<String>, shape: impl Into<Vec<usize>>, data: Data) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            dtype: data.dtype(),
            quant: None,
            data: Some(data),
            trainable: false,
        }
    }

    /// A constant that training may change.
    pub fn parameter(name: impl Into<String>, shape: impl Into<Vec<usize>>, data: Data) -> Self {
        Self { trainable: true, ..Self::constant(name, shape, data) }
    }

    /// The same tensor with quantisation.
    #[must_use]
    pub fn with_quant(mut self, quant: Quant) -> Self {
        self.quant = Some(quant);
        self
    }

    /// Number of elements (of one sample, for an activation); `None` if it overflows.
    pub fn checked_elements(&self) -> Option<usize> {
        elements(&self.shape)
    }

    /// Number of elements of a tensor in a validated graph.
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(usize::MAX)
    }

    /// Bytes of one sample, or of the constant.
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.dtype.bytes())
    }
}

/// Product of the dimensions; `None` if it overflows.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

/// Writes a shape as `8x8x1`; a scalar is `()`.
pub fn shape_text(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "()".into();
    }
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}
