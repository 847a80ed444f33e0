//! The transposed convolution, and products of two activations.

use super::{Writer, fused, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::file::FileTensor;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::ops::{Activation, MatMul, TransposeConv2d};
use crate::graph::{DType, Data, Node, Quant};
use crate::import::tflite::schema::option::{matmul, transpose_conv};
use crate::import::tflite::schema::{TensorType, op};

impl Writer<'_> {
    pub(super) fn transpose_conv2d(&mut self, node: &Node, layer: &TransposeConv2d) -> Result<(), ExportError> {
        if layer.groups != 1 || layer.dilation != [1, 1] {
            return Err(unsupported(node, "grouped or dilated transposed convolution"));
        }
        let [h, w, channels] = self.image(node)?;
        let refuse = || unsupported(node, "such padding of a transposed convolution");
        let [(rows, top), (columns, left)] = layer.spans([h, w]).map_err(|_| refuse())?;
        let ([kh, kw], [sh, sw]) = (layer.kernel, layer.strides);
        // What VALID and SAME would cut before the output, if they make one of this size.
        let axes = [(h, sh, kh, rows, top), (w, sw, kw, columns, left)];
        let valid = |(input, stride, kernel, output, before): (usize, usize, usize, usize, usize)| {
            let covered = (input - 1) * stride + kernel;
            before == 0 && output >= covered && output - covered < stride
        };
        let same = |(input, stride, kernel, output, before): (usize, usize, usize, usize, usize)| {
            let covered = (input - 1) * stride + kernel;
            output.div_ceil(stride) == input && before == covered.saturating_sub(output) / 2
        };
        let padding = match (axes.into_iter().all(valid), axes.into_iter().all(same)) {
            (true, _) => 1,
            (_, true) => 0,
            _ => return Err(refuse()),
        };
        let size = self.integers(node, "size", [1, rows, columns, layer.filters]);
        let kernel = self.turned(node, [channels, kh * kw, layer.filters], [layer.filters, kh, kw, channels])?;
        let mut inputs = vec![size, kernel, self.operand(node.inputs[0])?];
        inputs.extend(self.bias(node)?);
        let options = Table::new()
            .with(transpose_conv::PADDING, Value::U8(padding))
            .with(transpose_conv::STRIDE_W, Value::I32(sw as i32))
            .with(transpose_conv::STRIDE_H, Value::I32(sh as i32))
            .with(transpose_conv::ACTIVATION, Value::U8(fused(node, layer.activation)?));
        self.operator(node, op::TRANSPOSE_CONV, inputs, Some((49, options)))?;
        // Bias and activation came later than the operator; the input's type is not its first input's.
        let version = match (layer.activation, layer.use_bias, self.tensor(node.inputs[0]).dtype) {
            (Activation::Linear, false, DType::F32) => 1,
            (Activation::Linear, false, DType::I8) => 2,
            (Activation::Linear, ..) => 3,
            _ => 4,
        };
        if let Some(operator) = self.file.operators.last_mut() {
            operator.version = version;
        }
        Ok(())
    }

    /// The kernel `[in][taps][out]` as `[out][taps][in]`.
    fn turned(
        &mut self,
        node: &Node,
        [inputs, taps, outputs]: [usize; 3],
        shape: [usize; 4],
    ) -> Result<i32, ExportError> {
        let tensor = self.tensor(node.inputs[1]).clone();
        let Some(data) = &tensor.data else { return Err(unsupported(node, "kernel without values")) };
        let (bytes, size) = (data.to_le_bytes(), tensor.dtype.bytes());
        let mut turned = Vec::with_capacity(bytes.len());
        for output in 0..outputs {
            for tap in 0..taps {
                for input in 0..inputs {
                    let at = ((input * taps + tap) * outputs + output) * size;
                    turned.extend_from_slice(&bytes[at..at + size]);
                }
            }
        }
        let data = Data::from_le_bytes(tensor.dtype, &turned).map(|data| data.to_le_bytes());
        let (scales, zero_points) = tensor.quant.map(|q: Quant| (q.scales, q.zero_points)).unwrap_or_default();
        Ok(self.new_tensor(FileTensor {
            name: tensor.name,
            shape: shape.iter().map(|d| *d as i32).collect(),
            ty: TensorType::from(tensor.dtype).code(),
            data,
            scales,
            zero_points: zero_points.into_iter().map(i64::from).collect(),
            ..FileTensor::default()
        }))
    }

    pub(super) fn matmul(&mut self, node: &Node, layer: MatMul) -> Result<(), ExportError> {
        if layer.activation != Activation::Linear {
            return Err(unsupported(node, "product with a fused activation"));
        }
        let options = Table::new()
            .with(matmul::ADJOINT_A, Value::U8(layer.transpose_a.into()))
            .with(matmul::ADJOINT_B, Value::U8(layer.transpose_b.into()));
        self.plain(node, op::BATCH_MATMUL, Some((101, options)))
    }
}
