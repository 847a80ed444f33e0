//! Nodes whose inputs are constants, computed at import: shape arithmetic, and weights that are stored
//! in another type or order than they are used in.

use super::operands::{MOST_INTEGERS, axis};
use super::quantized::Blocked;
use super::shapes::{flattened, permutation};
use super::{Call, Converter, Made};
use crate::graph::{Data, elements};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::model::{AttributeValue, MAX_RANK};
use crate::import::onnx::tensor::{Constant, ElementType, decode, take};
use std::rc::Rc;

/// Whether there is an operator of this name that is computed at import.
pub(super) fn is_known(op: &str) -> bool {
    matches!(
        op,
        "Constant"
            | "ConstantOfShape"
            | "Shape"
            | "Size"
            | "Gather"
            | "Cast"
            | "Concat"
            | "Slice"
            | "Split"
            | "Expand"
            | "Range"
            | "Where"
            | "Tile"
    ) || super::fold_arithmetic::is_known(op)
}

type Operands = Vec<Option<Rc<Constant>>>;

impl<'m, 'a> Converter<'m, 'a> {
    /// Computes the node if its inputs allow; `None` if it has to run on the device.
    pub(super) fn fold(&mut self, call: &Call<'m, 'a>) -> Result<Option<Vec<Constant>>, NodeProblem> {
        match call.key() {
            "Constant" => return self.fold_constant(call).map(|c| Some(vec![c])),
            "Shape" | "Size" => {
                let shape = match self.made(call.input(0), "input")?.ok_or(NodeProblem::Missing { role: "input" })? {
                    Made::Constant(constant) => constant.shape.clone(),
                    Made::Value(value) => value.shape().to_vec(),
                    _ => return Ok(None),
                };
                let constant = if call.key() == "Shape" {
                    list(Self::shape_of(call, &shape)?)
                } else {
                    Constant::new([], Data::I64(vec![elements(&shape).ok_or(NodeProblem::Overflow)? as i64]))
                };
                return Ok(Some(vec![constant]));
            }
            _ => (),
        }
        let mut operands = Operands::with_capacity(call.node.inputs.len().min(64));
        for i in 0..call.node.inputs.len() {
            match self.made(call.input(i), "input")? {
                None => operands.push(None),
                Some(Made::Constant(constant)) => operands.push(Some(constant)),
                Some(_) => return Ok(None),
            }
        }
        if operands.is_empty() {
            return Ok(None);
        }
        let one = |constant: Constant| Ok(Some(vec![constant]));
        match call.key() {
            "Identity" | "Dropout" => one(first(&operands, 0)?.clone()),
            "Reshape" => self.fold_shape(&operands, |c, from| c.new_shape(call, from)),
            "Flatten" => self.fold_shape(&operands, |_, from| flattened(call, from)),
            "Squeeze" => self.fold_shape(&operands, |c, from| c.squeezed(call, from)),
            "Unsqueeze" => self.fold_shape(&operands, |c, from| c.unsqueezed(call, from)),
            "Transpose" => {
                let constant = first(&operands, 0)?;
                let order = permutation(call, constant.shape.len())?;
                self.room(constant.len())?;
                one(constant.permuted(&order))
            }
            "QuantizeLinear" if call.int("block_size", 0)? == 0 => {
                let constant = first(&operands, 0)?;
                self.room(constant.len())?;
                one(self.quantize_constant(call, constant)?)
            }
            "DequantizeLinear" => {
                let constant = first(&operands, 0)?;
                match call.int("block_size", 0)? {
                    0 => one(self.with_scales(call, constant, 1)?),
                    size => {
                        self.room(constant.len())?;
                        one(Blocked::of(call, size, &operands)?.reals(constant)?)
                    }
                }
            }
            "ConstantOfShape" => self.fold_filled(call, &operands),
            "Cast" => one(self.fold_cast(call, first(&operands, 0)?)?),
            "Gather" => self.fold_gather(call, &operands),
            "Concat" => self.fold_concat(call, &operands),
            "Slice" => self.fold_slice(call, first(&operands, 0)?),
            "Split" => self.fold_split(call, first(&operands, 0)?),
            "Expand" => {
                let (from, to) = (first(&operands, 0)?, first(&operands, 1)?);
                let wanted = sizes(to)?;
                let shape = super::elementwise::broadcast_shape(&from.shape, &wanted)?;
                one(self.expanded(from, &shape)?)
            }
            "Tile" => self.fold_tile(&operands),
            "Range" => self.fold_range(&operands),
            "Where" => self.fold_where(&operands),
            _ => self.fold_arithmetic(call, &operands),
        }
    }

