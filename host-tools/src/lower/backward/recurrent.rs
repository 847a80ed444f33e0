//! Recurrent layers: a step back through time, whose gates' gradients train the kernels as those of dense layers.

use super::super::forward::Site;
use super::super::{BufferId, Emit, LowerError, unsupported};
use super::{Gradients, State};
use crate::graph::ops::{Gru, Lstm};
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
    /// What the gates saw of the state at every step: all of them the same, or each one its own.
    previous: BufferId,
    seen: u32,
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
                let (gates, peepholes) = self.lstm_step(site, op, &from, gradients);
                self.gates_backward(site, self.sequence_shape(node, op.units, op.reverse), gates, gradients, state)?;
                if let Some((peepholes, gradient)) = peepholes {
                    self.update_parameter(site, peepholes, gradient, state);
                }
                Ok(())
            }
            Op::Gru(op) => {
                let gates = self.gru_step(site, op, &from, gradients);
                self.gates_backward(site, self.sequence_shape(node, op.units, op.reverse), gates, gradients, state)
            }
            _ => Err(unsupported(node, "training through this operation")),
        }
    }

    /// Gives the peepholes, too, and their gradient, if they learn.
    fn lstm_step(
        &mut self,
        site: Site<'_>,
        op: &Lstm,
        from: &[Option<BufferId>],
        gradients: &mut Gradients,
    ) -> (Gates, Option<(TensorId, BufferId)>) {
        let node = site.node;
        let cell = self.lstm_cell(node, op);
        let parameters = node.parameters();
        let bias = op.use_bias.then(|| parameters[2]);
        let peepholes = parameters.last().copied().filter(|_| op.peepholes);
        let peepholes = peepholes.and_then(|t| Some((t, self.parameter_gradient(t)?)));
        let dp = peepholes.map(|(_, gradient)| gradient);
        let [dz, previous, dh0, dc0, cells] =
            ["gates' gradient", "states", "first state's gradient", "first cell's gradient", "cells"]
                .map(|what| self.lowering.program.transient(format!("{}/{what}", node.name)));
        let [dy, dh, dc] = [0, 1, 2].map(|i| from.get(i).copied().flatten());
        self.sequence.push(&node.name, Some(site.id), move |p| lstm::BackwardF32 {
            cell: cell(p),
            dy: p.opt(dy),
            dh: p.opt(dh),
            dc: p.opt(dc),
            dz: p.at(dz),
            previous: p.at(previous),
            dh0: p.at(dh0),
            dc0: p.at(dc0),
            dp: p.opt(dp),
            cells: p.at(cells),
        });
        for (input, gradient) in node.data_inputs().iter().skip(1).zip([dh0, dc0]) {
            self.contribute(site, *input, gradient, gradients);
        }
        let parameters = [Some(parameters[0]), Some(parameters[1]), bias, None];
        (Gates { count: 4, sums: [dz, dz], previous, seen: 1, parameters }, peepholes)
    }

    fn gru_step(&mut self, site: Site<'_>, op: &Gru, from: &[Option<BufferId>], gradients: &mut Gradients) -> Gates {
        let node = site.node;
        let cell = self.gru_cell(node, op);
        let seen = if op.reset_after { 1 } else { 3 };
        let parameters = [0, 1, 2, 3].map(|i| node.parameters().get(i).copied());
        let [da, ds, previous, dh0] =
            ["gates' gradient for the input", "gates' gradient for the state", "states", "first state's gradient"]
                .map(|what| self.lowering.program.transient(format!("{}/{what}", node.name)));
        let [dy, dh] = [0, 1].map(|i| from.get(i).copied().flatten());
        self.sequence.push(&node.name, Some(site.id), move |p| gru::BackwardF32 {
            cell: cell(p),
            seen,
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
        Gates { count: 3, sums: [da, ds], previous, seen, parameters }
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
        let rows = |in_c: u32, groups| {
            let window = Window2d::pointwise(shape.time);
            Conv2d { window, in_c: in_c.saturating_mul(groups), out_c: gates.count.saturating_mul(shape.units), groups }
        };
        let (of_input, of_state) = (rows(shape.inputs, 1), rows(shape.units, gates.seen));
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
