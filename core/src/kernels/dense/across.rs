//! A dense layer whose weights are constants and lie input by input: for tokens with wide registers, which then read them
//! in whole vectors of outputs, however few samples there are.

use super::Dense;
use crate::arch::{Gemm, Isa};
use crate::kernels::util::{elements, from, limit, rows, start_from_bias};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Floats of outputs that are worked on at a time: they stay in the second-level cache.
const FLOATS: usize = 16 * 1024;

/// `y = clamp(x * w + b, lo, hi)` with `w [inputs][outputs]`; an empty `b` counts as zeros. The bits of
/// [`super::forward_f32`].
pub fn forward_across_f32<I: Isa>(
    isa: I,
    shape: &Dense,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    (lo, hi): (f32, f32),
    y: &mut [f32],
) {
    let (inputs, outputs) = shape.dims();
    let cost = inputs.saturating_mul(outputs) / 16;
    isa.split(rows(y, outputs).len(), cost, [(y, outputs)], |of, [y]| {
        let (isa, x) = (isa.alone(), from(x, of.start * inputs));
        let some = FLOATS.checked_div(outputs).unwrap_or(1).max(1);
        for (x, y) in x.chunks((some * inputs).max(1)).zip(y.chunks_mut((some * outputs).max(1))) {
            let m = rows(y, outputs).len();
            isa.vectorize(|| start_from_bias(b, outputs, y));
            let (n, k) = (outputs, inputs);
            let product = Gemm { m, n, k, a_row: inputs, a_col: 1, b_row: outputs, b_col: 1, c_row: outputs };
            isa.gemm_f32(&product, x, w, y);
            limit(isa, lo, hi, y);
        }
    });
}

/// Step for [`forward_across_f32`]: a dense layer, or a convolution with filters of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AcrossF32 {
    /// Shape.
    pub shape: Dense,
    /// Rows of a sample: pixels of an image, 1 for a vector.
    pub positions: u32,
    /// Input.
    pub x: Ref,
    /// Weights, input by input.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for AcrossF32 {
    operands! {
        x: read f32 [samples, positions, shape.inputs],
        w: read f32 [shape.inputs, shape.outputs],
        b: read f32 [shape.outputs],
        y: write f32 [samples, positions, shape.outputs],
    }

    fn shape_is_valid(&self) -> bool {
        let Dense { inputs, outputs } = self.shape;
        self.shape.is_valid() && [inputs, outputs].iter().all(|each| elements([self.positions, *each]).is_some())
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        forward_across_f32(isa, &self.shape, x, w, b, (self.lo, self.hi), at.write());
    }
}
