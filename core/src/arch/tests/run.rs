//! Operands as steps take them, against what their lists say.

use crate::arch::run::Slices;
use crate::memory::{Memory, view};
use crate::plan::{Access, Bounds, NewTable, Operand, Operands, PlanError, Ref, Table, table};
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::IntoBytes;

fn op(start: u32, bytes: usize) -> Operand {
    Operand { at: Ref::arena(start), bytes, access: Access::Read, align: 1 }
}

fn write(start: u32, bytes: usize) -> Operand {
    Operand { access: Access::Write, ..op(start, bytes) }
}

/// The operands of a step, some of which grow with the samples, for so many samples.
fn grown(list: &[(Operand, bool)], samples: usize) -> Operands {
    let bytes = |operand: &Operand, grows| if grows { operand.bytes * samples } else { operand.bytes };
    Operands::of(list.iter().map(|(operand, grows)| Operand { bytes: bytes(operand, *grows), ..*operand }))
}

fn plain(list: &[Operand]) -> Vec<(Operand, bool)> {
    list.iter().map(|operand| (*operand, false)).collect()
}

const ARENA: usize = 64;

fn checked(new: &NewTable, list: &[(Operand, bool)], most: usize) -> Result<(), PlanError> {
    let bounds = Bounds { data_bytes: 16, arena_bytes: ARENA, samples: most, slots: 0 };
    table::check(3, new.table(), |samples| grown(list, samples), &bounds)
}

fn table_of(list: &[(Operand, bool)], most: usize) -> NewTable {
    NewTable::of(&grown(list, 1), &grown(list, most), most).unwrap()
}

/// What a step finds: first bytes and lengths of what it reads, then writes, of an arena of ascending bytes.
fn found(list: &[(Operand, bool)], most: usize, samples: usize) -> Vec<(Option<u8>, usize)> {
    let new = table_of(list, most);
    assert_eq!(checked(&new, list, most), Ok(()));
    let mut arena: [u8; ARENA] = core::array::from_fn(|i| i as u8);
    let data: [u8; 16] = core::array::from_fn(|i| 100 + i as u8);
    let mut memory = Memory { data: &data, arena: &mut arena };
    // SAFETY: it was checked.
    let mut at = unsafe { Slices::new(new.table(), &mut memory, samples) };
    let reads = list.iter().filter(|(operand, _)| operand.access == Access::Read).map(|_| at.read::<u8>());
    let mut found: Vec<_> = reads.map(|x| (x.first().copied(), x.len())).collect();
    let writes = list.iter().filter(|(operand, _)| operand.access != Access::Read).map(|_| at.write::<u8>());
    found.extend(writes.map(|y| (y.first().copied(), y.len())));
    found
}

#[test]
fn slices_come_in_the_order_of_their_operands() {
    let flash = Operand { at: Ref::data(1), ..op(0, 2) };
    let list = [op(4, 4), write(12, 2), Operand::NONE, flash, op(5, 2), write(0, 2), op(14, 3)];
    let of = |start: u8, bytes| (Some(start), bytes);
    let expected = [of(4, 4), (None, 0), of(101, 2), of(5, 2), of(14, 3), of(12, 2), of(0, 2)];
    assert_eq!(found(&plain(&list), 1, 1), expected);
}

#[test]
fn slices_are_as_long_as_the_samples_ask_for() {
    let list = [(op(0, 5), true), (write(40, 3), true), (op(30, 7), false), (write(20, 2), true)];
    for samples in 1..=3 {
        let of = |start: u8, bytes| (Some(start), bytes);
        let expected = [of(0, 5 * samples), of(30, 7), of(40, 3 * samples), of(20, 2 * samples)];
        assert_eq!(found(&list, 3, samples), expected);
    }
}

#[test]
fn operands_that_overlap_or_lie_outside_are_refused() {
    let flash = Operand { at: Ref::data(0), ..write(0, 2) };
    let beyond = Operand { at: Ref::data(15), ..op(0, 2) };
    for list in [
        &[op(6, 4), write(8, 4)][..],
        &[write(0, 4), write(2, 4)],
        &[write(62, 4)],
        &[op(62, 4), write(0, 1)],
        &[flash],
        &[beyond],
        &[Operand { align: 4, ..op(2, 4) }],
    ] {
        let list = plain(list);
        assert!(checked(&table_of(&list, 1), &list, 1).is_err(), "{list:?}");
    }
}

/// Any table that passes gives the step what its operands say.
fn random() -> impl Strategy<Value = (Vec<(Operand, bool)>, usize)> {
    let operand = (0u32..ARENA as u32, 0usize..12, 0u8..6, any::<bool>()).prop_map(|(at, bytes, kind, grows)| {
        let operand = match kind {
            0 => Operand { at: Ref::data(at % 16), ..op(0, bytes % 4) },
            1 => Operand::NONE,
            2 | 3 => op(at, bytes),
            _ => write(at, bytes),
        };
        (operand, grows)
    });
    (proptest::collection::vec(operand, 1..6), 1usize..4)
}

proptest! {
    #[test]
    fn a_table_passes_exactly_where_operands_are_sound((list, most) in random()) {
        let new = table_of(&list, most);
        let all = grown(&list, most);
        let ranges: Vec<_> = all.as_slice().iter().filter(|o| o.bytes > 0).collect();
        let inside = |o: &Operand| {
            o.at.offset() + o.bytes <= if o.at.is_data() { 16 } else { ARENA }
        };
        let clash = |a: &Operand, b: &Operand| {
            let (from, to) = (a.at.offset(), b.at.offset());
            !b.at.is_data() && from < to + b.bytes && to < from + a.bytes
        };
        let sound = ranges.iter().enumerate().all(|(i, a)| {
            let alone = |(j, b): (usize, &&Operand)| i == j || !clash(a, b);
            inside(a) && (a.access == Access::Read || ranges.iter().enumerate().all(alone))
        });
        prop_assert_eq!(checked(&new, &list, most).is_ok(), sound, "{:?} {:?}", list, new);
        if sound {
            for samples in 1..=most {
                let now = grown(&list, samples);
                let (reads, writes): (Vec<&Operand>, Vec<&Operand>) =
                    now.as_slice().iter().partition(|o| o.access == Access::Read);
                let expected: Vec<_> = reads.into_iter().chain(writes).map(|o| {
                    let first = o.at.offset() as u8 + if o.at.is_data() { 100 } else { 0 };
                    ((o.bytes > 0).then_some(first), o.bytes)
                }).collect();
                prop_assert_eq!(found(&list, most, samples), expected);
            }
        }
    }

    #[test]
    fn a_changed_table_is_refused((list, most) in random(), at: usize, bit in 0u32..32) {
        let new = table_of(&list, most);
        prop_assume!(new.operands() > 0 && checked(&new, &list, most).is_ok());
        let mut words = view::<u32>(new.as_bytes()).to_vec();
        let at = at % words.len();
        words[at] ^= 1 << bit;
        let (reads, writes) = view(words.as_bytes()).split_at(new.table().reads.len());
        let bounds = Bounds { data_bytes: 16, arena_bytes: ARENA, samples: most, slots: 0 };
        let verdict = table::check(0, Table { reads, writes }, |samples| grown(&list, samples), &bounds);
        // Whether one sample or all are meant says nothing where it is one.
        prop_assert!(verdict.is_err() || (most == 1 && at % 2 == 1 && bit == 31), "{:?}", new);
    }
}
