//! Bringing activations into the order and shape that an operation needs.

use super::{Converter, Value};
use crate::graph::ops::Reshape;
use crate::graph::{TensorId, shape_text};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;

/// The shape of one sample: without a leading axis of size 1 (a lone axis stays).
pub(super) fn sample(full: &[usize]) -> &[usize] {
    match full {
        [1, rest @ ..] if !rest.is_empty() => rest,
        full => full,
    }
}

/// The order of axes of an image or a sequence with its channels last.
pub(super) fn channels_last(rank: usize) -> Vec<usize> {
    core::iter::once(0).chain(2..rank).chain((rank > 1).then_some(1)).collect()
}

impl<'m, 'a> Converter<'m, 'a> {
    /// The value under another shape of the graph; costs nothing on the device.
    pub(super) fn shaped(&mut self, id: TensorId, shape: &[usize]) -> Result<TensorId, NodeProblem> {
        if self.graph.tensor(id).shape == shape {
            return Ok(id);
        }
        let key = (id, Vec::new(), shape.to_vec());
        if let Some(known) = self.arranged.get(&key) {
            return Ok(*known);
        }
        let quant = self.graph.tensor(id).quant.clone();
        let shaped = self.emit(Reshape::new(shape), &[id], quant)?;
        self.arranged.insert(key, shaped);
        Ok(shaped)
    }

    /// The value with its axes in memory in this order, as a tensor of this shape.
    pub(super) fn arrange(&mut self, value: &Value, axes: &[usize], shape: &[usize]) -> Result<TensorId, NodeProblem> {
        let Some(moves) = value.layout.moves(axes) else { return self.shaped(value.id, shape) };
        let key = (value.id, moves.clone(), shape.to_vec());
        if let Some(known) = self.arranged.get(&key) {
            return Ok(*known);
        }
        let (sizes, permutation) = merged(&value.layout.storage(), &moves);
        let shaped = self.shaped(value.id, &sizes)?;
        let moved = self.emit_transpose(shaped, &permutation)?;
        let id = self.shaped(moved, shape)?;
        self.arranged.insert(key, id);
        Ok(id)
    }

    /// The value in the file's order: a tensor of the file's shape for one sample.
    pub(super) fn plain(&mut self, value: &Value) -> Result<Value, NodeProblem> {
        let axes: Vec<usize> = (0..value.layout.rank()).collect();
        self.ordered(value, &axes)
    }

    /// The value with its axes in this order.
    pub(super) fn ordered(&mut self, value: &Value, axes: &[usize]) -> Result<Value, NodeProblem> {
        let shape: Vec<usize> = axes.iter().filter_map(|a| value.shape().get(*a).copied()).collect();
        let id = self.arrange(value, axes, sample(&shape))?;
        Ok(Value { id, layout: Layout::ordered(value.shape(), axes), dequantized: value.dequantized })
    }

    /// The value with whole axes in memory: as they lie if they do, else in the file's order.
    /// With the order.
    pub(super) fn settled(&mut self, value: &Value) -> Result<(Value, Vec<usize>), NodeProblem> {
        let axes = value.layout.axes().unwrap_or_else(|| (0..value.layout.rank()).collect());
        Ok((self.ordered(value, &axes)?, axes))
    }

    /// The value as `[height, width, channels]`; a sequence `[1, channels, length]` has height 1.
    pub(super) fn image(&mut self, value: &Value, role: &'static str) -> Result<TensorId, NodeProblem> {
        let shape = match *value.shape() {
            [1, c, h, w] => [h, w, c],
            [1, c, l] => [1, l, c],
            [batch, _, _] | [batch, _, _, _] => {
                let what = format!("a batch of {batch} in {} (set it to 1 with --shape)", shape_text(value.shape()));
                return Err(NodeProblem::Feature { what });
            }
            _ => {
                let expected = "batch x channels x height x width, or batch x channels x length".into();
                return Err(NodeProblem::Shape { role, found: value.shape().to_vec(), expected });
            }
        };
        self.arrange(value, &channels_last(value.layout.rank()), &shape)
    }

    /// A tensor `[height, width, channels]` as a value of the file's rank.
    pub(super) fn image_value(&mut self, id: TensorId, rank: usize) -> Result<Value, NodeProblem> {
        let [h, w, c] = <[usize; 3]>::try_from(self.graph.tensor(id).shape.as_slice()).unwrap_or([1, 1, 1]);
        let full = if rank == 3 { vec![1, c, w] } else { vec![1, c, h, w] };
        let id = if rank == 3 { self.shaped(id, &[w, c])? } else { id };
        Ok(Value { id, layout: Layout::ordered(&full, &channels_last(rank)), dequantized: false })
    }
}

/// Joins atoms that stay neighbours: sizes in memory and where each of the result comes from.
fn merged(storage: &[usize], moves: &[usize]) -> (Vec<usize>, Vec<usize>) {
    // Runs of the result that lie one behind the other in the source: first place and length.
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for place in moves {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == *place => *count += 1,
            _ => runs.push((*place, 1)),
        }
    }
    let mut sorted = runs.clone();
    sorted.sort_unstable();
    let size = |(first, count): &(usize, usize)| storage.iter().skip(*first).take(*count).product();
    let sizes = sorted.iter().map(size).collect();
    let permutation = runs.iter().filter_map(|run| sorted.iter().position(|s| s == run)).collect();
    (sizes, permutation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_move_together() {
        // Channels first to channels last: two blocks change places.
        assert_eq!(merged(&[3, 4, 5], &[1, 2, 0]), (vec![3, 20], vec![1, 0]));
        assert_eq!(merged(&[2, 3, 4], &[2, 1, 0]), (vec![2, 3, 4], vec![2, 1, 0]));
    }

    #[test]
    fn samples_and_channels() {
        assert_eq!(sample(&[1, 2, 3]), [2, 3]);
        assert_eq!(sample(&[1]), [1]);
        assert_eq!(sample(&[2, 3]), [2, 3]);
        assert_eq!(channels_last(4), [0, 2, 3, 1]);
        assert_eq!(channels_last(3), [0, 2, 1]);
    }
}
