//! Methods whose default every token shares, compiled for its instruction set: the bits of the scalar token.

use super::{Suite, label, on_every_token};
use crate::arch::{Isa, Scalar};
use crate::kernels::requantize::Requantize;
use crate::rng::Rng;
use std::vec::Vec;

#[derive(Clone, Copy)]
struct Integers;

impl Suite for Integers {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(21);
        for len in 0..=130 {
            let mut bytes = |len: usize| -> Vec<i8> { (0..len).map(|_| rng.next_u32() as i8).collect() };
            let (x, w, a) = (bytes(len), bytes(len), bytes(1)[0]);
            let halves: Vec<i16> = (0..len).map(|_| rng.next_u32() as i16).collect();
            let start: Vec<i32> = (0..len).map(|_| rng.next_u32() as i32).collect();
            let wide: Vec<i64> = start.iter().map(|s| i64::from(*s) << 20).collect();
            let (mut found, mut expected) = (start.clone(), start.clone());
            let what = label::<I>("integers", len, 0);

            isa.multiply_add_i8(&x, &w, &mut found);
            Scalar.multiply_add_i8(&x, &w, &mut expected);
            isa.axpy_i8(a, &w, &mut found);
            Scalar.axpy_i8(a, &w, &mut expected);
            isa.accumulate_i8(&x, &mut found);
            Scalar.accumulate_i8(&x, &mut expected);
            assert_eq!(found, expected, "{what}");

            let (mut found, mut expected) = (x.clone(), x.clone());
            isa.max_i8(&w, &mut found);
            Scalar.max_i8(&w, &mut expected);
            assert_eq!(found, expected, "{what}");

            let (mut found, mut expected) = (wide.clone(), wide);
            isa.multiply_add_i16(&halves, &w, &mut found);
            Scalar.multiply_add_i16(&halves, &w, &mut expected);
            assert_eq!(found, expected, "{what}");
            assert_eq!(isa.dot_i16(3, &halves, &w), Scalar.dot_i16(3, &halves, &w), "{what}");

            let multiplier: Vec<i32> = (0..len).map(|_| (1 << 30) + (rng.next_u32() >> 2) as i32).collect();
            let shift: Vec<i32> = (0..len).map(|_| rng.below(40) as i32 - 30).collect();
            for channels in [1.min(len), len] {
                let (multiplier, shift) = (&multiplier[..channels], &shift[..channels]);
                let to = Requantize { multiplier, shift, zero_point: -5, lo: -128, hi: 127, sum_bits: 32 };
                let (mut found, mut expected) = (std::vec![0; len], std::vec![0; len]);
                isa.requantize_i8(&to, 0, &start, &mut found);
                Scalar.requantize_i8(&to, 0, &start, &mut expected);
                assert_eq!(found, expected, "{what}");
            }
        }
    }
}

#[test]
fn integer_loops_give_the_scalar_results() {
    on_every_token(Integers);
}
