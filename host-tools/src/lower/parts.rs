//! Copies that need not happen: a part of a concatenation is computed where the whole will lie, and a slice that is
//! one piece of its input is read there.
//!
//! A merged part lives as long as the whole. That can take more memory than the copy did, for instance where the
//! first part is small and early and the second one's inputs are large; then the copy stays.

use super::pack::lower_bound;
use super::program::{BUFFER_ALIGN, BufferId, Home, Inside, Part, Program, Sequence};
use embernet_core::plan::Access;
use std::ops::Range;

/// For each copy the bound is found twice, which compares lifetimes with one another: a second or so.
const MOST_LOOKS: usize = 1 << 28;

/// Before the first step: the caller writes the inputs.
const START: isize = -1;
/// Behind the last step: the caller reads the outputs.
const END: isize = isize::MAX;

/// Something that happens to bytes.
#[derive(Debug, Clone, Copy)]
struct Event {
    step: isize,
    writes: bool,
}

impl Program {
    /// Lets parts lie in their wholes where no value is overwritten too early and no plan needs more memory for it.
    ///
    /// All parts of a whole together, or else one by one. Networks with too many of them keep their copies.
    pub(super) fn merge_parts(&mut self, sequence: &Sequence, align: usize) {
        let copies: Vec<(usize, Part)> =
            sequence.steps.iter().enumerate().filter_map(|(index, step)| Some((index, step.part?))).collect();
        let steps = sequence.steps.len();
        if copies.len().saturating_mul(steps).saturating_mul(steps) > MOST_LOOKS {
            return;
        }
        for group in copies.chunk_by(|(_, a), (_, b)| a.whole == b.whole) {
            if !self.merge_group(sequence, group, align) {
                for one in group {
                    self.merge_group(sequence, std::slice::from_ref(one), align);
                }
            }
        }
    }

    /// Merges those that may be merged, unless that takes memory. Says whether anything was.
    fn merge_group(&mut self, sequence: &Sequence, group: &[(usize, Part)], align: usize) -> bool {
        let before = self.bound(sequence, align);
        let merged: Vec<BufferId> =
            group.iter().filter_map(|(step, part)| self.merge_part(sequence, *step, part)).collect();
        // A plan has at least one step.
        let empty = sequence.steps.iter().all(|step| self.is_idle(step));
        let worth = !merged.is_empty() && !empty && self.bound(sequence, align) <= before;
        if !worth {
            merged.iter().for_each(|buffer| self.merged[buffer.index()] = None);
        }
        worth
    }

    fn bound(&self, sequence: &Sequence, align: usize) -> usize {
        let spans = self.spans(sequence);
        lower_bound(&self.items(&spans), &self.nested(sequence, &spans), align)
    }

    /// Lets the part lie in the whole if that is right; gives the buffer that has lost its own place.
    fn merge_part(&mut self, sequence: &Sequence, copy: usize, part: &Part) -> Option<BufferId> {
        let (inner, outer) = (self.root(part.part), self.root(part.whole));
        let offset = outer.offset + part.offset;
        let transient = |buffer: BufferId| self.buffer(buffer).home == Home::Transient;
        let fits = inner.buffer != outer.buffer
            && transient(inner.buffer)
            && transient(outer.buffer)
            && inner.offset == 0
            && self.buffer(inner.buffer).bytes == part.bytes
            && offset.is_multiple_of(BUFFER_ALIGN);
        if !fits {
            return None;
        }
        let ours = self.events(sequence, copy, inner.buffer, 0..part.bytes);
        let theirs = self.events(sequence, copy, outer.buffer, offset..offset + part.bytes);
        if !never_disturb(copy as isize, &ours, &theirs) {
            return None;
        }
        self.merged[inner.buffer.index()] = Some(Inside { buffer: outer.buffer, offset });
        if self.overlaps(sequence, outer.buffer) {
            self.merged[inner.buffer.index()] = None;
            return None;
        }
        Some(inner.buffer)
    }

    /// What happens to a range of a buffer, but for the copy itself.
    fn events(&self, sequence: &Sequence, copy: usize, root: BufferId, range: Range<usize>) -> Vec<Event> {
        let mut events = Vec::new();
        let mut add = |step: isize, buffer: BufferId, within: Range<usize>, writes: bool| {
            let at = self.root(buffer);
            let bytes = at.offset + within.start..at.offset + within.end;
            if at.buffer == root && bytes.start < range.end && range.start < bytes.end {
                events.push(Event { step, writes });
            }
        };
        for (index, (step, uses)) in sequence.steps.iter().zip(&sequence.uses).enumerate() {
            if index == copy || self.is_idle(step) {
                continue;
            }
            for used in uses {
                // Of the whole, a copy touches the part's bytes only.
                let piece = step.part.filter(|part| self.root(part.whole) == self.root(used.buffer));
                let within = piece.map_or(0..used.bytes, |part| part.offset..part.offset + part.bytes);
                add(index as isize, used.buffer, within, used.access != Access::Read);
            }
        }
        let whole = |buffer: BufferId| 0..self.buffer(buffer).bytes;
        for port in sequence.inputs.iter().chain(&sequence.target) {
            add(START, port.buffer, whole(port.buffer), true);
        }
        for port in &sequence.outputs {
            add(END, port.buffer, whole(port.buffer), false);
        }
        events
    }

    /// Whether a step that stays writes bytes of this buffer that it touches by another name.
    fn overlaps(&self, sequence: &Sequence, root: BufferId) -> bool {
        sequence.steps.iter().zip(&sequence.uses).filter(|(step, _)| !self.is_idle(step)).any(|(_, uses)| {
            let places: Vec<(Range<usize>, bool)> = uses
                .iter()
                .map(|used| (self.root(used.buffer), used))
                .filter(|(at, _)| at.buffer == root)
                .map(|(at, used)| (at.offset..at.offset + used.bytes, used.access != Access::Read))
                .collect();
            places.iter().enumerate().any(|(index, (a, writes))| {
                places
                    .iter()
                    .enumerate()
                    .any(|(other, (b, _))| *writes && index != other && a.start < b.end && b.start < a.end)
            })
        })
    }
}

/// Whether two buffers that hold the same values after step `copy` can share their bytes.
///
/// Before it, only one of them holds anything. After it, nobody reads the one once the other is written.
fn never_disturb(copy: isize, ours: &[Event], theirs: &[Event]) -> bool {
    let early = |events: &[Event]| events.iter().any(|event| event.step < copy);
    let kept = |written: &[Event], read: &[Event]| {
        let first = written.iter().filter(|event| event.writes && event.step > copy).map(|event| event.step).min();
        first.is_none_or(|first| read.iter().all(|event| event.step < first))
    };
    !(early(ours) && early(theirs)) && kept(ours, theirs) && kept(theirs, ours)
}
