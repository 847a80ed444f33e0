//! The loops in plain Rust.

use super::band::{Band, CHANNEL_WORDS, Source, TAPS};
use super::{CLIPPED, LONGEST, Loops, NUMBERS, octet, quad, six, tile};
use crate::arch::IsaId;
use crate::arch::layout::{Patch, Windows};
use crate::kernels::window::Axis;

/// Loops with groups of `GROUP` filters in convolutions.
#[derive(Clone, Copy, Debug)]
pub struct Twin<const GROUP: usize>;

/// Sums of words with two halves, blockwise: total and upper half.
#[derive(Clone, Copy, Debug, Default)]
struct Halves {
    block: i32,
    total: i32,
    upper: i32,
}

impl Halves {
    fn add(&mut self, w: i32, x: u32) {
        self.block = self.block.wrapping_add(w.wrapping_mul(x as i32));
    }

    /// The end of a block.
    fn take(&mut self) {
        self.total = self.total.wrapping_add(self.block);
        self.upper = self.upper.wrapping_add(self.block.wrapping_add(1 << 15) >> 16);
        self.block = 0;
    }

    fn sums(self) -> [i32; 2] {
        [self.total.wrapping_sub(self.upper << 16), self.upper]
    }
}

/// Some times a sum to int8 with the numbers of its filter.
fn output(numbers: &[u32], sum: i32) -> i8 {
    let Some(&[bias, multiplier, rounding, power]) = numbers.first_chunk() else { return 0 };
    let scaled = (i64::from(sum.wrapping_add(bias as i32)) * i64::from(multiplier)) >> 32;
    let mut scaled = scaled as i32;
    if power & CLIPPED == 0 {
        scaled = scaled.wrapping_add(1);
        scaled = scaled.wrapping_add(2 * (scaled >> 31));
    }
    (scaled.wrapping_add(rounding as i32) >> (power & 31)).clamp(-128, 127) as i8
}

fn set(y: &mut [i8], at: usize, value: i8) {
    y.iter_mut().skip(at).take(1).for_each(|y| *y = value);
}

impl<const GROUP: usize> Twin<GROUP> {
    /// What sums are multiplied by before their bias is added.
    pub(super) const TIMES: i32 = if GROUP == 1 { 2 } else { 4 };
}

/// See [`Loops::band`].
fn outputs_of_band(times: i32, band: &Band<'_>, y: &mut [i8]) {
    let [across, down] = band.step;
    for (channel, words) in band.channels.chunks(CHANNEL_WORDS).enumerate() {
        let (numbers, weights) = words.split_at_checked(NUMBERS).unwrap_or_default();
        let weights: std::vec::Vec<u8> = weights.iter().flat_map(|word| word.to_le_bytes()).collect();
        for (row, column) in (0..band.rows).flat_map(|row| (0..band.count).map(move |column| (row, column))) {
            let mut sum = 0;
            for (ky, weights) in weights.chunks_exact(TAPS).take(TAPS).enumerate() {
                let at = (row * down + ky) * band.columns + column * across;
                for (x, w) in band.words.iter().skip(at).zip(weights) {
                    let x = x.to_le_bytes().get(channel).copied().unwrap_or(0);
                    sum += i32::from(x) * i32::from(*w as i8);
                }
            }
            set(y, (row * band.count + column) * band.y_step + channel, output(numbers, times * sum));
        }
    }
}

impl<const GROUP: usize> Loops for Twin<GROUP> {
    const ID: IsaId = if GROUP == 1 { IsaId::Thumb1 } else { IsaId::Thumb2 };
    const PIXELS: usize = tile::PIXELS;

    fn tile_words(patch: usize) -> usize {
        tile::words(patch)
    }

