//! Layers with a state: SVDF, and LSTM over a sequence.

use super::window::options;
use super::{Converter, fused, sample};
use crate::graph::ops::{Activation, Lstm, Svdf};
use crate::graph::{DType, Data, Quant, Tensor, TensorId, elements, shape_text};
use crate::import::tflite::error::{OpProblem, TensorProblem};
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::{TensorType, option};

/// The number of the fused activation `tanh`.
const TANH: u8 = 4;

/// Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM; gates in the order input, forget, cell, output.
mod input {
    pub const KERNELS: usize = 1;
    pub const RECURRENT: usize = 5;
    pub const PEEPHOLES: usize = 9;
    pub const BIASES: usize = 12;
    pub const PROJECTION: usize = 16;
    pub const HIDDEN: usize = 18;
    pub const CELL: usize = 19;
    pub const NORMS: usize = 20;
    pub const COUNT: usize = 24;
}

impl<'a> Converter<'_, 'a> {
    pub(super) fn svdf(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 5..=5)?;
        let options = options(op)?;
        let value = self.value(op, 0, "input")?;
        let dtype = self.dtype(&value);
        let rank = options.i32(option::svdf::RANK, 0)?;
        let activation = match (dtype, fused(options.u8(option::svdf::ACTIVATION)?)?) {
            (DType::F32, activation) => activation,
            // The integer kernels of TFLite know no other limits than the type's.
            _ => Activation::Linear,
        };
        let (_, kernel) = self.constant(op, 1, "feature weights")?;
        let (_, time) = self.constant(op, 2, "time weights")?;
        let ([filters, features], [time_filters, memory]) = (kernel.shape.as_slice(), time.shape.as_slice()) else {
            let expected = "filters x features, and filters x memory".into();
            return Err(OpProblem::Shape { role: "weights", found: kernel.shape, expected });
        };
        let (filters, features, memory) = (*filters, *features, *memory);
        let rank = usize::try_from(rank).ok().filter(|rank| *rank > 0 && filters % rank == 0 && filters > 0);
        let rank = rank.ok_or_else(|| OpProblem::Option {
            option: "rank",
            found: format!("{rank:?} for {filters} filters"),
            expected: "a divisor of the filters",
        })?;
        if *time_filters != filters || elements(&value.full) != Some(features) {
            let expected = format!("{features} features in one row, and {filters} filters");
            return Err(OpProblem::Shape { role: "input", found: value.full, expected });
        }
        let units = filters / rank;
        let kernel = self.matrix(op, 1, "feature weights", dtype)?;
        let state_type = if dtype == DType::F32 { DType::F32 } else { self.input_dtype(op, 2)? };
        let time = self.matrix(op, 2, "time weights", state_type)?;
        let bias = self.bias_at(op, 3, dtype, units)?;
        let state = self.state(op, 4, &[filters, memory], state_type)?;
        let x = self.reshaped(&value, &[features])?;
        let inputs: Vec<TensorId> = [x, kernel, time].into_iter().chain(bias).chain([state]).collect();
        let node = Svdf { units, rank, memory, use_bias: bias.is_some(), activation };
        self.emit(op, node, &inputs, &[units], &[1, units])?;
        Ok(())
    }

    /// UNIDIRECTIONAL_SEQUENCE_LSTM without peepholes, projection, normalisation or coupled gates. Its
    /// states begin as zeros with every run.
    pub(super) fn lstm(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, input::HIDDEN + 2..=input::COUNT)?;
        let options = options(op)?;
        let activation = options.u8(option::lstm::ACTIVATION)?;
        if activation != TANH {
            let found = activation.to_string();
            return Err(OpProblem::Option { option: "fused activation", found, expected: "4 (tanh)" });
        }
        for (from, count, what) in [
            (input::PEEPHOLES, 3, "an LSTM with peepholes"),
            (input::PROJECTION, 2, "an LSTM with a projection"),
            (input::NORMS, 4, "an LSTM with layer normalisation"),
        ] {
            for i in from..from + count {
                if self.input_index(op, i, "input")?.is_some() {
                    return Err(OpProblem::Feature { what: what.into() });
                }
            }
        }
        if self.input_index(op, input::KERNELS, "input weights")?.is_none() {
            return Err(OpProblem::Feature { what: "an LSTM whose input and forget gates are coupled".into() });
        }
        let value = self.value(op, 0, "input")?;
        let dtype = self.dtype(&value);
        let major = options.bool(option::lstm::TIME_MAJOR)?;
        let (time, features) = match (value.full.as_slice(), major) {
            ([1, time, features], false) | ([time, 1, features], true) => (*time, *features),
            _ => {
                let expected = "a sequence of one sample, with three axes".into();
                return Err(OpProblem::Shape { role: "input", found: value.full, expected });
            }
        };
        let (_, first) = self.constant(op, input::KERNELS, "input weights")?;
        let units = first.shape.first().copied().unwrap_or(0);
        let kernel = self.gates(op, input::KERNELS, "input weights", dtype, &[units, features])?;
        let recurrent = self.gates(op, input::RECURRENT, "recurrent weights", dtype, &[units, units])?;
        let bias = self.gates(op, input::BIASES, "biases", dtype, &[units])?;
        let cell_type = if dtype == DType::F32 { DType::F32 } else { DType::I16 };
        let hidden = self.state_quant(op, input::HIDDEN, dtype)?;
        let cell = self.state_quant(op, input::CELL, cell_type)?;
        let cell_clip = options.f32(option::lstm::CELL_CLIP)?;

        let x = self.reshaped(&value, &[time, features])?;
        let full = if major { vec![time, 1, units] } else { vec![1, time, units] };
        let index = self.output_index(op)?;
        self.check_declared(index, &full)?;
        let output = self.declare(index, &full)?;
        if self.graph.tensor(output).dtype != dtype || self.graph.tensor(output).quant != hidden {
            // The output is the hidden state; another scale would need a rounding of its own.
            return Err(OpProblem::Feature { what: "an LSTM whose output and state differ in scale".into() });
        }
        let between = if sample(&full) == [time, units] { output } else { self.like(output, &[time, units])? };
        let last = self.inner(output, "state", &[units], dtype, hidden)?;
        let cell = self.inner(output, "cell", &[units], cell_type, cell)?;
        let node = Lstm { units, reverse: false, use_bias: true, peepholes: false, cell_clip };
        self.nodes(node.into(), &[x, kernel, recurrent, bias], &[between, last, cell])?;
        if between != output {
            self.node(crate::graph::ops::Reshape::new(sample(&full)).into(), &[between], output)?;
        }
        Ok(())
    }

    /// A tensor beside the node's first output.
    fn inner(
        &mut self,
        of: TensorId,
        what: &str,
        shape: &[usize],
        dtype: DType,
        quant: Option<Quant>,
    ) -> Result<TensorId, OpProblem> {
        let name = format!("{}/{what}", self.graph.tensor(of).name);
        self.take(name.len() * 2 + 400)?;
        let name = self.names.unique(&name);
        Ok(self.graph.add_tensor(Tensor { quant, ..Tensor::activation(name, shape, dtype) }))
    }

    /// The type of a constant input, as the graph has it.
    fn input_dtype(&self, op: &Operator<'a>, i: usize) -> Result<DType, OpProblem> {
        match self.constant(op, i, "time weights")?.1.ty {
            TensorType::I8 => Ok(DType::I8),
            TensorType::I16 => Ok(DType::I16),
            found => Err(OpProblem::Type { role: "time weights", found, expected: "i8 or i16" }),
        }
    }

    /// A constant with one scale, as it is.
    fn matrix(&mut self, op: &Operator<'a>, i: usize, role: &'static str, dtype: DType) -> Result<TensorId, OpProblem> {
        let (index, constant) = self.constant(op, i, role)?;
        let data = self.values(&constant)?;
        if data.dtype() != dtype {
            return Err(OpProblem::Type { role, found: constant.ty, expected: dtype.name() });
        }
        let quant = self.constant_quant(index, constant.ty, role)?;
        let name = self.tensor_name(index)?;
        Ok(self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, constant.shape, data) }))
    }

    /// The constants of four gates, one below the other, with the scale of each repeated for its rows.
    fn gates(
        &mut self,
        op: &Operator<'a>,
        from: usize,
        role: &'static str,
        dtype: DType,
        shape: &[usize],
    ) -> Result<TensorId, OpProblem> {
        let units = shape.first().copied().unwrap_or(0);
        let (mut bytes, mut scales, mut ty) = (Vec::new(), Vec::new(), None);
        let mut first = 0;
        for gate in 0..4 {
            let (index, constant) = self.constant(op, from + gate, role)?;
            if constant.shape != shape {
                let expected = shape_text(shape);
                return Err(OpProblem::Shape { role, found: constant.shape, expected });
            }
            let expected = match (dtype, shape.len()) {
                (DType::F32, _) => TensorType::F32,
                (DType::I16, 1) => TensorType::I64,
                (_, 1) => TensorType::I32,
                _ => TensorType::I8,
            };
            if constant.ty != expected {
                return Err(OpProblem::Mix { found: dtype, weights: constant.ty });
            }
            if expected == TensorType::I8 {
                let quant = self.constant_quant(index, constant.ty, role)?.and_then(|q| q.single());
                let (scale, zero_point) = quant.ok_or(OpProblem::Missing { role })?;
                if zero_point != 0 {
                    return Err(OpProblem::WeightZeroPoint { role, found: zero_point.into() });
                }
                self.take(units.saturating_mul(8))?;
                scales.extend(std::iter::repeat_n(scale, units));
            }
            self.take(constant.bytes.len().saturating_mul(2))?;
            bytes.extend_from_slice(&constant.bytes);
            ty = Some(expected);
            first = if gate == 0 { index } else { first };
        }
        let kind = match ty {
            Some(TensorType::F32) => DType::F32,
            Some(TensorType::I32) => DType::I32,
            Some(TensorType::I64) => DType::I64,
            _ => DType::I8,
        };
        let data = Data::from_le_bytes(kind, &bytes).ok_or(OpProblem::Overflow)?;
        let quant = (!scales.is_empty()).then(|| Quant::per_axis(scales, 0));
        let name = self.tensor_name(first)?;
        let rows = units.checked_mul(4).ok_or(OpProblem::Overflow)?;
        let shape = [&[rows], shape.get(1..).unwrap_or_default()].concat();
        Ok(self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, shape, data) }))
    }

    /// Scale and zero point of a state, which is a variable of this type.
    fn state_quant(&self, op: &Operator<'a>, i: usize, dtype: DType) -> Result<Option<Quant>, OpProblem> {
        let role = "state";
        let index = self.input_index(op, i, role)?.ok_or(OpProblem::Missing { role })?;
        let tensor = self.model.tensors.get(index).ok_or(OpProblem::Overflow)?;
        let (expected, name) = match dtype {
            DType::F32 => (TensorType::F32, "f32"),
            DType::I16 => (TensorType::I16, "i16"),
            _ => (TensorType::I8, "i8"),
        };
        if tensor.ty != expected {
            return Err(OpProblem::Type { role, found: tensor.ty, expected: name });
        }
        if !tensor.variable {
            return Err(self.at_tensor(index, TensorProblem::NotVariable));
        }
        self.constant_quant(index, tensor.ty, role)
    }

    /// A state that outlives the run: a constant of zeros in the graph, to start from.
    fn state(&mut self, op: &Operator<'a>, i: usize, shape: &[usize], dtype: DType) -> Result<TensorId, OpProblem> {
        let quant = self.state_quant(op, i, dtype)?;
        let index = self.input_index(op, i, "state")?.ok_or(OpProblem::Missing { role: "state" })?;
        let count = elements(shape).ok_or(OpProblem::Overflow)?;
        self.take(count.saturating_mul(4))?;
        let data = match dtype {
            DType::F32 => Data::F32(vec![0.0; count]),
            DType::I16 => Data::I16(vec![0; count]),
            _ => Data::I8(vec![0; count]),
        };
        let name = self.tensor_name(index)?;
        Ok(self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, shape, data) }))
    }
}
