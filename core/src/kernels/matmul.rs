//! Products of two activations: `y = clamp(a * b)`, matrix by matrix.
//!
//! Shapes: `a [samples][batch][rows][inner]` or, transposed, `[inner][rows]` at its end; `b [inner][columns]` or
//! `[columns][inner]`; `y [samples][batch][rows][columns]`. The batch has two axes; along each of them `a` or `b` may
//! have one matrix for all.

use super::integer::{Factor, Width};
use super::requantize::{Requantize, RequantizeRecord};
use super::util::{clear, elements, from, from_mut, rows_mut};
use crate::arch::{Gemm, Isa};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, factors, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of the products of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MatMul {
    /// Matrices of the output along the two axes of the batch.
    pub batch: [u32; 2],
    /// Matrices of `a`: along each axis those of the output, or 1.
    pub a_batch: [u32; 2],
    /// Matrices of `b`, likewise.
    pub b_batch: [u32; 2],
    /// Rows of `y`.
    pub rows: u32,
    /// Products in a sum.
    pub inner: u32,
    /// Columns of `y`.
    pub columns: u32,
    /// 1 if the matrices of `a` lie transposed, else 0.
    pub transpose_a: u32,
    /// 1 if the matrices of `b` lie transposed, else 0.
    pub transpose_b: u32,
}

impl MatMul {
    /// Elements of one sample of `a`.
    pub const A: &[u8] = factors!(a_batch[0], a_batch[1], rows, inner);
    /// Of `b`.
    pub const B: &[u8] = factors!(b_batch[0], b_batch[1], inner, columns);
    /// Of `y`.
    pub const Y: &[u8] = factors!(batch[0], batch[1], rows, columns);

    fn sizes(&self) -> [usize; 3] {
        [self.rows, self.inner, self.columns].map(|size| size as usize)
    }

    /// Elements of one sample of `a`, `b` and `y`.
    pub fn elements(&self) -> [usize; 3] {
        let [rows, inner, columns] = self.sizes();
        let of = |[outer, inner]: [u32; 2], matrix: usize| outer as usize * inner as usize * matrix;
        [of(self.a_batch, rows * inner), of(self.b_batch, inner * columns), of(self.batch, rows * columns)]
    }

    /// Strides of one product, `y` row by row.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn gemm(&self) -> Gemm {
        let [m, k, n] = self.sizes();
        let (a_row, a_col) = if self.transpose_a == 0 { (k, 1) } else { (1, m) };
        let (b_row, b_col) = if self.transpose_b == 0 { (n, 1) } else { (1, k) };
        Gemm { m, n, k, a_row, a_col, b_row, b_col, c_row: n }
    }

    /// Whether the shape is consistent.
    pub fn is_valid(&self) -> bool {
        let [outer, inner] = self.batch;
        let fits = |batch: [u32; 2]| batch.iter().zip(self.batch).all(|(&of, all)| of == all || of == 1);
        fits(self.a_batch)
            && fits(self.b_batch)
            && self.transpose_a <= 1
            && self.transpose_b <= 1
            && elements([outer, inner, self.rows, self.inner]).is_some()
            && elements([outer, inner, self.inner, self.columns]).is_some()
            && elements([outer, inner, self.rows, self.columns]).is_some()
    }

    /// Calls `visit` for every product of so many samples, with where its matrices of `a`, `b` and `y` begin.
    // One copy for all types.
    #[inline(never)]
    fn each(&self, samples: usize, visit: &mut dyn FnMut([usize; 3])) {
        let ([height, inner, columns], [a_len, b_len, _]) = (self.sizes(), self.elements());
        // Which matrix of an operand goes with place `(i, j)` of the batch.
        let matrix = |[outer, inner]: [u32; 2], i: u32, j: u32| {
            i.min(outer.saturating_sub(1)) as usize * inner as usize + j.min(inner.saturating_sub(1)) as usize
        };
        let [outer_batch, inner_batch] = self.batch;
        let mut y = 0;
        for sample in 0..samples {
            for i in 0..outer_batch {
                for j in 0..inner_batch {
                    let a = sample * a_len + matrix(self.a_batch, i, j) * height * inner;
                    visit([a, sample * b_len + matrix(self.b_batch, i, j) * inner * columns, y]);
                    y += height * columns;
                }
            }
        }
    }
}

/// `y = clamp(a * b, lo, hi)`; sums start from 0 and run along the inner axis in order.
pub fn forward_f32<I: Isa>(
    isa: I,
    shape: &MatMul,
    samples: usize,
    a: &[f32],
    b: &[f32],
    lo: f32,
    hi: f32,
    y: &mut [f32],
) {
    let gemm = shape.gemm();
    clear(y);
    shape.each(samples, &mut |[a_at, b_at, y_at]| isa.gemm_f32(&gemm, from(a, a_at), from(b, b_at), from_mut(y, y_at)));
    isa.clamp_f32(lo, hi, y);
}

/// `y = requantize(sum of (a - a_zero) * (b - b_zero))`, of activations of this width.
pub fn forward_int(
    shape: &MatMul,
    samples: usize,
    of: Width,
    a: &[u8],
    b: &[u8],
    zeros: [i32; 2],
    to: &Requantize<'_>,
    y: &mut [u8],
) {
    let (gemm, [a_zero, b_zero]) = (shape.gemm(), zeros);
    shape.each(samples, &mut |[a_at, b_at, y_at]| {
        let y = of.sub_mut(y, y_at, gemm.m * gemm.n);
        for (i, y) in rows_mut(y, gemm.n * of.bytes()).enumerate() {
            let a = Factor { x: of.from(a, a_at + i * gemm.a_row), step: gemm.a_col, zero_point: a_zero };
            for (j, y) in rows_mut(y, of.bytes()).enumerate() {
                let b = Factor { x: of.from(b, b_at + j * gemm.b_col), step: gemm.b_row, zero_point: b_zero };
                of.store(to.output(0, of.product(gemm.k, a, b)), y);
            }
        }
    });
}

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Shape.
    pub shape: MatMul,
    /// Left factor.
    pub a: Ref,
    /// Right factor.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for ForwardF32 {
    operands! {
        a: read f32 [samples, shape => MatMul::A],
        b: read f32 [samples, shape => MatMul::B],
        y: write f32 [samples, shape => MatMul::Y],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (a, b, y) = (at.read(), at.read(), at.write());
        forward_f32(isa, &self.shape, context.samples, a, b, self.lo, self.hi, y);
    }
}

/// Forward step, int8 or int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardInt {
    /// Shape.
    pub shape: MatMul,
    /// Of all activations.
    pub width: Width,
    /// Left factor.
    pub a: Ref,
    /// Right factor.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Zero point of `a`.
    pub a_zero: i32,
    /// Zero point of `b`.
    pub b_zero: i32,
    /// How sums become outputs: one multiplier.
    pub requantize: RequantizeRecord,
}

impl StepRecord for ForwardInt {
    operands! {
        a: read size(width) [samples, shape => MatMul::A],
        b: read size(width) [samples, shape => MatMul::B],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        y: write size(width) [samples, shape => MatMul::Y],
    }

    fn shape_is_valid(&self) -> bool {
        let zeros = [self.a_zero, self.b_zero];
        self.shape.is_valid() && zeros.into_iter().all(|zero| self.width.fits(&self.requantize, 1, zero))
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let (a, b) = (at.read(), at.read());
        let (to, zeros) = (self.requantize.read(at), [self.a_zero, self.b_zero]);
        forward_int(&self.shape, context.samples, self.width, a, b, zeros, &to, at.write());
    }
}
