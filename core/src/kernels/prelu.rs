//! Gradients of the parametric relu, whose forward step is [`super::binary::Kind::PRelu`].
//!
//! Shapes: `x [samples][rows][channels]`, `slope [channels]`, gradients alike.

use super::util::{clear, elements, rows, rows_mut};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dslope[c]` = sum of `x * dy` over the values of channel `c` that are not positive, in order of rows.
pub fn slope_backward_f32(x: &[f32], dy: &[f32], dslope: &mut [f32]) {
    let channels = dslope.len();
    if channels == 0 {
        return;
    }
    clear(dslope);
    for (x, dy) in rows(x, channels).zip(rows(dy, channels)) {
        for ((sum, x), dy) in dslope.iter_mut().zip(x).zip(dy) {
            *sum += if *x > 0.0 { 0.0 } else { x * dy };
        }
    }
}

/// `dx = dy` where `x` is positive, `slope * dy` elsewhere.
pub fn input_backward_f32(x: &[f32], slope: &[f32], dy: &[f32], dx: &mut [f32]) {
    let channels = slope.len();
    for ((x, dy), dx) in rows(x, channels).zip(rows(dy, channels)).zip(rows_mut(dx, channels)) {
        for (((dx, dy), x), slope) in dx.iter_mut().zip(dy).zip(x).zip(slope) {
            *dx = if *x > 0.0 { *dy } else { slope * dy };
        }
    }
}

/// Backward step, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row.
    pub channels: u32,
    /// Input of the forward step.
    pub x: Ref,
    /// Slopes.
    pub slope: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the slopes, or none.
    pub dslope: Ref,
    /// Gradient of the input, or none.
    pub dx: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        x: read f32 [samples, rows, channels],
        slope: read f32 [channels],
        dy: read f32 [samples, rows, channels],
        dslope: write f32 [channels],
        dx: write f32 [samples, rows, channels],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.channels]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, slope, dy) = (at.read(), at.read(), at.read());
        let (dslope, dx) = (at.write(), at.write());
        slope_backward_f32(x, dy, dslope);
        input_backward_f32(x, slope, dy, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::*;
    use crate::rng::Rng;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn reference(x: &[f64], slope: &[f64]) -> Vec<f64> {
        let one = |(i, x): (usize, &f64)| if *x > 0.0 { *x } else { x * slope[i % slope.len()] };
        x.iter().enumerate().map(one).collect()
    }

    proptest! {
        #[test]
        fn backward_matches_finite_differences(rows in 1u32..5, channels in 1u32..5, samples in 1usize..3, seed: u64) {
            let mut rng = Rng::new(seed);
            let count = samples * (rows * channels) as usize;
            // Away from the kink.
            let x: Vec<f32> = noise(&mut rng, count).iter().map(|x| x + 0.1f32.copysign(*x)).collect();
            let (slope, dy) = (noise(&mut rng, channels as usize), noise(&mut rng, count));
            let of_x = numeric_gradient(&x, |x| weighted(&reference(x, &wide(&slope)), &dy));
            let of_slope = numeric_gradient(&slope, |slope| weighted(&reference(&wide(&x), slope), &dy));
            let nothing = vec![f32::NAN; channels as usize + count];
            let mut arena = [&x[..], &slope, &dy, &nothing].concat();
            let mut next = 0;
            let mut place = |len: usize| {
                next += len;
                Ref::arena(4 * (next - len) as u32)
            };
            let [x_at, slope_at, dy_at, dslope, dx] =
                [count, channels as usize, count, channels as usize, count].map(&mut place);
            let step = BackwardF32 { rows, channels, x: x_at, slope: slope_at, dy: dy_at, dslope, dx };
            run(&step, &mut arena, samples, REVEAL);
            let (found_slope, found_x) = arena[arena.len() - nothing.len()..].split_at(channels as usize);
            assert_close(found_x, &of_x, 1, &absolute(found_x));
            let sizes = vec![count as f64; channels as usize].iter().map(|v| *v as f32).collect::<Vec<_>>();
            assert_close(found_slope, &of_slope, count, &absolute(&sizes));
        }
    }
}
