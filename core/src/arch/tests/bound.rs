//! The error bounds that `docs/numerics.md` derives, on every token.

use super::gemm::{FORMS, Matrices};
use super::{Suite, on_every_token};
use crate::arch::{Gemm, Isa, IsaId, Scalar, Task, run_on};
use crate::kernels::dense::{Dense, backward_input_f32, backward_weights_f32, forward_f32};
use crate::optim::{Optimizer, OptimizerRecord, Store};
use crate::rng::Rng;
use std::vec::Vec;

/// Half the distance from 1 to the next float.
const U: f64 = 1.0 / 16_777_216.0;

/// What `roundings` roundings can make of 1, less 1.
fn gamma(roundings: usize) -> f64 {
    let total = roundings as f64 * U;
    total / (1.0 - total)
}

/// What `products` that underflow can add.
fn underflow(products: usize) -> f64 {
    products as f64 * f64::from(f32::from_bits(1))
}

/// Against f64, whose own error is `2^-29` of what is allowed.
#[derive(Clone, Copy)]
struct Products;

impl Suite for Products {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(31);
        for round in 0..100 {
            let mut below = |bound| 1 + rng.below(bound) as usize;
            let (m, n, k) = (below(40), below(70), below(900));
            let g = FORMS[round % FORMS.len()].shape(m, n, k, round % 3);
            // Every other round is scaled down until most products underflow.
            let scale = if round % 2 == 0 { 1.0 } else { 1e-21 };
            let Matrices { a, b, c } = Matrices::new(&g, &mut rng, |_, rng| scale * rng.uniform_f32(-1.0, 1.0));
            let mut found = c.get().to_vec();
            isa.gemm_f32(&g, a.get(), b.get(), &mut found);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let at = i * g.c_row + j;
                let (mut sum, mut size) = (f64::from(c.get()[at]), f64::from(c.get()[at]).abs());
                for p in 0..k {
                    let (a, b) = (a.get()[i * g.a_row + p * g.a_col], b.get()[p * g.b_row + j * g.b_col]);
                    let product = f64::from(a) * f64::from(b);
                    (sum, size) = (sum + product, size + product.abs());
                }
                let (error, bound) = ((f64::from(found[at]) - sum).abs(), gamma(k + 1) * size + underflow(k));
                assert!(error <= bound, "{} {g:?}: {error:e} > {bound:e}", I::ID.name());
            }
        }
    }
}

#[test]
fn products_stay_within_the_bound() {
    on_every_token(Products);
}

#[derive(Clone, Copy)]
struct Dots;

impl Suite for Dots {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(32);
        for len in 0..600 {
            let mut noise = || -> Vec<f32> { (0..len).map(|_| rng.uniform_f32(-1.0, 1.0)).collect() };
            let (a, b) = (noise(), noise());
            let products = || a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b));
            let (sum, size) = (0.5 + products().sum::<f64>(), 0.5 + products().map(f64::abs).sum::<f64>());
            let error = (f64::from(isa.dot_f32(0.5, &a, &b)) - sum).abs();
            assert!(error <= gamma(len + 1) * size + underflow(len), "{} length {len}: {error:e}", I::ID.name());
        }
    }
}

#[test]
fn dots_stay_within_the_bound() {
    on_every_token(Dots);
}

/// One step of gradient descent on a network of two layers, as far as the forward and backward kernels go.
#[derive(Clone, Copy)]
struct Step<'a> {
    net: &'a Net,
}

struct Net {
    samples: usize,
    first: Dense,
    second: Dense,
    x: Vec<f32>,
    target: Vec<f32>,
    w1: Vec<f32>,
    b1: Vec<f32>,
    w2: Vec<f32>,
    b2: Vec<f32>,
}

/// What a step computes, in the order in which it does.
#[derive(Clone, Debug, PartialEq)]
struct Trace {
    z: Vec<f32>,
    h: Vec<f32>,
    y: Vec<f32>,
    dy: Vec<f32>,
    dh: Vec<f32>,
    dz: Vec<f32>,
    dw2: Vec<f32>,
    dw1: Vec<f32>,
    w2: Vec<f32>,
    w1: Vec<f32>,
}

const LR: f32 = 0.1;

