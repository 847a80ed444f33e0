//! Functions of one value, int16 forward, as in the reference; zero points are 0.
//!
//! Logistic and tanh draw straight lines between the entries of one table; relu, leaky relu and a change of scale are
//! two lines through zero.

use super::Kind;
use crate::arch::Isa;
use crate::kernels::requantize::{Rescale, limits_are_valid_i16};
use crate::kernels::util::{copy, elements};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::functions::{TABLE, ToTable, logistic_i16, tanh_i16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Forward step of sigmoid or tanh, int16; the output's scale is 1/32768. In place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// [`Kind::Sigmoid`] or [`Kind::Tanh`].
    pub kind: u32,
    /// Elements of one sample.
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// The logistic function, [`TABLE`] entries.
    pub table: Ref,
    /// How inputs become arguments.
    pub argument: ToTable,
}

impl StepRecord for ForwardI16 {
    operands! {
        x: input i16 [samples, len],
        table: read i16 [const TABLE],
        y: write i16 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        matches!(Kind::from_u32(self.kind), Some(Kind::Sigmoid | Kind::Tanh))
            && elements([self.len]).is_some()
            && self.argument.is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, table, y) = (at.read(), at.read(), at.write());
        copy(x, y);
        let table: &[u16] = table;
        let function = if self.kind == Kind::Tanh as u32 { tanh_i16 } else { logistic_i16 };
        for y in y {
            *y = function(table, self.argument.of(*y));
        }
    }
}

/// Forward step of two lines through zero, int16: relu, leaky relu, a change of scale. In place if `x` and `y` are
/// equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LinesI16 {
    /// Elements of one sample.
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// Factor of zero and more.
    pub positive: Rescale,
    /// Factor of less.
    pub negative: Rescale,
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
}

impl StepRecord for LinesI16 {
    operands! {
        x: input i16 [samples, len],
        y: write i16 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some() && limits_are_valid_i16(self.lo, self.hi)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        copy(x, y);
        for y in y {
            let line = if *y >= 0 { self.positive } else { self.negative };
            *y = line.of(i32::from(*y)).max(self.lo).min(self.hi) as i16;
        }
    }
}
