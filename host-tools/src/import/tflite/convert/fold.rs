//! Operators on constants, computed at import: shape arithmetic, and weights that are stored in
//! another type or order than they are used in.

use super::constants::MOST_INTEGERS;
use super::layers::{axes, axis};
use super::shapes::squeezed;
use super::window::options;
use super::{Constant, Converter, Made};
use crate::graph::{Data, elements};
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::{TensorType, op, option};

/// Operators that are computed at import or refused, by their names in the schema; others are on constants alone.
pub const FOLDED: &[&str] = &["CAST", "GATHER", "REDUCE_PROD", "SHAPE"];

impl<'a> Converter<'_, 'a> {
    /// Computes the operator if its inputs allow; false if it has to run on the device.
    pub(super) fn fold(&mut self, code: i32, operator: &Operator<'a>) -> Result<bool, OpProblem> {
        let constant = match code {
            // The shape of an activation is known here.
            op::SHAPE => Some(self.fold_shape(operator)?),
            _ if !self.all_constant(operator)? => None,
            op::RESHAPE => Some(self.fold_reshape(operator, |c, from| c.new_shape(operator, from))?),
            op::SQUEEZE => Some(self.fold_reshape(operator, |_, from| squeezed(operator, from))?),
            op::EXPAND_DIMS => Some(self.fold_reshape(operator, |c, from| c.expanded(operator, from))?),
            op::DEQUANTIZE => Some(self.fold_dequantize(operator)?),
            op::TRANSPOSE => Some(self.fold_transpose(operator)?),
            op::PACK | op::CONCATENATION => Some(self.fold_pack(code, operator)?),
            op::STRIDED_SLICE => Some(self.fold_strided_slice(operator)?),
            op::SLICE => Some(self.fold_slice(operator)?),
            op::GATHER => Some(self.fold_gather(operator)?),
            op::CAST => Some(self.fold_cast(operator)?),
            op::ADD => Some(self.fold_arithmetic(operator, i64::checked_add)?),
            op::SUB => Some(self.fold_arithmetic(operator, i64::checked_sub)?),
            op::MUL => Some(self.fold_arithmetic(operator, i64::checked_mul)?),
            op::REDUCE_PROD => Some(self.fold_product(operator)?),
            _ => None,
        };
        let Some(constant) = constant else { return Ok(false) };
        let output = self.output_index(operator)?;
        self.check_declared(output, &constant.shape)?;
        self.take(constant.shape.len() * 8 + 64)?;
        if let Some(made) = self.made.get_mut(output) {
            *made = Some(Made::Constant(constant));
        }
        Ok(true)
    }

    fn all_constant(&self, op: &Operator<'a>) -> Result<bool, OpProblem> {
        for i in 0..op.inputs.len() {
            let Some(index) = self.input_index(op, i, "input")? else { continue };
            if self.constant_at(index)?.is_none() {
                return Ok(false);
            }
        }
        Ok(op.inputs.len() > 0)
    }

    fn fold_shape(&self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let role = "input";
        let index = self.input_index(op, 0, role)?.ok_or(OpProblem::Missing { role })?;
        let shape = match self.constant_at(index)? {
            Some(constant) => constant.shape,
            None => self.value(op, 0, role)?.full,
        };
        let sizes: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
        let ty = self.output_type(op)?;
        from_integers(&sizes, vec![sizes.len()], ty)
    }

    fn output_type(&self, op: &Operator<'a>) -> Result<TensorType, OpProblem> {
        let index = self.output_index(op)?;
        Ok(self.model.tensors.get(index).map_or(TensorType::I32, |t| t.ty))
    }

    fn fold_reshape(
        &self,
        op: &Operator<'a>,
        shape: impl Fn(&Self, &[usize]) -> Result<Vec<usize>, OpProblem>,
    ) -> Result<Constant<'a>, OpProblem> {
        let (_, constant) = self.constant(op, 0, "input")?;
        let shape = shape(self, &constant.shape)?;
        Ok(Constant { shape, ..constant })
    }

    /// Kernels stored as f16 or as integers for a float layer.
    fn fold_dequantize(&mut self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let (index, constant) = self.constant(op, 0, "input")?;
        let values = self.values(&constant)?;
        let quant = self.model.tensors.get(index).map(|t| t.quant).ok_or(OpProblem::Overflow)?;
        let integers: Box<dyn Iterator<Item = i64>> = match &values {
            Data::F32(v) if constant.ty == TensorType::F16 => {
                self.take(v.len() * 4)?;
                let bytes = values.to_le_bytes().into();
                return Ok(Constant { shape: constant.shape, ty: TensorType::F32, bytes });
            }
            Data::I8(v) => Box::new(v.iter().map(|x| i64::from(*x))),
            Data::U8(v) => Box::new(v.iter().map(|x| i64::from(*x))),
            Data::I16(v) => Box::new(v.iter().map(|x| i64::from(*x))),
            _ => {
                let expected = "f16, i16, i8, u8 or i4";
                return Err(OpProblem::Type { role: "input", found: constant.ty, expected });
            }
        };
        self.take(values.len() * 4)?;
        let scales: Vec<f32> = quant.scales.f32().take(values.len()).collect();
        let zero_points: Vec<i64> = quant.zero_points.i64().take(values.len()).collect();
        self.take(scales.len() * 12)?;
        // The channel of element i is i / inner % channels.
        let (inner, channels) = match scales.len() {
            0 => return Err(OpProblem::Missing { role: "the input's scale" }),
            1 => (1, 1),
            found => {
                let at = axis(quant.axis.into(), constant.shape.len())?;
                let expected = constant.shape.get(at).copied().unwrap_or(0);
                if found != expected || quant.scales.len() != found {
                    return Err(OpProblem::Scales { role: "input", found, expected });
                }
                (constant.shape.iter().skip(at + 1).product::<usize>(), found)
            }
        };
        let real = |(i, q): (usize, i64)| {
            let channel = if channels == 1 { 0 } else { i / inner.max(1) % channels };
            let scale = scales.get(channel).copied().unwrap_or(1.0);
            let zero_point = zero_points.get(channel).or(zero_points.first()).copied().unwrap_or(0);
            // One rounding: the product of a single and a small integer is exact in double.
            ((q - zero_point) as f64 * f64::from(scale)) as f32
        };
        let bytes: Vec<u8> = integers.enumerate().map(real).flat_map(f32::to_le_bytes).collect();
        Ok(Constant { shape: constant.shape, ty: TensorType::F32, bytes: bytes.into() })
    }

    fn fold_transpose(&mut self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let (_, constant) = self.constant(op, 0, "input")?;
        let order = axes(&self.integers(op, 1, "the order of axes")?, constant.shape.len())?;
        let size = constant.ty.bytes(1).filter(|_| constant.ty != TensorType::I4);
        let expected = "a type of whole bytes";
        let size = size.ok_or(OpProblem::Type { role: "input", found: constant.ty, expected })?;
        self.take(constant.bytes.len())?;
        let (shape, bytes) = transpose(&constant.shape, &order, &constant.bytes, size)?;
        Ok(Constant { shape, ty: constant.ty, bytes: bytes.into() })
    }

    /// Integers of an input, and whether it is a scalar.
    fn list(&self, op: &Operator<'a>, i: usize) -> Result<(Vec<i64>, bool), OpProblem> {
        let (_, constant) = self.constant(op, i, "input")?;
        if constant.shape.len() > 1 {
            let expected = "at most one axis (shape arithmetic)".into();
            return Err(OpProblem::Shape { role: "input", found: constant.shape, expected });
        }
        Ok((constant.integers("input")?, constant.shape.is_empty()))
    }

    /// PACK of scalars, CONCATENATION of lists: both put the integers one after the other.
    fn fold_pack(&self, code: i32, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        let mut all = Vec::new();
        for i in 0..op.inputs.len() {
            let (list, scalar) = self.list(op, i)?;
            if scalar != (code == op::PACK) {
                let what = "packing lists, or joining scalars,".into();
                return Err(OpProblem::Feature { what });
            }
            all.extend(list);
            if all.len() > MOST_INTEGERS {
                return Err(OpProblem::Overflow);
            }
        }
        from_integers(&all, vec![all.len()], self.output_type(op)?)
    }

    fn fold_strided_slice(&self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 4..=4)?;
        let (list, scalar) = self.list(op, 0)?;
        let one = |i, role| match self.integers(op, i, role)?.as_slice() {
            [value] if !scalar => Ok(*value),
            _ => Err(OpProblem::Feature { what: "slicing a constant along several axes".into() }),
        };
        let (begin, end, stride) = (one(1, "begin")?, one(2, "end")?, one(3, "strides")?);
        let o = options(op)?;
        let mask = |id| Ok::<bool, OpProblem>(o.i32(id, 0)? & 1 != 0);
        use option::strided_slice as s;
        if mask(s::ELLIPSIS_MASK)? || mask(s::NEW_AXIS_MASK)? || o.bool(s::OFFSET)? || stride == 0 {
            return Err(OpProblem::Feature { what: "an ellipsis, new axis, offset or stride 0 in a slice".into() });
        }
        let count = list.len() as i64;
        // Python's rules: negative positions count from the end, then all are brought into range.
        let clamp = |at: i64| {
            let at = if at < 0 { at.saturating_add(count) } else { at };
            if stride > 0 { at.clamp(0, count) } else { at.clamp(-1, count - 1) }
        };
        let shrink = mask(s::SHRINK_AXIS_MASK)?;
        let first = if mask(s::BEGIN_MASK)? { if stride > 0 { 0 } else { count - 1 } } else { clamp(begin) };
        if shrink {
            let value = usize::try_from(first).ok().and_then(|i| list.get(i));
            let value = value.ok_or_else(|| OpProblem::Option {
                option: "begin",
                found: begin.to_string(),
                expected: "within the list",
            })?;
            return from_integers(&[*value], vec![], self.output_type(op)?);
        }
        let last = if mask(s::END_MASK)? { if stride > 0 { count } else { -1 } } else { clamp(end) };
        let mut values = Vec::new();
        let mut at = first;
        while (stride > 0 && at < last) || (stride < 0 && at > last) {
            values.extend(usize::try_from(at).ok().and_then(|i| list.get(i)).copied());
            at = at.saturating_add(stride);
        }
        from_integers(&values, vec![values.len()], self.output_type(op)?)
    }

    fn fold_slice(&self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 3..=3)?;
        let (list, _) = self.list(op, 0)?;
        let (begin, size) = (self.integers(op, 1, "begin")?, self.integers(op, 2, "size")?);
        let ([begin], [size]) = (begin.as_slice(), size.as_slice()) else {
            return Err(OpProblem::Feature { what: "slicing a constant along several axes".into() });
        };
        let from = usize::try_from(*begin).ok().and_then(|b| list.get(b..));
        let taken = match (from, usize::try_from(*size)) {
            (Some(from), Ok(size)) => from.get(..size),
            (Some(from), Err(_)) if *size == -1 => Some(from),
            _ => None,
        };
        let expected = "within the list";
        let taken =
            taken.ok_or_else(|| OpProblem::Option { option: "size", found: format!("{begin}, {size}"), expected })?;
        from_integers(taken, vec![taken.len()], self.output_type(op)?)
    }

    fn fold_gather(&self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let (list, _) = self.list(op, 0)?;
        let (at, scalar) = self.list(op, 1)?;
        let pick = |i: &i64| usize::try_from(*i).ok().and_then(|i| list.get(i)).copied();
        let picked: Option<Vec<i64>> = at.iter().map(pick).collect();
        let expected = "within the list";
        let picked =
            picked.ok_or_else(|| OpProblem::Option { option: "indices", found: format!("{at:?}"), expected })?;
        let shape = if scalar { vec![] } else { vec![picked.len()] };
        from_integers(&picked, shape, self.output_type(op)?)
    }

    fn fold_cast(&self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let (_, constant) = self.constant(op, 0, "input")?;
        from_integers(&constant.integers("input")?, constant.shape, self.output_type(op)?)
    }

    fn fold_arithmetic(
        &self,
        op: &Operator<'a>,
        compute: fn(i64, i64) -> Option<i64>,
    ) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let ((a, a_scalar), (b, b_scalar)) = (self.list(op, 0)?, self.list(op, 1)?);
        let count = match (a.len(), b.len()) {
            (n, m) if n == m => n,
            (1, n) | (n, 1) => n,
            (_, found) => {
                let expected = format!("{} values as input 0", a.len());
                return Err(OpProblem::Shape { role: "input 1", found: vec![found], expected });
            }
        };
        let at = |list: &[i64], i: usize| list.get(i).or(list.first()).copied();
        let values: Option<Vec<i64>> = (0..count).map(|i| compute(at(&a, i)?, at(&b, i)?)).collect();
        let values = values.ok_or(OpProblem::Overflow)?;
        let shape = if a_scalar && b_scalar { vec![] } else { vec![count] };
        from_integers(&values, shape, self.output_type(op)?)
    }

    fn fold_product(&self, op: &Operator<'a>) -> Result<Constant<'a>, OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let (list, scalar) = self.list(op, 0)?;
        let named = axes(&self.integers(op, 1, "axes")?, 1)?;
        if scalar || named.is_empty() {
            return Err(OpProblem::Feature { what: "a product over no axis".into() });
        }
        let product = list.iter().try_fold(1i64, |p, v| p.checked_mul(*v)).ok_or(OpProblem::Overflow)?;
        let keep = op.options.map_or(Ok(false), |o| o.bool(option::reduce::KEEP_DIMS))?;
        from_integers(&[product], if keep { vec![1] } else { vec![] }, self.output_type(op)?)
    }
}

