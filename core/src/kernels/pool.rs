//! What max and average pools share: the shape. A global pool is a window as large as the input.

use super::compact::{IntegerPool, Walk};
use super::integer::Width;
use super::util::{rows, rows_mut};
use super::window::{Axis, Positions, Window2d};
use crate::arch::Patch;
use crate::plan::{COMPACT, factors};
use crate::quant::rounding_mean;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a pool: `x [samples][in_h][in_w][channels]` to `y [samples][out_h][out_w][channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pool2d {
    /// The windows: with less padding before the input than they are long, and no more between taps than the input is
    /// long. Averages are of windows without dilation.
    pub window: Window2d,
    /// Channels.
    pub channels: u32,
}

impl Pool2d {
    /// Elements of one input sample.
    pub const INPUT: &[u8] = factors!(window.height.input, window.width.input, channels);
    /// Elements of one output sample.
    pub const OUTPUT: &[u8] = factors!(window.height.output, window.width.output, channels);

    /// Elements of one input sample.
    #[inline]
    pub fn in_elements(&self) -> usize {
        self.window.in_pixels() * self.channels as usize
    }

    /// Elements of one output sample.
    #[inline]
    pub fn out_elements(&self) -> usize {
        self.window.out_pixels() * self.channels as usize
    }

    /// The windows of a sample, in order of outputs.
    pub fn patches(&self) -> Patches<'_> {
        Patches { shape: self, positions: self.window.positions() }
    }

    /// Whether the shape is consistent, which includes that every window holds at least one element of the input.
    pub fn is_valid(&self) -> bool {
        let Window2d { height, width } = self.window;
        // The last tap of the first window lies behind the padding, and no window steps over the input.
        let meets = |axis: &Axis| {
            let reach = u64::from(axis.kernel.saturating_sub(1)).saturating_mul(u64::from(axis.dilation));
            u64::from(axis.pad) <= reach && (axis.dilation == 1 || axis.dilation <= axis.input)
        };
        self.window.is_valid(self.channels, self.channels) && [height, width].iter().all(meets)
    }

    /// Whether every element of the input is in one window and no more.
    pub fn tiles(&self) -> bool {
        let Window2d { height, width } = self.window;
        let cuts = |axis: &Axis| {
            let Axis { input, output, kernel, stride, dilation, pad } = *axis;
            kernel == stride && dilation == 1 && pad == 0 && output.checked_mul(stride) == Some(input)
        };
        [height, width].iter().all(cuts)
    }

    /// [`Self::is_valid`], and the taps are neighbours.
    pub fn is_dense(&self) -> bool {
        let Window2d { height, width } = self.window;
        (height.dilation, width.dilation) == (1, 1) && self.is_valid()
    }
}

/// Iterator of [`Pool2d::patches`].
#[derive(Clone, Debug)]
pub struct Patches<'s> {
    shape: &'s Pool2d,
    positions: Positions<'s>,
}

impl Iterator for Patches<'_> {
    type Item = Patch;

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn next(&mut self) -> Option<Patch> {
        let (down, across) = self.positions.next()?;
        let (channels, Window2d { height, width }) = (self.shape.channels as usize, self.shape.window);
        let row = width.input as usize * channels;
        Some(Patch {
            rows: down.count,
            columns: across.count,
            at: down.input * row + across.input * channels,
            row: row * height.dilation as usize,
            column: channels * width.dilation as usize,
        })
    }
}

/// Pools of int16: `y` is the mean of each window, rounded to nearest, halves away from zero, or its greatest element,
/// within `lo..=hi`. Windows of up to 65535 elements sum up within 32 bits.
pub(super) fn forward_i16(shape: &Pool2d, mean: bool, x: &[i16], lo: i32, hi: i32, y: &mut [i16]) {
    if COMPACT {
        let elements = y.len();
        let pool = &mut IntegerPool::new(Width::I16, mean, x.as_bytes(), (lo, hi), y.as_mut_bytes());
        return Walk::pool(shape).over(elements, pool);
    }
    let samples = rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements()));
    for (x, y) in samples {
        for (patch, y) in shape.patches().zip(rows_mut(y, shape.channels as usize)) {
            let count = (patch.rows * patch.columns) as i32;
            for (channel, y) in y.iter_mut().enumerate() {
                let (mut sum, mut greatest) = (0i32, i32::from(i16::MIN));
                for row in 0..patch.rows {
                    let mut at = patch.at + row * patch.row + channel;
                    for _ in 0..patch.columns {
                        let x = x.get(at).copied().map_or(0, i32::from);
                        (sum, greatest) = (sum.wrapping_add(x), greatest.max(x));
                        at += patch.column;
                    }
                }
                let result = if mean { rounding_mean(sum, count) } else { greatest };
                *y = result.max(lo).min(hi) as i16;
            }
        }
    }
}

/// What the forward records of pools of integers do: `name: element, whether shape and limits are valid, kernel`.
macro_rules! forward_step {
    ($name:ident: $element:ident, $shape_is_valid:ident, $limits:path, $kernel:expr) => {
        impl StepRecord for $name {
            operands! {
                x: read $element [samples, shape => Pool2d::INPUT],
                y: write $element [samples, shape => Pool2d::OUTPUT],
            }

            fn shape_is_valid(&self) -> bool {
                self.shape.$shape_is_valid() && $limits(self.lo, self.hi)
            }

            fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
                $kernel(isa, &self.shape, at.read(), self.lo, self.hi, at.write());
            }
        }
    };
}
pub(crate) use forward_step;
