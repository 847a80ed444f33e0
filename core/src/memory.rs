//! Carving disjoint slices out of one arena, without `unsafe`.
//!
//! A step reads some ranges and writes others. Reads may overlap each other; a write overlaps nothing.
//! `carve` splits the arena at the written ranges and finds the reads in what is left.

use crate::plan::{Access, Operand, Operands, Place, Ref, StepRecord};
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
    /// Borrows what a step touches, in the order of its [`StepRecord::PLACES`].
    ///
    /// [`crate::image::Image::parse`] has proved that all of it exists and that writes are disjoint from everything
    /// else; should that promise be broken, the step sees empty slices and does nothing.
    pub fn slices<R: StepRecord>(&mut self, record: &R, samples: usize) -> Slices<'_> {
        if R::IS_DATA {
            self.slices_of(R::PLACES, record.as_bytes(), samples)
        } else {
            let operands = record.places(samples);
            self.carved(operands.as_slice().iter().map(|operand| (false, *operand)))
        }
    }

    /// One copy serves all steps: a device has no room for one of each.
    #[inline(never)]
    fn slices_of(&mut self, places: &[Place], record: &[u8], samples: usize) -> Slices<'_> {
        let words = view::<u32>(record);
        self.carved(places.iter().map(|place| (place.is_input(), place.operand(words, samples))))
    }

    #[inline(always)]
    fn carved(&mut self, operands: impl Iterator<Item = (bool, Operand)>) -> Slices<'_> {
        let mut slices = Slices::default();
        if carve(self.data, self.arena, operands, &mut slices.list).is_none() {
            debug_assert!(false, "operands overlap or leave the arena");
            slices.list.clear();
        }
        slices
    }

    /// Constants, what a step reads, and what it writes: so many bytes each. For layers so short that
    /// [`Memory::slices`] would take longer. `None` where constants are not in the data section, or [`Memory::slices`]
    /// would give nothing.
    #[inline(always)]
    pub fn carve_short(
        &mut self,
        constants: (Ref, usize),
        x: (Ref, usize),
        y: (Ref, usize),
    ) -> Option<(&[u8], &[u8], &mut [u8])> {
        if !constants.0.is_data() || y.0.is_data() {
            return None;
        }
        let bytes = |(at, bytes): (Ref, usize)| at.offset()..at.offset().saturating_add(bytes);
        let (data, constants) = (self.data, self.data.get(bytes(constants))?);
        if x.0.is_data() {
            return Some((constants, data.get(bytes(x))?, self.arena.get_mut(bytes(y))?));
        }
        let (x_start, y_start) = (x.0.offset(), y.0.offset());
        let (low, high) = self.arena.split_at_mut_checked(x_start.max(y_start))?;
        if x_start < y_start {
            Some((constants, low.get(bytes(x))?, high.get_mut(..y.1)?))
        } else {
            Some((constants, high.get(..x.1)?, low.get_mut(bytes(y))?))
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

/// The memory of a step's operands, taken one after the other.
#[derive(Debug, Default)]
pub struct Slices<'m> {
    list: heapless::Vec<Slice<'m>, { Operands::MAX }>,
    next: usize,
}

#[derive(Debug)]
enum Slice<'m> {
    Read(&'m [u8]),
    Write(&'m mut [u8]),
}

impl<'m> Slices<'m> {
    /// The next operand, which the step reads; empty if it is absent.
    // On a device one copy for each type, not one for each operand of each kernel.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn read<T: FromBytes + Immutable + KnownLayout>(&mut self) -> &'m [T] {
        match self.next() {
            Some(Slice::Read(bytes)) => view(bytes),
            _ => &[],
        }
    }

    /// The next operand, which the step writes.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn write<T: FromBytes + IntoBytes + Immutable + KnownLayout>(&mut self) -> &'m mut [T] {
        match self.next() {
            Some(Slice::Write(bytes)) => view_mut(core::mem::take(bytes)),
            _ => Default::default(),
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<&mut Slice<'m>> {
        let slice = self.list.get_mut(self.next);
        self.next += 1;
        slice
    }
}

/// An operand in the arena.
struct Range {
    start: usize,
    bytes: usize,
    /// Number of its slice.
    index: usize,
    writes: bool,
    /// Whether a written range may take its place.
    gives_way: bool,
}

/// Splits memory into the ranges read (shared) and those written (exclusive). Absent operands stay empty, as do those
/// that give way.
///
/// None if a write overlaps another operand or anything lies outside.
// Of every step, whenever it runs: most operands lie in the data section, so that few need more than one look.
#[inline(always)]
fn carve<'a>(
    data: &'a [u8],
    arena: &'a mut [u8],
    operands: impl Iterator<Item = (bool, Operand)>,
    slices: &mut heapless::Vec<Slice<'a>, { Operands::MAX }>,
) -> Option<()> {
    let mut ranges = heapless::Vec::<Range, { Operands::MAX }>::new();
    let mut missing = 0;
    for (gives_way, operand) in operands {
        let (start, bytes, writes) = (operand.at.offset(), operand.bytes, operand.access != Access::Read);
        let mut slice = Slice::Read(&[]);
        if operand.at.is_data() && !writes {
            slice = Slice::Read(range(data, &operand));
        } else if bytes > 0 {
            if operand.at.is_data() {
                return None;
            }
            for range in ranges.iter_mut().filter(|range| writes && range.gives_way && range.start == start) {
                range.bytes = 0;
                missing -= 1;
            }
            ranges.push(Range { start, bytes, index: slices.len(), writes, gives_way }).ok()?;
            missing += 1;
        }
        slices.push(slice).ok()?;
    }
    let (mut rest, mut rest_start) = (arena, 0);
    while missing > 0 {
        // The next written range. What lies before it, or up to the end, is shared.
        let ahead = |range: &&Range| range.writes && range.start >= rest_start;
        let next = ranges.iter().filter(ahead).min_by_key(|range| range.start);
        let gap_bytes = next.map_or(rest.len(), |range| range.start - rest_start);
        let (gap, after) = rest.split_at_mut_checked(gap_bytes)?;
        let gap: &'a [u8] = gap;
        for range in ranges.iter().filter(|range| !range.writes && range.bytes > 0) {
            let start = range.start.checked_sub(rest_start);
            if let Some(found) = start.and_then(|start| gap.get(start..start.checked_add(range.bytes)?)) {
                *slices.get_mut(range.index)? = Slice::Read(found);
                missing -= 1;
            }
        }
        let Some(write) = next else { break };
        let (taken, after) = after.split_at_mut_checked(write.bytes)?;
        *slices.get_mut(write.index)? = Slice::Write(taken);
        missing -= 1;
        rest = after;
        rest_start += gap_bytes + write.bytes;
    }
    (missing == 0).then_some(())
}

fn range<'a>(bytes: &'a [u8], operand: &Operand) -> &'a [u8] {
    let start = operand.at.offset();
    bytes.get(start..start.saturating_add(operand.bytes)).unwrap_or(&[])
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

/// Bytes as signed ones.
#[inline(always)]
pub fn signed(bytes: &[u8]) -> &[i8] {
    <[i8]>::ref_from_bytes(bytes).unwrap_or(&[])
}

/// [`signed`] for writing.
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
