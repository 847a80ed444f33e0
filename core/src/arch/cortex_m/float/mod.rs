//! Loops of Cortex-M processors with floating point in single precision: M4F, M7, M33, M55.
//!
//! They give the scalar definition's bits: sums in index order, VMUL then VADD. VFMA rounds once, so it is out; VMLA
//! rounds twice, but takes three cycles on an M4, where the two take one each.

use crate::arch::{Gemm, scalar};
use crate::kernels::util::{clear, from, sub, sub_mut};
use crate::optim::{Optimizer, Rule, TINY, TINY_SQUARE};

core::arch::global_asm!(
    include_str!("columns.s"),
    include_str!("rows.s"),
    include_str!("elementwise.s"),
    include_str!("update.s"),
    options(raw)
);

/// The methods of [`Isa`](crate::arch::Isa) that a token with floating point takes from here.
macro_rules! methods {
    () => {
        #[inline]
        fn dot_f32(self, init: f32, a: &[f32], b: &[f32]) -> f32 {
            crate::arch::cortex_m::float::dot_f32(init, a, b)
        }

        #[inline]
        fn dense_one_f32(self, x: &[f32], w: &[f32], b: &[f32], y: &mut [f32]) {
            crate::arch::cortex_m::float::dense_one_f32(x, w, b, y);
        }

        #[inline]
        fn dense_one_backward_f32(self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
            crate::arch::cortex_m::float::dense_one_backward_f32(dy, w, dx);
        }

        #[inline]
        fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]) {
            crate::arch::cortex_m::float::axpy_f32(a, x, y);
        }

        #[inline]
        fn gemm_f32(self, shape: &crate::arch::Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
            crate::arch::cortex_m::float::gemm_f32(shape, a, b, c);
        }

        #[inline]
        fn clamp_f32(self, lo: f32, hi: f32, y: &mut [f32]) {
            crate::arch::cortex_m::float::clamp_f32(lo, hi, y);
        }

        #[inline]
        fn sgd_f32(self, o: &crate::optim::Optimizer, g: &[f32], w: &mut [f32]) {
            crate::arch::cortex_m::float::sgd_f32(o, g, w);
        }

        #[inline]
        fn adam_f32(self, o: &crate::optim::Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
            crate::arch::cortex_m::float::adam_f32(o, g, w, m, v);
        }

        #[inline]
        fn update_outer_f32(
            self,
            o: &crate::optim::Optimizer,
            dy: &[f32],
            x: &[f32],
            w: &mut [f32],
            state: &mut [f32],
        ) -> bool {
            crate::arch::cortex_m::float::update_outer_f32(o, dy, x, w, state)
        }
    };
}
pub(super) use methods;

/// What the loops over columns read; those over several rows move `a` and `c` and count `rows` down. Distances in bytes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Columns {
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    a_row: usize,
    b_col: usize,
    c_row: usize,
    k: usize,
    /// Columns, or groups of four.
    count: usize,
    /// Rows, or pairs of them.
    rows: usize,
    /// Where the sums of a single row start from instead of `c`, or none.
    start: *const f32,
    /// By how many columns the last group of a single row lies back: only where sums do not start from `c`.
    back: usize,
}

/// What the loop over rows reads. Distances in bytes.
#[repr(C)]
struct Rows {
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    a_col: usize,
    b_row: usize,
    n: usize,
    k: usize,
}

/// What the loop of gradient descent by one sample reads: see [`update_outer_f32`].
#[repr(C)]
struct Descent {
    dy: *const f32,
    x: *const f32,
    w: *mut f32,
    /// At least one, as columns.
    rows: usize,
    columns: usize,
    rate: f32,
    decay: f32,
}

/// What Adam's loop reads: see [`scalar::adam_f32`].
#[repr(C)]
struct Adam {
    dy: *const f32,
    x: *const f32,
    w: *mut f32,
    m: *mut f32,
    v: *mut f32,
    /// At least one, as columns.
    rows: usize,
    columns: usize,
    tiny: u32,
    tiny_square: u32,
    rate: f32,
    one_minus_beta_1: f32,
    one_minus_beta_2: f32,
    epsilon: f32,
    decay: f32,
}

unsafe extern "C" {
    fn embernet_f32_two_rows(of: &mut Columns);
    fn embernet_f32_one_row(of: &Columns);
    fn embernet_f32_one_column(of: &mut Columns);
    fn embernet_f32_rows(of: &Rows);
    fn embernet_f32_at_least(y: *mut f32, count: usize, limit: f32);
    fn embernet_f32_at_most(y: *mut f32, count: usize, limit: f32);
    fn embernet_f32_descend(g: *const f32, count: usize, w: *mut f32, rate: f32, decay: f32);
    fn embernet_f32_descend_outer(of: &Descent);
    fn embernet_f32_adam(of: &Adam);
    safe fn embernet_f32_root(x: f32) -> f32;
}

const WORD: usize = size_of::<f32>();

