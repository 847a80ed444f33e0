//! Where a step's operands lie, in the form in which a running step finds them with least work.
//!
//! The host writes a table behind each record, the parser proves that it says what the record says, and steps then
//! read tables only. Operands without bytes are not in it. Their order is the one in which the arena can be cut from
//! its end to its start, so that nothing is searched:
//!
//! 1. what is read in the data section;
//! 2. each written operand, the last in the arena first, and behind it what is read between it and the one before;
//! 3. what is read below all written ones.

use super::{Access, Bounds, Operand, Operands, PlanError, Ref};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One operand: three words of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Entry {
    /// Where it begins.
    pub at: Ref,
    /// How many bytes: of one sample, if [`Entry::scales`], else of all.
    pub bytes: u32,
    mark: u32,
}

impl Entry {
    const NUMBER: u32 = 0xff;
    const SCALES: u32 = 0x100;
    const WRITTEN: u32 = 0x200;
    const BELOW: u32 = 0x400;

    /// Its number among those that the step reads, or among those that it writes.
    #[inline(always)]
    pub fn number(&self) -> usize {
        (self.mark & Self::NUMBER) as usize
    }

    /// Whether there are as many bytes for each sample.
    #[inline(always)]
    pub fn scales(&self) -> bool {
        self.mark & Self::SCALES != 0
    }

    /// Whether the step writes it.
    #[inline(always)]
    pub fn is_written(&self) -> bool {
        self.mark & Self::WRITTEN != 0
    }

    /// Whether it, and all that follows, lies below all that is written.
    #[inline(always)]
    pub fn is_below(&self) -> bool {
        self.mark & Self::BELOW != 0
    }

    /// The end when a run carries so many samples.
    fn end(&self, samples: usize) -> usize {
        let times = if self.scales() { samples } else { 1 };
        self.at.offset().saturating_add((self.bytes as usize).saturating_mul(times))
    }
}

/// The table of one step.
pub(crate) type Table<'a> = &'a [Entry];

/// A table for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTable {
    entries: heapless::Vec<Entry, { Operands::MAX }>,
}

impl NewTable {
    /// How many operands it has, for the step's header.
    pub fn operands(&self) -> u8 {
        self.entries.len() as u8
    }

    /// What stands behind the record.
    pub fn as_bytes(&self) -> &[u8] {
        self.entries.as_bytes()
    }

    /// As a step reads it.
    #[cfg(test)]
    pub(crate) fn table(&self) -> Table<'_> {
        &self.entries
    }

    /// Of a step with these operands for one sample and for as many as a run carries at most, absent ones included;
    /// `None` if there are more bytes than a word can say. Operands that overlap make a table that [`check`] refuses.
    pub(crate) fn of(one: &Operands, all: &Operands, samples: usize) -> Option<Self> {
        let mut list = heapless::Vec::<Entry, { Operands::MAX }>::new();
        let (mut reads, mut writes) = (0, 0);
        for (one, all) in one.as_slice().iter().zip(all.as_slice()) {
            let is_read = all.access == Access::Read;
            let counter = if is_read { &mut reads } else { &mut writes };
            let scales = one.bytes != all.bytes && one.bytes.checked_mul(samples) == Some(all.bytes);
            let flags = if is_read { 0 } else { Entry::WRITTEN } | if scales { Entry::SCALES } else { 0 };
            let bytes = u32::try_from(if scales { one.bytes } else { all.bytes }).ok()?;
            if bytes > 0 {
                list.push(Entry { at: all.at, bytes, mark: flags | *counter }).ok()?;
            }
            *counter += 1;
        }
        // The cut behind which an operand lies: none for the data section, one too many for what lies lowest.
        let rank = |entry: &Entry| {
            let cuts = list.iter().filter(|other| other.is_written() && other.at >= entry.at).count();
            let cut = if entry.at.is_data() { 0 } else { cuts + usize::from(!entry.is_written()) };
            (cut, !entry.is_written(), entry.at)
        };
        let mut entries = list.clone();
        entries.sort_unstable_by_key(rank);
        let lowest = list.iter().filter(|entry| entry.is_written()).map(|entry| entry.at).min();
        let is_below = |entry: &&mut Entry| !entry.at.is_data() && lowest.is_none_or(|at| entry.at < at);
        if let Some(first) = entries.iter_mut().find(is_below) {
            first.mark |= Entry::BELOW;
        }
        Some(Self { entries })
    }
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
    let one = operands(1);
    let (mut reads, mut writes, mut found) = (0, 0, 0);
    for (index, (one, all)) in one.as_slice().iter().zip(all.as_slice()).enumerate() {
        let counter = if all.access == Access::Read { &mut reads } else { &mut writes };
        let number = *counter;
        *counter += 1;
        if all.bytes == 0 {
            continue;
        }
        let bad = PlanError::BadOperand { step, operand: index as u32 };
        let is_this = |entry: &&Entry| entry.number() == number && entry.is_written() == (all.access != Access::Read);
        let entry = table.iter().find(is_this).ok_or(bad)?;
        let bytes = entry.bytes as usize;
        // Both ends of a straight line; room that the step needs for itself may be more than it needs for one sample.
        let fits = if entry.scales() {
            bytes == one.bytes && bytes.checked_mul(bounds.samples) == Some(all.bytes)
        } else {
            bytes == all.bytes && (bytes == one.bytes || all.access == Access::Scratch)
        };
        if entry.at != all.at || !fits || !is_inside(all, bounds) {
            return Err(bad);
        }
        found += 1;
    }
    // What is left of the arena, and the gap behind the last cut.
    let (mut left, mut gap) = (bounds.arena_bytes, 0..0);
    for (index, entry) in table.iter().enumerate() {
        let (start, end) = (entry.at.offset(), entry.end(bounds.samples));
        if entry.is_below() {
            gap = 0..core::mem::take(&mut left);
        }
        let apart = if entry.is_written() {
            gap = end..left;
            core::mem::replace(&mut left, start) >= end
        } else {
            entry.at.is_data() || (gap.start <= start && end <= gap.end)
        };
        if !apart || index >= found {
            return Err(PlanError::Overlap { step, operand: index as u32 });
        }
    }
    Ok(())
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
