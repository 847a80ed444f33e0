//! From the file's nodes and tensors to a [`Graph`].
//!
//! ONNX shapes carry a batch axis; the graph's do not. A model is converted for one sample; the graph
//! then serves any number of them. An activation of the file is a [`Value`]: a tensor of the graph and
//! the [`Layout`] of the file's axes in it.

mod affine;
mod arrange;
mod conv;
mod conv_transpose;
mod dense;
mod elementwise;
mod emit;
mod fold;
mod fold_arithmetic;
mod fold_movement;
mod fold_pad;
mod fold_reduce;
mod movement;
mod norm;
mod operands;
mod patterns;
mod pool;
mod ports;
mod prelu;
mod product;
mod qlinear;
mod quantized;
mod quantized_constants;
mod recurrent;
mod reduce;
mod resize;
mod shapes;
mod softmax;

pub use fold::FOLDED;
pub use ports::Port;

use super::Options;
use super::error::{NodeProblem, OnnxError, OutputProblem};
use super::layout::Layout;
use super::model::{AttributeValue, Model, NodeDef, TensorDef};
use super::tensor::{Constant, External};
use crate::graph::{Graph, NodeId, TensorId};
use crate::import::budget::Budget;
use crate::import::names::Names;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// An imported model.
#[derive(Debug, Clone)]
pub struct Imported {
    pub graph: Graph,
    /// What the graph's inputs are in the file, in the same order.
    pub inputs: Vec<Port>,
    /// The same of the outputs.
    pub outputs: Vec<Port>,
    /// Transposes of activations in the file.
    pub transposes: usize,
    /// Transposes that are left in the graph, the file's or ones that its layout needs.
    pub transposes_left: usize,
}

/// What is known about a name of the file.
#[derive(Debug, Clone)]
enum Made {
    /// An initializer that nothing has read yet.
    Stored(usize),
    Constant(Rc<Constant>),
    Value(Value),
    /// Made by an operator that is not supported; the import will fail, once all of those are known.
    Unknown,
}

/// An activation.
#[derive(Debug, Clone)]
struct Value {
    id: TensorId,
    layout: Layout,
    /// The tensor is quantised and stands for its real values: it went through DequantizeLinear, or
    /// will, if somebody needs floats.
    dequantized: bool,
}

impl Value {
    fn shape(&self) -> &[usize] {
        self.layout.shape()
    }
}

/// A node at work.
#[derive(Clone, Copy)]
struct Call<'m, 'a> {
    node: &'m NodeDef<'a>,
    opset: i64,
}

/// The conversion in progress.
struct Converter<'m, 'a> {
    model: &'m Model<'a>,
    external: &'m External,
    budget: &'m mut Budget,
    graph: Graph,
    /// The name of the node at work, for those of the graph.
    label: &'a str,
    made: HashMap<&'a str, Made>,
    /// The nodes that read each name, once per use.
    readers: HashMap<&'a str, Vec<usize>>,
    outputs: HashSet<&'a str>,
    /// Nodes that became part of an earlier one.
    done: HashSet<usize>,
    tensor_names: Names,
    node_names: Names,
    /// The node that made a tensor, and the name in the file that the tensor was made for.
    makers: HashMap<TensorId, (NodeId, &'a str)>,
    /// Arrangements that exist: tensor, places in memory and shape.
    arranged: HashMap<(TensorId, Vec<usize>, Vec<usize>), TensorId>,
    /// Float versions of quantised tensors.
    dequantized: HashMap<TensorId, TensorId>,
    transposes: usize,
    unsupported: Vec<String>,
}

/// Converts a parsed file.
pub fn convert(
    model: &Model<'_>,
    external: &External,
    options: &Options,
    budget: &mut Budget,
) -> Result<Imported, OnnxError> {
    let mut converter = Converter::new(model, external, budget)?;
    let inputs = converter.add_inputs(options)?;
    converter.all_nodes()?;
    converter.finish(inputs)
}

/// Converts as far as it goes and gives the outputs that are constants.
pub fn constants(
    model: &Model<'_>,
    options: &Options,
    budget: &mut Budget,
) -> Result<Vec<(String, Constant)>, OnnxError> {
    let external = External::new();
    let mut converter = Converter::new(model, &external, budget)?;
    converter.add_inputs(options)?;
    converter.all_nodes()?;
    let mut found = Vec::new();
    for output in &model.outputs {
        let made = converter.made(output.name, "output");
        let error =
            |source| OnnxError::Node { index: model.nodes.len(), name: String::new(), op: "output".into(), source };
        if let Some(Made::Constant(constant)) = made.map_err(error)? {
            found.push((output.name.to_owned(), constant.as_ref().clone()));
        }
    }
    Ok(found)
}

/// Every tensor with values in the file.
pub fn tensors<'m, 'a>(model: &'m Model<'a>) -> impl Iterator<Item = &'m TensorDef<'a>> {
    let attributes = model.nodes.iter().flat_map(|n| &n.attributes);
    let values = attributes.filter_map(|a| match &a.value {
        AttributeValue::Tensor(def) => Some(def),
        _ => None,
    });
    model.initializers.iter().chain(values)
}

impl<'m, 'a> Converter<'m, 'a> {
    fn new(model: &'m Model<'a>, external: &'m External, budget: &'m mut Budget) -> Result<Self, OnnxError> {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in model.nodes.iter().enumerate() {
            for name in node.inputs.iter().filter(|n| !n.is_empty()) {
                budget.take(128)?;
                readers.entry(name).or_default().push(index);
            }
        }
        let mut made = HashMap::new();
        for (index, def) in model.initializers.iter().enumerate() {
            budget.take(256)?;
            made.insert(def.name, Made::Stored(index));
        }
        Ok(Self {
            model,
            external,
            budget,
            graph: Graph::new(model.name),
            label: "",
            made,
            readers,
            outputs: model.outputs.iter().map(|o| o.name).collect(),
            done: HashSet::new(),
            tensor_names: Names::default(),
            node_names: Names::default(),
            makers: HashMap::new(),
            arranged: HashMap::new(),
            dequantized: HashMap::new(),
            transposes: 0,
            unsupported: Vec::new(),
        })
    }

