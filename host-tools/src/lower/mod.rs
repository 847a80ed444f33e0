//! Graph to program: which steps run in which order, on what, and where everything lies.
//!
//! [`lower`] writes the inference plan and, if asked, differentiates and writes the training plan:
//! forward, loss, backward and updates as plain steps. Both share the parameters. Then every buffer
//! gets its place ([`Program::place`]): lifetimes, in-place steps, the best of several packings.
//!
//! | pass | file |
//! |---|---|
//! | forward steps, a file for each family of operations | `forward/` |
//! | loss, backward steps, gradients that meet | `backward/` |
//! | steps for hosts that do several of these at once | `block.rs` |
//! | both again, in 16-bit fixed point | `fixed/` |
//! | what an image is packed for | `choice.rs` |
//! | which loop an int8 layer runs in | `loops/` |
//! | f32 weights that nobody changes, as hosts read them | `constant.rs` |
//! | steps over named buffers | `program.rs` |
//! | layers that compute some rows at a time | `stream/` |
//! | lifetimes and places | `place.rs`, `parts.rs`, `pack.rs` |

mod backward;
mod block;
mod choice;
mod constant;
mod error;
mod fixed;
mod forward;
pub mod loops;
mod pack;
mod parts;
mod place;
mod program;
mod stream;

#[cfg(test)]
mod cell_tests;
#[cfg(test)]
mod tests;

use choice::Way;
pub use choice::{Optimize, Precision};
pub use error::LowerError;
pub use pack::{Item, Packing, pack};
pub use program::{
    BUFFER_ALIGN, Buffer, BufferId, Encoded, Home, LINE_ALIGN, Layout, Overlay, Port, PortType, Program, Sequence,
    StepSpec, Use,
};

use crate::graph::{Data, Graph, Node, NodeId, Selection, Tensor, TensorId};
use crate::image::LayerInfo;
use crate::passes;
use embernet_core::arch::IsaId;
use embernet_core::kernels::copy;
use embernet_core::optim::OptimizerRecord;
use loops::May;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use stream::Bands;

/// What training minimises: the mean over the samples of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy of softmax, against class indices.
    #[default]
    SparseCrossEntropy,
    /// Cross-entropy of softmax, against a distribution over the classes (one-hot rows).
    CrossEntropy,
    /// Mean of squared differences.
    MeanSquaredError,
}

impl Loss {
    /// The name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SparseCrossEntropy => "sparse_cross_entropy",
            Self::CrossEntropy => "cross_entropy",
            Self::MeanSquaredError => "mean_squared_error",
        }
    }
}

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// Update rule and settings.
    pub optimizer: OptimizerRecord,
    /// What is made small.
    pub loss: Loss,
    /// Most samples in one update.
    pub batch: usize,
    /// What learns; `None`: as the graph says.
    pub layers: Option<Selection>,
    /// Layers whose output is not kept for the backward pass but computed again where it needs it. Results do not depend
    /// on it. Hosts keep everything.
    pub recompute: Vec<String>,
    /// Layers whose output, f32, is kept for the backward pass as int8 with a scale for each block: a little more than a
    /// quarter of the bytes, and gradients that differ a little. Everybody computes the same; what is computed again, or
    /// is no f32, cannot be kept so.
    pub compress: Vec<String>,
}

impl Default for TrainOptions {
    /// Plain gradient descent, one sample at a time.
    fn default() -> Self {
        let (recompute, compress) = (Vec::new(), Vec::new());
        Self {
            optimizer: OptimizerRecord::sgd(0.01),
            loss: Loss::default(),
            batch: 1,
            layers: None,
            recompute,
            compress,
        }
    }
}

/// What to lower for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Most samples in one inference.
    pub samples: usize,
    /// Scratch is sized and int8 weights are laid out for this instruction set.
    pub isa: IsaId,
    /// What is made small where a layer can be computed in several ways.
    pub optimize: Optimize,
    /// The numbers that a float graph is computed in.
    pub precision: Precision,
    /// Also write a training plan.
    pub train: Option<TrainOptions>,
    /// Elements of scratch for gradient tiles; `None` chooses. The results do not depend on it.
    pub tile: Option<usize>,
    /// Whether buffers may share memory. Without it every tensor can be read after the last step:
    /// for layer dumps and tests.
    pub reuse: bool,
    /// Bytes that the target has for the arena, if known: where whole layers take more, layers compute some rows at a
    /// time whatever the aim is.
    pub room: Option<usize>,
}

impl Default for Options {
    /// One sample, no training, for a device.
    fn default() -> Self {
        Self {
            samples: 1,
            isa: IsaId::Scalar,
            optimize: Optimize::Speed,
            precision: Precision::F32,
            train: None,
            tile: None,
            reuse: true,
            room: None,
        }
    }
}

