//! Tests of the depthwise convolution against its definition in f64.

use super::*;
use crate::arch::{Isa, IsaId, Processor, Scalar, Task, Threads, run_on};
use crate::kernels::testing::*;
use crate::kernels::trained::Trained;
use crate::kernels::window::Axis;
use crate::optim::Store;
use crate::plan::Ref;
use crate::rng::Rng;
use proptest::prelude::*;
use std::format;
use std::vec;
use std::vec::Vec;

fn shape_of(height: Axis, width: Axis, in_c: u32, multiplier: u32) -> DepthwiseConv2d {
    DepthwiseConv2d { window: Window2d { height, width }, in_c, out_c: in_c * multiplier, multiplier }
}

fn shapes() -> impl Strategy<Value = DepthwiseConv2d> {
    (axes(1..3), axes(1..3), 1u32..4, 1u32..4).prop_map(|(v, h, in_c, multiplier)| shape_of(v, h, in_c, multiplier))
}

/// Calls `visit(x, w, y)` with the places that every product of one sample joins, by output, then filter weight.
fn products(shape: &DepthwiseConv2d, mut visit: impl FnMut(usize, usize, usize)) {
    let (in_c, out_c) = (shape.in_c as usize, shape.out_c as usize);
    for (pixel, taps) in taps_of_pixels(&shape.window).into_iter().enumerate() {
        for c in 0..out_c {
            for (tap, at) in &taps {
                visit(at * in_c + c / shape.multiplier as usize, tap * out_c + c, pixel * out_c + c);
            }
        }
    }
}

/// The definition, straight from the index formula.
fn reference(shape: &DepthwiseConv2d, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len() / shape.in_elements() * shape.out_elements()];
    for (x, y) in x.chunks(shape.in_elements()).zip(y.chunks_mut(shape.out_elements())) {
        for (y, b) in y.iter_mut().zip(b.iter().cycle()) {
            *y = *b;
        }
        products(shape, |x_at, w_at, y_at| y[y_at] += x[x_at] * w[w_at]);
    }
    y
}

fn taps(shape: &DepthwiseConv2d) -> usize {
    shape.window.taps()
}

struct Data {
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Data {
    fn new(shape: &DepthwiseConv2d, samples: usize, seed: u64) -> Self {
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

    /// What training computes on a token, weights by gradient descent with rate 1.
    fn train<I: Isa>(&self, isa: I, shape: &DepthwiseConv2d, samples: usize) -> [Vec<f32>; 3] {
        let (mut y, mut dx) = (vec![f32::NAN; self.dy.len()], vec![f32::NAN; self.x.len()]);
        forward_f32(isa, shape, &self.x, &self.w, &self.b, 0.0, 6.0, &mut y);
        backward_input_f32(isa, shape, &self.dy, &self.w, &mut dx);
        let weights = self.w.len();
        let place = |elements: usize| Ref::arena(4 * elements as u32);
        let [x, dy, w, tile] = [0, dx.len(), dx.len() + y.len(), dx.len() + y.len() + weights].map(place);
        let none = Ref::NONE;
        let trained =
            Trained { w, b: none, w_state: none, b_state: none, tile, tile_elements: weights as u32, slots: 0 };
        let mut arena = [&self.x[..], &self.dy, &self.w, &vec![f32::NAN; weights]].concat();
        run_with(isa, &BackwardWeightsF32 { shape: *shape, x, dy, trained }, &mut arena, samples, REVEAL);
        [y, dx, arena[self.x.len() + self.dy.len()..][..weights].to_vec()]
    }

    fn forward(&self, shape: &DepthwiseConv2d) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.dy.len()];
        forward_f32(Scalar, shape, &self.x, &self.w, &self.b, f32::NEG_INFINITY, f32::INFINITY, &mut y);
        y
    }

    fn backward_input(&self, shape: &DepthwiseConv2d) -> Vec<f32> {
        let mut dx = vec![f32::NAN; self.x.len()];
        backward_input_f32(Scalar, shape, &self.dy, &self.w, &mut dx);
        dx
    }

    fn backward_weights(&self, shape: &DepthwiseConv2d, tile: usize) -> Vec<f32> {
        let mut dw = vec![f32::NAN; self.w.len()];
        backward_weights_f32(Scalar, shape, &self.x, &self.dy, &mut vec![f32::NAN; tile], &mut Store(&mut dw));
        dw
    }
}

