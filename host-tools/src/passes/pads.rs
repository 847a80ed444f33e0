//! Borders of their own go into the padding of the layers that read them.
//!
//! A convolution's padding adds nothing: it is 0, or the zero point. A border that holds the same is
//! that padding. A maximum skips its padding: a border goes into it if no value can lie below it. A
//! mean counts what a border holds and not what its padding holds, so there the border stays.

use super::editor::Editor;
use crate::graph::ops::{Pad, Padding, Window};
use crate::graph::{DType, Data, NodeId, Op, TensorId};
use crate::quant::fixed_point::{Affine, activation_range};
use embernet_core::quant::quantize_i8;

/// Gives the number of borders that went.
pub fn run(editor: &mut Editor) -> usize {
    editor.nodes().into_iter().filter(|id| fuse(editor, *id)).count()
}

fn fuse(editor: &mut Editor, id: NodeId) -> bool {
    let Op::Pad(pad) = editor.node(id).op.clone() else { return false };
    let (x, y) = (editor.node(id).inputs[0], editor.output(id));
    let (from, to) = (editor.tensor(x), editor.tensor(y));
    if from.quant != to.quant || from.dtype != to.dtype || editor.is_output(y) {
        return false;
    }
    let readers = editor.readers(y).to_vec();
    let merged = |reader: &NodeId| {
        let plain = editor.node(*reader).inputs.iter().filter(|t| **t == y).count() == 1;
        merge(editor, *reader, &pad, x, y).filter(|_| plain)
    };
    // All of them or none: a border that stays costs the same for one reader.
    let Some(ops) = readers.iter().map(merged).collect::<Option<Vec<Op>>>() else { return false };
    if readers.is_empty() {
        return false;
    }
    for (reader, op) in readers.into_iter().zip(ops) {
        editor.node_mut(reader).op = op;
        editor.set_input(reader, 0, x);
    }
    editor.remove(id);
    true
}

/// The reader of a border, as it reads what is inside it.
fn merge(editor: &Editor, reader: NodeId, pad: &Pad, inside: TensorId, padded: TensorId) -> Option<Op> {
    let mut op = editor.node(reader).op.clone();
    let exact = match &op {
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) => adds_nothing(editor, reader, pad, inside),
        Op::MaxPool2d(_) => never_wins(editor, pad, inside),
        _ => false,
    };
    let shape = |t: TensorId| <[usize; 3]>::try_from(editor.tensor(t).shape.as_slice()).ok();
    let ([inner_h, inner_w, _], [h, w, _]) = (shape(inside)?, shape(padded)?);
    let (window, padding) = match &mut op {
        Op::Conv2d(op) => (op.window(), &mut op.padding),
        Op::DepthwiseConv2d(op) => (op.window(), &mut op.padding),
        Op::MaxPool2d(op) => (op.window(), &mut op.padding),
        _ => return None,
    };
    *padding = joined(&window, [h, w], pad)?;
    let merged = Window { padding: *padding, ..window };
    let (before, after) = (window.spans([h, w]).ok()?, merged.spans([inner_h, inner_w]).ok()?);
    // Kernels want the last window to begin before the image ends.
    let fits = (0..2).all(|axis| {
        let last = (after[axis].output - 1).saturating_mul(window.strides[axis]);
        before[axis].output == after[axis].output && last < [inner_h, inner_w][axis].saturating_add(after[axis].before)
    });
    // What a pool asks of its image must hold without the border, too.
    let reaches = !matches!(op, Op::MaxPool2d(_)) || window.reaches([inner_h, inner_w]);
    (exact && fits && reaches && op.check().is_ok()).then_some(op)
}

/// The padding that stands for the border and the window's own.
fn joined(window: &Window, padded: [usize; 2], pad: &Pad) -> Option<Padding> {
    let ([top, left, 0], [bottom, right, 0]) = (pad.before.as_slice(), pad.after.as_slice()) else { return None };
    let [rows, columns] = window.spans(padded).ok()?;
    Some(Padding::Explicit {
        top: top.checked_add(rows.before)?,
        bottom: bottom.checked_add(rows.after)?,
        left: left.checked_add(columns.before)?,
        right: right.checked_add(columns.after)?,
    })
}

/// Whether a product with the border is 0 and adding it changes no bit.
fn adds_nothing(editor: &Editor, reader: NodeId, pad: &Pad, x: TensorId) -> bool {
    let tensor = editor.tensor(x);
    match (tensor.dtype, &tensor.quant) {
        (DType::I8, Some(quant)) => {
            quant.single().is_some_and(|(scale, zero)| i32::from(quantize_i8(pad.value, scale, zero)) == zero)
        }
        (DType::I16, Some(_)) => pad.value == 0.0,
        (DType::F32, _) => {
            // 0 times what is no number is no number; and -0.0 + 0.0 is 0.0.
            let values = |index: usize| {
                let id = editor.node(reader).parameters().get(index)?;
                editor.tensor(*id).data.as_ref().and_then(Data::as_f32)
            };
            let finite = values(0).is_some_and(|w| w.iter().all(|w| w.is_finite()));
            let signed = |b: &f32| b.to_bits() == (-0.0f32).to_bits();
            pad.value == 0.0 && finite && !values(1).unwrap_or_default().iter().any(signed)
        }
        _ => false,
    }
}

/// Whether no value inside the border lies below it.
fn never_wins(editor: &Editor, pad: &Pad, x: TensorId) -> bool {
    let tensor = editor.tensor(x);
    match (tensor.dtype, &tensor.quant) {
        (DType::F32, _) => pad.value == f32::NEG_INFINITY,
        (DType::I8, Some(quant)) => {
            let (Some((scale, zero)), Ok(affine)) = (quant.single(), Affine::of(quant, DType::I8)) else {
                return false;
            };
            let before = editor.producer(x).map(|n| editor.node(n).op.fused());
            let least = before.and_then(|a| activation_range(a, affine).ok()).map_or(-128, |(lo, _)| lo);
            i32::from(quantize_i8(pad.value, scale, zero)) <= least
        }
        _ => false,
    }
}
