//! What of a model can learn.

use super::gain::Gains;
use crate::graph::{Channels, Choice, Graph, Layers, NodeId, Op, Selection, What};

/// Ranks of the adapters that are tried.
const RANKS: [usize; 2] = [2, 8];

/// Parts of a layer's channels that are tried: one in so many.
const FRACTIONS: [usize; 2] = [4, 2];

/// Selections that a graph takes, each of them once: for every number of layers at the end the whole of them, their
/// biases, adapters, and the whole of them but the first, of which some channels learn.
pub(super) fn ways(graph: &Graph, gains: &Gains) -> Vec<Selection> {
    let layers: Vec<NodeId> = graph.iter().filter(|(_, n)| n.is_layer()).map(|(id, _)| id).collect();
    let mut found: Vec<Selection> = Vec::new();
    let mut offer = |selection: Selection| {
        if !found.contains(&selection) && graph.clone().set_trainable(&selection).is_ok() {
            found.push(selection);
        }
    };
    let each = |layers: Layers, what: What| Selection::Each(vec![Choice { layers, what }]);
    for count in 1..=layers.len() {
        offer(if count == layers.len() { Selection::All } else { Selection::Last(count) });
        let node = graph.node(layers[layers.len() - count]);
        let Some(kernel) = node.parameters().first() else { continue };
        let outputs = graph.tensor(*kernel).shape[0];
        for part in FRACTIONS.map(|fraction| outputs / fraction) {
            let cut = matches!(node.op, Op::Dense(_) | Op::Conv2d(_)) && part > 0;
            let Some(channels) =
                cut.then(|| gains.channels(&node.name, outputs, part)).and_then(|r| Channels::new([r]))
            else {
                continue;
            };
            let some = Choice { layers: Layers::Name(node.name.clone()), what: What::Channels(channels) };
            let rest = Choice { layers: Layers::Last(count - 1), what: What::Whole };
            offer(Selection::Each(if count == 1 { vec![some] } else { vec![some, rest] }));
        }
    }
    // Where fewer layers can learn so than there are, the last selections are all the same one.
    let mut seen = Vec::new();
    for what in [What::Biases].into_iter().chain(RANKS.map(|rank| What::Adapter { rank })) {
        for count in 1..=layers.len() {
            let selection = each(Layers::Last(count), what.clone());
            let mut marked = graph.clone();
            if marked.set_trainable(&selection).is_err() {
                break;
            }
            let learns: Vec<String> = marked.tensors.iter().filter(|t| t.trainable).map(|t| t.name.clone()).collect();
            if seen.contains(&learns) {
                break;
            }
            seen.push(learns);
            offer(selection);
        }
    }
    found
}
