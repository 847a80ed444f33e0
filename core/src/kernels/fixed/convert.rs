//! f32 at the network's edges: inputs become blocks, outputs floats. Both take floats apart by their bits.

use super::block::{mantissas_mut, open, set_head, stride};
use super::number::{exponent_of, fixed, float};
use crate::arch::Isa;
use crate::kernels::util::{elements, rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Every row of `len` floats becomes a block, rounded to nearest. What is no number has any value.
pub fn from_f32(len: usize, x: &[f32], y: &mut [i16]) {
    for (x, y) in rows(x, len).zip(rows_mut(y, stride(len))) {
        let greatest = x.iter().fold(0, |greatest, x| (x.to_bits() & (u32::MAX >> 1)).max(greatest));
        let exponent = exponent_of(greatest);
        for (y, x) in mantissas_mut(y, len).iter_mut().zip(x) {
            *y = fixed(*x, exponent).clamp(-0x7fff, 0x7fff) as i16;
        }
        set_head(y, exponent, 0);
    }
}

/// Every block becomes a row of floats; exact.
pub fn to_f32(len: usize, x: &[i16], y: &mut [f32]) {
    for (x, y) in rows(x, stride(len)).zip(rows_mut(y, len)) {
        let (exponent, x) = open(x, len);
        for (y, x) in y.iter_mut().zip(x) {
            *y = float(i32::from(*x), exponent);
        }
    }
}

/// Step for [`from_f32`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FromF32 {
    /// Elements of one sample.
    pub len: u32,
    /// Floats.
    pub x: Ref,
    /// Blocks.
    pub y: Ref,
}

impl StepRecord for FromF32 {
    operands! {
        x: read f32 [samples, len],
        y: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        from_f32(self.len as usize, at.read(), at.write());
    }
}

/// Step for [`to_f32`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ToF32 {
    /// Elements of one sample.
    pub len: u32,
    /// Blocks.
    pub x: Ref,
    /// Floats.
    pub y: Ref,
}

impl StepRecord for ToF32 {
    operands! {
        x: read block [samples, len],
        y: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        to_f32(self.len as usize, at.read(), at.write());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::fixed::block::MIN_EXPONENT;

    #[test]
    fn floats_come_back_within_half_a_unit() {
        let x = [0.3f32, -1.7, 1e-6, 0.0, 2000.0, -1999.9, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut blocks = [0; 3 * stride(4)];
        from_f32(4, &x, &mut blocks);
        let mut y = [f32::NAN; 12];
        to_f32(4, &blocks, &mut y);
        for (row, (x, y)) in x.chunks(4).zip(y.chunks(4)).enumerate() {
            let greatest = x.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
            assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() <= greatest / 32768.0), "row {row}: {x:?} {y:?}");
        }
        assert_eq!(blocks[2 * stride(4)], MIN_EXPONENT as i16);
        // Nothing panics.
        from_f32(4, &[f32::NAN, f32::INFINITY, f32::MIN, 1e-45], &mut blocks);
    }
}