/// See [`Isa::gemm_f32`](crate::arch::Isa::gemm_f32).
pub fn gemm_f32(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let rows = g.b_col == 1;
    if !rows && (g.a_col != 1 || g.b_row != 1) {
        return scalar::gemm_f32(g, a, b, c);
    }
    if !g.fits(a.len(), b.len(), c.len()) || g.m == 0 || g.n == 0 || g.k == 0 {
        return;
    }
    if !rows {
        // SAFETY: `fits`.
        return unsafe { add_columns(g, a, b, c) };
    }
    for i in 0..g.m {
        // All rows that the shape names lie in the slices.
        let (a, c) = (from(a, i * g.a_row), c.get_mut(i * g.c_row..).unwrap_or_default());
        // SAFETY: `fits`.
        unsafe { add_rows(g, a, b, c) };
    }
}

/// C from columns of B.
///
/// # Safety
/// A, B and C hold all rows and columns of the shape, which has no size of 0.
unsafe fn add_columns(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let quads = g.n / 4;
    let all = Columns {
        a: a.as_ptr(),
        b: b.as_ptr(),
        c: c.as_mut_ptr(),
        a_row: g.a_row.wrapping_mul(WORD),
        b_col: g.b_col.wrapping_mul(WORD),
        c_row: g.c_row.wrapping_mul(WORD),
        k: g.k,
        count: quads,
        rows: g.m / 2,
        start: core::ptr::null(),
        back: 0,
    };
    if quads > 0 {
        let mut of = all;
        if of.rows > 0 {
            // SAFETY: the caller's promise; nothing is read or written but the elements of these rows and columns.
            unsafe { embernet_f32_two_rows(&mut of) };
        }
        if !g.m.is_multiple_of(2) {
            // SAFETY: as above; the loop has moved to the last row.
            unsafe { embernet_f32_one_row(&of) };
        }
    }
    let (b, c) = (all.b.wrapping_add(4 * quads * g.b_col), all.c.wrapping_add(4 * quads));
    let mut of = Columns { b, c, count: g.n % 4, rows: g.m, ..all };
    if of.count > 0 {
        // SAFETY: as above.
        unsafe { embernet_f32_one_column(&mut of) };
    }
}

/// One row of C from rows of B.
///
/// # Safety
/// A, B and C hold this row, and all columns, of the shape, which has no size of 0.
unsafe fn add_rows(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let of = Rows {
        a: a.as_ptr(),
        b: b.as_ptr(),
        c: c.as_mut_ptr(),
        a_col: g.a_col.wrapping_mul(WORD),
        b_row: g.b_row.wrapping_mul(WORD),
        n: g.n,
        k: g.k,
    };
    // SAFETY: the caller's promise; nothing is read or written but the elements of these rows.
    unsafe { embernet_f32_rows(&of) };
}

/// See [`Isa::dense_one_f32`](crate::arch::Isa::dense_one_f32).
pub fn dense_one_f32(x: &[f32], w: &[f32], b: &[f32], y: &mut [f32]) {
    let (k, n) = (x.len(), y.len());
    if b.len() < n {
        clear(y);
        let g = Gemm { m: 1, n, k, a_row: 0, a_col: 1, b_row: 1, b_col: k, c_row: 0 };
        return gemm_f32(&g, x, w, y);
    }
    if n == 0 || k == 0 || w.len() < k.saturating_mul(n) {
        return;
    }
    let mut of = Columns {
        a: x.as_ptr(),
        b: w.as_ptr(),
        c: y.as_mut_ptr(),
        a_row: 0,
        b_col: k.wrapping_mul(WORD),
        c_row: 0,
        k,
        count: n,
        rows: 1,
        start: b.as_ptr(),
        back: n.wrapping_neg() % 4,
    };
    if n < 4 {
        // SAFETY: `w` has a column of `k` for each of the `n` elements of `y`, and `b` as many elements.
        return unsafe { embernet_f32_one_column(&mut of) };
    }
    // One or two columns behind the last four cost less by themselves than in four that were there, unless they are short.
    if k > 16 && of.back >= 2 {
        let rest = 4 - of.back;
        let done = n - rest;
        (of.count, of.back) = (n / 4, 0);
        // SAFETY: likewise; the last four columns are there.
        unsafe { embernet_f32_one_row(&of) };
        of.b = of.b.wrapping_add(done.wrapping_mul(k));
        of.c = of.c.wrapping_add(done);
        of.start = of.start.wrapping_add(done);
        of.count = rest;
        // SAFETY: likewise.
        return unsafe { embernet_f32_one_column(&mut of) };
    }
    of.count = n.div_ceil(4);
    // SAFETY: likewise; the last four columns are there.
    unsafe { embernet_f32_one_row(&of) };
}

/// See [`Isa::dense_one_backward_f32`](crate::arch::Isa::dense_one_backward_f32).
pub fn dense_one_backward_f32(dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (k, n) = (dy.len(), dx.len());
    clear(dx);
    if k == 0 || n == 0 || w.len() < k.saturating_mul(n) {
        return;
    }
    let (a, b, c) = (dy.as_ptr(), w.as_ptr(), dx.as_mut_ptr());
    let of = Rows { a, b, c, a_col: WORD, b_row: n.wrapping_mul(WORD), n, k };
    // SAFETY: `w` has a row of `n` for each of the `k` elements of `dy`.
    unsafe { embernet_f32_rows(&of) };
}

