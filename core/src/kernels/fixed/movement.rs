//! Copies boxes of mantissas between strided places: transpose, slice, concatenation, borders of zeros.
//!
//! Parts of one output come with exponents of their own. The greatest so far is that of the output: a part of a smaller
//! one is rounded to it, and what is there already where a greater one comes. Rounding is to nearest, halves up.

use super::block::{coarsen, coarser, exponent, mantissas_mut, open, set_head, stride};
use crate::arch::Isa;
use crate::kernels::strided::{Outside, Row, StridedCopy};
use crate::kernels::util::{rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One box of a sample.
#[cfg_attr(target_os = "none", inline(never))]
fn part(copy: &StridedCopy, x: &[i16], y: &mut [i16]) {
    let outputs = copy.y.elements as usize;
    let (of_x, x) = open(x, copy.x.elements as usize);
    let mut right = 0;
    if copy.outside == Outside::Keep as u32 {
        right = exponent(y).saturating_sub(of_x);
        if right < 0 {
            coarsen(y, outputs, -right);
        }
    } else {
        set_head(y, of_x, 0);
    }
    let y = mantissas_mut(y, outputs);
    if copy.outside == Outside::Fill as u32 {
        y.fill(0);
    }
    copy.walk(|Row { from, to, x_step, y_step, len }| {
        let (mut from, mut to) = (from as usize, to as usize);
        for _ in 0..len {
            if let (Some(x), Some(y)) = (x.get(from), y.get_mut(to)) {
                *y = coarser(*x, right);
            }
            from = from.wrapping_add_signed(x_step as isize);
            to = to.wrapping_add_signed(y_step as isize);
        }
    });
}

/// Copies one box, as [`StridedCopy`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Move {
    /// Which, of elements of 2 bytes; the source is not the same for all samples, and the filling value is 0.
    pub copy: StridedCopy,
}

impl StepRecord for Move {
    operands! {
        copy.x.at: read block [samples, copy.x.elements],
        copy.y.at: parts block [copy.outside, samples, copy.y.elements],
    }

    fn shape_is_valid(&self) -> bool {
        (self.copy.size, self.copy.repeats, self.copy.fill) == (2, 0, 0) && self.copy.shape_is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y): (&[i16], &mut [i16]) = (at.read(), at.write());
        let lengths = [self.copy.x.elements, self.copy.y.elements].map(|elements| stride(elements as usize));
        for (x, y) in rows(x, lengths[0]).zip(rows_mut(y, lengths[1])) {
            part(&self.copy, x, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::fixed::testing::{assert_near, blocks, values};
    use crate::kernels::strided::{AXES, Side};
    use crate::kernels::testing::run_record;
    use crate::optim::{Optimizer, OptimizerRecord};
    use crate::plan::Ref;
    use crate::rng::Rng;
    use std::vec;
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    const SAMPLES: usize = 3;

    /// A box of `rows` of `len`, which begins at these elements of rows of these lengths.
    fn moved(rows: u32, len: u32, x: (Ref, u32, u32), y: (Ref, u32, u32), outside: Outside) -> Move {
        let side = |(at, start, row): (Ref, u32, u32)| Side {
            at,
            elements: rows * row,
            start,
            strides: [0, 0, 0, 0, row as i32, 1],
        };
        let mut extents = [1; AXES];
        [extents[4], extents[5]] = [rows, len];
        let outside = outside as u32;
        Move { copy: StridedCopy { size: 2, extents, x: side(x), repeats: 0, y: side(y), outside, fill: 0 } }
    }

    fn run(record: &Move, arena: &mut [i16]) {
        assert!(record.shape_is_valid());
        let optimizer = Optimizer::at_step(OptimizerRecord::sgd(1.0), 1);
        let mut context = Context {
            samples: SAMPLES,
            optimizer,
            training: true,
            loss: 0.0,
            right: 0,
            evaluation: false,
            adapts: None,
        };
        run_record(crate::arch::Scalar, record, &[], arena.as_mut_bytes(), &mut context);
    }

    /// Rows of 3 and rows of 2 become rows of 5, whichever has the greater exponent, and are taken apart again.
    #[test]
    fn parts_are_joined_and_taken_apart() {
        for apart in [-30, -3, 0, 2, 40] {
            let mut rng = Rng::new(8);
            let (a, b) = (blocks(&mut rng, SAMPLES, 12, 15, -9), blocks(&mut rng, SAMPLES, 8, 15, -9 + apart));
            let y = vec![0x55; SAMPLES * stride(20)];
            let places = [0, a.len(), a.len() + b.len()].map(|at| Ref::arena(2 * at as u32));
            let mut arena = [&a[..], &b, &y].concat();
            run(&moved(4, 3, (places[0], 0, 3), (places[2], 0, 5), Outside::Later), &mut arena);
            run(&moved(4, 2, (places[1], 0, 2), (places[2], 3, 5), Outside::Keep), &mut arena);
            let (a, b) = (values(&a, 12), values(&b, 8));
            let expected: Vec<f64> = a.chunks(3).zip(b.chunks(2)).flat_map(|(a, b)| [a, b].concat()).collect();
            let found = values(&arena[places[2].offset() / 2..], 20);
            assert_near(&found, &expected, 20, 2.0);
            // The way back is exact.
            run(&moved(4, 2, (places[2], 3, 5), (places[1], 0, 2), Outside::Later), &mut arena);
            let back = values(&arena[places[1].offset() / 2..places[2].offset() / 2], 8);
            let parts: Vec<f64> = found.chunks(5).flat_map(|row| row[3..].to_vec()).collect();
            assert_eq!(back, parts);
        }
    }

    #[test]
    fn borders_are_zeros() {
        let x = blocks(&mut Rng::new(8), SAMPLES, 6, 15, -9);
        let places = [0, x.len()].map(|at| Ref::arena(2 * at as u32));
        let mut arena = [&x[..], &vec![0x55; SAMPLES * stride(15)]].concat();
        let record = moved(3, 2, (places[0], 0, 2), (places[1], 1, 5), Outside::Fill);
        run(&record, &mut arena);
        let expected: Vec<f64> = values(&x, 6).chunks(2).flat_map(|row| [0.0, row[0], row[1], 0.0, 0.0]).collect();
        assert_eq!(values(&arena[x.len()..], 15), expected);
        for copy in [
            StridedCopy { size: 4, ..record.copy },
            StridedCopy { repeats: 1, ..record.copy },
            StridedCopy { fill: 1, ..record.copy },
        ] {
            assert!(!Move { copy }.shape_is_valid());
        }
    }
}
