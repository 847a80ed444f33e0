use super::*;
use crate::plan::Access;

fn op(start: u32, bytes: usize) -> Operand {
    Operand { at: Ref::arena(start), bytes, access: Access::Read, align: 1 }
}

type Carved<'a, const R: usize, const W: usize> = ([&'a [u8]; R], [&'a mut [u8]; W]);

fn carve<const R: usize, const W: usize>(
    arena: &mut [u8],
    reads: [Operand; R],
    writes: [Operand; W],
) -> Option<Carved<'_, R, W>> {
    let (mut read, mut written): Carved<'_, R, W> = ([&[]; R], core::array::from_fn(|_| Default::default()));
    super::carve(&[], arena, (&reads, &mut read), (&writes, &mut written)).then_some((read, written))
}

#[test]
fn reads_may_overlap_each_other() {
    let mut arena: [u8; 16] = core::array::from_fn(|i| i as u8);
    let ([a, b], [w]) = carve(&mut arena, [op(0, 4), op(2, 4)], [op(8, 4)]).unwrap();
    assert_eq!((a, b), (&[0, 1, 2, 3][..], &[2, 3, 4, 5][..]));
    assert_eq!(w, [8, 9, 10, 11]);
}

#[test]
fn writes_come_back_in_their_own_order() {
    let mut arena: [u8; 16] = core::array::from_fn(|i| i as u8);
    let ([r], [high, low]) = carve(&mut arena, [op(4, 4)], [op(12, 2), op(0, 2)]).unwrap();
    assert_eq!((r, &high[..], &low[..]), (&[4, 5, 6, 7][..], &[12, 13][..], &[0, 1][..]));
}

#[test]
fn overlap_and_excess_are_refused() {
    let mut arena = [0u8; 16];
    assert!(carve(&mut arena, [op(6, 4)], [op(8, 4)]).is_none());
    assert!(carve(&mut arena, [], [op(0, 4), op(2, 4)]).is_none());
    assert!(carve(&mut arena, [], [op(14, 4)]).is_none());
    assert!(carve(&mut arena, [op(14, 4)], [op(0, 1)]).is_none());
}

#[test]
fn data_and_absent_operands_are_resolved() {
    let data = [9u8; 4];
    let mut arena = [1u8; 8];
    let mut memory = Memory { data: &data, arena: &mut arena };
    let flash = Operand { at: Ref::data(1), bytes: 2, access: Access::Read, align: 1 };
    let ([a, none], [w]) = memory.carve([flash, Operand::NONE], [op(0, 8)]);
    assert_eq!((a, none.len(), w.len()), (&[9, 9][..], 0, 8));
}

fn slices_of<'a>(data: &'a [u8], arena: &'a mut [u8], operands: &[Operand]) -> Option<[Slice<'a>; Operands::MAX]> {
    let mut list = Slices::default().list;
    carve_into(data, arena, operands, &mut list).map(|()| list)
}

#[test]
fn slices_come_in_the_order_of_their_operands() {
    let (data, mut arena) = ([9u8; 4], core::array::from_fn::<u8, 16, _>(|i| i as u8));
    let write = |start| Operand { access: Access::Write, ..op(start, 2) };
    let flash = Operand { at: Ref::data(1), ..op(0, 2) };
    let operands = [op(4, 4), write(12), Operand::NONE, flash, op(5, 2), write(0)];
    let [a, high, none, flash, b, low, ..] = slices_of(&data, &mut arena, &operands).unwrap();
    for (found, expected) in [(a, &[4u8, 5, 6, 7][..]), (none, &[]), (flash, &[9, 9]), (b, &[5, 6])] {
        assert!(matches!(found, Slice::Read(found) if found == expected));
    }
    for (found, expected) in [(high, [12u8, 13]), (low, [0, 1])] {
        assert!(matches!(found, Slice::Write(found) if *found == expected));
    }
}

#[test]
fn operands_that_overlap_or_lie_outside_give_no_slices() {
    let write = |start, bytes| Operand { access: Access::Scratch, ..op(start, bytes) };
    let flash = Operand { at: Ref::data(0), ..write(0, 2) };
    for operands in [
        &[op(6, 4), write(8, 4)][..],
        &[write(0, 4), write(2, 4)],
        &[write(14, 4)],
        &[op(14, 4), write(0, 1)],
        &[flash],
    ] {
        assert!(slices_of(&[0; 4], &mut [0; 16], operands).is_none(), "{operands:?}");
    }
}
