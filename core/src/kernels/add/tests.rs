//! Tests of sums: every way to share places, and accumulation.

use super::*;
use crate::kernels::testing::*;
use crate::plan::Access;
use crate::plan::Operand;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

proptest! {
    #[test]
    fn every_sharing_of_places_gives_the_same(len in 1u32..20, samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let total = samples * len as usize;
        let (a, b) = (noise(&mut rng, total), noise(&mut rng, total));
        let sums = |b: &[f32]| -> Vec<u32> { a.iter().zip(b).map(|(a, b)| (a + b).clamp(-0.5, 1.0).to_bits()).collect() };
        let places = [0, 4 * total as u32, 8 * total as u32].map(Ref::arena);
        let check = |[a_at, b_at, y]: [usize; 3], expected: Vec<u32>| {
            let mut arena = [&a[..], &b, &vec![f32::NAN; total]].concat();
            let record =
                ForwardF32 { len, a: places[a_at], b: places[b_at], y: places[y], lo: -0.5, hi: 1.0 };
            run(&record, &mut arena, samples, REVEAL);
            assert_eq!(bits(&arena[y * total..][..total]), expected, "{a_at} + {b_at} to {y}");
            record.operands(samples).as_slice().iter().map(|o| o.access).collect::<Vec<_>>()
        };
        use Access::{Read, ReadWrite, Write};
        prop_assert_eq!(check([0, 1, 2], sums(&b)), [Read, Read, Write]);
        prop_assert_eq!(check([0, 1, 0], sums(&b)), [Read, ReadWrite]);
        prop_assert_eq!(check([0, 1, 1], sums(&b)), [Read, ReadWrite]);
        prop_assert_eq!(check([0, 0, 2], sums(&a)), [Read, Read, Write]);
        prop_assert_eq!(check([0, 0, 0], sums(&a)), [ReadWrite]);
    }

    #[test]
    fn accumulate_adds(len in 1u32..20, samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let total = samples * len as usize;
        let (x, y) = (noise(&mut rng, total), noise(&mut rng, total));
        let mut arena = [&x[..], &y].concat();
        let record = AccumulateF32 { len, x: Ref::arena(0), y: Ref::arena(4 * total as u32) };
        run(&record, &mut arena, samples, REVEAL);
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| y + x).collect();
        prop_assert_eq!(bits(&arena[total..]), bits(&expected));
        prop_assert_eq!(record.operands(samples).as_slice()[1], Operand::f32(record.y, total, Access::ReadWrite));
    }
}

#[test]
fn copies_copy() {
    use crate::kernels::copy::Copy;
    let mut arena = [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0];
    run(&Copy { bytes: 8, x: Ref::arena(0), y: Ref::arena(16) }, &mut arena, 2, REVEAL);
    assert_eq!(arena, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
}
