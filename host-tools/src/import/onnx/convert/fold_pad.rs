//! Pad of a constant, computed at import.

use super::fold::{Operands, first, unscaled};
use super::fold_movement::joined;
use super::{Call, Converter};
use crate::graph::Data;
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::{Constant, take};

impl<'m, 'a> Converter<'m, 'a> {
    pub(super) fn fold_pad(
        &mut self,
        call: &Call<'m, 'a>,
        operands: &Operands,
    ) -> Result<Option<Vec<Constant>>, NodeProblem> {
        let from = unscaled(first(operands, 0)?)?;
        let widths = self.pad_widths(call, from.shape.len())?;
        let mode = call.text("mode", "constant")?;
        let padded = |(size, (before, after)): (&usize, &(i64, i64))| {
            usize::try_from(i64::try_from(*size).ok()?.checked_add(*before)?.checked_add(*after)?).ok()
        };
        let shape: Option<Vec<usize>> = from.shape.iter().zip(&widths).map(padded).collect();
        let shape = shape.ok_or(NodeProblem::Overflow)?;
        self.room_along(&shape)?;
        // Where each value comes from.
        let mut index = vec![0u32];
        for (size, (before, after)) in from.shape.iter().zip(&widths) {
            let size = *size as i64;
            let places: Vec<u32> = (-before..size + after).map(|i| source(mode, i, size)).collect::<Result<_, _>>()?;
            let of_row = |row: u32| {
                places.iter().map(move |at| if FILLED == row.max(*at) { FILLED } else { row * size as u32 + at })
            };
            index = index.into_iter().flat_map(of_row).collect();
        }
        // The filling value stands behind the others.
        let filling = match operands.get(2).and_then(|value| value.as_deref()) {
            Some(value) => value.data.clone(),
            None => match self.scalar(call, "value", 2)? {
                Some(value) if matches!(from.data, Data::F32(_)) => Data::F32(vec![value]),
                _ => Data::from_le_bytes(from.data.dtype(), &vec![0; from.data.dtype().bytes()])
                    .ok_or(NodeProblem::Overflow)?,
            },
        };
        let all = joined([&from.data, &filling].into_iter()).ok_or(NodeProblem::Overflow)?;
        let last = from.len() as u32;
        index.iter_mut().filter(|at| **at == FILLED).for_each(|at| *at = last);
        Ok(Some(vec![Constant::new(shape, take(&all, &index))]))
    }
}

/// Stands for the filling value.
const FILLED: u32 = u32::MAX;

/// The index whose value stands at `i` of a padded axis, or [`FILLED`].
fn source(mode: &str, i: i64, size: i64) -> Result<u32, NodeProblem> {
    let inside = (0..size).contains(&i);
    let found = match mode {
        "constant" if !inside => return Ok(FILLED),
        "constant" => i,
        "edge" => i.clamp(0, (size - 1).max(0)),
        "wrap" if size > 0 => i.rem_euclid(size),
        "reflect" if i < 0 => -i,
        "reflect" if !inside => 2 * (size - 1) - i,
        "reflect" => i,
        mode => return Err(NodeProblem::Feature { what: format!("padding of mode {mode}") }),
    };
    if (0..size).contains(&found) {
        return Ok(found as u32);
    }
    Err(NodeProblem::Feature { what: format!("a border of mode {mode} that wide around {size} values") })
}
