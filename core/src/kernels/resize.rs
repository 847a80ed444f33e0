//! Nearest-neighbour resizing: `y[r][c] = x[rows[r]][cols[c]]`. Any element type; the host makes the tables.

use super::util::{copy, elements, rows_mut, sub};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Copies pixels. A source outside of the input leaves its pixel as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ResizeNearest {
    /// Height of the input.
    pub in_h: u32,
    /// Width of the input.
    pub in_w: u32,
    /// Height of the output.
    pub out_h: u32,
    /// Width of the output.
    pub out_w: u32,
    /// Bytes of an element: 1, 2 or 4.
    pub size: u32,
    /// Elements of a pixel.
    pub channels: u32,
    /// The input's row for each of the output.
    pub rows: Ref,
    /// The input's column for each of the output.
    pub cols: Ref,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for ResizeNearest {
    operands! {
        rows: read u32 [out_h],
        cols: read u32 [out_w],
        x: read size(size) [samples, in_h, in_w, channels],
        y: write size(size) [samples, out_h, out_w, channels],
    }

    fn shape_is_valid(&self) -> bool {
        matches!(self.size, 1 | 2 | 4)
            && elements([self.in_h, self.in_w, self.channels, self.size]).is_some()
            && elements([self.out_h, self.out_w, self.channels, self.size]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (rows, cols, x) = (at.read::<u32>(), at.read::<u32>(), at.read());
        let y: &mut [u8] = at.write();
        let pixel = (self.channels * self.size) as usize;
        let (x_row, y_row) = (self.in_w as usize * pixel, self.out_w as usize * pixel);
        let (x_len, y_len) = (self.in_h as usize * x_row, self.out_h as usize * y_row);
        for (sample, y) in rows_mut(y, y_len).enumerate() {
            let x = sub(x, sample * x_len, x_len);
            for (y, row) in rows_mut(y, y_row).zip(rows) {
                let x = sub(x, (*row as usize).wrapping_mul(x_row), x_row);
                for (y, col) in rows_mut(y, pixel).zip(cols) {
                    let x = sub(x, (*col as usize).wrapping_mul(pixel), pixel);
                    if x.len() == y.len() {
                        copy(x, y);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Scalar;
    use crate::kernels::testing::run_record;
    use crate::optim::{Optimizer, OptimizerRecord};
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    #[test]
    fn pixels_come_from_their_tables() {
        let (rows, cols) = ([1u32, 0, 1], [2u32, 2, 0, 9]);
        let tables = [&rows[..], &cols].concat();
        for size in [1u32, 2, 4] {
            let pixel = 2 * size;
            let (x, y) = (Ref::arena(0), Ref::arena(2 * 6 * pixel));
            let step = ResizeNearest {
                in_h: 2,
                in_w: 3,
                out_h: 3,
                out_w: 4,
                size,
                channels: 2,
                rows: Ref::data(0),
                cols: Ref::data(12),
                x,
                y,
            };
            assert!(step.shape_is_valid());
            let mut arena: Vec<u8> = (0..2 * 18 * pixel).map(|i| i as u8).collect();
            let before = arena.clone();
            let optimizer = Optimizer::at_step(OptimizerRecord::sgd(1.0), 1);
            let mut context = Context {
                samples: 2,
                optimizer,
                training: false,
                loss: 0.0,
                right: 0,
                evaluation: false,
                adapts: None,
            };
            run_record(Scalar, &step, tables.as_bytes(), &mut arena, &mut context);
            let pixel = pixel as usize;
            for (i, found) in arena[y.offset()..].chunks(pixel).enumerate() {
                let (sample, row, col) = (i / 12, rows[i % 12 / 4] as usize, cols[i % 4] as usize);
                // The last column has no source.
                let at = if col == 9 { y.offset() + i * pixel } else { (sample * 6 + row * 3 + col) * pixel };
                assert_eq!(found, &before[at..at + pixel], "{size} {i}");
            }
        }
    }
}
