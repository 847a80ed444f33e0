//! Numbers into the network and out of it, as f32 or quantised.

use embernet_core::image::{DType, TensorRecord};
use embernet_core::math;

/// Writes values to an input.
pub fn put(values: &[f32], record: &TensorRecord, input: &mut [u8]) {
    match record.dtype() {
        DType::F32 => {
            for (place, value) in input.chunks_exact_mut(4).zip(values) {
                place.copy_from_slice(&value.to_ne_bytes());
            }
        }
        DType::I8 => {
            for (place, value) in input.iter_mut().zip(values) {
                let step = math::round(value / record.scale) as i32;
                *place = step.saturating_add(record.zero_point).clamp(-128, 127) as u8;
            }
        }
        _ => panic!("write here how this input holds its values"),
    }
}

/// The class with the highest score of an output.
pub fn best(output: &[u8], record: &TensorRecord) -> u32 {
    let size = record.dtype().bytes();
    let score = |bytes: &[u8]| match record.dtype() {
        DType::F32 => f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        DType::I8 => f32::from(bytes[0] as i8),
        _ => panic!("write here how this output holds its scores"),
    };
    let (mut best, mut most) = (0, f32::NEG_INFINITY);
    for (class, bytes) in (0..).zip(output.chunks_exact(size)) {
        if score(bytes) > most {
            (best, most) = (class, score(bytes));
        }
    }
    best
}
