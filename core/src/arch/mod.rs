//! Inner loops, one file for each instruction set.
//!
//! An [`Isa`] token says which loops to use; its existence proves that the processor has them. Every method has a
//! default body, the scalar definition, so a new token writes only what it does better. Integer methods give the
//! same bits on every token. Float methods of [`Scalar`] are the definition: sums start from what is there and add
//! products in index order, multiply then add, never fused; other tokens say how far they may differ.
//!
//! `unsafe` lives here and nowhere else in this crate.

pub mod scalar;
#[cfg(all(target_arch = "x86_64", any(test, feature = "std")))]
pub mod x86;

pub use scalar::Scalar;
#[cfg(all(target_arch = "x86_64", any(test, feature = "std")))]
pub use x86::Avx2;

use crate::kernels::requantize::Requantize;
use crate::optim::Optimizer;

/// Which token an image's scratch was sized for. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum IsaId {
    /// The definition; needs no scratch.
    Scalar = 0,
    /// x86-64 with AVX2 and FMA.
    Avx2 = 1,
}

impl IsaId {
    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Scalar),
            1 => Some(Self::Avx2),
            _ => None,
        }
    }

    /// Name as in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
        }
    }

    /// Whether convolutions gather patches into scratch and multiply matrices (a host with wide registers), or walk
    /// the input directly (a device with little RAM). It decides how much scratch an image needs.
    pub const fn gathers(self) -> bool {
        match self {
            Self::Scalar => false,
            Self::Avx2 => true,
        }
    }
}

/// A matrix product `C[i][j] += sum over p of A[i][p] * B[p][j]`, with strides in elements.
///
/// `C` is row-major with row stride `c_row`. Every element of `C` is read once, added to in order of `p` and
/// written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Distance between rows of A.
    pub a_row: usize,
    /// Distance between columns of A.
    pub a_col: usize,
    /// Distance between rows of B.
    pub b_row: usize,
    /// Distance between columns of B.
    pub b_col: usize,
    /// Distance between rows of C.
    pub c_row: usize,
}

/// A token for one instruction set. See the module's page.
pub trait Isa: Copy + Send + Sync + core::fmt::Debug + 'static {
    /// Which one.
    const ID: IsaId;

    /// `init + sum of a[i] * b[i]`.
    #[inline]
    fn dot_f32(self, init: f32, a: &[f32], b: &[f32]) -> f32 {
        scalar::dot_f32(init, a, b)
    }

    /// `y[i] += a * x[i]`.
    #[inline]
    fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]) {
        scalar::axpy_f32(a, x, y);
    }

    /// `y[i] += a[i] * b[i]`.
    #[inline]
    fn madd_f32(self, a: &[f32], b: &[f32], y: &mut [f32]) {
        scalar::madd_f32(a, b, y);
    }

    /// See [`Gemm`].
    #[inline]
    fn gemm_f32(self, shape: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
        scalar::gemm_f32(shape, a, b, c);
    }

    /// Limits every element to `lo..=hi`.
    #[inline]
    fn clamp_f32(self, lo: f32, hi: f32, y: &mut [f32]) {
        scalar::clamp_f32(lo, hi, y);
    }

    /// `y[i] += x[i]`.
    #[inline]
    fn accumulate_f32(self, x: &[f32], y: &mut [f32]) {
        scalar::accumulate_f32(x, y);
    }

    /// `y[i] = x[i]` where that is greater.
    #[inline]
    fn max_f32(self, x: &[f32], y: &mut [f32]) {
        scalar::max_f32(x, y);
    }

    /// Plain gradient descent; see [`crate::optim`].
    #[inline]
    fn sgd_f32(self, o: &Optimizer, g: &[f32], w: &mut [f32]) {
        scalar::sgd_f32(o, g, w);
    }

    /// Momentum; see [`crate::optim`].
    #[inline]
    fn momentum_f32(self, o: &Optimizer, nesterov: bool, g: &[f32], w: &mut [f32], v: &mut [f32]) {
        scalar::momentum_f32(o, nesterov, g, w, v);
    }

    /// AdaGrad; see [`crate::optim`].
    #[inline]
    fn adagrad_f32(self, o: &Optimizer, g: &[f32], w: &mut [f32], v: &mut [f32]) {
        scalar::adagrad_f32(o, g, w, v);
    }

    /// Adam; see [`crate::optim`].
    #[inline]
    fn adam_f32(self, o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        scalar::adam_f32(o, g, w, m, v);
    }

    /// `init + sum of x[i] * w[i]`, wrapping.
    #[inline]
    fn dot_i8(self, init: i32, x: &[i8], w: &[i8]) -> i32 {
        scalar::dot_i8(init, x, w)
    }

    /// `acc[j] += sum of x[i] * w[j * row + i]`, wrapping: a piece of several outputs at once.
    #[inline]
    fn matvec_i8(self, x: &[i8], w: &[i8], row: usize, acc: &mut [i32]) {
        scalar::matvec_i8(x, w, row, acc);
    }

    /// `acc[i] += x[i] * w[i]`, wrapping.
    #[inline]
    fn multiply_add_i8(self, x: &[i8], w: &[i8], acc: &mut [i32]) {
        scalar::multiply_add_i8(x, w, acc);
    }

    /// `acc[i] += a * w[i]`, wrapping.
    #[inline]
    fn axpy_i8(self, a: i8, w: &[i8], acc: &mut [i32]) {
        scalar::axpy_i8(a, w, acc);
    }

    /// `acc[i] += x[i]`, wrapping.
    #[inline]
    fn accumulate_i8(self, x: &[i8], acc: &mut [i32]) {
        scalar::accumulate_i8(x, acc);
    }

    /// `y[i] = max(y[i], x[i])`.
    #[inline]
    fn max_i8(self, x: &[i8], y: &mut [i8]) {
        scalar::max_i8(x, y);
    }

    /// Sums of the outputs from `first` on to int8.
    #[inline]
    fn requantize_i8(self, to: &Requantize<'_>, first: usize, acc: &[i32], y: &mut [i8]) {
        scalar::requantize_i8(to, first, acc, y);
    }
}