    fn filters(self, stream: &[u32], patch: usize, count: usize, tile: &[u32], y: &mut [i8]) {
        let Some((stride, groups)) = stream.split_first() else { return };
        for (group, words) in groups.chunks((*stride).max(1) as usize).take(count.div_ceil(GROUP)).enumerate() {
            let (numbers, weights) = words.split_at_checked(NUMBERS * GROUP).unwrap_or_default();
            let mut bytes = weights.iter().flat_map(|word| word.to_le_bytes());
            let mut next = || bytes.next().unwrap_or(0);
            let mut sums = [[Halves::default(); tile::PIXELS / 2]; GROUP];
            let mut at = 0;
            while at < patch {
                let end = at + LONGEST - usize::from(next() & 15);
                for k in at..end {
                    for pairs in &mut sums {
                        let w = i32::from(next() as i8);
                        pairs.iter_mut().zip(tile.iter().skip(2 * k)).for_each(|(sums, x)| sums.add(w, *x));
                    }
                }
                sums.as_flattened_mut().iter_mut().for_each(Halves::take);
                at = end;
            }
            for (filter, (numbers, sums)) in numbers.chunks(NUMBERS).zip(sums).enumerate() {
                let sums = sums.into_iter().flat_map(Halves::sums);
                let filter = GROUP * group + filter;
                for (y, sum) in y.chunks_mut(count).zip(sums).filter(|_| filter < count) {
                    set(y, filter, output(numbers, sum.wrapping_mul(Self::TIMES)));
                }
            }
        }
    }

    fn dense(self, stream: &[u32], x: &[i8], y: &mut [i8]) {
        let Some((stride, groups)) = stream.split_first() else { return };
        for (words, y) in groups.chunks((*stride).max(1) as usize).zip(y.chunks_mut(quad::GROUP)) {
            let (numbers, weights) = words.split_at_checked(NUMBERS * quad::GROUP).unwrap_or_default();
            let mut weights = weights.iter().copied();
            let (mut even, mut odd) = (Halves::default(), Halves::default());
            let mut x = x;
            while !x.is_empty() {
                let len = LONGEST - (weights.next().unwrap_or(0) & 15) as usize;
                let Some((block, rest)) = x.split_at_checked(len) else { break };
                for (x, w) in block.iter().zip(&mut weights) {
                    even.add(i32::from(*x), w & 0x00ff_00ff);
                    odd.add(i32::from(*x), w >> 8 & 0x00ff_00ff);
                }
                let sum = block.iter().map(|x| i32::from(*x)).sum::<i32>();
                for halves in [&mut even, &mut odd] {
                    halves.add(-sum, 0x0080_0080);
                    halves.take();
                }
                x = rest;
            }
            let ([sum0, sum2], [sum1, sum3]) = (even.sums(), odd.sums());
            for ((y, numbers), sum) in y.iter_mut().zip(numbers.chunks(NUMBERS)).zip([sum0, sum1, sum2, sum3]) {
                *y = output(numbers, sum.wrapping_mul(Self::TIMES));
            }
        }
    }

    fn band(self, band: &Band<'_>, y: &mut [i8]) {
        outputs_of_band(Self::TIMES, band, y);
    }

    fn place(self, tile: &mut [u32], pixel: usize, at: usize, x: &[i8]) {
        let (first, upper) = tile::place_of(pixel);
        for (word, x) in tile.iter_mut().skip(2 * at + first).step_by(2).zip(x) {
            *word = if upper { i32::from(*word as i16) + (i32::from(*x) << 16) } else { (*x).into() } as u32;
        }
    }

    fn place_tile(self, tile: &mut [u32], from: &Patch, apart: usize, x: &[i8]) {
        let mut words = tile.chunks_exact_mut(2);
        for at in (0..from.rows).flat_map(|row| (0..from.len).map(move |i| row * from.distance + i)) {
            let of = |pixel: usize| x.get(at + pixel * apart).copied().map_or(0, i32::from);
            if let Some([low, high]) = words.next() {
                (*low, *high) = ((of(0) + (of(1) << 16)) as u32, (of(2) + (of(3) << 16)) as u32);
            }
        }
    }

    fn gather(self, source: &Source<'_>, words: &mut [u32]) {
        for (x, words) in source.x.chunks(source.row).zip(words.chunks_mut(source.pitch)).take(source.rows) {
            for (word, x) in words.iter_mut().zip(x.iter().step_by(source.step)).take(source.columns) {
                *word = x ^ 0x8080_8080;
            }
        }
    }
}

