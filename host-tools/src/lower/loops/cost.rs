//! What a layer's loop takes, estimated from its shape.
//!
//! An estimate is a sum over what a layer has many of ([`Shape::drivers`]), each times a factor. Factors are in
//! `firmware/costs.toml`, fitted to what layers took in QEMU (`cargo xtask bench mcu --fit`).

use super::Shape;
use embernet_core::arch::IsaId;
use embernet_core::kernels::order::OrderRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Cycles, as the manual of the core has them, for memory without wait states.
    Cycles,
    /// Executed instructions: of cores for which there is no such table.
    Instructions,
}

impl core::fmt::Display for Unit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Cycles => "cycles",
            Self::Instructions => "instructions",
        })
    }
}

/// Factors by the names of their drivers.
pub type Factors = BTreeMap<String, f64>;

/// What the loops of a token take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    /// The board that was measured.
    pub board: String,
    /// What was counted there.
    pub unit: Unit,
    /// Of the core's own loops, by kinds of layers.
    pub own: BTreeMap<String, Factors>,
    /// Of the plain ones.
    pub plain: BTreeMap<String, Factors>,
}

/// By the names of tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Costs(pub BTreeMap<String, Token>);

/// Those in `firmware/costs.toml`.
pub fn costs() -> &'static Costs {
    static COSTS: LazyLock<Costs> =
        LazyLock::new(|| toml::from_str(include_str!("../../../../firmware/costs.toml")).unwrap_or_default());
    &COSTS
}

impl Costs {
    /// What is estimated for a token; `None` if nothing is.
    pub fn unit(&self, isa: IsaId) -> Option<Unit> {
        self.0.get(isa.name()).map(|token| token.unit)
    }

    /// What a layer takes with its weights in this order, for one sample.
    pub fn estimate(&self, isa: IsaId, shape: &Shape, order: &OrderRecord) -> Option<u64> {
        let token = self.0.get(isa.name())?;
        let factors = if order.is_plain() { &token.plain } else { &token.own }.get(shape.kind())?;
        let drivers = shape.drivers(order.words);
        let sum: f64 = drivers.iter().map(|(name, count)| factors.get(*name).unwrap_or(&0.0) * count).sum();
        Some(sum.round() as u64)
    }
}
