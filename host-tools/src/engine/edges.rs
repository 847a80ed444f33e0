//! Between the numbers of files and the bytes of a model's inputs and outputs.

use embernet_core::image::{DType, TensorRecord};
use embernet_core::quant::{dequantize_i8, quantize_i8};

use crate::data::{Labels, Values};

/// Numbers that a port does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// Another number type.
    #[error("the model takes {port}{}; the file holds {found}", if *.port == "float32" { "" } else { " or float32" })]
    Type {
        /// The model's.
        port: &'static str,
        /// The file's.
        found: &'static str,
    },
    /// Labels of the other kind.
    #[error("the model learns {port}; the file holds {found}")]
    Labels {
        /// What the model learns.
        port: &'static str,
        /// What the file holds.
        found: &'static str,
    },
    /// A class that the model does not have.
    #[error("row {row}: label {found} is out of range; the model has {classes} classes")]
    Class {
        /// Counted from 1.
        row: usize,
        /// The label.
        found: u32,
        /// How many there are.
        classes: usize,
    },
    /// Another count of target values.
    #[error("{found} target values for each sample; the model has {expected}")]
    Width {
        /// The data's.
        found: usize,
        /// The model's.
        expected: usize,
    },
}

/// The bytes of an input from numbers in the port's own type, or from floats, which are quantised if
/// the port is.
pub fn encode(values: &Values, port: &TensorRecord) -> Result<Vec<u8>, EdgeError> {
    match (port.dtype(), values) {
        (DType::I8, Values::I8(v)) => Ok(v.iter().map(|x| x.to_le_bytes()[0]).collect()),
        (DType::I16, Values::I16(v)) => Ok(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        (DType::U32, Values::U32(v)) => Ok(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        (DType::F32, v) => Ok(encode_f32(&v.to_f32(), port)),
        (DType::I8 | DType::I16, Values::F32(_) | Values::F64(_)) => Ok(encode_f32(&values.to_f32(), port)),
        (dtype, v) => Err(EdgeError::Type { port: name(dtype), found: v.type_name() }),
    }
}

/// The bytes of an input from floats, quantised if the port is.
pub fn encode_f32(x: &[f32], port: &TensorRecord) -> Vec<u8> {
    match port.dtype() {
        DType::F32 => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::I8 => x.iter().map(|x| quantize_i8(*x, port.scale, port.zero_point).to_le_bytes()[0]).collect(),
        DType::I16 => x.iter().flat_map(|x| quantize_i16(*x, port).to_le_bytes()).collect(),
        DType::U32 => x.iter().flat_map(|x| (*x as u32).to_le_bytes()).collect(),
    }
}

/// As [`quantize_i8`], for 16 bits.
fn quantize_i16(x: f32, port: &TensorRecord) -> i16 {
    let steps = embernet_core::math::round(x / port.scale) as i32;
    steps.saturating_add(port.zero_point).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// An output's bytes as numbers of the port's own type.
pub fn decode(bytes: &[u8], port: &TensorRecord) -> Values {
    match port.dtype() {
        DType::F32 => Values::F32(words(bytes, f32::from_le_bytes)),
        DType::I8 => Values::I8(words(bytes, i8::from_le_bytes)),
        DType::I16 => Values::I16(words(bytes, i16::from_le_bytes)),
        DType::U32 => Values::U32(words(bytes, u32::from_le_bytes)),
    }
}

/// An output's bytes as floats, dequantised if the port is quantised.
pub fn decode_f32(bytes: &[u8], port: &TensorRecord) -> Vec<f32> {
    match decode(bytes, port) {
        Values::I8(v) => v.iter().map(|x| dequantize_i8(*x, port.scale, port.zero_point)).collect(),
        Values::I16(v) => v.iter().map(|x| (i32::from(*x) - port.zero_point) as f32 * port.scale).collect(),
        values => values.to_f32(),
    }
}

/// The bytes of a target tensor: class indices, or values with classes spread one-hot.
pub fn encode_labels(labels: &Labels, target: &TensorRecord) -> Result<Vec<u8>, EdgeError> {
    match (target.dtype(), labels) {
        (DType::U32, Labels::Class { ids, .. }) => {
            // For a class-index target the zero point holds the number of classes.
            let classes = usize::try_from(target.zero_point).unwrap_or(0);
            match ids.iter().position(|&id| id as usize >= classes) {
                Some(at) => Err(EdgeError::Class { row: at + 1, found: ids[at], classes }),
                None => Ok(ids.iter().flat_map(|id| id.to_le_bytes()).collect()),
            }
        }
        (DType::U32, Labels::Values { .. } | Labels::Samples { .. }) => {
            Err(EdgeError::Labels { port: "classes", found: "values" })
        }
        (_, labels) => {
            let width = target.elements as usize;
            let rows = match labels {
                Labels::Class { ids, .. } => {
                    if let Some(at) = ids.iter().position(|&id| id as usize >= width) {
                        return Err(EdgeError::Class { row: at + 1, found: ids[at], classes: width });
                    }
                    let mut rows = vec![0.0; ids.len() * width];
                    rows.chunks_exact_mut(width.max(1)).zip(ids).for_each(|(row, &id)| row[id as usize] = 1.0);
                    rows
                }
                Labels::Values { values, width: found } if *found == width => values.clone(),
                Labels::Values { width: found, .. } => return Err(EdgeError::Width { found: *found, expected: width }),
                Labels::Samples { .. } => {
                    return Err(EdgeError::Labels { port: "values", found: "the samples themselves" });
                }
            };
            Ok(encode_f32(&rows, target))
        }
    }
}

fn name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::U32 => "uint32",
    }
}

fn words<T, const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| word(chunk)).collect()
}
