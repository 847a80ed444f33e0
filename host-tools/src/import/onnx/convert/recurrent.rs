//! LSTM and GRU: one node of the graph for each direction.

use super::{Call, Converter, Made, Value};
use crate::graph::ops::{Concat, Gru, Lstm, Slice};
use crate::graph::{Data, TensorId};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;

/// What LSTM and GRU share.
struct Cell {
    units: usize,
    /// Whether each direction walks backwards.
    directions: Vec<bool>,
    /// `[batch, time, features]` instead of `[time, batch, features]`.
    batch_first: bool,
}

impl<'m, 'a> Converter<'m, 'a> {
    fn cell(&mut self, call: &Call<'m, 'a>, defaults: &[&str]) -> Result<(Cell, Value), NodeProblem> {
        let x = self.real(call, 0, "input")?;
        let batch_first = call.flag("layout")?;
        let (time, batch, features) = match *x.shape() {
            [b, t, f] if batch_first => (t, b, f),
            [t, b, f] => (t, b, f),
            _ => {
                let expected = "time x batch x features".into();
                return Err(NodeProblem::Shape { role: "input", found: x.shape().to_vec(), expected });
            }
        };
        if batch != 1 {
            return Err(NodeProblem::Feature {
                what: format!("a batch of {batch} sequences (set it to 1 with --shape)"),
            });
        }
        let directions = match call.text("direction", "forward")? {
            "forward" => vec![false],
            "reverse" => vec![true],
            "bidirectional" => vec![false, true],
            found => {
                let expected = "forward, reverse or bidirectional".into();
                return Err(NodeProblem::Attribute { attribute: "direction", found: found.into(), expected });
            }
        };
        if call.has("clip") || call.flag("input_forget")? {
            return Err(NodeProblem::Feature { what: "clip, or input_forget,".into() });
        }
        let activations = call.texts("activations")?.unwrap_or_default();
        let expected = defaults.iter().cycle().take(activations.len());
        if !activations.iter().map(|a| a.to_ascii_lowercase()).eq(expected.map(|d| d.to_ascii_lowercase())) {
            return Err(NodeProblem::Feature { what: format!("the activations {}", activations.join(", ")) });
        }
        if let Some(lengths) = self.optional_constant(call, 4, "sequence lengths")? {
            let lengths = lengths.integers().unwrap_or_default();
            if lengths.iter().any(|l| usize::try_from(*l) != Ok(time)) {
                let what = format!("sequences of {lengths:?} in {time} steps");
                return Err(NodeProblem::Feature { what });
            }
        }
        let weights = self.constant(call, 1, "input W")?;
        let recurrent = self.constant(call, 2, "input R")?;
        let gates = defaults.len() + 1;
        let units = *recurrent.shape.last().unwrap_or(&0);
        let rows = units.checked_mul(gates).ok_or(NodeProblem::Overflow)?;
        let count = directions.len();
        let (w, r) = ([count, rows, features], [count, rows, units]);
        for (role, constant, shape) in [("input W", &weights, w), ("input R", &recurrent, r)] {
            if constant.shape != shape || units == 0 {
                let expected = crate::graph::shape_text(&shape);
                return Err(NodeProblem::Shape { role, found: constant.shape.clone(), expected });
            }
        }
        let hidden = call.int("hidden_size", units as i64)?;
        if usize::try_from(hidden) != Ok(units) {
            let expected = units.to_string();
            return Err(NodeProblem::Attribute { attribute: "hidden_size", found: hidden.to_string(), expected });
        }
        let id = self.plain(&x)?.id;
        let id = self.shaped(id, &[time, features])?;
        let x = Value { id, layout: Layout::plain(&[time, features]), dequantized: false };
        Ok((Cell { units, directions, batch_first }, x))
    }

