//! Blocks against the steps that they stand for.

use super::block::{Block, Filters, backward_f32, forward_f32, update};
use super::tests::shape_of;
use super::{BlockBackwardF32, BlockF32, Conv2d, backward_input_f32, backward_weights_f32, pack_panels};
use crate::arch::{Isa, IsaId, Processor, Scalar, Task, Threads, run_on};
use crate::kernels::pool::Pool2d;
use crate::kernels::testing::*;
use crate::kernels::trained::Trained;
use crate::kernels::window::{Axis, Window2d};
use crate::kernels::{activation, max_pool};
use crate::optim::{Optimizer, OptimizerRecord, Store, Update};
use crate::plan::{Ref, StepRecord};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const LO: f32 = -0.25;
const HI: f32 = 1.0;

/// A pool without overlaps over the outputs of a convolution; some outputs may be left over.
fn pool_of(conv: &Conv2d, by: [u32; 2]) -> Option<Pool2d> {
    let axis = |from: Axis, by: u32| Axis {
        input: from.output,
        output: from.output / by,
        kernel: by,
        stride: by,
        dilation: 1,
        pad: 0,
    };
    let window = Window2d { height: axis(conv.window.height, by[0]), width: axis(conv.window.width, by[1]) };
    Some(Pool2d { window, channels: conv.out_c }).filter(Pool2d::is_valid)
}

#[derive(Clone)]
struct Case {
    conv: Conv2d,
    pool: Option<Pool2d>,
    block: Block,
    samples: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(conv: Conv2d, by: [u32; 2], samples: usize, seed: u64) -> Option<Self> {
        let pool = if by == [1, 1] { None } else { Some(pool_of(&conv, by)?) };
        let block = Block::new(&conv, pool.as_ref())?;
        assert_eq!(block.pools(), pool.is_some());
        let mut rng = Rng::new(seed);
        let mut some = |len: usize| noise(&mut rng, len);
        let (x, w, b) = (some(samples * conv.in_elements()), some(conv.weights()), some(conv.out_c as usize));
        let dy = some(samples * block.out_elements());
        Some(Self { conv, pool, block, samples, x, w, b, dy })
    }

    /// Output and places.
    fn forward<I: Isa>(&self, isa: I) -> [Vec<f32>; 2] {
        let (mut y, mut places) = (vec![f32::NAN; self.dy.len()], vec![f32::NAN; self.dy.len()]);
        let Self { block, x, w, b, .. } = self;
        let mut scratch = vec![f32::NAN; block.forward_scratch(false)];
        forward_f32(isa, block, x, Filters::Plain(w), b, (LO, HI), &mut scratch, &mut y, &mut places);
        // Without places, and with filters that are packed before.
        let (mut again, mut panels) = (vec![f32::NAN; y.len()], vec![f32::NAN; w.len()]);
        pack_panels(&block.conv, w, &mut panels);
        let mut scratch = vec![f32::NAN; block.forward_scratch(true)];
        forward_f32(isa, block, x, Filters::Panels(&panels), b, (LO, HI), &mut scratch, &mut again, &mut []);
        assert_eq!(bits(&again), bits(&y));
        [y, places]
    }

    /// `dx`, `dw`, `db`.
    fn backward<I: Isa>(&self, isa: I, places: &[f32]) -> [Vec<f32>; 3] {
        let Self { block, x, w, dy, .. } = self;
        let places = if block.pools() { places } else { &[] };
        let mut scratch = vec![f32::NAN; block.backward_scratch(self.samples)];
        let optimizer = &Optimizer::at_step(REVEAL, 1);
        let mut gradients = |dx: &mut [f32]| {
            backward_f32(isa, block, x, w, dy, places, &mut scratch, false, dx);
            let (mut dw, mut db) = (vec![0.0; self.w.len()], vec![0.0; self.b.len()]);
            let w = Update { isa, optimizer, w: &mut dw[..], state: &mut [] };
            update(block, self.samples, &mut scratch, w, Update { isa, optimizer, w: &mut db[..], state: &mut [] });
            [dw, db].map(|steps| steps.iter().map(|step| -step).collect::<Vec<f32>>())
        };
        let mut dx = vec![f32::NAN; x.len()];
        let [dw, db] = gradients(&mut dx);
        assert_eq!(gradients(&mut []).map(|g| bits(&g)), [bits(&dw), bits(&db)], "without dx");
        [dx, dw, db]
    }

