//! Between f32 and int8 or int16: the edges of a quantised network; and between the two integers.

mod between;
mod blocks;
mod int16;

pub use between::RequantizeInt;
pub use blocks::{BLOCK, DequantizeBlocks, QuantizeBlocks, dequantize_blocks, quantize_blocks};
pub use int16::{DequantizeI16, QuantizeI16, dequantize_i16, quantize_i16};

use super::util::elements;
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::{dequantize_i8, quantize_i8};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = x / scale + zero_point`, rounded half away from zero, saturated.
pub fn quantize(scale: f32, zero_point: i32, x: &[f32], y: &mut [i8]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = quantize_i8(*x, scale, zero_point);
    }
}

/// `y = (x - zero_point) * scale`.
pub fn dequantize(scale: f32, zero_point: i32, x: &[i8], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = dequantize_i8(*x, scale, zero_point);
    }
}

fn is_valid(len: u32, scale: f32, zero_point: i32) -> bool {
    elements([len]).is_some() && scale.is_finite() && scale > 0.0 && i8::try_from(zero_point).is_ok()
}

/// Step from f32 to int8.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QuantizeI8 {
    /// Elements of one sample.
    pub len: u32,
    /// Input, f32.
    pub x: Ref,
    /// Output, int8.
    pub y: Ref,
    /// Real value of one step.
    pub scale: f32,
    /// Number that stands for zero.
    pub zero_point: i32,
}

impl StepRecord for QuantizeI8 {
    operands! {
        x: read f32 [samples, len],
        y: write i8 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.scale, self.zero_point)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        quantize(self.scale, self.zero_point, x, y);
    }
}

/// Step from int8 to f32.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DequantizeI8 {
    /// Elements of one sample.
    pub len: u32,
    /// Input, int8.
    pub x: Ref,
    /// Output, f32.
    pub y: Ref,
    /// Real value of one step.
    pub scale: f32,
    /// Number that stands for zero.
    pub zero_point: i32,
}

impl StepRecord for DequantizeI8 {
    operands! {
        x: read i8 [samples, len],
        y: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.scale, self.zero_point)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        dequantize(self.scale, self.zero_point, x, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let x: [i8; 256] = core::array::from_fn(|i| i as u8 as i8);
        for (scale, zero_point) in [(0.1, 3), (1.0 / 256.0, -128), (7.5, 127), (1e-20, 0), (1e30, -5)] {
            let (mut real, mut back) = ([0.0; 256], [0; 256]);
            dequantize(scale, zero_point, &x, &mut real);
            quantize(scale, zero_point, &real, &mut back);
            assert_eq!(back, x);
        }
    }

    #[test]
    fn impossible_scales_are_refused() {
        let step = QuantizeI8 { len: 1, x: Ref::arena(0), y: Ref::arena(4), scale: 0.5, zero_point: 0 };
        assert!(step.shape_is_valid());
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(!QuantizeI8 { scale, ..step }.shape_is_valid());
        }
        assert!(!QuantizeI8 { zero_point: 128, ..step }.shape_is_valid());
        assert!(!QuantizeI8 { len: 0, ..step }.shape_is_valid());
    }
}
