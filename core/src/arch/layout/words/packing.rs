//! What a host does to weights for these loops.

use super::{CLIPPED, LONGEST, NUMBERS, Six, Twin, Words, band, octet, quad, six, tile};
use crate::arch::layout::packing::{Layer, Packed, Packing};
use crate::kernels::conv2d::{Conv2d, scratch_words};
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use std::vec::Vec;

/// A filter: weights, bias, mantissa, exponent.
#[derive(Clone, Debug)]
struct Filter {
    weights: Vec<i8>,
    bias: i32,
    multiplier: i32,
    shift: i32,
}

impl Filter {
    /// Its numbers. `None` where a sum may not fit 30 bits, or the factor is no proper fraction.
    fn numbers(&self, form: Form) -> Option<[u32; NUMBERS]> {
        let Form { times, zero_point, clipped } = form;
        let power = self.shift.checked_neg().filter(|power| (1..=22).contains(power))?;
        let most = self
            .weights
            .iter()
            .fold(u64::from(self.bias.unsigned_abs()), |sum, w| sum + 256 * u64::from(w.unsigned_abs()));
        let rounding = (1 << power) + (zero_point << (power + 1)) + i32::from(clipped);
        let power = (power + 1) as u32 | if clipped { CLIPPED } else { 0 };
        let (bias, multiplier) = (self.bias.wrapping_mul(times), self.multiplier as u32 * (4 / times as u32));
        (most < 1 << 29 && self.multiplier >= 0).then_some([bias as u32, multiplier, rounding as u32, power])
    }

    /// How many of its weights from `at` on make a block: sums of their products fit 16 bits whatever the input.
    fn block(&self, at: usize) -> usize {
        let (mut least, mut greatest) = (0, 0);
        let weights = self.weights.get(at..).unwrap_or_default().iter().take(LONGEST);
        let fits = weights.take_while(|w| {
            let (a, b) = (-128 * i32::from(**w), 127 * i32::from(**w));
            (least, greatest) = (least + a.min(b), greatest + a.max(b));
            // A core that rounds the upper half by a carry would overflow at the least number of 16 bits.
            least > -32768 && greatest < 32768
        });
        fits.count().max(1)
    }
}

/// How a layer's numbers are written; see [`NUMBERS`].
#[derive(Clone, Copy, Debug)]
struct Form {
    /// What sums are multiplied by before the bias is added: 2 or 4.
    times: i32,
    /// Of the output.
    zero_point: i32,
    /// Whether filters are clipped.
    clipped: bool,
}

impl Form {
    /// For loops that ask whether filters are clipped.
    fn new(times: i32, layer: &Layer<'_>) -> Self {
        Self { times, zero_point: layer.zero_point, clipped: layer.lo >= layer.zero_point }
    }

    /// For loops that do not.
    fn general(times: i32, layer: &Layer<'_>) -> Self {
        Self { clipped: false, ..Self::new(times, layer) }
    }
}

/// The filters of a layer, `of` saying which weights are a filter's; `None` if numbers are missing.
fn filters(layer: &Layer<'_>, count: usize, of: impl Fn(usize) -> Option<Vec<i8>>) -> Option<Vec<Filter>> {
    let filter = |index: usize| {
        let (multiplier, shift) = (*layer.multiplier.get(index)?, *layer.shift.get(index)?);
        Some(Filter { weights: of(index)?, bias: *layer.bias.get(index)?, multiplier, shift })
    };
    (0..count).map(filter).collect()
}

/// The same for rows of `len` weights.
fn filter_rows(layer: &Layer<'_>, count: usize, len: usize) -> Option<Vec<Filter>> {
    filters(layer, count, |index| layer.weights.get(index * len..(index + 1) * len).map(<[i8]>::to_vec))
}

