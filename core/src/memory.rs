//! Carving disjoint slices out of one arena, without `unsafe`.
//!
//! A step reads some ranges and writes others. Reads may overlap each other; a write overlaps nothing.
//! The step's table (`plan/table.rs`) lists them in an order in which the arena is cut once for each written range.

use crate::plan::{Operand, Operands, Ref, Table};
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
    /// Borrows what a step touches.
    ///
    /// [`crate::image::Image::parse`] has proved that all of it exists and that writes are disjoint from everything
    /// else; should that promise be broken, the step sees empty slices and does nothing.
    // Into a place of the caller's: moving so many slices takes longer than finding them.
    #[inline(never)]
    pub(crate) fn find<'a>(&'a mut self, table: Table<'_>, samples: usize, slices: &mut Slices<'a>) {
        if carve(self.data, self.arena, table, samples, slices).is_none() {
            debug_assert!(false, "operands overlap or leave the arena");
            slices.reads.clear();
            slices.writes.clear();
        }
    }

    /// Copies what lies in the data section to the arena.
    pub fn load(&mut self, from: Operand, to: Operand) {
        let from = range(self.data, &from);
        crate::kernels::util::copy(from, self.write(to));
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

/// The memory of a step's operands, taken one after the other in the order of its
/// [`PLACES`](crate::plan::StepRecord::PLACES).
#[derive(Debug, Default)]
pub struct Slices<'m> {
    reads: heapless::Vec<&'m [u8], { Operands::MAX }>,
    writes: heapless::Vec<&'m mut [u8], { Operands::MAX }>,
    next_read: usize,
    next_write: usize,
}

impl<'m> Slices<'m> {
    /// The next operand that the step reads; empty if it is absent.
    // On a device one copy for each type, not one for each operand of each kernel.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn read<T: FromBytes + Immutable + KnownLayout>(&mut self) -> &'m [T] {
        let Some(bytes) = self.reads.get(self.next_read) else { return &[] };
        self.next_read += 1;
        view(bytes)
    }

    /// The next operand that the step writes.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn write<T: FromBytes + IntoBytes + Immutable + KnownLayout>(&mut self) -> &'m mut [T] {
        let Some(bytes) = self.writes.get_mut(self.next_write) else { return Default::default() };
        self.next_write += 1;
        view_mut(core::mem::take(bytes))
    }
}

/// Splits memory into the ranges read (shared) and those written (exclusive).
///
/// None if a write overlaps another operand or anything lies outside.
// Of every step, whenever it runs.
#[inline(always)]
fn carve<'a>(
    data: &'a [u8],
    arena: &'a mut [u8],
    table: Table<'_>,
    samples: usize,
    slices: &mut Slices<'a>,
) -> Option<()> {
    // What is not yet cut, and what lies between the last two cuts.
    let (mut left, mut gap, mut gap_start) = (arena, &[][..], 0);
    for entry in table {
        let (start, number) = (entry.at.offset(), entry.number());
        let bytes = (entry.bytes as usize).wrapping_mul(if entry.scales() { samples } else { 1 });
        if entry.is_written() {
            gap_start = start.checked_add(bytes)?;
            let (below, above) = core::mem::take(&mut left).split_at_mut_checked(gap_start)?;
            gap = above;
            let (below, cut) = below.split_at_mut_checked(start)?;
            left = below;
            *place(&mut slices.writes, number)? = cut;
        } else {
            if entry.is_below() {
                (gap, gap_start) = (core::mem::take(&mut left), 0);
            }
            let (section, base) = if entry.at.is_data() { (data, 0) } else { (gap, gap_start) };
            let start = start.wrapping_sub(base);
            *place(&mut slices.reads, number)? = section.get(start..start.checked_add(bytes)?)?;
        }
    }
    Some(())
}

/// The place of operand `number`; those before it that are absent stay empty.
#[inline(always)]
fn place<T: Default, const N: usize>(list: &mut heapless::Vec<T, N>, number: usize) -> Option<&mut T> {
    while list.len() <= number {
        list.push(T::default()).ok()?;
    }
    list.get_mut(number)
}

fn range<'a>(bytes: &'a [u8], operand: &Operand) -> &'a [u8] {
    let start = operand.at.offset();
    bytes.get(start..start.saturating_add(operand.bytes)).unwrap_or(&[])
}

/// Bytes seen as elements; empty if they are misaligned or no whole number of elements (never after parsing).
#[inline]
pub fn view<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8]) -> &[T] {
    // What the conversion finds out again costs nothing then; its errors would.
    if !holds::<T>(bytes) {
        return &[];
    }
    <[T]>::ref_from_bytes(bytes).unwrap_or(&[])
}

/// [`view`] for writing.
#[inline]
pub fn view_mut<T: FromBytes + IntoBytes + Immutable + KnownLayout>(bytes: &mut [u8]) -> &mut [T] {
    if !holds::<T>(bytes) {
        return Default::default();
    }
    <[T]>::mut_from_bytes(bytes).unwrap_or_default()
}

/// Whether bytes are a whole number of aligned elements.
#[inline(always)]
fn holds<T>(bytes: &[u8]) -> bool {
    let holds = bytes.as_ptr().addr().is_multiple_of(align_of::<T>()) && bytes.len().is_multiple_of(size_of::<T>());
    // An absent operand is an empty slice of bytes, which need not be aligned.
    debug_assert!(holds || bytes.is_empty(), "misaligned or ragged operand");
    holds
}

/// Bytes as signed ones.
#[inline(always)]
pub fn signed_mut(bytes: &mut [u8]) -> &mut [i8] {
    <[i8]>::mut_from_bytes(bytes).unwrap_or_default()
}

impl Operand {
    /// An absent operand.
    pub const NONE: Operand = Operand { at: Ref::NONE, bytes: 0, access: crate::plan::Access::Read, align: 1 };
}

#[cfg(test)]
mod tests;
