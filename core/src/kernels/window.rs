//! Where a sliding window meets the input: border arithmetic, done once for convolutions and pools.
//!
//! Output `o` and tap `k` of one axis meet the input at `o * stride + k * dilation - pad`. Taps that fall beside
//! the input are skipped. How much padding follows the input comes out of the number of outputs.

use super::util::elements;
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A window that slides over the pixels of an image; part of the shape of every layer that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Window2d {
    /// Down the rows.
    pub height: Axis,
    /// Along the columns.
    pub width: Axis,
}

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Axis {
    /// Positions of the input.
    pub input: u32,
    /// Positions of the output.
    pub output: u32,
    /// Taps of the window.
    pub kernel: u32,
    /// Distance between windows.
    pub stride: u32,
    /// Distance between taps.
    pub dilation: u32,
    /// Padding before the input; what follows it comes out of `output`.
    pub pad: u32,
}

/// The taps of one window that lie inside the input; there may be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// First tap inside.
    pub first: usize,
    /// How many from there on.
    pub count: usize,
    /// Input position of the first one; the next follow at distances of `dilation`.
    pub input: usize,
}

/// Neighbouring windows that see the same taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The outputs.
    pub outputs: Range<usize>,
    /// Their taps; `input` is that of the first output, the next follow at distances of `stride`.
    pub taps: Taps,
}

impl Window2d {
    /// Windows of one pixel each, over `pixels` of them.
    pub const fn pointwise(pixels: u32) -> Self {
        let one = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad: 0 };
        Self { height: Axis { input: pixels, output: pixels, ..one }, width: one }
    }

    /// Pixels of the input.
    #[inline]
    pub fn in_pixels(&self) -> usize {
        self.height.input as usize * self.width.input as usize
    }

    /// Pixels of the output: how many windows there are.
    #[inline]
    pub fn out_pixels(&self) -> usize {
        self.height.output as usize * self.width.output as usize
    }

    /// Taps of one window, those in the padding included.
    #[inline]
    pub fn taps(&self) -> usize {
        self.height.kernel as usize * self.width.kernel as usize
    }

    /// Whether input and output pixels correspond one to one: a 1x1 window, stride 1, no padding.
    #[inline]
    pub fn is_pointwise(&self) -> bool {
        [self.height, self.width]
            .iter()
            .all(|axis| (axis.kernel, axis.stride, axis.pad) == (1, 1, 0) && axis.input == axis.output)
    }

    /// The window that walks over outputs as this one walks over inputs, with its taps in reverse: what each input adds
    /// up in the backward direction. `None` where windows skip inputs or reach beyond padding.
    pub fn turned(&self) -> Option<Self> {
        let turn = |axis: Axis| {
            let reach = (axis.kernel.checked_sub(1)?).checked_mul(axis.dilation)?;
            let pad = reach.checked_sub(axis.pad)?;
            (axis.stride == 1).then_some(Axis { input: axis.output, output: axis.input, pad, ..axis })
        };
        Some(Self { height: turn(self.height)?, width: turn(self.width)? })
    }

    /// Where every window meets the input, in order of outputs.
    pub fn positions(&self) -> Positions<'_> {
        Positions { window: self, row: 0, column: 0, down: Taps { first: 0, count: 0, input: 0 } }
    }

    /// Whether both axes are valid and images of `in_c` and `out_c` channels fit the arena.
    pub fn is_valid(&self, in_c: u32, out_c: u32) -> bool {
        let Self { height, width } = self;
        height.is_valid()
            && width.is_valid()
            && elements([height.input, width.input, in_c]).is_some()
            && elements([height.output, width.output, out_c]).is_some()
    }
}

impl Axis {
    /// Whether nothing is zero, every window begins before the end of the input, and all positions fit 31 bits.
    pub fn is_valid(&self) -> bool {
        let Self { input, output, kernel, stride, dilation, pad } = *self;
        if [input, output, kernel, stride, dilation].contains(&0) {
            return false;
        }
        let last = u64::from(output - 1) * u64::from(stride);
        let reach = u64::from(kernel - 1) * u64::from(dilation);
        let padded = u64::from(input) + u64::from(pad);
        let most = i32::MAX as u64;
        // A product of two u32 plus another cannot overflow u64 once each is below 2^31.
        last < padded && padded <= most && reach <= most && last + reach + u64::from(stride) <= most
    }

