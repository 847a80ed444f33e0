//! Constants: their values, and parameters of the graph made from them.

use super::{Bytes, Constant, Converter, Made};
use crate::graph::{DType, Data, Quant, Tensor, TensorId, elements, shape_text};
use crate::import::narrow::{halves, nibbles};
use crate::import::tflite::error::{OpProblem, TensorProblem};
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::TensorType;

/// What a layer expects of its kernel.
pub(super) struct Kernel<'s> {
    /// Shape in the graph, with as many elements as in the file.
    pub shape: &'s [usize],
    /// The axis of output channels in the file and in the graph.
    pub file_axis: usize,
    pub axis: usize,
    pub channels: usize,
}

impl<'a> Converter<'_, 'a> {
    /// The constant with this number: computed before, or in a buffer; `None` for an activation.
    pub(super) fn constant_at(&self, index: usize) -> Result<Option<Constant<'a>>, OpProblem> {
        match self.made.get(index) {
            Some(Some(Made::Constant(constant))) => return Ok(Some(constant.clone())),
            Some(Some(Made::Activation(_))) | None => return Ok(None),
            Some(None) => (),
        }
        let Some(tensor) = self.model.tensors.get(index) else { return Ok(None) };
        let at = |source| self.at_tensor(index, source);
        let Some(shape) = tensor.shape().map_err(at)? else { return Ok(None) };
        let Some(bytes) = self.model.data(tensor).map_err(at)? else {
            // An empty list, such as the shape of a scalar, needs no buffer.
            let empty = shape == [0] && matches!(tensor.ty, TensorType::I32 | TensorType::I64);
            return Ok(empty.then_some(Constant { shape, ty: tensor.ty, bytes: Bytes::File(&[]) }));
        };
        let ty = tensor.ty;
        let count = elements(&shape).ok_or_else(|| at(TensorProblem::TooLarge { shape: shape.clone() }))?;
        let expected = ty.bytes(count).ok_or_else(|| at(TensorProblem::ConstantType { found: ty }))?;
        if bytes.len() != expected {
            return Err(at(TensorProblem::BufferLength { found: bytes.len(), expected, shape, ty }));
        }
        Ok(Some(Constant { shape, ty, bytes: Bytes::File(bytes) }))
    }

    /// Input `i`, which is a constant.
    pub(super) fn constant(
        &self,
        op: &Operator<'a>,
        i: usize,
        role: &'static str,
    ) -> Result<(usize, Constant<'a>), OpProblem> {
        let index = self.input_index(op, i, role)?.ok_or(OpProblem::Missing { role })?;
        match self.constant_at(index)? {
            Some(constant) => Ok((index, constant)),
            None if self.made.get(index).is_some_and(Option::is_some) => Err(OpProblem::NotConstant { role }),
            None => Err(OpProblem::NotMade { role, tensor: index }),
        }
    }

    /// Input `i`, a short list of integers such as a shape or axes.
    pub(super) fn integers(&self, op: &Operator<'a>, i: usize, role: &'static str) -> Result<Vec<i64>, OpProblem> {
        let (_, constant) = self.constant(op, i, role)?;
        constant.integers(role)
    }

    /// Input `i`, a constant of one value, as a real.
    pub(super) fn real(&mut self, op: &Operator<'a>, i: usize, role: &'static str) -> Result<f32, OpProblem> {
        let (index, constant) = self.constant(op, i, role)?;
        if elements(&constant.shape) != Some(1) {
            return Err(OpProblem::Shape { role, found: constant.shape, expected: "one value".into() });
        }
        let number = match self.values(&constant)? {
            Data::F32(v) => return v.first().copied().ok_or(OpProblem::Missing { role }),
            Data::I8(v) => v.first().copied().map(f64::from),
            Data::I16(v) => v.first().copied().map(f64::from),
            _ => return Err(OpProblem::Type { role, found: constant.ty, expected: "f32, i8 or i16" }),
        };
        let quant = self.constant_quant(index, constant.ty, role)?.and_then(|q| q.single());
        let (scale, zero_point) = quant.ok_or(OpProblem::Missing { role })?;
        let number = number.ok_or(OpProblem::Missing { role })?;
        Ok((f64::from(scale) * (number - f64::from(zero_point))) as f32)
    }

    /// The kernel, input 1, for activations of type `dtype`.
    pub(super) fn kernel(
        &mut self,
        op: &Operator<'a>,
        dtype: DType,
        kernel: &Kernel<'_>,
    ) -> Result<TensorId, OpProblem> {
        let (index, constant) = self.constant(op, 1, "kernel")?;
        self.kernel_of(index, constant, dtype, kernel)
    }

    /// The kernel from these values of tensor `index`, whose scales stand at the tensor.
    pub(super) fn kernel_of(
        &mut self,
        index: usize,
        constant: Constant<'a>,
        dtype: DType,
        kernel: &Kernel<'_>,
    ) -> Result<TensorId, OpProblem> {
        let key = (index, kernel.shape.to_vec());
        if let Some(known) = self.parameters.get(&key) {
            return Ok(*known);
        }
        let weights = constant.ty;
        let float = matches!(weights, TensorType::F32 | TensorType::F16);
        // Float activations may have integer weights, but not the other way round.
        let fits = matches!(weights, TensorType::I8 | TensorType::I4) || (float && dtype == DType::F32);
        if !fits {
            return Err(OpProblem::Mix { found: dtype, weights });
        }
        let data = self.values(&constant)?;
        let quant = if float { None } else { Some(self.kernel_quant(index, kernel)?) };
        let name = self.tensor_name(index)?;
        let id = self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, kernel.shape, data) });
        self.parameters.insert(key, id);
        Ok(id)
    }

    /// Whether there are scales per channel is told by their number alone.
    fn kernel_quant(&self, index: usize, kernel: &Kernel<'_>) -> Result<Quant, OpProblem> {
        let role = "kernel";
        let tensor = self.model.tensors.get(index).ok_or(OpProblem::Overflow)?;
        tensor.check_quant().map_err(|source| self.at_tensor(index, source))?;
        let quant = tensor.quant;
        let (scales, zero_points) = (quant.scales.len(), quant.zero_points.len());
        if scales == 0 {
            return Err(self.at_tensor(index, TensorProblem::NotQuantized { found: tensor.ty }));
        }
        if scales != 1 && scales != kernel.channels {
            return Err(OpProblem::Scales { role, found: scales, expected: kernel.channels });
        }
        if zero_points != scales && zero_points > 1 {
            return Err(self.at_tensor(index, TensorProblem::QuantLength { scales, zero_points }));
        }
        if let Some(found) = quant.zero_points.i64().find(|z| *z != 0) {
            return Err(OpProblem::WeightZeroPoint { role, found });
        }
        if scales == 1 {
            return Ok(Quant::per_tensor(quant.scales.f32().next().unwrap_or_default(), 0));
        }
        if usize::try_from(quant.axis) != Ok(kernel.file_axis) {
            let (found, expected) = (i64::from(quant.axis), kernel.file_axis);
            return Err(OpProblem::ScaleAxis { role, found, expected });
        }
        Ok(Quant::per_axis(quant.scales.f32().collect(), kernel.axis))
    }

    /// The bias, input 2, of so many values; `None` if the operator has none.
    pub(super) fn bias(
        &mut self,
        op: &Operator<'a>,
        dtype: DType,
        channels: usize,
    ) -> Result<Option<TensorId>, OpProblem> {
        self.bias_at(op, 2, dtype, channels)
    }

    /// The bias, input `i`.
    pub(super) fn bias_at(
        &mut self,
        op: &Operator<'a>,
        i: usize,
        dtype: DType,
        channels: usize,
    ) -> Result<Option<TensorId>, OpProblem> {
        let role = "bias";
        let Some(index) = self.input_index(op, i, role)? else { return Ok(None) };
        let key = (index, vec![channels]);
        if let Some(known) = self.parameters.get(&key) {
            return Ok(Some(*known));
        }
        let (_, constant) = self.constant(op, i, role)?;
        let (fits, expected) = match dtype {
            DType::F32 => (matches!(constant.ty, TensorType::F32 | TensorType::F16), "f32"),
            DType::I16 => (matches!(constant.ty, TensorType::I64 | TensorType::I32), "i64 or i32"),
            _ => (constant.ty == TensorType::I32, "i32"),
        };
        if !fits {
            return Err(OpProblem::Type { role, found: constant.ty, expected });
        }
        if elements(&constant.shape) != Some(channels) {
            let expected = shape_text(&[channels]);
            return Err(OpProblem::Shape { role, found: constant.shape, expected });
        }
        let data = self.values(&constant)?;
        let name = self.tensor_name(index)?;
        // A bias has the scale of input times kernel by definition. Some files contradict themselves
        // there (person_detect names axis 3 of one), so what they say is not read.
        let id = self.graph.add_tensor(Tensor::constant(name, [channels], data));
        self.parameters.insert(key, id);
        Ok(Some(id))
    }

    /// A constant's values as the graph keeps them: f16 becomes f32 and i4 becomes i8, both exactly.
    pub(super) fn values(&mut self, constant: &Constant<'a>) -> Result<Data, OpProblem> {
        let bytes = &*constant.bytes;
        let dtype = match constant.ty {
            TensorType::F32 => DType::F32,
            TensorType::I32 => DType::I32,
            TensorType::I64 => DType::I64,
            TensorType::I16 => DType::I16,
            TensorType::I8 => DType::I8,
            TensorType::U8 | TensorType::Bool => DType::U8,
            TensorType::F16 => {
                self.take(bytes.len().saturating_mul(2))?;
                return Ok(Data::F32(halves(bytes).collect()));
            }
            TensorType::I4 => {
                self.take(bytes.len().saturating_mul(2))?;
                let count = elements(&constant.shape).ok_or(OpProblem::Overflow)?;
                return Ok(Data::I4(nibbles(bytes).take(count).collect()));
            }
            TensorType::Other(_) => return Err(OpProblem::Overflow),
        };
        self.take(bytes.len())?;
        Data::from_le_bytes(dtype, bytes).ok_or(OpProblem::Overflow)
    }
}

impl Constant<'_> {
    /// The values of an integer list of at most [`MOST_INTEGERS`] entries.
    pub(super) fn integers(&self, role: &'static str) -> Result<Vec<i64>, OpProblem> {
        let size = match self.ty {
            TensorType::I32 => 4,
            TensorType::I64 => 8,
            found => return Err(OpProblem::Type { role, found, expected: "i32 or i64" }),
        };
        if self.bytes.len() / size > MOST_INTEGERS {
            let expected = format!("at most {MOST_INTEGERS} values");
            return Err(OpProblem::Shape { role, found: self.shape.clone(), expected });
        }
        Ok(match self.ty {
            TensorType::I32 => self.bytes.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect(),
            _ => self.bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        })
    }
}

/// Longest list that counts as shape arithmetic.
pub(super) const MOST_INTEGERS: usize = 1024;
