//! Products of two activations.

use super::naive::{Sum, rescale};
use super::{Case, Expected, Values, bytes, reals, wide};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::matmul::{ForwardF32, ForwardInt, MatMul};
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::quant::{multiply_wide, narrow_multiplier};
use embernet_core::rng::Rng;

/// What the sums of an integer product become.
#[derive(Debug, Clone, Copy)]
pub struct Scaling {
    pub zeros: [i32; 2],
    pub multiplier: i32,
    pub shift: i32,
    pub zero_point: i32,
    pub limits: (i32, i32),
}

fn sums(shape: &MatMul, a: &[f64], b: &[f64]) -> Vec<Sum> {
    let size = |size: u32| size as usize;
    let (rows, inner, columns) = (size(shape.rows), size(shape.inner), size(shape.columns));
    let [a_len, b_len, y_len] = shape.elements();
    let at = |transposed: u32, row: usize, column: usize, [height, width]: [usize; 2]| {
        if transposed == 0 { row * width + column } else { column * height + row }
    };
    let matrix = |of: [u32; 2], i: usize, j: usize| i.min(size(of[0]) - 1) * size(of[1]) + j.min(size(of[1]) - 1);
    let mut all = Vec::with_capacity(y_len);
    for (a, b) in a.chunks(a_len).zip(b.chunks(b_len)) {
        for (i, j) in (0..size(shape.batch[0])).flat_map(|i| (0..size(shape.batch[1])).map(move |j| (i, j))) {
            let a = &a[matrix(shape.a_batch, i, j) * rows * inner..];
            let b = &b[matrix(shape.b_batch, i, j) * inner * columns..];
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let mut sum = Sum::default();
                for k in 0..inner {
                    let a = a[at(shape.transpose_a, row, k, [rows, inner])];
                    sum.add(a * b[at(shape.transpose_b, k, column, [inner, columns])]);
                }
                all.push(sum);
            }
        }
    }
    all
}

/// An f32 case.
pub fn f32(
    name: impl Into<String>,
    shape: MatMul,
    a: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = a.len() / shape.elements()[0];
    let expected = Expected::of_sums(&sums(&shape, &wide(&a), &wide(&b)), (lo, hi), published);
    Case::new(name, samples, vec![Values::F32(a), Values::F32(b)], expected, move |step| {
        step.step(&[], 0, move |at| ForwardF32 { shape, a: at.x[0], b: at.x[1], y: at.y, lo, hi });
    })
}

/// An int8 or int16 case; both inputs and the output have one type.
pub fn int(
    name: impl Into<String>,
    shape: MatMul,
    a: Values,
    b: Values,
    scaling: Scaling,
    published: Option<Expected>,
) -> Case {
    let width = if matches!(a, Values::I16(_)) { Width::I16 } else { Width::I8 };
    let samples = a.len() / shape.elements()[0];
    let Scaling { zeros, multiplier, shift, zero_point, limits: (lo, hi) } = scaling;
    let multiplier = if width == Width::I16 { narrow_multiplier(multiplier) } else { multiplier };
    let centred = |values: &Values, zero: i32| -> Vec<f64> {
        let centre = |x: i32| f64::from(x - zero);
        match values {
            Values::I8(x) => x.iter().map(|x| centre(i32::from(*x))).collect(),
            Values::I16(x) => x.iter().map(|x| centre(i32::from(*x))).collect(),
            Values::F32(_) => Vec::new(),
        }
    };
    let sums = sums(&shape, &centred(&a, zeros[0]), &centred(&b, zeros[1]));
    let finish = |sum: &Sum| match width {
        Width::I16 => i64::from(multiply_wide(sum.value as i64, multiplier, shift)).clamp(lo.into(), hi.into()),
        _ => (rescale(sum.value as i64, multiplier, shift) + i64::from(zero_point)).clamp(lo.into(), hi.into()),
    };
    let ours = || match width {
        Width::I16 => Expected::Exact16(sums.iter().map(|sum| finish(sum) as i16).collect()),
        _ => Expected::Exact(sums.iter().map(|sum| finish(sum) as i8).collect()),
    };
    let sum_bits = if width == Width::I16 { 64 } else { 32 };
    let expected = published.unwrap_or_else(ours);
    Case::new(name, samples, vec![a, b], expected, move |step| {
        step.step(&[&vec![multiplier], &vec![shift]], 0, move |at| {
            let &[multiplier, shift] = at.constants else { unreachable!("two constants were given") };
            let requantize = RequantizeRecord { multiplier, shift, channels: 1, zero_point, lo, hi, sum_bits };
            let [a_zero, b_zero] = zeros;
            ForwardInt { shape, width, a: at.x[0], b: at.x[1], y: at.y, a_zero, b_zero, requantize }
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let plain = MatMul {
        batch: [1, 1],
        a_batch: [1, 1],
        b_batch: [1, 1],
        rows: 5,
        inner: 7,
        columns: 6,
        transpose_a: 0,
        transpose_b: 0,
    };
    let shapes = [
        ("plain", plain),
        ("transposed", MatMul { transpose_a: 1, transpose_b: 1, ..plain }),
        ("batch", MatMul { batch: [2, 3], a_batch: [2, 3], b_batch: [1, 3], transpose_b: 1, ..plain }),
        ("outer", MatMul { batch: [2, 3], a_batch: [2, 1], b_batch: [1, 3], transpose_a: 1, ..plain }),
    ];
    let mut all = Vec::new();
    for (name, shape) in shapes {
        let [a, b, _] = shape.elements();
        let limits = (-1.5, f32::INFINITY);
        all.push(f32(format!("matmul/f32/{name}"), shape, reals(rng, 2 * a), reals(rng, 2 * b), limits, None));
        let scaling =
            Scaling { zeros: [-128, 5], multiplier: 1_500_000_000, shift: -8, zero_point: 3, limits: (-100, 127) };
        let (x, y) = (Values::I8(bytes(rng, 2 * a)), Values::I8(bytes(rng, 2 * b)));
        all.push(int(format!("matmul/i8/{name}"), shape, x, y, scaling, None));
    }
    all
}
