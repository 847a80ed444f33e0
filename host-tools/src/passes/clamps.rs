//! A clamp that stands alone moves into the operation before it.
//!
//! That saves a pass over the activation and computes the same values. Integers must agree in all
//! their values: a lone clamp that also rescales rounds by itself, and stays.

use super::editor::Editor;
use crate::graph::{Activation, DType, NodeId, Op, Quant};
use crate::quant::fixed_point::{Affine, activation_range, tables};

/// Gives the number of clamps that moved.
pub fn run(editor: &mut Editor) -> usize {
    editor.nodes().into_iter().filter(|id| fuse(editor, *id)).count()
}

fn fuse(editor: &mut Editor, id: NodeId) -> bool {
    let Op::Activation(layer) = &editor.node(id).op else { return false };
    let (function, x, y) = (layer.function, editor.node(id).inputs[0], editor.output(id));
    let Some(before) = editor.producer(x).filter(|_| editor.only_reader(x) == Some(id)) else { return false };
    if !function.is_clamp()
        || editor.node(before).op.fused() != Activation::Linear
        || !same_values(editor, function, x, y)
        || !editor.node_mut(before).op.set_fused(function)
    {
        return false;
    }
    editor.absorb(id)
}

/// Whether the lone clamp gives what the fused one would, for every value.
fn same_values(editor: &Editor, function: Activation, x: crate::graph::TensorId, y: crate::graph::TensorId) -> bool {
    let (from, to) = (editor.tensor(x), editor.tensor(y));
    match (from.dtype, to.dtype, &from.quant, &to.quant) {
        (DType::F32, DType::F32, _, _) => true,
        (DType::I8, DType::I8, Some(from), Some(to)) => from == to && same_bytes(function, to),
        _ => false,
    }
}

fn same_bytes(function: Activation, quant: &Quant) -> bool {
    let (Ok(affine), Some((low, high))) = (Affine::of(quant, DType::I8), function.clamp()) else { return false };
    let (Ok(table), Ok((lo, hi))) =
        (tables::clamp_table(affine, affine, low, high), activation_range(function, affine))
    else {
        return false;
    };
    // Entry i belongs to the value whose byte is i.
    lo <= hi && (0..=u8::MAX).zip(&table).all(|(i, y)| i32::from(*y) == i32::from(i as i8).clamp(lo, hi))
}
