//! Dense layers.

use super::naive::{self, Sum};
use super::{Case, Expected, Int8Layer, Values, bytes, reals, wide};
use embernet_core::arch::layout::packing;
use embernet_core::kernels::dense::{Dense, ForwardF32, ForwardI8};
use embernet_core::rng::Rng;

/// An f32 case; `published` are somebody else's results, else ours are compared with the truth.
pub fn f32(
    name: impl Into<String>,
    shape: Dense,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / shape.inputs as usize;
    let sums = naive::dense(&shape, &wide(&x), &wide(&w), &wide(&b));
    let expected = Expected::of_sums(&sums, (lo, hi), published);
    Case::new(name, samples, vec![Values::F32(x)], expected, move |step| {
        step.step(&[&w, &b], 0, move |at| {
            let &[w, b] = at.constants else { unreachable!("two constants were given") };
            ForwardF32 { shape, x: at.x[0], w, b, y: at.y, lo, hi }
        });
    })
}

/// An int8 case.
pub fn i8(name: impl Into<String>, shape: Dense, x: Vec<i8>, layer: Int8Layer, published: Option<Vec<i8>>) -> Case {
    let samples = x.len() / shape.inputs as usize;
    let sums: Vec<Sum> = naive::dense(&shape, &layer.centred(&x), &wide(&layer.w), &wide(&layer.b));
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.outputs));
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        let pack = |isa, layer: &packing::Layer<'_>| packing::dense(isa, &shape, layer);
        layer.step(step, shape.outputs, false, 0, pack, move |o| ForwardI8 {
            shape,
            x: o.x,
            w: o.w,
            b: o.b,
            y: o.y,
            requantize: o.requantize,
            order: o.order,
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (inputs, outputs, samples) in [(1, 1, 1), (7, 3, 2), (64, 10, 1), (33, 17, 5), (200, 65, 3)] {
        let shape = Dense { inputs, outputs };
        let (weights, elements) = ((inputs * outputs) as usize, samples * inputs as usize);
        let name = format!("{inputs}x{outputs}");
        let (x, w, b) = (reals(rng, elements), reals(rng, weights), reals(rng, outputs as usize));
        all.push(f32(format!("dense/f32/{name}"), shape, x, w, b, (-2.0, f32::INFINITY), None));
        let layer = Int8Layer::random(rng, outputs, weights, inputs as usize);
        all.push(i8(format!("dense/i8/{name}"), shape, bytes(rng, elements), layer, None));
    }
    let shape = Dense { inputs: 20, outputs: 6 };
    let (x, w) = (reals(rng, 20), reals(rng, 120));
    all.push(f32("dense/f32/no-bias", shape, x, w, Vec::new(), (f32::NEG_INFINITY, f32::INFINITY), None));
    for input_zero_point in [0, -128] {
        let layer = Int8Layer { b: Vec::new(), input_zero_point, ..Int8Layer::random(rng, 6, 120, 20) };
        let name = format!("dense/i8/no-bias-zero-point{input_zero_point}");
        all.push(i8(name, shape, bytes(rng, 20), layer, None));
    }
    all
}