    /// Memory for so many elements, however wide, and their indices.
    pub(super) fn room(&mut self, elements: usize) -> Result<(), NodeProblem> {
        Ok(self.budget.take(elements.saturating_mul(8))?)
    }

    /// Constant, whose value is one of several attributes.
    pub(super) fn fold_constant(&mut self, call: &Call<'m, 'a>) -> Result<Constant, NodeProblem> {
        let attribute = ["value", "value_float", "value_floats", "value_int", "value_ints"];
        let found = attribute.iter().find_map(|name| call.value(name));
        Ok(match found.ok_or(NodeProblem::Missing { role: "the value" })? {
            AttributeValue::Tensor(def) => decode(def, self.external, self.budget)
                .map_err(|source| NodeProblem::Tensor { role: "value", name: def.name.into(), source })?,
            AttributeValue::Float(value) => Constant::new([], Data::F32(vec![*value])),
            AttributeValue::Int(value) => Constant::new([], Data::I64(vec![*value])),
            AttributeValue::Floats(values) => Constant::new([values.len()], Data::F32(values.clone())),
            AttributeValue::Ints(values) => list(values.clone()),
            _ => return Err(NodeProblem::Feature { what: "a constant of this type".into() }),
        })
    }

    fn fold_shape(
        &mut self,
        operands: &Operands,
        shape: impl FnOnce(&mut Self, &[usize]) -> Result<Vec<usize>, NodeProblem>,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let constant = first(operands, 0)?;
        self.room(constant.len())?;
        let shape = shape(self, &constant.shape)?;
        Ok(Some(vec![constant.reshaped(&shape).ok_or(NodeProblem::Overflow)?]))
    }

    fn fold_filled(&mut self, call: &Call<'m, 'a>, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let shape = sizes(first(operands, 0)?)?;
        let count = elements(&shape).ok_or(NodeProblem::Overflow)?;
        self.room(count)?;
        let value = match call.value("value") {
            Some(AttributeValue::Tensor(def)) => decode(def, self.external, self.budget)
                .map_err(|source| NodeProblem::Tensor { role: "value", name: def.name.into(), source })?,
            _ => Constant::new([1], Data::F32(vec![0.0])),
        };
        if value.len() != 1 {
            return Err(NodeProblem::Shape { role: "value", found: value.shape, expected: "one number".into() });
        }
        Ok(Some(vec![Constant::new(shape, take(&value.data, &vec![0; count]))]))
    }

    fn fold_cast(&mut self, call: &Call<'m, 'a>, constant: &Constant) -> Result<Constant, NodeProblem> {
        self.room(constant.len())?;
        let to = ElementType(call.int("to", 0)?);
        let narrow = |bits: u32, signed: bool| -> Result<Vec<i64>, NodeProblem> {
            let values = match (constant.integers(), constant.reals()) {
                (Some(integers), _) => integers,
                (None, Some(reals)) => reals.iter().map(|v| *v as i64).collect(),
                (None, None) => return Err(NodeProblem::Overflow),
            };
            let (drop, wrap) = (64 - bits, values.into_iter());
            Ok(match signed {
                true => wrap.map(|v| (v << drop) >> drop).collect(),
                false => wrap.map(|v| (((v as u64) << drop) >> drop) as i64).collect(),
            })
        };
        let data = match to {
            to if to.is_float() => {
                let reals = constant.reals();
                let reals = reals.or_else(|| Some(constant.integers()?.iter().map(|v| *v as f32).collect()));
                Data::F32(reals.ok_or(NodeProblem::Overflow)?)
            }
            ElementType::BOOL => {
                let truth = match (constant.integers(), constant.reals()) {
                    (Some(integers), _) => integers.iter().map(|v| u8::from(*v != 0)).collect(),
                    (None, reals) => reals.unwrap_or_default().iter().map(|v| u8::from(*v != 0.0)).collect(),
                };
                Data::U8(truth)
            }
            ElementType::INT8 => Data::I8(narrow(8, true)?.iter().map(|v| *v as i8).collect()),
            ElementType::UINT8 => Data::U8(narrow(8, false)?.iter().map(|v| *v as u8).collect()),
            ElementType::INT16 => Data::I64(narrow(16, true)?),
            ElementType::UINT16 => Data::I64(narrow(16, false)?),
            ElementType::INT32 => Data::I32(narrow(32, true)?.iter().map(|v| *v as i32).collect()),
            ElementType::UINT32 => Data::I64(narrow(32, false)?),
            ElementType::INT64 => Data::I64(narrow(64, true)?),
            found => return Err(NodeProblem::Feature { what: format!("a cast to {found}") }),
        };
        Ok(Constant::new(constant.shape.clone(), data))
    }

