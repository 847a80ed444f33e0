//! Layers with weights, and pools.

use super::window::Border;
use super::{Writer, fused, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::file::FileTensor;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::ops::{Activation, Conv2d, DepthwiseConv2d, Window};
use crate::graph::{DType, Node, Quant};
use crate::import::tflite::schema::option::{conv, dense, depthwise, pool, reduce};
use crate::import::tflite::schema::{TensorType, op};

impl Writer<'_> {
    pub(super) fn dense(&mut self, node: &Node, activation: Activation) -> Result<(), ExportError> {
        let rows = self.tensor(node.inputs[0]).shape.len() > 1;
        let [x, w] = [0, 1].map(|i| self.tensor(node.inputs[i]).dtype);
        let hybrid = x == DType::F32 && w != DType::F32;
        let options = Table::new()
            .with(dense::ACTIVATION, Value::U8(fused(node, activation)?))
            .with(dense::KEEP_NUM_DIMS, Value::U8(rows.into()))
            // Of layers with float activations and integer weights only: finer rounding.
            .with(dense::ASYMMETRIC_INPUTS, Value::U8(hybrid.into()));
        let input = self.operand(node.inputs[0])?;
        self.weighted(node, op::FULLY_CONNECTED, input, 0, Some((8, options)))
    }

    pub(super) fn conv2d(&mut self, node: &Node, layer: &Conv2d) -> Result<(), ExportError> {
        let (padding, input) = self.padded(node, &layer.window(), Border::Zero)?;
        let ([sh, sw], [dh, dw]) = (layer.strides, layer.dilation);
        let options = Table::new()
            .with(conv::PADDING, Value::U8(padding))
            .with(conv::STRIDE_W, Value::I32(sw as i32))
            .with(conv::STRIDE_H, Value::I32(sh as i32))
            .with(conv::ACTIVATION, Value::U8(fused(node, layer.activation)?))
            .with(conv::DILATION_W, Value::I32(dw as i32))
            .with(conv::DILATION_H, Value::I32(dh as i32));
        self.weighted(node, op::CONV_2D, input, 0, Some((1, options)))
    }

    pub(super) fn depthwise_conv2d(&mut self, node: &Node, layer: &DepthwiseConv2d) -> Result<(), ExportError> {
        let (padding, input) = self.padded(node, &layer.window(), Border::Zero)?;
        let ([sh, sw], [dh, dw]) = (layer.strides, layer.dilation);
        let options = Table::new()
            .with(depthwise::PADDING, Value::U8(padding))
            .with(depthwise::STRIDE_W, Value::I32(sw as i32))
            .with(depthwise::STRIDE_H, Value::I32(sh as i32))
            .with(depthwise::MULTIPLIER, Value::I32(layer.depth_multiplier as i32))
            .with(depthwise::ACTIVATION, Value::U8(fused(node, layer.activation)?))
            .with(depthwise::DILATION_W, Value::I32(dw as i32))
            .with(depthwise::DILATION_H, Value::I32(dh as i32));
        self.weighted(node, op::DEPTHWISE_CONV_2D, input, 1, Some((2, options)))
    }

    /// An operator with kernel and bias; the kernel gets `leading` axes of size 1 in front.
    fn weighted(
        &mut self,
        node: &Node,
        code: i32,
        input: i32,
        leading: usize,
        options: super::Options,
    ) -> Result<(), ExportError> {
        let kernel = self.tensor(node.inputs[1]).clone();
        let shape = [vec![1; leading], kernel.shape].concat();
        let axis = kernel.quant.as_ref().and_then(|q| q.axis).map(|axis| axis + leading);
        let mut inputs = vec![input, self.shaped(node.inputs[1], &shape, axis, kernel.quant.clone())?];
        inputs.extend(match self.bias(node)? {
            // Desktop TFLite takes no convolution without one.
            None if code == op::CONV_2D => Some(self.no_bias(node)?),
            bias => bias,
        });
        self.operator(node, code, inputs, options)
    }

    /// Zeros as the bias of a node that has none.
    fn no_bias(&mut self, node: &Node) -> Result<i32, ExportError> {
        let ty = match self.tensor(node.inputs[0]).dtype {
            DType::F32 => DType::F32,
            DType::I16 => DType::I64,
            _ => DType::I32,
        };
        let outputs = self.tensor(node.inputs[1]).shape[0];
        let quant = self.bias_quant(node, ty);
        let (scales, zero_points) = quant.map(|q| (q.scales, q.zero_points)).unwrap_or_default();
        Ok(self.new_tensor(FileTensor {
            name: format!("{}/bias", node.name),
            shape: vec![i32::try_from(outputs).map_err(|_| ExportError::TooLarge { tensor: node.name.clone() })?],
            ty: TensorType::from(ty).code(),
            data: Some(vec![0; outputs * ty.bytes()]),
            scales,
            zero_points: zero_points.into_iter().map(i64::from).collect(),
            ..FileTensor::default()
        }))
    }

    /// How a bias of this type stands for reals.
    fn bias_quant(&self, node: &Node, ty: DType) -> Option<Quant> {
        // It has the scale of input times kernel by definition; runtimes check it.
        let input_scale = self.tensor(node.inputs[0]).quant.as_ref().map_or(1.0, |q| q.scale(0));
        let kernel = self.tensor(node.inputs[1]).quant.clone();
        kernel.filter(|_| ty != DType::F32).map(|q| Quant {
            scales: q.scales.iter().map(|s| input_scale * s).collect(),
            zero_points: vec![0; q.scales.len()],
            axis: q.axis.map(|_| 0),
        })
    }

    /// The bias, input 2 of the node, if it has one.
    pub(super) fn bias(&mut self, node: &Node) -> Result<Option<i32>, ExportError> {
        let Some(bias) = node.inputs.get(2) else { return Ok(None) };
        let quant = self.bias_quant(node, self.tensor(*bias).dtype);
        let shape = self.tensor(*bias).shape.clone();
        self.shaped(*bias, &shape, None, quant).map(Some)
    }

    pub(super) fn pool(
        &mut self,
        node: &Node,
        code: i32,
        window: &Window,
        activation: Activation,
    ) -> Result<(), ExportError> {
        if window.dilation != [1, 1] {
            return Err(unsupported(node, "a pool with dilation"));
        }
        let border = if code == op::MAX_POOL_2D { Border::Lowest } else { Border::None };
        let (padding, input) = self.padded(node, window, border)?;
        let options = pool_options(padding, window, fused(node, activation)?);
        self.operator(node, code, vec![input], options)
    }

    pub(super) fn global_average(&mut self, node: &Node) -> Result<(), ExportError> {
        let input = self.operand(node.inputs[0])?;
        let axes = self.integers(node, "axes", [1, 2]);
        let options = Table::new().with(reduce::KEEP_DIMS, Value::U8(0));
        self.operator(node, op::MEAN, vec![input, axes], Some((27, options)))
    }

    /// A maximum over one window as large as the image, and a new shape.
    pub(super) fn global_max(&mut self, node: &Node) -> Result<(), ExportError> {
        let [h, w, channels] = self.image(node)?;
        let window =
            Window { kernel: [h, w], strides: [1, 1], dilation: [1, 1], padding: crate::graph::ops::Padding::Valid };
        let input = self.operand(node.inputs[0])?;
        let between = self.between(node, "maximum", node.inputs[0], &[1, 1, channels]);
        self.push(op::MAX_POOL_2D, vec![input], between, pool_options(1, &window, 0));
        self.reshape_from(node, between)
    }
}

fn pool_options(padding: u8, window: &Window, activation: u8) -> super::Options {
    let ([h, w], [sh, sw]) = (window.kernel, window.strides);
    let options = Table::new()
        .with(pool::PADDING, Value::U8(padding))
        .with(pool::STRIDE_W, Value::I32(sw as i32))
        .with(pool::STRIDE_H, Value::I32(sh as i32))
        .with(pool::FILTER_W, Value::I32(w as i32))
        .with(pool::FILTER_H, Value::I32(h as i32))
        .with(pool::ACTIVATION, Value::U8(activation));
    Some((5, options))
}