proptest! {
    #[test]
    fn forward_matches_its_definition(shape in shapes(), samples in 1usize..4, seed: u64) {
        prop_assert!(shape.is_valid());
        let data = Data::new(&shape, samples, seed);
        let expected = reference(&shape, &wide(&data.x), &wide(&data.w), &wide(&data.b));
        assert_close(&data.forward(&shape), &expected, taps(&shape) + 1, &data.absolute().forward(&shape));
    }

    #[test]
    fn backward_matches_finite_differences(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let (x, w) = (wide(&data.x), wide(&data.w));

        let numeric = numeric_gradient(&data.x, |x| weighted(&reference(&shape, x, &w, &[]), &data.dy));
        let terms = taps(&shape) * shape.multiplier as usize;
        assert_close(&data.backward_input(&shape), &numeric, terms, &data.absolute().backward_input(&shape));

        let numeric = numeric_gradient(&data.w, |w| weighted(&reference(&shape, &x, w, &[]), &data.dy));
        let terms = samples * shape.window.out_pixels();
        let dw = data.backward_weights(&shape, shape.weights());
        assert_close(&dw, &numeric, terms, &data.absolute().backward_weights(&shape, shape.weights()));
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
        prop_assert_eq!(bits(&data.forward(&shape)), bits(&y));
        prop_assert_eq!(bits(&data.backward_input(&shape)), bits(&dx));
        prop_assert_eq!(bits(&data.backward_weights(&shape, shape.weights())), bits(&dw));
    }

    #[test]
    fn tiles_do_not_change_bits(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let whole = bits(&data.backward_weights(&shape, shape.weights()));
        for tile in 1..=shape.weights() + 1 {
            prop_assert_eq!(&bits(&data.backward_weights(&shape, tile)), &whole, "tile {}", tile);
        }
    }

    #[test]
    fn records_run_their_kernels(shape in shapes(), samples in 1usize..4, seed: u64, tile in 1u32..20) {
        let data = Data::new(&shape, samples, seed);
        let (x_len, w_len, b_len, y_len) = (data.x.len(), data.w.len(), data.b.len(), data.dy.len());
        let place = |elements: usize| Ref::arena(4 * elements as u32);

        let [x, w, b, y] = [0, x_len, x_len + w_len, x_len + w_len + b_len].map(place);
        let mut arena = [&data.x[..], &data.w, &data.b, &data.dy].concat();
        run(&ForwardF32 { shape, x, w, b, y, lo: -0.5, hi: 0.5 }, &mut arena, samples, REVEAL);
        let expected: Vec<f32> = data.forward(&shape).iter().map(|y| y.clamp(-0.5, 0.5)).collect();
        prop_assert_eq!(&arena[x_len + w_len + b_len..], expected);

        let [dy, w, dx] = [0, y_len, y_len + w_len].map(place);
        let mut arena = [&data.dy[..], &data.w, &data.x].concat();
        run(&BackwardInputF32 { shape, dy, w, dx }, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[y_len + w_len..], data.backward_input(&shape));

        let parameters = x_len + y_len;
        let [x, dy, w, b, at] = [0, x_len, parameters, parameters + w_len, parameters + w_len + b_len].map(place);
        let mut arena = [&data.x[..], &data.dy, &vec![0.0; w_len + b_len + tile as usize]].concat();
        let trained =
            Trained { w, b, w_state: Ref::NONE, b_state: Ref::NONE, tile: at, tile_elements: tile, slots: 0 };
        run(&BackwardWeightsF32 { shape, x, dy, trained }, &mut arena, samples, REVEAL);
        let found: Vec<f32> = arena[parameters..][..w_len + b_len].iter().map(|w| -w).collect();
        prop_assert_eq!(&found[..w_len], data.backward_weights(&shape, w_len));
        let numeric = numeric_gradient(&data.b, |b| {
            weighted(&reference(&shape, &wide(&data.x), &wide(&data.w), b), &data.dy)
        });
        let terms = y_len / b_len;
        assert_close(&found[w_len..], &numeric, terms, &vec![terms as f32; b_len]);
    }
}

/// Channels that fill vectors, whole groups of them and neither; strides, dilation and padding that leave taps beside
/// the input; several threads.
#[test]
fn tokens_and_threads_give_the_scalar_results() {
    struct Train<'a>(&'a Data, &'a DepthwiseConv2d);
    impl Task for Train<'_> {
        type Output = [Vec<f32>; 3];
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            self.0.train(isa, self.1, 3)
        }
    }
    let axis = |input, output, kernel, stride, dilation, pad| Axis { input, output, kernel, stride, dilation, pad };
    let axes = [
        (axis(7, 7, 3, 1, 1, 1), axis(5, 5, 3, 1, 1, 1)),
        (axis(9, 5, 3, 2, 1, 1), axis(6, 3, 3, 2, 1, 0)),
        (axis(8, 4, 3, 1, 2, 0), axis(8, 8, 5, 1, 1, 2)),
        (axis(2, 2, 3, 1, 1, 1), axis(1, 3, 3, 1, 1, 2)),
    ];
    for (height, width) in axes {
        for channels in [1, 5, 16, 19, 32, 64] {
            let shape = shape_of(height, width, channels, 1);
            assert!(shape.is_valid());
            let data = Data::new(&shape, 3, 9);
            let scalar = data.train(Scalar, &shape, 3);
            for (isa, threads) in IsaId::ALL.into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let processor = Processor { isa, threads: Threads::new(threads) };
                let Some(found) = run_on(processor, Train(&data, &shape)) else { continue };
                let what = format!("{}, {threads} threads, {shape:?}", isa.name());
                for (found, expected) in found.iter().zip(&scalar).take(2) {
                    assert_eq!(bits(found), bits(expected), "{what}");
                }
                // A token that packs may take its outputs in another order: a rounding for each of them, of a sum of so
                // many products of size 1.
                let terms = (3 * shape.window.out_pixels()) as f32;
                let most = if isa.packs() { terms * terms * f32::EPSILON } else { 0.0 };
                assert!(found[2].iter().zip(&scalar[2]).all(|(a, b)| (a - b).abs() <= most), "{what}");
            }
        }
    }
}

#[test]
fn contradictory_shapes_are_refused() {
    let axis = Axis { input: 5, output: 3, kernel: 3, stride: 1, dilation: 1, pad: 0 };
    let shape = shape_of(axis, axis, 2, 3);
    assert!(shape.is_valid());
    assert!(!DepthwiseConv2d { multiplier: 0, ..shape }.is_valid());
    assert!(!DepthwiseConv2d { out_c: 5, ..shape }.is_valid());
    assert!(
        !shape_of(axis, Axis { output: 6, ..axis }, 2, 3).is_valid(),
        "the last window would begin behind the input"
    );
    assert!(!DepthwiseConv2d { in_c: 1 << 31, multiplier: 2, ..shape }.is_valid());
}
