//! Matrix products: bits, shapes, strides, memory around them, independence of cuts.

use super::{GUARD_BITS, Guarded, Suite, assert_same_bits, awkward, multiply_add, on_every_token};
use crate::arch::{Fold, Folds, Gemm, Isa};
use crate::rng::Rng;
use std::format;
use std::string::String;
use std::vec::Vec;

/// How A and B lie in memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Forward: rows of A and columns of B are contiguous.
    NT,
    /// Gradient of the input: rows of both are contiguous.
    NN,
    /// Gradient of the weights: columns of A and rows of B are contiguous.
    TN,
    /// Nothing is contiguous but columns of both.
    TT,
    /// Nothing is contiguous at all.
    Spread,
}

pub(super) const FORMS: [Form; 5] = [Form::NT, Form::NN, Form::TN, Form::TT, Form::Spread];

impl Form {
    /// Strides with `gap` unused elements between rows.
    pub(super) fn shape(self, m: usize, n: usize, k: usize, gap: usize) -> Gemm {
        let (a_row, a_col) = match self {
            Self::NT | Self::NN => (k + gap, 1),
            Self::TN | Self::TT => (1, m + gap),
            Self::Spread => (2 * k + gap, 2),
        };
        let (b_row, b_col) = match self {
            Self::NN | Self::TN => (n + gap, 1),
            Self::NT | Self::TT => (1, k + gap),
            Self::Spread => (3 * n + gap, 3),
        };
        Gemm { m, n, k, a_row, a_col, b_row, b_col, c_row: n + gap }
    }
}

/// Just long enough for `rows * columns` elements with these strides.
pub(super) fn extent(rows: usize, row: usize, columns: usize, column: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row + (columns - 1) * column + 1 }
}

/// Element after element, in index order.
pub(super) fn define(exact: bool, g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..g.m {
        for j in 0..g.n {
            let c = &mut c[i * g.c_row + j];
            for p in 0..g.k {
                *c = multiply_add(exact, a[i * g.a_row + p * g.a_col], b[p * g.b_row + j * g.b_col], *c);
            }
        }
    }
}

/// Random matrices of a shape; what lies between rows of C is a guard too.
pub(super) struct Matrices {
    pub a: Guarded,
    pub b: Guarded,
    pub c: Guarded,
}

impl Matrices {
    pub(super) fn new(g: &Gemm, rng: &mut Rng, mut value: impl FnMut(usize, &mut Rng) -> f32) -> Self {
        let mut make = |len: usize| {
            let offset = rng.below(16) as usize;
            Guarded::new(len, offset, |i| value(i, rng))
        };
        let a = make(extent(g.m, g.a_row, g.k, g.a_col));
        let b = make(extent(g.k, g.b_row, g.n, g.b_col));
        let mut c = make(extent(g.m, g.c_row, g.n, 1));
        for (i, c) in c.get_mut().iter_mut().enumerate() {
            if i % g.c_row.max(1) >= g.n {
                *c = f32::from_bits(GUARD_BITS);
            }
        }
        Self { a, b, c }
    }
}

fn check_shape<I: Isa>(isa: I, g: &Gemm, rng: &mut Rng, value: fn(usize, &mut Rng) -> f32, what: &str) {
    let Matrices { a, b, mut c } = Matrices::new(g, rng, value);
    let mut expected = c.get().to_vec();
    define(I::ID.is_exact(), g, a.get(), b.get(), &mut expected);
    isa.gemm_f32(g, a.get(), b.get(), c.get_mut());
    let what: String = format!("{} {what} {g:?}", I::ID.name());
    assert_same_bits(c.get(), &expected, &what);
    c.assert_guards(&what);
    for (i, c) in c.get().iter().enumerate().filter(|(i, _)| i % g.c_row.max(1) >= g.n) {
        assert_eq!(c.to_bits(), GUARD_BITS, "{what}: wrote between rows of C, at {i}");
    }
}

