//! From the file's tensors and operators to a [`Graph`].
//!
//! TFLite shapes carry a batch axis; the graph's do not. An activation of the file has its *full*
//! shape, and its *sample* shape is the same without a leading axis of size 1 (a lone axis stays).
//! A model is converted for one sample; the graph then serves any number of them.

mod constants;
mod elementwise;
mod fold;
mod layers;
mod movement;
mod products;
mod recurrent;
mod shapes;
mod window;

pub use fold::FOLDED;
pub use movement::nearest;

use super::error::{OpProblem, TensorProblem, TfliteError};
use super::model::{Model, Operator};
use super::schema::{OpCode, TensorType, op};
use crate::graph::ops::{Activation, Op, Reduction, Reshape};
use crate::graph::{DType, Graph, Quant, Tensor, TensorId, elements};
use crate::import::budget::{Budget, Exhausted};
use crate::import::names::Names;
use std::collections::HashMap;
use std::rc::Rc;

/// An imported model.
#[derive(Debug, Clone)]
pub struct Imported {
    pub graph: Graph,
    /// The graph's tensor for each of the file's that became an activation.
    pub activations: Vec<Option<TensorId>>,
}

/// What is known about a tensor of the file once something has made it.
#[derive(Debug, Clone)]
enum Made<'a> {
    Activation(Value),
    /// Computed at import.
    Constant(Constant<'a>),
}

/// An activation: its place in the graph and its shape in the file.
#[derive(Debug, Clone)]
struct Value {
    id: TensorId,
    full: Vec<usize>,
}

/// A constant, from a buffer or computed.
#[derive(Debug, Clone)]
struct Constant<'a> {
    shape: Vec<usize>,
    ty: TensorType,
    bytes: Bytes<'a>,
}

/// Bytes of the file, or computed ones that many may share.
#[derive(Debug, Clone)]
enum Bytes<'a> {
    File(&'a [u8]),
    Computed(Rc<[u8]>),
}

impl core::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(bytes) => bytes,
            Self::Computed(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Bytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Computed(bytes.into())
    }
}

/// The shape of one sample.
fn sample(full: &[usize]) -> &[usize] {
    match full {
        [1, rest @ ..] if !rest.is_empty() => rest,
        full => full,
    }
}

/// The conversion in progress.
struct Converter<'m, 'a> {
    model: &'m Model<'a>,
    graph: Graph,
    made: Vec<Option<Made<'a>>>,
    /// Constants that are in the graph already, by number in the file and shape in the graph.
    parameters: HashMap<(usize, Vec<usize>), TensorId>,
    names: Names,
    kinds: HashMap<&'static str, usize>,
    budget: Budget,
}

/// Converts a parsed file.
pub fn convert(model: &Model<'_>, budget: Budget, file: usize) -> Result<Imported, TfliteError> {
    let limit = budget.limit;
    let mut converter = Converter {
        model,
        graph: Graph::new(model.name.clone()),
        made: vec![None; model.tensors.len()],
        parameters: HashMap::new(),
        names: Names::default(),
        kinds: HashMap::new(),
        budget,
    };
    let budget = |problem| match problem {
        OpProblem::Budget => Err(TfliteError::TooLarge { limit, file }),
        problem => Ok(problem),
    };
    for index in &model.inputs {
        if let Err(problem) = converter.add_input(*index) {
            return Err(match budget(problem)? {
                OpProblem::Tensor { index, name, source } => TfliteError::Tensor { index, name, source },
                source => TfliteError::Op { index: 0, op: "input".into(), source },
            });
        }
    }
    for (index, operator) in model.operators.iter().enumerate() {
        if let Err(problem) = converter.operator(operator) {
            let op = model.codes.get(operator.code as usize).map_or_else(|| "?".into(), ToString::to_string);
            return Err(TfliteError::Op { index, op, source: budget(problem)? });
        }
    }
    let mut outputs = Vec::with_capacity(model.outputs.len());
    for index in &model.outputs {
        match converter.made.get(*index) {
            Some(Some(Made::Activation(value))) => outputs.push(value.id),
            _ => {
                let name = model.tensors.get(*index).map(|t| t.name(*index)).unwrap_or_default();
                return Err(TfliteError::Tensor { index: *index, name, source: TensorProblem::OutputNotMade });
            }
        }
    }
    converter.finish(outputs)
}

/// Defines which operators there are, and what translates each.
macro_rules! operators {
    ($($name:ident => $method:ident $(($($argument:expr),*))?,)*) => {
        /// Operators that become operations of the graph, by their names in the schema.
        pub const OPERATORS: &[&str] = &[$(stringify!($name)),*];

        impl<'a> Converter<'_, 'a> {
            /// Adds what computes the operator on the device.
            fn translate(&mut self, code: i32, operator: &Operator<'a>) -> Result<(), OpProblem> {
                match code {
                    $(op::$name => self.$method(operator, $($($argument),*)?),)*
                    _ => Err(OpProblem::Unsupported),
                }
            }
        }
    };
}

