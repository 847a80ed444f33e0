//! Layers with a state.

use super::{Writer, fused, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::file::FileTensor;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::ops::{Activation, Lstm, Svdf};
use crate::graph::{DType, Data, Node, TensorId};
use crate::import::tflite::schema::option::{lstm, svdf};
use crate::import::tflite::schema::{TensorType, op};

/// The number of the fused activation `tanh`.
const TANH: u8 = 4;

/// The number of the fused activation `relu`.
const RELU: u8 = 1;

/// Scale of a gate before its function.
const GATE_SCALE: f32 = 1.0 / 4096.0;

impl Writer<'_> {
    pub(super) fn svdf(&mut self, node: &Node, layer: &Svdf) -> Result<(), ExportError> {
        let parameters = node.parameters().to_vec();
        let (Some(state), [kernel, time, ..]) = (parameters.last().copied(), parameters.as_slice()) else {
            return Err(unsupported(node, "filter without weights"));
        };
        if self.tensor(state).data.as_ref().is_some_and(|data| data.to_le_bytes().iter().any(|byte| *byte != 0)) {
            return Err(unsupported(node, "filter that begins with a memory"));
        }
        let [kernel, time] = [*kernel, *time].map(|id| self.constant(id));
        let bias = match layer.use_bias {
            true => self.constant(parameters[2])?,
            false => -1,
        };
        let activation = match (self.tensor(node.inputs[0]).dtype, layer.activation) {
            (DType::F32, activation) => fused(node, activation)?,
            // Integer kernels ignore it, and some insist on RELU.
            (_, Activation::Linear) => RELU,
            (_, other) => return Err(unsupported(node, format!("integer filter with fused {}", other.name()))),
        };
        let filters = layer.units * layer.rank;
        let state = self.variable(state, &[1, (filters * layer.memory) as i32]);
        let inputs = vec![self.operand(node.inputs[0])?, kernel?, time?, bias, state];
        let options =
            Table::new().with(svdf::RANK, Value::I32(layer.rank as i32)).with(svdf::ACTIVATION, Value::U8(activation));
        self.operator(node, op::SVDF, inputs, Some((6, options)))
    }

    pub(super) fn lstm(&mut self, node: &Node, layer: &Lstm) -> Result<(), ExportError> {
        let consumers = self.graph.consumers();
        let read = |id: &TensorId| !consumers[id.index()].is_empty() || self.graph.outputs.contains(id);
        if layer.reverse || node.data_inputs().len() > 1 || node.outputs.iter().skip(1).any(read) {
            return Err(unsupported(node, "LSTM that runs backwards, has given states, or shows its last ones"));
        }
        if layer.peepholes {
            return Err(unsupported(node, "LSTM with peepholes"));
        }
        let [kernel, recurrent] = [node.parameters()[0], node.parameters()[1]];
        let kernels = self.gates(kernel, layer.units)?;
        let recurrents = self.gates(recurrent, layer.units)?;
        let biases = match node.parameters().get(2) {
            Some(bias) => self.gates(*bias, layer.units)?,
            None => return Err(unsupported(node, "LSTM without biases")),
        };
        let units = layer.units as i32;
        let (hidden, cell) = (node.outputs[1], node.outputs[2]);
        let states = [self.variable(hidden, &[1, units]), self.variable(cell, &[1, units])];
        let inputs = [
            &[self.operand(node.inputs[0])?][..],
            &kernels,
            &recurrents,
            &[-1; 3],
            &biases,
            &[-1; 2],
            &states,
            &[-1; 4],
        ]
        .concat();
        let options =
            Table::new().with(lstm::ACTIVATION, Value::U8(TANH)).with(lstm::CELL_CLIP, Value::F32(layer.cell_clip));
        self.operator(node, op::UNIDIRECTIONAL_SEQUENCE_LSTM, inputs, Some((71, options)))?;
        if self.tensor(hidden).dtype == DType::I8 {
            let gate = |number: usize| FileTensor {
                name: format!("{}/gate {number}", node.name),
                ty: TensorType::I16.code(),
                scales: vec![GATE_SCALE],
                zero_points: vec![0],
                ..FileTensor::default()
            };
            let mut intermediates: Vec<i32> = (0..4).map(|number| self.new_tensor(gate(number))).collect();
            intermediates.push(self.between(node, "hidden", hidden, &[]));
            if let Some(operator) = self.file.operators.last_mut() {
                operator.intermediates = intermediates;
            }
        }
        Ok(())
    }

    /// A constant as it is.
    fn constant(&mut self, id: TensorId) -> Result<i32, ExportError> {
        let tensor = self.tensor(id).clone();
        self.shaped(id, &tensor.shape, tensor.quant.as_ref().and_then(|q| q.axis), tensor.quant)
    }

    /// A tensor that keeps its value, typed and quantised like one of the graph.
    fn variable(&mut self, id: TensorId, shape: &[i32]) -> i32 {
        let tensor = self.tensor(id).clone();
        let (scales, zero_points) = tensor.quant.map(|q| (q.scales, q.zero_points)).unwrap_or_default();
        self.new_tensor(FileTensor {
            name: format!("{}/kept", tensor.name),
            shape: shape.into(),
            ty: TensorType::from(tensor.dtype).code(),
            scales,
            zero_points: zero_points.into_iter().map(i64::from).collect(),
            variable: true,
            ..FileTensor::default()
        })
    }

    /// The four parts of a constant whose rows are four gates.
    fn gates(&mut self, id: TensorId, units: usize) -> Result<Vec<i32>, ExportError> {
        let tensor = self.tensor(id).clone();
        let bytes = tensor.data.as_ref().map(Data::to_le_bytes).unwrap_or_default();
        let part = bytes.len() / 4;
        let shape: Vec<i32> =
            std::iter::once(units).chain(tensor.shape.iter().skip(1).copied()).map(|d| d as i32).collect();
        let gate = |gate: usize| FileTensor {
            name: format!("{}/{gate}", tensor.name),
            shape: shape.clone(),
            ty: TensorType::from(tensor.dtype).code(),
            data: Some(bytes[gate * part..(gate + 1) * part].to_vec()),
            scales: tensor.quant.iter().map(|q| q.scale(gate * units)).collect(),
            zero_points: tensor.quant.iter().map(|_| 0).collect(),
            ..FileTensor::default()
        };
        Ok((0..4).map(|number| self.new_tensor(gate(number))).collect())
    }
}