/// A constant of integers.
fn from_integers<'a>(values: &[i64], shape: Vec<usize>, ty: TensorType) -> Result<Constant<'a>, OpProblem> {
    let bytes: Option<Vec<u8>> = match ty {
        TensorType::I64 => Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        TensorType::I32 => {
            let narrow: Option<Vec<i32>> = values.iter().map(|v| i32::try_from(*v).ok()).collect();
            narrow.map(|n| n.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        found => return Err(OpProblem::Type { role: "output", found, expected: "i32 or i64" }),
    };
    let bytes = bytes.ok_or(OpProblem::Overflow)?;
    Ok(Constant { shape, ty, bytes: bytes.into() })
}

/// Moves axis `order[i]` to place `i`; gives the new shape and the bytes of elements of `size`.
pub(super) fn transpose(
    shape: &[usize],
    order: &[usize],
    bytes: &[u8],
    size: usize,
) -> Result<(Vec<usize>, Vec<u8>), OpProblem> {
    let mut seen = order.to_vec();
    seen.sort_unstable();
    if !seen.iter().copied().eq(0..shape.len()) {
        let found = format!("{order:?}");
        return Err(OpProblem::Option { option: "order", found, expected: "every axis once" });
    }
    let count = elements(shape).ok_or(OpProblem::Overflow)?;
    // Step in the source for one step along each axis of the result.
    let step = |axis: &usize| shape.iter().skip(axis + 1).product::<usize>();
    let steps: Vec<usize> = order.iter().map(step).collect();
    let moved: Vec<usize> = order.iter().filter_map(|axis| shape.get(*axis)).copied().collect();
    let mut result = Vec::with_capacity(bytes.len());
    let mut position = vec![0usize; moved.len()];
    for _ in 0..count {
        let from: usize = position.iter().zip(&steps).map(|(p, s)| p * s).sum();
        result.extend_from_slice(bytes.get(from * size..(from + 1) * size).unwrap_or_default());
        for (p, n) in position.iter_mut().zip(&moved).rev() {
            *p += 1;
            if *p < *n {
                break;
            }
            *p = 0;
        }
    }
    Ok((moved, result))
}