operators!(
    CONV_2D => conv2d,
    DEPTHWISE_CONV_2D => depthwise_conv2d,
    AVERAGE_POOL_2D => pool(false),
    MAX_POOL_2D => pool(true),
    FULLY_CONNECTED => dense,
    MEAN => reduce(Reduction::Mean),
    SUM => reduce(Reduction::Sum),
    REDUCE_MAX => reduce(Reduction::Max),
    ADD => binary(op::ADD),
    SUB => binary(op::SUB),
    MUL => binary(op::MUL),
    DIV => binary(op::DIV),
    MINIMUM => binary(op::MINIMUM),
    MAXIMUM => binary(op::MAXIMUM),
    SOFTMAX => softmax,
    LOG_SOFTMAX => log_softmax,
    RELU => activation(Activation::Relu),
    RELU6 => activation(Activation::Relu6),
    RELU_N1_TO_1 => activation(Activation::ReluN1To1),
    LOGISTIC => activation(Activation::Sigmoid),
    TANH => activation(Activation::Tanh),
    HARD_SWISH => activation(Activation::HardSwish),
    ELU => activation(Activation::Elu { alpha: 1.0 }),
    EXP => activation(Activation::Exp),
    LOG => activation(Activation::Log),
    SQRT => activation(Activation::Sqrt),
    ABS => activation(Activation::Abs),
    NEG => activation(Activation::Neg),
    LEAKY_RELU => leaky_relu,
    GELU => gelu,
    PRELU => prelu,
    PAD => pad,
    PADV2 => pad,
    CONCATENATION => concatenation,
    PACK => pack,
    TRANSPOSE => transpose,
    SLICE => slice,
    STRIDED_SLICE => strided_slice,
    SPLIT => split(false),
    SPLIT_V => split(true),
    UNPACK => unpack,
    RESIZE_NEAREST_NEIGHBOR => resize_nearest,
    TRANSPOSE_CONV => transpose_conv,
    BATCH_MATMUL => batch_matmul,
    SVDF => svdf,
    UNIDIRECTIONAL_SEQUENCE_LSTM => lstm,
    QUANTIZE => quantize,
    DEQUANTIZE => dequantize,
    RESHAPE => reshape,
    SQUEEZE => squeeze,
    EXPAND_DIMS => expand_dims,
);

