//! A model as a picture: boxes for layers, from top to bottom in the order of data.
//!
//! | file | is |
//! |---|---|
//! | `layers.rs` | where each box and each bend of an edge goes |
//! | `svg.rs` | the drawing |

mod layers;
mod svg;

#[cfg(test)]
mod tests;

use crate::graph::{Activation, Graph, Op, Tensor, grouped, shape_text};
use crate::image::{Inspection, PlanInfo};

/// What a box stands for; its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// An input or output of the model.
    Port,
    /// A layer with weights.
    Weights,
    /// Windows or axes made smaller.
    Pool,
    /// A function of each element.
    Function,
    /// Values renamed, moved or picked.
    Movement,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it stands for.
    pub kind: BlockKind,
    /// The large line.
    pub title: String,
    /// Its name in the model.
    pub name: String,
    /// Small lines.
    pub facts: Vec<String>,
}

/// Boxes and what flows between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagram {
    /// Above the picture.
    pub title: String,
    /// In the order of execution.
    pub blocks: Vec<Block>,
    /// From the number of a box to that of a later one.
    pub edges: Vec<(usize, usize)>,
}

impl Diagram {
    /// The graph: inputs, nodes, outputs.
    pub fn of_graph(graph: &Graph) -> Self {
        let mut diagram = Self { title: graph.name.clone(), ..Self::default() };
        // The box that makes each tensor.
        let mut makers: Vec<Option<usize>> = vec![None; graph.tensors.len()];
        let port = |tensor: &Tensor, title: &str| Block {
            kind: BlockKind::Port,
            title: title.into(),
            name: tensor.name.clone(),
            facts: vec![typed_shape(tensor)],
        };
        for id in &graph.inputs {
            makers[id.index()] = Some(diagram.blocks.len());
            diagram.blocks.push(port(graph.tensor(*id), "input"));
        }
        let order = graph.order().unwrap_or_else(|_| graph.iter().map(|(id, _)| id).collect());
        for id in order {
            let node = graph.node(id);
            let number = diagram.blocks.len();
            diagram.connect(node.data_inputs().iter().filter_map(|t| makers[t.index()]), number);
            let constants = node.data_inputs().iter().map(|t| graph.tensor(*t)).filter(|t| t.data.is_some());
            let mut facts = vec![typed_shape(graph.tensor(node.outputs[0]))];
            facts.extend(constants.map(|t| format!("with {} {}", t.name, typed_shape(t))));
            let bytes: usize = node.parameters().iter().map(|t| graph.tensor(*t).bytes()).sum();
            facts.extend(costs(graph.node_macs(node), bytes as u64));
            let fused = Some(node.op.fused()).filter(|a| *a != Activation::Linear);
            let title = fused.map_or_else(|| node.op.kind().into(), |a| format!("{} + {}", node.op.kind(), a.name()));
            diagram.blocks.push(Block { kind: kind(&node.op), title, name: node.name.clone(), facts });
            node.outputs.iter().for_each(|t| makers[t.index()] = Some(number));
        }
        for id in &graph.outputs {
            let number = diagram.blocks.len();
            diagram.connect(makers[id.index()].into_iter(), number);
            diagram.blocks.push(port(graph.tensor(*id), "output"));
        }
        diagram
    }

    /// An image's inference plan: one box for each step.
    pub fn of_image(image: &Inspection) -> Self {
        let mut diagram = Self { title: image.name.clone(), ..Self::default() };
        let PlanInfo { steps, results, .. } = image.infer.by_layer(image.inputs.len());
        let port = |text: &String, title: &str| {
            let (name, facts) = text.split_once(' ').unwrap_or((text, ""));
            // Scale and zero point have a line of their own: a wide box is cut.
            let facts = facts.split(" (").map(|fact| fact.trim_end_matches(')').into()).collect();
            Block { kind: BlockKind::Port, title: title.into(), name: name.into(), facts }
        };
        let inputs = image.inputs.len();
        diagram.blocks.extend(image.inputs.iter().map(|text| port(text, "input")));
        for (step, row) in steps.iter().enumerate() {
            diagram.connect(row.reads.iter().copied(), inputs + step);
            let shape: Vec<usize> = row.shape.iter().map(|d| *d as usize).collect();
            let mut facts = vec![shape_text(&shape)];
            facts.extend(costs(row.macs, row.flash_bytes as u64));
            let name = row.step;
            let kind = match row.macs {
                0 if name.contains("Pool") || name.contains("Mean") || name.contains("Reduce") => BlockKind::Pool,
                0 => BlockKind::Function,
                _ => BlockKind::Weights,
            };
            diagram.blocks.push(Block { kind, title: row.title(), name: row.layer.clone(), facts });
        }
        for (text, maker) in image.outputs.iter().zip(&results) {
            let number = diagram.blocks.len();
            diagram.connect(maker.iter().copied(), number);
            diagram.blocks.push(port(text, "output"));
        }
        diagram
    }

    /// One SVG document.
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }

    /// Edges into a box, each once.
    fn connect(&mut self, from: impl Iterator<Item = usize>, to: usize) {
        for from in from {
            if !self.edges.contains(&(from, to)) {
                self.edges.push((from, to));
            }
        }
    }
}

fn typed_shape(tensor: &Tensor) -> String {
    format!("{} {}", shape_text(&tensor.shape), tensor.dtype)
}

/// The lines for work and weights, if there are any.
fn costs(macs: u64, bytes: u64) -> Option<String> {
    let mut parts = Vec::new();
    if macs > 0 {
        parts.push(format!("{} MACs", grouped(macs)));
    }
    if bytes > 0 {
        parts.push(format!("{} B", grouped(bytes)));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn kind(op: &Op) -> BlockKind {
    match op {
        op if op.parameter_count() > 0 => BlockKind::Weights,
        Op::MaxPool2d(_) | Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) | Op::GlobalMaxPool2d(_) => {
            BlockKind::Pool
        }
        Op::Flatten(_) | Op::Reshape(_) | Op::Quantize(_) | Op::Dequantize(_) => BlockKind::Movement,
        _ => BlockKind::Function,
    }
}