    /// The same by separate steps: output, `dx`, `dw`, `db`.
    fn separate<I: Isa>(&self, isa: I) -> [Vec<f32>; 4] {
        let Self { conv, x, w, b, .. } = self;
        let mut inner = vec![0.0; self.samples * conv.out_elements()];
        let mut scratch = vec![0.0; conv.weights()];
        super::forward_f32(isa, conv, x, w, b, LO, HI, &mut scratch, &mut inner);
        let (mut y, mut dense) = (inner.clone(), self.dy.clone());
        if let Some(pool) = &self.pool {
            y = vec![0.0; self.dy.len()];
            max_pool::forward_f32(isa, pool, &inner, f32::NEG_INFINITY, f32::INFINITY, &mut y);
            dense = vec![0.0; inner.len()];
            max_pool::backward_f32(isa, pool, &inner, &self.dy, &mut dense);
            activation::backward_f32(activation::Kind::Clamp, LO, HI, &inner, &mut dense);
        }
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        backward_input_f32(isa, conv, &dense, w, &mut scratch, &mut dx);
        backward_weights_f32(isa, conv, x, &dense, &mut vec![0.0; conv.weights()], &mut Store(&mut dw));
        let mut db = vec![0.0; b.len()];
        for row in dense.chunks(b.len()) {
            db.iter_mut().zip(row).for_each(|(sum, dy)| *sum += dy);
        }
        [y, dx, dw, db]
    }
}

struct Agrees<'a>(&'a Case);

impl Task for Agrees<'_> {
    type Output = [Vec<u32>; 5];

    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let Self(case) = self;
        let [y, places] = case.forward(isa);
        let [dx, dw, db] = case.backward(isa, &places);
        let [expected, expected_dx, expected_dw, expected_db] = case.separate(isa);
        assert_eq!(bits(&y), bits(&expected), "{}: y", I::ID.name());
        assert_eq!(bits(&dx), bits(&expected_dx), "{}: dx", I::ID.name());
        // Other sums of the same terms, each at most 2 in size; both sides round.
        let terms = case.samples * case.conv.window.out_pixels();
        let size = |len: usize| vec![2.0 * terms as f32; len];
        assert_close(&dw, &wide(&expected_dw), 2 * terms, &size(dw.len()));
        assert_close(&db, &wide(&expected_db), 2 * terms, &size(db.len()));
        if case.block.conv == case.conv && case.samples == 1 {
            assert_eq!(dw, expected_dw, "{}: one part is one chain", I::ID.name());
        }
        [y, places, dx, dw, db].map(|values| bits(&values))
    }
}

/// On every token with one, two and three threads; all tokens that fuse, and all that do not, give the same bits.
fn check(case: &Case) {
    let mut seen: [Option<[Vec<u32>; 5]>; 2] = [None, None];
    for id in IsaId::ALL {
        for threads in [1, 2, 3] {
            let Some(found) = run_on(Processor { isa: id, threads: Threads::new(threads) }, Agrees(case)) else {
                continue;
            };
            let expected = seen[usize::from(id.is_exact())].get_or_insert_with(|| found.clone());
            assert!(found == *expected, "{} with {threads} threads", id.name());
        }
    }
}

proptest! {
    #[test]
    fn blocks_are_the_steps_that_they_stand_for(
        (v, h) in (axes(1..2), axes(1..2)), in_c in 1u32..5, out_c in 1u32..5,
        by in (1u32..4, 1u32..4), samples in 1usize..20, seed: u64,
    ) {
        let case = Case::new(shape_of(v, h, (1, in_c, out_c)), by.into(), samples, seed);
        prop_assume!(case.is_some());
        check(&case.unwrap());
    }

    #[test]
    fn blocks_of_many_channels(
        (v, h) in (axes(1..2), axes(1..2)), in_c in 1u32..70, out_c in 1u32..70,
        by in (1u32..3, 1u32..3), samples in 1usize..4, seed: u64,
    ) {
        let case = Case::new(shape_of(v, h, (1, in_c, out_c)), by.into(), samples, seed);
        prop_assume!(case.is_some());
        check(&case.unwrap());
    }
}

fn axis(input: u32, output: u32, pad: u32) -> Axis {
    Axis { input, output, kernel: 3, stride: 1, dilation: 1, pad }
}

/// More rows than a strip, more samples than lie in front of a pool at a time.
#[test]
fn blocks_of_large_images() {
    for (size, pad, channels, samples) in [(28, 0, (1, 1, 32), 9), (21, 1, (1, 3, 40), 17), (13, 0, (1, 32, 64), 33)] {
        let axis = axis(size, size - 2 + 2 * pad, pad);
        check(&Case::new(shape_of(axis, axis, channels), [2, 2], samples, 5).unwrap());
    }
}

