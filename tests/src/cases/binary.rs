//! Functions of two inputs that broadcast.

use super::naive::{ROUNDOFF, quotient as divided, rescale};
use super::{Case, Expected, Values, bytes, reals, shorts};
use embernet::graph::Activation;
use embernet::quant::fixed_point::{Affine, add_sum, prelu, product, quotient};
use embernet_core::kernels::add::{Sum, Term};
use embernet_core::kernels::binary::{AXES, Broadcast, ForwardF32, ForwardInteger, Kind, Side};
use embernet_core::plan::Ref;
use embernet_core::rng::Rng;

/// Shapes of both inputs, `[batch][height][width][channels]`; 1 repeats.
pub type Shapes = [[u32; AXES]; 2];

/// An input of one sample.
fn side(shape: [u32; AXES]) -> Side {
    let (mut strides, mut elements) = ([0; AXES], 1);
    for (stride, dim) in strides.iter_mut().zip(shape).rev() {
        *stride = if dim == 1 { 0 } else { elements };
        elements *= dim;
    }
    Side { at: Ref::NONE, elements, repeats: 0, strides }
}

/// The shape of the step, without places.
fn broadcast(shapes: Shapes) -> Broadcast {
    let [a, b] = shapes;
    let extents = std::array::from_fn(|axis| a[axis].max(b[axis]));
    Broadcast { extents, a: side(a), b: side(b), y: Ref::NONE }
}

/// Pairs of elements of both inputs, for each output.
fn pairs(shape: &Broadcast, samples: usize) -> Vec<(usize, usize)> {
    let total = shape.extents.iter().product::<u32>() as usize;
    let element = |side: &Side, i: usize| {
        let (sample, mut number) = (i / total, i % total);
        let mut at = sample * side.elements as usize;
        for (extent, stride) in shape.extents.iter().zip(side.strides).rev() {
            at += number % *extent as usize * stride as usize;
            number /= *extent as usize;
        }
        at
    };
    (0..samples * total).map(|i| (element(&shape.a, i), element(&shape.b, i))).collect()
}

/// An f32 case: one rounding, so that everybody gets the same bits.
pub fn f32(
    name: impl Into<String>,
    samples: usize,
    kind: Kind,
    shapes: Shapes,
    [a, b]: [Vec<f32>; 2],
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let shape = broadcast(shapes);
    let function = |(i, j): (usize, usize)| {
        let (a, b) = (f64::from(a[i]), f64::from(b[j]));
        let y = match kind {
            Kind::Add => a + b,
            Kind::Sub => a - b,
            Kind::Mul => a * b,
            Kind::Div => a / b,
            Kind::Min => a.min(b),
            Kind::Max => a.max(b),
            Kind::PRelu => {
                if a > 0.0 {
                    a
                } else {
                    a * b
                }
            }
        };
        (y as f32).clamp(lo, hi)
    };
    let values = published.unwrap_or_else(|| pairs(&shape, samples).into_iter().map(function).collect());
    // Through f64 a result may be rounded twice.
    let bounds: Vec<f64> = values.iter().map(|y| f64::from(y.abs()) * 2.0 * ROUNDOFF).collect();
    let inputs = vec![Values::F32(a), Values::F32(b)];
    Case::new(name, samples, inputs, Expected::close(values, bounds), move |step| {
        step.step(&[], 0, move |at| ForwardF32 { kind: kind as u32, shape: placed(&shape, at.x, at.y), lo, hi });
    })
}

fn placed(shape: &Broadcast, x: &[Ref], y: Ref) -> Broadcast {
    Broadcast { a: Side { at: x[0], ..shape.a }, b: Side { at: x[1], ..shape.b }, y, ..*shape }
}

