//! Tests of the convolution against its definition in f64.

use super::turned::Turned;
use super::*;
use crate::arch::{Isa, IsaId, Processor, Scalar, Task, Threads, run_on};
use crate::kernels::testing::*;
use crate::kernels::trained::Trained;
use crate::kernels::window::Axis;
use crate::optim::Store;
use crate::plan::Ref;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A shape from two axes and `(groups, input channels of a group, filters of a group)`.
pub(super) fn shape_of(height: Axis, width: Axis, (groups, depth, filters): (u32, u32, u32)) -> Conv2d {
    Conv2d { window: Window2d { height, width }, in_c: groups * depth, out_c: groups * filters, groups }
}

fn shapes() -> impl Strategy<Value = Conv2d> {
    (axes(1..3), axes(1..3), (1u32..3, 1u32..3, 1u32..3)).prop_map(|(v, h, channels)| shape_of(v, h, channels))
}

fn taps(shape: &Conv2d) -> usize {
    shape.window.taps()
}

fn pixels(shape: &Conv2d) -> usize {
    shape.window.out_pixels()
}

/// Calls `visit(x, w, y)` with the places that every product of one sample joins, by output row, output column,
/// filter, then filter weight.
fn products(shape: &Conv2d, mut visit: impl FnMut(usize, usize, usize)) {
    let (in_c, out_c, depth) = (shape.in_c as usize, shape.out_c as usize, shape.group_in());
    for (pixel, taps) in taps_of_pixels(&shape.window).into_iter().enumerate() {
        for filter in 0..out_c {
            let first = filter / shape.group_out() * depth;
            for (tap, at) in &taps {
                for c in 0..depth {
                    let w = (filter * shape.window.taps() + tap) * depth + c;
                    visit(at * in_c + first + c, w, pixel * out_c + filter);
                }
            }
        }
    }
}

/// The definition, straight from the index formula.
fn reference(shape: &Conv2d, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len() / shape.in_elements() * shape.out_elements()];
    for (x, y) in x.chunks(shape.in_elements()).zip(y.chunks_mut(shape.out_elements())) {
        for (y, b) in y.iter_mut().zip(b.iter().cycle()) {
            *y = *b;
        }
        products(shape, |x_at, w_at, y_at| y[y_at] += x[x_at] * w[w_at]);
    }
    y
}

struct Data {
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Data {
    fn new(shape: &Conv2d, samples: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            x: noise(&mut rng, samples * shape.in_elements()),
            w: noise(&mut rng, shape.weights()),
            b: noise(&mut rng, shape.out_c as usize),
            dy: noise(&mut rng, samples * shape.out_elements()),
        }
    }

    fn absolute(&self) -> Self {
        Self { x: absolute(&self.x), w: absolute(&self.w), b: absolute(&self.b), dy: absolute(&self.dy) }
    }

    fn forward<I: Isa>(&self, isa: I, shape: &Conv2d, scratch: usize) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.dy.len()];
        let (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
        forward_f32(isa, shape, &self.x, &self.w, &self.b, lo, hi, &mut vec![f32::NAN; scratch], &mut y);
        y
    }

    fn backward_input<I: Isa>(&self, isa: I, shape: &Conv2d, scratch: usize) -> Vec<f32> {
        let mut dx = vec![f32::NAN; self.x.len()];
        backward_input_f32(isa, shape, &self.dy, &self.w, &mut vec![f32::NAN; scratch], &mut dx);
        dx
    }

    fn backward_weights<I: Isa>(&self, isa: I, shape: &Conv2d, tile: usize) -> Vec<f32> {
        let mut dw = vec![f32::NAN; self.w.len()];
        backward_weights_f32(isa, shape, &self.x, &self.dy, &mut vec![f32::NAN; tile], &mut Store(&mut dw));
        dw
    }
}

struct Agrees<'a> {
    shape: &'a Conv2d,
    samples: usize,
    data: &'a Data,
    tile: usize,
}

impl Task for Agrees<'_> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        let Self { shape, samples, data, tile } = self;
        let scratch = scratch_elements(shape, I::ID);
        assert_eq!(scratch > 0, I::ID.packs() && packed::helps(shape));
        let magnitude = data.absolute();
        // Both sides round: twice the roundings of one.
        let check = |found: Vec<f32>, expected: Vec<f32>, terms: usize, magnitude: Vec<f32>| {
            if I::ID.is_exact() {
                assert_eq!(bits(&found), bits(&expected), "{}", I::ID.name());
            } else {
                assert_close(&found, &wide(&expected), 2 * terms, &magnitude);
            }
        };
        let (found, expected) = (data.forward(isa, shape, scratch), data.forward(Scalar, shape, 0));
        check(found, expected, shape.patch() + 1, magnitude.forward(Scalar, shape, 0));
        let (found, expected) = (data.backward_input(isa, shape, scratch), data.backward_input(Scalar, shape, 0));
        check(found, expected, taps(shape) * shape.group_out(), magnitude.backward_input(Scalar, shape, 0));
        for tile in [tile, shape.weights()] {
            let found = data.backward_weights(isa, shape, tile);
            let expected = data.backward_weights(Scalar, shape, shape.weights());
            let sums = magnitude.backward_weights(Scalar, shape, shape.weights());
            // Tiles change no bit on any token.
            assert_eq!(found, data.backward_weights(isa, shape, shape.weights()), "{}", I::ID.name());
            check(found, expected, samples * pixels(shape), sums);
        }
    }
}

