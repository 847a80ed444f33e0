//! A proved plan at work: its steps take their operands out of memory without a check.
//!
//! [`Plan::check`](crate::plan::Plan::check) has proved for every step that its table of operands stays inside a data
//! section and an arena of some lengths, for any number of samples up to some, and that nothing that is written overlaps
//! another operand. [`Steps`] come from such a plan only and carry these [`Bounds`]. [`Run::over`] compares them with the
//! memory that is there, once for a whole run, whatever memory its caller brings; from there on an operand is an address
//! and a length.
#![allow(unsafe_code)]

use super::Stored;
use crate::memory::Memory;
use crate::plan::{Bounds, Entry, Steps, Table, is_sound};
use core::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Steps of a plan over memory that they were proved for.
#[derive(Debug)]
pub(crate) struct Run<'p, 'm> {
    steps: Steps<'p>,
    memory: Memory<'m>,
    samples: usize,
}

impl<'p, 'm> Run<'p, 'm> {
    /// `None` if memory is smaller than what the plan was proved for, or if there are more samples.
    pub fn over(steps: Steps<'p>, memory: Memory<'m>, samples: usize) -> Option<Self> {
        let Bounds { data_bytes, arena_bytes, samples: most, .. } = *steps.bounds();
        let fits = data_bytes <= memory.data.len() && arena_bytes <= memory.arena.len() && samples <= most;
        fits.then_some(Self { steps, memory, samples })
    }

    /// The next step and its operands.
    #[inline(always)]
    pub fn advance(&mut self) -> Option<(Stored<'p>, Slices<'_>)> {
        let (words, table) = self.steps.advance()?;
        // SAFETY: the plan's proof covers this step, and its table for this memory and so many samples.
        let (step, slices) = unsafe { (Stored::proved(words), Slices::new(table, &mut self.memory, self.samples)) };
        Some((step, slices))
    }

    /// Memory between two steps.
    pub fn memory(&self) -> &Memory<'m> {
        &self.memory
    }

    /// What is left to do.
    pub fn rest(self) -> Steps<'p> {
        self.steps
    }
}

/// The memory of a step's operands, taken one after the other in the order of its
/// [`PLACES`](crate::plan::StepRecord::PLACES).
#[derive(Debug)]
pub struct Slices<'m> {
    reads: &'m [Entry],
    writes: &'m [Entry],
    data: *const u8,
    arena: *mut u8,
    samples: usize,
    memory: PhantomData<&'m mut [u8]>,
}

impl<'m> Slices<'m> {
    /// The operands of `table`.
    ///
    /// # Safety
    /// [`crate::plan::Plan::check`] has found `table` sound for sections that are no longer than those of `memory`, and
    /// for at least so many samples.
    #[inline(always)]
    pub(super) unsafe fn new(table: Table<'m>, memory: &'m mut Memory<'_>, samples: usize) -> Self {
        debug_assert!(
            is_sound(table, memory.data.len(), memory.arena.len(), samples),
            "operands overlap or leave their section"
        );
        let Table { reads, writes } = table;
        let (data, arena) = (memory.data.as_ptr(), memory.arena.as_mut_ptr());
        Self { reads, writes, data, arena, samples, memory: PhantomData }
    }

    /// The next operand that the step reads; empty if it is absent.
    // On a device one copy for each type, not one for each operand of each kernel.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn read<T: FromBytes + Immutable + KnownLayout>(&mut self) -> &'m [T] {
        let Some((entry, rest)) = self.reads.split_first() else { return &[] };
        self.reads = rest;
        let section = if entry.at.is_data() { self.data } else { self.arena };
        // SAFETY: the entry lies in its section (`new`).
        let start = unsafe { section.add(entry.at.offset()) }.cast::<T>();
        let len = entry.bytes(self.samples) / size_of::<T>();
        if !is_aligned::<T>(start) {
            return &[];
        }
        // SAFETY: as many bytes lie in the section, aligned, and `T` is made of any. The borrow that `new` has taken
        // keeps them, and nothing writes them: written operands overlap nothing.
        unsafe { core::slice::from_raw_parts(start, len) }
    }

    /// The next operand that the step writes.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn write<T: FromBytes + IntoBytes + Immutable + KnownLayout>(&mut self) -> &'m mut [T] {
        let Some((entry, rest)) = self.writes.split_first() else { return Default::default() };
        self.writes = rest;
        // SAFETY: the entry lies in the arena (`new`).
        let start = unsafe { self.arena.add(entry.at.offset()) }.cast::<T>();
        let len = entry.bytes(self.samples) / size_of::<T>();
        if !is_aligned::<T>(start) {
            return Default::default();
        }
        // SAFETY: as in `read`; and no other operand has any of these bytes, nor is this one taken again.
        unsafe { core::slice::from_raw_parts_mut(start, len) }
    }
}

/// Always, unless a kernel asks for other elements than its list says.
#[inline(always)]
fn is_aligned<T>(start: *const T) -> bool {
    const { assert!(size_of::<T>() > 0) };
    debug_assert!(start.is_aligned(), "misaligned operand");
    start.is_aligned()
}
