//! Means and greatest elements of windows.

use super::Layer;
use crate::kernels::integer::Width;
use crate::memory::view;
use crate::quant::rounding_mean;

/// A pool of int8 or int16.
#[derive(Debug)]
pub struct IntegerPool<'a> {
    /// Of the activations.
    width: Width,
    /// Whether outputs are means, rounded to nearest, halves away from zero; else they are greatest elements.
    mean: bool,
    /// Inputs.
    x: &'a [u8],
    /// Least and greatest output.
    limits: (i32, i32),
    /// Outputs that are still to come.
    y: &'a mut [u8],
    /// The sum, or the greatest element so far.
    found: i32,
    /// Elements so far.
    count: i32,
}

impl<'a> IntegerPool<'a> {
    /// With limits of its outputs.
    pub fn new(width: Width, mean: bool, x: &'a [u8], limits: (i32, i32), y: &'a mut [u8]) -> Self {
        Self { width, mean, x, limits, y, found: 0, count: 0 }
    }
}

impl Layer for IntegerPool<'_> {
    fn start(&mut self, _: usize) {
        (self.found, self.count) = (if self.mean { 0 } else { i32::MIN }, 0);
    }

    fn tap(&mut self, x: Option<usize>, _: usize) {
        let Some(at) = x else { return };
        let x = match self.width {
            Width::I16 => view::<i16>(self.x).get(at).copied().map_or(0, i32::from),
            _ => view::<i8>(self.x).get(at).copied().map_or(0, i32::from),
        };
        self.found = if self.mean { self.found.wrapping_add(x) } else { self.found.max(x) };
        self.count += 1;
    }

    fn end(&mut self, _: usize) {
        let (y, rest) = core::mem::take(&mut self.y).split_at_mut_checked(self.width.bytes()).unwrap_or_default();
        let found = if self.mean { rounding_mean(self.found, self.count) } else { self.found };
        self.width.store(found.max(self.limits.0).min(self.limits.1) as i16, y);
        self.y = rest;
    }
}

/// A pool of f32, without limits.
#[derive(Debug)]
pub struct FloatPool<'a> {
    /// Whether outputs are means; else they are greatest elements.
    mean: bool,
    /// Inputs.
    x: &'a [f32],
    /// Outputs.
    y: core::slice::IterMut<'a, f32>,
    /// The sum, or the greatest element so far.
    found: f32,
    /// Elements so far.
    count: u32,
}

impl<'a> FloatPool<'a> {
    /// Of means, or of greatest elements.
    pub fn new(mean: bool, x: &'a [f32], y: &'a mut [f32]) -> Self {
        Self { mean, x, y: y.iter_mut(), found: 0.0, count: 0 }
    }
}

impl Layer for FloatPool<'_> {
    fn start(&mut self, _: usize) {
        (self.found, self.count) = (0.0, 0);
    }

    fn tap(&mut self, x: Option<usize>, _: usize) {
        let Some(x) = x.and_then(|x| self.x.get(x)) else { return };
        if self.mean {
            self.found += x;
        } else if self.count == 0 || *x > self.found {
            self.found = *x;
        }
        self.count += 1;
    }

    fn end(&mut self, _: usize) {
        let Some(y) = self.y.next() else { return };
        *y = if self.mean { self.found / self.count as f32 } else { self.found };
    }
}
