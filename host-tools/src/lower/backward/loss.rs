//! The loss: what it reads, and the gradient that it leaves.

use super::super::{BufferId, Emit, Loss, LowerError, Port, PortType, word};
use super::Gradients;
use crate::graph::{Activation, DType, Graph, NodeId, Op, TensorId};
use embernet_core::loss;

/// The tensor that the loss reads, and the softmax that it contains.
pub(super) fn loss_input(
    graph: &Graph,
    output: TensorId,
    loss: Loss,
) -> Result<(TensorId, Option<NodeId>), LowerError> {
    let Some(last) = graph.producers()[output.index()] else {
        return Err(LowerError::NothingToTrain);
    };
    let node = graph.node(last);
    let refuse = |hint| {
        let (node, op) = (node.name.clone(), node.op.kind());
        Err(LowerError::Loss { loss: loss.name(), node, op, hint })
    };
    if loss == Loss::MeanSquaredError {
        return Ok((output, None));
    }
    if graph.tensor(output).shape.len() != 1 {
        return refuse("it needs one axis of classes");
    }
    match &node.op {
        // The loss works on what goes into the softmax: exact where the softmax is 0.
        Op::Softmax(softmax) if softmax.beta == 1.0 => Ok((node.inputs[0], Some(last))),
        Op::Softmax(_) => refuse("it contains a softmax with a beta of 1"),
        Op::Activation(_) => refuse("it contains a softmax; end the network with softmax or without activation"),
        op if op.fused() != Activation::Linear => {
            refuse("it contains a softmax; end the network with softmax or without activation")
        }
        _ => Ok((output, None)),
    }
}

impl Emit<'_, '_> {
    /// The loss: reads predictions and target, leaves the gradient of the predictions.
    pub(super) fn loss(
        &mut self,
        loss: Loss,
        head: TensorId,
        softmax: Option<NodeId>,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let tensor = self.tensor(head);
        let producer = self.graph().producers()[head.index()];
        let layer = softmax.or(producer).map_or("loss", |n| &self.graph().node(n).name).to_owned();
        let len = word(tensor.elements());
        let target = self.lowering.program.transient("target");
        let y = self.value(head);
        let dy = if self.lowering.is_fixed() {
            self.fixed_loss(loss, (layer, softmax), tensor, [y, target])
        } else {
            self.float_loss(loss, (layer, softmax), head, [y, target])?
        };
        gradients.of[head.index()] = Some(dy);
        let class = loss == Loss::SparseCrossEntropy;
        self.sequence.target = Some(Port {
            name: "target".into(),
            buffer: target,
            dtype: if class { PortType::Class } else { PortType::Tensor(DType::F32) },
            shape: if class { Vec::new() } else { tensor.shape.clone() },
            scale: 1.0,
            zero_point: if class { len as i32 } else { 0 },
        });
        Ok(())
    }

    /// The loss of predictions that are floats or stand for floats.
    fn float_loss(
        &mut self,
        loss: Loss,
        (layer, softmax): (String, Option<NodeId>),
        head: TensorId,
        [y, target]: [BufferId; 2],
    ) -> Result<BufferId, LowerError> {
        let predictions = self.tensor(head);
        let len = word(predictions.elements());
        // The loss works in place on a copy; where nobody reads the predictions any more, the copy
        // and its step vanish.
        let dy = self.lowering.program.transient(format!("{}/gradient", predictions.name));
        if predictions.dtype == DType::F32 {
            self.sequence.push_copy(&layer, softmax, word(predictions.bytes()), y, dy);
        } else {
            self.reals(&layer, head, y, dy)?;
        }
        match loss {
            Loss::SparseCrossEntropy | Loss::CrossEntropy => {
                let sparse = u32::from(loss == Loss::SparseCrossEntropy);
                self.sequence.push(layer, softmax, move |p| loss::SoftmaxCrossEntropy {
                    classes: len,
                    sparse,
                    z: p.at(dy),
                    target: p.at(target),
                });
            }
            Loss::MeanSquaredError => {
                self.sequence.push(layer, softmax, move |p| loss::MeanSquaredError {
                    len,
                    y: p.at(dy),
                    target: p.at(target),
                });
            }
        }
        Ok(dy)
    }
}
