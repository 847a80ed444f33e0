//! Functions of two inputs, element by element, where either input may repeat along axes or for all samples.
//!
//! Residual sums of equal shapes have a faster step of their own: [`super::add`].

mod float;
mod integer;

pub use float::ForwardF32;
pub use integer::ForwardInteger;

use super::util::elements;
use crate::plan::{Ref, factors};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most axes after those that both inputs walk alike have become one.
pub const AXES: usize = 4;

/// Which function. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// `a + b`
    Add = 0,
    /// `a - b`
    Sub = 1,
    /// `a * b`
    Mul = 2,
    /// `a / b`; f32 and int8.
    Div = 3,
    /// The smaller one; the first if they are equal.
    Min = 4,
    /// The greater one; the first if they are equal.
    Max = 5,
    /// `a` where it is positive, `a * b` elsewhere; f32 and int8.
    PRelu = 6,
}

impl Kind {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 7] = [Self::Add, Self::Sub, Self::Mul, Self::Div, Self::Min, Self::Max, Self::PRelu];

    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Add),
            1 => Some(Self::Sub),
            2 => Some(Self::Mul),
            3 => Some(Self::Div),
            4 => Some(Self::Min),
            5 => Some(Self::Max),
            6 => Some(Self::PRelu),
            _ => None,
        }
    }

    /// Whether the inputs can be exchanged without changing a bit, so that the result may also take the place of `b`.
    pub const fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul)
    }
}

/// One input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Side {
    /// Where it lies.
    pub at: Ref,
    /// Elements of one sample.
    pub elements: u32,
    /// 1 if it is the same for all samples (a constant), else 0.
    pub repeats: u32,
    /// Elements from one index to the next, for each axis; 0 where it repeats, at most 1 along the last one.
    pub strides: [u32; AXES],
}

impl Side {
    fn holds(&self, extents: &[u32; AXES]) -> bool {
        let way = |(extent, stride): (&u32, &u32)| u64::from(extent - 1) * u64::from(*stride);
        let last = extents.iter().zip(&self.strides).map(way).fold(0u64, u64::saturating_add);
        let [.., step] = self.strides;
        self.repeats <= 1 && step <= 1 && last < u64::from(self.elements)
    }

    /// Whether it has as many elements as the output, in the same order.
    fn is_whole(&self, extents: &[u32; AXES]) -> bool {
        let mut expected = 1;
        let natural = |(extent, stride): (&u32, &u32)| {
            let fits = *extent == 1 || *stride == expected;
            expected *= extent;
            fits
        };
        self.repeats == 0 && extents.iter().zip(&self.strides).rev().all(natural) && self.elements == expected
    }
}

/// How two inputs meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Broadcast {
    /// Shape of one output sample, outermost axis first.
    pub extents: [u32; AXES],
    /// One input.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// Output; may have the place of an input that it is as large as: of `a`, or of `b` if the function commutes.
    pub y: Ref,
}

impl Broadcast {
    /// Elements of one output sample.
    pub const OUTPUT: &[u8] = factors!(extents[0], extents[1], extents[2], extents[3]);

    fn is_valid(&self, kind: Option<Kind>) -> bool {
        let Some(kind) = kind else { return false };
        let is_free = |side: &Side, may_share| side.at != self.y || (may_share && side.is_whole(&self.extents));
        elements(self.extents).is_some()
            && self.a.holds(&self.extents)
            && self.b.holds(&self.extents)
            && [self.a, self.b].iter().all(|side| elements([side.elements]).is_some())
            && is_free(&self.a, true)
            && is_free(&self.b, kind.commutes() && self.a.at != self.y)
    }

    /// The output's rows along the last axis in order, with the first elements of both inputs for each.
    fn rows(&self) -> Rows<'_> {
        Rows { shape: self, sample: 0, index: [0; AXES], a: 0, b: 0 }
    }
}

/// Endless iterator over `[a, b]`, the first elements of both inputs for each row of the output.
struct Rows<'s> {
    shape: &'s Broadcast,
    sample: usize,
    index: [u32; AXES],
    a: usize,
    b: usize,
}

impl Iterator for Rows<'_> {
    type Item = [usize; 2];

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let Broadcast { extents, a, b, .. } = self.shape;
        let sample = |side: &Side| if side.repeats == 1 { 0 } else { self.sample.wrapping_mul(side.elements as usize) };
        let here = [self.a.wrapping_add(sample(a)), self.b.wrapping_add(sample(b))];
        let axes = self.index.iter_mut().zip(extents).zip(a.strides.iter().zip(&b.strides));
        for ((index, extent), (a_stride, b_stride)) in axes.rev().skip(1) {
            *index += 1;
            self.a = self.a.wrapping_add(*a_stride as usize);
            self.b = self.b.wrapping_add(*b_stride as usize);
            if *index < *extent {
                return Some(here);
            }
            *index = 0;
            self.a = self.a.wrapping_sub((*a_stride as usize).wrapping_mul(*extent as usize));
            self.b = self.b.wrapping_sub((*b_stride as usize).wrapping_mul(*extent as usize));
        }
        self.sample = self.sample.wrapping_add(1);
        Some(here)
    }
}

/// `row[i] = x[start + i * step]`, for a step of 0 or 1.
fn load<T: Copy>(x: &[T], start: usize, step: u32, row: &mut [T]) {
    let x = super::util::from(x, start);
    match (step, x.first()) {
        (0, Some(x)) => row.fill(*x),
        _ => super::util::copy(x, row),
    }
}

/// `row[i] = f(row[i], x[start + i * step])`, for a step of 0 or 1.
#[inline(always)]
fn combine<T: Copy>(x: &[T], start: usize, step: u32, row: &mut [T], f: impl Fn(T, T) -> T) {
    let x = super::util::from(x, start);
    match (step, x.first()) {
        (0, Some(x)) => row.iter_mut().for_each(|y| *y = f(*y, *x)),
        _ => row.iter_mut().zip(x).for_each(|(y, x)| *y = f(*y, *x)),
    }
}

#[cfg(test)]
mod tests;
