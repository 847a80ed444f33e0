//! Recurrent layers: LSTM, f32, int8 and int16, and GRU.

use super::steps::Constant;
use super::{Case, Expected, Values, bytes, reals, wide};
use embernet::quant::fixed_point::fold_bias;
use embernet::quant::fixed_point::int16::sigmoid_table;
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::lstm::{Cell, ForwardF32, ForwardInt, Gates};
use embernet_core::kernels::requantize::Rescale;
use embernet_core::kernels::{gru, recurrent::Recurrent};
use embernet_core::rng::Rng;

/// By how much an f32 state may be off: its gates are sums of up to some hundred terms of magnitude 1, sigmoid and
/// tanh shrink differences, and what a step adds to the cell is kept by the next ones; sixteen steps of gates that
/// err by 16 roundings each.
const BOUND: f64 = 256.0 * super::naive::ROUNDOFF;

/// The parameters of an integer LSTM, gates in the order input, forget, cell, output.
#[derive(Debug, Clone)]
pub struct Int {
    pub shape: Recurrent,
    pub w: Vec<i8>,
    pub r: Vec<i8>,
    pub b: Vec<i64>,
    pub input_zero_point: i32,
    pub of_input: Gates,
    pub of_state: Gates,
    pub forget_to_cell: Rescale,
    pub input_to_cell: Rescale,
    pub to_hidden: Rescale,
    pub zero_point: i32,
    pub cell_power: i32,
    pub cell_clip: i32,
}

impl Int {
    /// An int8 case.
    pub fn i8(self, name: impl Into<String>, x: Vec<i8>, expected: Vec<i8>) -> Case {
        let rows = 4 * self.shape.units as usize;
        let narrow: Vec<i32> = self.b.iter().map(|b| *b as i32).collect();
        let b = fold_bias(&narrow, &self.w, rows, self.input_zero_point);
        let r_bias = fold_bias(&[], &self.r, rows, self.zero_point);
        self.case(name, Width::I8, Values::I8(x), Expected::Exact(expected), (b, r_bias))
    }

    /// An int16 case; it has no zero points.
    pub fn i16(self, name: impl Into<String>, x: Vec<i16>, expected: Vec<i16>) -> Case {
        let (b, r_bias) = (self.b.clone(), Vec::<i64>::new());
        self.case(name, Width::I16, Values::I16(x), Expected::Exact16(expected), (b, r_bias))
    }

