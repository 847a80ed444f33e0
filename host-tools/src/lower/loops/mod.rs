//! The loops that an int8 layer can run in on a core, what each of them takes, and which one is chosen.
//!
//! | loop | for |
//! |---|---|
//! | plain | everything; every core has it |
//! | own | what the core's token has a loop for ([`packing`](embernet_core::arch::layout::packing)) |
//! | own, as a convolution | a layer of groups, depthwise ones too, with filters over all channels ([`widen`]) |
//!
//! The outputs are the same bytes. [`cost`] estimates; the least wins, and of equals the core's own.

mod cost;
mod shape;
mod widen;


#[cfg(test)]
mod tests;

pub use cost::{Costs, Factors, Token, Unit, costs};
pub use shape::{Driver, Shape};

use embernet_core::arch::IsaId;
use embernet_core::arch::layout::packing::{Layer, Packed};
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::order::OrderRecord;

/// A layer in the order of a core's own loop.
#[derive(Debug)]
pub(super) struct Own {
    pub packed: Packed,
    /// The convolution that the layer has become.
    pub widened: Option<Conv2d>,
}

/// The core's own loop for a layer, where it has one that is faster than the plain one. `may_widen`: filters may grow
/// over all channels, which takes scratch and flash.
pub(super) fn fastest(isa: IsaId, shape: &Shape, layer: &Layer<'_>, may_widen: bool) -> Option<Own> {
    let cost = |shape: &Shape, packed: &Packed| {
        // A token without figures has its own loops because they are faster.
        costs().estimate(isa, shape, &OrderRecord::of(isa, super::word(packed.stream.len()))).unwrap_or(0)
    };
    let usual = shape.pack(isa, layer).map(|packed| (cost(shape, &packed), Own { packed, widened: None }));
    let wide = widen::widen(shape, layer.weights).filter(|_| may_widen).and_then(|(conv, weights)| {
        let shape = Shape::Conv2d(conv);
        let packed = shape.pack(isa, &Layer { weights: &weights, ..*layer })?;
        Some((cost(&shape, &packed), Own { packed, widened: Some(conv) }))
    });
    let plain = costs().estimate(isa, shape, &OrderRecord::PLAIN).unwrap_or(u64::MAX);
    let (cost, own) = [usual, wide].into_iter().flatten().min_by_key(|(cost, _)| *cost)?;
    (cost <= plain).then_some(own)
}
