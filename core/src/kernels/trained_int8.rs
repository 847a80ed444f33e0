//! Int8 layers that learn: forward they are what they always are; backward, their operands are unpacked to f32 a tile at
//! a time, and the products of the f32 layers run over those.
//!
//! Gradients of activations and parameters are f32 and real, so that layers without weights have the backward steps of
//! their f32 form. An activation stays as the int8 tensor that the forward pass made, a weight as the integer that it
//! is: [`crate::optim::quantized`] says how a gradient moves it.

use super::util::{bias_backward, elements, rows};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::optim::quantized::{Quantized, Scales};
use crate::optim::state::{is_layout, least_tile};
use crate::optim::{Optimizer, Update, UpdatePart};
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the parameters of one int8 layer and what belongs to them lie; shared by all such layers.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TrainedI8 {
    /// Weights; none if they are frozen.
    pub w: Ref,
    /// Bias (int32, no zero point in it); none if absent or frozen.
    pub b: Ref,
    /// Optimiser state of the weights; none if there is none.
    pub w_state: Ref,
    /// Optimiser state of the bias.
    pub b_state: Ref,
    /// Scratch: one half for gradient tiles, one for what is unpacked.
    pub tile: Ref,
    /// Elements of that scratch.
    pub tile_elements: u32,
    /// What the optimiser has of state; see [`crate::optim::state::layout`].
    pub slots: u32,
    /// Scales of the weights.
    pub scale: Ref,
    /// How many: the layer's outputs, or 1 for all of them.
    pub scales: u32,
    /// Scale of the layer's input. That of a bias is this one times that of the output's weights.
    pub x_scale: f32,
    /// Zero point of the layer's input.
    pub x_zero_point: i32,
    /// Sets the random numbers of this layer apart from those of others.
    pub seed: u32,
    /// 1 if the optimiser works on reals; 0, for comparisons, if on integers ([`Quantized::scaled`]).
    pub scaled: u32,
}

/// How the bytes of a layer's input stand for reals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// Real value of a step.
    pub scale: f32,
    /// Number that stands for zero.
    pub zero_point: i32,
}

/// The operands of a layer's update, as they lie in memory.
pub(super) struct Updated<'a> {
    pub w: &'a mut [i8],
    pub b: &'a mut [i32],
    pub w_state: &'a mut [f32],
    pub b_state: &'a mut [f32],
    pub tile: &'a mut [f32],
}

impl<'a> Updated<'a> {
    /// The next slices that are written.
    pub fn take(at: &mut Slices<'a>) -> Self {
        Self { w: at.write(), b: at.write(), w_state: at.write(), b_state: at.write(), tile: at.write() }
    }
}

/// Makes the gradient of a layer's weights: with a tile, with room to unpack into, for a sink.
type WeightGradient<'f, I> = dyn FnMut(&mut [f32], &mut [f32], &mut UpdatePart<'_, I, Quantized<'_>>) + 'f;

impl TrainedI8 {
    /// Whether it fits a layer of `outputs` outputs.
    pub fn is_valid(&self, outputs: u32) -> bool {
        let stated = |p: Ref, state: Ref| p.is_none() || self.slots == 0 || !state.is_none();
        // Of one half at least a value.
        self.tile_elements as usize > least_tile(self.slots)
            && !self.tile.is_none()
            && is_layout(self.slots)
            && stated(self.w, self.w_state)
            && stated(self.b, self.b_state)
            && scales_are_valid(self.scale, self.scales, outputs)
            && i8::try_from(self.x_zero_point).is_ok()
            && self.scaled < 2
    }

    /// How the bytes of its input stand for reals.
    pub(super) fn input(&self) -> Input {
        Input { scale: self.x_scale, zero_point: self.x_zero_point }
    }