    fn fold_gather(&mut self, call: &Call<'m, 'a>, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let (from, at) = (unscaled(first(operands, 0)?)?, first(operands, 1)?);
        let along = axis(call.int("axis", 0)?, from.shape.len())?;
        let size = from.shape[along];
        let indices =
            at.integers().ok_or(NodeProblem::Type { role: "indices", found: "float".into(), expected: "integers" })?;
        let place = |i: &i64| {
            let from_front = if *i < 0 { i.checked_add(size as i64) } else { Some(*i) };
            from_front.and_then(|i| u32::try_from(i).ok()).filter(|i| (*i as usize) < size)
        };
        let places: Option<Vec<u32>> = indices.iter().map(place).collect();
        let places = places.ok_or_else(|| NodeProblem::Value {
            role: "indices",
            found: format!("{indices:?}"),
            expected: format!("within an axis of {size}"),
        })?;
        let shape = [&from.shape[..along], &at.shape, &from.shape[along + 1..]].concat();
        self.pick(&from, along, &places, shape)
    }

    /// These indices of one axis.
    fn pick(
        &mut self,
        from: &Constant,
        along: usize,
        places: &[u32],
        shape: Vec<usize>,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let (outer, inner) =
            (from.shape[..along].iter().product::<usize>(), from.shape[along + 1..].iter().product::<usize>());
        if shape.len() > MAX_RANK {
            return Err(NodeProblem::Overflow);
        }
        self.room(elements(&shape).ok_or(NodeProblem::Overflow)?)?;
        let size = from.shape[along] as u32;
        let inner = inner as u32;
        let index: Vec<u32> = (0..outer as u32)
            .flat_map(|o| places.iter().flat_map(move |p| (0..inner).map(move |i| (o * size + p) * inner + i)))
            .collect();
        Ok(Some(vec![Constant::new(shape, take(&from.data, &index))]))
    }

    fn fold_concat(&mut self, call: &Call<'m, 'a>, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let parts: Vec<Constant> = operands.iter().flatten().map(|c| unscaled(c)).collect::<Result<_, _>>()?;
        let head = parts.first().ok_or(NodeProblem::Missing { role: "input" })?;
        let along = axis(call.int("axis", 0)?, head.shape.len())?;
        let fits = |c: &Constant| {
            c.shape.len() == head.shape.len()
                && c.data.dtype() == head.data.dtype()
                && (0..c.shape.len()).all(|a| a == along || c.shape[a] == head.shape[a])
        };
        if let Some(other) = parts.iter().find(|c| !fits(c)) {
            let expected = format!("{} but for axis {along}", crate::graph::shape_text(&head.shape));
            return Err(NodeProblem::Shape { role: "input", found: other.shape.clone(), expected });
        }
        let total: usize = parts.iter().map(Constant::len).sum();
        self.room(total)?;
        let mut shape = head.shape.clone();
        shape[along] = parts.iter().map(|c| c.shape[along]).sum();
        // All one behind the other, then by rows of the outer axes.
        let joined = joined(parts.iter().map(|c| &c.data)).ok_or(NodeProblem::Overflow)?;
        let outer: usize = shape[..along].iter().product();
        let mut index = Vec::with_capacity(total);
        for o in 0..outer {
            let mut start = 0;
            for part in &parts {
                let row = part.len() / outer.max(1);
                index.extend((0..row).map(|i| (start + o * row + i) as u32));
                start += part.len();
            }
        }
        Ok(Some(vec![Constant::new(shape, take(&joined, &index))]))
    }

