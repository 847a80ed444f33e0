//! What layers with weights need: weights, biases, and the multipliers of their integer sums.

use super::super::loops::{self, Own, Shape};
use super::super::program::Places;
use super::super::{BufferId, Emit, LowerError, Optimize, unsupported, word};
use super::Site;
use crate::graph::ops::Window;
use crate::graph::{DType, Data, Node, Op, TensorId};
use crate::quant::fixed_point::{
    activation_range, dense_multiplier, fold_bias, fold_bias_depthwise, layer_multipliers,
};
use embernet_core::arch::layout::packing::Layer;
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::order::OrderRecord;
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::kernels::trained_int8::FoldBias;
use embernet_core::quant::narrow_multiplier;
use zerocopy::IntoBytes;

/// The tables of an integer layer, as buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighted {
    pub w: BufferId,
    pub b: Option<BufferId>,
    /// The order in which `w` has the weights; unless it is the plain one, it also has what the other tables have.
    pub order: OrderRecord,
    /// Bytes of scratch that go with that order.
    pub scratch_bytes: usize,
    /// The convolution that the layer has become in that order, if it was none.
    pub widened: Option<Conv2d>,
    multiplier: Option<BufferId>,
    shift: Option<BufferId>,
    channels: u32,
    zero_point: i32,
    lo: i32,
    hi: i32,
    sum_bits: u32,
}

impl Weighted {
    pub fn requantize(&self, p: Places<'_>) -> RequantizeRecord {
        RequantizeRecord {
            multiplier: p.opt(self.multiplier),
            shift: p.opt(self.shift),
            channels: self.channels,
            zero_point: self.zero_point,
            lo: self.lo,
            hi: self.hi,
            sum_bits: self.sum_bits,
        }
    }
}

/// The tables of a layer with f32 activations and int8 weights, as buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightsI8 {
    pub w: BufferId,
    pub b: Option<BufferId>,
    pub scale: BufferId,
    pub scales: u32,
}

/// The axis of a kernel that runs along output channels, and how many there are.
pub(in super::super) fn channels(node: &Node, kernel: &[usize]) -> (usize, usize) {
    let last = kernel.len() - 1;
    match &node.op {
        Op::TransposeConv2d(op) => (last, op.filters),
        Op::DepthwiseConv2d(_) => (last, kernel[last]),
        _ => (0, kernel[0]),
    }
}

/// Weights `[in][taps..][out / groups]` as `[out][taps..][in / groups]`.
fn outputs_first(weights: &[i8], shape: &[usize], groups: usize) -> Vec<i8> {
    let (inputs, group_out) = (shape[0], shape[shape.len() - 1]);
    let (taps, group_in) = (shape[1..shape.len() - 1].iter().product::<usize>(), inputs / groups);
    let mut relaid = Vec::with_capacity(weights.len());
    for output in 0..groups * group_out {
        let (group, within) = (output / group_out, output % group_out);
        for tap in 0..taps {
            let at = |i: usize| weights[((group * group_in + i) * taps + tap) * group_out + within];
            relaid.extend((0..group_in).map(at));
        }
    }
    relaid
}

/// Most bytes of a kernel with its gaps filled; a file can ask for any dilation.
const MOST_FILLED: usize = 1 << 22;

/// Weights `[out][kh][kw][len]` with taps of zero in the gaps that dilation leaves; `None` if they were too many.
fn with_gaps(weights: Vec<i8>, window: &Window, len: usize) -> Option<Vec<i8>> {
    let Window { kernel, dilation, .. } = *window;
    if dilation == [1, 1] {
        return Some(weights);
    }
    let [rows, columns] = window.reach().map(|reach| reach.saturating_add(1));
    let (taps, old) = (weights.chunks_exact(len), kernel[0] * kernel[1]);
    let sizes = [taps.len() / old, rows, columns, len];
    let count = sizes.into_iter().try_fold(1usize, usize::checked_mul).filter(|count| *count <= MOST_FILLED)?;
    let mut dense = vec![0; count];
    for (number, tap) in taps.enumerate() {
        let (filter, within) = (number / old, number % old);
        let (row, column) = (within / kernel[1] * dilation[0], within % kernel[1] * dilation[1]);
        dense[((filter * rows + row) * columns + column) * len..][..len].copy_from_slice(tap);
    }
    Some(dense)
}

