//! Between f32 and int16. The zero point is 0.

use crate::arch::Isa;
use crate::kernels::util::elements;
use crate::math;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
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

impl QuantizeI16 {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        (Operand::f32(self.x, elements, Access::Read), Operand::i16(self.y, elements, Access::Write))
    }
}

impl StepRecord for QuantizeI16 {
    fn operands(&self, samples: usize) -> Operands {
        let (x, y) = self.places(samples);
        Operands::of([x, y])
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.scale)
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (x, y) = self.places(context.samples);
        let ([x], [y]) = memory.carve([x], [y]);
        quantize_i16(self.scale, view(x), view_mut(y));
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

impl DequantizeI16 {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        (Operand::i16(self.x, elements, Access::Read), Operand::f32(self.y, elements, Access::Write))
    }
}

impl StepRecord for DequantizeI16 {
    fn operands(&self, samples: usize) -> Operands {
        let (x, y) = self.places(samples);
        Operands::of([x, y])
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.scale)
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (x, y) = self.places(context.samples);
        let ([x], [y]) = memory.carve([x], [y]);
        dequantize_i16(self.scale, view(x), view_mut(y));
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