/// Groups of `group` filters, or fewer in the last one if `size` says so, all of the same distance, behind it; `weights`
/// lays out those of a group. The last one has at least `most` words.
fn stream(
    filters: &[Filter],
    (group, size): (usize, impl Fn(usize) -> usize),
    most: usize,
    form: Form,
    weights: impl Fn(&[&Filter]) -> Vec<u32>,
) -> Option<Vec<u32>> {
    let mut groups = Vec::new();
    for filters in filters.chunks(group) {
        let filters: Vec<_> = (0..size(filters.len())).filter_map(|i| filters.get(i).or(filters.last())).collect();
        let mut words = Vec::new();
        for filter in &filters {
            words.extend(filter.numbers(form)?);
        }
        words.extend(weights(&filters));
        groups.push(words);
    }
    let stride = groups.iter().map(Vec::len).max()?;
    let mut stream = Vec::from([stride as u32]);
    for mut words in groups {
        words.resize(stride, 0);
        stream.extend(words);
    }
    stream.resize(stream.len() + most.saturating_sub(stride), 0);
    Some(stream)
}

/// Calls `visit` with the blocks of a group.
fn blocks(filters: &[&Filter], mut visit: impl FnMut(core::ops::Range<usize>)) {
    let len = filters.first().map_or(0, |filter| filter.weights.len());
    let mut at = 0;
    while at < len {
        let end = at + filters.iter().map(|filter| filter.block(at)).min().unwrap_or(1);
        visit(at..end);
        at = end;
    }
}

/// The weights of a group for index `k`.
fn weights_at<'a>(filters: &'a [&Filter], k: usize) -> impl Iterator<Item = u8> + 'a {
    filters.iter().map(move |filter| filter.weights.get(k).map_or(0, |w| *w as u8))
}

/// The word of four filters of a dense layer.
fn quad_word(filters: &[&Filter], k: usize) -> Vec<u32> {
    words(weights_at(filters, k).map(|w| w ^ 0x80).collect())
}

fn words(mut bytes: Vec<u8>) -> Vec<u32> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.as_chunks().0.iter().map(|quad| u32::from_le_bytes(*quad)).collect()
}

/// Whether tiles are worth it: a single pixel shares nothing with others.
fn has_tiles(shape: &Conv2d) -> bool {
    shape.window.out_pixels() > 1
}

impl<const GROUP: usize> Packing for Words<Twin<GROUP>> {
    fn takes_conv2d(&self, shape: &Conv2d) -> bool {
        has_tiles(shape)
    }

    fn takes_depthwise(&self, shape: &DepthwiseConv2d) -> bool {
        band::has_loop(shape)
    }

    fn conv2d(&self, shape: &Conv2d, layer: &Layer<'_>) -> Option<Packed> {
        let (patch, count) = (shape.patch(), shape.out_c as usize);
        let filters = filter_rows(layer, count, patch)?;
        let most = tile::most_words(GROUP, patch);
        let form = if GROUP == 1 {
            Form::general(Twin::<GROUP>::TIMES, layer)
        } else {
            Form::new(Twin::<GROUP>::TIMES, layer)
        };
        let stream = stream(&filters, (GROUP, |_| GROUP), most, form, |filters| {
            let mut bytes = Vec::new();
            blocks(filters, |block| {
                bytes.push((LONGEST - block.len()) as u8);
                block.for_each(|k| bytes.extend(weights_at(filters, k)));
            });
            words(bytes)
        })?;
        Some(Packed { stream, scratch_words: scratch_words::<Self>(shape) })
    }

    fn dense(&self, shape: &Dense, layer: &Layer<'_>) -> Option<Packed> {
        let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
        let filters = filter_rows(layer, outputs, inputs)?;
        let most = quad::most_words(inputs);
        let form = Form::general(Twin::<GROUP>::TIMES, layer);
        let stream = stream(&filters, (quad::GROUP, |_| quad::GROUP), most, form, |filters| {
            let mut all = Vec::new();
            blocks(filters, |block| {
                all.push((LONGEST - block.len()) as u32);
                all.extend(block.flat_map(|k| quad_word(filters, k)));
            });
            all
        })?;
        Some(Packed { stream, scratch_words: 0 })
    }

