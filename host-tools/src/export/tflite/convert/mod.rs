//! From a [`Graph`] to the lists of a TFLite file.
//!
//! Activations get a batch axis of 1 in front. Constants are written once for each shape that they
//! are used in; layouts are those of the graph, except that depthwise kernels get a leading axis.

mod elementwise;
mod layers;
mod movement;
mod products;
mod recurrent;
mod shapes;
mod window;

use super::error::ExportError;
use super::file::{File, FileOperator, FileTensor};
use super::flat::Table;
use crate::graph::{Activation, DType, Data, Graph, Node, Op, Quant, Tensor, TensorId};
use crate::import::tflite::schema::{TensorType, op};
use std::collections::HashMap;

/// Options of an operator: their number in the union of the schema, and their table.
type Options = Option<(u8, Table)>;

/// The conversion in progress.
struct Writer<'g> {
    graph: &'g Graph,
    file: File,
    /// Numbers in the file by tensor and shape.
    known: HashMap<(TensorId, Vec<i32>), i32>,
}

/// The file's lists for a batch of one.
pub fn to_file(graph: &Graph) -> Result<File, ExportError> {
    graph.validate()?;
    // TFLite has no batch normalisation: it is folded, as it is before quantisation.
    let mut folded = graph.clone();
    folded.fold_all_batch_norm();
    let graph = &folded;
    let file = File { name: graph.name.clone(), ..File::default() };
    let mut writer = Writer { graph, file, known: HashMap::new() };
    for input in &graph.inputs {
        let number = writer.operand(*input)?;
        writer.file.inputs.push(number);
    }
    for id in graph.order()? {
        writer.node(graph.node(id))?;
    }
    for output in &graph.outputs {
        let number = writer.operand(*output)?;
        writer.file.outputs.push(number);
    }
    Ok(writer.file)
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) -> Result<(), ExportError> {
        match &node.op {
            Op::Dense(layer) => self.dense(node, layer.activation),
            Op::Conv2d(layer) => self.conv2d(node, layer),
            Op::DepthwiseConv2d(layer) => self.depthwise_conv2d(node, layer),
            Op::MaxPool2d(layer) => self.pool(node, op::MAX_POOL_2D, &layer.window(), layer.activation),
            Op::AveragePool2d(layer) => self.pool(node, op::AVERAGE_POOL_2D, &layer.window(), layer.activation),
            Op::GlobalAveragePool2d(_) => self.global_average(node),
            Op::GlobalMaxPool2d(_) => self.global_max(node),
            Op::Flatten(_) | Op::Reshape(_) => self.reshape(node),
            Op::Activation(layer) => self.activation(node, layer.function),
            Op::Softmax(layer) => self.softmax(node, layer.beta),
            Op::LogSoftmax(_) => self.plain(node, op::LOG_SOFTMAX, Some((36, Table::new()))),
            Op::Add(layer) => self.binary(node, op::ADD, 11, layer.activation),
            Op::Sub(layer) => self.binary(node, op::SUB, 28, layer.activation),
            Op::Mul(layer) => self.binary(node, op::MUL, 21, layer.activation),
            Op::Div(layer) => self.binary(node, op::DIV, 29, layer.activation),
            Op::Minimum(layer) => self.extremum(node, op::MINIMUM, layer.activation),
            Op::Maximum(layer) => self.extremum(node, op::MAXIMUM, layer.activation),
            Op::PRelu(_) => self.prelu(node),
            Op::Pad(layer) => self.pad(node, layer),
            Op::Concat(layer) => self.concat(node, *layer),
            Op::Slice(layer) => self.slice(node, layer),
            Op::Transpose(layer) => self.transpose(node, layer),
            Op::ResizeNearest(layer) => self.resize(node, layer),
            Op::Reduce(layer) => self.reduce(node, layer),
            Op::Quantize(_) => self.plain(node, op::QUANTIZE, Some((89, Table::new()))),
            Op::Dequantize(_) => self.plain(node, op::DEQUANTIZE, Some((38, Table::new()))),
            Op::TransposeConv2d(layer) => self.transpose_conv2d(node, layer),
            Op::MatMul(layer) => self.matmul(node, *layer),
            Op::Svdf(layer) => self.svdf(node, layer),
            Op::Lstm(layer) => self.lstm(node, layer),
            Op::BatchNorm(_) | Op::LayerNorm(_) | Op::Gru(_) | Op::Normalise(_) => {
                Err(unsupported(node, "such operator"))
            }
        }
    }

    fn tensor(&self, id: TensorId) -> &Tensor {
        self.graph.tensor(id)
    }

    /// An operator from the node's data inputs, as they are, to its output.
    fn plain(&mut self, node: &Node, code: i32, options: Options) -> Result<(), ExportError> {
        let inputs = node.data_inputs().iter().map(|id| self.operand(*id)).collect::<Result<Vec<_>, _>>()?;
        self.operator(node, code, inputs, options)
    }

    /// An operator that makes the node's output.
    fn operator(&mut self, node: &Node, code: i32, inputs: Vec<i32>, options: Options) -> Result<(), ExportError> {
        let output = self.operand(node.outputs[0])?;
        self.push(code, inputs, output, options);
        Ok(())
    }

    fn push(&mut self, code: i32, inputs: Vec<i32>, output: i32, options: Options) {
        let ty = |index: Option<&i32>| {
            let tensor = index.and_then(|i| usize::try_from(*i).ok()).and_then(|i| self.file.tensors.get(i));
            tensor.map(|t| TensorType::from_code(t.ty))
        };
        let several_scales =
            inputs.get(1).and_then(|i| self.file.tensors.get(*i as usize)).is_some_and(|w| w.scales.len() > 1);
        let hybrid = ty(inputs.get(1)) == Some(TensorType::I8);
        let version = version(code, ty(inputs.first()).unwrap_or(TensorType::F32), hybrid, several_scales);
        self.file.operators.push(FileOperator {
            code,
            version,
            inputs,
            outputs: vec![output],
            options,
            ..FileOperator::default()
        });
    }

    /// A tensor as an operator's data input or output, with its batch axis; a constant gets one, too.
    fn operand(&mut self, id: TensorId) -> Result<i32, ExportError> {
        let tensor = self.tensor(id);
        let shape = [&[1], tensor.shape.as_slice()].concat();
        let quant = tensor.quant.clone();
        self.shaped(id, &shape, quant.as_ref().and_then(|q| q.axis).map(|axis| axis + 1), quant)
    }

    /// A constant under another shape, with its scales along `axis` of that shape.
    fn shaped(
        &mut self,
        id: TensorId,
        shape: &[usize],
        axis: Option<usize>,
        quant: Option<Quant>,
    ) -> Result<i32, ExportError> {
        let tensor = self.graph.tensor(id);
        let too_large = || ExportError::TooLarge { tensor: tensor.name.clone() };
        let shape: Vec<i32> =
            shape.iter().map(|d| i32::try_from(*d)).collect::<Result<_, _>>().map_err(|_| too_large())?;
        let key = (id, shape);
        if let Some(number) = self.known.get(&key) {
            return Ok(*number);
        }
        let (scales, zero_points) = quant.map(|q| (q.scales, q.zero_points)).unwrap_or_default();
        let number = self.new_tensor(FileTensor {
            name: tensor.name.clone(),
            shape: key.1.clone(),
            ty: TensorType::from(tensor.dtype).code(),
            data: tensor.data.as_ref().map(Data::to_packed_bytes),
            scales,
            zero_points: zero_points.into_iter().map(i64::from).collect(),
            axis: axis.unwrap_or(0) as i32,
            ..FileTensor::default()
        });
        self.known.insert(key, number);
        Ok(number)
    }

    fn new_tensor(&mut self, tensor: FileTensor) -> i32 {
        self.file.tensors.push(tensor);
        self.file.tensors.len() as i32 - 1
    }

    /// A list of integers such as a shape or axes.
    fn integers(&mut self, node: &Node, what: &str, values: impl IntoIterator<Item = usize>) -> i32 {
        self.signed(node, what, values.into_iter().map(|v| v as i32))
    }

    fn signed(&mut self, node: &Node, what: &str, values: impl IntoIterator<Item = i32>) -> i32 {
        let data: Vec<u8> = values.into_iter().flat_map(i32::to_le_bytes).collect();
        let shape = vec![(data.len() / 4) as i32];
        let (name, ty) = (format!("{}/{what}", node.name), TensorType::I32.code());
        self.new_tensor(FileTensor { name, shape, ty, data: Some(data), ..FileTensor::default() })
    }

    /// A constant of one value, of the type and scale of the node's input.
    fn one(&mut self, node: &Node, what: &str, data: Vec<u8>) -> i32 {
        let number = self.between(node, what, node.inputs[0], &[]);
        self.file.tensors[number as usize].data = Some(data);
        number
    }

    /// An activation between two operators, typed and quantised like `model`, of this sample shape.
    fn between(&mut self, node: &Node, what: &str, model: TensorId, shape: &[usize]) -> i32 {
        let tensor = self.tensor(model);
        let (scales, zero_points) = tensor.quant.clone().map(|q| (q.scales, q.zero_points)).unwrap_or_default();
        let ty = TensorType::from(tensor.dtype).code();
        let shape = std::iter::once(1).chain(shape.iter().map(|d| *d as i32)).collect();
        let zero_points = zero_points.into_iter().map(i64::from).collect();
        let name = format!("{}/{what}", node.name);
        self.new_tensor(FileTensor { name, shape, ty, scales, zero_points, ..FileTensor::default() })
    }
}

