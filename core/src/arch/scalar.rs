//! The definition of every inner loop, in plain Rust.
//!
//! Loops may tile across outputs, never across a sum, so that every target gives the same bits.

use super::{Gemm, Isa, IsaId};
use crate::math;
use crate::optim::Optimizer;

/// Runs anywhere; the bits that all promises refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scalar;

impl Isa for Scalar {
    const ID: IsaId = IsaId::Scalar;
}

/// See [`Isa::dot_f32`].
#[inline]
pub fn dot_f32(init: f32, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = init;
    for (a, b) in a.iter().zip(b) {
        sum += a * b;
    }
    sum
}

/// See [`Isa::axpy_f32`].
#[inline]
pub fn axpy_f32(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// See [`Isa::madd_f32`].
#[inline]
pub fn madd_f32(a: &[f32], b: &[f32], y: &mut [f32]) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y += a * b;
    }
}

/// See [`Isa::gemm_f32`].
pub fn gemm_f32(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..g.m {
        let Some(row) = c.get_mut(i * g.c_row..i * g.c_row + g.n) else { return };
        let a_row = a.get(i * g.a_row..).unwrap_or(&[]);
        if g.b_col == 1 {
            // Rows of B are contiguous: add them one after the other, each element of C in order of p.
            for p in 0..g.k {
                let (Some(&a), Some(b)) = (a_row.get(p * g.a_col), b.get(p * g.b_row..p * g.b_row + g.n)) else {
                    return;
                };
                axpy_f32(a, b, row);
            }
        } else if g.a_col == 1 && g.b_row == 1 {
            // Columns of B are contiguous: one dot product for each element.
            for (j, c) in row.iter_mut().enumerate() {
                let (Some(a), Some(b)) = (a_row.get(..g.k), b.get(j * g.b_col..j * g.b_col + g.k)) else { return };
                *c = dot_f32(*c, a, b);
            }
        } else {
            for (j, c) in row.iter_mut().enumerate() {
                let mut sum = *c;
                for p in 0..g.k {
                    let (Some(a), Some(b)) = (a_row.get(p * g.a_col), b.get(p * g.b_row + j * g.b_col)) else {
                        return;
                    };
                    sum += a * b;
                }
                *c = sum;
            }
        }
    }
}

/// See [`Isa::clamp_f32`].
#[inline]
pub fn clamp_f32(lo: f32, hi: f32, y: &mut [f32]) {
    for y in y {
        *y = math::clamp(*y, lo, hi);
    }
}

/// See [`Isa::accumulate_f32`].
#[inline]
pub fn accumulate_f32(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// See [`Isa::max_f32`].
#[inline]
pub fn max_f32(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = math::max(*y, *x);
    }
}

/// See [`Isa::sgd_f32`].
#[inline]
pub fn sgd_f32(o: &Optimizer, g: &[f32], w: &mut [f32]) {
    for (w, g) in w.iter_mut().zip(g) {
        let g = g + o.settings.weight_decay * *w;
        *w -= o.rate * g;
    }
}

/// See [`Isa::momentum_f32`].
#[inline]
pub fn momentum_f32(o: &Optimizer, nesterov: bool, g: &[f32], w: &mut [f32], v: &mut [f32]) {
    let momentum = o.settings.momentum;
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        let g = g + o.settings.weight_decay * *w;
        *v = momentum * *v - o.rate * g;
        *w += if nesterov { momentum * *v - o.rate * g } else { *v };
    }
}

/// See [`Isa::adagrad_f32`].
#[inline]
pub fn adagrad_f32(o: &Optimizer, g: &[f32], w: &mut [f32], v: &mut [f32]) {
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        let g = g + o.settings.weight_decay * *w;
        *v += g * g;
        *w -= o.rate * g / math::sqrt(*v + o.settings.epsilon);
    }
}

/// See [`Isa::adam_f32`].
#[inline]
pub fn adam_f32(o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let (one_minus_beta_1, one_minus_beta_2) = (1.0 - o.settings.momentum, 1.0 - o.settings.beta_2);
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        let g = g + o.settings.weight_decay * *w;
        *m += (g - *m) * one_minus_beta_1;
        *v += (g * g - *v) * one_minus_beta_2;
        *w -= o.rate * *m / (math::sqrt(*v) + o.settings.epsilon);
    }
}

/// See [`Isa::dot_i8`].
#[inline]
pub fn dot_i8(init: i32, x: &[i8], w: &[i8]) -> i32 {
    let mut sum = init;
    for (x, w) in x.iter().zip(w) {
        sum = sum.wrapping_add(i32::from(*x) * i32::from(*w));
    }
    sum
}