    fn depthwise(&self, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed> {
        let times = Twin::<GROUP>::TIMES;
        channels(if GROUP == 1 { Form::general(times, layer) } else { Form::new(times, layer) }, shape, layer)
    }
}

/// A depthwise layer's channels.
fn channels(form: Form, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed> {
    let count = shape.out_c as usize;
    let taps = band::TAPS * band::TAPS;
    let mut filters = filters(layer, count, |channel| {
        (0..taps).map(|tap| layer.weights.get(tap * count + channel).copied()).collect()
    })?;
    let mut stream = Vec::new();
    for filter in &mut filters {
        let sum: i32 = filter.weights.iter().map(|w| i32::from(*w)).sum();
        filter.bias = filter.bias.checked_sub(128 * sum)?;
        stream.extend(filter.numbers(form)?);
        stream.extend(words(filter.weights.iter().map(|w| *w as u8).collect()));
    }
    Some(Packed { stream, scratch_words: band::words(shape) })
}

/// The longest blocks of one length, a multiple of four, in which sums of all filters have 21 bits.
fn even_blocks(filters: &[Filter], indices: usize) -> usize {
    let fits = |block: &usize| {
        let magnitude = |weights: &[i8]| weights.iter().map(|w| u32::from(w.unsigned_abs())).sum::<u32>();
        filters.iter().all(|filter| filter.weights.chunks(*block).all(|block| magnitude(block) <= six::MOST))
    };
    (1..=indices).map(|blocks| indices.div_ceil(blocks).next_multiple_of(4)).find(fits).unwrap_or(4)
}

impl Packing for Words<Six> {
    fn takes_conv2d(&self, shape: &Conv2d) -> bool {
        has_tiles(shape)
    }

    fn takes_depthwise(&self, shape: &DepthwiseConv2d) -> bool {
        Words(Twin::<2>).takes_depthwise(shape)
    }

    fn conv2d(&self, shape: &Conv2d, layer: &Layer<'_>) -> Option<Packed> {
        let (patch, count) = (shape.patch(), shape.out_c as usize);
        let filters = filter_rows(layer, count, patch)?;
        let mut stream = Vec::from([even_blocks(&filters, six::indices(patch)) as u32]);
        for group in filters.chunks(six::GROUP) {
            let group: Vec<_> = (0..six::GROUP).filter_map(|i| group.get(i).or(group.last())).collect();
            for filter in &group {
                stream.extend(filter.numbers(Form::new(Six::TIMES, layer))?);
            }
            stream.extend((0..six::indices(patch)).flat_map(|k| words(weights_at(&group, k).collect())));
        }
        Some(Packed { stream, scratch_words: scratch_words::<Self>(shape) })
    }

    fn dense(&self, shape: &Dense, layer: &Layer<'_>) -> Option<Packed> {
        let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
        let mut filters = filter_rows(layer, outputs, inputs)?;
        let size = |filters| octet::quads(filters) * quad::GROUP;
        // What blocks begin with is taken off the biases, so first of all they are counted.
        for group in filters.chunks_mut(octet::GROUP) {
            let mut count = 0;
            blocks(&group.iter().collect::<Vec<_>>(), |_| count += 1);
            for filter in group.chunks_mut(quad::GROUP).flat_map(|four| four.iter_mut().take(2)) {
                filter.bias = filter.bias.checked_sub(count * octet::HALF)?;
            }
        }
        let most = octet::most_words(octet::quads(outputs % octet::GROUP), inputs);
        let stream = stream(&filters, (octet::GROUP, size), most, Form::new(Six::TIMES, layer), |filters| {
            let mut all = Vec::new();
            blocks(filters, |block| {
                all.push((LONGEST - block.len()) as u32);
                for four in filters.chunks(quad::GROUP) {
                    all.extend(block.clone().flat_map(|k| quad_word(four, k)));
                }
            });
            all
        })?;
        Some(Packed { stream, scratch_words: 0 })
    }

    fn depthwise(&self, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed> {
        channels(Form::new(Six::TIMES, layer), shape, layer)
    }
}
