//! Which layers have their weights in the order of the target's token, and which in the plain one.
//!
//! A token's order is the fast one, but may take more flash (sums are padded, tables of multipliers written out) and
//! more RAM (patches are put into scratch). [`Optimize`] says what matters. For size all layers are plain: a program
//! that has the loops of one order only is smaller by more than any layer could save. RAM belongs to the whole plan: scratch costs nothing where the arena is larger elsewhere. So
//! all layers begin in the plain order, and one after the other, those with most work first, gets the token's, if the
//! arena does not grow.

use super::{LowerError, Program};
use crate::graph::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What is made small where a layer can be computed in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimize {
    /// Time.
    #[default]
    Speed,
    /// The image, and the program that runs it.
    Size,
    /// The arena.
    Ram,
}

impl std::str::FromStr for Optimize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "speed" => Ok(Self::Speed),
            "size" => Ok(Self::Size),
            "ram" => Ok(Self::Ram),
            _ => Err(format!("there is no {text:?}; there are speed, size and ram")),
        }
    }
}

/// The layers that stay in the plain order, and those that did not have to.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub plain: HashSet<NodeId>,
    /// With their multiply-accumulates.
    pub packed: Vec<(NodeId, u64)>,
}

/// The program whose arena is the smallest of those tried, and among them a fast one. `lower` makes a program in which
/// some layers stay plain.
pub(super) fn least_ram(
    mut lower: impl FnMut(HashSet<NodeId>) -> Result<(Program, Choice), LowerError>,
) -> Result<Program, LowerError> {
    let (fastest, choice) = lower(HashSet::new())?;
    let mut layers = choice.packed;
    layers.sort_by_key(|(_, macs)| std::cmp::Reverse(*macs));
    let mut plain: HashSet<NodeId> = layers.iter().map(|(layer, _)| *layer).collect();
    let (mut best, _) = lower(plain.clone())?;
    for (layer, _) in layers {
        if arena(&fastest) <= arena(&best) {
            return Ok(fastest);
        }
        plain.remove(&layer);
        let (program, _) = lower(plain.clone())?;
        if arena(&program) <= arena(&best) {
            best = program;
        } else {
            plain.insert(layer);
        }
    }
    Ok(best)
}

/// Bytes of the arena that both plans share.
fn arena(program: &Program) -> usize {
    let train = program.train.as_ref().map_or(0, |train| train.layout.arena_bytes);
    program.infer.layout.arena_bytes.max(train)
}
