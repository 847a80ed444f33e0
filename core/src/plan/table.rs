//! Where a step's operands lie, in the form in which a running step takes them with least work.
//!
//! The host writes a table behind each record, the parser proves that it says what the record says and that nothing
//! that a step writes overlaps another of its operands, and steps then take their operands from it without a look at
//! anything else (`arch/run.rs`). Those that are read stand first, then those that are written, both in the order of
//! the record's list. An absent one has no bytes; those at the end of either list are left out.

use super::{Access, Bounds, Operand, Operands, PlanError, Ref};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One operand: two words of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Entry {
    /// Where it begins.
    pub at: Ref,
    size: u32,
}

impl Entry {
    /// Nothing, at the arena's start.
    const ABSENT: Self = Self { at: Ref::arena(0), size: 0 };
    /// There are so many bytes for each sample, else for all of them.
    const SCALES: u32 = 1 << 31;

    fn of(operand: &Operand, bytes: usize, scales: bool) -> Option<Self> {
        let size = u32::try_from(bytes).ok().filter(|size| size & Self::SCALES == 0)?;
        if size == 0 {
            return Some(Self::ABSENT);
        }
        Some(Self { at: operand.at, size: size | if scales { Self::SCALES } else { 0 } })
    }

    /// Its bytes when a run carries so many samples. No product overflows that [`check`] has seen.
    #[inline(always)]
    pub fn bytes(self, samples: usize) -> usize {
        let bytes = (self.size & !Self::SCALES) as usize;
        if self.size & Self::SCALES == 0 { bytes } else { bytes.wrapping_mul(samples) }
    }

    /// Whether the two overlap.
    fn meets(self, other: Self, samples: usize) -> bool {
        let (a, b) = (self.at.offset(), other.at.offset());
        self.at.is_data() == other.at.is_data() && a < b + other.bytes(samples) && b < a + self.bytes(samples)
    }
}

/// The table of one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Table<'a> {
    /// Operands that it reads.
    pub reads: &'a [Entry],
    /// Operands that it writes.
    pub writes: &'a [Entry],
}

/// A table for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTable {
    entries: heapless::Vec<Entry, { Operands::MAX }>,
    reads: usize,
}

impl NewTable {
    /// How many operands it has, for the step's header.
    pub fn operands(&self) -> u8 {
        let writes = self.entries.len() - self.reads;
        (self.reads | writes << WRITES_SHIFT) as u8
    }

    /// What stands behind the record.
    pub fn as_bytes(&self) -> &[u8] {
        self.entries.as_bytes()
    }

    /// As a step reads it.
    #[cfg(test)]
    pub(crate) fn table(&self) -> Table<'_> {
        let (reads, writes) = self.entries.split_at(self.reads);
        Table { reads, writes }
    }

    /// Of a step with these operands for one sample and for as many as a run carries at most, absent ones included;
    /// `None` if there are more bytes than 31 bits can say, or more operands of a sort than a header counts. Operands that overlap make a table that [`check`] refuses.
    pub(crate) fn of(one: &Operands, all: &Operands, samples: usize) -> Option<Self> {
        let mut entries = heapless::Vec::<Entry, { Operands::MAX }>::new();
        let mut reads = 0;
        for are_read in [true, false] {
            let mut last = entries.len();
            for (one, all) in one.as_slice().iter().zip(all.as_slice()) {
                if (all.access == Access::Read) != are_read {
                    continue;
                }
                let scales = one.bytes != all.bytes && one.bytes.checked_mul(samples) == Some(all.bytes);
                entries.push(Entry::of(all, if scales { one.bytes } else { all.bytes }, scales)?).ok()?;
                if all.bytes > 0 {
                    last = entries.len();
                }
            }
            entries.truncate(last);
            if are_read {
                reads = last;
            }
        }
        let fits = reads.max(entries.len() - reads) < 1 << WRITES_SHIFT;
        fits.then_some(Self { entries, reads })
    }
}

/// In a header's number of operands, those that are written stand from this bit on, those that are read below it.
const WRITES_SHIFT: usize = 4;

