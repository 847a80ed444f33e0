//! The loops that an int8 layer can run in on a core, what each of them takes, and which one is chosen.
//!
//! | loop | for |
//! |---|---|
//! | plain | everything; every core has it |
//! | own | what the core's token has a loop for ([`packing`](embernet_core::arch::layout::packing)) |
//! | own, as a convolution | a layer of groups, depthwise ones too, with filters over all channels (`widen.rs`) |
//!
//! The outputs are the same bytes. `cost.rs` estimates; the least wins, and of equals the core's own. The plain loop is
//! preferred to the core's own only where the whole model gains by it (`choice.rs`): a program with both is larger.

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

/// What a layer gets where its weights lie in the order of a core's own loop.
#[derive(Debug)]
pub(super) struct Own {
    pub packed: Packed,
    /// The convolution that the layer has become.
    pub widened: Option<Conv2d>,
}

/// The loops of a program, while it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loops {
    /// What the chosen ones take together.
    pub estimate: u64,
    /// What the plain ones would.
    pub plain: u64,
    /// Layers in the plain loop though the core has one of its own.
    pub preferred: usize,
    /// Layers that may become convolutions over all channels.
    pub widenable: usize,
}

/// What may be chosen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct May {
    /// Filters may grow over all channels, which takes scratch and flash.
    pub widen: bool,
    /// The plain loop may be preferred to the core's own.
    pub prefer_plain: bool,
}

/// The core's own loop for a layer, or `None` for the plain one; adds to `loops` what it takes.
pub(super) fn fastest(isa: IsaId, shape: &Shape, layer: &Layer<'_>, may: May, loops: &mut Loops) -> Option<Own> {
    let cost = |shape: &Shape, packed: &Packed| {
        // A token without figures has its own loops because they are faster.
        costs().estimate(isa, shape, &OrderRecord::of(isa, super::word(packed.stream.len()))).unwrap_or(0)
    };
    let usual = shape.pack(isa, layer).map(|packed| (cost(shape, &packed), Own { packed, widened: None }));
    let wide = widen::widen(shape, layer.weights).and_then(|(conv, weights)| {
        let shape = Shape::Conv2d(conv);
        let packed = shape.pack(isa, &Layer { weights: &weights, ..*layer })?;
        Some((cost(&shape, &packed), Own { packed, widened: Some(conv) }))
    });
    let has_usual = usual.is_some();
    let plain = costs().estimate(isa, shape, &OrderRecord::PLAIN).unwrap_or(u64::MAX);
    loops.widenable += usize::from(wide.is_some());
    let own = [usual, wide.filter(|_| may.widen)].into_iter().flatten().min_by_key(|(cost, _)| *cost);
    let chosen = own.filter(|(cost, _)| *cost <= plain || (has_usual && !may.prefer_plain));
    loops.plain = loops.plain.saturating_add(plain);
    loops.estimate = loops.estimate.saturating_add(chosen.as_ref().map_or(plain, |(cost, _)| *cost));
    loops.preferred += usize::from(has_usual && chosen.is_none());
    chosen.map(|(_, own)| own)
}