impl Task for Step<'_> {
    type Output = Trace;

    fn run<I: Isa>(self, isa: I) -> Trace {
        let Net { samples, first, second, x, target, w1, b1, w2, b2 } = self.net;
        let (hidden, outputs) = (first.outputs as usize, second.outputs as usize);
        let (inf, zeros) = (f32::INFINITY, |len| std::vec![0.0f32; len]);
        let (mut z, mut y) = (zeros(samples * hidden), zeros(samples * outputs));
        forward_f32(isa, first, x, w1, b1, -inf, inf, &mut z);
        let mut h = z.clone();
        isa.clamp_f32(0.0, inf, &mut h);
        forward_f32(isa, second, &h, w2, b2, -inf, inf, &mut y);
        let mut dy = y.clone();
        crate::loss::mean_squared_error(isa, outputs, 1, target, &mut dy);
        let (mut dw1, mut dw2, mut tile) = (zeros(w1.len()), zeros(w2.len()), zeros(64));
        backward_weights_f32(isa, second, &h, &dy, &mut tile, &mut Store(&mut dw2));
        let mut dh = zeros(h.len());
        backward_input_f32(isa, second, &dy, w2, &mut dh);
        let dz: Vec<f32> = dh.iter().zip(&h).map(|(dh, h)| if *h > 0.0 { *dh } else { 0.0 }).collect();
        backward_weights_f32(isa, first, x, &dz, &mut tile, &mut Store(&mut dw1));
        let optimizer = Optimizer::at_step(OptimizerRecord::sgd(LR), 1);
        let (mut w1, mut w2) = (w1.clone(), w2.clone());
        isa.sgd_f32(&optimizer, &dw1, &mut w1);
        isa.sgd_f32(&optimizer, &dw2, &mut w2);
        Trace { z, h, y, dy, dh, dz, dw2, dw1, w2, w1 }
    }
}

/// Values of the scalar token and how far another token may be from each.
#[derive(Clone)]
struct Known {
    value: Vec<f64>,
    bound: Vec<f64>,
}

impl Known {
    fn exactly(values: &[f32]) -> Self {
        Self { value: values.iter().map(|v| f64::from(*v)).collect(), bound: std::vec![0.0; values.len()] }
    }

    fn within(values: &[f32], bound: Vec<f64>) -> Self {
        Self { bound, ..Self::exactly(values) }
    }

    /// The bound of a product `c + A B` of such matrices: what A's and B's differences make of it, and the roundings
    /// of both tokens.
    fn product(g: &Gemm, a: &Known, b: &Known, c: &[f32]) -> Vec<f64> {
        let places = (0..g.m).flat_map(|i| (0..g.n).map(move |j| (i, j)));
        let element = |(i, j): (usize, usize)| {
            let (mut inherited, mut size) = (0.0, c.get(j).map_or(0.0, |c| f64::from(*c).abs()));
            for p in 0..g.k {
                let (at_a, at_b) = (i * g.a_row + p * g.a_col, p * g.b_row + j * g.b_col);
                let (x, dx) = (a.value[at_a].abs(), a.bound[at_a]);
                let (w, dw) = (b.value[at_b].abs(), b.bound[at_b]);
                inherited += dx * w + (x + dx) * dw;
                size += (x + dx) * (w + dw);
            }
            inherited + 2.0 * gamma(g.k + 1) * size + 2.0 * underflow(g.k)
        };
        places.map(element).collect()
    }

    fn check(&self, found: &[f32], what: &str, id: IsaId) {
        for (i, (found, (value, bound))) in found.iter().zip(self.value.iter().zip(&self.bound)).enumerate() {
            let error = (f64::from(*found) - value).abs();
            assert!(error <= *bound, "{} {what}[{i}]: off by {error:e}, allowed {bound:e}", id.name());
        }
    }
}