    fn all_nodes(&mut self) -> Result<(), OnnxError> {
        let model = self.model;
        for (index, node) in model.nodes.iter().enumerate() {
            if self.done.contains(&index) {
                continue;
            }
            let call = Call { node, opset: model.opset };
            match self.node(&call) {
                Ok(()) => (),
                Err(NodeProblem::Unsupported) => {
                    let name = super::error::named(node.name);
                    self.unsupported.push(format!("{} (node {index}{name})", call.op()));
                    self.outputs_unknown(node);
                }
                Err(source) if self.unsupported.is_empty() => {
                    return Err(OnnxError::Node { index, name: node.name.into(), op: call.op(), source });
                }
                // The list of what is not supported comes first; this may be a consequence.
                Err(_) => self.outputs_unknown(node),
            }
        }
        match self.unsupported.is_empty() {
            true => Ok(()),
            false => Err(OnnxError::Unsupported { nodes: core::mem::take(&mut self.unsupported) }),
        }
    }

    fn outputs_unknown(&mut self, node: &NodeDef<'a>) {
        for name in &node.outputs {
            self.made.insert(name, Made::Unknown);
        }
    }

    /// One node: computed now if it can be, else translated.
    fn node(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.budget.take(64)?;
        self.label = call.node.name;
        let unknown = |name: &&str| matches!(self.made.get(name), Some(Made::Unknown));
        if call.node.inputs.iter().any(unknown) {
            self.outputs_unknown(call.node);
            return if is_known(call) { Ok(()) } else { Err(NodeProblem::Unsupported) };
        }
        if let Some(results) = self.fold(call)? {
            for (name, constant) in call.node.outputs.iter().zip(results) {
                self.set(name, Made::Constant(Rc::new(constant)))?;
            }
            return Ok(());
        }
        self.translate(call)
    }

