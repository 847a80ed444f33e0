//! Channels that are constant, or that nobody looks at, are removed.
//!
//! Quantised networks often have channels whose weights are all zero. Such a channel of a layer is
//! `activation(bias)` everywhere, borders included, and so are the channels that pools and depthwise
//! convolutions make of it, as long as their padding holds the same value. A chain of such layers ends
//! in one that mixes channels; its bias takes what the constant channel added.
//!
//! That must be exact. Integers: the constant is the zero point and adds nothing, or no window of the
//! last layer reaches into padding and the sum goes into the bias. Floats: the constant is 0, since
//! another order of additions would round differently. Whatever cannot be proved this way stays.

use super::editor::Editor;
use super::evaluate::evaluate;
use crate::graph::ops::Window;
use crate::graph::{DType, Data, NodeId, Op, Tensor, TensorId};

/// Gives the number of channels removed.
pub fn run(editor: &mut Editor) -> usize {
    let mut removed = 0;
    for id in editor.nodes() {
        let Some(chain) = Chain::from(editor, id) else { continue };
        let Some(plan) = chain.plan(editor) else { continue };
        removed += plan.drop.iter().filter(|d| **d).count();
        chain.apply(editor, &plan);
    }
    removed
}

/// Layers that hand channels on one by one, between a layer that makes them and one that mixes them.
struct Chain {
    first: NodeId,
    between: Vec<NodeId>,
    last: NodeId,
    channels: usize,
}

/// Which channels go, and the bias of the last layer afterwards.
struct Plan {
    drop: Vec<bool>,
    bias: Option<Data>,
}

/// A real or integer constant per channel; `None` where the channel is no constant.
type Constants = Vec<Option<f64>>;

impl Chain {
    /// The chain that begins at a layer, if it is one that this pass understands.
    fn from(editor: &Editor, first: NodeId) -> Option<Self> {
        let channels = match &editor.node(first).op {
            Op::Conv2d(op) if op.groups == 1 => op.filters,
            Op::Dense(op) => op.units,
            _ => return None,
        };
        let mut between = Vec::new();
        let mut at = first;
        own_parameters(editor, first)?;
        let last = loop {
            let value = editor.output(at);
            let next = editor.only_reader(value)?;
            match &editor.node(next).op {
                Op::Conv2d(op) if op.groups == 1 => break next,
                Op::Dense(_) => break next,
                Op::DepthwiseConv2d(op) if op.depth_multiplier == 1 => {
                    own_parameters(editor, next)?;
                    // One kernel for each channel; an axis of several times as many would have more.
                    if editor.tensor(value).shape.last() != Some(&channels) {
                        return None;
                    }
                }
                Op::MaxPool2d(_) | Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) | Op::GlobalMaxPool2d(_) => {}
                Op::Activation(_) | Op::Flatten(_) | Op::Reshape(_) => {}
                _ => return None,
            }
            // Channels stay innermost, so that the number of an element tells its channel.
            if !editor.tensor(editor.output(next)).shape.last()?.is_multiple_of(channels) {
                return None;
            }
            between.push(next);
            at = next;
        };
        own_parameters(editor, last)?;
        Some(Self { first, between, last, channels })
    }

    fn plan(&self, editor: &Editor) -> Option<Plan> {
        let kernel = Kernel::of(editor, self.first)?;
        let mut constants: Constants = vec![None; self.channels];
        if let Some(value) = values(editor, self.first, &constants, &kernel.zero) {
            constants = value;
        }
        for id in &self.between {
            let zero = match &editor.node(*id).op {
                Op::DepthwiseConv2d(_) => Kernel::of(editor, *id)?.zero,
                _ => vec![false; self.channels],
            };
            constants = values(editor, *id, &constants, &zero).unwrap_or_else(|| vec![None; self.channels]);
        }
        let last = Mixer::of(editor, self.last, self.channels)?;
        let mut drop: Vec<bool> = (0..self.channels).map(|c| last.can_drop(c, constants[c])).collect();
        // A layer without channels would be none.
        if drop.iter().all(|d| *d) {
            drop[0] = false;
        }
        let bias = if drop.contains(&true) { last.bias(&drop, &constants) } else { return None };
        bias.map(|bias| Plan { drop, bias })
    }

    fn apply(&self, editor: &mut Editor, plan: &Plan) {
        let keep: Vec<bool> = plan.drop.iter().map(|d| !d).collect();
        let left = keep.iter().filter(|k| **k).count();
        match &mut editor.node_mut(self.first).op {
            Op::Conv2d(op) => op.filters = left,
            Op::Dense(op) => op.units = left,
            _ => {}
        }
        for id in std::iter::once(self.first).chain(self.between.iter().copied()) {
            if let Op::Reshape(op) = &mut editor.node_mut(id).op
                && let Some(size) = op.shape.last_mut()
            {
                *size = *size / self.channels * left;
            }
            let depthwise = matches!(editor.node(id).op, Op::DepthwiseConv2d(_));
            for parameter in editor.node(id).parameters().to_vec() {
                // Kernels of depthwise layers have their channels last; a bias has one axis.
                let tensor = editor.tensor_mut(parameter);
                let axis = if depthwise { tensor.shape.len() - 1 } else { 0 };
                narrow(tensor, axis, &keep);
            }
            let output = editor.output(id);
            let shape = &mut editor.tensor_mut(output).shape;
            if let Some(size) = shape.last_mut() {
                *size = *size / self.channels * left;
            }
        }
        let parameters = editor.node(self.last).parameters().to_vec();
        let kernel = editor.tensor_mut(parameters[0]);
        let axis = kernel.shape.len() - 1;
        let repeated: Vec<bool> = keep.iter().copied().cycle().take(kernel.shape[axis]).collect();
        narrow(kernel, axis, &repeated);
        if let (Some(bias), Some(id)) = (&plan.bias, parameters.get(1)) {
            editor.tensor_mut(*id).data = Some(bias.clone());
        }
    }
}