fn unsupported(node: &Node, what: impl Into<String>) -> ExportError {
    ExportError::Unsupported { node: node.name.clone(), op: node.op.kind(), what: what.into() }
}

/// The number of a fused activation.
fn fused(node: &Node, activation: Activation) -> Result<u8, ExportError> {
    match activation {
        Activation::Linear => Ok(0),
        Activation::Relu => Ok(1),
        Activation::ReluN1To1 => Ok(2),
        Activation::Relu6 => Ok(3),
        other => Err(unsupported(node, format!("fused {}", other.name()))),
    }
}

/// The version of an operator that first took such activations. Runtimes refuse versions that they
/// do not know. Source: `op_version.cc` of TensorFlow Lite.
fn version(code: i32, input: TensorType, hybrid: bool, several_scales: bool) -> i32 {
    match (code, input) {
        // Float activations with int8 weights.
        (op::CONV_2D, TensorType::F32) if hybrid => 5,
        (op::DEPTHWISE_CONV_2D, TensorType::F32) if hybrid => 6,
        (op::FULLY_CONNECTED, TensorType::F32) if hybrid => 9,
        (op::RESHAPE, _) | (_, TensorType::F32) => 1,
        // Scales for each output came to the fully connected layer later than to convolutions.
        (op::FULLY_CONNECTED, TensorType::I8) if several_scales => 12,
        (op::FULLY_CONNECTED, TensorType::I8) => 4,
        (op::FULLY_CONNECTED, TensorType::I16) => 7,
        (op::CONV_2D | op::DEPTHWISE_CONV_2D, TensorType::I8) => 3,
        (op::CONV_2D, TensorType::I16) => 4,
        (op::DEPTHWISE_CONV_2D, TensorType::I16) => 5,
        (op::QUANTIZE | op::LEAKY_RELU, TensorType::I8) | (op::HARD_SWISH, _) => 1,
        (op::QUANTIZE | op::LEAKY_RELU, TensorType::I16) => 2,
        (op::SVDF | op::UNIDIRECTIONAL_SEQUENCE_LSTM, TensorType::I8) => 3,
        (_, TensorType::I16) => 3,
        _ => 2,
    }
}

impl From<DType> for TensorType {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32,
            DType::I4 => Self::I4,
            DType::I8 => Self::I8,
            DType::U8 => Self::U8,
            DType::I16 => Self::I16,
            DType::I32 => Self::I32,
            DType::I64 => Self::I64,
        }
    }
}
