//! Recurrent layers: a step back through time, whose gates' gradients train the kernels as those of dense layers.

use super::super::forward::Site;
use super::super::{BufferId, Emit, LowerError, unsupported};
use super::{Gradients, State};
use crate::graph::{DType, Op, TensorId};
use embernet_core::kernels::conv2d::{self, Conv2d};
use embernet_core::kernels::recurrent::Recurrent;
use embernet_core::kernels::window::Window2d;
use embernet_core::kernels::{gru, lstm};

/// What the gates of a layer left for its parameters.
struct Gates {
    /// How many.
    count: u32,
    /// Gradient of their sums for the input, and for the state.
    sums: [BufferId; 2],
    /// The state before every step.
    previous: BufferId,
    /// Kernel, recurrent kernel, and their biases.
    parameters: [Option<TensorId>; 4],
}

impl Emit<'_, '_> {
    pub(super) fn recurrent_backward(
        &mut self,
        site: Site<'_>,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let from: Vec<Option<BufferId>> = node.outputs.iter().map(|output| gradients.take(*output)).collect();
        if from.iter().all(Option::is_none) {
            return Ok(());
        }
        if site.dtype != DType::F32 || self.lowering.is_fixed() {
            return Err(unsupported(node, format!("training through this operation in {}", site.dtype)));
        }
        match &node.op {
            Op::Lstm(op) => {
                let shape = self.sequence_shape(node, op.units, op.reverse);
                if op.peepholes {
                    return Err(unsupported(node, "training through peepholes"));
                }
                let bias = op.use_bias.then(|| node.parameters()[2]);
                let gates = self.lstm_step(site, shape, bias, &from, gradients);
                self.gates_backward(site, shape, gates, gradients, state)
            }
            Op::Gru(op) if op.reset_after => {
                let shape = self.sequence_shape(node, op.units, op.reverse);
                let gates = self.gru_step(site, shape, &from, gradients);
                self.gates_backward(site, shape, gates, gradients, state)
            }
            _ => Err(unsupported(node, "training a reset gate that acts on the state (expected `reset_after`)")),
        }
    }

    fn lstm_step(
        &mut self,
        site: Site<'_>,
        shape: Recurrent,
        bias: Option<TensorId>,
        from: &[Option<BufferId>],
        gradients: &mut Gradients,
    ) -> Gates {
        let node = site.node;
        let x = self.value(node.inputs[0]);
        let [h0, c0] = [1, 2].map(|i| (i < node.data_inputs().len()).then(|| self.per_sample(node, i)));
        let (kernel, recurrent) = (node.parameters()[0], node.parameters()[1]);
        let (w, r) = (self.value(kernel), self.value(recurrent));
        let b = bias.map(|id| self.value(id));
        let [dz, previous, dh0, dc0, cells] =
            ["gates' gradient", "states", "first state's gradient", "first cell's gradient", "cells"]
                .map(|what| self.lowering.program.transient(format!("{}/{what}", node.name)));
        let [dy, dh, dc] = [0, 1, 2].map(|i| from.get(i).copied().flatten());
        self.sequence.push(&node.name, Some(site.id), move |p| lstm::BackwardF32 {
            shape,
            x: p.at(x),
            w: p.at(w),
            r: p.at(r),
            b: p.opt(b),
            h0: p.opt(h0),
            c0: p.opt(c0),
            dy: p.opt(dy),
            dh: p.opt(dh),
            dc: p.opt(dc),
            dz: p.at(dz),
            previous: p.at(previous),
            dh0: p.at(dh0),
            dc0: p.at(dc0),
            cells: p.at(cells),
        });
        for (input, gradient) in node.data_inputs().iter().skip(1).zip([dh0, dc0]) {
            self.contribute(site, *input, gradient, gradients);
        }
        Gates { count: 4, sums: [dz, dz], previous, parameters: [Some(kernel), Some(recurrent), bias, None] }
    }

    fn gru_step(
        &mut self,
        site: Site<'_>,
        shape: Recurrent,
        from: &[Option<BufferId>],
        gradients: &mut Gradients,
    ) -> Gates {
        let node = site.node;
        let x = self.value(node.inputs[0]);
        let h0 = (node.data_inputs().len() > 1).then(|| self.per_sample(node, 1));
        let parameters = [0, 1, 2, 3].map(|i| node.parameters().get(i).copied());
        let [w, r, b, r_bias] = parameters.map(|id| id.map(|id| self.value(id)));
        let [da, ds, previous, dh0] =
            ["gates' gradient for the input", "gates' gradient for the state", "states", "first state's gradient"]
                .map(|what| self.lowering.program.transient(format!("{}/{what}", node.name)));
        let [dy, dh] = [0, 1].map(|i| from.get(i).copied().flatten());
        self.sequence.push(&node.name, Some(site.id), move |p| gru::BackwardF32 {
            shape,
            x: p.at(x),
            w: p.opt(w),
            r: p.opt(r),
            b: p.opt(b),
            r_bias: p.opt(r_bias),
            h0: p.opt(h0),
            dy: p.opt(dy),
            dh: p.opt(dh),
            da: p.at(da),
            ds: p.at(ds),
            previous: p.at(previous),
            dh0: p.at(dh0),
        });
        if let Some(input) = node.data_inputs().get(1) {
            self.contribute(site, *input, dh0, gradients);
        }
        Gates { count: 3, sums: [da, ds], previous, parameters }
    }

    /// The input's gradient and the parameters' updates.
    fn gates_backward(
        &mut self,
        site: Site<'_>,
        shape: Recurrent,
        gates: Gates,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let rows = |in_c| {
            let window = Window2d::pointwise(shape.time);
            Conv2d { window, in_c, out_c: gates.count.saturating_mul(shape.units), groups: 1 }
        };
        let (of_input, of_state) = (rows(shape.inputs), rows(shape.units));
        let ([w, r, b, r_bias], [da, ds]) = (gates.parameters, gates.sums);
        let x = self.value(node.inputs[0]);
        if let (Some(dx), Some(w)) = (self.gradient(node.inputs[0], gradients), w) {
            let w = self.value(w);
            let scratch = self.conv2d_scratch(node, &of_input);
            self.sequence.push(&node.name, Some(site.id), move |p| conv2d::BackwardInputF32 {
                shape: of_input,
                dy: p.at(da),
                w: p.at(w),
                dx: p.at(dx),
                scratch: scratch.at(p),
            });
            self.contribute(site, node.inputs[0], dx, gradients);
        }
        self.update_rows(site, of_input, (x, da), (w, b), state);
        self.update_rows(site, of_state, (gates.previous, ds), (r, r_bias), state);
        Ok(())
    }
}
