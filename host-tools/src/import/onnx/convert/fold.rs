//! Nodes whose inputs are constants, computed at import: shape arithmetic, and weights that are stored
//! in another type or order than they are used in.

use super::operands::MOST_INTEGERS;
use super::quantized_constants::Blocked;
use super::shapes::{flattened, permutation};
use super::{Call, Converter, Made};
use crate::graph::{Data, elements};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::model::{AttributeValue, MAX_RANK};
use crate::import::onnx::tensor::{Constant, ElementType, decode, take};
use std::rc::Rc;

/// Operators that are computed at import, beside arithmetic, comparisons and reductions.
pub const FOLDED: &[&str] = &[
    "Constant",
    "ConstantOfShape",
    "Shape",
    "Size",
    "Gather",
    "Cast",
    "Concat",
    "Slice",
    "Split",
    "Expand",
    "Range",
    "Where",
    "Tile",
];

/// Whether there is an operator of this name that is computed at import.
pub(super) fn is_known(op: &str) -> bool {
    FOLDED.contains(&op) || super::fold_arithmetic::is_known(op) || super::fold_reduce::is_known(op)
}

pub(super) type Operands = Vec<Option<Rc<Constant>>>;

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
            "Pad" => self.fold_pad(call, &operands),
            op if super::fold_reduce::is_known(op) => self.fold_reduction(call, &operands),
            _ => self.fold_arithmetic(call, &operands),
        }
    }

    /// Memory for so many elements, however wide, and their indices.
    pub(super) fn room(&mut self, elements: usize) -> Result<(), NodeProblem> {
        Ok(self.budget.take(elements.saturating_mul(8))?)
    }

    /// Memory for what walks along the axes of this shape: where one is empty, the others are not.
    pub(super) fn room_along(&mut self, shape: &[usize]) -> Result<(), NodeProblem> {
        let walked = shape.iter().try_fold(1usize, |product, size| product.checked_mul((*size).max(1)));
        self.room(walked.filter(|count| *count <= i32::MAX as usize).ok_or(NodeProblem::Overflow)?)
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
            ElementType::INT4 => Data::I4(narrow(4, true)?.iter().map(|v| *v as i8).collect()),
            ElementType::UINT4 => Data::U8(narrow(4, false)?.iter().map(|v| *v as u8).collect()),
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
pub(super) fn sizes(constant: &Constant) -> Result<Vec<usize>, NodeProblem> {
    let list = super::operands::integer_list(constant, "shape")?;
    let size = |v: &i64| usize::try_from(*v).ok().filter(|v| *v <= i32::MAX as usize);
    let error = || NodeProblem::Value { role: "shape", found: format!("{list:?}"), expected: "sizes".into() };
    let sizes: Vec<usize> = list.iter().map(size).collect::<Option<_>>().ok_or_else(error)?;
    let small = sizes.len() <= MAX_RANK && elements(&sizes).is_some_and(|n| n <= i32::MAX as usize);
    if small { Ok(sizes) } else { Err(NodeProblem::Overflow) }
}
