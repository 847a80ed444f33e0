//! Weights of a PyTorch state dict, in a safetensors file, onto a graph.
//!
//! A state dict has names and values but no network; the graph has the network. Which module of the
//! file serves which layer is told by names and shapes (`matching.rs`), or by the caller. PyTorch's
//! layouts become ours (`layout.rs`):
//!
//! | layer | PyTorch | here |
//! |---|---|---|
//! | dense | `[out, in]` | the same; behind an image, `in` counts channels last instead of first |
//! | conv2d | `[out, in / groups, kh, kw]` | `[out, kh, kw, in / groups]` |
//! | depthwise_conv2d | `[out, 1, kh, kw]` | `[kh, kw, out]` |
//! | all vectors | `[n]` | the same |

mod layout;
mod matching;

#[cfg(test)]
mod tests;

use crate::graph::{DType, Data, Graph, TensorId, shape_text};
use layout::Wanted;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use std::collections::BTreeMap;

/// What is wrong with weights, or with the graph that they are for.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum StateDictError {
    #[error("not a safetensors file")]
    NotSafetensors(#[source] SafeTensorError),
    #[error("`{tensor}` is {found}; weights are F32, F16 or BF16 (in PyTorch: model.float())")]
    Type { tensor: String, found: String },
    #[error("`{tensor}` of the graph is {found}; weights go into f32 graphs only")]
    GraphType { tensor: String, found: DType },
    #[error("the graph's layer `{layer}` ({op}) has a parameter `{role}` that PyTorch has no name for")]
    Role { layer: String, op: &'static str, role: &'static str },
    #[error("the file has no weights for layer `{layer}` ({op}), which wants {wanted}; {left}")]
    Missing { layer: String, op: &'static str, wanted: String, left: String },
    #[error("nothing in the graph wants `{tensors}` of the file; the graph's layers: {layers}")]
    Unexpected { tensors: String, layers: String },
    #[error("module `{module}` has {found}; layer `{layer}` ({op}) wants {wanted}")]
    Shape { module: String, layer: String, op: &'static str, found: String, wanted: String },
    #[error("modules {modules} all fit layer `{layer}`; say which one with --map {layer}=MODULE")]
    Ambiguous { layer: String, modules: String },
    #[error("--map names {what} `{name}`, which is not there; there are: {known}")]
    NoSuchName { what: &'static str, name: String, known: String },
}

/// One layer and the module whose weights it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    pub layer: String,
    /// The names before the last dot, such as `features.0`.
    pub module: String,
    /// Values taken.
    pub values: usize,
}

/// A module of the file: the shapes of its tensors by the name behind the last dot.
type Modules = BTreeMap<matching::Natural, BTreeMap<String, Vec<usize>>>;

/// A layer that wants weights.
#[derive(Debug)]
struct Layer {
    name: String,
    op: &'static str,
    /// By PyTorch's name of the parameter.
    wanted: BTreeMap<&'static str, (TensorId, Wanted)>,
}

/// Writes the weights of a state dict into `graph`.
///
/// `map` names modules for layers, `(layer, module)`; the others are found by name, order and shape.
/// Everything is checked before the first value changes. Every layer gets its weights and every
/// tensor of the file is used, except `num_batches_tracked`.
pub fn apply(graph: &mut Graph, bytes: &[u8], map: &[(String, String)]) -> Result<Vec<Matched>, StateDictError> {
    let file = SafeTensors::deserialize(bytes).map_err(StateDictError::NotSafetensors)?;
    let mut modules = Modules::new();
    for (name, view) in file.tensors() {
        let (module, role) = name.rsplit_once('.').unwrap_or(("", &name));
        // A counter of batch normalisation: no weight.
        if role == "num_batches_tracked" {
            continue;
        }
        if !matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(StateDictError::Type { found: format!("{:?}", view.dtype()), tensor: name });
        }
        modules.entry(matching::Natural::new(module)).or_default().insert(role.to_owned(), view.shape().to_vec());
    }
    let layers = layers(graph)?;
    let chosen = matching::find(&layers, &modules, map)?;

    let mut matched = Vec::with_capacity(layers.len());
    for (layer, module) in layers.iter().zip(chosen) {
        let mut values = 0;
        for (role, (id, wanted)) in &layer.wanted {
            let name = if module.is_empty() { (*role).to_owned() } else { format!("{module}.{role}") };
            let view = file.tensor(&name).map_err(StateDictError::NotSafetensors)?;
            let data = wanted.arrange(&floats(view.dtype(), view.data()));
            values += data.len();
            graph.tensor_mut(*id).data = Some(Data::F32(data));
        }
        matched.push(Matched { layer: layer.name.clone(), module, values });
    }
    Ok(matched)
}

/// Layers with parameters in the order of execution.
fn layers(graph: &Graph) -> Result<Vec<Layer>, StateDictError> {
    let order = graph.order().unwrap_or_default();
    let mut layers = Vec::new();
    for node_id in order {
        let node = graph.node(node_id);
        let parameters = node.op.parameters(&graph.tensor(node.inputs[0]).shape);
        let mut wanted = BTreeMap::new();
        for (id, parameter) in node.parameters().iter().zip(&parameters) {
            let tensor = graph.tensor(*id);
            if tensor.dtype != DType::F32 {
                return Err(StateDictError::GraphType { tensor: tensor.name.clone(), found: tensor.dtype });
            }
            let role = torch_name(parameter.role).ok_or_else(|| StateDictError::Role {
                layer: node.name.clone(),
                op: node.op.kind(),
                role: parameter.role,
            })?;
            wanted.insert(role, (*id, layout::wanted(graph, node, parameter)));
        }
        if !wanted.is_empty() {
            layers.push(Layer { name: node.name.clone(), op: node.op.kind(), wanted });
        }
    }
    Ok(layers)
}

/// PyTorch's name of a parameter.
fn torch_name(role: &str) -> Option<&'static str> {
    Some(match role {
        "kernel" | "gamma" | "slope" => "weight",
        "bias" | "beta" => "bias",
        "mean" | "moving_mean" => "running_mean",
        "variance" | "moving_variance" => "running_var",
        _ => return None,
    })
}

/// Values as f32; every half is one exactly.
fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F16 => super::narrow::halves(bytes).collect(),
        Dtype::BF16 => {
            let wide = |b: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
            bytes.as_chunks().0.iter().map(wide).collect()
        }
        _ => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    }
}

/// `weight 10x4, bias 10`
fn shapes_text<'s>(shapes: impl IntoIterator<Item = (&'s str, &'s [usize])>) -> String {
    shapes.into_iter().map(|(role, shape)| format!("{role} {}", shape_text(shape))).collect::<Vec<_>>().join(", ")
}