/// See [`Isa::dot_f32`](crate::arch::Isa::dot_f32).
pub fn dot_f32(init: f32, a: &[f32], b: &[f32]) -> f32 {
    let k = a.len().min(b.len());
    let mut sum = init;
    let shape = Gemm { m: 1, n: 1, k, a_row: 0, a_col: 1, b_row: 1, b_col: k.max(2), c_row: 1 };
    gemm_f32(&shape, sub(a, 0, k), sub(b, 0, k), core::slice::from_mut(&mut sum));
    sum
}

/// See [`Isa::axpy_f32`](crate::arch::Isa::axpy_f32).
pub fn axpy_f32(a: f32, x: &[f32], y: &mut [f32]) {
    let n = x.len().min(y.len());
    let shape = Gemm { m: 1, n, k: 1, a_row: 1, a_col: 1, b_row: n, b_col: 1, c_row: n };
    gemm_f32(&shape, core::slice::from_ref(&a), sub(x, 0, n), sub_mut(y, 0, n));
}

/// The square root, correctly rounded.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    embernet_f32_root(x)
}

/// See [`Isa::clamp_f32`](crate::arch::Isa::clamp_f32).
pub fn clamp_f32(lo: f32, hi: f32, y: &mut [f32]) {
    if y.is_empty() {
        return;
    }
    // Most layers have one limit or none.
    if lo > f32::NEG_INFINITY {
        // SAFETY: reads and writes `y.len()` elements, of which there is one.
        unsafe { embernet_f32_at_least(y.as_mut_ptr(), y.len(), lo) };
    }
    if hi < f32::INFINITY {
        // SAFETY: likewise.
        unsafe { embernet_f32_at_most(y.as_mut_ptr(), y.len(), hi) };
    }
}

/// See [`Isa::sgd_f32`](crate::arch::Isa::sgd_f32).
pub fn sgd_f32(o: &Optimizer, g: &[f32], w: &mut [f32]) {
    let count = g.len().min(w.len());
    if count > 0 {
        // SAFETY: reads `count` elements of both and writes those of `w`; there is one at least.
        unsafe { embernet_f32_descend(g.as_ptr(), count, w.as_mut_ptr(), o.rate, o.settings.weight_decay) };
    }
}

/// See [`Isa::adam_f32`](crate::arch::Isa::adam_f32).
pub fn adam_f32(o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let count = g.len().min(w.len()).min(m.len()).min(v.len());
    // A single row. That 0 + 1 * g is no negative zero does not show: what is tiny becomes zero, without a sign.
    adam(o, &[1.0], sub(g, 0, count), w, m, v);
}

/// See [`Isa::update_outer_f32`](crate::arch::Isa::update_outer_f32).
pub fn update_outer_f32(o: &Optimizer, dy: &[f32], x: &[f32], w: &mut [f32], state: &mut [f32]) -> bool {
    match o.rule {
        Rule::Sgd => descend(o, dy, x, w),
        Rule::Adam => {
            let (first, second) = state.split_at_mut_checked(state.len() / 2).unwrap_or_default();
            adam(o, dy, x, w, first, second);
        }
        Rule::Momentum { .. } | Rule::AdaGrad => return false,
    }
    true
}

fn descend(o: &Optimizer, dy: &[f32], x: &[f32], w: &mut [f32]) {
    let (rows, columns) = (dy.len(), x.len());
    if rows == 0 || columns == 0 || w.len() < rows.saturating_mul(columns) {
        return;
    }
    let (rate, decay) = (o.rate, o.settings.weight_decay);
    let of = Descent { dy: dy.as_ptr(), x: x.as_ptr(), w: w.as_mut_ptr(), rows, columns, rate, decay };
    // SAFETY: reads `rows` elements of `dy` and `columns` of `x`, reads and writes as many of `w` as their product.
    unsafe { embernet_f32_descend_outer(&of) };
}

fn adam(o: &Optimizer, dy: &[f32], x: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let (rows, columns) = (dy.len(), x.len());
    if rows == 0 || columns == 0 || w.len().min(m.len()).min(v.len()) < rows.saturating_mul(columns) {
        return;
    }
    let of = Adam {
        dy: dy.as_ptr(),
        x: x.as_ptr(),
        w: w.as_mut_ptr(),
        m: m.as_mut_ptr(),
        v: v.as_mut_ptr(),
        rows,
        columns,
        tiny: TINY.to_bits() << 1,
        tiny_square: TINY_SQUARE.to_bits() << 1,
        rate: o.rate,
        one_minus_beta_1: 1.0 - o.settings.momentum,
        one_minus_beta_2: 1.0 - o.settings.beta_2,
        epsilon: o.settings.epsilon,
        decay: o.settings.weight_decay,
    };
    // SAFETY: reads `rows` elements of `dy` and `columns` of `x`, reads and writes as many of the others as their
    // product.
    unsafe { embernet_f32_adam(&of) };
}