/// Makes a program of a graph, with every buffer placed.
///
/// The graph is simplified first ([`passes`]), unless every tensor has to stay.
pub fn lower(graph: &Graph, options: &Options) -> Result<Program, LowerError> {
    let passes::Prepared { graph: prepared, report, pieces } = passes::prepare(graph, options)?;
    let program = choice::choose(options, |way| lower_with(&prepared, options, way));
    let mut program = program.map_err(|error| error.of_layers(graph))?;
    program.simplified = report;
    program.pieces = pieces;
    Ok(program)
}

/// A program of a simplified graph. With [`Way::bands`] layers compute some rows at a time, and those named there are laid out
/// for that; the result has how many rows each of them came to compute.
fn lower_with(graph: &Graph, options: &Options, way: Way<'_>) -> Result<(Program, Bands), LowerError> {
    let mut lowering = Lowering::new(graph, options)?;
    lowering.bands = way.bands.cloned().unwrap_or_default();
    lowering.may = way.may;
    lowering.program.infer = lowering.inference()?;
    if let Some(train) = &options.train {
        lowering.program.train = Some(lowering.training(train)?);
    }
    let mut program = lowering.program;
    let bands = if way.bands.is_some() { stream::stream(&mut program)? } else { Bands::new() };
    let align = if options.isa.packs() { LINE_ALIGN } else { BUFFER_ALIGN };
    program.place(options.reuse, align)?;
    Ok((program, bands))
}

/// What both plans share while they are written.
struct Lowering<'g> {
    graph: &'g Graph,
    options: &'g Options,
    program: Program,
    /// Parameters and other constants that already have a buffer.
    constants: HashMap<TensorId, BufferId>,
    order: Vec<NodeId>,
    bands: Bands,
    may: May,
}

/// One plan while it is written.
struct Emit<'l, 'g> {
    lowering: &'l mut Lowering<'g>,
    sequence: Sequence,
    /// The buffer that holds each tensor's value, by tensor number.
    values: Vec<Option<BufferId>>,
    /// Whether this is the training plan.
    training: bool,
    /// Statistics of each batch normalisation that learns.
    moments: HashMap<NodeId, BufferId>,
    /// The nodes that read each tensor, by tensor number.
    consumers: Vec<Vec<NodeId>>,
    /// Convolutions that were lowered together with the pool behind them.
    blocks: HashMap<NodeId, block::Pooled>,
    /// Tensors that nobody keeps for the backward pass.
    again: backward::Again,
    /// Tensors that are kept in fewer bits for the backward pass.
    compressed: backward::Compressed,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph, options: &'g Options) -> Result<Self, LowerError> {
        if options.samples == 0 {
            return Err(LowerError::Batch { found: 0 });
        }
        let order = graph.order()?;
        let program = Program { layers: layers(graph), ..Program::default() };
        let (constants, bands) = (HashMap::new(), Bands::new());
        let mut lowering = Self { graph, options, program, constants, order, bands, may: May::default() };
        // Only a program that trains has parameters in the arena. They come first and in the order
        // of the graph, whichever plan uses them first.
        if options.train.is_some() {
            for id in graph.parameter_tensors() {
                let tensor = graph.tensor(id);
                if tensor.trainable && tensor.data.is_some() {
                    lowering.keep(id);
                }
            }
        }
        Ok(lowering)
    }

    /// The buffer of a constant that is kept in the arena.
    fn keep(&mut self, id: TensorId) -> BufferId {
        if let Some(buffer) = self.constants.get(&id) {
            return *buffer;
        }
        let tensor = self.graph.tensor(id);
        let home = Home::Parameter { tensor: id, initial: self.encoded(tensor) };
        let buffer = self.program.add(tensor.name.clone(), home);
        self.constants.insert(id, buffer);
        buffer
    }

    /// Whether floats are computed in 16-bit fixed point.
    fn is_fixed(&self) -> bool {
        self.options.precision == Precision::Fixed16
    }

    /// The inference plan.
    fn inference(&mut self) -> Result<Sequence, LowerError> {
        let samples = self.options.samples;
        let order = self.order.clone();
        let mut emit = Emit::new(self, samples);
        for id in order {
            emit.forward(id)?;
        }
        for id in emit.graph().outputs.clone() {
            let mut port = emit.port(id)?;
            if emit.lowering.program.buffer(port.buffer).home != Home::Transient {
                return Err(LowerError::ConstantOutput { tensor: port.name });
            }
            if emit.lowering.is_fixed() {
                port.buffer = emit.fixed_output(id, port.buffer);
            } else if emit.sequence.inputs.iter().any(|i| i.buffer == port.buffer) {
                port.buffer = emit.copy_of(id, port.buffer);
            }
            emit.sequence.outputs.push(port);
        }
        Ok(emit.finish())
    }
}