/// Loops with three pixels in two words of a convolution, and eight filters of a dense layer at a time.
#[derive(Clone, Copy, Debug)]
pub struct Six;

/// A number's lower bits, signed.
fn lower(number: i32, bits: u32) -> i32 {
    number << (32 - bits) >> (32 - bits)
}

/// Sums of four filters of an [`octet`]: totals of even and odd ones, and upper halves.
#[derive(Clone, Copy, Debug, Default)]
struct Octet {
    total: [i32; 2],
    upper: [i32; 2],
}

impl Octet {
    /// A block of inputs and their weights.
    fn block(&mut self, x: &[i8], weights: &[u32]) {
        let (mut even, mut odd, mut sum) = (octet::HALF, octet::HALF, 0i32);
        for (x, w) in x.iter().zip(weights) {
            let x = i32::from(*x);
            even = even.wrapping_add(x.wrapping_mul((w & 0x00ff_00ff) as i32));
            odd = odd.wrapping_add(x.wrapping_mul((w >> 8) as i32));
            sum += x;
        }
        even = even.wrapping_sub(sum.wrapping_mul(0x0080_0080));
        // Above the odd filters' sums lies the third filter's: its offset, and the sum itself.
        odd = odd.wrapping_sub(sum.wrapping_mul(0x0080_8080)).wrapping_sub(even >> 16 << 8);
        for ((total, upper), sum) in self.total.iter_mut().zip(&mut self.upper).zip([even, odd]) {
            *total = total.wrapping_add(sum);
            *upper = upper.wrapping_add(sum >> 16);
        }
    }

    /// Of four filters; what blocks began with is still in those of the first two.
    fn sums(self) -> [i32; 4] {
        let [even, odd] = self.upper;
        let [first, second] = self.total;
        [first.wrapping_sub(even << 16), second.wrapping_sub(odd << 16), even, odd]
    }
}

impl Six {
    /// As [`Twin::TIMES`].
    pub(super) const TIMES: i32 = 2;

    /// A byte of each pixel.
    fn write(words: Option<&mut [u32]>, of: impl Fn(usize) -> i8) {
        let Some([a, b, c, d]) = words else { return };
        for ((low, high), pixel) in [(a, b), (c, d)].into_iter().zip([0, 3]) {
            let [x0, x1, x2] = [0, 1, 2].map(|i| i32::from(of(pixel + i)));
            (*low, *high) = ((x0 + (x2 << 21)) as u32, (x1 + (x2 << 10)) as u32);
        }
    }

    /// The sums of three pixels.
    fn sums(first: i32, second: i32) -> [i32; 3] {
        // What is above the lower 21 bits, whose borrow it has to give back.
        let above = |number: i32| (number.wrapping_add(1 << 20) >> 21) & 0x7ff;
        let low = above(first);
        let second = second.wrapping_sub(low << 10);
        [lower(first, 21), lower(second, 21), lower(above(second), 11) << 11 | low]
    }
}

impl Loops for Six {
    const ID: IsaId = IsaId::Rv32;
    const PIXELS: usize = six::PIXELS;
    const WINDOWS: bool = true;

    fn tile_words(patch: usize) -> usize {
        six::words(patch)
    }

    fn filters(self, stream: &[u32], patch: usize, count: usize, tile: &[u32], y: &mut [i8]) {
        let Some((block, groups)) = stream.split_first() else { return };
        let words = tile.chunks(4).zip(0..six::indices(patch)).map(|(words, _)| words);
        let words: std::vec::Vec<&[u32]> = words.collect();
        for (filter, numbers) in (0..count).map(|filter| (filter, groups.get(filter / 4 * six::group_words(patch)..))) {
            let Some((numbers, weights)) = numbers.and_then(|group| group.split_at_checked(4 * NUMBERS)) else {
                return;
            };
            let numbers = numbers.chunks(NUMBERS).nth(filter % 4).unwrap_or(&[]);
            let mut sums = [0; six::PIXELS];
            for (words, weights) in words.chunks((*block).max(1) as usize).zip(weights.chunks((*block).max(1) as usize))
            {
                let mut four = [0i32; 4];
                for (words, weights) in words.iter().zip(weights) {
                    let w = (weights >> (8 * (filter % 4))) as i8;
                    let products = words.iter().map(|x| i32::from(w).wrapping_mul(*x as i32));
                    four.iter_mut().zip(products).for_each(|(sum, product)| *sum = sum.wrapping_add(product));
                }
                let [a, b, c, d] = four;
                let block = Self::sums(a, b).into_iter().chain(Self::sums(c, d));
                sums.iter_mut().zip(block).for_each(|(sum, block)| *sum += block);
            }
            for (y, sum) in y.chunks_mut(count).zip(sums) {
                set(y, filter, output(numbers, sum.wrapping_mul(Self::TIMES)));
            }
        }
    }

