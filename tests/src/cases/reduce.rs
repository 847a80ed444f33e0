//! Sums, means and maxima over axes.

use super::naive::{ROUNDOFF, rescale};
use super::{Case, Expected, Values, bytes, reals, shorts};
use embernet_core::kernels::reduce::{Axis, ForwardF32, ForwardInteger, Kind, Scaling, Shape};
use embernet_core::rng::Rng;

/// Over `[a][b][c]` the axes `a` and `c`, or `b`.
fn shapes() -> [Shape; 2] {
    let [a, b, c] = [(3, 20), (4, 5), (5, 1)].map(|(extent, stride)| Axis { extent, stride });
    let none = Axis::NONE;
    [Shape { kept: [none, none, b], folded: [none, a, c] }, Shape { kept: [none, a, c], folded: [none, none, b] }]
}

/// The inputs of each output of a shape above, in order.
fn sources(shape: &Shape, samples: usize) -> Vec<Vec<usize>> {
    let walk = |axes: [Axis; 3]| {
        let mut all = vec![0];
        for axis in axes {
            let along = |at: &usize| {
                let at = *at;
                (0..axis.extent as usize).map(move |i| at + i * axis.stride as usize).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(along).collect();
        }
        all
    };
    let (kept, folded) = (walk(shape.kept), walk(shape.folded));
    let of = |sample: usize, kept: usize| folded.iter().map(|f| sample * 60 + kept + f).collect();
    (0..samples).flat_map(|sample| kept.iter().map(move |kept| (sample, *kept))).map(|(s, k)| of(s, k)).collect()
}

fn f32(name: String, kind: Kind, shape: Shape, x: Vec<f32>) -> Case {
    let samples = x.len() / 60;
    let (mut values, mut bounds) = (Vec::new(), Vec::new());
    for source in sources(&shape, samples) {
        let inputs = || source.iter().map(|i| f64::from(x[*i]));
        let (sum, size, count) = (inputs().sum::<f64>(), inputs().map(f64::abs).sum::<f64>(), source.len() as f64);
        let (value, bound) = match kind {
            Kind::Sum => (sum, size * count),
            Kind::Mean => (sum / count, size / count * (count + 1.0)),
            Kind::Max => (inputs().fold(f64::NEG_INFINITY, f64::max), 0.0),
        };
        values.push(value as f32);
        bounds.push(2.0 * bound * ROUNDOFF);
    }
    Case::new(name, samples, vec![Values::F32(x)], Expected::close(values, bounds), move |step| {
        step.step(&[], 0, move |at| ForwardF32 { kind: kind as u32, shape, x: at.x[0], y: at.y });
    })
}

fn integer(name: String, kind: Kind, shape: Shape, scaling: Scaling, x: Values) -> Case {
    let samples = x.len() / 60;
    let (size, wide): (u32, Vec<i64>) = match &x {
        Values::I16(x) => (2, x.iter().map(|x| i64::from(*x)).collect()),
        Values::I8(x) => (1, x.iter().map(|x| i64::from(*x)).collect()),
        Values::F32(_) => (4, Vec::new()),
    };
    let one = |source: Vec<usize>| {
        let inputs = source.iter().map(|i| wide[*i]);
        let y = match kind {
            Kind::Max => inputs.max().unwrap_or(0),
            _ => {
                let sum = inputs.map(|x| x - i64::from(scaling.in_zero_point)).sum();
                rescale(sum, scaling.multiplier, scaling.shift) + i64::from(scaling.zero_point)
            }
        };
        y.clamp(scaling.lo.into(), scaling.hi.into())
    };
    let y = sources(&shape, samples).into_iter().map(one);
    let expected = match size {
        2 => Expected::Exact16(y.map(|y| y as i16).collect()),
        _ => Expected::Exact(y.map(|y| y as i8).collect()),
    };
    Case::new(name, samples, vec![x], expected, move |step| {
        step.step(&[], 0, move |at| ForwardInteger { kind: kind as u32, size, shape, x: at.x[0], y: at.y, scaling });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, kind) in [("sum", Kind::Sum), ("mean", Kind::Mean), ("max", Kind::Max)] {
        for (i, shape) in shapes().into_iter().enumerate() {
            all.push(f32(format!("{name}/f32/{i}"), kind, shape, reals(rng, 120)));
            let scaling =
                Scaling { in_zero_point: 7, multiplier: 1_234_567_890, shift: -3, zero_point: -4, lo: -128, hi: 100 };
            all.push(integer(format!("{name}/i8/{i}"), kind, shape, scaling, Values::I8(bytes(rng, 120))));
            let scaling = Scaling { in_zero_point: 0, zero_point: 0, lo: -32768, hi: 32767, ..scaling };
            all.push(integer(format!("{name}/i16/{i}"), kind, shape, scaling, Values::I16(shorts(rng, 120))));
        }
    }
    all
}