    fn fold_slice(&mut self, call: &Call<'m, 'a>, from: &Constant) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let from = unscaled(from)?;
        let ranges = self.ranges(call, &from.shape)?;
        self.room(from.len())?;
        let mut result = from;
        for (along, range) in ranges.iter().enumerate() {
            let places: Vec<u32> =
                (0..range.count as isize).map(|i| (range.first as isize + i * range.step) as u32).collect();
            let mut shape = result.shape.clone();
            shape[along] = range.count;
            result =
                self.pick(&result, along, &places, shape)?.and_then(|mut c| c.pop()).ok_or(NodeProblem::Overflow)?;
        }
        Ok(Some(vec![result]))
    }

    fn fold_split(&mut self, call: &Call<'m, 'a>, from: &Constant) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let from = unscaled(from)?;
        let along = axis(call.int("axis", 0)?, from.shape.len())?;
        let parts = self.split_sizes(call, from.shape[along])?;
        let (mut start, mut results) = (0u32, Vec::new());
        for part in parts {
            let mut shape = from.shape.clone();
            shape[along] = part;
            let places: Vec<u32> = (start..start + part as u32).collect();
            results.extend(self.pick(&from, along, &places, shape)?.into_iter().flatten());
            start += part as u32;
        }
        Ok(Some(results))
    }

    /// How many elements of an axis each output of Split gets.
    pub(super) fn split_sizes(&mut self, call: &Call<'m, 'a>, size: usize) -> Result<Vec<usize>, NodeProblem> {
        let count = call.node.outputs.len();
        let given = self.list(call, "split", 1)?;
        let error =
            |found: String| NodeProblem::Value { role: "split", found, expected: format!("{count} parts of {size}") };
        let Some(given) = given else {
            // The last part is smaller where it does not come out even.
            let part = size.div_ceil(count.max(1));
            return Ok((0..count).map(|i| part.min(size.saturating_sub(i * part))).collect());
        };
        let parts: Option<Vec<usize>> = given.iter().map(|v| usize::try_from(*v).ok()).collect();
        let parts =
            parts.filter(|p| p.len() == count && p.iter().try_fold(0usize, |s, v| s.checked_add(*v)) == Some(size));
        parts.ok_or_else(|| error(format!("{given:?}")))
    }

    /// Repeats what has size 1 up to this shape, which it fits.
    pub(super) fn expanded(&mut self, from: &Constant, shape: &[usize]) -> Result<Constant, NodeProblem> {
        let from = unscaled(from)?;
        let count = elements(shape).filter(|n| *n <= i32::MAX as usize).ok_or(NodeProblem::Overflow)?;
        self.room(count)?;
        if from.shape == shape {
            return Ok(from);
        }
        let missing = shape.len().saturating_sub(from.shape.len());
        let mut index = vec![0u32];
        for (at, size) in shape.iter().enumerate() {
            let own = at.checked_sub(missing).map_or(1, |a| from.shape[a]) as u32;
            let size = *size as u32;
            index = index.iter().flat_map(|i| (0..size).map(move |j| i * own + if own == 1 { 0 } else { j })).collect();
        }
        Ok(Constant::new(shape, take(&from.data, &index)))
    }

    fn fold_tile(&mut self, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let (from, repeats) = (unscaled(first(operands, 0)?)?, sizes(first(operands, 1)?)?);
        if repeats.len() != from.shape.len() {
            let expected = format!("{} numbers", from.shape.len());
            return Err(NodeProblem::Shape { role: "repeats", found: vec![repeats.len()], expected });
        }
        let mut result = from;
        for (along, times) in repeats.iter().enumerate() {
            let mut shape = result.shape.clone();
            shape[along] = shape[along].checked_mul(*times).ok_or(NodeProblem::Overflow)?;
            self.room(elements(&shape).ok_or(NodeProblem::Overflow)?)?;
            let size = result.shape[along] as u32;
            let places: Vec<u32> = (0..*times).flat_map(|_| 0..size).collect();
            result =
                self.pick(&result, along, &places, shape)?.and_then(|mut c| c.pop()).ok_or(NodeProblem::Overflow)?;
        }
        Ok(Some(vec![result]))
    }

    fn fold_range(&mut self, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let number = |i: usize| {
            let found = first(operands, i)?;
            match found.integers().as_deref() {
                Some([value]) => Ok(*value),
                _ => Err(NodeProblem::Feature { what: "a range of other than integers".into() }),
            }
        };
        let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
        let distance = if step > 0 { limit.checked_sub(start) } else { start.checked_sub(limit) };
        let distance = distance.unwrap_or(0).max(0) as u64;
        let count = if step == 0 { 0 } else { distance.div_ceil(step.unsigned_abs()) as usize };
        if count > MOST_INTEGERS {
            return Err(NodeProblem::Feature { what: format!("a range of {count} numbers") });
        }
        let values: Vec<i64> = (0..count as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect();
        Ok(Some(vec![list(values)]))
    }

    fn fold_where(&mut self, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let (condition, a, b) = (first(operands, 0)?, first(operands, 1)?, first(operands, 2)?);
        let shape = super::elementwise::broadcast_shape(&condition.shape, &a.shape)?;
        let shape = super::elementwise::broadcast_shape(&shape, &b.shape)?;
        let (condition, a, b) =
            (self.expanded(condition, &shape)?, self.expanded(a, &shape)?, self.expanded(b, &shape)?);
        let all = joined([&a.data, &b.data].into_iter()).ok_or(NodeProblem::Overflow)?;
        let truth = condition.integers().ok_or(NodeProblem::Overflow)?;
        let count = a.len() as u32;
        let index: Vec<u32> = (0..count).zip(&truth).map(|(i, t)| if *t != 0 { i } else { i + count }).collect();
        Ok(Some(vec![Constant::new(shape, take(&all, &index))]))
    }
}