#[test]
fn what_is_no_block() {
    let conv = shape_of(axis(9, 7, 0), axis(9, 7, 0), (1, 2, 3));
    let pool = pool_of(&conv, [2, 2]).unwrap();
    let block = Block::new(&conv, Some(&pool)).unwrap();
    assert_eq!(block.conv.window.height.output, 6, "no window reads the last row");
    let with = |height: Axis| Pool2d { window: Window2d { height, ..pool.window }, ..pool };
    let height = pool.window.height;
    assert_eq!(Block::new(&conv, Some(&with(Axis { stride: 1, output: 6, ..height }))), None, "windows overlap");
    assert_eq!(Block::new(&conv, Some(&with(Axis { pad: 1, output: 4, ..height }))), None, "padding");
    assert_eq!(Block::new(&conv, Some(&with(Axis { input: 8, ..height }))), None, "another input");
    assert_eq!(Block::new(&Conv2d { groups: 2, in_c: 2, out_c: 4, ..conv }, None), None, "groups");
    assert!(!Block { pool_w: 0, ..block }.is_valid());
    assert!(!Block { pool_h: 4, ..block }.is_valid(), "4 does not divide 6");
}

#[test]
fn records_run_their_kernels() {
    let conv = shape_of(axis(9, 7, 0), axis(9, 7, 0), (1, 2, 3));
    for (by, slots) in [([2, 2], 2), ([1, 1], 0)] {
        let case = Case::new(conv, by, 11, 3).unwrap();
        let (block, samples) = (case.block, case.samples);
        let mut arena: Vec<f32> = Vec::new();
        let mut place = |values: &[f32]| {
            arena.extend(values);
            Ref::arena(4 * (arena.len() - values.len()) as u32)
        };
        let [x, w, b, dy] = [&case.x, &case.w, &case.b, &case.dy].map(|values| place(values));
        let [y, places] = [0; 2].map(|_| place(&vec![f32::NAN; case.dy.len()]));
        let dx = place(&vec![f32::NAN; case.x.len()]);
        let scratch = place(&vec![f32::NAN; block.forward_scratch(false).max(block.backward_scratch(samples))]);
        let [w_state, b_state] = [&case.w, &case.b].map(|of| place(&vec![0.0; slots * of.len()]));
        let forward = BlockF32 { shape: block, x, w, panels: 0, b, y, places, scratch, lo: LO, hi: HI };
        run(&forward, &mut arena, samples, REVEAL);
        let [expected, expected_places] = case.forward(Scalar);
        let at = |r: Ref, len: usize| r.offset() / 4..r.offset() / 4 + len;
        assert_eq!(bits(&arena[at(y, case.dy.len())]), bits(&expected));
        assert_eq!(bits(&arena[at(places, case.dy.len())]), bits(&expected_places));

        let trained = Trained { w, b, w_state, b_state, tile: scratch, tile_elements: 1, slots: slots as u32 };
        let places = if block.pools() { places } else { Ref::NONE };
        let record = BlockBackwardF32 { shape: block, x, dy, places, dx, adds: 0, trained };
        assert!(record.shape_is_valid() && forward.shape_is_valid());
        assert!(!BlockBackwardF32 { places: dx, shape: Block::new(&conv, None).unwrap(), ..record }.shape_is_valid());
        let settings = if slots == 2 { OptimizerRecord::adam(0.5) } else { REVEAL };
        run(&record, &mut arena, samples, settings);
        let [expected_dx, dw, db] = case.backward(Scalar, &expected_places);
        assert_eq!(bits(&arena[at(dx, case.x.len())]), bits(&expected_dx));
        for (at, before, gradient, state) in [
            (at(w, case.w.len()), &case.w, dw, at(w_state, slots * case.w.len())),
            (at(b, case.b.len()), &case.b, db, at(b_state, slots * case.b.len())),
        ] {
            let (mut expected, mut expected_state) = (before.clone(), vec![0.0; state.len()]);
            let optimizer = &Optimizer::at_step(settings, 1);
            let mut sink = Update { isa: Scalar, optimizer, w: &mut expected[..], state: &mut expected_state };
            crate::optim::GradSink::tile(&mut sink, 0, &gradient);
            assert_eq!(bits(&arena[at]), bits(&expected));
            assert_eq!(bits(&arena[state]), bits(&expected_state));
        }
    }
}
