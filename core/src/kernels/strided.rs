//! Copies boxes of values between strided places: transpose, slice, concatenation, padding. Any element type.
//!
//! `y[i] = x[i]` for every index `i` of a box of up to [`AXES`] axes, where each side has its own way of laying the
//! box out. Several steps may fill one `y`: only the first one writes all of it.

use super::util::{copy, elements, sub, sub_mut};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most axes of a box.
pub const AXES: usize = 6;

/// What happens to values of `y` outside of the box. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outside {
    /// Nothing; they are written by later steps, or there are none.
    Later = 0,
    /// They stay as earlier steps have left them.
    Keep = 1,
    /// They take the filling value.
    Fill = 2,
}

/// How the box lies in one sample of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Side {
    /// Where the tensor lies.
    pub at: Ref,
    /// Elements of one sample.
    pub elements: u32,
    /// The element with index 0 along all axes.
    pub start: u32,
    /// Elements from one index to the next, for each axis; may be negative.
    pub strides: [i32; AXES],
}

impl Side {
    /// Whether all of the box lies inside.
    fn holds(&self, extents: &[u32; AXES]) -> bool {
        let (mut least, mut most) = (i64::from(self.start), i64::from(self.start));
        for (extent, stride) in extents.iter().zip(self.strides) {
            let way = (i64::from(*extent) - 1).saturating_mul(i64::from(stride));
            if way < 0 {
                least = least.saturating_add(way);
            } else {
                most = most.saturating_add(way);
            }
        }
        0 <= least && most < i64::from(self.elements)
    }
}

/// Copies one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StridedCopy {
    /// Bytes of an element: 1, 2 or 4.
    pub size: u32,
    /// The box, outermost axis first; 1 for axes that it does not have.
    pub extents: [u32; AXES],
    /// Source.
    pub x: Side,
    /// 1 if the source is the same for all samples (a constant), else 0.
    pub repeats: u32,
    /// Destination.
    pub y: Side,
    /// [`Outside`].
    pub outside: u32,
    /// The filling value in its low bytes.
    pub fill: u32,
}

impl StridedCopy {
    /// One sample.
    fn copy(&self, x: &[u8], y: &mut [u8]) {
        self.walk(|row| match self.size {
            4 => row.copy::<4>(x, y),
            2 => row.copy::<2>(x, y),
            _ => row.copy::<1>(x, y),
        });
    }

    /// All rows along the last axis, in order.
    #[inline(always)]
    pub(super) fn walk(&self, mut visit: impl FnMut(Row)) {
        let mut index = [0u32; AXES];
        let (mut from, mut to) = (self.x.start as i32, self.y.start as i32);
        let [.., len] = self.extents;
        let ([.., x_step], [.., y_step]) = (self.x.strides, self.y.strides);
        loop {
            visit(Row { from, to, x_step, y_step, len });
            // The next row: count up the last axis but one, and carry.
            let axes = index.iter_mut().zip(&self.extents).zip(self.x.strides.iter().zip(&self.y.strides));
            let mut carried = true;
            for ((index, extent), (x_stride, y_stride)) in axes.rev().skip(1) {
                *index += 1;
                from = from.wrapping_add(*x_stride);
                to = to.wrapping_add(*y_stride);
                if *index < *extent {
                    carried = false;
                    break;
                }
                *index = 0;
                from = from.wrapping_sub(x_stride.wrapping_mul(*extent as i32));
                to = to.wrapping_sub(y_stride.wrapping_mul(*extent as i32));
            }
            if carried {
                return;
            }
        }
    }
}

/// One row of the box: first elements and steps.
pub(super) struct Row {
    pub from: i32,
    pub to: i32,
    pub x_step: i32,
    pub y_step: i32,
    pub len: u32,
}

impl Row {
    fn copy<const SIZE: usize>(&self, x: &[u8], y: &mut [u8]) {
        let (x, y) = (x.as_chunks::<SIZE>().0, y.as_chunks_mut::<SIZE>().0);
        let (mut from, mut to, len) = (self.from as usize, self.to as usize, self.len as usize);
        if (self.x_step, self.y_step) == (1, 1) {
            let (x, y) = (sub(x, from, len), sub_mut(y, to, len));
            if x.len() == y.len() {
                copy(x, y);
            }
            return;
        }
        for _ in 0..len {
            if let (Some(x), Some(y)) = (x.get(from), y.get_mut(to)) {
                *y = *x;
            }
            from = from.wrapping_add_signed(self.x_step as isize);
            to = to.wrapping_add_signed(self.y_step as isize);
        }
    }
}

impl StepRecord for StridedCopy {
    operands! {
        x.at: read size(size) [samples unless repeats, x.elements],
        y.at: parts size(size) [outside, samples, y.elements],
    }

    fn shape_is_valid(&self) -> bool {
        matches!(self.size, 1 | 2 | 4)
            && self.repeats <= 1
            && self.outside <= Outside::Fill as u32
            && elements([self.x.elements, self.size]).is_some()
            && elements([self.y.elements, self.size]).is_some()
            // Not larger than what it fills: a step's time is bounded by its operands.
            && elements(self.extents).is_some_and(|count| count <= self.y.elements)
            && self.x.holds(&self.extents)
            && self.y.holds(&self.extents)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, y) = (at.read(), at.write());
        if self.outside == Outside::Fill as u32 {
            let pattern = self.fill.to_le_bytes();
            let value = pattern.iter().take(self.size as usize).cycle();
            y.iter_mut().zip(value).for_each(|(y, value)| *y = *value);
        }
        let (x_len, y_len) = ((self.x.elements * self.size) as usize, (self.y.elements * self.size) as usize);
        for sample in 0..context.samples {
            let x_start = if self.repeats == 1 { 0 } else { sample * x_len };
            self.copy(sub(x, x_start, x_len), sub_mut(y, sample * y_len, y_len));
        }
    }
}

#[cfg(test)]
mod tests;