/// What an integer function makes of two numbers, over big numbers.
fn element(kind: Kind, n: &Sum, a: i64, b: i64) -> i64 {
    let scaled = |x: i64, t: &Term| rescale((x - i64::from(t.zero_point)) << n.left_shift, t.multiplier, t.shift);
    let total = match kind {
        Kind::Add => scaled(a, &n.a) + scaled(b, &n.b),
        Kind::Sub => scaled(a, &n.a) - scaled(b, &n.b),
        Kind::Mul => (a - i64::from(n.a.zero_point)) * (b - i64::from(n.b.zero_point)),
        Kind::PRelu if a >= n.a.zero_point.into() => {
            let y = rescale(a - i64::from(n.a.zero_point), n.a.multiplier, n.a.shift) + i64::from(n.zero_point);
            return y.clamp(n.lo.into(), n.hi.into());
        }
        Kind::PRelu => (a - i64::from(n.a.zero_point)) * (b - i64::from(n.b.zero_point)),
        Kind::Div => {
            let y = divided(a - i64::from(n.a.zero_point), b - i64::from(n.b.zero_point), n.multiplier, n.shift);
            return (y + i64::from(n.zero_point)).clamp(n.lo.into(), n.hi.into());
        }
        Kind::Min => return a.min(b).clamp(n.lo.into(), n.hi.into()),
        Kind::Max => return a.max(b).clamp(n.lo.into(), n.hi.into()),
    };
    (rescale(total, n.multiplier, n.shift) + i64::from(n.zero_point)).clamp(n.lo.into(), n.hi.into())
}

/// An int8 or int16 case.
pub fn integer(
    name: impl Into<String>,
    samples: usize,
    kind: Kind,
    shapes: Shapes,
    inputs: [Values; 2],
    numbers: Sum,
    published: Option<Expected>,
) -> Case {
    let shape = broadcast(shapes);
    let wide = inputs.each_ref().map(|x| match x {
        Values::I8(x) => x.iter().map(|x| i64::from(*x)).collect(),
        Values::I16(x) => x.iter().map(|x| i64::from(*x)).collect(),
        Values::F32(_) => Vec::new(),
    });
    let results = pairs(&shape, samples).into_iter().map(|(i, j)| element(kind, &numbers, wide[0][i], wide[1][j]));
    let size = if matches!(inputs[0], Values::I16(_)) { 2 } else { 1 };
    let expected = published.unwrap_or_else(|| match size {
        2 => Expected::Exact16(results.map(|y| y as i16).collect()),
        _ => Expected::Exact(results.map(|y| y as i8).collect()),
    });
    Case::new(name, samples, inputs.into(), expected, move |step| {
        step.step(&[], 0, move |at| ForwardInteger {
            kind: kind as u32,
            size,
            shape: placed(&shape, at.x, at.y),
            numbers,
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let kinds = ["add", "sub", "mul", "div", "minimum", "maximum", "prelu"].into_iter().zip(Kind::ALL);
    let shapes: [Shapes; 3] =
        [[[1, 2, 3, 4], [1, 2, 3, 4]], [[1, 2, 3, 4], [1, 1, 1, 4]], [[2, 1, 3, 1], [1, 2, 1, 4]]];
    let samples = 2;
    let len = |shape: [u32; AXES]| samples * shape.iter().product::<u32>() as usize;
    let is = |scale, zero_point| Affine::new(scale, zero_point).expect("sound numbers");
    let wide = |scale| Affine::int16(scale, 0).expect("sound numbers");
    let numbers = |kind: Kind, [a, b, y]: [Affine; 3]| match kind {
        Kind::Add | Kind::Sub => add_sum(a, b, y, Activation::Linear),
        Kind::Div => quotient(a, b, y, Activation::Linear),
        Kind::PRelu => prelu(a, b, y),
        _ => product(a, b, y, Activation::Linear),
    };
    let mut all = Vec::new();
    for (name, kind) in kinds {
        for (i, &shapes) in shapes.iter().enumerate() {
            let x = shapes.map(|shape| reals(rng, len(shape)));
            all.push(f32(format!("{name}/f32/{i}"), samples, kind, shapes, x, (-0.9, 0.9), None));
            let scales = numbers(kind, [is(0.1, -100), is(0.02, 5), is(0.15, -20)]).expect("scales are near enough");
            let x = shapes.map(|shape| Values::I8(bytes(rng, len(shape))));
            all.push(integer(format!("{name}/i8/{i}"), samples, kind, shapes, x, scales, None));
            if matches!(kind, Kind::Div | Kind::PRelu) {
                continue;
            }
            let scales = numbers(kind, [wide(0.001), wide(0.0002), wide(0.0015)]).expect("scales are near enough");
            let x = shapes.map(|shape| Values::I16(shorts(rng, len(shape))));
            all.push(integer(format!("{name}/i16/{i}"), samples, kind, shapes, x, scales, None));
        }
    }
    all
}
