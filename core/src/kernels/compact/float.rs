//! Sums of floats.

use super::{Layer, Walk};

/// A convolution, depthwise or transposed one, of f32 activations. Sums are products in order, multiply then add.
#[derive(Debug)]
pub struct Floats<'a> {
    /// Inputs.
    x: &'a [f32],
    /// Weights, or none.
    w: &'a [f32],
    /// Weights of 8 bits where there are no others.
    small: &'a [i8],
    /// From one weight of a tap to the next.
    step: usize,
    /// [`super::Walk::depth`].
    depth: usize,
    /// What a sum is multiplied by before it takes its bias: one for each output or one for all; empty for sums that
    /// start from their bias.
    scale: &'a [f32],
    /// Bias; empty counts as zeros.
    b: &'a [f32],
    /// Outputs.
    y: core::slice::IterMut<'a, f32>,
    /// The sum at work.
    sum: f32,
}

impl<'a> Floats<'a> {
    /// A layer with f32 weights, a tap's side by side.
    pub fn new(walk: &Walk, x: &'a [f32], w: &'a [f32], b: &'a [f32], y: &'a mut [f32]) -> Self {
        Self { x, w, small: &[], step: 1, depth: walk.depth(), scale: &[], b, y: y.iter_mut(), sum: 0.0 }
    }

    /// The same with a tap's weights so many apart.
    #[must_use]
    pub fn every(self, step: usize) -> Self {
        Self { step, ..self }
    }

    /// A layer with int8 weights: sums start from 0, are multiplied by `scale`, one for each output or one for all, and
    /// take their bias last.
    pub fn of_i8(walk: &Walk, x: &'a [f32], small: &'a [i8], scale: &'a [f32], b: &'a [f32], y: &'a mut [f32]) -> Self {
        Self { small, scale, ..Self::new(walk, x, &[], b, y) }
    }

    fn bias(&self, output: usize) -> f32 {
        self.b.get(output).copied().unwrap_or(0.0)
    }
}

impl Layer for Floats<'_> {
    fn start(&mut self, output: usize) {
        self.sum = if self.scale.is_empty() { self.bias(output) } else { 0.0 };
    }

    fn tap(&mut self, x: Option<usize>, w: usize) {
        let Some(mut x) = x else { return };
        let mut w = w;
        for _ in 0..self.depth {
            let weight = match self.small.get(w) {
                Some(weight) => f32::from(*weight),
                None => self.w.get(w).copied().unwrap_or(0.0),
            };
            self.sum += self.x.get(x).copied().unwrap_or(0.0) * weight;
            (x, w) = (x + 1, w + self.step);
        }
    }

    fn end(&mut self, output: usize) {
        let scale = self.scale.get(if self.scale.len() == 1 { 0 } else { output });
        let Some(y) = self.y.next() else { return };
        *y = match scale {
            Some(scale) => self.sum * scale + self.b.get(output).copied().unwrap_or(0.0),
            None => self.sum,
        };
    }
}
