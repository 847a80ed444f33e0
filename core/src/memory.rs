//! Carving disjoint slices out of one arena, without `unsafe`.
//!
//! A step reads some ranges and writes others. Reads may overlap each other; a write overlaps nothing.
//! `carve` splits the arena at the written ranges and finds the reads in what is left.

use crate::plan::{Operand, Ref};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a running step sees: the image's data section and the arena.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Frozen parameters and tables, in flash.
    pub data: &'m [u8],
    /// Trainable parameters, optimiser state, activations and scratch.
    pub arena: &'m mut [u8],
}

impl Memory<'_> {
    /// Borrows the ranges that a step reads and writes.
    ///
    /// [`crate::image::Image::parse`] has proved that all of them exist and that writes are disjoint from everything
    /// else; should that promise be broken, the step sees empty slices and does nothing.
    #[inline]
    pub fn carve<const R: usize, const W: usize>(
        &mut self,
        reads: [Operand; R],
        writes: [Operand; W],
    ) -> ([&[u8]; R], [&mut [u8]; W]) {
        let split = carve(self.arena, reads, writes);
        debug_assert!(split.is_some(), "operands overlap or leave the arena: {reads:?} {writes:?}");
        let (mut reads_out, writes_out) =
            split.unwrap_or_else(|| ([&[]; R], core::array::from_fn(|_| Default::default())));
        for (slice, operand) in reads_out.iter_mut().zip(&reads) {
            if operand.at.is_data() {
                *slice = range(self.data, operand);
            }
        }
        (reads_out, writes_out)
    }

    /// Reads one operand.
    #[inline]
    pub fn read(&self, operand: Operand) -> &[u8] {
        if operand.at.is_data() { range(self.data, &operand) } else { range(self.arena, &operand) }
    }

    /// Borrows one operand for writing; empty unless it lies in the arena.
    #[inline]
    pub fn write(&mut self, operand: Operand) -> &mut [u8] {
        if operand.at.is_data() {
            return Default::default();
        }
        let start = operand.at.offset();
        self.arena.get_mut(start..start.saturating_add(operand.bytes)).unwrap_or_default()
    }
}

fn range<'a>(bytes: &'a [u8], operand: &Operand) -> &'a [u8] {
    let start = operand.at.offset();
    bytes.get(start..start.saturating_add(operand.bytes)).unwrap_or(&[])
}

/// The ranges read, and the ranges written.
type Carved<'a, const R: usize, const W: usize> = ([&'a [u8]; R], [&'a mut [u8]; W]);

/// Splits `arena` into the written ranges (exclusive) and the read ranges (shared).
///
/// `None` if a write overlaps another operand or anything lies outside. Operands in the data section and absent
/// ones come back empty.
fn carve<const R: usize, const W: usize>(
    arena: &mut [u8],
    reads: [Operand; R],
    writes: [Operand; W],
) -> Option<Carved<'_, R, W>> {
    // The written ranges in ascending order: a handful, so insertion sort.
    let mut order: [usize; W] = core::array::from_fn(|i| i);
    order.sort_unstable_by_key(|&i| writes.get(i).map_or(0, |w| w.at.0));

    let mut reads_out: [&[u8]; R] = [&[]; R];
    let mut writes_out: [&mut [u8]; W] = core::array::from_fn(|_| Default::default());
    let mut found = [false; R];
    let mut rest = arena;
    let mut rest_start = 0;
    for position in 0..=W {
        let write = order.get(position).and_then(|&i| writes.get(i).map(|w| (i, w)));
        // The gap before this written range (or up to the end) is shared.
        let gap_end = match write {
            Some((_, w)) if w.bytes == 0 || w.at.is_none() => continue,
            Some((_, w)) if w.at.is_data() => return None,
            Some((_, w)) => w.at.offset(),
            None => rest_start + rest.len(),
        };
        let (gap, after) = rest.split_at_mut_checked(gap_end.checked_sub(rest_start)?)?;
        let gap: &[u8] = gap;
        for ((slice, operand), found) in reads_out.iter_mut().zip(&reads).zip(found.iter_mut()) {
            let start = operand.at.offset();
            let end = start.checked_add(operand.bytes)?;
            if !operand.at.is_data() && operand.bytes > 0 && start >= rest_start && end <= gap_end {
                *slice = gap.get(start - rest_start..end - rest_start)?;
                *found = true;
            }
        }
        let Some((index, w)) = write else { break };
        let (taken, after) = after.split_at_mut_checked(w.bytes)?;
        *writes_out.get_mut(index)? = taken;
        rest = after;
        rest_start = gap_end + w.bytes;
    }
    let all_found = reads.iter().zip(found).all(|(r, found)| found || r.at.is_data() || r.bytes == 0 || r.at.is_none());
    all_found.then_some((reads_out, writes_out))
}

/// Bytes seen as elements; empty if they are misaligned or no whole number of elements (never after parsing).
#[inline]
pub fn view<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8]) -> &[T] {
    let view = <[T]>::ref_from_bytes(bytes);
    // An absent operand is an empty slice of bytes, which need not be aligned.
    debug_assert!(view.is_ok() || bytes.is_empty(), "misaligned or ragged operand");
    view.unwrap_or(&[])
}

/// [`view`] for writing.
#[inline]
pub fn view_mut<T: FromBytes + IntoBytes + Immutable + KnownLayout>(bytes: &mut [u8]) -> &mut [T] {
    let absent = bytes.is_empty();
    let view = <[T]>::mut_from_bytes(bytes);
    debug_assert!(view.is_ok() || absent, "misaligned or ragged operand");
    view.unwrap_or_default()
}

impl Operand {
    /// An absent operand.
    pub const NONE: Operand = Operand { at: Ref::NONE, bytes: 0, access: crate::plan::Access::Read, align: 1 };
}

#[cfg(test)]
mod tests;