    /// Rows of one direction of a constant `[directions, gates * units, ...]`, gate by gate in this order.
    fn gates(
        &mut self,
        call: &Call<'m, 'a>,
        i: usize,
        direction: usize,
        order: &[usize],
        units: usize,
    ) -> Result<Vec<f32>, NodeProblem> {
        let constant = self.constant(call, i, "a weight")?;
        let reals = constant.reals();
        let reals = reals.ok_or(NodeProblem::Type { role: "a weight", found: "integer".into(), expected: "float" })?;
        let directions = constant.shape.first().copied().unwrap_or(1).max(1);
        let per_direction = reals.len() / directions;
        // Every gate has as many values.
        let rows: usize = constant.shape.get(1).copied().unwrap_or(1).max(1);
        let gate = per_direction / rows * units;
        let mut values = Vec::with_capacity(order.len() * gate);
        for g in order {
            let first = direction * per_direction + g * gate;
            let part = reals.get(first..first + gate).ok_or_else(|| NodeProblem::Shape {
                role: "a weight",
                found: constant.shape.clone(),
                expected: format!("gates of {units}"),
            })?;
            values.extend_from_slice(part);
        }
        Ok(values)
    }

    /// The state that a direction starts from, if the file gives one that is not zeros.
    fn start(
        &mut self,
        call: &Call<'m, 'a>,
        i: usize,
        direction: usize,
        cell: &Cell,
    ) -> Result<Option<TensorId>, NodeProblem> {
        let count = cell.directions.len();
        let full = if cell.batch_first { [1, count, cell.units] } else { [count, 1, cell.units] };
        let wrong = |found: &[usize]| NodeProblem::Shape {
            role: "the first state",
            found: found.to_vec(),
            expected: crate::graph::shape_text(&full),
        };
        match self.made(call.input(i), "the first state")? {
            None => Ok(None),
            Some(Made::Constant(state)) => {
                // The file may hold a batch of states where --shape says one sequence: if all are zeros, so is ours.
                let mut batched = full;
                let axis = usize::from(!cell.batch_first);
                batched[axis] = state.shape.get(axis).copied().unwrap_or(1).max(1);
                let reals = state.reals().filter(|_| state.shape == batched).ok_or_else(|| wrong(&state.shape))?;
                if reals.iter().all(|v| *v == 0.0) {
                    return Ok(None);
                }
                if state.shape != full {
                    return Err(wrong(&state.shape));
                }
                let part = reals.iter().skip(direction * cell.units).take(cell.units).copied().collect();
                self.parameter(call.input(i), &[cell.units], Data::F32(part), None).map(Some)
            }
            Some(_) => {
                let state = self.real(call, i, "the first state")?;
                if state.shape() != full {
                    return Err(wrong(state.shape()));
                }
                let state = self.plain(&state)?;
                if count == 1 {
                    return self.shaped(state.id, &[cell.units]).map(Some);
                }
                let id = self.shaped(state.id, &[count, cell.units])?;
                let (begin, size, stride) = (vec![direction, 0], vec![1, cell.units], vec![1, 1]);
                let id = self.emit(Slice { begin, size, stride }, &[id], None)?;
                self.shaped(id, &[cell.units]).map(Some)
            }
        }
    }

    /// Whether an LSTM's gates see its cell: peepholes of zeros count as none.
    fn has_peepholes(&mut self, call: &Call<'m, 'a>, cell: &Cell) -> Result<bool, NodeProblem> {
        let Some(peepholes) = self.optional_constant(call, 7, "input P")? else { return Ok(false) };
        let shape = [cell.directions.len(), 3 * cell.units];
        if peepholes.shape != shape {
            let expected = crate::graph::shape_text(&shape);
            return Err(NodeProblem::Shape { role: "input P", found: peepholes.shape.clone(), expected });
        }
        Ok(peepholes.reals().is_none_or(|p| p.iter().any(|v| *v != 0.0)))
    }