impl Emit<'_, '_> {
    /// Weights and bias of an f32 layer.
    pub(in super::super) fn float_weights(
        &mut self,
        node: &Node,
    ) -> Result<(Option<BufferId>, Option<BufferId>), LowerError> {
        let w = node.parameters().first().map(|t| self.value(*t));
        Ok((w, self.float_bias(node)?))
    }

    /// The bias alone.
    pub(in super::super) fn float_bias(&mut self, node: &Node) -> Result<Option<BufferId>, LowerError> {
        for t in node.parameters() {
            self.expect_type(node, *t, DType::F32)?;
        }
        Ok(node.parameters().get(1).map(|t| self.value(*t)))
    }

    /// Weights, bias, multipliers and shifts of an integer layer.
    ///
    /// With int8 activations the input's zero point is folded into the bias, and multipliers have 31 bits. With int16
    /// activations there is no zero point, biases have 64 bits and multipliers 15; or biases have 32 bits and
    /// multipliers 31.
    pub(super) fn weighted(&mut self, site: Site<'_>) -> Result<Weighted, LowerError> {
        self.weighted_as(site, None)
    }

    /// [`Emit::weighted`] of an int8 layer of this shape, in the order of the target's own loop if there is a faster one
    /// than the plain one.
    pub(super) fn weighted_for(&mut self, site: Site<'_>, shape: &Shape) -> Result<Weighted, LowerError> {
        self.weighted_as(site, Some(shape))
    }

