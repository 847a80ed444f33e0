//! Padding: what TFLite's two schemes can say, and PAD for the rest.

use super::{Writer, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::flat::Table;
use crate::graph::ops::{Padding, Span, Window};
use crate::graph::{DType, Node};
use crate::import::tflite::schema::op;

/// What surrounds the image of a padded operator.
#[derive(Clone, Copy)]
pub(super) enum Border {
    /// Real zero: convolutions.
    Zero,
    /// The least value: maxima.
    Lowest,
    /// Nothing can stand for it: means do not count it.
    None,
}

impl Writer<'_> {
    /// The padding option and the input, behind a PAD if neither scheme says what the window wants.
    pub(super) fn padded(&mut self, node: &Node, window: &Window, border: Border) -> Result<(u8, i32), ExportError> {
        let input = node.inputs[0];
        let [h, w, channels] = self.image(node)?;
        let spans = |padding| Window { padding, ..*window }.spans([h, w]).ok();
        let wanted = spans(window.padding).ok_or_else(|| unsupported(node, "such windows"))?;
        let mut named = [(1, Padding::Valid), (0, Padding::Same)];
        // Where both fit, what the graph says.
        named.sort_by_key(|(_, padding)| *padding != window.padding);
        for (code, padding) in named {
            if spans(padding).is_some_and(|found| same_windows(&found, &wanted)) {
                return Ok((code, self.operand(input)?));
            }
        }
        let [rows, columns] = wanted;
        let shape = [h + rows.before + rows.after, w + columns.before + columns.after, channels];
        let sides = [0, 0, rows.before, rows.after, columns.before, columns.after, 0, 0];
        let paddings = self.integers(node, "paddings", sides);
        self.file.tensors[paddings as usize].shape = vec![4, 2];
        let from = self.operand(input)?;
        let to = self.between(node, "padded", input, &shape);
        match border {
            Border::Zero => self.push(op::PAD, vec![from, paddings], to, Some((22, Table::new()))),
            Border::Lowest => {
                let lowest = self.lowest(node);
                self.push(op::PADV2, vec![from, paddings, lowest], to, Some((43, Table::new())));
            }
            Border::None => return Err(unsupported(node, "mean pooling with such padding")),
        }
        Ok((1, to))
    }

    /// `[height, width, channels]` of the node's input.
    pub(super) fn image(&self, node: &Node) -> Result<[usize; 3], ExportError> {
        let shape = &self.tensor(node.inputs[0]).shape;
        <[usize; 3]>::try_from(shape.as_slice()).map_err(|_| unsupported(node, "images without three axes"))
    }

    /// The least value of the input's type, as a constant of one.
    fn lowest(&mut self, node: &Node) -> i32 {
        let data = match self.tensor(node.inputs[0]).dtype {
            DType::I8 => i8::MIN.to_le_bytes().to_vec(),
            DType::I16 => i16::MIN.to_le_bytes().to_vec(),
            _ => f32::MIN.to_le_bytes().to_vec(),
        };
        self.one(node, "lowest", data)
    }
}

/// Whether both look at the same taps: what follows the last window does not matter.
fn same_windows(a: &[Span; 2], b: &[Span; 2]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a.output, a.before) == (b.output, b.before))
}
