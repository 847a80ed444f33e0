//! Loops over slices: as long as the shortest of them, whole vectors first, the rest masked.
//!
//! All but [`dot`] and [`axpy`] round after every operation, so that every token gives the
//! scalar bits here.
//!
//! # Safety
//! Every function needs a processor with `V`'s instructions. Memory is reached only through slices, below their
//! length.

use super::Vector;
use crate::arch::scalar;
use crate::optim::{Optimizer, TINY, TINY_SQUARE};
use core::hint::black_box;

/// Partial sums of [`dot`], on every instruction set: element `i` goes to sum `i % 32`, and the upper half of the
/// sums is added to the lower half until one is left.
pub const DOT_LANES: usize = 32;

/// A vector's worth of places in slices of equal length.
#[derive(Clone, Copy)]
pub(super) struct Lanes<V: Vector> {
    at: usize,
    /// Present where the slices end within the vector.
    mask: Option<V::Mask>,
}

impl<V: Vector> Lanes<V> {
    /// Whole vectors side by side.
    #[inline(always)]
    pub(super) fn strip<const VECTORS: usize>(at: usize) -> [Self; VECTORS] {
        core::array::from_fn(|vector| Self { at: at + vector * V::LANES, mask: None })
    }

    /// Fewer lanes than a vector has.
    #[inline(always)]
    pub(super) unsafe fn masked(at: usize, lanes: usize) -> Self {
        // SAFETY: the caller vouches for the instructions.
        Self { at, mask: Some(unsafe { V::mask(lanes) }) }
    }

    #[inline(always)]
    pub(super) unsafe fn load(self, from: &[f32]) -> V {
        debug_assert!(self.at < from.len());
        // SAFETY: `for_each` passes places below the length that the slices share; a mask covers what is left there.
        unsafe { self.read(from.as_ptr()) }
    }

    #[inline(always)]
    pub(super) unsafe fn store(self, value: V, to: &mut [f32]) {
        debug_assert!(self.at < to.len());
        // SAFETY: as for `load`.
        unsafe { self.write(value, to.as_mut_ptr()) }
    }

    /// [`Lanes::load`] from a slice that begins there; it may be part of a longer one.
    #[inline(always)]
    pub(super) unsafe fn read(self, from: *const f32) -> V {
        // SAFETY: the caller says that a slice of the length given to `for_each` is there.
        unsafe {
            let from = from.add(self.at);
            match self.mask {
                None => V::load(from),
                Some(mask) => V::load_masked(from, mask),
            }
        }
    }

    /// [`Lanes::store`] likewise.
    #[inline(always)]
    pub(super) unsafe fn write(self, value: V, to: *mut f32) {
        // SAFETY: as for `read`.
        unsafe {
            let to = to.add(self.at);
            match self.mask {
                None => value.store(to),
                Some(mask) => value.store_masked(to, mask),
            }
        }
    }
}

/// Calls `body` for all of `0..len`, a vector at a time.
#[inline(always)]
pub(super) unsafe fn for_each<V: Vector>(len: usize, mut body: impl FnMut(Lanes<V>)) {
    let mut at = 0;
    while at + V::LANES <= len {
        body(Lanes { at, mask: None });
        at += V::LANES;
    }
    if at < len {
        // SAFETY: the caller vouches for the instructions.
        let mask = unsafe { V::mask(len - at) };
        body(Lanes { at, mask: Some(mask) });
    }
}