impl<'a> Converter<'_, 'a> {
    fn finish(self, outputs: Vec<TensorId>) -> Result<Imported, TfliteError> {
        let mut graph = self.graph;
        graph.outputs = outputs;
        graph.meta.properties.insert("source".into(), "tflite".into());
        graph.validate()?;
        let id = |made: Option<Made<'_>>| match made {
            Some(Made::Activation(value)) => Some(value.id),
            _ => None,
        };
        Ok(Imported { graph, activations: self.made.into_iter().map(id).collect() })
    }

    /// One operator: computed now if it can be, else translated.
    fn operator(&mut self, operator: &Operator<'a>) -> Result<(), OpProblem> {
        let count = self.model.codes.len();
        let code = self.model.codes.get(operator.code as usize);
        let code = match code.ok_or(OpProblem::Code { found: operator.code, count })? {
            OpCode::Builtin(code) => *code,
            OpCode::Custom(_) => return Err(OpProblem::Unsupported),
        };
        if self.fold(code, operator)? {
            return Ok(());
        }
        self.translate(code, operator)
    }

    /// The number of input `i`; `None` if the operator leaves it out.
    fn input_index(&self, op: &Operator<'a>, i: usize, role: &'static str) -> Result<Option<usize>, OpProblem> {
        let Some(found) = op.inputs.i32().nth(i).filter(|n| *n != -1) else { return Ok(None) };
        let count = self.model.tensors.len();
        let index = usize::try_from(found).ok().filter(|n| *n < count);
        index.map(Some).ok_or(OpProblem::NoSuchTensor { role, found, count })
    }

    /// Input `i`, which is an activation.
    fn value(&self, op: &Operator<'a>, i: usize, role: &'static str) -> Result<Value, OpProblem> {
        let index = self.input_index(op, i, role)?.ok_or(OpProblem::Missing { role })?;
        match self.made.get(index) {
            Some(Some(Made::Activation(value))) => Ok(value.clone()),
            _ if self.constant_at(index)?.is_some() => Err(OpProblem::Constant { role }),
            _ => Err(OpProblem::NotMade { role, tensor: index }),
        }
    }

    /// As many inputs as the operator takes.
    fn expect_inputs(&self, op: &Operator<'a>, expected: core::ops::RangeInclusive<usize>) -> Result<(), OpProblem> {
        let found = op.inputs.len();
        if expected.contains(&found) {
            return Ok(());
        }
        let (least, most) = expected.into_inner();
        let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(OpProblem::Inputs { found, expected })
    }

    fn dtype(&self, value: &Value) -> DType {
        self.graph.tensor(value.id).dtype
    }

    /// The number of the only output, which nothing has made yet.
    fn output_index(&self, op: &Operator<'a>) -> Result<usize, OpProblem> {
        match op.outputs.len() {
            1 => self.output_at(op, 0),
            found => Err(OpProblem::Outputs { found, expected: 1 }),
        }
    }

    /// The number of output `i`, which nothing has made yet.
    fn output_at(&self, op: &Operator<'a>, i: usize) -> Result<usize, OpProblem> {
        let count = self.model.tensors.len();
        let found = op.outputs.i32().nth(i).ok_or(OpProblem::Outputs { found: op.outputs.len(), expected: i + 1 })?;
        let index = usize::try_from(found).ok().filter(|n| *n < count);
        let index = index.ok_or(OpProblem::NoSuchTensor { role: "output", found, count })?;
        if self.made.get(index).is_some_and(Option::is_some) || self.constant_at(index)?.is_some() {
            return Err(OpProblem::MadeTwice { tensor: index });
        }
        Ok(index)
    }

    fn add_input(&mut self, index: usize) -> Result<(), OpProblem> {
        if self.made.get(index).is_some_and(Option::is_some) || self.constant_at(index)?.is_some() {
            return Err(OpProblem::MadeTwice { tensor: index });
        }
        let shape = self.model.tensors.get(index).map_or(Ok(None), |t| t.shape());
        let shape = shape.map_err(|source| self.at_tensor(index, source))?;
        // An unknown leading dimension is the batch, which is ours.
        let shape = shape.or_else(|| self.model.tensors.get(index).and_then(|t| t.shape_for_one()));
        let full = shape.ok_or_else(|| self.at_tensor(index, TensorProblem::UnknownShape))?;
        let id = self.declare(index, &full)?;
        self.graph.inputs.push(id);
        Ok(())
    }

    /// Makes the graph's tensor for an activation of the file.
    fn declare(&mut self, index: usize, full: &[usize]) -> Result<TensorId, OpProblem> {
        let at = |source| self.at_tensor(index, source);
        let tensor = self.model.tensors.get(index).ok_or(OpProblem::Overflow)?;
        tensor.check_quant().map_err(at)?;
        if tensor.variable {
            return Err(at(TensorProblem::Variable));
        }
        let found = tensor.ty;
        let dtype = match found {
            TensorType::F32 => DType::F32,
            TensorType::I8 => DType::I8,
            TensorType::I16 => DType::I16,
            _ => return Err(at(TensorProblem::ActivationType { found })),
        };
        let mut quant = None;
        if dtype != DType::F32 {
            let (scales, zero_points) = (tensor.quant.scales.len(), tensor.quant.zero_points.len());
            if scales == 0 {
                return Err(at(TensorProblem::NotQuantized { found }));
            }
            if scales > 1 || zero_points > 1 {
                return Err(at(TensorProblem::ActivationScales { found: scales.max(zero_points) }));
            }
            let scale = tensor.quant.scales.f32().next().unwrap_or_default();
            let zero_point = tensor.quant.zero_points.i64().next().unwrap_or(0);
            if dtype == DType::I16 && zero_point != 0 {
                return Err(at(TensorProblem::ZeroPointI16 { found: zero_point }));
            }
            let error = TensorProblem::ZeroPoint { found: zero_point };
            let zero_point = i32::try_from(zero_point).map_err(|_| at(error))?;
            quant = Some(Quant::per_tensor(scale, zero_point));
        }
        if full.contains(&0) {
            return Err(at(TensorProblem::Dimension { found: 0 }));
        }
        if elements(full).is_none_or(|n| n > i32::MAX as usize) {
            return Err(at(TensorProblem::TooLarge { shape: full.to_vec() }));
        }
        let name = self.tensor_name(index)?;
        let shape = sample(full).to_vec();
        let id = self.graph.add_tensor(Tensor { quant, ..Tensor::activation(name, shape, dtype) });
        let value = Value { id, full: full.to_vec() };
        if let Some(made) = self.made.get_mut(index) {
            *made = Some(Made::Activation(value));
        }
        Ok(id)
    }

    /// Adds a node for `op`, whose output has the given full shape in the file.
    ///
    /// `made` is the shape that the node itself makes; a reshape follows if the file's differs.
    fn emit(
        &mut self,
        op: &Operator<'a>,
        node: impl Into<Op>,
        inputs: &[TensorId],
        made: &[usize],
        full: &[usize],
    ) -> Result<TensorId, OpProblem> {
        self.emit_to(self.output_index(op)?, node, inputs, made, full)
    }

    /// [`Converter::emit`] to tensor `index` of the file.
    fn emit_to(
        &mut self,
        index: usize,
        node: impl Into<Op>,
        inputs: &[TensorId],
        made: &[usize],
        full: &[usize],
    ) -> Result<TensorId, OpProblem> {
        self.check_declared(index, full)?;
        let output = self.declare(index, full)?;
        let node = node.into();
        if !matches!(node, Op::Quantize(_) | Op::Dequantize(_))
            && let Some(input) = inputs.first()
        {
            let (expected, found) = (self.graph.tensor(*input).dtype, self.graph.tensor(output).dtype);
            if expected != found {
                return Err(OpProblem::Types { role: "output", found, expected });
            }
        }
        if made == sample(full) {
            self.node(node, inputs, output)?;
        } else {
            let between = self.like(output, made)?;
            self.node(node, inputs, between)?;
            self.node(Reshape::new(sample(full)).into(), &[between], output)?;
        }
        Ok(output)
    }

    /// The file gives shapes for what operators make; they must agree, as far as they are known.
    fn check_declared(&self, index: usize, full: &[usize]) -> Result<(), OpProblem> {
        let declared = self.model.tensors.get(index).map_or(Ok(None), |t| t.shape());
        let declared = declared.map_err(|source| self.at_tensor(index, source))?;
        match declared {
            // An empty shape also stands for one that the converter did not know.
            Some(found) if !found.is_empty() && found != full => {
                Err(OpProblem::OutputShape { found, made: full.to_vec() })
            }
            _ => Ok(()),
        }
    }

    fn node(&mut self, op: Op, inputs: &[TensorId], output: TensorId) -> Result<(), OpProblem> {
        self.nodes(op, inputs, &[output])
    }

    /// [`Converter::node`] with several outputs.
    fn nodes(&mut self, op: Op, inputs: &[TensorId], outputs: &[TensorId]) -> Result<(), OpProblem> {
        self.take(200 + inputs.len() * 4)?;
        let kind = op.kind();
        let count = self.kinds.entry(kind).or_insert(0);
        let name = if *count == 0 { kind.to_owned() } else { format!("{kind}_{count}") };
        *count += 1;
        self.graph.add_node(name, op, inputs, outputs);
        Ok(())
    }

    /// A tensor between two nodes, typed and quantised like another one.
    fn like(&mut self, tensor: TensorId, shape: &[usize]) -> Result<TensorId, OpProblem> {
        let model = self.graph.tensor(tensor);
        let (name, dtype, quant) = (format!("{}/inner", model.name), model.dtype, model.quant.clone());
        self.take(name.len() * 2 + 400)?;
        let name = self.names.unique(&name);
        Ok(self.graph.add_tensor(Tensor { quant, ..Tensor::activation(name, shape, dtype) }))
    }

    /// The value under another sample shape of as many elements.
    fn reshaped(&mut self, value: &Value, shape: &[usize]) -> Result<TensorId, OpProblem> {
        if sample(&value.full) == shape {
            return Ok(value.id);
        }
        let output = self.like(value.id, shape)?;
        self.node(Reshape::new(shape).into(), &[value.id], output)?;
        Ok(output)
    }

    /// A name for one of the file's tensors that no other tensor of the graph has.
    fn tensor_name(&mut self, index: usize) -> Result<String, OpProblem> {
        let Some(tensor) = self.model.tensors.get(index) else { return Err(OpProblem::Overflow) };
        // Name, the copy that keeps it unique, and the tensor itself.
        self.take(tensor.name_bytes() * 2 + 400)?;
        let name = tensor.name(index);
        Ok(self.names.unique(&name))
    }

    fn take(&mut self, bytes: usize) -> Result<(), OpProblem> {
        self.budget.take(bytes).map_err(|Exhausted| OpProblem::Budget)
    }

    fn at_tensor(&self, index: usize, source: TensorProblem) -> OpProblem {
        let name = self.model.tensors.get(index).map(|t| t.name(index)).unwrap_or_default();
        OpProblem::Tensor { index, name, source }
    }
}

/// The fused activation by its number in the file.
fn fused(code: u8) -> Result<Activation, OpProblem> {
    match code {
        0 => Ok(Activation::Linear),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        found => Err(OpProblem::Option {
            option: "fused activation",
            found: found.to_string(),
            expected: "0 (none), 1 (relu), 2 (relu n1 to 1) or 3 (relu6)",
        }),
    }
}
