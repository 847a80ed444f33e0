//! What a node computes, found out by its own kernel.

use crate::graph::{Data, Graph, Node, Tensor};
use crate::image;
use crate::lower::Options;
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;

/// More than this many multiply-accumulates are not spent on a constant.
const MOST_MACS: u64 = 1 << 28;

/// Larger constants are not made: they would grow the image.
pub const MOST_BYTES: usize = 1 << 20;

/// The node's output for these values of its data inputs: one sample, the scalar definition.
///
/// `None` if the node cannot run by itself, or would cost too much.
pub fn evaluate(graph: &Graph, node: &Node, inputs: &[Data]) -> Option<Data> {
    if graph.node_macs(node) > MOST_MACS {
        return None;
    }
    let mut alone = Graph::new("alone");
    for (number, (id, data)) in node.data_inputs().iter().zip(inputs).enumerate() {
        let from = graph.tensor(*id);
        if from.bytes() > MOST_BYTES || data.dtype() != from.dtype {
            return None;
        }
        let tensor = Tensor { name: format!("x{number}"), data: None, trainable: false, ..without_data(from) };
        let id = alone.add_tensor(tensor);
        alone.inputs.push(id);
    }
    let mut operands = alone.inputs.clone();
    for (number, id) in node.parameters().iter().enumerate() {
        let from = graph.tensor(*id);
        let name = format!("parameter{number}");
        operands.push(alone.add_tensor(Tensor { name, data: from.data.clone(), ..without_data(from) }));
    }
    let output = graph.tensor(node.outputs[0]);
    if output.bytes() > MOST_BYTES {
        return None;
    }
    let y = alone.add_tensor(Tensor { name: "y".into(), ..without_data(output) });
    alone.outputs.push(y);
    alone.add_node("node", node.op.clone(), &operands, &[y]);
    run_once(&alone, inputs)
}

fn without_data(tensor: &Tensor) -> Tensor {
    let (shape, dtype, quant) = (tensor.shape.clone(), tensor.dtype, tensor.quant.clone());
    Tensor { name: String::new(), shape, dtype, quant, data: None, trainable: false }
}

/// The first output of a graph for one sample: the scalar definition. `None` if it cannot run.
pub fn run_once(graph: &Graph, inputs: &[Data]) -> Option<Data> {
    // Kept whole, so that no pass looks at it in turn.
    let options = Options { reuse: false, ..Options::default() };
    let packed = image::pack(graph, &options, None).ok()?;
    let image = packed.image().ok()?;
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).ok()?;
    for (number, data) in inputs.iter().enumerate() {
        let bytes = data.to_le_bytes();
        session.input_mut(PlanKind::Infer, number).get_mut(..bytes.len())?.copy_from_slice(&bytes);
    }
    session.infer(1).ok()?;
    let output = graph.tensor(*graph.outputs.first()?);
    Data::from_le_bytes(output.dtype, session.output(0).get(..output.bytes())?)
}
