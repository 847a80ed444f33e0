//! Tests of the dense layer against its definition in f64.

use super::*;
use crate::arch::{IsaId, Processor, Scalar, Task, Threads, run_on};
use crate::kernels::testing::*;
use crate::kernels::util::bias_backward;
use crate::optim::{OptimizerRecord, Store};
use crate::plan::Ref;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// The definition, straight from the index formula.
fn reference(shape: &Dense, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let (inputs, outputs) = shape.dims();
    x.chunks(inputs)
        .flat_map(|x| {
            (0..outputs).map(move |o| {
                let products = x.iter().zip(&w[o * inputs..]).map(|(x, w)| x * w);
                b.get(o).copied().unwrap_or(0.0) + products.sum::<f64>()
            })
        })
        .collect()
}

struct Data {
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Data {
    fn new(shape: &Dense, samples: usize, seed: u64) -> Self {
        let ((inputs, outputs), mut rng) = (shape.dims(), Rng::new(seed));
        Self {
            x: noise(&mut rng, samples * inputs),
            w: noise(&mut rng, inputs * outputs),
            b: noise(&mut rng, outputs),
            dy: noise(&mut rng, samples * outputs),
        }
    }

    fn absolute(&self) -> Self {
        Self { x: absolute(&self.x), w: absolute(&self.w), b: absolute(&self.b), dy: absolute(&self.dy) }
    }

    fn forward(&self, shape: &Dense) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.dy.len()];
        forward_f32(Scalar, shape, &self.x, &self.w, &self.b, f32::NEG_INFINITY, f32::INFINITY, &mut y);
        y
    }

    fn backward_input(&self, shape: &Dense) -> Vec<f32> {
        let mut dx = vec![f32::NAN; self.x.len()];
        backward_input_f32(Scalar, shape, &self.dy, &self.w, &mut dx);
        dx
    }

    fn backward_weights(&self, shape: &Dense, tile: usize) -> Vec<f32> {
        let mut dw = vec![f32::NAN; self.w.len()];
        backward_weights_f32(Scalar, shape, &self.x, &self.dy, &mut vec![f32::NAN; tile], &mut Store(&mut dw));
        dw
    }

    fn backward_bias(&self, shape: &Dense, tile: usize) -> Vec<f32> {
        let mut db = vec![f32::NAN; self.b.len()];
        bias_backward(shape.dims().1, &self.dy, &mut vec![f32::NAN; tile], &mut Store(&mut db));
        db
    }
}

fn shapes() -> impl Strategy<Value = Dense> {
    (1u32..10, 1u32..10).prop_map(|(inputs, outputs)| Dense { inputs, outputs })
}

