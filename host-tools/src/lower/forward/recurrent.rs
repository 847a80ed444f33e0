//! Recurrent layers.

use super::super::program::Places;
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::Site;
use crate::graph::{DType, Data, Node, TensorId, ops};
use crate::quant::fixed_point::fold_bias;
use crate::quant::fixed_point::lstm::{self, Scales};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::recurrent::Recurrent;
use embernet_core::kernels::{gru, lstm as kernel};

impl Emit<'_, '_> {
    pub(super) fn lstm(&mut self, site: Site<'_>, op: &ops::Lstm) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let shape = self.sequence_shape(node, op.units, op.reverse);
        match dtype {
            DType::F32 => {
                self.expect_types(node, DType::F32)?;
                if op.cell_clip != 0.0 {
                    return Err(unsupported(node, "a clipped cell in f32"));
                }
                let cell = self.lstm_cell(node, op);
                let [y, h, c] = [0, 1, 2].map(|i| self.output_at(node, i));
                let gates = self.lowering.program.transient(format!("{}/gates", node.name));
                self.sequence.push(&node.name, Some(id), move |p| kernel::ForwardF32 {
                    cell: cell(p),
                    y: p.at(y),
                    h: p.at(h),
                    c: p.at(c),
                    gates: p.at(gates),
                });
                Ok(())
            }
            DType::I8 | DType::I16 => self.lstm_int(site, op, shape),
            _ => Err(self.no_kernel(site)),
        }
    }

    /// The cell of an f32 layer, forward and backward, once places are known.
    pub(in super::super) fn lstm_cell(
        &mut self,
        node: &Node,
        op: &ops::Lstm,
    ) -> impl Fn(Places<'_>) -> kernel::Cell + Copy + use<> {
        let shape = self.sequence_shape(node, op.units, op.reverse);
        let x = self.value(node.inputs[0]);
        let [h0, c0] = [1, 2].map(|i| (i < node.data_inputs().len()).then(|| self.per_sample(node, i)));
        let parameters: Vec<BufferId> = node.parameters().iter().map(|t| self.value(*t)).collect();
        let (w, r, mut rest) = (parameters[0], parameters[1], parameters[2..].iter().copied());
        let mut given = |is: bool| if is { rest.next() } else { None };
        let (b, peepholes) = (given(op.use_bias), given(op.peepholes));
        move |p| kernel::Cell {
            shape,
            x: p.at(x),
            w: p.at(w),
            r: p.at(r),
            b: p.opt(b),
            p: p.opt(peepholes),
            h0: p.opt(h0),
            c0: p.opt(c0),
        }
    }

