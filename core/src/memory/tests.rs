use super::*;
use crate::plan::Access;
use std::vec::Vec;

fn op(start: u32, bytes: usize) -> Operand {
    Operand { at: Ref::arena(start), bytes, access: Access::Read, align: 1 }
}

fn slices_of<'a>(data: &'a [u8], arena: &'a mut [u8], operands: &[Operand]) -> Option<Vec<Slice<'a>>> {
    let mut slices = heapless::Vec::new();
    carve(data, arena, operands.iter().map(|operand| (true, *operand)), &mut slices)?;
    Some(slices.into_iter().collect())
}

#[test]
fn slices_come_in_the_order_of_their_operands() {
    let (data, mut arena) = ([9u8; 4], core::array::from_fn::<u8, 16, _>(|i| i as u8));
    let write = |start| Operand { access: Access::Write, ..op(start, 2) };
    let flash = Operand { at: Ref::data(1), ..op(0, 2) };
    let operands = [op(4, 4), write(12), Operand::NONE, flash, op(5, 2), write(0)];
    let slices = slices_of(&data, &mut arena, &operands).unwrap();
    for (index, expected) in [(0, &[4u8, 5, 6, 7][..]), (2, &[]), (3, &[9, 9]), (4, &[5, 6])] {
        assert!(matches!(slices[index], Slice::Read(found) if found == expected));
    }
    for (index, expected) in [(1, [12u8, 13]), (5, [0, 1])] {
        assert!(matches!(&slices[index], Slice::Write(found) if **found == expected));
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

#[test]
fn what_gives_way_to_a_write_is_absent() {
    let mut arena = [7u8; 8];
    let write = Operand { access: Access::ReadWrite, ..op(4, 4) };
    let slices = slices_of(&[], &mut arena, &[op(4, 4), op(0, 2), write]).unwrap();
    assert!(matches!(slices[0], Slice::Read(&[])));
    assert!(matches!(slices[1], Slice::Read(&[7, 7])));
    assert!(matches!(slices[2], Slice::Write(&mut [7, 7, 7, 7])));
}
