//! Any function of one int8 value, as a table of its 256 results: sigmoid, tanh, relu of another scale, a change of
//! scale alone. The host computes the table with the reference's arithmetic.

mod backward;

pub use backward::{LookupBackwardI8, backward_i8};

use super::util::elements;
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of a table. Entry `i` is the result for the value whose byte is `i`: 0 to 127, then -128 to -1.
pub const ENTRIES: usize = 256;

#[inline]
fn entry(table: &[i8; ENTRIES], x: i8) -> i8 {
    // A byte cannot leave 256 entries; the compiler sees it and drops the alternative.
    table.get(usize::from(x as u8)).copied().unwrap_or(0)
}

/// `y = table[x]`.
pub fn forward_i8(table: &[i8; ENTRIES], x: &[i8], y: &mut [i8]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = entry(table, *x);
    }
}

/// `y = table[y]`.
pub fn forward_in_place_i8(table: &[i8; ENTRIES], y: &mut [i8]) {
    for y in y {
        *y = entry(table, *y);
    }
}

/// Forward step, int8; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LookupI8 {
    /// Elements of one sample.
    pub len: u32,
    /// The table, [`ENTRIES`] bytes.
    pub table: Ref,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for LookupI8 {
    operands! {
        table: read i8 [const ENTRIES],
        x: input i8 [samples, len],
        y: write i8 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (table, x, y) = (at.read(), at.read(), at.write());
        let Some(table) = table.first_chunk() else { return };
        if self.x == self.y {
            forward_in_place_i8(table, y);
        } else {
            forward_i8(table, x, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Scalar;
    use crate::kernels::testing::run_record;
    use crate::optim::{Optimizer, OptimizerRecord};

    #[test]
    fn every_value_finds_its_entry() {
        let table: [i8; ENTRIES] = core::array::from_fn(|i| (i as u8 as i8).wrapping_neg());
        let x: [i8; ENTRIES] = core::array::from_fn(|i| i as u8 as i8);
        let mut y = [0; ENTRIES];
        forward_i8(&table, &x, &mut y);
        assert!(x.iter().zip(&y).all(|(x, y)| *y == x.wrapping_neg()));
        let mut in_place = x;
        forward_in_place_i8(&table, &mut in_place);
        assert_eq!(in_place, y);
    }

    #[test]
    fn a_step_reads_its_table_from_flash() {
        let table: [u8; ENTRIES] = core::array::from_fn(|i| 255 - i as u8);
        for (x, y) in [(0, 8), (0, 0)] {
            let mut arena = [0u8; 16];
            arena[..6].copy_from_slice(&[0, 1, 2, 127, 128, 255]);
            let step = LookupI8 { len: 3, table: Ref::data(0), x: Ref::arena(x), y: Ref::arena(y) };
            assert!(step.shape_is_valid());
            let optimizer = Optimizer::idle(OptimizerRecord::sgd(0.0));
            let mut context = Context {
                samples: 2,
                optimizer,
                training: false,
                loss: 0.0,
                right: 0,
                evaluation: false,
                adapts: None,
            };
            run_record(Scalar, &step, &table, &mut arena, &mut context);
            assert_eq!(arena[y as usize..y as usize + 6], [255, 254, 253, 128, 127, 0]);
        }
    }
}
