//! Max and average pools, shapes as in [`Pool2d`]. A max pool keeps its input's exponent; of an average pool `sums` has
//! room for a row of what is made.

use super::block::{exponent, mantissas_mut, open, set_head, stride};
use super::images::{readers, row_by_row};
use super::number::{Factor, Limits, log2_up, shift};
use crate::arch::Isa;
use crate::kernels::max_pool::{first_greatest, forward_i16};
use crate::kernels::pool::Pool2d;
use crate::kernels::util::{rows, rows_mut, sub, sub_mut};
use crate::kernels::window::Axis;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(max of window)`.
#[cfg_attr(target_os = "none", inline(never))]
pub fn max(shape: &Pool2d, x: &[i16], limits: Limits, y: &mut [i16]) {
    let (inputs, outputs) = (shape.in_elements(), shape.out_elements());
    for (x, y) in rows(x, stride(inputs)).zip(rows_mut(y, stride(outputs))) {
        let (exponent, x) = open(x, inputs);
        let (lo, hi) = limits.at(exponent);
        let most = i32::from(i16::MAX);
        forward_i16(shape, x, lo.clamp(-most, most), hi.clamp(-most, most), mantissas_mut(y, outputs));
        set_head(y, exponent, 0);
    }
}

/// `dx`: zero but for the first greatest element of each window, which receives that window's `dy`, or the sum of those
/// of the windows that share it.
#[cfg_attr(target_os = "none", inline(never))]
pub fn max_backward(shape: &Pool2d, x: &[i16], dy: &[i16], dx: &mut [i16]) {
    let (inputs, outputs, channels) = (shape.in_elements(), shape.out_elements(), shape.channels as usize);
    // So many bits that the windows of one element fit.
    let right = log2_up(windows(&shape.window.height) * windows(&shape.window.width));
    let half = (1i32 << right) >> 1;
    for ((x, dy), dx) in rows(x, stride(inputs)).zip(rows(dy, stride(outputs))).zip(rows_mut(dx, stride(inputs))) {
        set_head(dx, exponent(dy).saturating_add(right as i32), 0);
        let (x, dx) = (open(x, inputs).1, mantissas_mut(dx, inputs));
        dx.fill(0);
        for (patch, dy) in shape.patches().zip(rows(open(dy, outputs).1, channels)) {
            for (channel, dy) in dy.iter().enumerate().filter(|(_, dy)| **dy != 0) {
                if let Some(dx) = first_greatest(&patch, x, channel).and_then(|at| dx.get_mut(at)) {
                    *dx = dx.saturating_add(((i32::from(*dy) + half) >> right) as i16);
                }
            }
        }
    }
}

/// Most windows of an axis that share an element.
fn windows(axis: &Axis) -> usize {
    let reach = axis.kernel.saturating_sub(1).saturating_mul(axis.dilation);
    let apart = reach.checked_div(axis.stride).unwrap_or(0).saturating_add(1);
    apart.min(axis.kernel).min(axis.output) as usize
}

/// Bits that averages have below the unit of what they are made of.
const FINE: i32 = 14;

/// `1 / count` times a sum of up to `count` mantissas, in units of `2^-FINE`.
#[derive(Clone, Copy)]
struct Share {
    factor: Factor,
    /// What sums are shifted by before and after they are multiplied.
    left: [i32; 2],
}

impl Share {
    /// For sums of `terms` mantissas at most.
    fn new(count: usize, terms: usize, fine: i32) -> Self {
        let factor = Factor::one_over(count as u32);
        // A mantissa has 15 bits: so many fit 30.
        let first = (15 - log2_up(terms) as i32).max(0);
        Self { factor, left: [first, factor.exponent + 16 + fine - first] }
    }

    fn of(self, sum: i32) -> i32 {
        let [first, then] = self.left;
        shift(self.factor.mantissa_times(sum << (first & 15)), then)
    }
}

/// `y = clamp(sum of window / elements of window)`.
#[cfg_attr(target_os = "none", inline(never))]
pub fn average<I: Isa>(isa: I, shape: &Pool2d, x: &[i16], limits: Limits, sums: &mut [i32], y: &mut [i16]) {
    let (channels, in_w) = (shape.channels as usize, shape.window.width.input as usize);
    row_by_row((x, shape.in_elements()), (y, shape.out_elements()), sums, |(exponent, x), out_y, sums| {
        let down = shape.window.height.taps(out_y);
        sums.fill(0);
        for (out_x, sums) in rows_mut(sums, channels).enumerate() {
            let across = shape.window.width.taps(out_x);
            for in_y in down.input..down.input + down.count {
                let row = sub(x, (in_y * in_w + across.input) * channels, across.count * channels);
                for x in rows(row, channels) {
                    isa.axpy_fixed(1, 0, x, sums);
                }
            }
            let count = down.count * across.count;
            let share = Share::new(count, count, FINE);
            sums.iter_mut().for_each(|sum| *sum = share.of(*sum));
        }
        limits.apply(exponent - FINE, sums);
        exponent - FINE
    });
}

/// `dx`: the sum over the windows that hold the element of `dy / elements of window`.
#[cfg_attr(target_os = "none", inline(never))]
pub fn average_backward(shape: &Pool2d, dy: &[i16], sums: &mut [i32], dx: &mut [i16]) {
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    let (channels, out_w) = (shape.channels as usize, horizontal.output as usize);
    // Sums of all windows of one element fit.
    let fine = FINE - log2_up(windows(&vertical) * windows(&horizontal)) as i32;
    row_by_row((dy, shape.out_elements()), (dx, shape.in_elements()), sums, |(exponent, dy), in_y, sums| {
        sums.fill(0);
        for out_y in readers(&vertical, in_y) {
            let down = vertical.taps(out_y).count;
            let dy = sub(dy, out_y * out_w * channels, out_w * channels);
            for (out_x, dy) in rows(dy, channels).enumerate() {
                let across = horizontal.taps(out_x);
                let share = Share::new(down * across.count, 1, fine);
                for sums in rows_mut(sub_mut(sums, across.input * channels, across.count * channels), channels) {
                    for (sum, dy) in sums.iter_mut().zip(dy) {
                        *sum = sum.wrapping_add(share.of(i32::from(*dy)));
                    }
                }
            }
        }
        exponent - fine
    });
}

/// Forward step of a max pool, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Max {
    /// Shape.
    pub shape: Pool2d,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for Max {
    operands! {
        x: read block [samples, shape => Pool2d::INPUT],
        y: write block [samples, shape => Pool2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        max(&self.shape, at.read(), Limits { lo: self.lo, hi: self.hi }, at.write());
    }
}

/// Backward step of a max pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardMax {
    /// Shape.
    pub shape: Pool2d,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardMax {
    operands! {
        x: read block [samples, shape => Pool2d::INPUT],
        dy: read block [samples, shape => Pool2d::OUTPUT],
        dx: write block [samples, shape => Pool2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        max_backward(&self.shape, at.read(), at.read(), at.write());
    }
}

/// Forward step of an average pool, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Average {
    /// Shape.
    pub shape: Pool2d,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// For the sums of a row of outputs.
    pub sums: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for Average {
    operands! {
        x: read block [samples, shape => Pool2d::INPUT],
        sums: scratch i32 [shape.window.width.output, shape.channels],
        y: write block [samples, shape => Pool2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        averages(&self.shape)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, sums, y) = (at.read(), at.write(), at.write());
        average(isa, &self.shape, x, Limits { lo: self.lo, hi: self.hi }, sums, y);
    }
}

/// Whether sums of a window's mantissas fit.
fn averages(shape: &Pool2d) -> bool {
    shape.is_dense() && shape.window.taps() <= 1 << 15
}

/// Backward step of an average pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardAverage {
    /// Shape.
    pub shape: Pool2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
    /// For the sums of a row of inputs.
    pub sums: Ref,
}

impl StepRecord for BackwardAverage {
    operands! {
        dy: read block [samples, shape => Pool2d::OUTPUT],
        sums: scratch i32 [shape.window.width.input, shape.channels],
        dx: write block [samples, shape => Pool2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        averages(&self.shape)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, sums, dx) = (at.read(), at.write(), at.write());
        average_backward(&self.shape, dy, sums, dx);
    }
}

#[cfg(test)]
mod tests;
