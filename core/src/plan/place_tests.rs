//! Tests of operands as data.

use crate::arch::Isa;
use crate::kernels::order::OrderRecord;
use crate::memory::{Slices, view};
use crate::plan::{Access, Context, Operand, Operands, Packed, Ref, StepRecord, factors, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Shape {
    extents: [u32; 2],
    groups: u32,
}

impl Shape {
    const GROUP: &[u8] = factors!(extents[1], / groups, extents[0]);
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Record {
    size: u32,
    shape: Shape,
    repeats: u32,
    a: Ref,
    b: Ref,
    c: Ref,
    d: Ref,
    y: Ref,
}

impl StepRecord for Record {
    operands! {
        a: input size(size) [samples unless repeats, shape.extents[0]],
        b: read bias(size) [shape => Shape::GROUP],
        c: read i4 [const 513, shape.groups unless repeats],
        d: scratch i64 [shape.extents[1]],
        y: write i16 [samples, shape.extents[0]],
    }

    fn shape_is_valid(&self) -> bool {
        true
    }

    fn run<I: Isa>(&self, _: I, _: &mut Slices<'_>, _: &mut Context) {}
}

const RECORD: Record = Record {
    size: 2,
    shape: Shape { extents: [3, 8], groups: 4 },
    repeats: 0,
    a: Ref::arena(0),
    b: Ref::data(4),
    c: Ref::data(8),
    d: Ref::NONE,
    y: Ref::arena(16),
};

fn bytes(record: &Record, samples: usize) -> [usize; 5] {
    let places = Operands::described(Packed::of(Record::PLACES).bytes(), view(record.as_bytes()), samples);
    let mut operands = places.as_slice().iter().map(|operand| operand.bytes);
    core::array::from_fn(|_| operands.next().unwrap())
}

#[test]
fn every_kind_of_factor_counts() {
    assert_eq!(bytes(&RECORD, 5), [5 * 3 * 2, 8 / 4 * 3 * 8, (513 * 4usize).div_ceil(2), 0, 5 * 3 * 2]);
    let repeating = Record { repeats: 1, size: 1, d: Ref::arena(64), ..RECORD };
    assert_eq!(bytes(&repeating, 5), [3, 8 / 4 * 3 * 4, 513usize.div_ceil(2), 8 * 8, 5 * 3 * 2]);
    let places = Operands::described(Packed::of(Record::PLACES).bytes(), view(repeating.as_bytes()), 5);
    let of = |operand: &Operand| (operand.access, operand.align);
    let found: [_; 5] = core::array::from_fn(|i| of(&places.as_slice()[i]));
    use Access::{Read, Scratch, Write};
    assert_eq!(found, [(Read, 1), (Read, 4), (Read, 1), (Scratch, 4), (Write, 2)]);
}

#[test]
fn what_does_not_exist_or_fit_is_safe() {
    let absurd = Record { shape: Shape { extents: [u32::MAX; 2], groups: 0 }, ..RECORD };
    assert_eq!(bytes(&absurd, usize::MAX), [usize::MAX, 0, 0, 0, usize::MAX]);
    assert_eq!(Operands::described(Packed::of(Record::PLACES).bytes(), &[], 1).as_slice().len(), 5);
}

#[test]
fn an_input_gives_its_place_to_the_output() {
    let shared = Record { a: RECORD.y, ..RECORD };
    let places = Operands::described(Packed::of(Record::PLACES).bytes(), view(shared.as_bytes()), 2);
    assert_eq!(places.as_slice()[0], Operand::NONE);
    assert_eq!(places.as_slice()[4].access, Access::ReadWrite);
    assert_eq!(shared.operands(2).as_slice().len(), 3);
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Special {
    keeps: u32,
    pairs: [[u32; 2]; 3],
    order: OrderRecord,
    bytes: u32,
    w: Ref,
    s: Ref,
    y: Ref,
}

impl StepRecord for Special {
    operands! {
        w: read order(order) [2 of pairs],
        s: scratch order(order) [bytes],
        y: parts i8 [keeps, samples, 3 of pairs],
    }

    fn shape_is_valid(&self) -> bool {
        true
    }

    fn run<I: Isa>(&self, _: I, _: &mut Slices<'_>, _: &mut Context) {}
}

#[test]
fn orders_and_parts_follow_their_fields() {
    let at = Ref::arena(0);
    let plain = Special {
        keeps: 0,
        pairs: [[2, 9], [3, 9], [5, 9]],
        order: OrderRecord::PLAIN,
        bytes: 27,
        w: at,
        s: at,
        y: at,
    };
    let found = |record: &Special| {
        let places = Operands::described(Packed::of(Special::PLACES).bytes(), view(record.as_bytes()), 7);
        let mut operands = places.as_slice().iter().map(|o| (o.bytes, o.align, o.access));
        core::array::from_fn::<_, 3, _>(|_| operands.next().unwrap())
    };
    use Access::{Read, ReadWrite, Scratch, Write};
    assert_eq!(found(&plain), [(6, 1, Read), (27, 1, Scratch), (7 * 30, 1, Write)]);
    let packed = Special { keeps: 1, order: OrderRecord { isa: 4, words: 11 }, ..plain };
    assert_eq!(found(&packed), [(44, 4, Read), (24, 4, Scratch), (7 * 30, 1, ReadWrite)]);
}
