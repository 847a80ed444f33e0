//! Activations: the gradient before a clamp, and leaky ReLU.

use super::block::{mantissas_mut, open, stride};
use super::number::{Factor, Limits};
use crate::arch::Isa;
use crate::kernels::util::{copy, elements, rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dy = 0` where the clamp's output is at a limit.
pub fn backward_clamp(len: usize, limits: Limits, y: &[i16], dy: &mut [i16]) {
    for (y, dy) in rows(y, stride(len)).zip(rows_mut(dy, stride(len))) {
        let (exponent, y) = open(y, len);
        let (lo, hi) = limits.at(exponent);
        for (dy, y) in mantissas_mut(dy, len).iter_mut().zip(y) {
            let y = i32::from(*y);
            if y <= lo || y >= hi {
                *dy = 0;
            }
        }
    }
}

/// `y = alpha y` where `x` is negative, rounded down: forward `x` is `y`, backward the layer's output.
pub fn leak(len: usize, alpha: u32, x: Option<&[i16]>, y: &mut [i16]) {
    let leaked = |y: i16| ((i32::from(y).wrapping_mul(alpha as i32)) >> 16) as i16;
    match x {
        None => {
            for y in rows_mut(y, stride(len)) {
                for y in mantissas_mut(y, len).iter_mut().filter(|y| **y < 0) {
                    *y = leaked(*y);
                }
            }
        }
        Some(x) => {
            for (x, y) in rows(x, stride(len)).zip(rows_mut(y, stride(len))) {
                for (y, _) in mantissas_mut(y, len).iter_mut().zip(open(x, len).1).filter(|(_, x)| **x < 0) {
                    *y = leaked(*y);
                }
            }
        }
    }
}

/// Step for [`backward_clamp`]; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardClamp {
    /// Elements of one sample.
    pub len: u32,
    /// Least output of the forward step.
    pub lo: f32,
    /// Greatest output of it.
    pub hi: f32,
    /// Its output.
    pub y: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardClamp {
    operands! {
        y: read block [samples, len],
        dy: input block [samples, len],
        dx: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (y, dy, dx) = (at.read(), at.read(), at.write());
        copy(dy, dx);
        backward_clamp(self.len as usize, Limits { lo: self.lo, hi: self.hi }, y, dx);
    }
}

/// Forward step of leaky ReLU; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LeakyRelu {
    /// Elements of one sample.
    pub len: u32,
    /// Slope of negative values, from 0 to 1.
    pub alpha: f32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for LeakyRelu {
    operands! {
        x: input block [samples, len],
        y: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        copy(x, y);
        leak(self.len as usize, Factor::of(self.alpha).q16(), None, y);
    }
}

/// Backward step of leaky ReLU; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardLeakyRelu {
    /// Elements of one sample.
    pub len: u32,
    /// Slope of negative values.
    pub alpha: f32,
    /// Output of the forward step.
    pub y: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardLeakyRelu {
    operands! {
        y: read block [samples, len],
        dy: input block [samples, len],
        dx: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (y, dy, dx) = (at.read(), at.read(), at.write());
        copy(dy, dx);
        leak(self.len as usize, Factor::of(self.alpha).q16(), Some(y), dx);
    }
}

#[cfg(test)]
mod tests;