    fn lstm_int(&mut self, site: Site<'_>, op: &ops::Lstm, shape: Recurrent) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        if node.data_inputs().len() != 1 {
            return Err(unsupported(node, "a given initial state in integers"));
        }
        if op.peepholes {
            return Err(unsupported(node, "peepholes in integers"));
        }
        let [kernel_id, recurrent_id] = [node.parameters()[0], node.parameters()[1]];
        let types = [
            (node.inputs[0], dtype),
            (kernel_id, DType::I8),
            (recurrent_id, DType::I8),
            (node.outputs[0], dtype),
            (node.outputs[1], dtype),
            (node.outputs[2], DType::I16),
        ];
        for (id, expected) in types {
            self.expect_type(node, id, expected)?;
        }
        let (from, hidden) = self.affines(node)?;
        let cell = self.affine(node, node.outputs[2])?;
        let scales = Scales {
            input: from,
            hidden,
            cell: cell.scale(),
            kernel: self.gate_scales(node, kernel_id)?,
            recurrent: self.gate_scales(node, recurrent_id)?,
            cell_clip: op.cell_clip,
        };
        let mut factors = self.fixed(node, lstm::factors(&scales))?;
        let width = if dtype == DType::I8 { Width::I8 } else { Width::I16 };
        if width == Width::I16 {
            factors = factors.narrowed();
        }
        let (b, r_bias) = self.lstm_biases(site, from.zero_point(), hidden.zero_point())?;
        let table = self.sigmoid_table(node);
        let (x, w, r) = (self.value(node.inputs[0]), self.value(kernel_id), self.value(recurrent_id));
        let [y, h, c] = [0, 1, 2].map(|i| self.output_at(node, i));
        let gates = self.lowering.program.transient(format!("{}/gates", node.name));
        self.sequence.push(&node.name, Some(site.id), move |p| kernel::ForwardInt {
            shape,
            width,
            x: p.at(x),
            w: p.at(w),
            r: p.at(r),
            b: p.opt(b),
            r_bias: p.opt(r_bias),
            table: p.at(table),
            y: p.at(y),
            h: p.at(h),
            c: p.at(c),
            gates: p.at(gates),
            of_input: factors.of_input,
            of_state: factors.of_state,
            forget_to_cell: factors.forget_to_cell,
            input_to_cell: factors.input_to_cell,
            to_hidden: factors.to_hidden,
            zero_point: hidden.zero_point(),
            cell_power: factors.cell_power,
            cell_clip: factors.cell_clip,
        });
        Ok(())
    }

    /// Biases of the sums for the input and for the state: of int8 with the zero points in them, of int16 (which has
    /// none) as they are.
    fn lstm_biases(
        &mut self,
        site: Site<'_>,
        zero_point: i32,
        state_zero_point: i32,
    ) -> Result<(Option<BufferId>, Option<BufferId>), LowerError> {
        let Site { node, dtype, .. } = site;
        let parameters = node.parameters();
        if dtype == DType::I16 {
            let bias = parameters.get(2).copied();
            if let Some(id) = bias {
                self.expect_type(node, id, DType::I64)?;
            }
            return Ok((bias.map(|id| self.value(id)), None));
        }
        let constant = |id: TensorId| self.tensor(id).data.as_ref();
        let weights = |id| constant(id).and_then(Data::as_i8).ok_or_else(|| unsupported(node, "such weights"));
        let (kernel, recurrent) = (weights(parameters[0])?, weights(parameters[1])?);
        let rows = self.tensor(parameters[0]).shape[0];
        let bias = parameters.get(2).and_then(|id| constant(*id)).and_then(Data::as_i32).unwrap_or_default();
        let b = fold_bias(bias, kernel, rows, zero_point);
        let r_bias = fold_bias(&[], recurrent, rows, state_zero_point);
        let b = self.table(node, "bias", &Data::I32(b));
        let r_bias = self.table(node, "recurrent bias", &Data::I32(r_bias));
        Ok((Some(b), Some(r_bias)))
    }

    pub(super) fn gru(&mut self, site: Site<'_>, op: &ops::Gru) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        if dtype != DType::F32 {
            return Err(self.no_kernel(site));
        }
        self.expect_types(node, DType::F32)?;
        let cell = self.gru_cell(node, op);
        let [y, h] = [0, 1].map(|i| self.output_at(node, i));
        let scratch = self.lowering.program.transient(format!("{}/gates", node.name));
        self.sequence.push(&node.name, Some(id), move |p| gru::ForwardF32 {
            cell: cell(p),
            y: p.at(y),
            h: p.at(h),
            scratch: p.at(scratch),
        });
        Ok(())
    }

    /// The cell of a layer, forward and backward, once places are known.
    pub(in super::super) fn gru_cell(
        &mut self,
        node: &Node,
        op: &ops::Gru,
    ) -> impl Fn(Places<'_>) -> gru::Cell + Copy + use<> {
        let shape = self.sequence_shape(node, op.units, op.reverse);
        let reset_after = u32::from(op.reset_after);
        let x = self.value(node.inputs[0]);
        let h0 = (node.data_inputs().len() > 1).then(|| self.per_sample(node, 1));
        let [w, r, b, r_bias] = [0, 1, 2, 3].map(|i| node.parameters().get(i).map(|t| self.value(*t)));
        move |p| gru::Cell {
            shape,
            reset_after,
            x: p.at(x),
            w: p.opt(w),
            r: p.opt(r),
            b: p.opt(b),
            r_bias: p.opt(r_bias),
            h0: p.opt(h0),
        }
    }

    pub(in super::super) fn sequence_shape(&self, node: &Node, units: usize, reverse: bool) -> Recurrent {
        let input = &self.tensor(node.inputs[0]).shape;
        let size = |axis: usize| input.get(axis).copied().map_or(0, word);
        Recurrent { time: size(0), inputs: size(1), units: word(units), reverse: reverse.into() }
    }

    /// All operands of the node have this type.
    fn expect_types(&self, node: &Node, expected: DType) -> Result<(), LowerError> {
        node.inputs.iter().chain(&node.outputs).try_for_each(|id| self.expect_type(node, *id, expected))
    }

    /// The scales of a kernel's four gates, from one for the whole kernel or one for each row.
    fn gate_scales(&self, node: &Node, id: TensorId) -> Result<[f32; 4], LowerError> {
        let rows = self.tensor(id).shape[0];
        let scales = self.weight_scales(node, id, 0, rows)?;
        let units = rows / 4;
        let gates = [0, 1, 2, 3].map(|gate| scales.get(gate * units).or(scales.first()).copied().unwrap_or(1.0));
        let same = |(row, scale): (usize, &f32)| *scale == gates[row / units.max(1)];
        if scales.len() > 1 && !scales.iter().enumerate().all(same) {
            return Err(unsupported(node, "several scales within a gate"));
        }
        Ok(gates)
    }
}
