//! Sums, products and the like over axes of constants, computed at import.

use super::fold::{Operands, first, unscaled};
use super::operands::axes;
use super::{Call, Converter};
use crate::graph::Data;
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::Constant;

/// What an operator begins with, and how it takes another value in: for integers (`None` on overflow) and for floats.
struct Fold {
    first: (Option<i64>, f32),
    integers: fn(i64, i64) -> Option<i64>,
    floats: fn(f32, f32) -> f32,
}

fn fold(op: &str) -> Option<Fold> {
    Some(match op {
        "ReduceSum" => Fold { first: (Some(0), 0.0), integers: i64::checked_add, floats: |a, b| a + b },
        // Of integers there is none here: what it rounds to is nowhere defined.
        "ReduceMean" => Fold { first: (None, 0.0), integers: |_, _| None, floats: |a, b| a + b },
        "ReduceProd" => Fold { first: (Some(1), 1.0), integers: i64::checked_mul, floats: |a, b| a * b },
        "ReduceMax" => Fold {
            first: (Some(i64::MIN), f32::NEG_INFINITY),
            integers: |a, b| Some(a.max(b)),
            floats: |a, b| if b > a || b.is_nan() { b } else { a },
        },
        _ => return None,
    })
}

/// Whether there is an operator of this name here.
pub(super) fn is_known(op: &str) -> bool {
    fold(op).is_some()
}

impl<'m, 'a> Converter<'m, 'a> {
    pub(super) fn fold_reduction(
        &mut self,
        call: &Call<'m, 'a>,
        operands: &Operands,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let Some(Fold { first: (none, nothing), integers, floats }) = fold(call.key()) else { return Ok(None) };
        let x = unscaled(first(operands, 0)?)?;
        let rank = x.shape.len();
        let named = match self.list(call, "axes", 1)?.filter(|axes| !axes.is_empty()) {
            Some(found) => axes(&found, rank)?,
            None if call.flag("noop_with_empty_axes")? => return Ok(Some(vec![x])),
            None => (0..rank).collect(),
        };
        let kept: Vec<usize> = (0..rank).map(|axis| if named.contains(&axis) { 1 } else { x.shape[axis] }).collect();
        let count: usize = kept.iter().product();
        self.room(x.len().max(count))?;
        let to = |flat| output_of(flat, &x.shape, &kept);
        let data = if let Data::F32(values) = &x.data {
            let mut results = vec![nothing; count];
            for (flat, value) in values.iter().enumerate() {
                results[to(flat)] = floats(results[to(flat)], *value);
            }
            if call.key() == "ReduceMean" {
                let each = named.iter().map(|axis| x.shape[*axis]).product::<usize>() as f32;
                results.iter_mut().for_each(|sum| *sum /= each);
            }
            Data::F32(results)
        } else {
            let (Some(values), Some(none)) = (x.integers(), none) else { return Ok(None) };
            let mut results = vec![none; count];
            for (flat, value) in values.iter().enumerate() {
                results[to(flat)] = integers(results[to(flat)], *value).ok_or(NodeProblem::Overflow)?;
            }
            Data::I64(results)
        };
        let shape = match call.int("keepdims", 1)? {
            0 => (0..rank).filter(|axis| !named.contains(axis)).map(|axis| kept[axis]).collect(),
            _ => kept,
        };
        Ok(Some(vec![Constant::new(shape, data)]))
    }
}

/// Where the value at index `flat` of a shape goes, if axes that are 1 in `kept` vanish.
fn output_of(flat: usize, shape: &[usize], kept: &[usize]) -> usize {
    let (mut rest, mut stride, mut at) = (flat, 1, 0);
    for (size, kept) in shape.iter().zip(kept).rev() {
        if *kept == *size {
            at += rest % size * stride;
        }
        rest /= size;
        stride *= kept;
    }
    at
}
