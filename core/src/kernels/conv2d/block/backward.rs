//! The way back of a block, and the update of its parameters.

use super::super::float;
use super::super::packed::{self, Layout};
use super::super::turned::Turned;
use super::{Block, LINE, PARTS, parts, share_of_part};
use crate::arch::Isa;
use crate::kernels::util::{from, from_mut, rows, rows_mut, sub, sub_mut};
use crate::optim::{GradSink, Update};

/// All gradients. `dy` is that of the block's output, `places` what the forward step left, or empty if there is no pool;
/// `dx` may be empty, if nobody wants it; sums start from what it holds if it `adds`, else from zero. `scratch` then holds
/// what [`update`] needs.
pub fn backward_f32<I: Isa>(
    isa: I,
    block: &Block,
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    places: &[f32],
    scratch: &mut [f32],
    adds: bool,
    dx: &mut [f32],
) {
    let (conv, in_elements, out_elements) = (&block.conv, block.conv.in_elements(), block.out_elements());
    let samples = rows(dy, out_elements).len();
    let (panels, rest) = scratch.split_at_mut_checked(block.panel_elements()).unwrap_or_default();
    let (gradients, dense) = rest.split_at_mut_checked(PARTS * block.part_elements()).unwrap_or_default();
    let turned = Turned::new(conv);
    if let Some(turned) = turned.filter(|_| !dx.is_empty()) {
        turned.pack(isa, w, panels);
    }
    let panels: &[f32] = panels;
    let each = share_of_part(samples);
    // Without a gradient of the input there is no gain in several samples.
    let some = if !block.pools() {
        each
    } else if dx.is_empty() {
        1
    } else {
        block.dense_samples(samples)
    };
    let dense_each = dense.len() / PARTS;
    let slices = [(gradients, block.part_elements()), (dense, dense_each), (dx, each * in_elements)];
    isa.split(parts(samples), 2 * each * float::cost(conv), slices, |of, [gradients, dense, dx]| {
        let isa = isa.alone();
        let mut dx = dx;
        for (part, gradients) in of.zip(rows_mut(gradients, block.part_elements())) {
            let (dw, db) = gradients.split_at_mut_checked(block.panel_elements()).unwrap_or_default();
            dw.fill(0.0);
            db.fill(0.0);
            let end = ((part + 1) * each).min(samples);
            for first in (part * each..end).step_by(some.max(1)) {
                let count = some.min(end - first);
                let x = sub(x, first * in_elements, count * in_elements);
                let dy = sub(dy, first * out_elements, count * out_elements);
                let places = sub(places, first * out_elements, count * out_elements);
                let dy = in_front_of_pool(isa, block, dy, places, dense, db);
                let (now, later) = core::mem::take(&mut dx).split_at_mut_checked(x.len()).unwrap_or_default();
                dx = later;
                let clear = |dx: &mut [f32]| {
                    if !adds {
                        dx.fill(0.0);
                    }
                };
                if let Some(turned) = turned {
                    turned.add(isa, dy, panels, now, clear);
                } else if !now.is_empty() {
                    clear(now);
                    float::backward_input_direct(isa, conv, dy, w, now);
                }
                let (filters, lines) = ((0, conv.out_c as usize), 0..conv.window.height.kernel as usize);
                packed::sums(isa, conv, filters, lines, x, dy, Layout::best(conv), dw);
            }
        }
    });
}

/// The gradient in front of the pool, in `dense`; adds that of the biases to `db`.
fn in_front_of_pool<'d, I: Isa>(
    isa: I,
    block: &Block,
    dy: &'d [f32],
    places: &[f32],
    dense: &'d mut [f32],
    db: &mut [f32],
) -> &'d [f32] {
    let channels = block.conv.out_c as usize;
    let db = sub_mut(db, 0, channels);
    if !block.pools() {
        isa.vectorize(|| {
            for row in rows(dy, channels) {
                for (sum, dy) in db.iter_mut().zip(row) {
                    *sum += dy;
                }
            }
        });
        return dy;
    }
    let pools = block.row_of_pools();
    let (out_row, dense_row) = (pools.count * channels, block.row_elements());
    for ((dy, places), dx) in rows(dy, out_row).zip(rows(places, out_row)).zip(rows_mut(dense, dense_row)) {
        isa.unpool_f32(&pools, dy, places, dx, db);
    }
    sub(dense, 0, rows(dy, out_row).len() * dense_row)
}

/// Updates weights and biases by what [`backward_f32`] left in `scratch` for so many samples; either may be empty.
pub fn update<I: Isa>(block: &Block, samples: usize, scratch: &mut [f32], w: Update<'_, I>, mut b: Update<'_, I>) {
    let (isa, conv) = (w.isa, &block.conv);
    let (filters, patch) = (conv.out_c as usize, conv.patch());
    let (elements, biases) = (block.part_elements(), block.panel_elements());
    let gradients = sub_mut(from_mut(scratch, biases), 0, parts(samples) * elements);
    let (sum, others) = gradients.split_at_mut_checked(elements).unwrap_or_default();
    let others: &[f32] = others;
    // Added in order of the parts, by whomever.
    isa.split(elements / LINE, LINE * PARTS, [(sum, LINE)], |of, [sum]| {
        for part in rows(others, elements) {
            isa.alone().accumulate_f32(from(part, of.start * LINE), sum);
        }
    });
    let sum: &[f32] = sum;
    b.tile(0, sub(sum, biases, b.w.len()));
    if w.w.is_empty() {
        return;
    }
    let Layout { row, column } = Layout::best(conv);
    w.split(filters, 0, &mut [], |of, _, sink| {
        if column == 1 {
            return sink.tile(0, sub(sum, of.start * row, of.len() * row));
        }
        let mut buffer = [0.0; 64];
        for (filter, to) in of.zip((0..).step_by(patch)) {
            for first in (0..patch).step_by(buffer.len()) {
                let gradient = sub_mut(&mut buffer, 0, (patch - first).min(64));
                for (to, from) in gradient.iter_mut().zip(rows(from(sum, first * column), column)) {
                    *to = from.get(filter).copied().unwrap_or(0.0);
                }
                sink.tile(to + first, gradient);
            }
        }
    });
}
