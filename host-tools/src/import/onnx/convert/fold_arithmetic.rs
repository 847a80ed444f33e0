//! Arithmetic on constants.

use super::elementwise::broadcast_shape;
use super::fold::{first, unscaled};
use super::{Call, Converter};
use crate::graph::Data;
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::Constant;
use std::rc::Rc;

/// Whether there is an operator of this name here.
pub(super) fn is_known(op: &str) -> bool {
    binary(op).is_some() || compare(op).is_some() || unary(op).is_some() || matches!(op, "Not" | "And" | "Or")
}

/// Results for integers (`None` on overflow) and for floats.
type Binary = (fn(i64, i64) -> Option<i64>, fn(f32, f32) -> f32);

fn binary(op: &str) -> Option<Binary> {
    Some(match op {
        "Add" => (i64::checked_add, |a, b| a + b),
        "Sub" => (i64::checked_sub, |a, b| a - b),
        "Mul" => (i64::checked_mul, |a, b| a * b),
        "Div" => (i64::checked_div, |a, b| a / b),
        "Mod" => (i64::checked_rem_euclid, f32::rem_euclid),
        "Min" => (|a, b| Some(a.min(b)), f32::min),
        "Max" => (|a, b| Some(a.max(b)), f32::max),
        "Pow" => (|a, b| a.checked_pow(u32::try_from(b).ok()?), |a, b| f64::from(a).powf(f64::from(b)) as f32),
        _ => return None,
    })
}

fn compare(op: &str) -> Option<fn(core::cmp::Ordering) -> bool> {
    Some(match op {
        "Equal" => core::cmp::Ordering::is_eq,
        "Greater" => core::cmp::Ordering::is_gt,
        "GreaterOrEqual" => core::cmp::Ordering::is_ge,
        "Less" => core::cmp::Ordering::is_lt,
        "LessOrEqual" => core::cmp::Ordering::is_le,
        _ => return None,
    })
}

fn unary(op: &str) -> Option<fn(f32) -> f32> {
    Some(match op {
        "Neg" => |x| -x,
        "Abs" => f32::abs,
        "Sqrt" => f32::sqrt,
        "Reciprocal" => |x| 1.0 / x,
        "Exp" => |x| f64::from(x).exp() as f32,
        "Log" => |x| f64::from(x).ln() as f32,
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        _ => return None,
    })
}

impl<'m, 'a> Converter<'m, 'a> {
    pub(super) fn fold_arithmetic(
        &mut self,
        call: &Call<'m, 'a>,
        operands: &[Option<Rc<Constant>>],
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let op = call.key();
        let result = if let Some(compute) = binary(op) {
            let mut result = unscaled(first(operands, 0)?)?;
            // Min and Max take any number.
            for other in operands.iter().skip(1).flatten() {
                result = self.pairs(&result, other, compute)?;
            }
            result
        } else if let Some(holds) = compare(op) {
            self.comparison(operands, holds)?
        } else if let Some(compute) = unary(op) {
            let x = unscaled(first(operands, 0)?)?;
            self.room(x.len())?;
            match (&x.data, x.integers()) {
                (Data::F32(values), _) => {
                    Constant::new(x.shape, Data::F32(values.iter().map(|v| compute(*v)).collect()))
                }
                (_, Some(values)) if op == "Neg" => {
                    Constant::new(x.shape, Data::I64(values.iter().map(|v| v.wrapping_neg()).collect()))
                }
                (_, Some(values)) if op == "Abs" => {
                    Constant::new(x.shape, Data::I64(values.iter().map(|v| v.wrapping_abs()).collect()))
                }
                _ => return Ok(None),
            }
        } else {
            match op {
                "Not" => {
                    let x = first(operands, 0)?;
                    self.room(x.len())?;
                    let values = x.integers().ok_or(NodeProblem::Overflow)?;
                    Constant::new(x.shape.clone(), Data::U8(values.iter().map(|v| u8::from(*v == 0)).collect()))
                }
                "And" | "Or" => {
                    let and = op == "And";
                    let compute: fn(i64, i64) -> Option<i64> = match and {
                        true => |a, b| Some(i64::from(a != 0 && b != 0)),
                        false => |a, b| Some(i64::from(a != 0 || b != 0)),
                    };
                    let a = first(operands, 0)?;
                    self.pairs(a, first(operands, 1)?, (compute, |a, _| a))?
                }
                "Clip" => {
                    // Before operator set 11 the limits are attributes.
                    let (low, high) = if call.opset < 11 { self.clip_bounds(call)? } else { Default::default() };
                    let attribute = |limit| Rc::new(Constant::new([], Data::F32(vec![limit])));
                    let limit = |i: usize, named: f32| match call.opset {
                        ..11 => Some(attribute(named)),
                        _ => operands.get(i).cloned().flatten(),
                    };
                    let limits: [(_, Binary); 2] = [
                        (limit(1, low), (|a, b| Some(a.max(b)), f32::max)),
                        (limit(2, high), (|a, b| Some(a.min(b)), f32::min)),
                    ];
                    let mut result = unscaled(first(operands, 0)?)?;
                    for (limit, compute) in limits {
                        if let Some(limit) = limit {
                            result = self.pairs(&result, &limit, compute)?;
                        }
                    }
                    result
                }
                _ => return Ok(None),
            }
        };
        Ok(Some(vec![result]))
    }

    fn pairs(&mut self, a: &Constant, b: &Constant, compute: Binary) -> Result<Constant, NodeProblem> {
        let shape = broadcast_shape(&a.shape, &b.shape)?;
        let (a, b) = (self.expanded(a, &shape)?, self.expanded(b, &shape)?);
        self.room(a.len())?;
        let data = match (&a.data, &b.data, a.integers(), b.integers()) {
            (Data::F32(a), Data::F32(b), ..) => Data::F32(a.iter().zip(b).map(|(a, b)| compute.1(*a, *b)).collect()),
            (.., Some(a), Some(b)) => {
                let values: Option<Vec<i64>> = a.iter().zip(&b).map(|(a, b)| compute.0(*a, *b)).collect();
                Data::I64(values.ok_or(NodeProblem::Overflow)?)
            }
            _ => {
                let found = format!("{} and {}", a.data.dtype(), b.data.dtype());
                return Err(NodeProblem::Type { role: "the inputs' type", found, expected: "one type" });
            }
        };
        Ok(Constant::new(shape, data))
    }

    fn comparison(
        &mut self,
        operands: &[Option<Rc<Constant>>],
        holds: fn(core::cmp::Ordering) -> bool,
    ) -> Result<Constant, NodeProblem> {
        let (a, b) = (first(operands, 0)?, first(operands, 1)?);
        let shape = broadcast_shape(&a.shape, &b.shape)?;
        let (a, b) = (self.expanded(a, &shape)?, self.expanded(b, &shape)?);
        self.room(a.len())?;
        let truth: Vec<u8> = match (&a.data, &b.data, a.integers(), b.integers()) {
            (Data::F32(a), Data::F32(b), ..) => {
                a.iter().zip(b).map(|(a, b)| u8::from(a.partial_cmp(b).is_some_and(holds))).collect()
            }
            (.., Some(a), Some(b)) => a.iter().zip(&b).map(|(a, b)| u8::from(holds(a.cmp(b)))).collect(),
            _ => return Err(NodeProblem::Overflow),
        };
        Ok(Constant::new(shape, Data::U8(truth)))
    }
}
