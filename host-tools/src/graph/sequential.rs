//! The Keras-like builder for plain chains.

use super::error::{GraphError, OpError};
use super::ops::{Activation, Init, Op, Parameter, Port};
use super::tensor::{DType, Data, Tensor};
use super::{Graph, TensorId};
use embernet_core::rng::Rng;
use serde::{Deserialize, Serialize};

/// One layer of a [`Sequential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSpec {
    /// `None`: named after its kind, `dense`, `dense_1`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The operation. Unlike in a graph, its activation may be any: those that cannot be fused
    /// become a node of their own.
    #[serde(flatten)]
    pub op: Op,
}

/// A chain of layers.
///
/// ```
/// use embernet::graph::ops::{Activation, Conv2d, Dense, Flatten, MaxPool2d, Padding};
/// use embernet::graph::Sequential;
///
/// let graph = Sequential::new([8, 8, 1])
///     .add(Conv2d::new(8, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
///     .add(MaxPool2d::new([2, 2]))
///     .add(Flatten {})
///     .add(Dense::new(10).activation(Activation::Softmax))
///     .build(42)?;
/// assert_eq!(graph.tensor(graph.outputs[0]).shape, [10]);
/// # Ok::<(), embernet::graph::GraphError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sequential {
    name: String,
    input: Vec<usize>,
    layers: Vec<LayerSpec>,
}

impl Sequential {
    /// Starts with the shape of one sample, without the batch axis: `[features]` or
    /// `[height, width, channels]`.
    pub fn new(input: impl Into<Vec<usize>>) -> Self {
        Self { name: "sequential".into(), input: input.into(), layers: Vec::new() }
    }

    /// Starts from a list of layers, as an experiment file holds it.
    pub fn from_layers(input: impl Into<Vec<usize>>, layers: Vec<LayerSpec>) -> Self {
        Self { layers, ..Self::new(input) }
    }

    /// Names the graph.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Appends a layer, named after its kind.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "Keras' word for it")]
    pub fn add(mut self, layer: impl Into<Op>) -> Self {
        self.layers.push(LayerSpec { name: None, op: layer.into() });
        self
    }

    /// Appends a layer under a name.
    #[must_use]
    pub fn add_named(mut self, name: impl Into<String>, layer: impl Into<Op>) -> Self {
        self.layers.push(LayerSpec { name: Some(name.into()), op: layer.into() });
        self
    }

    /// Makes the graph: shapes inferred, kernels Glorot-uniform, biases zero, all trainable.
    ///
    /// The same seed gives the same values on every machine. Parameters are drawn one after the
    /// other in layer order, each in its own row-major layout.
    pub fn build(&self, seed: u64) -> Result<Graph, GraphError> {
        let mut rng = Rng::new(seed);
        let mut graph = Graph::new(self.name.clone());
        let mut last = graph.add_tensor(Tensor::activation("input", self.input.clone(), DType::F32));
        graph.inputs.push(last);
        for layer in &self.layers {
            let mut op = layer.op.clone();
            let after = op.fused();
            let split = !after.is_clamp() && op.set_fused(Activation::Linear);
            let name = unique_name(&graph, layer.name.as_deref().unwrap_or(op.kind()));
            last = append(&mut graph, name, op, last, &mut rng)?;
            if split {
                let op = Op::from(after);
                let name = unique_name(&graph, op.kind());
                last = append(&mut graph, name, op, last, &mut rng)?;
            }
        }
        graph.outputs.push(last);
        graph.validate()?;
        Ok(graph)
    }
}

/// Adds a node after `input` with new parameters and output.
fn append(graph: &mut Graph, name: String, op: Op, input: TensorId, rng: &mut Rng) -> Result<TensorId, GraphError> {
    let at = |source: OpError| GraphError::Node { node: name.clone(), op: op.kind(), source };
    op.check().map_err(at)?;
    let source = graph.tensor(input);
    if op.arity().0 != 1 {
        let expected = format!("{} (a chain gives 1)", op.arity().0);
        return Err(at(OpError::Inputs { found: 1, expected }));
    }
    let shape = op.output(&[Port { name: &source.name, shape: &source.shape }]).map_err(at)?;
    let mut inputs = vec![input];
    for parameter in op.parameters(&source.shape.clone()) {
        let data = initial(&parameter, rng).ok_or_else(|| at(OpError::Overflow))?;
        let name = format!("{name}/{}", parameter.role);
        inputs.push(graph.add_tensor(Tensor::parameter(name, parameter.shape, Data::F32(data))));
    }
    let output = graph.add_tensor(Tensor::activation(format!("{name}/output"), shape, DType::F32));
    graph.add_node(name, op, &inputs, &[output]);
    Ok(output)
}

/// `kind`, or `kind_1`, `kind_2`, ... if taken.
fn unique_name(graph: &Graph, base: &str) -> String {
    if graph.find_node(base).is_none() {
        return base.to_owned();
    }
    let mut number = 1;
    loop {
        let name = format!("{base}_{number}");
        if graph.find_node(&name).is_none() {
            return name;
        }
        number += 1;
    }
}

/// New values of a parameter; `None` if the size overflows.
fn initial(parameter: &Parameter, rng: &mut Rng) -> Option<Vec<f32>> {
    let count = super::elements(&parameter.shape).filter(|n| n.checked_mul(8).is_some())?;
    Some(match parameter.init {
        Init::Zeros => vec![0.0; count],
        Init::GlorotUniform { fan_in, fan_out } => {
            let limit = (6.0 / (fan_in.saturating_add(fan_out)) as f64).sqrt() as f32;
            (0..count).map(|_| rng.uniform_f32(-limit, limit)).collect()
        }
    })
}
