//! Operators that move values and compute nothing.

use super::layers::{axes, axis};
use super::window::options;
use super::{Converter, Value, sample};
use crate::graph::ops::{Concat, Pad, ResizeNearest, Slice, Transpose};
use crate::graph::shape_text;
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::model::{MAX_RANK, Operator};
use crate::import::tflite::schema::option;

/// Part of one axis: the first value, how many, and the way from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    begin: usize,
    size: usize,
    stride: isize,
}

impl Part {
    const fn whole(size: usize) -> Self {
        Self { begin: 0, size, stride: 1 }
    }
}

impl<'a> Converter<'_, 'a> {
    /// PAD, and PADV2 with its value as third input.
    pub(super) fn pad(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=3)?;
        let input = self.value(op, 0, "input")?;
        let rank = input.full.len();
        let widths = self.integers(op, 1, "paddings")?;
        let width = |i: usize| widths.get(i).and_then(|w| usize::try_from(*w).ok());
        let pairs: Option<Vec<[usize; 2]>> =
            (0..rank).map(|axis| Some([width(2 * axis)?, width(2 * axis + 1)?])).collect();
        let Some(pairs) = pairs.filter(|_| widths.len() == 2 * rank) else {
            let expected = "two numbers, at least 0, for each axis";
            return Err(OpProblem::Option { option: "paddings", found: format!("{widths:?}"), expected });
        };
        let value = if self.input_index(op, 2, "value")?.is_some() { self.real(op, 2, "value")? } else { 0.0 };
        let full: Option<Vec<usize>> =
            input.full.iter().zip(&pairs).map(|(size, [b, a])| size.checked_add(*b)?.checked_add(*a)).collect();
        let full = full.ok_or(OpProblem::Overflow)?;
        let skip = batch_axes(&input);
        if pairs.iter().take(skip).any(|pair| *pair != [0, 0]) {
            return Err(OpProblem::Feature { what: "padding of the batch axis".into() });
        }
        let (before, after) = pairs.iter().skip(skip).map(|[b, a]| (*b, *a)).unzip();
        let made: Vec<usize> = full.iter().skip(skip).copied().collect();
        let output = self.output_index(op)?;
        self.check_same_quant(&input, output)?;
        self.emit(op, Pad { before, after, value }, &[input.id], &made, &full)?;
        Ok(())
    }

    pub(super) fn concatenation(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=MOST_JOINED)?;
        let options = options(op)?;
        let fused = options.u8(option::concatenation::ACTIVATION)?;
        if fused != 0 {
            return Err(OpProblem::Feature { what: "concatenation with a fused activation".into() });
        }
        let values = (0..op.inputs.len()).map(|i| self.value(op, i, "input")).collect::<Result<Vec<_>, _>>()?;
        let rank = values.first().map_or(0, |v| v.full.len());
        let along = axis(i64::from(options.i32(option::concatenation::AXIS, 0)?), rank)?;
        self.join(op, &values, along)
    }

    /// PACK of activations: each gets the new axis, then they are joined along it.
    pub(super) fn pack(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=MOST_JOINED)?;
        let values = (0..op.inputs.len()).map(|i| self.value(op, i, "input")).collect::<Result<Vec<_>, _>>()?;
        let rank = values.first().map_or(0, |v| v.full.len());
        let along = axis(i64::from(options(op)?.i32(option::pack::AXIS, 0)?), rank + 1)?;
        if rank >= MAX_RANK {
            return Err(OpProblem::Overflow);
        }
        let wider = values.into_iter().map(|value| {
            let mut full = value.full.clone();
            full.insert(along.min(full.len()), 1);
            let id = self.reshaped(&value, sample(&full))?;
            Ok(Value { id, full })
        });
        let wider = wider.collect::<Result<Vec<_>, OpProblem>>()?;
        self.join(op, &wider, along)
    }

    fn join(&mut self, op: &Operator<'a>, values: &[Value], along: usize) -> Result<(), OpProblem> {
        let first = values.first().ok_or(OpProblem::Missing { role: "input" })?;
        let mut full = first.full.clone();
        let mut total = 0usize;
        let output = self.output_index(op)?;
        for value in values {
            let mut expected = first.full.clone();
            let size = value.full.get(along).copied().unwrap_or(0);
            if let Some(place) = expected.get_mut(along) {
                *place = size;
            }
            if value.full != expected {
                let expected = format!("{} as the first input, except along axis {along}", shape_text(&first.full));
                return Err(OpProblem::Shape { role: "input", found: value.full.clone(), expected });
            }
            total = total.checked_add(size).ok_or(OpProblem::Overflow)?;
            self.check_same_type(first, value, "input")?;
            self.check_same_quant(value, output)?;
        }
        let skip = batch_axes(first);
        if along < skip {
            return Err(OpProblem::Feature { what: "joining along the batch axis".into() });
        }
        if let Some(place) = full.get_mut(along) {
            *place = total;
        }
        let ids: Vec<_> = values.iter().map(|v| v.id).collect();
        let made: Vec<usize> = full.iter().skip(skip).copied().collect();
        self.emit(op, Concat { axis: along - skip }, &ids, &made, &full)?;
        Ok(())
    }

    pub(super) fn transpose(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let input = self.value(op, 0, "input")?;
        let rank = input.full.len();
        let order = axes(&self.integers(op, 1, "the order of axes")?, rank)?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..rank) {
            let found = format!("{order:?}");
            return Err(OpProblem::Option { option: "order", found, expected: "every axis once" });
        }
        let full: Vec<usize> = order.iter().filter_map(|axis| input.full.get(*axis)).copied().collect();
        let skip = batch_axes(&input);
        // A batch axis of size 1 may go anywhere: that only renames axes.
        let perm: Vec<usize> = order.iter().filter(|axis| **axis >= skip).map(|axis| axis - skip).collect();
        let shape = self.graph.tensor(input.id).shape.clone();
        let made: Vec<usize> = perm.iter().filter_map(|axis| shape.get(*axis)).copied().collect();
        let output = self.output_index(op)?;
        self.check_same_quant(&input, output)?;
        self.emit(op, Transpose { perm }, &[input.id], &made, &full)?;
        Ok(())
    }

    pub(super) fn slice(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 3..=3)?;
        let input = self.value(op, 0, "input")?;
        let (begins, sizes) = (self.integers(op, 1, "begin")?, self.integers(op, 2, "size")?);
        let part = |(axis, dim): (usize, &usize)| {
            let begin = usize::try_from(*begins.get(axis)?).ok()?;
            let size = match *sizes.get(axis)? {
                -1 => dim.checked_sub(begin)?,
                size => usize::try_from(size).ok()?,
            };
            let fits = size > 0 && begin.checked_add(size).is_some_and(|end| end <= *dim);
            fits.then_some(Part { begin, size, stride: 1 })
        };
        let parts: Option<Vec<Part>> = input.full.iter().enumerate().map(part).collect();
        let parts = parts.filter(|p| p.len() == begins.len() && p.len() == sizes.len());
        let parts = parts.ok_or_else(|| OpProblem::Option {
            option: "begin and size",
            found: format!("{begins:?} and {sizes:?} of {}", shape_text(&input.full)),
            expected: "at least one value along each axis, all inside",
        })?;
        let full: Vec<usize> = parts.iter().map(|p| p.size).collect();
        let output = self.output_index(op)?;
        self.cut(output, &input, &parts, &full)
    }

    pub(super) fn strided_slice(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        use option::strided_slice as s;
        self.expect_inputs(op, 4..=4)?;
        let input = self.value(op, 0, "input")?;
        let o = options(op)?;
        let mask = |id| o.i32(id, 0);
        if mask(s::ELLIPSIS_MASK)? != 0 || mask(s::NEW_AXIS_MASK)? != 0 || o.bool(s::OFFSET)? {
            return Err(OpProblem::Feature { what: "an ellipsis, new axis or offset in a slice".into() });
        }
        let (begins, ends) = (self.integers(op, 1, "begin")?, self.integers(op, 2, "end")?);
        let strides = self.integers(op, 3, "strides")?;
        let [begin_mask, end_mask, shrink_mask] =
            [mask(s::BEGIN_MASK)?, mask(s::END_MASK)?, mask(s::SHRINK_AXIS_MASK)?];
        let mut parts = Vec::with_capacity(input.full.len());
        let mut full = Vec::new();
        for (axis, dim) in input.full.iter().enumerate() {
            let (Some(begin), Some(end), Some(stride)) = (begins.get(axis), ends.get(axis), strides.get(axis)) else {
                // Axes that the lists do not reach are taken whole.
                parts.push(Part::whole(*dim));
                full.push(*dim);
                continue;
            };
            let set = |mask: i32| mask >> axis.min(31) & 1 != 0;
            let begin = (!set(begin_mask)).then_some(*begin);
            let end = (!set(end_mask)).then_some(*end);
            let part = if set(shrink_mask) {
                // One value, and the axis goes.
                let at = begin.unwrap_or(0);
                let at = if at < 0 { at.checked_add_unsigned(*dim as u64) } else { Some(at) };
                at.and_then(|at| usize::try_from(at).ok()).filter(|at| at < dim).map(|begin| Part {
                    begin,
                    size: 1,
                    stride: 1,
                })
            } else {
                range(*dim, begin, end, *stride)
            };
            let part = part.ok_or_else(|| OpProblem::Option {
                option: "begin, end, stride",
                found: format!("{begins:?}, {ends:?}, {strides:?} of {}", shape_text(&input.full)),
                expected: "at least one value along each axis",
            })?;
            if !set(shrink_mask) {
                full.push(part.size);
            }
            parts.push(part);
        }
        if begins.len() > parts.len() || ends.len() != begins.len() || strides.len() != begins.len() {
            let expected = format!("as many as begin, and at most {} axes", input.full.len());
            return Err(OpProblem::Shape { role: "end or strides", found: vec![begins.len(), ends.len()], expected });
        }
        let output = self.output_index(op)?;
        self.cut(output, &input, &parts, &full)
    }

    /// SPLIT into equal parts; `sized`: SPLIT_V, whose second input says how large they are.
    pub(super) fn split(&mut self, op: &Operator<'a>, sized: bool) -> Result<(), OpProblem> {
        let [data, along] = if sized { [0, 2] } else { [1, 0] };
        self.expect_inputs(op, if sized { 3..=3 } else { 2..=2 })?;
        let input = self.value(op, data, "input")?;
        let along = match self.integers(op, along, "axis")?.as_slice() {
            [found] => axis(*found, input.full.len())?,
            found => {
                return Err(OpProblem::Option { option: "axis", found: format!("{found:?}"), expected: "one number" });
            }
        };
        let dim = input.full.get(along).copied().unwrap_or(0);
        let count = op.outputs.len();
        let sizes = if sized {
            let listed = self.integers(op, 1, "sizes")?;
            let known: i64 = listed.iter().filter(|s| **s >= 0).fold(0, |sum: i64, s| sum.saturating_add(*s));
            let rest = (dim as i64).saturating_sub(known);
            listed.iter().map(|s| if *s == -1 { rest } else { *s }).collect::<Vec<i64>>()
        } else {
            vec![dim.checked_div(count).unwrap_or(0) as i64; count]
        };
        let sizes: Option<Vec<usize>> = sizes.iter().map(|s| usize::try_from(*s).ok().filter(|s| *s > 0)).collect();
        let total = |sizes: &Vec<usize>| sizes.iter().fold(0usize, |sum, s| sum.saturating_add(*s));
        let sizes = sizes.filter(|s| s.len() == count && total(s) == dim).ok_or_else(|| OpProblem::Option {
            option: "the parts",
            found: format!("{count} of axis {along} of {}", shape_text(&input.full)),
            expected: "sizes that make up the axis, one for each output",
        })?;
        let mut begin = 0;
        for (i, size) in sizes.into_iter().enumerate() {
            let mut parts: Vec<Part> = input.full.iter().map(|dim| Part::whole(*dim)).collect();
            if let Some(part) = parts.get_mut(along) {
                *part = Part { begin, size, stride: 1 };
            }
            let full: Vec<usize> = parts.iter().map(|p| p.size).collect();
            let output = self.output_at(op, i)?;
            self.cut(output, &input, &parts, &full)?;
            begin += size;
        }
        Ok(())
    }

    /// UNPACK: one output for each value along an axis, which goes.
    pub(super) fn unpack(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        let along = axis(i64::from(options(op)?.i32(option::unpack::AXIS, 0)?), input.full.len())?;
        let (found, expected) = (op.outputs.len(), input.full.get(along).copied().unwrap_or(0));
        if found != expected {
            return Err(OpProblem::Outputs { found, expected });
        }
        for begin in 0..found {
            let mut parts: Vec<Part> = input.full.iter().map(|dim| Part::whole(*dim)).collect();
            if let Some(part) = parts.get_mut(along) {
                *part = Part { begin, size: 1, stride: 1 };
            }
            let mut full: Vec<usize> = parts.iter().map(|p| p.size).collect();
            full.remove(along);
            let output = self.output_at(op, begin)?;
            self.cut(output, &input, &parts, &full)?;
        }
        Ok(())
    }

    /// Makes tensor `output` of the file of parts of `input`, under the shape `full`.
    fn cut(&mut self, output: usize, input: &Value, parts: &[Part], full: &[usize]) -> Result<(), OpProblem> {
        let skip = batch_axes(input);
        // A batch axis has one value, and a part of it is all of it.
        let parts = parts.get(skip..).unwrap_or_default();
        let node = Slice {
            begin: parts.iter().map(|p| p.begin).collect(),
            size: parts.iter().map(|p| p.size).collect(),
            stride: parts.iter().map(|p| p.stride).collect(),
        };
        self.check_same_quant(input, output)?;
        let made = node.size.clone();
        self.emit_to(output, node, &[input.id], &made, full)?;
        Ok(())
    }

    pub(super) fn resize_nearest(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let o = op.options;
        let flag = |id| o.map_or(Ok(false), |o| o.bool(id));
        let (corners, centers) = (flag(option::resize::ALIGN_CORNERS)?, flag(option::resize::HALF_PIXEL_CENTERS)?);
        let input = self.value(op, 0, "input")?;
        let [h, w, c] = super::window::image(&input, "input")?;
        let found = self.integers(op, 1, "size")?;
        let size = match *found.as_slice() {
            [rows, columns] => usize::try_from(rows).ok().zip(usize::try_from(columns).ok()),
            _ => None,
        };
        let most = i32::MAX as usize;
        let fits =
            |(rows, columns): &(usize, usize)| *rows > 0 && *columns > 0 && rows.saturating_mul(*columns) <= most;
        let (rows, columns) = size.filter(fits).ok_or_else(|| OpProblem::Option {
            option: "size",
            found: format!("{found:?}"),
            expected: "height and width, at least 1",
        })?;
        self.take(rows.saturating_add(columns).saturating_mul(8))?;
        let node = ResizeNearest {
            rows: (0..rows).map(|at| nearest(at, h, rows, corners, centers)).collect(),
            cols: (0..columns).map(|at| nearest(at, w, columns, corners, centers)).collect(),
        };
        let output = self.output_index(op)?;
        self.check_same_quant(&input, output)?;
        self.emit(op, node, &[input.id], &[rows, columns, c], &[1, rows, columns, c])?;
        Ok(())
    }
}

