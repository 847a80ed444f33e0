//! Nodes that move values: parts, joins, borders, and images of another size.

use super::arrange::sample;
use super::conv::is_quantized;
use super::operands::axis;
use super::shapes::Range;
use super::{Call, Converter, Made, Value};
use crate::graph::TensorId;
use crate::graph::ops::{Concat, Pad, Slice, Transpose};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;

/// Axes in memory, and how many of them the graph's shape leaves out in front (the batch).
pub(super) struct Placed {
    pub axes: Vec<usize>,
    pub skipped: usize,
}

impl Placed {
    /// For a shape in this order; an axis that is worked on stays.
    pub(super) fn of(shape: &[usize], axes: Vec<usize>, worked_on: &[usize]) -> Self {
        let first = axes.first().copied().unwrap_or(0);
        let skip = axes.len() > 1 && shape.get(first) == Some(&1) && !worked_on.contains(&first);
        Self { axes, skipped: usize::from(skip) }
    }

    /// The graph's shape for a shape of the file.
    pub(super) fn shape(&self, full: &[usize]) -> Vec<usize> {
        self.axes.iter().skip(self.skipped).map(|a| full[*a]).collect()
    }

    /// One entry for each axis of the graph's shape, from one for each axis of the file's.
    fn each<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.axes.iter().skip(self.skipped).map(|a| values[*a]).collect()
    }

    /// Where an axis of the file is in the graph's shape.
    pub(super) fn place(&self, axis: usize) -> usize {
        let at = self.axes.iter().position(|a| *a == axis).unwrap_or(0);
        at.saturating_sub(self.skipped)
    }
}

impl<'m, 'a> Converter<'m, 'a> {
    /// Moves data on the device.
    pub(super) fn emit_transpose(&mut self, id: TensorId, permutation: &[usize]) -> Result<TensorId, NodeProblem> {
        let quant = self.graph.tensor(id).quant.clone();
        self.emit(Transpose { perm: permutation.to_vec() }, &[id], quant)
    }

    /// The result of an operation on a value whose axes are placed so.
    pub(super) fn placed_value(
        &mut self,
        id: TensorId,
        full: &[usize],
        placed: &Placed,
        dequantized: bool,
    ) -> Result<Value, NodeProblem> {
        let stored: Vec<usize> = placed.axes.iter().map(|a| full[*a]).collect();
        let id = self.shaped(id, sample(&stored))?;
        Ok(Value { id, layout: Layout::ordered(full, &placed.axes), dequantized })
    }

    /// Part of a value.
    fn slice_of(&mut self, x: &Value, ranges: &[Range]) -> Result<Value, NodeProblem> {
        let whole = |(r, d): (&Range, &usize)| r.first == 0 && r.step == 1 && r.count == *d;
        if ranges.iter().zip(x.shape()).all(whole) {
            return Ok(x.clone());
        }
        let full: Vec<usize> = ranges.iter().map(|r| r.count).collect();
        if full.contains(&0) {
            return Err(NodeProblem::Feature { what: "a part without values".into() });
        }
        let (x, axes) = self.settled(x)?;
        let worked_on: Vec<usize> = (0..full.len()).filter(|a| !whole((&ranges[*a], &x.shape()[*a]))).collect();
        let placed = Placed::of(x.shape(), axes, &worked_on);
        let shape = placed.shape(x.shape());
        let id = self.arrange(&x, &placed.axes, &shape)?;
        let ranges = placed.each(ranges);
        let op = Slice {
            begin: ranges.iter().map(|r| r.first).collect(),
            size: ranges.iter().map(|r| r.count).collect(),
            stride: ranges.iter().map(|r| r.step).collect(),
        };
        let quant = self.quant(&x);
        let id = self.emit(op, &[id], quant)?;
        self.placed_value(id, &full, &placed, x.dequantized)
    }

    /// Slice.
    pub(super) fn slice(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let x = self.raw(call, 0, "input")?;
        let ranges = self.ranges(call, x.shape())?;
        let value = self.slice_of(&x, &ranges)?;
        self.define(call, 0, value)
    }

    /// Split: a slice for each output that is read.
    pub(super) fn split(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let x = self.raw(call, 0, "input")?;
        let at = axis(call.int("axis", 0)?, x.layout.rank())?;
        let mut first = 0;
        for (i, count) in self.split_sizes(call, x.shape()[at])?.into_iter().enumerate() {
            let mut ranges: Vec<Range> = x.shape().iter().map(|d| Range { first: 0, count: *d, step: 1 }).collect();
            ranges[at] = Range { first, count, step: 1 };
            first += count;
            if self.is_read(call.output(i)) {
                let value = self.slice_of(&x, &ranges)?;
                self.define(call, i, value)?;
            }
        }
        Ok(())
    }

