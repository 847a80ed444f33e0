//! Nodes that read only constants are computed now, by their own kernels.

use super::editor::Editor;
use super::evaluate::{MOST_BYTES, evaluate};
use crate::graph::{Data, NodeId, Op};

/// Gives the number of nodes that became constants.
pub fn run(editor: &mut Editor) -> usize {
    // In the order of execution: what is folded here serves the next node.
    editor.nodes().into_iter().filter(|id| fold(editor, *id)).count()
}

fn fold(editor: &mut Editor, id: NodeId) -> bool {
    let node = editor.node(id);
    if node.outputs.len() != 1 || matches!(node.op, Op::Svdf(_)) {
        // Recurrent layers are not worth it, and what has a memory is no constant.
        return false;
    }
    // An output of the graph has to be computed by something.
    let [y] = node.outputs[..] else { return false };
    if editor.is_output(y) || node.data_inputs().is_empty() || remembers(&node.op) {
        return false;
    }
    let constants = node.inputs.iter().map(|t| editor.constant(*t).map(|_| *t)).collect::<Option<Vec<_>>>();
    if constants.is_none() || editor.tensor(y).bytes() > MOST_BYTES {
        return false;
    }
    let inputs: Vec<Data> = node.data_inputs().iter().filter_map(|t| editor.constant(*t).cloned()).collect();
    let data = match (&node.op, inputs.as_slice()) {
        (Op::Reshape(_) | Op::Flatten(_), [data]) => Some(data.clone()),
        _ => evaluate(editor.graph(), node, &inputs),
    };
    match data {
        Some(data) if data.dtype() == editor.tensor(y).dtype => {
            editor.replace_by_constant(id, data);
            true
        }
        _ => false,
    }
}

/// Whether equal inputs may give other outputs in the next run.
fn remembers(op: &Op) -> bool {
    matches!(op, Op::Svdf(_) | Op::Normalise(_))
}
