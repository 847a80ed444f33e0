//! Softmax and its logarithm.

use super::operands::axis;
use super::{Call, Converter, Value};
use crate::graph::ops::{LogSoftmax, Op, Softmax};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;

impl<'m, 'a> Converter<'m, 'a> {
    /// Softmax.
    pub(super) fn softmax(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.over_one_axis(call, Softmax::default())
    }

    /// LogSoftmax.
    pub(super) fn log_softmax(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        self.over_one_axis(call, LogSoftmax {})
    }

    /// A function of a vector: along one axis since operator set 13; before, over all axes from the
    /// named one on, as if they were one.
    fn over_one_axis(&mut self, call: &Call<'m, 'a>, op: impl Into<Op>) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=1)?;
        let x = self.real(call, 0, "input")?;
        let rank = x.layout.rank();
        if call.opset < 13 {
            let from = if rank == 0 { 0 } else { axis(call.int("axis", 1)?, rank)? };
            let x = self.plain(&x)?;
            let len: usize = x.shape().iter().skip(from).product();
            let rows = x.shape().iter().take(from).product::<usize>();
            let flat = if rows == 1 { vec![len] } else { vec![rows, len] };
            let id = self.shaped(x.id, &flat)?;
            let id = self.emit(op, &[id], None)?;
            let id = self.shaped(id, super::arrange::sample(x.shape()))?;
            return self.define(call, 0, Value { id, ..x });
        }
        let at = axis(call.int("axis", -1)?, rank)?;
        let (x, mut axes) = self.settled(&x)?;
        axes.retain(|a| *a != at);
        axes.push(at);
        let (len, total) = (x.shape()[at], x.shape().iter().product::<usize>());
        let rows = total / len.max(1);
        let flat = if rows == 1 { vec![len] } else { vec![rows, len] };
        let id = self.arrange(&x, &axes, &flat)?;
        let id = self.emit(op, &[id], None)?;
        let layout = Layout::ordered(x.shape(), &axes);
        let shape: Vec<usize> = axes.iter().map(|a| x.shape()[*a]).collect();
        let id = self.shaped(id, super::arrange::sample(&shape))?;
        self.define(call, 0, Value { id, layout, dequantized: false })
    }
}