    fn dense(self, stream: &[u32], x: &[i8], y: &mut [i8]) {
        let Some((stride, groups)) = stream.split_first() else { return };
        for (words, y) in groups.chunks((*stride).max(1) as usize).zip(y.chunks_mut(octet::GROUP)) {
            let quads = octet::quads(y.len());
            let (numbers, weights) = words.split_at_checked(NUMBERS * quad::GROUP * quads).unwrap_or_default();
            let (mut weights, mut x, mut sums) = (weights, x, [Octet::default(); 2]);
            while let Some((header, rest)) = weights.split_first().filter(|_| !x.is_empty()) {
                let len = LONGEST - (header & 15) as usize;
                let Some((block, behind)) = x.split_at_checked(len) else { break };
                let mut rest = rest;
                for sums in sums.iter_mut().take(quads) {
                    let Some((words, more)) = rest.split_at_checked(len) else { return };
                    sums.block(block, words);
                    rest = more;
                }
                (weights, x) = (rest, behind);
            }
            let sums = sums.into_iter().flat_map(Octet::sums);
            for ((y, numbers), sum) in y.iter_mut().zip(numbers.chunks(NUMBERS)).zip(sums) {
                *y = output(numbers, sum.wrapping_mul(Self::TIMES));
            }
        }
    }

    fn band(self, band: &Band<'_>, y: &mut [i8]) {
        outputs_of_band(Self::TIMES, band, y);
    }

    fn place_windows(self, tile: &mut [u32], windows: &Windows<'_>, first: usize, x: &[i8]) {
        let Windows { window, channels, pad } = *windows;
        let (channels, pad): (usize, std::vec::Vec<u8>) =
            (channels as usize, pad.iter().flat_map(|word| word.to_le_bytes()).collect());
        let (height, width) = (window.height, window.width);
        let place = |axis: Axis, output: usize, tap: usize| {
            let place =
                (output * axis.stride as usize + tap * axis.dilation as usize).checked_sub(axis.pad as usize)?;
            (place < axis.input as usize).then_some(place)
        };
        let mut words = tile.chunks_exact_mut(4);
        let taps = (0..height.kernel as usize).flat_map(|ky| (0..width.kernel as usize).map(move |kx| (ky, kx)));
        for ((ky, kx), channel) in taps.flat_map(|tap| (0..channels).map(move |channel| (tap, channel))) {
            let of = |pixel: usize| {
                let out_y = (first + pixel).checked_div(width.output as usize)?;
                let (y, x_) =
                    (place(height, out_y, ky)?, place(width, first + pixel - out_y * width.output as usize, kx)?);
                x.get((y * width.input as usize + x_) * channels + channel).copied()
            };
            let beside = pad.get(channel).map_or(0, |pad| *pad as i8);
            Self::write(words.next(), |pixel| of(pixel).unwrap_or(beside));
        }
    }

    fn place_tile(self, tile: &mut [u32], from: &Patch, apart: usize, x: &[i8]) {
        let mut words = tile.chunks_exact_mut(4);
        for at in (0..from.rows).flat_map(|row| (0..from.len).map(move |i| row * from.distance + i)) {
            Self::write(words.next(), |pixel| x.get(at + pixel * apart).copied().unwrap_or(0));
        }
    }

    fn gather(self, source: &Source<'_>, words: &mut [u32]) {
        Twin::<2>.gather(source, words);
    }
}