proptest! {
    #[test]
    fn forward_matches_its_definition(shape in shapes(), samples in 1usize..4, seed: u64) {
        prop_assert!(shape.is_valid());
        let data = Data::new(&shape, samples, seed);
        let found = data.forward(Scalar, &shape, 0);
        let expected = reference(&shape, &wide(&data.x), &wide(&data.w), &wide(&data.b));
        assert_close(&found, &expected, shape.patch() + 1, &data.absolute().forward(Scalar, &shape, 0));
    }

    #[test]
    fn backward_matches_finite_differences(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let (x, w) = (wide(&data.x), wide(&data.w));

        let numeric = numeric_gradient(&data.x, |x| weighted(&reference(&shape, x, &w, &[]), &data.dy));
        let terms = taps(&shape) * shape.group_out();
        let dx = data.backward_input(Scalar, &shape, 0);
        assert_close(&dx, &numeric, terms, &data.absolute().backward_input(Scalar, &shape, 0));

        let numeric = numeric_gradient(&data.w, |w| weighted(&reference(&shape, &x, w, &[]), &data.dy));
        let terms = samples * pixels(&shape);
        let dw = data.backward_weights(Scalar, &shape, shape.weights());
        assert_close(&dw, &numeric, terms, &data.absolute().backward_weights(Scalar, &shape, shape.weights()));
    }

    /// The order of sums that every target keeps.
    #[test]
    fn sums_run_in_the_promised_order(shape in shapes(), samples in 1usize..4, seed: u64) {
        let Data { x, w, b, dy } = Data::new(&shape, samples, seed);
        let mut y: Vec<f32> = b.iter().copied().cycle().take(dy.len()).collect();
        let (mut dx, mut dw) = (vec![0.0f32; x.len()], vec![0.0f32; w.len()]);
        for sample in 0..samples {
            let (x0, y0) = (sample * shape.in_elements(), sample * shape.out_elements());
            products(&shape, |x_at, w_at, y_at| {
                y[y0 + y_at] += x[x0 + x_at] * w[w_at];
                dx[x0 + x_at] += dy[y0 + y_at] * w[w_at];
                dw[w_at] += dy[y0 + y_at] * x[x0 + x_at];
            });
        }
        let data = Data { x, w, b, dy };
        prop_assert_eq!(bits(&data.forward(Scalar, &shape, 0)), bits(&y));
        prop_assert_eq!(bits(&data.backward_input(Scalar, &shape, 0)), bits(&dx));
        prop_assert_eq!(bits(&data.backward_weights(Scalar, &shape, shape.weights())), bits(&dw));
    }

    #[test]
    fn tiles_do_not_change_bits(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let whole = bits(&data.backward_weights(Scalar, &shape, shape.weights()));
        for tile in 1..=shape.weights() + 1 {
            prop_assert_eq!(&bits(&data.backward_weights(Scalar, &shape, tile)), &whole, "tile {}", tile);
        }
    }

    /// Packed filters make the same sums in the same order.
    #[test]
    fn packing_changes_no_bit(
        shape in shapes().prop_filter("a shape to pack", packed::helps),
        samples in 1usize..4,
        seed: u64,
        first in 0usize..9,
    ) {
        let data = Data::new(&shape, samples, seed);
        let mut panels = vec![f32::NAN; shape.weights()];
        let mut y = vec![0.0; data.dy.len()];
        packed::pack(Scalar, &shape, &data.w, &mut panels);
        packed::forward(Scalar, &shape, &data.x, &panels, &mut y);
        let mut direct = vec![0.0; data.dy.len()];
        float::forward_direct(Scalar, &shape, &data.x, &data.w, &mut direct);
        prop_assert_eq!(bits(&y), bits(&direct));

        if let Some(turned) = Turned::new(&shape) {
            let mut dx = vec![f32::NAN; data.x.len()];
            turned.pack(Scalar, &data.w, &mut panels);
            turned.add(Scalar, &data.dy, &panels, &mut dx, |dx| dx.fill(0.0));
            prop_assert_eq!(bits(&dx), bits(&data.backward_input(Scalar, &shape, 0)));
        }

        let direct = data.backward_weights(Scalar, &shape, shape.weights());
        let (first, patch) = (first % shape.out_c as usize, shape.patch());
        let mut dw = vec![0.0; direct.len() - first * patch];
        packed::backward_weights(Scalar, &shape, (first, shape.out_c as usize - first), &data.x, &data.dy, &mut dw);
        prop_assert_eq!(bits(&dw), bits(&direct[first * patch..]));
    }

    /// Several panels of filters, and vectors of channels.
    #[test]
    fn every_token_agrees_on_many_channels(
        (v, h) in (axes(1..2), axes(1..2)), in_c in 1u32..70, out_c in 1u32..70, seed: u64, tile in 1usize..40,
    ) {
        let shape = shape_of(v, h, (1, in_c, out_c));
        let data = Data::new(&shape, 2, seed);
        for id in IsaId::ALL {
            for threads in [Threads::ONE, Threads::new(3)] {
                let task = Agrees { shape: &shape, samples: 2, data: &data, tile };
                let _ = run_on(Processor { isa: id, threads }, task);
            }
        }
    }

    /// Exact tokens give the scalar token's bits; the others stay within rounding.
    #[test]
    fn every_token_agrees(shape in shapes(), samples in 1usize..4, seed: u64, tile in 1usize..40) {
        let data = Data::new(&shape, samples, seed);
        for id in IsaId::ALL {
            let _ = run_on(id, Agrees { shape: &shape, samples, data: &data, tile });
        }
    }

    #[test]
    fn records_run_their_kernels(shape in shapes(), samples in 1usize..4, seed: u64, tile in 1u32..20) {
        let data = Data::new(&shape, samples, seed);
        let (x_len, w_len, b_len, y_len) = (data.x.len(), data.w.len(), data.b.len(), data.dy.len());
        let place = |elements: usize| Ref::arena(4 * elements as u32);

        let [x, w, b, y] = [0, x_len, x_len + w_len, x_len + w_len + b_len].map(place);
        let mut arena = [&data.x[..], &data.w, &data.b, &data.dy].concat();
        let record = ForwardF32 { shape, x, w, b, y, scratch: Scratch::NONE, lo: -0.5, hi: 0.5 };
        run(&record, &mut arena, samples, REVEAL);
        let expected: Vec<f32> = data.forward(Scalar, &shape, 0).iter().map(|y| y.clamp(-0.5, 0.5)).collect();
        prop_assert_eq!(&arena[x_len + w_len + b_len..], expected);

        let [dy, w, dx] = [0, y_len, y_len + w_len].map(place);
        let mut arena = [&data.dy[..], &data.w, &data.x].concat();
        run(&BackwardInputF32 { shape, dy, w, dx, scratch: Scratch::NONE }, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[y_len + w_len..], data.backward_input(Scalar, &shape, 0));

        let [x, dy, w, b, at] = [0, x_len, x_len + y_len, x_len + y_len + w_len, x_len + y_len + w_len + b_len].map(place);
        let mut arena = [&data.x[..], &data.dy, &vec![0.0; w_len + b_len + tile as usize]].concat();
        let trained =
            Trained { w, b, w_state: Ref::NONE, b_state: Ref::NONE, tile: at, tile_elements: tile, slots: 0 };
        let record = BackwardWeightsF32 { shape, x, dy, trained };
        run(&record, &mut arena, samples, REVEAL);
        let found: Vec<f32> = arena[x_len + y_len..][..w_len + b_len].iter().map(|w| -w).collect();
        prop_assert_eq!(&found[..w_len], data.backward_weights(Scalar, &shape, w_len));
        let numeric = numeric_gradient(&data.b, |b| {
            weighted(&reference(&shape, &wide(&data.x), &wide(&data.w), b), &data.dy)
        });
        let terms = y_len / b_len;
        assert_close(&found[w_len..], &numeric, terms, &vec![terms as f32; b_len]);
    }
}

