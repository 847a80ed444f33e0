//! Functions of two inputs, f32.

use super::{Broadcast, Kind, combine, load};
use crate::arch::Isa;
use crate::kernels::util::rows_mut;
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `row = f(row, x)`.
fn apply(kind: Kind, x: &[f32], start: usize, step: u32, row: &mut [f32]) {
    match kind {
        Kind::Add => combine(x, start, step, row, |a, b| a + b),
        Kind::Sub => combine(x, start, step, row, |a, b| a - b),
        Kind::Mul => combine(x, start, step, row, |a, b| a * b),
        Kind::Div => combine(x, start, step, row, |a, b| a / b),
        Kind::Min => combine(x, start, step, row, math::min),
        Kind::Max => combine(x, start, step, row, math::max),
        Kind::PRelu => combine(x, start, step, row, |a, b| if a > 0.0 { a } else { a * b }),
    }
}

/// Forward step, f32, with an activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// [`Kind`].
    pub kind: u32,
    /// Shape and places.
    pub shape: Broadcast,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for ForwardF32 {
    operands! {
        shape.a.at: input f32 [samples unless shape.a.repeats, shape.a.elements],
        shape.b.at: input f32 [samples unless shape.b.repeats, shape.b.elements],
        shape.y: write f32 [samples, shape => Broadcast::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid(Kind::from_u32(self.kind))
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let shape = &self.shape;
        let (a, b, y) = (at.read(), at.read(), at.write());
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        let ([.., len], [.., a_step], [.., b_step]) = (shape.extents, shape.a.strides, shape.b.strides);
        for (row, [a_start, b_start]) in rows_mut(y, len as usize).zip(shape.rows()) {
            if shape.b.at == shape.y {
                apply(kind, a, a_start, a_step, row);
            } else {
                if shape.a.at != shape.y {
                    load(a, a_start, a_step, row);
                }
                apply(kind, b, b_start, b_step, row);
            }
            isa.clamp_f32(self.lo, self.hi, row);
        }
    }
}
