//! Sum, mean or maximum over any axes.
//!
//! An output takes its values in index order of the axes that vanish, the last of them fastest.

mod integer;
mod mean;

pub use integer::{ForwardInteger, Scaling};
pub use mean::{Mean, MeanI8, mean_i8};

use super::util::{elements, rows_mut, sub};
use crate::arch::Isa;
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, factors, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most axes of either kind after neighbours have become one.
pub const AXES: usize = 3;

/// What becomes of the values. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Their sum, from zero.
    Sum = 0,
    /// Their sum, divided by how many they are.
    Mean = 1,
    /// The greatest.
    Max = 2,
}

impl Kind {
    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Sum),
            1 => Some(Self::Mean),
            2 => Some(Self::Max),
            _ => None,
        }
    }
}

/// One axis of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Axis {
    /// How many values.
    pub extent: u32,
    /// Elements from one to the next.
    pub stride: u32,
}

impl Axis {
    /// An axis that is not there.
    pub const NONE: Self = Self { extent: 1, stride: 0 };
}

/// Which axes stay and which vanish, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Shape {
    /// The output's axes.
    pub kept: [Axis; AXES],
    /// The others.
    pub folded: [Axis; AXES],
}

impl Shape {
    /// Elements of one input sample.
    pub const INPUT: &[u8] = factors!(6 of kept);
    /// Elements of one output sample.
    pub const OUTPUT: &[u8] = factors!(3 of kept);

    /// Whether the shape is consistent: every input index is inside.
    pub fn is_valid(&self) -> bool {
        let [a, b, c] = self.kept.map(|axis| axis.extent);
        let [d, e, f] = self.folded.map(|axis| axis.extent);
        let Some(count) = elements([a, b, c, d, e, f]) else { return false };
        let way = |axis: &Axis| u64::from(axis.extent - 1) * u64::from(axis.stride);
        let last = self.kept.iter().chain(&self.folded).map(way).fold(0, u64::saturating_add);
        last < u64::from(count)
    }

    /// Values behind one output.
    pub fn count(&self) -> usize {
        self.folded.iter().map(|axis| axis.extent as usize).product()
    }

    /// Elements of one output sample.
    pub fn out_elements(&self) -> usize {
        self.kept.iter().map(|axis| axis.extent as usize).product()
    }

    /// Elements of one input sample.
    pub fn in_elements(&self) -> usize {
        self.out_elements() * self.count()
    }

    /// For each output row along the last kept axis: where its first value's input lies.
    fn starts(&self) -> Walk {
        let [outer, middle, _] = self.kept;
        walk([Axis::NONE, outer, middle])
    }
}

/// Offsets of all indices of three axes, in order.
fn walk(axes: [Axis; 3]) -> Walk {
    Walk { axes, index: [0; 3], at: 0, is_done: axes.iter().any(|axis| axis.extent == 0) }
}

/// Iterator of [`walk`].
#[derive(Clone, Debug)]
struct Walk {
    axes: [Axis; 3],
    index: [u32; 3],
    at: usize,
    is_done: bool,
}

impl Iterator for Walk {
    type Item = usize;

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn next(&mut self) -> Option<usize> {
        if self.is_done {
            return None;
        }
        let here = self.at;
        // Count up the last axis, and carry.
        for (index, axis) in self.index.iter_mut().zip(&self.axes).rev() {
            *index += 1;
            self.at = self.at.wrapping_add(axis.stride as usize);
            if *index < axis.extent {
                return Some(here);
            }
            self.at = self.at.wrapping_sub((axis.stride as usize).wrapping_mul(*index as usize));
            *index = 0;
        }
        self.is_done = true;
        Some(here)
    }
}

/// `y[i] = f(y[i], x[start + i * stride])`.
fn fold<T: Copy, A: Copy>(x: &[T], start: usize, stride: usize, y: &mut [A], f: impl Fn(A, T) -> A) {
    for (y, x) in y.iter_mut().zip(super::util::from(x, start).iter().step_by(stride.max(1))) {
        *y = f(*y, *x);
    }
}

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// Reduces one sample or several.
pub fn forward_f32<I: Isa>(isa: I, kind: Kind, shape: &Shape, x: &[f32], y: &mut [f32]) {
    let [.., last] = shape.kept;
    let (len, stride) = (last.extent as usize, last.stride as usize);
    let (in_elements, count) = (shape.in_elements(), shape.count() as f32);
    for (sample, y) in rows_mut(y, shape.out_elements()).enumerate() {
        let x = sub(x, sample * in_elements, in_elements);
        for (y, start) in rows_mut(y, len).zip(shape.starts()) {
            y.fill(if kind == Kind::Max { f32::NEG_INFINITY } else { 0.0 });
            for offset in walk(shape.folded) {
                let start = start + offset;
                match (kind, stride) {
                    (Kind::Max, 1) => isa.max_f32(sub(x, start, len), y),
                    (Kind::Max, _) => fold(x, start, stride, y, math::max),
                    (_, 1) => isa.accumulate_f32(sub(x, start, len), y),
                    (..) => fold(x, start, stride, y, |y, x| y + x),
                }
            }
            if kind == Kind::Mean {
                y.iter_mut().for_each(|y| *y /= count);
            }
        }
    }
}

/// Forward step, f32.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// [`Kind`].
    pub kind: u32,
    /// Shape.
    pub shape: Shape,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: read f32 [samples, shape => Shape::INPUT],
        y: write f32 [samples, shape => Shape::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        Kind::from_u32(self.kind).is_some() && self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        forward_f32(isa, kind, &self.shape, x, y);
    }
}

#[cfg(test)]
mod tests;
