//! One value in place of those along some axes.

use super::arrange::channels_last;
use super::movement::Placed;
use super::operands::axes;
use super::{Call, Converter, Value};
use crate::graph::ops::{GlobalAveragePool2d, Reduce, Reduction};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;

impl<'m, 'a> Converter<'m, 'a> {
    /// ReduceMean, ReduceSum and ReduceMax: axes are an attribute in older operator sets.
    pub(super) fn reduce(&mut self, call: &Call<'m, 'a>, reduction: Reduction) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=2)?;
        let x = self.real(call, 0, "input")?;
        let rank = x.layout.rank();
        let named = self.list(call, "axes", 1)?.filter(|a| !a.is_empty());
        let named = match named {
            Some(found) => axes(&found, rank)?,
            None if call.flag("noop_with_empty_axes")? => return self.define(call, 0, x),
            None => (0..rank).collect(),
        };
        let kept: Vec<usize> = (0..rank).map(|a| if named.contains(&a) { 1 } else { x.shape()[a] }).collect();
        let value = self.reduced(&x, reduction, &named, &kept)?;
        let shape: Vec<usize> = match call.int("keepdims", 1)? {
            0 => (0..rank).filter(|a| !named.contains(a)).map(|a| kept[a]).collect(),
            _ => kept,
        };
        let value = self.with_shape(&value, &shape)?;
        self.define(call, 0, value)
    }

    pub(super) fn reduced(
        &mut self,
        x: &Value,
        reduction: Reduction,
        named: &[usize],
        kept: &[usize],
    ) -> Result<Value, NodeProblem> {
        // Along one value nothing happens.
        let working: Vec<usize> = named.iter().copied().filter(|a| x.shape()[*a] != 1).collect();
        if working.is_empty() {
            return Ok(x.clone());
        }
        let image = reduction == Reduction::Mean && x.layout.rank() == 4 && x.shape()[0] == 1;
        if image && working == [2, 3] && x.layout.moves(&channels_last(4)).is_none() {
            let id = self.image(x, "input")?;
            let id = self.emit(GlobalAveragePool2d {}, &[id], None)?;
            return Ok(Value { id, layout: Layout::plain(kept), dequantized: false });
        }
        let (x, order) = self.settled(x)?;
        let placed = Placed::of(x.shape(), order, &working);
        let shape = placed.shape(x.shape());
        let id = self.arrange(&x, &placed.axes, &shape)?;
        let mut axes: Vec<usize> = working.iter().map(|a| placed.place(*a)).collect();
        axes.sort_unstable();
        let id = self.emit(Reduce { reduction, axes, keepdims: true }, &[id], None)?;
        self.placed_value(id, kept, &placed, false)
    }
}