    /// LSTM.
    pub(super) fn lstm(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(3..=8)?;
        let (cell, x) = self.cell(call, &["sigmoid", "tanh", "tanh"])?;
        let units = cell.units;
        // The file's gates are input, output, forget, cell; its peepholes input, output, forget.
        let order = [0, 2, 3, 1];
        let rows = 4 * units;
        let peepholes = self.has_peepholes(call, &cell)?;
        let mut results = Vec::new();
        for (direction, reverse) in cell.directions.clone().into_iter().enumerate() {
            let kernel = self.gates(call, 1, direction, &order, units)?;
            let recurrent = self.gates(call, 2, direction, &order, units)?;
            let features = kernel.len() / rows;
            let kernel = self.parameter(call.input(1), &[rows, features], Data::F32(kernel), None)?;
            let recurrent = self.parameter(call.input(2), &[rows, units], Data::F32(recurrent), None)?;
            let mut inputs = vec![x.id];
            let (h, c) = (self.start(call, 5, direction, &cell)?, self.start(call, 6, direction, &cell)?);
            if h.is_some() || c.is_some() {
                for state in [h, c] {
                    let zeros = Data::F32(vec![0.0; units]);
                    inputs.push(match state {
                        Some(state) => state,
                        None => self.parameter("zeros", &[units], zeros, None)?,
                    });
                }
            }
            inputs.extend([kernel, recurrent]);
            let use_bias = !call.input(3).is_empty();
            if use_bias {
                // Those of the input, then those of the state; they are only ever added.
                let of_input = self.gates(call, 3, direction, &order, units)?;
                let of_state = self.gates(call, 3, direction, &order.map(|g| g + 4), units)?;
                let bias = of_input.iter().zip(&of_state).map(|(a, b)| a + b).collect();
                inputs.push(self.parameter(call.input(3), &[rows], Data::F32(bias), None)?);
            }
            if peepholes {
                let values = self.gates(call, 7, direction, &[0, 2, 1], units)?;
                inputs.push(self.parameter(call.input(7), &[3 * units], Data::F32(values), None)?);
            }
            let op = Lstm { units, reverse, use_bias, peepholes, cell_clip: 0.0 };
            results.push(self.emit_all(op, &inputs)?);
        }
        self.define_states(call, &cell, &results)
    }

    /// GRU.
    pub(super) fn gru(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(3..=6)?;
        let (cell, x) = self.cell(call, &["sigmoid", "tanh"])?;
        let units = cell.units;
        let rows = 3 * units;
        let order = [0, 1, 2];
        let reset_after = call.flag("linear_before_reset")?;
        let mut results = Vec::new();
        for (direction, reverse) in cell.directions.clone().into_iter().enumerate() {
            let kernel = self.gates(call, 1, direction, &order, units)?;
            let recurrent = self.gates(call, 2, direction, &order, units)?;
            let features = kernel.len() / rows;
            let kernel = self.parameter(call.input(1), &[rows, features], Data::F32(kernel), None)?;
            let recurrent = self.parameter(call.input(2), &[rows, units], Data::F32(recurrent), None)?;
            let mut inputs = vec![x.id];
            inputs.extend(self.start(call, 5, direction, &cell)?);
            inputs.extend([kernel, recurrent]);
            let use_bias = !call.input(3).is_empty();
            if use_bias {
                for order in [order, order.map(|g| g + 3)] {
                    let bias = self.gates(call, 3, direction, &order, units)?;
                    inputs.push(self.parameter(call.input(3), &[rows], Data::F32(bias), None)?);
                }
            }
            let op = Gru { units, reverse, reset_after, use_bias };
            results.push(self.emit_all(op, &inputs)?);
        }
        self.define_states(call, &cell, &results)
    }

    /// Y `[time, directions, batch, units]`, then the last states `[directions, batch, units]`; with the
    /// batch first, `[batch, time, directions, units]` and `[batch, directions, units]`.
    fn define_states(
        &mut self,
        call: &Call<'m, 'a>,
        cell: &Cell,
        results: &[Vec<TensorId>],
    ) -> Result<(), NodeProblem> {
        let (units, count) = (cell.units, results.len());
        for i in 0..results.first().map_or(0, Vec::len) {
            let name = call.output(i);
            if name.is_empty() || !self.is_read(name) {
                continue;
            }
            let parts: Vec<TensorId> = results.iter().filter_map(|r| r.get(i).copied()).collect();
            // Units of both directions lie side by side.
            let id = match *parts {
                [one] => one,
                _ => {
                    let axis = self.graph.tensor(parts[0]).shape.len() - 1;
                    self.emit(Concat { axis }, &parts, None)?
                }
            };
            let time = self.graph.tensor(results[0][0]).shape[0];
            let full = match (i, cell.batch_first) {
                (0, true) => vec![1, time, count, units],
                (0, false) => vec![time, count, 1, units],
                (_, true) => vec![1, count, units],
                (_, false) => vec![count, 1, units],
            };
            let id = self.shaped(id, super::arrange::sample(&full))?;
            self.define_as(name, Value { id, layout: Layout::plain(&full), dequantized: false })?;
        }
        Ok(())
    }
}