proptest! {
    #[test]
    fn forward_matches_its_definition(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let expected = reference(&shape, &wide(&data.x), &wide(&data.w), &wide(&data.b));
        let roundings = shape.inputs as usize + 1;
        assert_close(&data.forward(&shape), &expected, roundings, &data.absolute().forward(&shape));
    }

    #[test]
    fn backward_matches_finite_differences(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let (x, w, b) = (wide(&data.x), wide(&data.w), wide(&data.b));
        let magnitude = data.absolute();

        let numeric = numeric_gradient(&data.x, |x| weighted(&reference(&shape, x, &w, &b), &data.dy));
        let found = data.backward_input(&shape);
        assert_close(&found, &numeric, shape.outputs as usize, &magnitude.backward_input(&shape));

        let numeric = numeric_gradient(&data.w, |w| weighted(&reference(&shape, &x, w, &b), &data.dy));
        let found = data.backward_weights(&shape, data.w.len());
        assert_close(&found, &numeric, samples, &magnitude.backward_weights(&shape, data.w.len()));

        let numeric = numeric_gradient(&data.b, |b| weighted(&reference(&shape, &x, &w, b), &data.dy));
        let found = data.backward_bias(&shape, data.b.len());
        assert_close(&found, &numeric, samples, &magnitude.backward_bias(&shape, data.b.len()));
    }

    /// The order of sums that every target keeps.
    #[test]
    fn sums_run_in_the_promised_order(shape in shapes(), samples in 1usize..4, seed: u64) {
        let ((inputs, outputs), data) = (shape.dims(), Data::new(&shape, samples, seed));
        let Data { x, w, b, dy } = &data;
        let mut y: Vec<f32> = b.iter().copied().cycle().take(dy.len()).collect();
        let (mut dx, mut dw, mut db) = (vec![0.0f32; x.len()], vec![0.0f32; w.len()], vec![0.0f32; b.len()]);
        for sample in 0..samples {
            for o in 0..outputs {
                let at = sample * outputs + o;
                for i in 0..inputs {
                    y[at] += x[sample * inputs + i] * w[o * inputs + i];
                    dx[sample * inputs + i] += dy[at] * w[o * inputs + i];
                    dw[o * inputs + i] += dy[at] * x[sample * inputs + i];
                }
                db[o] += dy[at];
            }
        }
        prop_assert_eq!(bits(&data.forward(&shape)), bits(&y));
        prop_assert_eq!(bits(&data.backward_input(&shape)), bits(&dx));
        prop_assert_eq!(bits(&data.backward_weights(&shape, w.len())), bits(&dw));
        prop_assert_eq!(bits(&data.backward_bias(&shape, b.len())), bits(&db));
    }

    #[test]
    fn tiles_do_not_change_bits(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let whole = bits(&data.backward_weights(&shape, data.w.len()));
        let whole_bias = bits(&data.backward_bias(&shape, data.b.len()));
        for tile in 1..=data.w.len() + 1 {
            prop_assert_eq!(&bits(&data.backward_weights(&shape, tile)), &whole, "tile {}", tile);
            prop_assert_eq!(&bits(&data.backward_bias(&shape, tile)), &whole_bias, "tile {}", tile);
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
        // Without a tile, it takes one from the stack.
        for (at, tile) in [(at, tile), (Ref::NONE, 0)] {
            let mut arena = [&data.x[..], &data.dy, &vec![0.0; w_len + b_len + tile as usize]].concat();
            let trained =
                Trained { w, b, w_state: Ref::NONE, b_state: Ref::NONE, tile: at, tile_elements: tile, slots: 0 };
            run(&weights_step(shape, x, dy, trained), &mut arena, samples, REVEAL);
            let found: Vec<f32> = arena[parameters..][..w_len + b_len].iter().map(|w| -w).collect();
            prop_assert_eq!(&found[..w_len], data.backward_weights(&shape, w_len));
            prop_assert_eq!(&found[w_len..], data.backward_bias(&shape, b_len));
        }
    }
}

/// Without the gradient of the input.
fn weights_step(shape: Dense, x: Ref, dy: Ref, trained: Trained) -> BackwardWeightsF32 {
    BackwardWeightsF32 { shape, x, dy, trained, dx: Ref::NONE, relu: 0.0 }
}

/// One step makes what two make: the gradient of the input by the weights as they were, and the limits of the layer
/// before.
#[test]
fn the_gradient_of_the_input_comes_before_the_update() {
    let (shape, samples) = (Dense { inputs: 7, outputs: 5 }, 2);
    let data = Data::new(&shape, samples, 3);
    let (x_len, y_len, w_len) = (data.x.len(), data.dy.len(), data.w.len());
    let [x, dy, w, dx] = [0, x_len, x_len + y_len, x_len + y_len + w_len].map(|at| Ref::arena(4 * at as u32));
    let none = Ref::NONE;
    let trained = Trained { w, b: none, w_state: none, b_state: none, tile: none, tile_elements: 0, slots: 0 };
    for relu in [0.0, f32::INFINITY, 0.25] {
        let record = BackwardWeightsF32 { dx, relu, ..weights_step(shape, x, dy, trained) };
        let mut arena = [&data.x[..], &data.dy, &data.w, &vec![f32::NAN; x_len]].concat();
        run(&record, &mut arena, samples, OptimizerRecord::sgd(0.5));
        let mut expected = data.backward_input(&shape);
        let is_out = |x: f32| relu > 0.0 && !(0.0 < x && x < relu);
        expected.iter_mut().zip(&data.x).filter(|(_, x)| is_out(**x)).for_each(|(dx, _)| *dx = 0.0);
        assert_eq!(bits(&arena[x_len + y_len + w_len..]), bits(&expected));
        let gradient = data.backward_weights(&shape, w_len);
        let learned: Vec<f32> = data.w.iter().zip(&gradient).map(|(w, g)| w - 0.5 * g).collect();
        assert_eq!(bits(&arena[x_len + y_len..][..w_len]), bits(&learned));
    }
    let frozen = Trained { w: none, ..trained };
    assert!(!BackwardWeightsF32 { dx, ..weights_step(shape, x, dy, frozen) }.shape_is_valid());
}

#[test]
fn a_row_longer_than_the_tile_of_the_stack() {
    let (shape, samples) = (Dense { inputs: 75, outputs: 3 }, 2);
    let data = Data::new(&shape, samples, 1);
    let (x_len, y_len) = (data.x.len(), data.dy.len());
    let [x, dy, w] = [0, x_len, x_len + y_len].map(|elements| Ref::arena(4 * elements as u32));
    let none = Ref::NONE;
    let trained = Trained { w, b: none, w_state: none, b_state: none, tile: none, tile_elements: 0, slots: 0 };
    let mut arena = [&data.x[..], &data.dy, &[0.0; 75 * 3]].concat();
    run(&weights_step(shape, x, dy, trained), &mut arena, samples, REVEAL);
    let found: Vec<f32> = arena[x_len + y_len..].iter().map(|w| -w).collect();
    assert_eq!(found, data.backward_weights(&shape, 75 * 3));
    // Narrow state needs room for a block.
    let record = weights_step(shape, x, dy, Trained { w_state: Ref::arena(0), slots: 0x101, ..trained });
    assert!(!record.shape_is_valid());
}

/// Parameters may be frozen, or absent: their places are then none and nothing else changes.
#[test]
fn frozen_parameters_stay() {
    let shape = Dense { inputs: 2, outputs: 1 };
    let [x, dy, w, b, tile] = [0, 8, 12, 20, 24].map(Ref::arena);
    let all = Trained { w, b, w_state: Ref::NONE, b_state: Ref::NONE, tile, tile_elements: 2, slots: 0 };
    let trained = |trained: Trained| {
        let mut arena = [2.0, 3.0, 0.5, 10.0, 20.0, 30.0, 0.0, 0.0];
        run(&weights_step(shape, x, dy, trained), &mut arena, 1, OptimizerRecord::sgd(1.0));
        [arena[3], arena[4], arena[5]]
    };
    assert_eq!(trained(all), [9.0, 18.5, 29.5]);
    assert_eq!(trained(Trained { w: Ref::NONE, ..all }), [10.0, 20.0, 29.5]);
    assert_eq!(trained(Trained { b: Ref::NONE, ..all }), [9.0, 18.5, 30.0]);
}

proptest! {
    #[test]
    fn weights_input_by_input_give_the_same_bits(shape in shapes(), samples in 1usize..4, seed: u64) {
        let data = Data::new(&shape, samples, seed);
        let (inputs, outputs) = shape.dims();
        let across: Vec<f32> = (0..inputs).flat_map(|i| data.w.iter().skip(i).step_by(inputs).copied()).collect();
        let (lo, hi) = (-0.25, 0.5);
        for isa in IsaId::ALL {
            let mut both = [vec![f32::NAN; samples * outputs], vec![f32::NAN; samples * outputs]];
            let processor = Processor { isa, threads: Threads::new(2) };
            run_on(processor, Both { shape: &shape, data: &data, across: &across, limits: (lo, hi), y: &mut both });
            prop_assert_eq!(bits(&both[0]), bits(&both[1]), "{}", isa.name());
        }
    }
}

struct Both<'a> {
    shape: &'a Dense,
    data: &'a Data,
    across: &'a [f32],
    limits: (f32, f32),
    y: &'a mut [Vec<f32>; 2],
}

impl Task for Both<'_> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        let Self { shape, data, across, limits, y: [plain, other] } = self;
        forward_f32(isa, shape, &data.x, &data.w, &data.b, limits.0, limits.1, plain);
        forward_across_f32(isa, shape, &data.x, across, &data.b, limits, other);
    }
}
