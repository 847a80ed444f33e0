//! Functions of one value, element by element: limits (relu, relu6), sigmoid, tanh and others.
//!
//! Forward and backward work in place where both places are the same. Where the forward step's output tells the slope,
//! backward reads that and not the input: for limits `dx = dy` where `a < y < b`, for sigmoid `dy * y * (1 - y)`, for
//! tanh `dy * (1 - y * y)`.

mod int16;
mod int8;

pub use int8::{Limits, LimitsBackwardI8, limits_backward_i8};
pub use int16::{ForwardI16, LinesI16};

use super::util::{copy, elements, from};
use crate::arch::Isa;
use crate::math::{self, Maths};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which function. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Limits `a..=b`: relu is `0..=inf`, relu6 is `0..=6`.
    Clamp = 0,
    /// `1 / (1 + e^-x)`.
    Sigmoid = 1,
    /// Hyperbolic tangent.
    Tanh = 2,
    /// `x` where it is positive, `a * x` elsewhere.
    LeakyRelu = 3,
    /// `x` where it is positive, `a * (e^x - 1)` elsewhere.
    Elu = 4,
    /// `min(max(a * x + b, 0), 1)`.
    HardSigmoid = 5,
    /// `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish = 6,
    /// `x * (1 + erf(x / sqrt(2))) / 2`.
    Gelu = 7,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2`.
    GeluTanh = 8,
    /// `e^x`.
    Exp = 9,
    /// Natural logarithm.
    Log = 10,
    /// Square root.
    Sqrt = 11,
    /// Magnitude.
    Abs = 12,
    /// `-x`.
    Neg = 13,
    /// `1 / x`.
    Reciprocal = 14,
}

impl Kind {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Clamp,
        Self::Sigmoid,
        Self::Tanh,
        Self::LeakyRelu,
        Self::Elu,
        Self::HardSigmoid,
        Self::HardSwish,
        Self::Gelu,
        Self::GeluTanh,
        Self::Exp,
        Self::Log,
        Self::Sqrt,
        Self::Abs,
        Self::Neg,
        Self::Reciprocal,
    ];

    /// From its number.
    pub fn from_u32(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }

    /// Whether the slope follows from the function's value; otherwise [`backward_f32`] wants the argument.
    pub const fn slope_from_output(self) -> bool {
        matches!(self, Self::Clamp | Self::Sigmoid | Self::Tanh | Self::Exp | Self::Sqrt | Self::Neg | Self::Reciprocal)
    }
}

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `sqrt(2 / pi)`.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// Weight of the cube in the tanh form of gelu.
const GELU_CUBE: f32 = 0.044_715;

/// `y = f(y)`; [`Kind`] says what `a` and `b` are.
pub fn forward_f32<I: Isa>(isa: I, maths: Maths, kind: Kind, a: f32, b: f32, y: &mut [f32]) {
    if kind == Kind::Clamp {
        return isa.clamp_f32(a, b, y);
    }
    for y in y {
        *y = value(maths, kind, a, b, *y);
    }
}

/// `f(x)`.
#[inline(never)] // One loop for all functions: they take far longer than the choice.
fn value(maths: Maths, kind: Kind, a: f32, b: f32, x: f32) -> f32 {
    match kind {
        Kind::Clamp => math::clamp(x, a, b),
        Kind::Sigmoid => maths.sigmoid(x),
        Kind::Tanh => maths.tanh(x),
        Kind::LeakyRelu if x > 0.0 => x,
        Kind::LeakyRelu => a * x,
        Kind::Elu if x > 0.0 => x,
        Kind::Elu => a * math::exp_m1(x),
        Kind::HardSigmoid => math::clamp(a * x + b, 0.0, 1.0),
        Kind::HardSwish => x * math::clamp(x + 3.0, 0.0, 6.0) / 6.0,
        Kind::Gelu => 0.5 * x * (1.0 + math::erf(x * core::f32::consts::FRAC_1_SQRT_2)),
        Kind::GeluTanh => 0.5 * x * (1.0 + maths.tanh(SQRT_2_OVER_PI * (x + GELU_CUBE * x * x * x))),
        Kind::Exp => maths.exp(x),
        Kind::Log => math::ln(x),
        Kind::Sqrt => math::sqrt(x),
        Kind::Abs if x < 0.0 => -x,
        Kind::Abs => x,
        Kind::Neg => -x,
        Kind::Reciprocal => 1.0 / x,
    }
}

/// Gradient of the input in place of the gradient of the output: `dy = dy * f'`, with `f'` from `y = f(x)`, or from
/// `x` in the place of `y` where [`Kind::slope_from_output`] says so.
#[inline(always)] // So that its caller can have it compiled for an instruction set.
pub fn backward_f32(kind: Kind, a: f32, b: f32, y: &[f32], dy: &mut [f32]) {
    let pairs = dy.iter_mut().zip(y);
    match kind {
        Kind::Clamp => pairs.for_each(|(dy, &y)| *dy = if a < y && y < b { *dy } else { 0.0 }),
        Kind::Sigmoid => pairs.for_each(|(dy, y)| *dy *= y * (1.0 - y)),
        Kind::Tanh => pairs.for_each(|(dy, y)| *dy *= 1.0 - y * y),
        kind => pairs.for_each(|(dy, y)| *dy *= slope(kind, a, b, *y)),
    }
}

/// `f'` of the functions that have no loop of their own, from their value or argument.
#[inline(never)]
fn slope(kind: Kind, a: f32, b: f32, x: f32) -> f32 {
    let y = x;
    match kind {
        Kind::Clamp | Kind::Sigmoid | Kind::Tanh => 1.0,
        Kind::LeakyRelu | Kind::Elu if x > 0.0 => 1.0,
        Kind::LeakyRelu => a,
        Kind::Elu => a * math::exp(x),
        Kind::HardSigmoid if 0.0 < a * x + b && a * x + b < 1.0 => a,
        Kind::HardSigmoid => 0.0,
        Kind::HardSwish if x <= -3.0 => 0.0,
        Kind::HardSwish if x >= 3.0 => 1.0,
        Kind::HardSwish => (2.0 * x + 3.0) / 6.0,
        Kind::Gelu => {
            let density = math::exp(-0.5 * x * x) * (0.5 * SQRT_2_OVER_PI);
            0.5 * (1.0 + math::erf(x * core::f32::consts::FRAC_1_SQRT_2)) + x * density
        }
        Kind::GeluTanh => {
            let t = math::tanh(SQRT_2_OVER_PI * (x + GELU_CUBE * x * x * x));
            let inner = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBE * x * x);
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
        }
        Kind::Exp => y,
        Kind::Log => 1.0 / x,
        Kind::Sqrt => 0.5 / y,
        Kind::Abs if x > 0.0 => 1.0,
        Kind::Abs if x < 0.0 => -1.0,
        Kind::Abs => 0.0,
        Kind::Neg => -1.0,
        Kind::Reciprocal => -(y * y),
    }
}