    /// Taps of window `output` that lie inside the input.
    // A device has no room for a copy in every kernel; a PC has.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn taps(&self, output: usize) -> Taps {
        let (dilation, pad) = (self.dilation as usize, self.pad as usize);
        let origin = output * self.stride as usize;
        let missing = pad.saturating_sub(origin);
        let first = div_up(missing, dilation);
        let input = (origin + first * dilation).saturating_sub(pad);
        let inside = div_up((self.input as usize).saturating_sub(input), dilation);
        Taps { first, count: inside.min((self.kernel as usize).saturating_sub(first)), input }
    }

    /// Outputs for which tap `k` lies inside the input; may be empty.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn outputs(&self, k: usize) -> Range<usize> {
        let (stride, pad) = (self.stride as usize, self.pad as usize);
        let offset = k * self.dilation as usize;
        let start = div_up(pad.saturating_sub(offset), stride);
        let end = div_up((self.input as usize + pad).saturating_sub(offset), stride).min(self.output as usize);
        start.min(end)..end
    }

    /// Outputs that see input `input`, and the tap by which the first of them does; the next see it by taps lower by
    /// `stride` each. For windows without dilation.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn readers(&self, input: usize) -> (Range<usize>, usize) {
        let (stride, place) = (self.stride as usize, input + self.pad as usize);
        let start = div_up((place + 1).saturating_sub(self.kernel as usize), stride);
        let end = div_up(place + 1, stride).min(self.output as usize);
        (start..end.max(start), place.saturating_sub(start * stride))
    }

    /// Input position of tap `k` at window `output`, which must lie inside.
    #[inline]
    pub fn input_at(&self, output: usize, k: usize) -> usize {
        (output * self.stride as usize + k * self.dilation as usize).saturating_sub(self.pad as usize)
    }

    /// The axis of some neighbouring outputs alone, and the input position at which it begins.
    #[inline]
    pub fn part(&self, outputs: &Range<usize>) -> (Self, usize) {
        let (begin, pad) = (outputs.start * self.stride as usize, self.pad as usize);
        let skipped = begin.saturating_sub(pad);
        let input = (self.input as usize).saturating_sub(skipped) as u32;
        let (output, pad) = (outputs.len() as u32, pad.saturating_sub(begin) as u32);
        (Self { input, output, pad, ..*self }, skipped)
    }

    /// All outputs in order: windows at the borders one by one, those that lie wholly inside as one run.
    #[inline]
    pub fn runs(&self) -> Runs {
        let first = self.outputs(0);
        let last = self.outputs((self.kernel as usize).saturating_sub(1));
        // The first tap bounds the inner windows from below, the last one from above.
        Runs { axis: *self, inner: first.start..last.end, next: 0 }
    }
}

/// Iterator of [`Window2d::positions`]: the taps down and across.
#[derive(Clone, Debug)]
pub struct Positions<'w> {
    window: &'w Window2d,
    row: usize,
    column: usize,
    down: Taps,
}

impl Iterator for Positions<'_> {
    type Item = (Taps, Taps);

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn next(&mut self) -> Option<Self::Item> {
        let Window2d { height, width } = self.window;
        if self.column == 0 {
            if self.row >= height.output as usize {
                return None;
            }
            self.down = height.taps(self.row);
        }
        let across = width.taps(self.column);
        self.column += 1;
        if self.column >= width.output as usize {
            (self.row, self.column) = (self.row + 1, 0);
        }
        Some((self.down, across))
    }
}

/// Iterator of [`Axis::runs`].
#[derive(Clone, Debug)]
pub struct Runs {
    axis: Axis,
    inner: Range<usize>,
    next: usize,
}

impl Iterator for Runs {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let start = self.next;
        if start >= self.axis.output as usize {
            return None;
        }
        let end = if start == self.inner.start { self.inner.end.max(start + 1) } else { start + 1 };
        self.next = end;
        Some(Run { outputs: start..end, taps: self.axis.taps(start) })
    }
}

