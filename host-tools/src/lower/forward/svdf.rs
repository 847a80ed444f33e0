//! The singular value decomposition filter.

use super::super::{BufferId, Emit, Home, LowerError, unsupported, word};
use super::{Site, bounds};
use crate::graph::{DType, Data, Node, ops};
use crate::quant::fixed_point::{activation_range, dense_multiplier, fold_bias};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::requantize::Rescale;
use embernet_core::kernels::svdf::{ForwardF32, ForwardInt, Svdf};

impl Emit<'_, '_> {
    pub(super) fn svdf(&mut self, site: Site<'_>, op: &ops::Svdf) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        if self.lowering.options.train.is_some() && self.sequence.samples > 1 {
            return Err(unsupported(node, "training a layer with a memory in batches (expected one sample at a time)"));
        }
        let inputs = word(self.tensor(node.inputs[0]).elements());
        let shape = Svdf { inputs, units: word(op.units), rank: word(op.rank), memory: word(op.memory) };
        let x = self.value(node.inputs[0]);
        match dtype {
            DType::F32 => {
                for t in node.parameters() {
                    self.expect_type(node, *t, DType::F32)?;
                }
                let (lo, hi) = bounds(op.activation);
                let (w, v) = (self.value(node.parameters()[0]), self.value(node.parameters()[1]));
                let b = op.use_bias.then(|| self.value(node.parameters()[2]));
                let state = self.svdf_memory(node)?;
                let y = self.output(node);
                self.sequence.push(&node.name, Some(id), move |p| ForwardF32 {
                    shape,
                    x: p.at(x),
                    w: p.at(w),
                    v: p.at(v),
                    b: p.opt(b),
                    state: p.at(state),
                    y: p.at(y),
                    lo,
                    hi,
                });
                Ok(())
            }
            DType::I8 => self.svdf_i8(site, op, shape, x),
            _ => Err(self.no_kernel(site)),
        }
    }

    fn svdf_i8(&mut self, site: Site<'_>, op: &ops::Svdf, shape: Svdf, x: BufferId) -> Result<(), LowerError> {
        let node = site.node;
        let [kernel, time] = [node.parameters()[0], node.parameters()[1]];
        let Some(state_id) = node.parameters().last().copied() else { return Err(self.no_kernel(site)) };
        let (from, to) = self.affines(node)?;
        let state_type = self.tensor(state_id).dtype;
        let width = match state_type {
            DType::I8 => Width::I8,
            DType::I16 => Width::I16,
            _ => return Err(unsupported(node, format!("a state of {state_type}"))),
        };
        self.expect_type(node, kernel, DType::I8)?;
        self.expect_type(node, time, state_type)?;
        let scale = |id| -> Result<f32, LowerError> {
            let rows = self.tensor(id).shape[0];
            match self.weight_scales(node, id, 0, rows)?[..] {
                [one] => Ok(one),
                _ => Err(unsupported(node, "weights with several scales")),
            }
        };
        let (kernel_scale, time_scale, state_scale) = (scale(kernel)?, scale(time)?, scale(state_id)?);
        let rescale = |a, b, to| -> Result<Rescale, LowerError> {
            let factor = self.fixed(node, dense_multiplier(a, b, to))?;
            Ok(Rescale { multiplier: factor.mantissa, shift: factor.shift })
        };
        let to_state = rescale(from.scale(), kernel_scale, state_scale)?;
        let to_output = rescale(state_scale, time_scale, to.scale())?;
        let (lo, hi) = self.fixed(node, activation_range(op.activation, to))?;
        let Some(weights) = self.tensor(kernel).data.as_ref().and_then(Data::as_i8) else {
            return Err(unsupported(node, "a kernel that is not constant"));
        };
        let w_bias = fold_bias(&[], weights, shape.filters(), from.zero_point());
        let w_bias = self.table(node, "input bias", &Data::I32(w_bias));
        let b = match op.use_bias {
            true => {
                self.expect_type(node, node.parameters()[2], DType::I32)?;
                Some(self.value(node.parameters()[2]))
            }
            false => None,
        };
        let (w, v) = (self.value(kernel), self.value(time));
        let state = self.svdf_memory(node)?;
        let y = self.output(node);
        self.sequence.push(&node.name, Some(site.id), move |p| ForwardInt {
            shape,
            width,
            x: p.at(x),
            w: p.at(w),
            w_bias: p.at(w_bias),
            v: p.at(v),
            b: p.opt(b),
            state: p.at(state),
            y: p.at(y),
            to_state,
            to_output,
            zero_point: to.zero_point(),
            lo,
            hi,
        });
        Ok(())
    }

    /// The place of a state that outlives the run, one for each sample: like a parameter, it is loaded from flash
    /// when a session starts and stays. Inference and training go on with the same one, a sample at a time.
    pub(in super::super) fn svdf_memory(&mut self, node: &Node) -> Result<BufferId, LowerError> {
        let Some(tensor) = node.parameters().last().copied() else { return Err(unsupported(node, "no state")) };
        if let Some(buffer) = self.lowering.constants.get(&tensor) {
            return Ok(*buffer);
        }
        let data = self.tensor(tensor).data.as_ref().map(Data::to_le_bytes).unwrap_or_default();
        let home = Home::Parameter { tensor, initial: data.repeat(self.sequence.samples) };
        let buffer = self.lowering.program.add(self.tensor(tensor).name.clone(), home);
        self.lowering.constants.insert(tensor, buffer);
        Ok(buffer)
    }
}
