//! Nodes that only give the values other axes. They change what is known about an activation, and
//! cost nothing by themselves.

use super::operands::{axes, axis, integer_list};
use super::{Call, Converter, Value};
use crate::graph::elements;
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::model::MAX_RANK;
use crate::import::onnx::tensor::ElementType;

impl<'m, 'a> Converter<'m, 'a> {
    /// The value under another shape of the file.
    pub(super) fn with_shape(&mut self, value: &Value, shape: &[usize]) -> Result<Value, NodeProblem> {
        if let Some(layout) = value.layout.reshaped(shape) {
            return Ok(Value { layout, ..value.clone() });
        }
        let plain = self.plain(value)?;
        Ok(Value { layout: Layout::plain(shape), ..plain })
    }

    fn rename(
        &mut self,
        call: &Call<'m, 'a>,
        shape: impl FnOnce(&mut Self, &[usize]) -> Result<Vec<usize>, NodeProblem>,
    ) -> Result<(), NodeProblem> {
        let x = self.raw(call, 0, "input")?;
        let shape = shape(self, x.shape())?;
        let value = self.with_shape(&x, &shape)?;
        self.define(call, 0, value)
    }

    pub(super) fn reshape(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.rename(call, |c, from| c.new_shape(call, from))
    }

    pub(super) fn flatten(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.rename(call, |_, from| flattened(call, from))
    }

    pub(super) fn squeeze(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.rename(call, |c, from| c.squeezed(call, from))
    }

    pub(super) fn unsqueeze(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.rename(call, |c, from| c.unsqueezed(call, from))
    }

    pub(super) fn transpose(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let x = self.raw(call, 0, "input")?;
        let permutation = permutation(call, x.layout.rank())?;
        self.transposes += 1;
        self.define(call, 0, Value { layout: x.layout.transposed(&permutation), ..x })
    }

    /// Identity, and Dropout, which does nothing in inference.
    pub(super) fn identity(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.refuse_output(1, "the mask of a dropout", self.is_read(call.output(1)))?;
        let x = self.raw(call, 0, "input")?;
        self.define(call, 0, x)
    }

    /// Cast of an activation: only among floats, which are all f32 here.
    pub(super) fn cast(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let to = ElementType(call.int("to", 0)?);
        if !to.is_float() {
            return Err(NodeProblem::Feature { what: format!("a cast of an activation to {to}") });
        }
        let x = self.real(call, 0, "input")?;
        self.define(call, 0, x)
    }

    /// Reshape's target, an attribute before operator set 5: 0 keeps a size, one -1 is computed.
    pub(super) fn new_shape(&mut self, call: &Call<'m, 'a>, from: &[usize]) -> Result<Vec<usize>, NodeProblem> {
        let asked = self.list(call, "shape", 1)?.ok_or(NodeProblem::Missing { role: "shape" })?;
        let keep_zero = call.flag("allowzero")?;
        let error = || NodeProblem::NewShape { found: asked.clone(), input: from.to_vec() };
        if asked.len() > MAX_RANK {
            return Err(error());
        }
        let total = elements(from).ok_or(NodeProblem::Overflow)?;
        let mut open = None;
        let mut shape = Vec::with_capacity(asked.len());
        for (at, size) in asked.iter().enumerate() {
            shape.push(match usize::try_from(*size) {
                Ok(0) if !keep_zero => *from.get(at).ok_or_else(error)?,
                Ok(size) => size,
                Err(_) if *size == -1 && open.is_none() => {
                    open = Some(at);
                    1
                }
                Err(_) => return Err(error()),
            });
        }
        let known = elements(&shape).ok_or_else(error)?;
        if let Some(at) = open {
            if known == 0 || !total.is_multiple_of(known) {
                return Err(error());
            }
            shape[at] = total / known;
        }
        if elements(&shape) == Some(total) { Ok(shape) } else { Err(error()) }
    }

    /// Squeeze's result: without the named axes, or without all of size 1.
    pub(super) fn squeezed(&mut self, call: &Call<'m, 'a>, from: &[usize]) -> Result<Vec<usize>, NodeProblem> {
        let named = self.list(call, "axes", 1)?.map(|found| axes(&found, from.len())).transpose()?;
        if let Some(at) = named.iter().flatten().find(|a| from[**a] != 1) {
            let expected = format!("size 1 along axis {at}");
            return Err(NodeProblem::Shape { role: "input", found: from.to_vec(), expected });
        }
        let keep = |(axis, size): &(usize, &usize)| match &named {
            Some(named) => !named.contains(axis),
            None => **size != 1,
        };
        Ok(from.iter().enumerate().filter(keep).map(|(_, size)| *size).collect())
    }

