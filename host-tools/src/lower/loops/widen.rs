//! A layer of groups as a convolution over all channels: filters get zeros for the channels that are not theirs.
//!
//! Sums are the same, whatever a zero is multiplied by. It pays where a core has a fast loop for convolutions and none for
//! the layer: a depthwise one of five by five taps, or with several filters for a channel.

use super::Shape;
use embernet_core::kernels::conv2d::Conv2d;

/// Most times that filters grow: the weights take as many times the flash.
const MOST: usize = 16;

/// The convolution and its weights, filter by filter. `None` for what is one already, or would grow too much.
pub fn widen(shape: &Shape, weights: &[i8]) -> Option<(Conv2d, Vec<i8>)> {
    let (conv, group_in, group_out, channels_last) = match shape {
        Shape::Conv2d(conv) => (*conv, conv.group_in(), conv.group_out(), false),
        Shape::Depthwise(layer) => {
            let conv = Conv2d { window: layer.window, in_c: layer.in_c, out_c: layer.out_c, groups: 1 };
            (conv, 1, layer.multiplier as usize, true)
        }
        Shape::Dense(_) => return None,
    };
    let (inputs, outputs, taps) = (conv.in_c as usize, conv.out_c as usize, conv.window.taps());
    if group_in == 0 || group_out == 0 || inputs == group_in || inputs > MOST * group_in {
        return None;
    }
    let mut wide = vec![0; outputs * taps * inputs];
    for (place, row) in wide.chunks_exact_mut(inputs).enumerate() {
        let (output, tap) = (place / taps, place % taps);
        let at = if channels_last { tap * outputs + output } else { place * group_in };
        let first = output / group_out * group_in;
        row.get_mut(first..first + group_in)?.copy_from_slice(weights.get(at..at + group_in)?);
    }
    Some((Conv2d { groups: 1, ..conv }, wide))
}
