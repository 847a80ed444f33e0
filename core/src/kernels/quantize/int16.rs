//! Between f32 and int16. The zero point is 0.

use crate::arch::Isa;
use crate::kernels::util::elements;
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = x / scale`, rounded half away from zero, saturated; not-a-number becomes 0.
pub fn quantize_i16(scale: f32, x: &[f32], y: &mut [i16]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = (math::round(x / scale) as i32).clamp(-32768, 32767) as i16;
    }
}

/// `y = x * scale`.
pub fn dequantize_i16(scale: f32, x: &[i16], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f32::from(*x) * scale;
    }
}

fn is_valid(len: u32, scale: f32) -> bool {
    elements([len]).is_some() && scale.is_finite() && scale > 0.0
}

/// Step from f32 to int16.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QuantizeI16 {
    /// Elements of one sample.
    pub len: u32,
    /// Input, f32.
    pub x: Ref,
    /// Output, int16.
    pub y: Ref,
    /// Real value of one step.
    pub scale: f32,
}

impl StepRecord for QuantizeI16 {
    operands! {
        x: read f32 [samples, len],
        y: write i16 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.scale)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        quantize_i16(self.scale, x, y);
    }
}

/// Step from int16 to f32.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DequantizeI16 {
    /// Elements of one sample.
    pub len: u32,
    /// Input, int16.
    pub x: Ref,
    /// Output, f32.
    pub y: Ref,
    /// Real value of one step.
    pub scale: f32,
}

impl StepRecord for DequantizeI16 {
    operands! {
        x: read i16 [samples, len],
        y: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.scale)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        dequantize_i16(self.scale, x, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_round_trip() {
        let x: std::vec::Vec<i16> = (i16::MIN..=i16::MAX).collect();
        for scale in [1.0 / 32768.0, 0.00754, 3.0, 1e-20] {
            let (mut real, mut back) = (std::vec![0.0; x.len()], std::vec![0; x.len()]);
            dequantize_i16(scale, &x, &mut real);
            quantize_i16(scale, &real, &mut back);
            assert_eq!(back, x);
        }
        let mut y = [0; 5];
        quantize_i16(1.0, &[0.5, -0.5, 1e9, f32::NEG_INFINITY, f32::NAN], &mut y);
        assert_eq!(y, [1, -1, 32767, -32768, 0]);
    }
}