    /// Gather of an activation: one index, or indices at equal distances, is a slice.
    pub(super) fn gather(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=2)?;
        let indices = self.constant(call, 1, "indices")?;
        let x = self.raw(call, 0, "input")?;
        let at = axis(call.int("axis", 0)?, x.layout.rank())?;
        let list = super::operands::integer_list(&indices, "indices")?;
        let size = x.shape()[at] as i64;
        let places: Vec<i64> = list.iter().map(|i| if *i < 0 { i.saturating_add(size) } else { *i }).collect();
        if let Some(found) = places.iter().find(|p| !(0..size).contains(*p)) {
            let expected = format!("within an axis of {size}");
            return Err(NodeProblem::Value { role: "indices", found: found.to_string(), expected });
        }
        let step = match places.as_slice() {
            [a, b, ..] => b - a,
            _ => 1,
        };
        let even = places.windows(2).all(|w| w[1] - w[0] == step) && step != 0;
        let (Some(first), true, true) = (places.first(), even, indices.shape.len() <= 1) else {
            return Err(NodeProblem::Feature { what: "gathering an activation at these indices".into() });
        };
        let mut ranges: Vec<Range> = x.shape().iter().map(|d| Range { first: 0, count: *d, step: 1 }).collect();
        ranges[at] = Range { first: *first as usize, count: places.len(), step: step as isize };
        let value = self.slice_of(&x, &ranges)?;
        let mut shape = value.shape().to_vec();
        if indices.shape.is_empty() {
            shape.remove(at);
        }
        let value = self.with_shape(&value, &shape)?;
        self.define(call, 0, value)
    }

    /// Concat.
    pub(super) fn concat(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let mut parts = Vec::with_capacity(call.node.inputs.len());
        for i in 0..call.node.inputs.len() {
            parts.push(self.operand(call, i)?);
        }
        if parts.iter().all(|p| p.dequantized)
            && let Some(target) = self.target(call)?
            && target.activation == crate::graph::Activation::Linear
        {
            for part in &mut parts {
                *part = self.quantize(part, target.quant.clone())?;
            }
            let value = self.joined(call, &parts)?;
            return self.define_target(target, value);
        }
        if parts
            .iter()
            .any(|p| is_quantized(self, p) != is_quantized(self, &parts[0]) || self.quant(p) != self.quant(&parts[0]))
        {
            for part in &mut parts {
                *part = self.floats(part, "input")?;
            }
        }
        let value = self.joined(call, &parts)?;
        self.define(call, 0, value)
    }

    /// Values one behind the other; all quantised alike.
    pub(super) fn joined(&mut self, call: &Call<'m, 'a>, parts: &[Value]) -> Result<Value, NodeProblem> {
        let Some(head) = parts.first() else { return Err(NodeProblem::Missing { role: "input" }) };
        let at = axis(call.int("axis", 1)?, head.layout.rank())?;
        self.joined_along(parts, at)
    }

    fn joined_along(&mut self, parts: &[Value], at: usize) -> Result<Value, NodeProblem> {
        let Some(head) = parts.first() else { return Err(NodeProblem::Missing { role: "input" }) };
        if parts.len() == 1 {
            return Ok(head.clone());
        }
        let rank = head.layout.rank();
        let fits = |v: &Value| v.layout.rank() == rank && (0..rank).all(|a| a == at || v.shape()[a] == head.shape()[a]);
        if let Some(other) = parts.iter().find(|v| !fits(v)) {
            let expected = format!("{} but for axis {at}", crate::graph::shape_text(head.shape()));
            return Err(NodeProblem::Shape { role: "input", found: other.shape().to_vec(), expected });
        }
        // The order of the first that has a definite one.
        let axes = head.layout.axes().unwrap_or_else(|| (0..rank).collect());
        let placed = Placed::of(head.shape(), axes, &[at]);
        let mut ids = Vec::with_capacity(parts.len());
        for part in parts {
            let shape = placed.shape(part.shape());
            ids.push(self.arrange(part, &placed.axes, &shape)?);
        }
        let mut full = head.shape().to_vec();
        full[at] = parts.iter().map(|p| p.shape()[at]).sum();
        let quant = self.quant(head);
        let id = self.emit(Concat { axis: placed.place(at) }, &ids, quant)?;
        self.placed_value(id, &full, &placed, head.dequantized)
    }

    /// Pad: widths before all axes, then behind; negative ones cut off.
    pub(super) fn pad(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let x = self.raw(call, 0, "input")?;
        let rank = x.layout.rank();
        let value = self.scalar(call, "value", 2)?.unwrap_or(0.0);
        let (before, after): (Vec<i64>, Vec<i64>) = self.pad_widths(call, rank)?.into_iter().unzip();
        // What is cut off goes first.
        let kept = |a: usize| {
            let (from, cut) = (before[a].min(0).unsigned_abs() as usize, after[a].min(0).unsigned_abs() as usize);
            Range { first: from, count: x.shape()[a].saturating_sub(from + cut), step: 1 }
        };
        let kept: Vec<Range> = (0..rank).map(kept).collect();
        let x = self.slice_of(&x, &kept)?;
        let widths: Vec<(usize, usize)> =
            before.iter().zip(&after).map(|(b, a)| ((*b).max(0) as usize, (*a).max(0) as usize)).collect();
        let value = match call.text("mode", "constant")? {
            "constant" => self.bordered(&x, &widths, value)?,
            mode => {
                let mut x = x;
                for (at, (before, after)) in widths.iter().enumerate() {
                    x = self.repeated_border(&x, at, *before, *after, mode)?;
                }
                x
            }
        };
        self.define(call, 0, value)
    }

    /// Pad's widths before and behind each axis.
    pub(super) fn pad_widths(&mut self, call: &Call<'m, 'a>, rank: usize) -> Result<Vec<(i64, i64)>, NodeProblem> {
        let widths = self.list(call, "pads", 1)?.ok_or(NodeProblem::Missing { role: "pads" })?;
        let named = match self.optional_constant(call, 3, "axes")? {
            Some(list) => super::operands::axes(&super::operands::integer_list(&list, "axes")?, rank)?,
            None => (0..rank).collect(),
        };
        let wrong = || NodeProblem::Value {
            role: "pads",
            found: format!("{widths:?}"),
            expected: format!("two numbers for each of {} axes", named.len()),
        };
        let small = |w: &i64| w.unsigned_abs() <= i32::MAX as u64;
        if widths.len() != 2 * named.len() || !widths.iter().all(small) {
            return Err(wrong());
        }
        let mut each = vec![(0, 0); rank];
        for (i, at) in named.iter().enumerate() {
            each[*at] = (widths[i], widths[i + named.len()]);
        }
        Ok(each)
    }

    fn bordered(&mut self, x: &Value, widths: &[(usize, usize)], value: f32) -> Result<Value, NodeProblem> {
        let worked_on: Vec<usize> = (0..widths.len()).filter(|a| widths[*a] != (0, 0)).collect();
        if worked_on.is_empty() {
            return Ok(x.clone());
        }
        let (x, axes) = self.settled(x)?;
        let placed = Placed::of(x.shape(), axes, &worked_on);
        let shape = placed.shape(x.shape());
        let id = self.arrange(&x, &placed.axes, &shape)?;
        let (before, after) = placed.each(widths).into_iter().unzip();
        let quant = self.quant(&x);
        let id = self.emit(Pad { before, after, value }, &[id], quant)?;
        let full: Vec<usize> = x.shape().iter().zip(widths).map(|(d, (b, a))| d + b + a).collect();
        self.placed_value(id, &full, &placed, x.dequantized)
    }

    /// A border made of the values themselves: parts of them, joined.
    fn repeated_border(
        &mut self,
        x: &Value,
        at: usize,
        before: usize,
        after: usize,
        mode: &str,
    ) -> Result<Value, NodeProblem> {
        if (before, after) == (0, 0) {
            return Ok(x.clone());
        }
        let size = x.shape()[at];
        let range = |first: usize, count: usize, step: isize| Range { first, count, step };
        let most = match mode {
            "reflect" => size.saturating_sub(1),
            "wrap" => size,
            _ => 64,
        };
        if before > most || after > most {
            return Err(NodeProblem::Feature {
                what: format!("a border of {} around {size} values", before.max(after)),
            });
        }
        let (front, behind): (Vec<Range>, Vec<Range>) = match mode {
            "reflect" => (vec![range(before, before, -1)], vec![range(size.saturating_sub(2), after, -1)]),
            "wrap" => (vec![range(size - before, before, 1)], vec![range(0, after, 1)]),
            "edge" => (vec![range(0, 1, 1); before], vec![range(size - 1, 1, 1); after]),
            mode => return Err(NodeProblem::Feature { what: format!("padding of mode {mode}") }),
        };
        let mut parts = Vec::new();
        for part in front.iter().chain([&range(0, size, 1)]).chain(&behind).filter(|r| r.count > 0) {
            let mut ranges: Vec<Range> = x.shape().iter().map(|d| Range { first: 0, count: *d, step: 1 }).collect();
            ranges[at] = *part;
            parts.push(self.slice_of(x, &ranges)?);
        }
        self.joined_along(&parts, at)
    }

    /// Expand of an activation: a sum with zeros of the new shape, unless it changes nothing.
    pub(super) fn expand(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let x = self.raw(call, 0, "input")?;
        let to = self.list(call, "shape", 1)?.unwrap_or_default();
        let to: Option<Vec<usize>> = to.iter().map(|d| usize::try_from(*d).ok()).collect();
        let shape = super::elementwise::broadcast_shape(x.shape(), &to.ok_or(NodeProblem::Overflow)?)?;
        if shape != x.shape() {
            let elements = |s: &[usize]| s.iter().product::<usize>();
            if elements(&shape) != elements(x.shape()) {
                return Err(NodeProblem::Feature { what: "repeating an activation".into() });
            }
            let value = self.with_shape(&x, &shape)?;
            return self.define(call, 0, value);
        }
        self.set(call.output(0), Made::Value(x))
    }
}