    /// Unsqueeze's result: with axes of size 1 at the named places of the result.
    pub(super) fn unsqueezed(&mut self, call: &Call<'m, 'a>, from: &[usize]) -> Result<Vec<usize>, NodeProblem> {
        let found = self.list(call, "axes", 1)?.ok_or(NodeProblem::Missing { role: "axes" })?;
        let rank = from.len() + found.len();
        if rank > MAX_RANK {
            return Err(NodeProblem::Overflow);
        }
        let named = axes(&found, rank)?;
        let mut rest = from.iter();
        Ok((0..rank).map(|a| if named.contains(&a) { 1 } else { rest.next().copied().unwrap_or(1) }).collect())
    }

    /// The integers of Shape for this shape.
    pub(super) fn shape_of(call: &Call<'m, 'a>, shape: &[usize]) -> Result<Vec<i64>, NodeProblem> {
        let rank = shape.len() as i64;
        let clamp = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
        let (start, end) = (clamp(call.int("start", 0)?), clamp(call.int("end", rank)?));
        Ok(shape.get(start..end).unwrap_or_default().iter().map(|d| *d as i64).collect())
    }

    /// Ranges of Slice or Split along one axis: first, count and step.
    pub(super) fn ranges(&mut self, call: &Call<'m, 'a>, from: &[usize]) -> Result<Vec<Range>, NodeProblem> {
        let missing = |role| move || NodeProblem::Missing { role };
        let starts = self.list(call, "starts", 1)?.ok_or_else(missing("starts"))?;
        let ends = self.list(call, "ends", 2)?.ok_or_else(missing("ends"))?;
        let named = self.list(call, "axes", 3)?;
        let steps = match self.optional_constant(call, 4, "steps")? {
            Some(steps) => integer_list(&steps, "steps")?,
            None => vec![1; starts.len()],
        };
        let named = named.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let named = axes(&named, from.len())?;
        if [ends.len(), steps.len(), named.len()] != [starts.len(); 3] {
            let found =
                format!("{} starts, {} ends, {} axes, {} steps", starts.len(), ends.len(), named.len(), steps.len());
            return Err(NodeProblem::Value { role: "the slice", found, expected: "as many of each".into() });
        }
        let mut ranges: Vec<Range> = from.iter().map(|d| Range { first: 0, count: *d, step: 1 }).collect();
        for (i, at) in named.iter().enumerate() {
            ranges[*at] = Range::of(starts[i], ends[i], steps[i], from[*at]).ok_or_else(|| NodeProblem::Value {
                role: "steps",
                found: steps[i].to_string(),
                expected: "not 0".into(),
            })?;
        }
        Ok(ranges)
    }
}

/// Elements of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub first: usize,
    pub count: usize,
    pub step: isize,
}

impl Range {
    /// Python's rules: negative positions count from the end, then all are brought into range.
    fn of(start: i64, end: i64, step: i64, size: usize) -> Option<Self> {
        let size = i64::try_from(size).ok()?;
        let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (first, last) = match step {
            0 => return None,
            1.. => (place(start).clamp(0, size), place(end).clamp(0, size)),
            _ => (place(start).clamp(-1, size - 1), place(end).clamp(-1, size - 1)),
        };
        let distance = if step > 0 { last - first } else { first - last };
        let count = if distance <= 0 { 0 } else { (distance as u64).div_ceil(step.unsigned_abs()) };
        let step = isize::try_from(step.clamp(-size.max(1), size.max(1))).ok()?;
        Some(Self { first: first.max(0) as usize, count: count as usize, step })
    }
}

/// Flatten's result: two axes.
pub(super) fn flattened(call: &Call<'_, '_>, from: &[usize]) -> Result<Vec<usize>, NodeProblem> {
    // As an axis of the input, and one more behind the last.
    let asked = call.int("axis", 1)?;
    let at = if usize::try_from(asked) == Ok(from.len()) { from.len() } else { axis(asked, from.len())? };
    let (before, behind) = from.split_at(at);
    let product = |part: &[usize]| elements(part).ok_or(NodeProblem::Overflow);
    Ok(vec![product(before)?, product(behind)?])
}

/// Transpose's order of axes; reversed if the file does not say.
pub(super) fn permutation(call: &Call<'_, '_>, rank: usize) -> Result<Vec<usize>, NodeProblem> {
    let Some(found) = call.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let order = axes(found, rank)?;
    if order.len() == rank {
        return Ok(order);
    }
    let expected = format!("each of the {rank} axes once");
    Err(NodeProblem::Attribute { attribute: "perm", found: format!("{found:?}"), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_python() {
        let range = |start, end, step| {
            let r = Range::of(start, end, step, 5).unwrap();
            (r.first, r.count, r.step)
        };
        assert_eq!(range(1, 4, 1), (1, 3, 1));
        assert_eq!(range(-2, i64::MAX, 1), (3, 2, 1));
        assert_eq!(range(0, 1000, 2), (0, 3, 2));
        assert_eq!(range(-1, i64::MIN, -1), (4, 5, -1));
        assert_eq!(range(20, 0, -4), (4, 1, -4));
        assert_eq!(range(3, 3, 1), (3, 0, 1));
        assert_eq!(Range::of(0, 1, 0, 5), None);
    }
}