/// `a / b` rounded up; `a` if `b` is 0. The common divisor 1 costs no division (Cortex-M0 has none in hardware).
#[inline]
fn div_up(a: usize, b: usize) -> usize {
    if b == 1 { a } else { a.saturating_add(b.saturating_sub(1)).checked_div(b).unwrap_or(a) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn inside(axis: &Axis, output: usize) -> Vec<(usize, usize)> {
        (0..axis.kernel as usize)
            .filter_map(|k| {
                let at = (output * axis.stride as usize + k * axis.dilation as usize) as i64 - i64::from(axis.pad);
                (at >= 0 && at < i64::from(axis.input)).then_some((k, at as usize))
            })
            .collect()
    }

    fn axes() -> impl Strategy<Value = Axis> {
        (1u32..9, 1u32..9, 1u32..5, 1u32..4, 1u32..4, 0u32..6)
            .prop_map(|(input, output, kernel, stride, dilation, pad)| Axis {
                input,
                output,
                kernel,
                stride,
                dilation,
                pad,
            })
            .prop_filter("valid", Axis::is_valid)
    }

    proptest! {
        #[test]
        fn taps_outputs_and_runs_agree_with_their_definition(axis in axes()) {
            let dilation = axis.dilation as usize;
            for output in 0..axis.output as usize {
                let taps = axis.taps(output);
                let listed: Vec<_> = (0..taps.count).map(|i| (taps.first + i, taps.input + i * dilation)).collect();
                prop_assert_eq!(listed, inside(&axis, output));
            }
            for k in 0..axis.kernel as usize {
                let listed: Vec<_> = axis.outputs(k).map(|o| (o, axis.input_at(o, k))).collect();
                let expected: Vec<_> = (0..axis.output as usize)
                    .filter_map(|o| inside(&axis, o).into_iter().find(|t| t.0 == k).map(|t| (o, t.1)))
                    .collect();
                prop_assert_eq!(listed, expected);
            }
            for (start, end) in (0..axis.output as usize).flat_map(|s| (s + 1..=axis.output as usize).map(move |e| (s, e))) {
                let (part, skipped) = axis.part(&(start..end));
                prop_assert!(part.is_valid());
                for output in start..end {
                    let taps: Vec<_> = inside(&part, output - start).into_iter().map(|(k, at)| (k, at + skipped)).collect();
                    prop_assert_eq!(taps, inside(&axis, output));
                }
            }
            if axis.dilation == 1 {
                for input in 0..axis.input as usize {
                    let (outputs, first) = axis.readers(input);
                    let listed: Vec<_> = outputs.enumerate().map(|(i, o)| (o, first - i * axis.stride as usize)).collect();
                    let expected: Vec<_> = (0..axis.output as usize)
                        .flat_map(|o| inside(&axis, o).into_iter().filter(|t| t.1 == input).map(move |t| (o, t.0)))
                        .collect();
                    prop_assert_eq!(listed, expected);
                }
            }
            let mut next = 0;
            for run in axis.runs() {
                prop_assert_eq!(run.outputs.start, next);
                next = run.outputs.end;
                for (i, output) in run.outputs.enumerate() {
                    let taps = Taps { input: run.taps.input + i * axis.stride as usize, ..run.taps };
                    if taps.count > 0 {
                        prop_assert_eq!(taps, axis.taps(output));
                    } else {
                        prop_assert_eq!(0, axis.taps(output).count);
                    }
                }
            }
            prop_assert_eq!(next, axis.output as usize);
        }
    }

    #[test]
    fn impossible_axes_are_refused() {
        let axis = Axis { input: 4, output: 4, kernel: 3, stride: 1, dilation: 1, pad: 1 };
        assert!(axis.is_valid());
        assert!(!Axis { stride: 0, ..axis }.is_valid());
        assert!(!Axis { output: 6, ..axis }.is_valid(), "the last window would begin behind the input");
        let huge = u32::MAX;
        assert!(!Axis { input: huge, output: huge, kernel: huge, stride: huge, dilation: huge, pad: huge }.is_valid());
        assert!(!Axis { kernel: huge, dilation: huge, ..axis }.is_valid());
    }
}
