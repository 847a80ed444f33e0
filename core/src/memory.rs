//! Carving disjoint slices out of one arena, without `unsafe`.
//!
//! A step reads some ranges and writes others. Reads may overlap each other; a write overlaps nothing.
//! `carve` splits the arena at the written ranges and finds the reads in what is left.

use crate::plan::{Access, Operand, Operands, Ref, StepRecord};
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
        let mut read: [&[u8]; R] = [&[]; R];
        let mut written: [&mut [u8]; W] = core::array::from_fn(|_| Default::default());
        let split = carve(self.data, self.arena, (&reads, &mut read), (&writes, &mut written));
        debug_assert!(split, "operands overlap or leave the arena: {reads:?} {writes:?}");
        (read, written)
    }

    /// Borrows what a step touches, in the order of its [`StepRecord::PLACES`].
    ///
    /// [`crate::image::Image::parse`] has proved that all of it exists and that writes are disjoint from everything
    /// else; should that promise be broken, the step sees empty slices and does nothing.
    pub fn slices<R: StepRecord>(&mut self, record: &R, samples: usize) -> Slices<'_> {
        self.carve_all(&record.places(samples))
    }

    /// One copy serves all steps: a device has no room for one of each.
    #[inline(never)]
    fn carve_all(&mut self, operands: &Operands) -> Slices<'_> {
        let mut slices = Slices::default();
        if carve_into(self.data, self.arena, operands.as_slice(), &mut slices.list).is_none() {
            debug_assert!(false, "operands overlap or leave the arena: {operands:?}");
            return Slices::default();
        }
        slices
    }

    /// [`Memory::carve`] for layers whose constants lie in one piece in the data section: a few comparisons, where a small
    /// layer takes no longer for its products.
    #[inline(never)]
    pub fn carve_layer(&mut self, constants: Operand, x: Operand, scratch: Operand, y: Operand) -> LayerSlices<'_> {
        let in_arena = |operand: &Operand| match operand.at.offset() {
            start if operand.bytes > 0 && !operand.at.is_data() => start..start.saturating_add(operand.bytes),
            _ => 0..0,
        };
        let constants = if constants.at.is_data() { range(self.data, &constants) } else { &[] };
        let written = [&scratch, &y].iter().all(|operand| operand.bytes == 0 || !operand.at.is_data());
        let arena = self.arena.get_disjoint_mut([in_arena(&x), in_arena(&scratch), in_arena(&y)]);
        match arena {
            Ok([_, scratch, y]) if written && x.at.is_data() => {
                LayerSlices { constants, x: range(self.data, &x), scratch, y }
            }
            Ok([x, scratch, y]) if written => LayerSlices { constants, x, scratch, y },
            _ => {
                debug_assert!(false, "operands overlap or leave the arena: {x:?} {scratch:?} {y:?}");
                LayerSlices::default()
            }
        }
    }

    /// Constants, what a step reads, and what it writes: so many bytes each. For layers so short that
    /// [`Memory::carve`] would take longer. `None` where constants are not in the data section, or [`Memory::carve`]
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

/// What [`Memory::carve_layer`] gives.
#[derive(Debug, Default)]
pub struct LayerSlices<'m> {
    /// Constants.
    pub constants: &'m [u8],
    /// Input.
    pub x: &'m [u8],
    /// Scratch.
    pub scratch: &'m mut [u8],
    /// Output.
    pub y: &'m mut [u8],
}

/// The memory of a step's operands, taken one after the other.
#[derive(Debug, Default)]
pub struct Slices<'m> {
    list: [Slice<'m>; Operands::MAX],
    next: usize,
}

#[derive(Debug)]
enum Slice<'m> {
    Read(&'m [u8]),
    Write(&'m mut [u8]),
}

impl Default for Slice<'_> {
    fn default() -> Self {
        Self::Read(&[])
    }
}

impl<'m> Slices<'m> {
    /// The next operand, which the step reads; empty if it is absent.
    // On a device one copy for each type, not one for each operand of each kernel.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn read<T: FromBytes + Immutable + KnownLayout>(&mut self) -> &'m [T] {
        match self.take() {
            Slice::Read(bytes) => view(bytes),
            Slice::Write(_) => &[],
        }
    }

    /// The next operand, which the step writes.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn write<T: FromBytes + IntoBytes + Immutable + KnownLayout>(&mut self) -> &'m mut [T] {
        match self.take() {
            Slice::Write(bytes) => view_mut(bytes),
            Slice::Read(_) => Default::default(),
        }
    }

    fn take(&mut self) -> Slice<'m> {
        let slice = self.list.get_mut(self.next).map(core::mem::take).unwrap_or_default();
        self.next += 1;
        slice
    }
}

