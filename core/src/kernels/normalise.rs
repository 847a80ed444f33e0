//! Inputs brought back to what a model was trained on ([`crate::adapt::normalise`]): a table for each channel, which a
//! session keeps and changes as it does parameters.
//!
//! The step looks values up. In a run that [`Adapts`] it is the last step, and sees the values or makes the tables.

use super::lookup::ENTRIES;
use super::util::{copy, elements};
use crate::adapt::normalise::{Moments, Seen, apply, normalise, observe};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Adapts, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Words of a [`Seen`].
const SEEN: usize = size_of::<Seen>() / 4;

/// Words of [`Moments`].
const MOMENTS: usize = size_of::<Moments>() / 4;

/// Forward step, int8; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NormaliseI8 {
    /// Elements of one sample: a multiple of the channels, whose values lie side by side.
    pub len: u32,
    /// Channels.
    pub channels: u32,
    /// A [`crate::adapt::normalise::Table`] for each channel.
    pub tables: Ref,
    /// What was seen of each channel since its table was made.
    pub seen: Ref,
    /// What each channel is brought back to.
    pub reference: Ref,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for NormaliseI8 {
    operands! {
        tables: update i8 [channels, const ENTRIES],
        seen: update u32 [channels, const SEEN],
        reference: read f32 [channels, const MOMENTS],
        x: input i8 [samples, len],
        y: write i8 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
            && elements([self.channels, ENTRIES as u32]).is_some()
            && self.len.is_multiple_of(self.channels)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let (tables, seen, reference) = (at.write(), at.write::<Seen>(), at.read::<Moments>());
        let (x, y): (&[i8], &mut [i8]) = (at.read(), at.write());
        match context.adapts {
            None => {
                copy(x, y);
                apply(tables, y);
            }
            Some(Adapts::Measures) => observe(seen, if self.x == self.y { y } else { x }),
            Some(Adapts::Normalises) => normalise(tables, seen, reference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt::normalise::Table;
    use crate::arch::Scalar;
    use crate::kernels::testing::run_record;
    use crate::optim::{Optimizer, OptimizerRecord};
    use std::vec;
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    /// Two channels, two samples of two pixels; in place and not.
    #[test]
    fn a_step_measures_makes_tables_and_looks_up() {
        for y in [1024, 1032] {
            let at = Ref::arena;
            let (tables, seen, x) = (at(0), at(512), at(1024));
            let step = NormaliseI8 { len: 4, channels: 2, tables, seen, reference: Ref::data(0), x, y: at(y) };
            assert!(step.shape_is_valid() && !NormaliseI8 { channels: 3, ..step }.shape_is_valid());
            assert!(!NormaliseI8 { channels: 0, ..step }.shape_is_valid());
            let reference = [Moments { mean: 0.0, deviation: 20.0 }, Moments { mean: 1.0, deviation: 2.0 }];
            let mut arena: Vec<u8> = [Table::IDENTITY; 2].as_bytes().to_vec();
            arena.resize(1040, 0);
            let run = |arena: &mut Vec<u8>, samples, adapts| {
                let optimizer = Optimizer::idle(OptimizerRecord::sgd(0.0));
                let mut context =
                    Context { samples, optimizer, training: false, loss: 0.0, right: 0, evaluation: false, adapts };
                arena[1024..1032].copy_from_slice([100i8, 1, 80, 3, 100, 1, 80, 3].as_bytes());
                run_record(Scalar, &step, reference.as_bytes(), arena, &mut context);
                crate::memory::view::<i8>(&arena[y as usize..y as usize + 4 * samples]).to_vec()
            };
            assert_eq!(run(&mut arena, 2, None), [100, 1, 80, 3, 100, 1, 80, 3]);
            run(&mut arena, 2, Some(Adapts::Measures));
            run(&mut arena, 1, Some(Adapts::Measures));
            assert_eq!(run(&mut arena, 1, None), [100, 1, 80, 3]);
            run(&mut arena, 1, Some(Adapts::Normalises));
            assert_eq!(run(&mut arena, 1, None), [20, -1, -20, 3]);
            assert_eq!(arena[512..544], vec![0; 32]);
            run(&mut arena, 1, Some(Adapts::Normalises));
            assert_eq!(arena[..512], *[Table::IDENTITY; 2].as_bytes());
        }
    }
}
