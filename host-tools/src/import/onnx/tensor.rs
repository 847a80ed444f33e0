//! Constants: tensors of the file decoded, and what becomes of them at import.

use super::error::TensorProblem;
use super::model::{MAX_RANK, TensorDef, integers_into};
use super::wire::{Field, fixed};
use crate::graph::{Data, Quant, elements};
use crate::import::budget::{Budget, Exhausted};
use crate::import::narrow::{bfloats, halves, nibbles, unsigned_nibbles};
use std::collections::HashMap;

/// Files beside the model that hold values of its tensors, by name.
pub type External = HashMap<String, Vec<u8>>;

/// An element type by ONNX's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementType(pub i64);

#[allow(missing_docs)]
impl ElementType {
    pub const FLOAT: Self = Self(1);
    pub const UINT8: Self = Self(2);
    pub const INT8: Self = Self(3);
    pub const UINT16: Self = Self(4);
    pub const INT16: Self = Self(5);
    pub const INT32: Self = Self(6);
    pub const INT64: Self = Self(7);
    pub const BOOL: Self = Self(9);
    pub const FLOAT16: Self = Self(10);
    pub const DOUBLE: Self = Self(11);
    pub const UINT32: Self = Self(12);
    pub const UINT64: Self = Self(13);
    pub const BFLOAT16: Self = Self(16);
    pub const UINT4: Self = Self(21);
    pub const INT4: Self = Self(22);

    pub fn is_float(self) -> bool {
        matches!(self, Self::FLOAT | Self::FLOAT16 | Self::DOUBLE | Self::BFLOAT16)
    }
}

impl core::fmt::Display for ElementType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = [
            "of unknown type",
            "float",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "double",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
            "float8e4m3fn",
            "float8e4m3fnuz",
            "float8e5m2",
            "float8e5m2fnuz",
            "uint4",
            "int4",
            "float4e2m1",
        ];
        match usize::try_from(self.0).ok().and_then(|n| names.get(n)) {
            Some(name) => f.write_str(name),
            None => write!(f, "of type {}", self.0),
        }
    }
}

/// A constant in the file's axes.
///
/// Floats of every width are f32 here, and integers wider than 8 bits i64 (i32 stays i32, for biases); uint4 is uint8.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub data: Data,
    /// If the integers stand for reals: how. Such a constant went through DequantizeLinear.
    pub quant: Option<Quant>,
}

impl Constant {
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Self {
        Self { shape: shape.into(), data, quant: None }
    }

