//! Max pool, the way back from f32 gradients to an int8 input.

use crate::arch::Isa;
use crate::kernels::pool::Pool2d;
use crate::kernels::util::{clear, rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dx`: each gradient goes to the first greatest input of its window.
pub fn backward_i8(shape: &Pool2d, x: &[i8], dy: &[f32], dx: &mut [f32]) {
    clear(dx);
    let channels = shape.channels as usize;
    for ((x, dy), dx) in
        rows(x, shape.in_elements()).zip(rows(dy, shape.out_elements())).zip(rows_mut(dx, shape.in_elements()))
    {
        for (patch, dy) in shape.patches().zip(rows(dy, channels)) {
            for (channel, dy) in dy.iter().enumerate() {
                if let Some(dx) = super::first_greatest(&patch, x, channel).and_then(|at| dx.get_mut(at)) {
                    *dx += dy;
                }
            }
        }
    }
}

/// Backward step, int8 input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardI8 {
    /// Shape.
    pub shape: Pool2d,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardI8 {
    operands! {
        x: read i8 [samples, shape => Pool2d::INPUT],
        dy: read f32 [samples, shape => Pool2d::OUTPUT],
        dx: write f32 [samples, shape => Pool2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, dy, dx) = (at.read(), at.read(), at.write());
        backward_i8(&self.shape, x, dy, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Scalar;
    use crate::kernels::testing::noise;
    use crate::kernels::testing_int8::{bytes, pools};
    use crate::rng::Rng;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn it_is_that_of_floats(shape in pools(), samples in 1usize..3, seed: u64) {
            let mut rng = Rng::new(seed);
            let x = bytes(&mut rng, samples * shape.in_elements());
            let dy = noise(&mut rng, samples * shape.out_elements());
            let reals: Vec<f32> = x.iter().map(|x| f32::from(*x)).collect();
            let (mut dx, mut expected) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            backward_i8(&shape, &x, &dy, &mut dx);
            super::super::backward_f32(Scalar, &shape, &reals, &dy, &mut expected);
            prop_assert_eq!(dx, expected);
        }
    }
}
