//! Sums of integers.

use super::{Layer, Walk};
use crate::arch::Scalar;
use crate::kernels::int4::unpack;
use crate::kernels::integer::Width;
use crate::kernels::requantize::{Requantize, Wide};
use crate::kernels::util::{sub, sub_mut};
use zerocopy::IntoBytes;

/// Weights of 8 bits, or two in a byte.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// int8.
    I8(&'a [i8]),
    /// int4 ([`crate::kernels::int4`]).
    I4(&'a [u8]),
}

/// int4 weights that are unpacked at once.
const PIECE: usize = 16;

/// A convolution, depthwise or transposed one, of int8 or int16.
#[derive(Debug)]
pub struct Integers<'a> {
    /// Of the activations.
    width: Width,
    /// Inputs.
    x: &'a [u8],
    /// Taken from every input: 0 where it is folded into the bias.
    zero_point: i32,
    /// What lies beside the input.
    pad_value: i8,
    /// Weights.
    w: Weights<'a>,
    /// [`super::Walk::depth`].
    depth: usize,
    /// Biases; empty counts as zeros.
    b: &'a [u8],
    /// How sums become outputs.
    to: &'a Requantize<'a>,
    /// Outputs that are still to come.
    y: &'a mut [u8],
    /// The sum at work.
    sum: i64,
}

impl<'a> Integers<'a> {
    /// A layer that takes `zero_point` from every input, and nothing from beside it.
    pub fn new(
        walk: &Walk,
        width: Width,
        x: &'a [u8],
        zero_point: i32,
        w: &'a [i8],
        b: &'a [u8],
        to: &'a Requantize<'a>,
        y: &'a mut [u8],
    ) -> Self {
        Self { width, x, zero_point, pad_value: 0, w: Weights::I8(w), depth: walk.depth(), b, to, y, sum: 0 }
    }

    /// An int8 layer whose biases have its input's zero point, which lies beside the input.
    pub fn of_i8(
        walk: &Walk,
        x: &'a [i8],
        w: Weights<'a>,
        b: &'a [i32],
        pad_value: i8,
        to: &'a Requantize<'a>,
        y: &'a mut [i8],
    ) -> Self {
        let layer = Self::new(walk, Width::I8, x.as_bytes(), 0, &[], b.as_bytes(), to, y.as_mut_bytes());
        Self { w, pad_value, ..layer }
    }

    /// An int16 layer.
    pub fn of_i16(
        walk: &Walk,
        x: &'a [i16],
        w: &'a [i8],
        b: &'a [Wide],
        to: &'a Requantize<'a>,
        y: &'a mut [i16],
    ) -> Self {
        Self::new(walk, Width::I16, x.as_bytes(), 0, w, b.as_bytes(), to, y.as_mut_bytes())
    }

    fn add(&mut self, x: Option<usize>, w: &[i8]) {
        match x {
            Some(x) => {
                let x = self.width.sub(self.x, x, w.len());
                self.sum = self.width.dot(Scalar, self.sum, x, self.zero_point, w);
            }
            None if self.pad_value != 0 => {
                for w in w {
                    self.sum = self.sum.wrapping_add(i64::from(i32::from(self.pad_value) * i32::from(*w)));
                }
            }
            None => {}
        }
    }
}

impl Layer for Integers<'_> {
    fn start(&mut self, output: usize) {
        self.sum = self.width.bias(self.b, output);
    }

    fn tap(&mut self, x: Option<usize>, w: usize) {
        match self.w {
            Weights::I8(weights) => self.add(x, sub(weights, w, self.depth)),
            Weights::I4(packed) => {
                let mut done = 0;
                while done < self.depth {
                    let mut piece = [0; PIECE];
                    let piece = sub_mut(&mut piece, 0, PIECE.min(self.depth - done));
                    unpack(packed, w + done, piece);
                    self.add(x.map(|x| x + done), piece);
                    done += PIECE;
                }
            }
        }
    }

    fn end(&mut self, output: usize) {
        let (y, rest) = core::mem::take(&mut self.y).split_at_mut_checked(self.width.bytes()).unwrap_or_default();
        self.width.store(self.to.output(output, self.sum), y);
        self.y = rest;
    }
}