/// How far a step of a fused token may be from the scalar one: `docs/numerics.md`, "One training step".
fn bounds(net: &Net, scalar: &Trace) -> Vec<(&'static str, Known)> {
    let Net { samples, first, second, .. } = net;
    let (inputs, hidden, outputs) = (first.inputs as usize, first.outputs as usize, second.outputs as usize);
    let forward = |k: usize, n: usize| Gemm { m: *samples, n, k, a_row: k, a_col: 1, b_row: 1, b_col: k, c_row: n };
    let weights = |m: usize, n: usize| Gemm { m, n, k: *samples, a_row: 1, a_col: m, b_row: n, b_col: 1, c_row: n };
    let back = Gemm { b_row: hidden, b_col: 1, ..forward(outputs, hidden) };
    let (x, w1, w2) = (Known::exactly(&net.x), Known::exactly(&net.w1), Known::exactly(&net.w2));

    let z = Known::within(&scalar.z, Known::product(&forward(inputs, hidden), &x, &w1, &net.b1));
    // Cutting off at zero moves no two numbers apart.
    let h = Known::within(&scalar.h, z.bound.clone());
    let y = Known::within(&scalar.y, Known::product(&forward(hidden, outputs), &h, &w2, &net.b2));
    // A difference and a quotient are rounded, by both.
    let slope = 2.0 / (samples * outputs) as f64;
    let dy_bound = y.bound.iter().zip(&scalar.dy).map(|(bound, dy)| {
        let inherited = slope * bound;
        inherited + 2.0 * gamma(2) * (f64::from(*dy).abs() + inherited)
    });
    let dy = Known::within(&scalar.dy, dy_bound.collect());
    let dh = Known::within(&scalar.dh, Known::product(&back, &dy, &w2, &[]));
    // Where a unit may be on for one token and off for the other, all of its gradient may differ.
    let dz_bound = z.value.iter().zip(&z.bound).zip(dh.value.iter().zip(&dh.bound)).map(|((z, near), (dh, bound))| {
        if z.abs() <= *near {
            dh.abs() + bound
        } else if *z > 0.0 {
            *bound
        } else {
            0.0
        }
    });
    let dz = Known::within(&scalar.dz, dz_bound.collect());
    let dw2 = Known::within(&scalar.dw2, Known::product(&weights(outputs, hidden), &dy, &h, &[]));
    let dw1 = Known::within(&scalar.dw1, Known::product(&weights(hidden, inputs), &dz, &x, &[]));
    let updated = |old: &[f32], new: &[f32], gradient: &Known| {
        let bound = old.iter().zip(gradient.value.iter().zip(&gradient.bound)).map(|(old, (g, bound))| {
            let (lr, old) = (f64::from(LR), f64::from(*old).abs());
            lr * bound + 2.0 * gamma(3) * (old + lr * (g.abs() + bound))
        });
        Known::within(new, bound.collect())
    };
    let (new_w2, new_w1) = (updated(&net.w2, &scalar.w2, &dw2), updated(&net.w1, &scalar.w1, &dw1));
    std::vec![
        ("z", z),
        ("h", h),
        ("y", y),
        ("dy", dy),
        ("dh", dh),
        ("dz", dz),
        ("dw2", dw2),
        ("dw1", dw1),
        ("w2", new_w2),
        ("w1", new_w1),
    ]
}

#[test]
fn one_training_step_stays_within_the_bound() {
    let mut rng = Rng::new(33);
    let mut noise = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.uniform_f32(-0.5, 0.5)).collect() };
    for (samples, inputs, hidden, outputs) in [(1, 4, 10, 3), (10, 4, 10, 3), (32, 100, 32, 10), (7, 33, 17, 5)] {
        let net = Net {
            samples,
            first: Dense { inputs: inputs as u32, outputs: hidden as u32 },
            second: Dense { inputs: hidden as u32, outputs: outputs as u32 },
            x: noise(samples * inputs),
            target: noise(samples * outputs),
            w1: noise(inputs * hidden),
            b1: noise(hidden),
            w2: noise(hidden * outputs),
            b2: noise(outputs),
        };
        let scalar = Step { net: &net }.run(Scalar);
        let allowed = bounds(&net, &scalar);
        // A bound that allows anything would prove nothing: it must be small beside what the step changes.
        for (known, gradient) in [(&allowed[8].1, &scalar.dw2), (&allowed[9].1, &scalar.dw1)] {
            let worst = known.bound.iter().copied().fold(0.0, f64::max);
            let step = f64::from(LR) * gradient.iter().map(|g| f64::from(g.abs())).fold(0.0, f64::max);
            assert!(worst < step / 100.0, "the bound {worst:e} says nothing beside a step of {step:e}");
        }
        let mut fused: Option<Trace> = None;
        for id in IsaId::ALL {
            let Some(trace) = run_on(id, Step { net: &net }) else { continue };
            if id.is_exact() {
                assert!(trace == scalar, "{} is not exact", id.name());
                continue;
            }
            let Trace { z, h, y, dy, dh, dz, dw2, dw1, w2, w1 } = &trace;
            for ((what, known), found) in allowed.iter().zip([z, h, y, dy, dh, dz, dw2, dw1, w2, w1]) {
                known.check(found, what, id);
            }
            assert!(fused.is_none_or(|other| other == trace), "fused tokens give different bits");
            fused = Some(trace);
        }
    }
}