fn ordinary(_: usize, rng: &mut Rng) -> f32 {
    rng.uniform_f32(-1.0, 1.0)
}

/// Every small shape, so that every tile is met.
#[derive(Clone, Copy)]
struct Small;

impl Suite for Small {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(1);
        for form in FORMS {
            for m in 0..=14 {
                for n in [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 50] {
                    for k in [0, 1, 2, 3, 4, 5, 7, 8, 9, 10] {
                        let g = form.shape(m, n, k, (m + n + k) % 3);
                        check_shape(isa, &g, &mut rng, ordinary, &format!("{form:?}"));
                    }
                }
            }
        }
    }
}

#[test]
fn small_shapes_give_the_defined_bits() {
    on_every_token(Small);
}

/// Random shapes past every limit at which products are cut.
#[derive(Clone, Copy)]
struct Large;

impl Suite for Large {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(2);
        let sizes = [(1, 784, 300), (2, 130, 700), (3, 200, 513), (32, 128, 784), (300, 40, 130), (700, 33, 257)];
        for (m, n, k) in sizes {
            for form in FORMS {
                check_shape(isa, &form.shape(m, n, k, 1), &mut rng, ordinary, &format!("{form:?}"));
            }
        }
        for _ in 0..60 {
            let mut below = |bound| 1 + rng.below(bound) as usize;
            let (m, n, k) = (below(150), below(150), below(600));
            let form = FORMS[rng.below(5) as usize];
            check_shape(isa, &form.shape(m, n, k, 0), &mut rng, ordinary, &format!("{form:?}"));
        }
    }
}

#[test]
fn large_shapes_give_the_defined_bits() {
    on_every_token(Large);
}

/// Zeros of both signs, subnormals, infinities, NaN.
#[derive(Clone, Copy)]
struct Awkward;

impl Suite for Awkward {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(3);
        for form in FORMS {
            for (m, n, k) in [(1, 1, 1), (5, 9, 6), (13, 35, 3), (32, 10, 40), (2, 70, 130)] {
                check_shape(isa, &form.shape(m, n, k, 2), &mut rng, awkward, &format!("{form:?}"));
            }
        }
    }
}

#[test]
fn awkward_numbers_give_the_defined_bits() {
    on_every_token(Awkward);
}

/// A product cut along any size is the product: what makes training independent of batch shards and threads.
#[derive(Clone, Copy)]
struct Cuts;

impl Suite for Cuts {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(4);
        for round in 0..80 {
            let mut below = |bound| 2 + rng.below(bound) as usize;
            let (m, n, k) = (below(60), below(90), below(400));
            let form = FORMS[round % FORMS.len()];
            let g = form.shape(m, n, k, round % 2);
            let Matrices { a, b, c } = Matrices::new(&g, &mut rng, ordinary);
            let mut whole = c.get().to_vec();
            isa.gemm_f32(&g, a.get(), b.get(), &mut whole);
            let mut cut = c.get().to_vec();
            let cuts = |size: usize, rng: &mut Rng| -> Vec<usize> {
                let middle = 1 + rng.below(size as u32 - 1) as usize;
                std::vec![0, middle, size]
            };
            let (ms, ns, ks) = (cuts(m, &mut rng), cuts(n, &mut rng), cuts(k, &mut rng));
            for (i, j, p) in (0..8).map(|bits| (bits & 1, bits >> 1 & 1, bits >> 2)) {
                let part = Gemm { m: ms[i + 1] - ms[i], n: ns[j + 1] - ns[j], k: ks[p + 1] - ks[p], ..g };
                let a = &a.get()[ms[i] * g.a_row + ks[p] * g.a_col..];
                let b = &b.get()[ks[p] * g.b_row + ns[j] * g.b_col..];
                isa.gemm_f32(&part, a, b, &mut cut[ms[i] * g.c_row + ns[j]..]);
            }
            assert_same_bits(&cut, &whole, &format!("{} {form:?} cut at {ms:?} {ns:?} {ks:?}", I::ID.name()));
        }
    }
}

