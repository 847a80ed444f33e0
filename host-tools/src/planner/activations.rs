//! Which activations not to keep as they are: computed again, or kept as int8.

use super::{Request, Way};
use crate::graph::Graph;
use crate::lower::{LowerError, Program, lower};
use crate::passes;
use std::collections::BTreeMap;

/// Layers that are given up at most.
const MOST: usize = 12;

/// What becomes of an activation that is not kept as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// It is computed again: no bit differs.
    Again,
    /// It is kept as int8.
    Int8,
}

impl Instead {
    fn layers(self, way: &mut Way) -> &mut Vec<String> {
        match self {
            Self::Again => &mut way.recompute,
            Self::Int8 => &mut way.compress,
        }
    }
}

/// As `way`, but with activations given up as long as that makes the arena smaller, and its program.
///
/// Greedy: of what is only kept over the step with most bytes alive, the largest goes first.
pub(super) fn least(
    graph: &Graph,
    request: &Request,
    way: &Way,
    instead: Instead,
) -> Result<(Way, Program), LowerError> {
    let mut best = (way.clone(), lower(graph, &way.options(request))?);
    let prepared = passes::prepare(graph, &way.options(request))?.graph;
    let producers = prepared.producers();
    let mut refused: Vec<String> = Vec::new();
    while instead.layers(&mut best.0).len() < MOST {
        let Some(train) = &best.1.train else { break };
        let alive =
            |step: usize| train.layout.spans.iter().filter(move |(_, first, last)| (*first..=*last).contains(&step));
        let bytes = |step: &usize| alive(*step).map(|(buffer, ..)| best.1.buffer(*buffer).bytes).sum::<usize>();
        let Some(peak) = (0..train.steps.len()).max_by_key(bytes) else { break };
        // Kept over the peak, and not used there.
        let mut kept: BTreeMap<usize, String> = BTreeMap::new();
        for (buffer, first, last) in alive(peak) {
            let used = train.uses[peak].iter().any(|u| u.buffer == *buffer);
            let tensor = train.values.iter().position(|value| *value == Some(*buffer));
            let Some(maker) = tensor.and_then(|tensor| producers.get(tensor).copied().flatten()) else { continue };
            let name = &prepared.node(maker).name;
            let given_up = [&refused, &best.0.recompute, &best.0.compress].iter().any(|names| names.contains(name));
            if !used && *first < peak && peak < *last && !given_up {
                kept.insert(best.1.buffer(*buffer).bytes, name.clone());
            }
        }
        let Some((_, name)) = kept.pop_last() else { break };
        let mut tried = best.0.clone();
        instead.layers(&mut tried).push(name.clone());
        match lower(graph, &tried.options(request)) {
            Ok(program) if program.arena_bytes() < best.1.arena_bytes() => best = (tried, program),
            _ => refused.push(name),
        }
    }
    Ok(best)
}
