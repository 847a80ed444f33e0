//! Operations that move values.

use super::{Writer, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::ops::{Concat, Pad, Reduce, Reduction, ResizeNearest, Slice, Transpose};
use crate::graph::{DType, Node};
use crate::import::tflite::nearest;
use crate::import::tflite::schema::op;
use crate::import::tflite::schema::option::{concatenation, reduce, resize, strided_slice};

impl Writer<'_> {
    pub(super) fn pad(&mut self, node: &Node, layer: &Pad) -> Result<(), ExportError> {
        let sides = [0, 0].into_iter().chain(layer.before.iter().zip(&layer.after).flat_map(|(b, a)| [*b, *a]));
        let paddings = self.integers(node, "paddings", sides);
        self.file.tensors[paddings as usize].shape = vec![layer.before.len() as i32 + 1, 2];
        let input = self.operand(node.inputs[0])?;
        if layer.value == 0.0 {
            return self.operator(node, op::PAD, vec![input, paddings], Some((22, Table::new())));
        }
        let tensor = self.tensor(node.inputs[0]);
        let (scale, zero_point) = tensor.quant.as_ref().and_then(|q| q.single()).unwrap_or((1.0, 0));
        let number = |(low, high): (i64, i64)| {
            let steps = (f64::from(layer.value) / f64::from(scale)).round() as i64 + i64::from(zero_point);
            steps.clamp(low, high)
        };
        let data = match (tensor.dtype, tensor.dtype.range()) {
            (DType::I8, Some(range)) => (number(range) as i8).to_le_bytes().to_vec(),
            (DType::I16, Some(range)) => (number(range) as i16).to_le_bytes().to_vec(),
            _ => layer.value.to_le_bytes().to_vec(),
        };
        let value = self.one(node, "value", data);
        self.operator(node, op::PADV2, vec![input, paddings, value], Some((43, Table::new())))
    }

    pub(super) fn concat(&mut self, node: &Node, layer: Concat) -> Result<(), ExportError> {
        let options = Table::new()
            .with(concatenation::AXIS, Value::I32(layer.axis as i32 + 1))
            .with(concatenation::ACTIVATION, Value::U8(0));
        self.plain(node, op::CONCATENATION, Some((10, options)))
    }

    /// SLICE where it takes neighbours, STRIDED_SLICE otherwise.
    pub(super) fn slice(&mut self, node: &Node, layer: &Slice) -> Result<(), ExportError> {
        let input = self.operand(node.inputs[0])?;
        let begin = self.integers(node, "begin", std::iter::once(0).chain(layer.begin.iter().copied()));
        if layer.stride.iter().zip(&layer.size).all(|(stride, size)| *stride == 1 || *size == 1) {
            let size = self.integers(node, "size", std::iter::once(1).chain(layer.size.iter().copied()));
            return self.operator(node, op::SLICE, vec![input, begin, size], Some((48, Table::new())));
        }
        let (mut ends, mut end_mask) = (vec![1], 0i32);
        for (axis, ((begin, size), stride)) in layer.begin.iter().zip(&layer.size).zip(&layer.stride).enumerate() {
            let end = *begin as isize + (*size as isize - 1) * stride + stride.signum();
            if end < 0 {
                // Backwards to the first: -1 would mean the last.
                end_mask |= 1 << (axis + 1);
            }
            ends.push(end.max(0) as usize);
        }
        let ends = self.integers(node, "end", ends);
        let strides = std::iter::once(1).chain(layer.stride.iter().map(|s| *s as i32));
        let strides = self.signed(node, "strides", strides);
        let options = Table::new().with(strided_slice::END_MASK, Value::I32(end_mask));
        self.operator(node, op::STRIDED_SLICE, vec![input, begin, ends, strides], Some((32, options)))
    }

    pub(super) fn transpose(&mut self, node: &Node, layer: &Transpose) -> Result<(), ExportError> {
        let input = self.operand(node.inputs[0])?;
        let perm = self.integers(node, "perm", std::iter::once(0).chain(layer.perm.iter().map(|axis| axis + 1)));
        self.operator(node, op::TRANSPOSE, vec![input, perm], Some((26, Table::new())))
    }

    pub(super) fn resize(&mut self, node: &Node, layer: &ResizeNearest) -> Result<(), ExportError> {
        let [h, w, _] = self.image(node)?;
        let (rows, columns) = (layer.rows.len(), layer.cols.len());
        let modes = [(false, false), (true, false), (false, true)];
        let fits = |(corners, centers): &(bool, bool)| {
            let table = |input, output| (0..output).map(move |at| nearest(at, input, output, *corners, *centers));
            table(h, rows).eq(layer.rows.iter().copied()) && table(w, columns).eq(layer.cols.iter().copied())
        };
        let (corners, centers) =
            modes.into_iter().find(fits).ok_or_else(|| unsupported(node, "such rounding of coordinates"))?;
        let input = self.operand(node.inputs[0])?;
        let size = self.integers(node, "size", [rows, columns]);
        let options = Table::new()
            .with(resize::ALIGN_CORNERS, Value::U8(corners.into()))
            .with(resize::HALF_PIXEL_CENTERS, Value::U8(centers.into()));
        self.operator(node, op::RESIZE_NEAREST_NEIGHBOR, vec![input, size], Some((74, options)))
    }

    pub(super) fn reduce(&mut self, node: &Node, layer: &Reduce) -> Result<(), ExportError> {
        let code = match layer.reduction {
            Reduction::Mean => op::MEAN,
            Reduction::Sum => op::SUM,
            Reduction::Max => op::REDUCE_MAX,
        };
        let input = self.operand(node.inputs[0])?;
        let axes = self.integers(node, "axes", layer.axes.iter().map(|axis| axis + 1));
        let options = Table::new().with(reduce::KEEP_DIMS, Value::U8(layer.keepdims.into()));
        self.operator(node, code, vec![input, axes], Some((27, options)))
    }
}