    fn weighted_as(&mut self, site: Site<'_>, shape: Option<&Shape>) -> Result<Weighted, LowerError> {
        let Site { node, dtype, .. } = site;
        let (from, to) = self.affines(node)?;
        let (weights_id, bias_id) = (node.inputs[1], node.inputs.get(2).copied());
        let tensor = self.tensor(weights_id);
        if tensor.dtype != DType::I4 {
            self.expect_type(node, weights_id, DType::I8)?;
        }
        let (axis, outputs) = channels(node, &tensor.shape);
        let scales = self.weight_scales(node, weights_id, axis, outputs)?;
        let multipliers = match (&node.op, scales.as_slice()) {
            (Op::Dense(_), [one]) => vec![self.fixed(node, dense_multiplier(from.scale(), *one, to.scale()))?],
            (_, scales) => self.fixed(node, layer_multipliers(from.scale(), scales, to.scale()))?,
        };
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        // A bias of 32 bits says that the sums of an int16 layer have no more either.
        let narrow = bias_id.is_some_and(|id| self.tensor(id).dtype == DType::I32);
        let wide = dtype == DType::I16 && !narrow;
        if let Some(id) = bias_id {
            self.expect_type(node, id, if wide { DType::I64 } else { DType::I32 })?;
        }
        let narrowed = |mantissa| if wide { narrow_multiplier(mantissa) } else { mantissa };
        let mantissas: Vec<i32> = multipliers.iter().map(|m| narrowed(m.mantissa)).collect();
        let shifts: Vec<i32> = multipliers.iter().map(|m| m.shift).collect();
        let learns = node.parameters().iter().any(|t| self.tensor(*t).trainable);
        // How many taps of a transposed convolution meet the input differs from output to output.
        let folds = dtype == DType::I8 && !matches!(node.op, Op::TransposeConv2d(_));
        let folded = if folds && !learns { Some(self.folded_bias(node, outputs, from.zero_point())?) } else { None };
        let plain = Weighted {
            w: BufferId(0),
            b: None,
            order: OrderRecord::PLAIN,
            scratch_bytes: 0,
            widened: None,
            multiplier: None,
            shift: None,
            channels: word(multipliers.len()),
            zero_point: to.zero_point(),
            lo,
            hi,
            sum_bits: if wide { 64 } else { 32 },
        };
        let (isa, optimize) = (self.lowering.options.isa, self.lowering.options.optimize);
        let weights = self.tensor(weights_id).data.as_ref().and_then(Data::as_i8);
        // The plain order takes no more flash, and a program with loops for one order is smaller than one for both.
        let may = isa.has_layout() && optimize != Optimize::Size;
        if let (Some(weights), Some(bias), Some(shape)) = (weights.filter(|_| may), &folded, shape) {
            let each = |table: &[i32]| if table.len() == 1 { table.repeat(outputs) } else { table.to_vec() };
            let (multiplier, shift) = (each(&mantissas), each(&shifts));
            let zero_point = plain.zero_point;
            let layer = Layer { weights, bias, multiplier: &multiplier, shift: &shift, zero_point, lo };
            let may = self.lowering.may;
            let mut loops = self.lowering.program.loops;
            let own = loops::fastest(isa, shape, &layer, may, &mut loops);
            self.lowering.program.loops = loops;
            if let Some(Own { packed, widened }) = own {
                let order = OrderRecord::of(isa, word(packed.stream.len()));
                let w = self.table(node, "kernel", &Data::U8(packed.stream.as_bytes().to_vec()));
                return Ok(Weighted { w, order, scratch_bytes: packed.scratch_bytes(), widened, ..plain });
            }
        }
        let w = self.integer_weights(node, weights_id, dtype)?;
        let b = match folded {
            Some(folded) => Some(self.table(node, "bias", &Data::I32(folded))),
            None if folds => self.fold_bias(site, w, from.zero_point(), outputs),
            None => bias_id.map(|id| self.plain_bias(node, id, dtype)),
        };
        let multiplier = Some(self.table(node, "multiplier", &Data::I32(mantissas)));
        let shift = Some(self.table(node, "shift", &Data::I32(shifts)));
        Ok(Weighted { w, b, multiplier, shift, ..plain })
    }

    /// The bias of an int8 layer that learns, with the input's zero point in it: made anew by every run.
    fn fold_bias(&mut self, site: Site<'_>, w: BufferId, zero_point: i32, outputs: usize) -> Option<BufferId> {
        let Site { id, node, .. } = site;
        let b = node.inputs.get(2).map(|t| self.value(*t));
        if zero_point == 0 {
            return b;
        }
        let taps = self.tensor(node.inputs[1]).elements() / outputs.max(1);
        let channels_last = u32::from(matches!(node.op, Op::DepthwiseConv2d(_)));
        let folded = self.lowering.program.transient(format!("{}/folded bias", node.name));
        self.sequence.push(&node.name, Some(id), move |p| FoldBias {
            outputs: word(outputs),
            taps: word(taps),
            channels_last,
            zero_point,
            w: p.at(w),
            b: p.opt(b),
            folded: p.at(folded),
        });
        Some(folded)
    }

    /// A bias as it is; those of int16 layers always lie as 64 bits.
    fn plain_bias(&mut self, node: &Node, id: TensorId, dtype: DType) -> BufferId {
        match self.tensor(id).data.as_ref().and_then(Data::as_i32) {
            Some(bias) if dtype == DType::I16 => {
                let wide = bias.iter().map(|b| i64::from(*b)).collect();
                self.table(node, "bias", &Data::I64(wide))
            }
            _ => self.value(id),
        }
    }