/// Whether the node's parameters are frozen and nobody else's.
fn own_parameters(editor: &Editor, id: NodeId) -> Option<()> {
    let own = |t: &TensorId| editor.constant(*t).is_some() && editor.only_reader(*t) == Some(id);
    editor.node(id).parameters().iter().all(own).then_some(())
}

/// Weights seen along one axis.
struct Kernel {
    weights: Vec<f32>,
    /// Whether all weights of an index are zero.
    zero: Vec<bool>,
    /// Whether all of them are numbers.
    finite: Vec<bool>,
}

impl Kernel {
    /// Output channels of a layer.
    fn of(editor: &Editor, id: NodeId) -> Option<Self> {
        let node = editor.node(id);
        let tensor = editor.tensor(*node.parameters().first()?);
        let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
        Self::along(tensor, if depthwise { tensor.shape.len() - 1 } else { 0 })
    }

    fn along(tensor: &Tensor, axis: usize) -> Option<Self> {
        if tensor.quant.as_ref().is_some_and(|q| q.zero_points.iter().any(|z| *z != 0)) {
            return None;
        }
        let weights: Vec<f32> = match tensor.data.as_ref()? {
            Data::F32(v) => v.clone(),
            Data::I8(v) => v.iter().map(|w| f32::from(*w)).collect(),
            _ => return None,
        };
        let size = *tensor.shape.get(axis)?;
        let inner: usize = tensor.shape.get(axis + 1..)?.iter().product();
        let (mut zero, mut finite) = (vec![true; size], vec![true; size]);
        for (i, weight) in weights.iter().enumerate() {
            let index = i / inner % size;
            zero[index] &= *weight == 0.0;
            finite[index] &= weight.is_finite();
        }
        Some(Self { weights, zero, finite })
    }
}

/// The layer that ends a chain.
struct Mixer<'e> {
    /// `[out][taps][in]`, seen along `in`.
    kernel: Kernel,
    outputs: usize,
    channels: usize,
    bias: Option<&'e Data>,
    /// The value that adds nothing: the zero point of the input.
    idle: f64,
    /// Whether products with a constant may move into the bias.
    movable: bool,
    /// Whether the bias has a -0.0, which even an added 0.0 would change.
    signed_zero: bool,
}

impl<'e> Mixer<'e> {
    fn of(editor: &'e Editor, id: NodeId, channels: usize) -> Option<Self> {
        let node = editor.node(id);
        let input = editor.tensor(node.inputs[0]);
        let parameters = node.parameters();
        let kernel = editor.tensor(*parameters.first()?);
        let integer = matches!(input.dtype, DType::I8 | DType::I16);
        let padded = match &node.op {
            Op::Conv2d(op) => is_padded(&op.window(), &input.shape)?,
            _ => false,
        };
        let bias = parameters.get(1).and_then(|t| editor.constant(*t));
        let negative = |b: &f32| b.to_bits() == (-0.0f32).to_bits();
        Some(Self {
            kernel: Kernel::along(kernel, kernel.shape.len() - 1)?,
            outputs: *kernel.shape.first()?,
            channels,
            bias,
            signed_zero: bias.and_then(Data::as_f32).is_some_and(|bias| bias.iter().any(negative)),
            idle: input.quant.as_ref().and_then(|q| q.single()).map_or(0.0, |(_, zero)| f64::from(zero)),
            movable: integer && !padded && parameters.len() == 2,
        })
    }

    /// Indices of the kernel's last axis that read the channel.
    fn columns(&self, channel: usize) -> impl Iterator<Item = usize> {
        (channel..self.kernel.zero.len()).step_by(self.channels)
    }