    /// Updates what learns of a layer whose bias is added to the last axis of the output. `weights` makes the gradient of
    /// the weights in tiles; of them, `run` neighbours share a scale. It also gets room to unpack into, as much as it gets
    /// for a tile.
    // One copy for all layers.
    #[inline(never)]
    pub(super) fn update<I: Isa>(
        &self,
        isa: I,
        optimizer: &Optimizer,
        scale: &[f32],
        run: usize,
        of: Updated<'_>,
        dy: (&[f32], usize),
        weights: &mut WeightGradient<'_, I>,
    ) {
        let (Updated { w, b, w_state, b_state, tile }, (dy, outputs)) = (of, dy);
        let scaled = self.scaled != 0;
        if !self.w.is_none() {
            let scales = Scales { table: scale, factor: 1.0, run };
            let w = Quantized { values: w.into(), scales, seed: self.seed, scaled };
            Update { isa, optimizer, w, state: w_state }.whole(tile, |tile, sink| {
                let (gradient, unpacked) = tile.split_at_mut_checked(tile.len() / 2).unwrap_or_default();
                weights(gradient, unpacked, sink);
            });
        }
        if !self.b.is_none() {
            let scales = Scales { table: scale, factor: self.x_scale, run: 1 };
            let b = Quantized { values: b.into(), scales, seed: !self.seed, scaled };
            Update { isa, optimizer, w: b, state: b_state }
                .whole(tile, |tile, sink| bias_backward(outputs, dy, tile, sink));
        }
    }
}

/// Whether there are scales, one for each output or one for all.
pub(super) fn scales_are_valid(scale: Ref, scales: u32, outputs: u32) -> bool {
    !scale.is_none() && (scales == 1 || scales == outputs)
}

/// The scale of an output's weights.
#[inline]
pub(super) fn scale_of(scale: &[f32], output: usize) -> f32 {
    scale.get(if scale.len() == 1 { 0 } else { output }).copied().unwrap_or(0.0)
}

/// `folded = b - zero_point * sum(w)` for each output, wrapping: what the forward step starts from, made anew because
/// both learn. An empty `b` counts as zeros. `w` is `[outputs][taps]`, or with `channels_last` `[taps][outputs]`.
pub fn fold_bias<I: Isa>(isa: I, zero_point: i32, channels_last: bool, w: &[i8], b: &[i32], folded: &mut [i32]) {
    folded.fill(0);
    let outputs = folded.len();
    if channels_last {
        for w in rows(w, outputs) {
            isa.axpy_i8(1, w, folded);
        }
    } else {
        let taps = w.len().checked_div(outputs).unwrap_or(0);
        for (sum, w) in folded.iter_mut().zip(rows(w, taps)) {
            *sum = w.iter().map(|w| i32::from(*w)).sum();
        }
    }
    for (index, folded) in folded.iter_mut().enumerate() {
        let bias = b.get(index).copied().unwrap_or(0);
        *folded = bias.wrapping_sub(zero_point.wrapping_mul(*folded));
    }
}

/// Step in front of the forward step of a layer that learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FoldBias {
    /// Outputs of the layer.
    pub outputs: u32,
    /// Weights of one output.
    pub taps: u32,
    /// 1 if weights lie tap by tap, 0 if output by output.
    pub channels_last: u32,
    /// Zero point of the layer's input.
    pub zero_point: i32,
    /// Weights.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Biases with the zero point in them.
    pub folded: Ref,
}

impl StepRecord for FoldBias {
    operands! {
        w: read i8 [outputs, taps],
        b: read i32 [outputs],
        folded: write i32 [outputs],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.outputs, self.taps]).is_some()
            && self.channels_last < 2
            && i8::try_from(self.zero_point).is_ok()
            && !self.w.is_none()
            && !self.folded.is_none()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (w, b, folded) = (at.read(), at.read(), at.write());
        fold_bias(isa, self.zero_point, self.channels_last == 1, w, b, folded);
    }
}

#[cfg(test)]
mod tests;