/// See [`crate::arch::Isa::dot_f32`]; the sum is split as [`DOT_LANES`] says.
#[inline(always)]
pub unsafe fn dot<V: Vector>(init: f32, a: &[f32], b: &[f32]) -> f32 {
    if !V::FUSED {
        return scalar::dot_f32(init, a, b);
    }
    let len = a.len().min(b.len());
    let mut sums = [0.0; DOT_LANES];
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`; `sums` holds whole vectors.
    unsafe {
        let vectors = DOT_LANES / V::LANES;
        let mut partial = [V::splat(0.0); DOT_LANES];
        let mut at = 0;
        while at < len {
            for (vector, sum) in partial.iter_mut().take(vectors).enumerate() {
                let at = at + vector * V::LANES;
                if at + V::LANES <= len {
                    let lanes = Lanes::<V> { at, mask: None };
                    *sum = lanes.load(a).mul_add(lanes.load(b), *sum);
                } else if at < len {
                    let mask = V::mask(len - at);
                    let lanes = Lanes::<V> { at, mask: Some(mask) };
                    *sum = lanes.load(a).mul_add(lanes.load(b), *sum).select(*sum, mask);
                }
            }
            at += DOT_LANES;
        }
        for (vector, sum) in partial.iter().take(vectors).enumerate() {
            sum.store(sums.as_mut_ptr().add(vector * V::LANES));
        }
    }
    init + fold(&mut sums)
}

/// Adds the upper half to the lower until one is left.
#[inline(always)]
fn fold(sums: &mut [f32; DOT_LANES]) -> f32 {
    let mut half = DOT_LANES / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        half /= 2;
    }
    sums.first().copied().unwrap_or(0.0)
}

/// See [`crate::arch::Isa::peak_f32`].
#[inline(always)]
pub unsafe fn peak<V: Vector>(rounds: usize) -> u64 {
    // Latency times throughput of any processor so far is less, and registers are more.
    const SUMS: usize = 12;
    // SAFETY: instructions as the caller says.
    unsafe {
        let (a, b) = (V::splat(black_box(0.999)), V::splat(black_box(1e-6)));
        let mut sums = [V::splat(1.0); SUMS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.mul_add(a, b);
            }
        }
        black_box(sums);
    }
    2 * (V::LANES * SUMS) as u64 * rounds as u64
}

/// See [`crate::arch::Isa::axpy_f32`].
#[inline(always)]
pub unsafe fn axpy<V: Vector>(a: f32, x: &[f32], y: &mut [f32]) {
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        let a = V::splat(a);
        for_each::<V>(
            x.len().min(y.len()),
            #[inline(always)]
            |i| {
                i.store(a.mul_add(i.load(x), i.load(y)), y);
            },
        );
    }
}

/// See [`crate::arch::Isa::accumulate_f32`].
#[inline(always)]
pub unsafe fn accumulate<V: Vector>(x: &[f32], y: &mut [f32]) {
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        for_each::<V>(
            x.len().min(y.len()),
            #[inline(always)]
            |i| i.store(i.load(y).add(i.load(x)), y),
        );
    }
}

/// See [`crate::arch::Isa::clamp_f32`].
#[inline(always)]
pub unsafe fn clamp<V: Vector>(lo: f32, hi: f32, y: &mut [f32]) {
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        let (lo, hi) = (V::splat(lo), V::splat(hi));
        for_each::<V>(
            y.len(),
            #[inline(always)]
            |i| i.store(i.load(y).max(lo).min(hi), y),
        );
    }
}

/// See [`crate::arch::Isa::max_f32`].
#[inline(always)]
pub unsafe fn max<V: Vector>(x: &[f32], y: &mut [f32]) {
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        for_each::<V>(
            x.len().min(y.len()),
            #[inline(always)]
            |i| i.store(i.load(y).max(i.load(x)), y),
        );
    }
}

/// See [`Optimizer::decayed`].
#[derive(Clone, Copy)]
struct Decay<V>(V, bool);

impl<V: Vector> Decay<V> {
    #[inline(always)]
    unsafe fn of(o: &Optimizer) -> Self {
        // SAFETY: instructions as the caller says.
        Self(unsafe { V::splat(o.settings.weight_decay) }, o.settings.weight_decay != 0.0)
    }

    /// The gradients of weights `w`, with what decays of them.
    #[inline(always)]
    unsafe fn added(self, g: V, w: V) -> V {
        // SAFETY: instructions as the caller says.
        if self.1 { unsafe { g.add(self.0.mul(w)) } } else { g }
    }
}

/// See [`crate::arch::Isa::sgd_f32`].
#[inline(always)]
pub unsafe fn sgd<V: Vector>(o: &Optimizer, g: &[f32], w: &mut [f32]) {
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        let (rate, decay) = (V::splat(o.rate), Decay::<V>::of(o));
        for_each::<V>(
            g.len().min(w.len()),
            #[inline(always)]
            |i| {
                let old = i.load(w);
                let g = decay.added(i.load(g), old);
                i.store(old.sub(rate.mul(g)), w);
            },
        );
    }
}

/// See [`crate::arch::Isa::momentum_f32`].
#[inline(always)]
pub unsafe fn momentum<V: Vector>(o: &Optimizer, nesterov: bool, g: &[f32], w: &mut [f32], v: &mut [f32]) {
    let len = g.len().min(w.len()).min(v.len());
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        let (rate, decay) = (V::splat(o.rate), Decay::<V>::of(o));
        let momentum = V::splat(o.settings.momentum);
        for_each::<V>(
            len,
            #[inline(always)]
            |i| {
                let old = i.load(w);
                let step = rate.mul(decay.added(i.load(g), old));
                let velocity = momentum.mul(i.load(v)).sub(step).settle(TINY_SQUARE);
                i.store(velocity, v);
                let change = if nesterov { momentum.mul(velocity).sub(step) } else { velocity };
                i.store(old.add(change), w);
            },
        );
    }
}

/// See [`crate::arch::Isa::adagrad_f32`].
#[inline(always)]
pub unsafe fn adagrad<V: Vector>(o: &Optimizer, g: &[f32], w: &mut [f32], v: &mut [f32]) {
    let len = g.len().min(w.len()).min(v.len());
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        let (rate, decay) = (V::splat(o.rate), Decay::<V>::of(o));
        let epsilon = V::splat(o.settings.epsilon);
        for_each::<V>(
            len,
            #[inline(always)]
            |i| {
                let old = i.load(w);
                let g = decay.added(i.load(g), old);
                let total = i.load(v).add(g.mul(g));
                i.store(total, v);
                i.store(old.sub(rate.mul(g).div(total.add(epsilon).sqrt())), w);
            },
        );
    }
}

/// See [`crate::arch::Isa::adam_f32`].
#[inline(always)]
pub unsafe fn adam<V: Vector>(o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let len = g.len().min(w.len()).min(m.len()).min(v.len());
    // SAFETY: instructions as the caller says; addresses are those of `Lanes`.
    unsafe {
        let (rate, decay) = (V::splat(o.rate), Decay::<V>::of(o));
        let (gain_m, gain_v) = (V::splat(1.0 - o.settings.momentum), V::splat(1.0 - o.settings.beta_2));
        let epsilon = V::splat(o.settings.epsilon);
        for_each::<V>(
            len,
            #[inline(always)]
            |i| {
                let old = i.load(w);
                let g = decay.added(i.load(g), old).settle(TINY);
                let (old_m, old_v) = (i.load(m), i.load(v));
                let mean = old_m.add(g.sub(old_m).mul(gain_m)).settle(TINY);
                let square = old_v.add(g.mul(g).sub(old_v).mul(gain_v)).settle(TINY_SQUARE);
                i.store(mean, m);
                i.store(square, v);
                i.store(old.sub(rate.mul(mean).div(square.sqrt().add(epsilon))), w);
            },
        );
    }
}