    fn case<B: Clone + 'static>(
        self,
        name: impl Into<String>,
        width: Width,
        x: Values,
        expected: Expected,
        (b, r_bias): (Vec<B>, Vec<B>),
    ) -> Case
    where
        Vec<B>: Constant,
    {
        let samples = x.bytes().len() / (self.shape.in_elements() * width.0 as usize);
        Case::new(name, samples, vec![x], expected, move |steps| {
            let l = self.clone();
            let units = l.shape.units as usize;
            let transients = [samples * units * width.0 as usize, 2 * samples * units, 8 * units];
            steps.step_with(&[&l.w, &l.r, &b, &r_bias, &sigmoid_table()], &transients, move |at, [h, c, gates]| {
                let &[w, r, b, r_bias, table] = at.constants else { unreachable!("five constants were given") };
                ForwardInt {
                    shape: l.shape,
                    width,
                    x: at.x[0],
                    w,
                    r,
                    b,
                    r_bias,
                    table,
                    y: at.y,
                    h,
                    c,
                    gates,
                    of_input: l.of_input,
                    of_state: l.of_state,
                    forget_to_cell: l.forget_to_cell,
                    input_to_cell: l.input_to_cell,
                    to_hidden: l.to_hidden,
                    zero_point: l.zero_point,
                    cell_power: l.cell_power,
                    cell_clip: l.cell_clip,
                }
            });
        })
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn product(x: &[f64], w: &[f64], row: usize) -> f64 {
    x.iter().zip(&w[row * x.len()..]).map(|(x, w)| x * w).sum()
}

/// The steps of a sequence in the order of its direction.
fn order(shape: &Recurrent) -> Vec<usize> {
    let time = shape.time as usize;
    if shape.reverse == 0 { (0..time).collect() } else { (0..time).rev().collect() }
}

fn reference(shape: &Recurrent, x: &[f64], [w, r, b, p]: [Vec<f64>; 4]) -> Vec<f64> {
    let (_, inputs, units) = shape.sizes();
    let mut y = vec![0.0; x.len() / inputs * units];
    for (x, y) in x.chunks(shape.in_elements()).zip(y.chunks_mut(shape.out_elements())) {
        let (mut h, mut c) = (vec![0.0; units], vec![0.0; units]);
        for t in order(shape) {
            let x = &x[t * inputs..][..inputs];
            let gate = |row: usize| b.get(row).copied().unwrap_or(0.0) + product(x, &w, row) + product(&h, &r, row);
            let gates: Vec<f64> = (0..4 * units).map(gate).collect();
            let peephole = |gate: usize, u: usize, c: f64| p.get(gate * units + u).map_or(0.0, |p| p * c);
            for u in 0..units {
                let input = sigmoid(gates[u] + peephole(0, u, c[u]));
                let forget = sigmoid(gates[units + u] + peephole(1, u, c[u]));
                c[u] = forget * c[u] + input * gates[2 * units + u].tanh();
                h[u] = sigmoid(gates[3 * units + u] + peephole(2, u, c[u])) * c[u].tanh();
            }
            y[t * units..][..units].copy_from_slice(&h);
        }
    }
    y
}

/// An f32 LSTM that starts from zeros: kernels, bias and, unless empty, peepholes.
pub fn f32(
    name: impl Into<String>,
    shape: Recurrent,
    x: Vec<f32>,
    [w, r, b, p]: [Vec<f32>; 4],
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let truth = reference(&shape, &wide(&x), [&w, &r, &b, &p].map(|v| wide(v)));
    let values = published.unwrap_or_else(|| truth.iter().map(|y| *y as f32).collect());
    let bounds = vec![BOUND; values.len()];
    Case::new(name, samples, vec![Values::F32(x)], Expected::close(values, bounds), move |steps| {
        let units = 4 * shape.units as usize;
        let transients = [samples * units, samples * units, 4 * units];
        steps.step_with(&[&w, &r, &b, &p], &transients, move |at, [h, c, gates]| {
            let &[w, r, b, p] = at.constants else { unreachable!("four constants were given") };
            let none = embernet_core::plan::Ref::NONE;
            let cell = Cell { shape, x: at.x[0], w, r, b, p, h0: none, c0: none };
            ForwardF32 { cell, y: at.y, h, c, gates }
        });
    })
}

fn gru_case(name: &str, shape: Recurrent, reset_after: bool, x: Vec<f32>, parameters: [Vec<f32>; 4]) -> Case {
    let (_, inputs, units) = shape.sizes();
    let [w, r, b, r_bias] = parameters.each_ref().map(|p| wide(p));
    let mut y = vec![0.0; x.len() / inputs * units];
    for (x, y) in wide(&x).chunks(shape.in_elements()).zip(y.chunks_mut(shape.out_elements())) {
        let mut h = vec![0.0; units];
        for t in order(&shape) {
            let x = &x[t * inputs..][..inputs];
            let of_input = |row: usize| b[row] + product(x, &w, row);
            let gate = |row: usize| sigmoid(of_input(row) + product(&h, &r, row) + r_bias[row]);
            let reset: Vec<f64> = (0..units).map(|u| gate(units + u)).collect();
            let scaled: Vec<f64> = h.iter().zip(&reset).map(|(h, r)| h * r).collect();
            let new = |u: usize| {
                let row = 2 * units + u;
                let of_state = if reset_after {
                    reset[u] * (product(&h, &r, row) + r_bias[row])
                } else {
                    product(&scaled, &r, row) + r_bias[row]
                };
                (of_input(row) + of_state).tanh()
            };
            h = (0..units).map(|u| (1.0 - gate(u)) * new(u) + gate(u) * h[u]).collect();
            y[t * units..][..units].copy_from_slice(&h);
        }
    }
    let samples = x.len() / shape.in_elements();
    let expected = Expected::close(y.iter().map(|y| *y as f32).collect(), vec![BOUND; y.len()]);
    Case::new(name, samples, vec![Values::F32(x)], expected, move |steps| {
        let [w, r, b, r_bias] = &parameters;
        let reset_after = reset_after.into();
        steps.step_with(&[w, r, b, r_bias], &[4 * samples * units, 28 * units], move |at, [h, scratch]| {
            let &[w, r, b, r_bias] = at.constants else { unreachable!("four constants were given") };
            let h0 = embernet_core::plan::Ref::NONE;
            let cell = gru::Cell { shape, reset_after, x: at.x[0], w, r, b, r_bias, h0 };
            gru::ForwardF32 { cell, y: at.y, h, scratch }
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    let shape = Recurrent { time: 9, inputs: 6, units: 5, reverse: 0 };
    for (name, shape) in [("forward", shape), ("reverse", Recurrent { reverse: 1, ..shape })] {
        let x = reals(rng, 2 * shape.in_elements());
        let parameters = [reals(rng, 120), reals(rng, 100), reals(rng, 20), vec![]];
        all.push(f32(format!("lstm/f32/{name}"), shape, x.clone(), parameters, None));
        for reset_after in [false, true] {
            let parameters = [reals(rng, 90), reals(rng, 75), reals(rng, 15), reals(rng, 15)];
            let name = format!("gru/f32/{name}-{}", if reset_after { "reset-after" } else { "reset-before" });
            all.push(gru_case(&name, shape, reset_after, x.clone(), parameters));
        }
    }
    let parameters = [reals(rng, 120), reals(rng, 100), reals(rng, 20), reals(rng, 15)];
    let x = reals(rng, 2 * shape.in_elements());
    all.push(f32("lstm/f32/peepholes", shape, x, parameters, None));
    // Gates of the greatest magnitude: both functions at their ends. With input and output gates at one and the
    // forget gate at zero, the state is tanh(tanh(8)), 97 of 128.
    let gate = Rescale { multiplier: 1 << 30, shift: 5 };
    let gates = Gates { input: gate, forget: gate, cell: gate, output: gate };
    let product = Rescale { multiplier: 1 << 30, shift: -14 };
    let b = [[20_000; 5], [-20_000; 5], [20_000; 5], [20_000; 5]].concat();
    let layer = Int {
        shape,
        w: vec![0; 120],
        r: vec![0; 100],
        b,
        input_zero_point: 3,
        of_input: gates,
        of_state: gates,
        forget_to_cell: product,
        input_to_cell: product,
        to_hidden: Rescale { multiplier: 1 << 30, shift: -22 },
        zero_point: -1,
        cell_power: -15,
        cell_clip: 0,
    };
    let x = bytes(rng, shape.in_elements());
    all.push(layer.i8("lstm/i8/saturated", x, vec![96; shape.out_elements()]));
    all
}
