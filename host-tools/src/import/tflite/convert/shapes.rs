//! Operators that only give the values another shape.

use super::layers::{axes, axis};
use super::window::options;
use super::{Converter, Value, sample};
use crate::graph::ops::Reshape;
use crate::graph::{elements, shape_text};
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::model::{MAX_RANK, Operator};
use crate::import::tflite::schema::option;

impl<'a> Converter<'_, 'a> {
    pub(super) fn reshape(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=2)?;
        let input = self.value(op, 0, "input")?;
        let full = self.new_shape(op, &input.full)?;
        self.rename(op, &input, &full)
    }

    pub(super) fn squeeze(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        let full = squeezed(op, &input.full)?;
        self.rename(op, &input, &full)
    }

    pub(super) fn expand_dims(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let input = self.value(op, 0, "input")?;
        let full = self.expanded(op, &input.full)?;
        self.rename(op, &input, &full)
    }

    fn rename(&mut self, op: &Operator<'a>, input: &Value, full: &[usize]) -> Result<(), OpProblem> {
        let output = self.output_index(op)?;
        self.check_same_quant(input, output)?;
        self.emit(op, Reshape::new(sample(full)), &[input.id], sample(full), full)?;
        Ok(())
    }

    /// RESHAPE's target: the second input, else the option, else what the file says of the output.
    /// One size may be -1 and is computed.
    pub(super) fn new_shape(&self, op: &Operator<'a>, from: &[usize]) -> Result<Vec<usize>, OpProblem> {
        let asked: Vec<i64> = if self.input_index(op, 1, "shape")?.is_some() {
            self.integers(op, 1, "shape")?
        } else {
            let option = op.options.map(|o| o.i32s(option::reshape::NEW_SHAPE)).transpose()?;
            match option.filter(|o| o.len() > 0) {
                // Old converters wrote a scalar's shape as [0].
                Some(o) if o.len() == 1 && o.i32().next() == Some(0) => Vec::new(),
                Some(o) => o.i32().take(MAX_RANK + 1).map(i64::from).collect(),
                None => {
                    let declared = self.model.tensors.get(self.output_index(op)?).map_or(Ok(None), |t| t.shape());
                    let declared = declared.ok().flatten().ok_or(OpProblem::Missing { role: "the new shape" })?;
                    declared.into_iter().map(|d| d as i64).collect()
                }
            }
        };
        let total = elements(from).ok_or(OpProblem::Overflow)?;
        let error = || OpProblem::NewShape { found: asked.clone(), input: shape_text(from), elements: total };
        let mut known = 1usize;
        let mut open = 0;
        for size in &asked {
            match usize::try_from(*size) {
                Ok(size) => known = known.checked_mul(size).ok_or_else(error)?,
                Err(_) if *size == -1 => open += 1,
                Err(_) => return Err(error()),
            }
        }
        let fits = match open {
            0 => known == total,
            1 => known > 0 && total.is_multiple_of(known),
            _ => false,
        };
        if !fits || asked.len() > MAX_RANK {
            return Err(error());
        }
        let resolve = |size: &i64| usize::try_from(*size).unwrap_or(total / known.max(1));
        Ok(asked.iter().map(resolve).collect())
    }

    /// EXPAND_DIMS' result shape.
    pub(super) fn expanded(&self, op: &Operator<'a>, from: &[usize]) -> Result<Vec<usize>, OpProblem> {
        let found = self.integers(op, 1, "axis")?;
        let [found] = found.as_slice() else {
            return Err(OpProblem::Option { option: "axis", found: format!("{found:?}"), expected: "one number" });
        };
        let at = axis(*found, from.len() + 1)?;
        let mut shape = from.to_vec();
        shape.insert(at, 1);
        if shape.len() > MAX_RANK { Err(OpProblem::Overflow) } else { Ok(shape) }
    }
}

/// SQUEEZE's result shape: without the named axes, or without all of size 1.
pub(super) fn squeezed(op: &Operator<'_>, from: &[usize]) -> Result<Vec<usize>, OpProblem> {
    let listed = options(op)?.i32s(option::squeeze::DIMS)?;
    let listed: Vec<i64> = listed.i32().take(MAX_RANK + 1).map(i64::from).collect();
    let named = axes(&listed, from.len())?;
    if let Some(axis) = named.iter().find(|a| from.get(**a) != Some(&1)) {
        let expected = format!("size 1 along axis {axis}");
        return Err(OpProblem::Shape { role: "input", found: from.to_vec(), expected });
    }
    let keep = |(axis, size): &(usize, &usize)| if named.is_empty() { **size != 1 } else { !named.contains(axis) };
    Ok(from.iter().enumerate().filter(keep).map(|(_, size)| *size).collect())
}
