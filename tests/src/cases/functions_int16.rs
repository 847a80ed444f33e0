//! Functions of one int16.

use super::naive::rescale;
use super::{Case, Expected, Steps, Values, shorts};
use embernet::quant::fixed_point::int16::{logistic_argument, sigmoid_table, tanh_argument};
use embernet::quant::fixed_point::lines::{self, Lines};
use embernet::quant::fixed_point::{Affine, Multiplier};
use embernet_core::kernels::activation::{ForwardI16, Kind, LinesI16};
use embernet_core::kernels::requantize::Rescale;
use embernet_core::quant::functions::ToTable;
use embernet_core::rng::Rng;

fn case(name: String, x: Vec<i16>, y: impl Fn(i64) -> i64, build: impl Fn(&mut Steps) + 'static) -> Case {
    let expected = x.iter().map(|x| y((*x).into()) as i16).collect();
    Case::new(name, 2, vec![Values::I16(x)], Expected::Exact16(expected), build)
}

/// The logistic function of a magnitude in steps of the table, between whose entries are `2^bits`; 16 more fraction
/// bits than `bits`.
fn interpolated(table: &[u16], magnitude: i64, bits: u32, most: i64) -> i64 {
    let (index, way) = ((magnitude >> bits) as usize, magnitude & ((1 << bits) - 1));
    if index >= 255 {
        most
    } else {
        (i64::from(table[index]) << bits) + way * (i64::from(table[index + 1]) - i64::from(table[index]))
    }
}

/// Logistic or tanh.
fn curve(name: &str, kind: Kind, argument: ToTable, x: Vec<i16>) -> Case {
    let (table, len) = (sigmoid_table(), x.len() as u32 / 2);
    let at = |x: i64| {
        let half = if argument.shift > 0 { 1i64 << (argument.shift - 1) } else { 0 };
        (x * i64::from(argument.multiplier) + half) >> argument.shift
    };
    let y = |x: i64| {
        let scaled = at(x);
        let odd = |of_magnitude: i64, bits: u32, middle: i64| {
            // Halves go up on either side of zero, but from the middle by one less than a half below it.
            let half = 1i64 << (bits - 1);
            let nudged = if scaled >= 0 { of_magnitude + half } else { 2 * middle - of_magnitude + half - 1 };
            nudged >> bits
        };
        match kind {
            Kind::Tanh => odd(interpolated(&table, scaled.abs(), 8, 0xffff << 8) - (1 << 23), 8, 0),
            _ => odd(interpolated(&table, scaled.abs(), 9, 0x7fff << 10), 10, 1 << 24),
        }
    };
    case(format!("activation/i16/{name}"), x, y, move |steps| {
        steps.step(&[&sigmoid_table()], 0, move |at| ForwardI16 {
            kind: kind as u32,
            len,
            x: at.x[0],
            y: at.y,
            table: at.constants[0],
            argument,
        });
    })
}

/// Two lines through zero.
fn straight(name: &str, lines: Lines, x: Vec<i16>) -> Case {
    let len = x.len() as u32 / 2;
    let Lines { positive, negative, lo, hi } = lines;
    let y = |x: i64| {
        let Multiplier { mantissa, shift } = if x >= 0 { positive } else { negative };
        rescale(x, mantissa, shift).clamp(lo.into(), hi.into())
    };
    case(format!("lines/i16/{name}"), x, y, move |steps| {
        let of = |Multiplier { mantissa, shift }| Rescale { multiplier: mantissa, shift };
        let (positive, negative) = (of(positive), of(negative));
        steps.step(&[], 0, move |at| LinesI16 { len, x: at.x[0], y: at.y, positive, negative, lo, hi });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut x = || [shorts(rng, 194), vec![0, 1, -1, i16::MAX, i16::MIN, -32767]].concat();
    let is = |scale| Affine::int16(scale, 0).expect("a sound scale");
    let near = "scales are near enough";
    let (from, to) = (is(2e-4), is(1.7e-4));
    vec![
        curve("logistic", Kind::Sigmoid, logistic_argument(2e-4).expect(near), x()),
        curve("logistic-power-of-two", Kind::Sigmoid, logistic_argument(1.0 / 4096.0).expect(near), x()),
        curve("tanh", Kind::Tanh, tanh_argument(9e-5).expect(near), x()),
        curve("tanh-power-of-two", Kind::Tanh, tanh_argument(1.0 / 2048.0).expect(near), x()),
        straight("relu", lines::clamp(from, to, 0.0, f32::INFINITY).expect(near), x()),
        straight("relu6", lines::clamp(is(3e-4), is(3e-4), 0.0, 6.0).expect(near), x()),
        straight("rescale", lines::rescale(is(1e-3), is(1e-5)).expect(near), x()),
        straight("leaky-relu", lines::leaky_relu(from, to, 0.2).expect(near), x()),
        straight("negative-slope", lines::leaky_relu(from, to, -0.7).expect(near), x()),
    ]
}
