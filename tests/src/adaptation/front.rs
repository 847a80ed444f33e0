//! A network in two parts: what stays as it is, and what comes behind it.

use super::Samples;
use embernet::engine::encode_f32;
use embernet::graph::{Graph, Selection, TensorId};
use embernet::image::{self, PackOptions, pack};
use embernet_core::exec::PlanKind;
use embernet_core::image::Image;

/// The layers that come before everything that learns, and the others; `None` if more than one tensor goes from the ones
/// to the others, or none of the former is left.
pub fn split(graph: &Graph, layers: &Selection) -> Option<(Graph, Graph)> {
    let mut learning = graph.clone();
    learning.set_trainable(layers).ok()?;
    let name = &learning.tensor(border(&learning)?).name;
    // Selecting channels has renumbered tensors, not renamed them.
    let border = graph.find_tensor(name).filter(|border| !graph.inputs.contains(border))?;
    let producers = graph.producers();
    let mut in_front = vec![false; graph.nodes.len()];
    let mut rest = vec![border];
    while let Some(tensor) = rest.pop() {
        let Some(node) = producers[tensor.index()] else { continue };
        if !std::mem::replace(&mut in_front[node.index()], true) {
            rest.extend(&graph.node(node).inputs);
        }
    }
    let part = |front: bool| {
        let mut part = graph.clone();
        let mut kept = in_front.iter().map(|is_in| *is_in == front);
        part.nodes.retain(|_| kept.next().unwrap_or(false));
        let ends = if front { &mut part.outputs } else { &mut part.inputs };
        *ends = vec![border];
        part.remove_unused_tensors();
        part.validate().is_ok().then_some(part)
    };
    Some((part(true)?, part(false)?))
}

/// The one activation that goes from layers which do not depend on what learns to those that do.
fn border(graph: &Graph) -> Option<TensorId> {
    let mut depends: Vec<bool> = graph.tensors.iter().map(|tensor| tensor.trainable).collect();
    let mut border = None;
    for id in graph.order().ok()? {
        let node = graph.node(id);
        if !node.inputs.iter().any(|tensor| depends[tensor.index()]) {
            continue;
        }
        for input in node.data_inputs() {
            if !depends[input.index()] && graph.tensor(*input).data.is_none() && *border.get_or_insert(*input) != *input
            {
                return None;
            }
        }
        node.outputs.iter().for_each(|tensor| depends[tensor.index()] = true);
    }
    border
}

/// What the front makes of samples, as bytes. Integers are the same on every instruction set.
pub fn run(front: &Graph, samples: &Samples) -> Vec<u8> {
    let isa = image::host_isa(false);
    let packed = pack(front, &PackOptions { isa, ..PackOptions::default() }, None).expect("a sound image");
    let image = Image::parse(&packed.bytes).expect("a sound image");
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, isa).expect("the host runs it");
    let port = &image.inputs()[0];
    let mut made = Vec::new();
    for x in encode_f32(&samples.x, port).chunks(port.sample_bytes()) {
        session.input_mut(PlanKind::Infer, 0).copy_from_slice(x);
        session.infer(1).expect("inference");
        made.extend_from_slice(session.output(0));
    }
    made
}