/// Most inputs of an operator that joins.
const MOST_JOINED: usize = 1024;

/// Leading axes of the file's shape that the graph's does not have.
fn batch_axes(value: &Value) -> usize {
    value.full.len() - sample(&value.full).len()
}

/// Python's slice: missing ends are the farthest, negative ones count from the back, and all are
/// brought into range. `None` if nothing is left, or if the stride is 0.
fn range(dim: usize, begin: Option<i64>, end: Option<i64>, stride: i64) -> Option<Part> {
    let count = i64::try_from(dim).ok().filter(|_| stride != 0)?;
    let (least, most) = if stride > 0 { (0, count) } else { (-1, count - 1) };
    let place = |at: i64| if at < 0 { at.saturating_add(count) } else { at }.clamp(least, most);
    let (nearest, farthest) = if stride > 0 { (least, most) } else { (most, least) };
    let (first, last) = (begin.map_or(nearest, place), end.map_or(farthest, place));
    let way = if stride > 0 { last - first } else { first - last };
    let size = usize::try_from(way).ok().filter(|way| *way > 0)?.div_ceil(usize::try_from(stride.unsigned_abs()).ok()?);
    Some(Part { begin: usize::try_from(first).ok()?, size, stride: isize::try_from(stride).ok()? })
}

/// The input's row (or column) that row `at` of the output copies, as TFLite's reference kernel
/// computes it, in single precision.
pub fn nearest(at: usize, input: usize, output: usize, corners: bool, centers: bool) -> u32 {
    let scale =
        if corners && output > 1 { (input - 1) as f32 / (output - 1) as f32 } else { input as f32 / output as f32 };
    let place = (at as f32 + if centers { 0.5 } else { 0.0 }) * scale;
    let place = if corners { place.round() } else { place.floor() };
    (place as u32).min((input - 1) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_pythons_rules() {
        let taken = |begin, end, stride| range(5, begin, end, stride).map(|p| (p.begin, p.size, p.stride));
        assert_eq!(taken(None, None, 1), Some((0, 5, 1)));
        assert_eq!(taken(Some(1), Some(4), 2), Some((1, 2, 2)));
        assert_eq!(taken(Some(-2), None, 1), Some((3, 2, 1)));
        assert_eq!(taken(None, None, -1), Some((4, 5, -1)));
        assert_eq!(taken(Some(9), Some(-9), -2), Some((4, 3, -2)));
        assert_eq!(taken(Some(3), Some(3), 1), None);
        assert_eq!(taken(Some(3), Some(1), 1), None);
        assert_eq!(taken(None, None, 0), None);
        assert_eq!(taken(Some(i64::MIN), Some(i64::MAX), i64::MAX), Some((0, 1, isize::MAX)));
    }

    #[test]
    fn nearest_neighbours() {
        let row = |corners, centers| (0..6).map(|i| nearest(i, 4, 6, corners, centers)).collect::<Vec<_>>();
        assert_eq!(row(false, false), [0, 0, 1, 2, 2, 3]);
        assert_eq!(row(true, false), [0, 1, 1, 2, 2, 3]);
        assert_eq!(row(false, true), [0, 1, 1, 2, 3, 3]);
    }
}