    fn can_drop(&self, channel: usize, constant: Option<f64>) -> bool {
        // `0 * w` adds nothing only if the weight is a number.
        let idle = constant == Some(self.idle) && self.columns(channel).all(|i| self.kernel.finite[i]);
        let unread = || self.columns(channel).all(|i| self.kernel.zero[i]);
        !self.signed_zero && (idle || unread() || (self.movable && constant.is_some()))
    }

    /// The bias with what dropped channels added; the inner `None` if it stays as it is, the outer one
    /// if it would not fit.
    fn bias(&self, drop: &[bool], constants: &Constants) -> Option<Option<Data>> {
        if !self.movable {
            return Some(None);
        }
        let columns = self.kernel.zero.len();
        let taps = self.kernel.weights.len() / columns / self.outputs;
        let mut sums = vec![0i64; self.outputs];
        for channel in drop.iter().enumerate().filter(|(_, d)| **d).map(|(c, _)| c) {
            let Some(value) = constants[channel] else { continue };
            let value = (value - self.idle) as i64;
            for column in self.columns(channel) {
                for (row, weight) in self.kernel.weights.iter().skip(column).step_by(columns).enumerate() {
                    sums[row / taps] += value * *weight as i64;
                }
            }
        }
        if sums.iter().all(|s| *s == 0) {
            return Some(None);
        }
        let data = match self.bias? {
            Data::I32(bias) => {
                let sum = |(b, s): (&i32, &i64)| i32::try_from(i64::from(*b) + s).ok();
                Data::I32(bias.iter().zip(&sums).map(sum).collect::<Option<_>>()?)
            }
            Data::I64(bias) => {
                Data::I64(bias.iter().zip(&sums).map(|(b, s)| b.checked_add(*s)).collect::<Option<_>>()?)
            }
            _ => return None,
        };
        Some(Some(data))
    }
}

fn is_padded(window: &Window, input: &[usize]) -> Option<bool> {
    let spans = window.spans([*input.first()?, *input.get(1)?]).ok()?;
    Some(spans.iter().any(|s| s.before > 0 || s.after > 0))
}

/// The constants behind a layer, given those before it; `zero` says whose weights are all zero.
///
/// The layer itself is run on an image of the constants: what is equal at all places, borders
/// included, is a constant again. `None` if there is none.
fn values(editor: &Editor, id: NodeId, before: &Constants, zero: &[bool]) -> Option<Constants> {
    let channels = before.len();
    let known: Vec<bool> = (0..channels).map(|c| before[c].is_some() || zero[c]).collect();
    if !known.contains(&true) {
        return None;
    }
    let node = editor.node(id);
    let x = editor.tensor(node.inputs[0]);
    let idle = x.quant.as_ref().and_then(|q| q.single()).map_or(0.0, |(_, zero)| f64::from(zero));
    let value = |i: usize| before.get(i % channels).copied().flatten().unwrap_or(idle);
    let data = match x.dtype {
        DType::F32 => Data::F32((0..x.elements()).map(|i| value(i) as f32).collect()),
        DType::I8 => Data::I8((0..x.elements()).map(|i| value(i) as i8).collect()),
        DType::I16 => Data::I16((0..x.elements()).map(|i| value(i) as i16).collect()),
        _ => return None,
    };
    let result: Vec<f64> = match evaluate(editor.graph(), node, &[data])? {
        Data::F32(v) => v.iter().map(|y| f64::from(*y)).collect(),
        Data::I8(v) => v.iter().map(|y| f64::from(*y)).collect(),
        Data::I16(v) => v.iter().map(|y| f64::from(*y)).collect(),
        _ => return None,
    };
    let uniform = |c: usize| {
        let mut all = result.iter().skip(c).step_by(channels);
        let first = *all.next()?;
        all.all(|y| *y == first).then_some(first)
    };
    Some((0..channels).map(|c| if known[c] { uniform(c) } else { None }).collect())
}

/// Keeps some indices of an axis, of the values and of their scales.
fn narrow(tensor: &mut Tensor, axis: usize, keep: &[bool]) {
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let size = tensor.shape[axis];
    if let Some(data) = &tensor.data {
        let (dtype, bytes) = (data.dtype(), data.to_le_bytes());
        let chunk = inner * dtype.bytes();
        let kept = bytes.chunks(chunk.max(1)).enumerate().filter(|(i, _)| keep[i % size]).flat_map(|(_, c)| c);
        tensor.data = Data::from_le_bytes(dtype, &kept.copied().collect::<Vec<u8>>());
    }
    tensor.shape[axis] = keep.iter().filter(|k| **k).count();
    if let Some(quant) = &mut tensor.quant
        && quant.axis == Some(axis)
    {
        let mut all = keep.iter();
        quant.scales.retain(|_| *all.next().unwrap_or(&true));
        let mut all = keep.iter();
        quant.zero_points.retain(|_| *all.next().unwrap_or(&true));
    }
}