// ---------------------------------------------------------------------------------------------- step records, f32

/// Forward step, f32; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// [`Kind`].
    pub kind: u32,
    /// Elements of one sample.
    pub len: u32,
    /// First number of the function, if [`Kind`] says that it has one.
    pub a: f32,
    /// Second number.
    pub b: f32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: input f32 [samples, len],
        y: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        Kind::from_u32(self.kind).is_some() && elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, y) = (at.read(), at.write());
        copy(x, y);
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        forward_f32(isa, Maths::of(context.training), kind, self.a, self.b, y);
    }
}

/// Backward step, f32; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// [`Kind`].
    pub kind: u32,
    /// Elements of one sample.
    pub len: u32,
    /// As in the forward step.
    pub a: f32,
    /// As in the forward step.
    pub b: f32,
    /// Output of the forward step, or its input: see [`Kind::slope_from_output`].
    pub y: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        y: read f32 [samples, len],
        dy: input f32 [samples, len],
        dx: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        Kind::from_u32(self.kind).is_some() && elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (y, dy, dx) = (at.read(), at.read(), at.write());
        copy(dy, dx);
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        let (y, len): (&[f32], _) = (y, self.len as usize);
        isa.split(context.samples, len, [(dx, len)], |of, [dx]| {
            isa.vectorize(|| backward_f32(kind, self.a, self.b, from(y, of.start * len), dx));
        });
    }
}

#[cfg(test)]
mod tests;