/// Splits memory into the ranges read (shared) and those written (exclusive). Absent operands stay empty.
///
/// None if a write overlaps another operand or anything lies outside.
fn carve_into<'a>(data: &'a [u8], arena: &'a mut [u8], operands: &[Operand], slices: &mut [Slice<'a>]) -> Option<()> {
    let writes = |operand: &Operand| operand.access != Access::Read;
    let mut missing = 0;
    for (operand, slice) in operands.iter().zip(slices.iter_mut()).filter(|(operand, _)| operand.bytes > 0) {
        if operand.at.is_data() && !writes(operand) {
            *slice = Slice::Read(range(data, operand));
        } else {
            // A write to the data section is never found.
            missing += 1;
        }
    }
    let in_arena = |operand: &Operand| operand.bytes > 0 && !operand.at.is_data();
    let (mut rest, mut rest_start) = (arena, 0);
    while missing > 0 {
        // The next written range. What lies before it, or up to the end, is shared.
        let ahead = |write: &Operand| in_arena(write) && writes(write) && write.at.offset() >= rest_start;
        let next = operands.iter().enumerate().filter(|(_, write)| ahead(write));
        let next = next.min_by_key(|(_, write)| write.at.offset());
        let gap_bytes = next.map_or(rest.len(), |(_, write)| write.at.offset() - rest_start);
        let (gap, after) = rest.split_at_mut_checked(gap_bytes)?;
        let gap: &'a [u8] = gap;
        for (operand, slice) in operands.iter().zip(slices.iter_mut()) {
            let start = operand.at.offset().checked_sub(rest_start).filter(|_| in_arena(operand) && !writes(operand));
            if let Some(found) = start.and_then(|start| gap.get(start..start.checked_add(operand.bytes)?)) {
                *slice = Slice::Read(found);
                missing -= 1;
            }
        }
        let Some((index, write)) = next else { break };
        let (taken, after) = after.split_at_mut_checked(write.bytes)?;
        *slices.get_mut(index)? = Slice::Write(taken);
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

/// The operands of one access, and where their slices go.
type Wanted<'o, S> = (&'o [Operand], &'o mut [S]);

/// Splits memory into the ranges read (shared) and the ranges written (exclusive). Absent operands stay empty.
///
/// False, and all slices empty, if a write overlaps another operand or anything lies outside.
/// One copy serves steps of any number of operands: a device has no room for one of each.
#[inline(never)]
fn carve<'a>(
    data: &'a [u8],
    arena: &'a mut [u8],
    (reads, read): Wanted<'_, &'a [u8]>,
    (writes, written): Wanted<'_, &'a mut [u8]>,
) -> bool {
    for (slice, operand) in read.iter_mut().zip(reads).filter(|(_, operand)| operand.at.is_data()) {
        *slice = range(data, operand);
    }
    let split = carve_arena(arena, (reads, read), (writes, written)).is_some();
    if !split {
        read.fill(&[]);
        written.fill_with(Default::default);
    }
    split
}

fn carve_arena<'a>(
    arena: &'a mut [u8],
    (reads, read): Wanted<'_, &'a [u8]>,
    (writes, written): Wanted<'_, &'a mut [u8]>,
) -> Option<()> {
    let present = |operand: &Operand| operand.bytes > 0 && !operand.at.is_none();
    let in_arena = |operand: &Operand| present(operand) && !operand.at.is_data();
    let mut missing = reads.iter().filter(|operand| in_arena(operand)).count();
    // A write to the data section is never found.
    missing += writes.iter().filter(|operand| present(operand)).count();
    let (mut rest, mut rest_start) = (arena, 0);
    loop {
        // The next written range. What lies before it, or up to the end, is shared.
        let ahead = |write: &Operand| in_arena(write) && write.at.offset() >= rest_start;
        let next = writes.iter().zip(written.iter_mut()).filter(|(write, _)| ahead(write));
        let next = next.min_by_key(|(write, _)| write.at.offset());
        let gap_bytes = next.as_ref().map_or(rest.len(), |(write, _)| write.at.offset() - rest_start);
        let (gap, after) = rest.split_at_mut_checked(gap_bytes)?;
        let gap: &'a [u8] = gap;
        for (slice, operand) in read.iter_mut().zip(reads).filter(|(_, operand)| in_arena(operand)) {
            let start = operand.at.offset().checked_sub(rest_start);
            if let Some(found) = start.and_then(|start| gap.get(start..start.checked_add(operand.bytes)?)) {
                *slice = found;
                missing -= 1;
            }
        }
        let Some((write, place)) = next else { break };
        let (taken, after) = after.split_at_mut_checked(write.bytes)?;
        *place = taken;
        missing -= 1;
        rest = after;
        rest_start += gap_bytes + write.bytes;
    }
    (missing == 0).then_some(())
}

/// Bytes seen as elements; empty if they are misaligned or no whole number of elements (never after parsing).
// On a device one copy for each type, not one for each operand of each kernel.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
pub fn view<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8]) -> &[T] {
    let view = <[T]>::ref_from_bytes(bytes);
    // An absent operand is an empty slice of bytes, which need not be aligned.
    debug_assert!(view.is_ok() || bytes.is_empty(), "misaligned or ragged operand");
    view.unwrap_or(&[])
}

/// [`view`] for writing.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
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