/// Operand `i`, which must be there.
pub(super) fn first(operands: &[Option<Rc<Constant>>], i: usize) -> Result<&Constant, NodeProblem> {
    operands.get(i).and_then(Option::as_deref).ok_or(NodeProblem::Missing { role: "an input" })
}

fn list(values: Vec<i64>) -> Constant {
    Constant::new([values.len()], Data::I64(values))
}

/// The constant with plain values: reals where it had a scale.
pub(super) fn unscaled(constant: &Constant) -> Result<Constant, NodeProblem> {
    match &constant.quant {
        None => Ok(constant.clone()),
        Some(_) => {
            let reals = constant.reals().ok_or(NodeProblem::Overflow)?;
            Ok(Constant::new(constant.shape.clone(), Data::F32(reals)))
        }
    }
}

/// A list of sizes.
fn sizes(constant: &Constant) -> Result<Vec<usize>, NodeProblem> {
    let list = super::operands::integer_list(constant, "shape")?;
    let size = |v: &i64| usize::try_from(*v).ok().filter(|v| *v <= i32::MAX as usize);
    let error = || NodeProblem::Value { role: "shape", found: format!("{list:?}"), expected: "sizes".into() };
    let sizes: Vec<usize> = list.iter().map(size).collect::<Option<_>>().ok_or_else(error)?;
    let small = sizes.len() <= MAX_RANK && elements(&sizes).is_some_and(|n| n <= i32::MAX as usize);
    if small { Ok(sizes) } else { Err(NodeProblem::Overflow) }
}

/// Values of one type, one behind the other.
fn joined<'d>(parts: impl Iterator<Item = &'d Data>) -> Option<Data> {
    let mut parts = parts.cloned();
    let mut all = parts.next()?;
    for part in parts {
        match (&mut all, part) {
            (Data::F32(a), Data::F32(b)) => a.extend(b),
            (Data::I8(a), Data::I8(b)) => a.extend(b),
            (Data::U8(a), Data::U8(b)) => a.extend(b),
            (Data::I16(a), Data::I16(b)) => a.extend(b),
            (Data::I32(a), Data::I32(b)) => a.extend(b),
            (Data::I64(a), Data::I64(b)) => a.extend(b),
            (a, b) => {
                // int32 beside int64 in shape arithmetic.
                let integers = |d: Data| Constant::new([], d).integers();
                let mut values = integers(a.clone())?;
                values.extend(integers(b)?);
                all = Data::I64(values);
            }
        }
    }
    Some(all)
}