#[test]
fn a_product_cut_in_eight_is_the_product() {
    on_every_token(Cuts);
}

/// Shapes that do not fit their slices: no panic, nothing written outside.
#[derive(Clone, Copy)]
struct Misfits;

impl Suite for Misfits {
    fn check<I: Isa>(self, isa: I) {
        let good = Gemm { m: 9, n: 20, k: 6, a_row: 6, a_col: 1, b_row: 1, b_col: 6, c_row: 20 };
        let huge = usize::MAX / 2;
        let misfits = [
            Gemm { m: 10, ..good },
            Gemm { n: 21, ..good },
            Gemm { k: 7, ..good },
            Gemm { m: huge, ..good },
            Gemm { n: huge, ..good },
            Gemm { k: huge, ..good },
            Gemm { a_row: huge, ..good },
            Gemm { a_col: huge, ..good },
            Gemm { b_row: huge, ..good },
            Gemm { b_col: huge, ..good },
            Gemm { b_col: 1, b_row: huge, ..good },
            Gemm { c_row: huge, ..good },
            Gemm { c_row: 3, ..good },
        ];
        for g in misfits {
            let mut c = Guarded::new(180, 1, |_| 0.0);
            isa.gemm_f32(&g, &[1.0; 54], &[1.0; 120], c.get_mut());
            c.assert_guards(&format!("{} {g:?}", I::ID.name()));
        }
        assert!(good.fits(54, 120, 180));
        assert!(misfits.iter().all(|g| !g.fits(54, 120, 180)));
    }
}

#[test]
fn shapes_that_do_not_fit_harm_nothing() {
    on_every_token(Misfits);
}

/// Sums of products, of all forms, and operands that end too early.
#[derive(Clone, Copy)]
struct Folded;

impl Suite for Folded {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(7);
        for form in FORMS {
            for (m, n, k) in [(1, 1, 1), (9, 32, 3), (11, 33, 20), (3, 70, 5), (26, 16, 1), (12, 40, 96)] {
                for (turns, count) in [(1, 0), (0, 2), (1, 1), (1, 3), (2, 3), (3, 1)] {
                    let g = form.shape(m, n, k, 1);
                    let (outer, inner) = (Fold { count: turns, a: 5, b: 31 }, Fold { count, a: 7, b: 13 });
                    let folds = Folds { outer, inner };
                    let mut make = |len: usize| Guarded::new(len, 3, |_| rng.uniform_f32(-1.0, 1.0));
                    let a = make(extent(m, g.a_row, k, g.a_col) + 2 * (outer.a + inner.a));
                    let b = make(extent(k, g.b_row, n, g.b_col) + 2 * (outer.b + inner.b));
                    let mut c = make(extent(m, g.c_row, n, 1));
                    let mut expected = c.get().to_vec();
                    for (o, i) in (0..turns).flat_map(|o| (0..count).map(move |i| (o, i))) {
                        let a = &a.get()[o * outer.a + i * inner.a..];
                        define(I::ID.is_exact(), &g, a, &b.get()[o * outer.b + i * inner.b..], &mut expected);
                    }
                    isa.fold_f32(&g, folds, a.get(), b.get(), c.get_mut());
                    let what = format!("{} {form:?} {g:?} {folds:?}", I::ID.name());
                    assert_same_bits(c.get(), &expected, &what);
                    c.assert_guards(&what);
                    // The second product lies outside: no harm.
                    let beyond = Fold { count: 4, a: a.get().len(), b: 0 };
                    isa.fold_f32(&g, beyond.into(), a.get(), b.get(), c.get_mut());
                    isa.fold_f32(&g, Folds { outer: beyond, inner }, a.get(), b.get(), c.get_mut());
                    c.assert_guards(&what);
                }
            }
        }
    }
}

#[test]
fn folded_products_give_the_defined_bits() {
    on_every_token(Folded);
}