/// Cuts the table of a step with so many operands off what stands behind its record.
#[inline(always)]
pub(super) fn split(words: &[u32], operands: u8) -> Option<(Table<'_>, &[u32])> {
    const WORDS: usize = size_of::<Entry>() / 4;
    let operands = usize::from(operands);
    let (reads, words) = words.split_at_checked((operands & ((1 << WRITES_SHIFT) - 1)) * WORDS)?;
    let (writes, rest) = words.split_at_checked((operands >> WRITES_SHIFT) * WORDS)?;
    let (reads, writes) = (reads.as_chunks::<WORDS>().0, writes.as_chunks::<WORDS>().0);
    Some((Table { reads: zerocopy::transmute_ref!(reads), writes: zerocopy::transmute_ref!(writes) }, rest))
}

/// Proves that a table says where the operands lie, for any number of samples up to that of `bounds`, and that
/// written ones overlap nothing. `operands` gives them for a number of samples, absent ones included.
pub(crate) fn check(
    step: u32,
    table: Table<'_>,
    operands: impl Fn(usize) -> Operands,
    bounds: &Bounds,
) -> Result<(), PlanError> {
    let all = operands(bounds.samples);
    // A start need not do the same twice.
    let of_one;
    let one = if bounds.samples == 1 {
        &all
    } else {
        of_one = operands(1);
        &of_one
    };
    let Table { mut reads, mut writes } = table;
    for (index, (one, all)) in one.as_slice().iter().zip(all.as_slice()).enumerate() {
        let list = if all.access == Access::Read { &mut reads } else { &mut writes };
        let (entry, rest) = list.split_first().unwrap_or((&Entry::ABSENT, &[]));
        *list = rest;
        let (bytes, scales) = (entry.bytes(1), entry.size & Entry::SCALES != 0);
        let fits = if all.bytes == 0 {
            *entry == Entry::ABSENT
        } else {
            // Both ends of a straight line; room that the step needs for itself may be more than it needs for one
            // sample.
            let grows = if scales {
                bytes == one.bytes && bytes.checked_mul(bounds.samples) == Some(all.bytes)
            } else {
                bytes == all.bytes && (bytes == one.bytes || all.access == Access::Scratch)
            };
            entry.at == all.at && grows && is_inside(all, bounds)
        };
        if !fits {
            return Err(PlanError::BadOperand { step, operand: index as u32 });
        }
    }
    if !reads.is_empty() || !writes.is_empty() {
        return Err(PlanError::BadOperand { step, operand: all.as_slice().len() as u32 });
    }
    match overlapping(table, bounds.samples) {
        Some(operand) => Err(PlanError::Overlap { step, operand: operand as u32 }),
        None => Ok(()),
    }
}

/// The first entry that is written and overlaps another one: its index in the table.
fn overlapping(table: Table<'_>, samples: usize) -> Option<usize> {
    let mut later = table.writes;
    while let Some((entry, rest)) = later.split_first() {
        later = rest;
        if table.reads.iter().chain(rest).any(|other| entry.meets(*other, samples)) {
            return Some(table.reads.len() + table.writes.len() - rest.len() - 1);
        }
    }
    None
}

/// What [`check`] promises to whoever takes operands from a table, for sections of these lengths.
pub(crate) fn is_sound(table: Table<'_>, data: usize, arena: usize, samples: usize) -> bool {
    let lies_in = |entry: &Entry, section: usize| {
        entry.at.offset().checked_add(entry.bytes(samples)).is_some_and(|end| end <= section)
    };
    table.reads.iter().all(|entry| lies_in(entry, if entry.at.is_data() { data } else { arena }))
        && table.writes.iter().all(|entry| !entry.at.is_data() && lies_in(entry, arena))
        && overlapping(table, samples).is_none()
}

/// Whether an operand lies in its section, aligned, and is not written in flash.
fn is_inside(operand: &Operand, bounds: &Bounds) -> bool {
    let start = operand.at.offset();
    let (section, may) = if operand.at.is_data() {
        (bounds.data_bytes, operand.access == Access::Read)
    } else {
        (bounds.arena_bytes, true)
    };
    may && start & (operand.align - 1) == 0 && start.checked_add(operand.bytes).is_some_and(|end| end <= section)
}