impl<'l, 'g> Emit<'l, 'g> {
    fn new(lowering: &'l mut Lowering<'g>, samples: usize) -> Self {
        let graph = lowering.graph;
        let values = vec![None; graph.tensors.len()];
        let sequence = Sequence { samples, ..Sequence::default() };
        let (moments, consumers, blocks) = (HashMap::new(), graph.consumers(), HashMap::new());
        let (again, compressed) = (backward::Again::default(), backward::Compressed::default());
        let training = false;
        let mut emit = Self { lowering, sequence, values, training, moments, consumers, blocks, again, compressed };
        for id in &graph.inputs {
            let tensor = graph.tensor(*id);
            let buffer = emit.lowering.program.transient(tensor.name.clone());
            emit.values[id.index()] = Some(buffer);
            emit.sequence.inputs.push(port(tensor, buffer));
        }
        if emit.lowering.is_fixed() {
            emit.fixed_inputs();
        }
        emit
    }

    fn finish(mut self) -> Sequence {
        self.sequence.values = self.values;
        self.sequence
    }

    fn graph(&self) -> &'g Graph {
        self.lowering.graph
    }

    fn tensor(&self, id: TensorId) -> &'g Tensor {
        self.lowering.graph.tensor(id)
    }

    /// The buffer with this tensor's value: made before (order is topological), or a constant.
    fn value(&mut self, id: TensorId) -> BufferId {
        if let Some(buffer) = self.values[id.index()] {
            return self.decompressed(buffer);
        }
        if let Some(buffer) = self.compute_again(id) {
            return buffer;
        }
        let buffer = match self.lowering.constants.get(&id) {
            Some(buffer) => *buffer,
            None => {
                let tensor = self.tensor(id);
                let home = Home::Data(self.lowering.encoded(tensor));
                let buffer = self.lowering.program.add(tensor.name.clone(), home);
                self.lowering.constants.insert(id, buffer);
                buffer
            }
        };
        self.values[id.index()] = Some(buffer);
        buffer
    }

    /// The buffer with a data input's value, one for each sample: a constant is repeated.
    fn per_sample(&mut self, node: &Node, index: usize) -> BufferId {
        let id = node.inputs[index];
        match &self.tensor(id).data {
            Some(data) if self.sequence.samples > 1 => {
                let home = Home::Data(data.to_le_bytes().repeat(self.sequence.samples));
                self.lowering.program.add(self.tensor(id).name.clone(), home)
            }
            _ => self.value(id),
        }
    }

    /// A new buffer for the node's (first) output.
    fn output(&mut self, node: &Node) -> BufferId {
        self.output_at(node, 0)
    }

    /// A new buffer for one of the node's outputs.
    fn output_at(&mut self, node: &Node, index: usize) -> BufferId {
        let id = node.outputs[index];
        let buffer = self.lowering.program.transient(self.tensor(id).name.clone());
        self.values[id.index()] = Some(buffer);
        buffer
    }

    /// An input under another name as an output: the caller may write inputs while it still reads outputs.
    fn copy_of(&mut self, id: TensorId, input: BufferId) -> BufferId {
        let tensor = self.tensor(id);
        let copy = self.lowering.program.transient(tensor.name.clone());
        let bytes = word(tensor.bytes());
        self.sequence.push(&tensor.name, None, move |p| copy::Copy { bytes, x: p.at(input), y: p.at(copy) });
        copy
    }

    fn port(&mut self, id: TensorId) -> Result<Port, LowerError> {
        let buffer = self.value(id);
        Ok(port(self.tensor(id), buffer))
    }

    /// Table data for one node.
    fn table(&mut self, node: &Node, what: &str, data: &Data) -> BufferId {
        self.lowering.program.add(format!("{}/{what}", node.name), Home::Data(data.to_le_bytes()))
    }
}

fn layers(graph: &Graph) -> Vec<LayerInfo> {
    let layer = |node: &Node| {
        let output = graph.tensor(node.outputs[0]);
        let (scale, zero_point) = output.quant.as_ref().and_then(|q| q.single()).unwrap_or((0.0, 0));
        LayerInfo {
            name: node.name.clone(),
            shape: output.shape.iter().map(|d| word(*d)).collect(),
            macs: graph.node_macs(node),
            scale,
            zero_point,
        }
    };
    graph.nodes.iter().map(layer).collect()
}

fn port(tensor: &Tensor, buffer: BufferId) -> Port {
    let (scale, zero_point) = tensor.quant.as_ref().and_then(|q| q.single()).unwrap_or((1.0, 0));
    Port {
        name: tensor.name.clone(),
        buffer,
        dtype: PortType::Tensor(tensor.dtype),
        shape: tensor.shape.clone(),
        scale,
        zero_point,
    }
}

fn unsupported(node: &Node, what: impl Into<String>) -> LowerError {
    LowerError::Unsupported { node: node.name.clone(), op: node.op.kind(), what: what.into() }
}

/// Dimensions as the image's 32-bit words; too large ones become 0, which every record refuses.
fn word(dimension: usize) -> u32 {
    u32::try_from(dimension).unwrap_or(0)
}