    fn finish(mut self, inputs: Vec<Port>) -> Result<Imported, OnnxError> {
        let model = self.model;
        let mut outputs = Vec::with_capacity(model.outputs.len());
        for info in &model.outputs {
            let refuse = |source| OnnxError::Output { name: info.name.into(), source };
            match self.made.get(info.name).cloned() {
                Some(Made::Value(value)) => {
                    let (id, port) = self.output(info.name, info.element, value).map_err(|source| OnnxError::Node {
                        index: model.nodes.len(),
                        name: info.name.into(),
                        op: "output".into(),
                        source,
                    })?;
                    self.graph.outputs.push(id);
                    outputs.push(port);
                }
                Some(Made::Constant(_) | Made::Stored(_)) => return Err(refuse(OutputProblem::Constant)),
                Some(Made::Unknown) | None => return Err(refuse(OutputProblem::NotMade)),
            }
        }
        let mut graph = self.graph;
        graph.meta.properties.insert("source".into(), "onnx".into());
        graph.validate()?;
        let transposes_left = graph.nodes.iter().filter(|n| n.op.kind() == "transpose").count();
        Ok(Imported { graph, inputs, outputs, transposes: self.transposes, transposes_left })
    }
}

/// Defines which operators there are, and what translates each.
macro_rules! operators {
    ($($name:literal $(| $more:literal)* => $method:ident $(($($argument:expr),*))?,)*) => {
        /// Operators that become operations of the graph; those of another domain have it in front.
        pub const OPERATORS: &[&str] = &[$($name $(, $more)*),*];

        /// Whether the operator is supported at all; its inputs may still be of a kind that is not.
        fn is_known(call: &Call<'_, '_>) -> bool {
            matches!(call.key(), $($name $(| $more)*)|*) || fold::is_known(call.key())
        }

        impl<'m, 'a> Converter<'m, 'a> {
            /// Adds what computes the node on the device.
            fn translate(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
                match call.key() {
                    $($name $(| $more)* => self.$method(call, $($($argument),*)?),)*
                    _ => Err(NodeProblem::Unsupported),
                }
            }
        }
    };
}

use crate::graph::Activation;
use crate::graph::ops::Reduction;
use elementwise::Binary;
use pool::PoolKind;

operators!(
    "Conv" => conv,
    "ConvTranspose" => conv_transpose,
    "Gemm" => gemm,
    "MatMul" => matmul,
    "Add" => binary(Binary::Add),
    "Sub" => binary(Binary::Sub),
    "Mul" => binary(Binary::Mul),
    "Div" => binary(Binary::Div),
    "Min" => variadic(Binary::Min),
    "Max" => variadic(Binary::Max),
    "Sum" => variadic(Binary::Add),
    "Pow" => power,
    "Relu" => activation(Activation::Relu),
    "Sigmoid" => activation(Activation::Sigmoid),
    "Tanh" => activation(Activation::Tanh),
    "HardSwish" => activation(Activation::HardSwish),
    "Exp" => activation(Activation::Exp),
    "Log" => activation(Activation::Log),
    "Sqrt" => activation(Activation::Sqrt),
    "Abs" => activation(Activation::Abs),
    "Neg" => activation(Activation::Neg),
    "Reciprocal" => activation(Activation::Reciprocal),
    "LeakyRelu" | "Elu" | "HardSigmoid" | "Gelu" => parametric,
    "Erf" => gelu_of_erf,
    "PRelu" => prelu,
    "Clip" => clip,
    "Softmax" => softmax,
    "LogSoftmax" => log_softmax,
    "ReduceMean" => reduce(Reduction::Mean),
    "ReduceSum" => reduce(Reduction::Sum),
    "ReduceMax" => reduce(Reduction::Max),
    "Concat" => concat,
    "Slice" => slice,
    "Split" => split,
    "Gather" => gather,
    "Pad" => pad,
    "Expand" => expand,
    "Resize" | "Upsample" => resize,
    "MaxPool" => pool(PoolKind::Max),
    "AveragePool" => pool(PoolKind::Average),
    "GlobalMaxPool" => global_pool(PoolKind::Max),
    "GlobalAveragePool" => global_pool(PoolKind::Average),
    "BatchNormalization" => batch_normalization,
    "LayerNormalization" => layer_normalization,
    "LSTM" => lstm,
    "GRU" => gru,
    "Flatten" => flatten,
    "Reshape" => reshape,
    "Squeeze" => squeeze,
    "Unsqueeze" => unsqueeze,
    "Transpose" => transpose,
    "Identity" | "Dropout" => identity,
    "Cast" => cast,
    "QuantizeLinear" => quantize_linear,
    "DequantizeLinear" => dequantize_linear,
    "QLinearConv" => qlinear_conv,
    "QLinearMatMul" => qlinear_matmul,
    "com.microsoft:QLinearAdd" => qlinear_binary(Binary::Add),
    "com.microsoft:QLinearMul" => qlinear_binary(Binary::Mul),
    "com.microsoft:QLinearConcat" => qlinear_concat,
    "com.microsoft:QLinearAveragePool" => qlinear_pool(false),
    "com.microsoft:QLinearGlobalAveragePool" => qlinear_pool(true),
    "com.microsoft:QLinearLeakyRelu" | "com.microsoft:QLinearSigmoid" => qlinear_activation,
);
