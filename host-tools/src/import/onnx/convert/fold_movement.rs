//! Nodes that move values of constants, computed at import.

use super::fold::{Operands, first, sizes, unscaled};
use super::operands::axis;
use super::{Call, Converter};
use crate::graph::{Data, elements};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::model::MAX_RANK;
use crate::import::onnx::tensor::{Constant, take};

impl<'m, 'a> Converter<'m, 'a> {
    pub(super) fn fold_gather(
        &mut self,
        call: &Call<'m, 'a>,
        operands: &Operands,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
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
    pub(super) fn pick(
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

    pub(super) fn fold_concat(
        &mut self,
        call: &Call<'m, 'a>,
        operands: &Operands,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
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

    pub(super) fn fold_slice(
        &mut self,
        call: &Call<'m, 'a>,
        from: &Constant,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
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

    pub(super) fn fold_split(
        &mut self,
        call: &Call<'m, 'a>,
        from: &Constant,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
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
        self.room_along(shape)?;
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

    pub(super) fn fold_tile(&mut self, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let (from, repeats) = (unscaled(first(operands, 0)?)?, sizes(first(operands, 1)?)?);
        if repeats.len() != from.shape.len() {
            let expected = format!("{} numbers", from.shape.len());
            return Err(NodeProblem::Shape { role: "repeats", found: vec![repeats.len()], expected });
        }
        let mut result = from;
        for (along, times) in repeats.iter().enumerate() {
            let mut shape = result.shape.clone();
            shape[along] = shape[along].checked_mul(*times).ok_or(NodeProblem::Overflow)?;
            self.room_along(&shape)?;
            let size = result.shape[along] as u32;
            let places: Vec<u32> = (0..*times).flat_map(|_| 0..size).collect();
            result =
                self.pick(&result, along, &places, shape)?.and_then(|mut c| c.pop()).ok_or(NodeProblem::Overflow)?;
        }
        Ok(Some(vec![result]))
    }

    pub(super) fn fold_where(&mut self, operands: &Operands) -> Result<Option<Vec<Constant>>, NodeProblem> {
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

/// Values of one type, one behind the other.
pub(super) fn joined<'d>(parts: impl Iterator<Item = &'d Data>) -> Option<Data> {
    let mut parts = parts.cloned();
    let mut all = parts.next()?;
    for part in parts {
        match (&mut all, part) {
            (Data::F32(a), Data::F32(b)) => a.extend(b),
            (Data::I4(a), Data::I4(b)) | (Data::I8(a), Data::I8(b)) => a.extend(b),
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
