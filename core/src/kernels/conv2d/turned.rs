//! The way back to a convolution's input, as convolutions of its own: over the gradient, with the filters turned round.
//!
//! Inputs that are a stride apart are seen by the same taps. So for strides `s_y` and `s_x` there are `s_y s_x` such
//! convolutions, each with some of the taps and a stride of 1, and they write every `s`-th row and column of `dx`. An
//! element's sum goes on in order of rows and columns of the outputs, as the definition says.

use super::Conv2d;
use super::packed::{Places, forward_to, lines};
use crate::arch::Isa;
use crate::kernels::util::{copy, from, from_mut, rows, sub, sub_mut};
use crate::kernels::window::{Axis, Window2d};

/// A convolution whose way back is one of these; see the module's page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turned<'s> {
    shape: &'s Conv2d,
}

/// Inputs of one axis that are a stride apart.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// How they see the gradient. Without taps nobody sees them.
    axis: Axis,
    /// The first of them.
    start: usize,
    /// The first tap that sees them; the next follow at distances of the stride.
    tap: usize,
    /// The stride.
    stride: usize,
}

impl Lane {
    /// `None` where windows skip inputs and have gaps, or reach beyond padding.
    fn new(of: Axis, start: u32) -> Option<Self> {
        let Axis { input, output, kernel, stride, dilation, pad } = of;
        let place = start.checked_add(pad)?;
        let tap = place.checked_rem(stride)?;
        let taps = kernel.saturating_sub(tap).div_ceil(stride);
        if stride > 1 && dilation > 1 {
            return None;
        }
        let reach = taps.saturating_sub(1).checked_mul(dilation)?;
        let pad = if taps == 0 { 0 } else { reach.checked_sub(place.checked_div(stride)?)? };
        // What lies behind the last output is seen by nobody.
        let count = input.checked_sub(start)?.div_ceil(stride).min(output.checked_add(pad)?);
        let axis = Axis { input: output, output: count, kernel: taps, stride: 1, dilation, pad };
        Some(Self { axis, start: start as usize, tap: tap as usize, stride: stride as usize })
    }

    /// All of an axis.
    fn all(of: Axis) -> impl Iterator<Item = Option<Self>> {
        (0..of.stride.min(of.input)).map(move |start| Self::new(of, start))
    }

    /// The filter's tap for one of this axis, in reverse.
    fn tap(&self, of: usize) -> usize {
        self.tap + (self.axis.kernel as usize).saturating_sub(of + 1) * self.stride
    }
}

/// One of the convolutions.
#[derive(Clone, Copy, Debug)]
struct Phase {
    conv: Conv2d,
    down: Lane,
    across: Lane,
    /// Where its filters begin among all panels.
    panels: usize,
}

impl<'s> Turned<'s> {
    /// `None` if there is another way only.
    pub(super) fn new(shape: &'s Conv2d) -> Option<Self> {
        let turned = Self { shape };
        let Window2d { height, width } = shape.window;
        let all = Lane::all(height).chain(Lane::all(width)).all(|lane| lane.is_some());
        (all && shape.groups == 1 && turned.phases().all(|phase| phase.conv.is_valid())).then_some(turned)
    }

    /// Those that have taps.
    fn phases(self) -> impl Iterator<Item = Phase> {
        let Conv2d { window: Window2d { height, width }, in_c, out_c, .. } = *self.shape;
        let lanes =
            Lane::all(height).flatten().flat_map(move |down| Lane::all(width).flatten().map(move |x| (down, x)));
        lanes.filter(|(down, across)| down.axis.kernel * across.axis.kernel > 0).scan(
            0,
            move |panels, (down, across)| {
                let window = Window2d { height: down.axis, width: across.axis };
                let conv = Conv2d { window, in_c: out_c, out_c: in_c, groups: 1 };
                let phase = Phase { conv, down, across, panels: *panels };
                *panels += conv.weights();
                Some(phase)
            },
        )
    }

    /// Copies the filters, taps in reverse and inputs for outputs, into panels, as many floats as there are weights.
    pub(super) fn pack<I: Isa>(self, isa: I, w: &[f32], panels: &mut [f32]) {
        let (in_c, out_c, patch) = (self.shape.in_c as usize, self.shape.out_c as usize, self.shape.patch());
        let kernel_w = self.shape.window.width.kernel as usize;
        for Phase { conv, down, across, panels: at } in self.phases() {
            let (columns, panels) = (across.axis.kernel as usize, sub_mut(panels, at, conv.weights()));
            lines(isa, in_c, conv.window.taps() * out_c, panels, |first, p, line| {
                let (of, filter) = (p.checked_div(out_c).unwrap_or(0), p.checked_rem(out_c).unwrap_or(0));
                let (row, column) = (of.checked_div(columns).unwrap_or(0), of.checked_rem(columns).unwrap_or(0));
                let tap = down.tap(row) * kernel_w + across.tap(column);
                copy(from(w, filter * patch + tap * in_c + first), line);
            });
        }
    }

    /// Adds what whole samples of `dy` give to `dx`, some of them at a time, after `begin` has seen these.
    pub(super) fn add<I: Isa>(self, isa: I, dy: &[f32], panels: &[f32], dx: &mut [f32], begin: impl Fn(&mut [f32])) {
        let (in_elements, out_elements) = (self.shape.in_elements(), self.shape.out_elements());
        let pixel = self.shape.in_c as usize;
        let row = self.shape.window.width.input as usize * pixel;
        let some = super::packed::STRIP.checked_div(in_elements).unwrap_or(1).max(1);
        for (dx, dy) in dx.chunks_mut((some * in_elements).max(1)).zip(dy.chunks((some * out_elements).max(1))) {
            begin(dx);
            let samples = rows(dx, in_elements).len();
            for Phase { conv, down, across, panels: at } in self.phases() {
                let places = Places { pixel: across.stride * pixel, row: down.stride * row, sample: in_elements };
                let first = down.start * row + across.start * pixel;
                forward_to(isa, &conv, samples, dy, sub(panels, at, conv.weights()), places, from_mut(dx, first));
            }
        }
    }
}