    pub fn len(&self) -> usize {
        self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The values as integers, if they are.
    pub fn integers(&self) -> Option<Vec<i64>> {
        if self.quant.is_some() {
            return None;
        }
        Some(match &self.data {
            Data::F32(_) => return None,
            Data::I4(v) | Data::I8(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::U8(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I16(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I32(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I64(v) => v.clone(),
        })
    }

    /// The values as reals: floats, or integers with their scale. Exact but for one rounding to f32.
    pub fn reals(&self) -> Option<Vec<f32>> {
        if let (Data::F32(values), None) = (&self.data, &self.quant) {
            return Some(values.clone());
        }
        let quant = self.quant.as_ref()?;
        let integers = Self { quant: None, ..self.clone() }.integers()?;
        let inner: usize = quant.axis.map_or(1, |a| self.shape.iter().skip(a + 1).product());
        let channels = quant.scales.len().max(1);
        let real = |(i, q): (usize, &i64)| {
            let channel = i / inner.max(1) % channels;
            let zero_point = quant.zero_points.get(channel).copied().unwrap_or(0);
            ((q - i64::from(zero_point)) as f64 * f64::from(quant.scale(channel))) as f32
        };
        Some(integers.iter().enumerate().map(real).collect())
    }

    /// The axes in another order.
    pub fn permuted(&self, axes: &[usize]) -> Self {
        let shape: Vec<usize> = axes.iter().filter_map(|a| self.shape.get(*a).copied()).collect();
        let index = gather_index(&self.shape, axes);
        let quant = self.quant.clone().map(|mut quant| {
            quant.axis = quant.axis.and_then(|old| axes.iter().position(|a| *a == old));
            quant
        });
        Self { shape, data: take(&self.data, &index), quant }
    }

    /// Another shape of as many elements; scales per channel stay if the channels keep their axis.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let Some(axis) = self.quant.as_ref().and_then(|q| q.axis) else {
            return Some(Self { shape: shape.to_vec(), ..self.clone() });
        };
        let split = |shape: &[usize], axis: usize| {
            Some((elements(shape.get(..axis)?)?, *shape.get(axis)?, elements(shape.get(axis + 1..)?)?))
        };
        let old = split(&self.shape, axis);
        if let Some(axis) = (0..shape.len()).find(|a| split(shape, *a) == old) {
            let quant = self.quant.clone().map(|q| Quant { axis: Some(axis), ..q });
            return Some(Self { shape: shape.to_vec(), data: self.data.clone(), quant });
        }
        Some(Self::new(shape, Data::F32(self.reals()?)))
    }
}

/// For each element of the permuted tensor, its number in the original. A constant has at most
/// `i32::MAX` elements.
pub fn gather_index(shape: &[usize], axes: &[usize]) -> Vec<u32> {
    let stride = |axis: usize| shape.iter().skip(axis + 1).product::<usize>();
    let mut index = vec![0];
    for axis in axes {
        let (size, step) = (shape.get(*axis).copied().unwrap_or(1) as u32, stride(*axis) as u32);
        index = index.iter().flat_map(|at| (0..size).map(move |i| at + i * step)).collect();
    }
    index
}

/// The elements with these numbers.
pub fn take(data: &Data, index: &[u32]) -> Data {
    fn pick<T: Copy>(from: &[T], index: &[u32]) -> Vec<T> {
        index.iter().filter_map(|i| from.get(*i as usize).copied()).collect()
    }
    match data {
        Data::F32(v) => Data::F32(pick(v, index)),
        Data::I4(v) => Data::I4(pick(v, index)),
        Data::I8(v) => Data::I8(pick(v, index)),
        Data::U8(v) => Data::U8(pick(v, index)),
        Data::I16(v) => Data::I16(pick(v, index)),
        Data::I32(v) => Data::I32(pick(v, index)),
        Data::I64(v) => Data::I64(pick(v, index)),
    }
}

impl From<Exhausted> for TensorProblem {
    fn from(_: Exhausted) -> Self {
        Self::Budget
    }
}

/// Decodes a tensor of the file.
pub fn decode(def: &TensorDef<'_>, external: &External, budget: &mut Budget) -> Result<Constant, TensorProblem> {
    let mut dims = Vec::new();
    let mut ty = ElementType(0);
    let mut raw: Option<&[u8]> = None;
    let mut outside = Outside::default();
    for field in def.message.fields() {
        match field? {
            (1, value) => integers_into(value, 1, &mut dims, budget).map_err(|_| TensorProblem::Budget)?,
            (2, value) => ty = ElementType(value.integer(2)?),
            (9, value) => raw = Some(value.bytes(9)?),
            (13, value) => outside.entry(value)?,
            (14, value) => outside.used = value.integer(14)? == 1,
            _ => (),
        }
    }
    if dims.len() > MAX_RANK {
        return Err(TensorProblem::Rank { found: dims.len(), most: MAX_RANK });
    }
    let size = |found: &i64| usize::try_from(*found).map_err(|_| TensorProblem::Dimension { found: *found });
    let shape: Vec<usize> = dims.iter().map(size).collect::<Result<_, _>>()?;
    let count = elements(&shape).filter(|n| *n <= i32::MAX as usize);
    let count = count.ok_or_else(|| TensorProblem::TooLarge { shape: shape.clone() })?;
    if outside.used {
        raw = Some(outside.bytes(external)?);
    }
    let data = match raw {
        Some(bytes) => from_raw(bytes, ty, count, budget)?,
        None => from_fields(def, ty, count, budget)?,
    };
    if data.len() != count {
        return Err(TensorProblem::Length { found: data.len(), expected: count, shape });
    }
    Ok(Constant::new(shape, data))
}

/// Where a tensor's values lie if not in the model file.
#[derive(Debug, Default)]
struct Outside {
    used: bool,
    location: String,
    offset: u64,
    length: Option<u64>,
}

impl Outside {
    fn entry(&mut self, field: Field<'_>) -> Result<(), TensorProblem> {
        let (mut key, mut value) = ("", "");
        for field in field.message(13)?.fields() {
            match field? {
                (1, field) => key = field.text(1)?,
                (2, field) => value = field.text(2)?,
                _ => (),
            }
        }
        match key {
            "location" => self.location = value.into(),
            "offset" => self.offset = value.parse().unwrap_or(u64::MAX),
            "length" => self.length = Some(value.parse().unwrap_or(u64::MAX)),
            _ => (),
        }
        Ok(())
    }

    fn bytes<'e>(&self, external: &'e External) -> Result<&'e [u8], TensorProblem> {
        let location = || self.location.clone();
        let file = external.get(&self.location).ok_or_else(|| TensorProblem::External { location: location() })?;
        let len = file.len();
        let end = self.offset.saturating_add(self.length.unwrap_or((len as u64).saturating_sub(self.offset)));
        let range = usize::try_from(self.offset).ok().zip(usize::try_from(end).ok());
        let error = || TensorProblem::ExternalRange { location: location(), offset: self.offset, end, len };
        range.and_then(|(from, to)| file.get(from..to)).ok_or_else(error)
    }
}

/// The names of the files that a tensor's values lie in, if not in the model's.
pub fn location(def: &TensorDef<'_>) -> Result<Option<String>, TensorProblem> {
    let mut outside = Outside::default();
    for field in def.message.fields() {
        match field? {
            (13, value) => outside.entry(value)?,
            (14, value) => outside.used = value.integer(14)? == 1,
            _ => (),
        }
    }
    if !outside.used {
        return Ok(None);
    }
    // A model may be anybody's: it must not reach for other folders.
    let plain = !outside.location.is_empty()
        && !outside.location.contains(['/', '\\', ':'])
        && !matches!(outside.location.as_str(), "." | "..");
    if plain { Ok(Some(outside.location)) } else { Err(TensorProblem::ExternalName { location: outside.location }) }
}

fn from_raw(bytes: &[u8], ty: ElementType, count: usize, budget: &mut Budget) -> Result<Data, TensorProblem> {
    fn read<T, const N: usize>(bytes: &[u8], each: fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|b| each(*b)).collect()
    }
    // No type grows more than eightfold, and few at all.
    let growth = match ty {
        ElementType::UINT16 | ElementType::INT16 => 4,
        ElementType::UINT32 | ElementType::FLOAT16 | ElementType::BFLOAT16 => 2,
        ElementType::UINT4 | ElementType::INT4 => 2,
        _ => 1,
    };
    budget.take(bytes.len().saturating_mul(growth))?;
    Ok(match ty {
        ElementType::FLOAT => Data::F32(read(bytes, f32::from_le_bytes)),
        ElementType::DOUBLE => Data::F32(read(bytes, |b| f64::from_le_bytes(b) as f32)),
        ElementType::FLOAT16 => Data::F32(halves(bytes).collect()),
        ElementType::BFLOAT16 => Data::F32(bfloats(bytes).collect()),
        ElementType::INT8 => Data::I8(read(bytes, i8::from_le_bytes)),
        ElementType::UINT8 | ElementType::BOOL => Data::U8(bytes.to_vec()),
        ElementType::INT16 => Data::I64(read(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        ElementType::UINT16 => Data::I64(read(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        ElementType::INT32 => Data::I32(read(bytes, i32::from_le_bytes)),
        ElementType::UINT32 => Data::I64(read(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        ElementType::INT64 => Data::I64(read(bytes, i64::from_le_bytes)),
        ElementType::UINT64 => wide(read(bytes, i64::from_le_bytes))?,
        ElementType::INT4 => Data::I4(nibbles(bytes).take(count).collect()),
        ElementType::UINT4 => Data::U8(unsigned_nibbles(bytes).take(count).collect()),
        found => return Err(TensorProblem::Type { found }),
    })
}

/// 64-bit unsigned integers that fit the signed type.
fn wide(values: Vec<i64>) -> Result<Data, TensorProblem> {
    match values.iter().find(|v| **v < 0) {
        Some(found) => Err(TensorProblem::Range { found: *found }),
        None => Ok(Data::I64(values)),
    }
}

/// Values in the typed fields: each type has one of five.
fn from_fields(def: &TensorDef<'_>, ty: ElementType, count: usize, budget: &mut Budget) -> Result<Data, TensorProblem> {
    let number = match ty {
        ElementType::FLOAT => 4,
        ElementType::INT64 => 7,
        ElementType::DOUBLE => 10,
        ElementType::UINT32 | ElementType::UINT64 => 11,
        _ => 5,
    };
    let (mut integers, mut floats) = (Vec::new(), Vec::new());
    for field in def.message.fields() {
        let (found, value) = field?;
        if found != number {
            continue;
        }
        if number == 4 || number == 10 {
            let mut single = [0; 8];
            let bytes = fixed(value, found, &mut single)?;
            budget.take(bytes.len().saturating_mul(2))?;
            if number == 4 {
                floats.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            } else {
                floats.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32));
            }
        } else {
            integers_into(value, found, &mut integers, budget).map_err(|_| TensorProblem::Budget)?;
        }
    }
    if number == 4 || number == 10 {
        return Ok(Data::F32(floats));
    }
    fn narrow<T: TryFrom<i64>>(values: &[i64]) -> Result<Vec<T>, TensorProblem> {
        let one = |v: &i64| T::try_from(*v).map_err(|_| TensorProblem::Range { found: *v });
        values.iter().map(one).collect()
    }
    let low_bytes =
        |n: usize| integers.iter().flat_map(move |v| v.to_le_bytes().into_iter().take(n)).collect::<Vec<u8>>();
    Ok(match ty {
        ElementType::FLOAT16 => Data::F32(halves(&low_bytes(2)).collect()),
        ElementType::BFLOAT16 => Data::F32(bfloats(&low_bytes(2)).collect()),
        ElementType::INT4 => Data::I4(nibbles(&low_bytes(1)).take(count).collect()),
        ElementType::UINT4 => Data::U8(unsigned_nibbles(&low_bytes(1)).take(count).collect()),
        ElementType::INT8 => Data::I8(narrow(&integers)?),
        ElementType::UINT8 | ElementType::BOOL => Data::U8(narrow(&integers)?),
        ElementType::INT32 => Data::I32(narrow(&integers)?),
        ElementType::INT16 | ElementType::UINT16 | ElementType::UINT32 | ElementType::INT64 => Data::I64(integers),
        ElementType::UINT64 => wide(integers)?,
        found => return Err(TensorProblem::Type { found }),
    })
}
