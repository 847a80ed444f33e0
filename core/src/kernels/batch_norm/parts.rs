//! Sums over rows, two for each channel, shared among threads.
//!
//! Exact tokens take all rows in one chain and share the channels. The others cut many rows into parts, which threads
//! take: each then works on the samples that it has worked on before, which lie in its cache. What the parts give is
//! joined in their order.

use crate::arch::Isa;
use crate::kernels::util::{rows_mut, sub, sub_mut};
use core::ops::Range;

/// Channels that one thread sums at least: a cache line of each row.
const GROUP: usize = 16;
/// Channels whose parts lie on the stack at a time.
const WIDTH: usize = 64;
/// Most parts.
const MOST: usize = 16;
/// Fewest rows of a part, if there are several.
const LEAST_ROWS: usize = 64;

/// How many parts `count` rows have.
fn parts<I: Isa>(count: usize) -> usize {
    if I::ID.is_exact() { 1 } else { (count / LEAST_ROWS).clamp(1, MOST) }
}

/// The rows of one part.
fn rows_of(part: usize, parts: usize, count: usize) -> Range<usize> {
    let cut = |part: usize| (count * part).checked_div(parts).unwrap_or(count);
    cut(part)..cut(part + 1)
}

/// Fills `results`, a number for each channel in both, with sums over `count` rows.
///
/// `part` makes those of some rows and of the channels from a given one on, as many as it is given places. Where there
/// are several parts, `join` adds up what they made: it is given their rows with both numbers, part after part, and
/// results that are zero.
#[inline(always)]
pub(super) fn sums<I: Isa>(
    isa: I,
    count: usize,
    results: [&mut [f32]; 2],
    part: impl Fn(Range<usize>, usize, [&mut [f32]; 2]) + Sync,
    join: impl Fn(Parts<'_>, [&mut [f32]; 2]),
) {
    let [first, second] = results;
    let (channels, parts) = (first.len(), parts::<I>(count));
    if parts == 1 {
        let slices = [(first, GROUP), (second, GROUP)];
        isa.split(channels.div_ceil(GROUP), count.saturating_mul(GROUP), slices, |groups, results| {
            part(0..count, groups.start * GROUP, results);
        });
        return;
    }
    let (mut some, mut others) = ([0.0; MOST * WIDTH], [0.0; MOST * WIDTH]);
    let mut start = 0;
    while start < channels {
        let width = WIDTH.min(channels - start);
        let cost = count.saturating_mul(width) / parts;
        isa.split(parts, cost, [(&mut some, width), (&mut others, width)], |range, [some, others]| {
            let places = rows_mut(some, width).zip(rows_mut(others, width));
            for (at, (some, others)) in range.zip(places) {
                part(rows_of(at, parts, count), start, [some, others]);
            }
        });
        let results = [&mut *first, &mut *second].map(|result| sub_mut(result, start, width));
        let results = results.map(|result| {
            result.fill(0.0);
            result
        });
        join(Parts { at: 0, parts, count, width, some: &some, others: &others }, results);
        start += width;
    }
}

/// The parts in order: rows, and both numbers of each channel.
#[derive(Clone, Debug)]
pub(super) struct Parts<'a> {
    at: usize,
    parts: usize,
    count: usize,
    width: usize,
    some: &'a [f32],
    others: &'a [f32],
}

impl<'a> Iterator for Parts<'a> {
    type Item = (Range<usize>, [&'a [f32]; 2]);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        self.at += 1;
        let numbers = [self.some, self.others].map(|numbers| sub(numbers, at * self.width, self.width));
        (at < self.parts).then(|| (rows_of(at, self.parts, self.count), numbers))
    }
}