#[test]
fn contradictory_shapes_are_refused() {
    let axis = Axis { input: 5, output: 3, kernel: 3, stride: 1, dilation: 1, pad: 0 };
    let shape = shape_of(axis, axis, (2, 2, 3));
    assert!(shape.is_valid());
    assert!(!Conv2d { groups: 0, ..shape }.is_valid());
    assert!(!Conv2d { groups: 4, ..shape }.is_valid(), "4 groups do not divide 6 filters");
    assert!(
        !shape_of(axis, Axis { output: 6, ..axis }, (2, 2, 3)).is_valid(),
        "the last window would begin behind the input"
    );
    assert!(!shape_of(Axis { stride: 0, ..axis }, axis, (2, 2, 3)).is_valid());
    assert!(!Conv2d { in_c: u32::MAX, out_c: u32::MAX, groups: 1, ..shape }.is_valid());
}

#[test]
fn scratch_is_only_for_tokens_that_pack() {
    let axis = Axis { input: 64, output: 64, kernel: 3, stride: 1, dilation: 1, pad: 1 };
    let shape = shape_of(axis, axis, (1, 16, 16));
    assert_eq!(scratch_elements(&shape, IsaId::Scalar), 0);
    assert_eq!(scratch_elements(&shape, IsaId::Avx2), shape.weights());
    let axis = Axis { kernel: 1, pad: 0, ..axis };
    assert_eq!(scratch_elements(&shape_of(axis, axis, (1, 16, 16)), IsaId::Avx2), 0, "a matrix already");
}