    /// Integer weights as the kernels read them.
    fn integer_weights(&mut self, node: &Node, id: TensorId, dtype: DType) -> Result<BufferId, LowerError> {
        let tensor = self.tensor(id);
        let data = tensor.data.as_ref();
        let constant = || unsupported(node, "a kernel that is not constant");
        match (&node.op, data) {
            (Op::TransposeConv2d(op), _) => {
                let weights = data.and_then(Data::as_i8).ok_or_else(constant)?;
                let relaid = outputs_first(weights, &tensor.shape, op.groups);
                let dense = with_gaps(relaid, &op.window(), tensor.shape[0] / op.groups);
                let dense = dense.ok_or_else(|| unsupported(node, "a dilation of so many taps"))?;
                Ok(self.table(node, "kernel", &Data::I8(dense)))
            }
            // Only int8 activations have kernels for packed weights; the others get bytes.
            (_, Some(packed @ Data::I4(_))) if dtype == DType::I8 => {
                Ok(self.table(node, "kernel", &Data::U8(packed.to_packed_bytes())))
            }
            (_, Some(Data::I4(weights))) => Ok(self.table(node, "kernel", &Data::I8(weights.clone()))),
            _ => Ok(self.value(id)),
        }
    }

    /// Weights, their scales and the bias of a layer whose activations are f32 and whose weights are int8.
    pub(super) fn weights_i8(&mut self, node: &Node) -> Result<WeightsI8, LowerError> {
        let (weights_id, bias_id) = (node.inputs[1], node.inputs.get(2).copied());
        let tensor = self.tensor(weights_id);
        let (axis, outputs) = channels(node, &tensor.shape);
        let scales = self.weight_scales(node, weights_id, axis, outputs)?;
        if let Some(id) = bias_id {
            self.expect_type(node, id, DType::F32)?;
        }
        let w = match (&node.op, tensor.data.as_ref().and_then(Data::as_i8)) {
            // The kernel is a convolution's: filter by filter.
            (Op::DepthwiseConv2d(_), Some(weights)) => {
                let of = |output: usize| weights.iter().skip(output).step_by(outputs).copied();
                self.table(node, "kernel", &Data::I8((0..outputs).flat_map(of).collect()))
            }
            _ => self.integer_weights(node, weights_id, DType::F32)?,
        };
        let b = bias_id.map(|id| self.value(id));
        Ok(WeightsI8 { w, b, scales: word(scales.len()), scale: self.table(node, "scale", &Data::F32(scales)) })
    }

    /// The biases of an int8 layer with the input's zero point in them.
    fn folded_bias(&self, node: &Node, outputs: usize, zero_point: i32) -> Result<Vec<i32>, LowerError> {
        let Some(weights) = self.tensor(node.inputs[1]).data.as_ref().and_then(Data::as_i8) else {
            return Err(unsupported(node, "a kernel that is not constant"));
        };
        let data = node.inputs.get(2).and_then(|id| self.tensor(*id).data.as_ref());
        let bias = data.and_then(Data::as_i32).unwrap_or_default();
        let fold = if matches!(node.op, Op::DepthwiseConv2d(_)) { fold_bias_depthwise } else { fold_bias };
        Ok(fold(bias, weights, outputs, zero_point))
    }

    /// Scales of a kernel: one for all, or one for each output channel; zero points are 0.
    pub(in super::super) fn weight_scales(
        &self,
        node: &Node,
        id: TensorId,
        axis: usize,
        outputs: usize,
    ) -> Result<Vec<f32>, LowerError> {
        let tensor = self.tensor(id);
        let (node_name, tensor_name) = (|| node.name.clone(), || tensor.name.clone());
        let Some(quant) = &tensor.quant else {
            return Err(LowerError::NotQuantised { node: node_name(), tensor: tensor_name() });
        };
        if let Some(found) = quant.zero_points.iter().copied().find(|z| *z != 0) {
            return Err(LowerError::WeightZeroPoint { node: node_name(), tensor: tensor_name(), found });
        }
        let found = quant.scales.len();
        if found != 1 && (found != outputs || quant.axis != Some(axis)) {
            let expected = format!("1, or {outputs} along axis {axis}");
            return Err(LowerError::Scales { node: node_name(), tensor: tensor_name(), found, expected });
        }
        Ok(quant.scales.clone())
    }
}
