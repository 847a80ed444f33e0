//! The Keras-like builder: layers in order, with named branches where a chain is not enough.

use super::error::{GraphError, OpError};
use super::ops::{Activation, Init, Op, Parameter, Port};
use super::tensor::{DType, Data, Tensor};
use super::{Graph, TensorId};
use embernet_core::rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One layer of a [`Sequential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSpec {
    /// `None`: named after its kind, `dense`, `dense_1`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The layers that it reads, by name; `input` is the network's input. Empty: the layer before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Of recurrent layers: whether the next layer reads the state of every step (`[time, units]`), as in Keras, or the
    /// last one (`[units]`), which is what happens without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_sequences: Option<bool>,
    /// The operation. Unlike in a graph, its activation may be any: those that cannot be fused
    /// become a node of their own.
    #[serde(flatten)]
    pub op: Op,
}

impl LayerSpec {
    /// A layer named after its kind that reads the one before it.
    pub fn new(layer: impl Into<Op>) -> Self {
        Self { name: None, inputs: Vec::new(), return_sequences: None, op: layer.into() }
    }

    /// Which of the operation's outputs is the layer's.
    fn output(&self, name: &str) -> Result<usize, GraphError> {
        let is_recurrent = matches!(self.op, Op::Lstm(_) | Op::Gru(_));
        if !is_recurrent && self.return_sequences.is_some() {
            let (found, expected) = ("given".into(), "absent: only lstm and gru have it");
            let source = OpError::Attribute { what: "return_sequences", found, expected };
            return Err(GraphError::Node { node: name.to_owned(), op: self.op.kind(), source });
        }
        Ok(usize::from(is_recurrent && self.return_sequences != Some(true)))
    }
}

/// Layers in order. Each reads the one before it, or those that it names: so branches part and meet.
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
        self.layers.push(LayerSpec::new(layer));
        self
    }

    /// Appends a recurrent layer of which the next one reads the state of every step.
    #[must_use]
    pub fn add_returning_sequences(mut self, layer: impl Into<Op>) -> Self {
        self.layers.push(LayerSpec { return_sequences: Some(true), ..LayerSpec::new(layer) });
        self
    }

    /// Appends a layer under a name.
    #[must_use]
    pub fn add_named(mut self, name: impl Into<String>, layer: impl Into<Op>) -> Self {
        self.layers.push(LayerSpec { name: Some(name.into()), ..LayerSpec::new(layer) });
        self
    }

    /// Appends a layer under a name that reads the named layers; `input` is the network's input.
    ///
    /// ```
    /// use embernet::graph::Sequential;
    /// use embernet::graph::ops::{Add, Dense};
    ///
    /// let graph = Sequential::new([4])
    ///     .add_named("a", Dense::new(4))
    ///     .add_named("b", Dense::new(4))
    ///     .add_reading("sum", &["a", "b"], Add::default())
    ///     .build(1)?;
    /// assert_eq!(graph.nodes[2].data_inputs().len(), 2);
    /// # Ok::<(), embernet::graph::GraphError>(())
    /// ```
    #[must_use]
    pub fn add_reading(mut self, name: impl Into<String>, inputs: &[&str], layer: impl Into<Op>) -> Self {
        let inputs = inputs.iter().map(ToString::to_string).collect();
        self.layers.push(LayerSpec { name: Some(name.into()), inputs, ..LayerSpec::new(layer) });
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
        // What a name stands for: a layer's result, its activation included.
        let mut named = BTreeMap::from([("input".to_owned(), last)]);
        for layer in &self.layers {
            let mut op = layer.op.clone();
            let after = op.fused();
            let split = !after.is_clamp() && op.set_fused(Activation::Linear);
            let name = match &layer.name {
                Some(name) if named.contains_key(name) || graph.find_node(name).is_some() => {
                    return Err(GraphError::DuplicateName { what: "layer", name: name.clone() });
                }
                Some(name) => name.clone(),
                None => unique_name(&graph, op.kind()),
            };
            let mut inputs = vec![last];
            if !layer.inputs.is_empty() {
                let find = |name: &String| {
                    let known = || named.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let found = named.get(name).copied();
                    found.ok_or_else(|| GraphError::NoSuchName { name: name.clone(), known: known() })
                };
                inputs = layer.inputs.iter().map(find).collect::<Result<_, _>>()?;
            }
            last = append(&mut graph, name.clone(), op, &inputs, &mut rng)?[layer.output(&name)?];
            if split {
                let op = Op::from(after);
                let name = unique_name(&graph, op.kind());
                last = append(&mut graph, name, op, &[last], &mut rng)?[0];
            }
            named.insert(name, last);
        }
        graph.outputs.push(last);
        graph.validate()?;
        Ok(graph)
    }
}

/// Adds a node that reads `data`, with new parameters and outputs.
fn append(
    graph: &mut Graph,
    name: String,
    op: Op,
    data: &[TensorId],
    rng: &mut Rng,
) -> Result<Vec<TensorId>, GraphError> {
    let at = |source: OpError| GraphError::Node { node: name.clone(), op: op.kind(), source };
    op.check().map_err(at)?;
    let (least, most) = op.arity();
    if !(least..=most).contains(&data.len()) {
        let expected = format!("{least} (name them with `inputs`)");
        return Err(at(OpError::Inputs { found: data.len(), expected }));
    }
    let port = |id: &TensorId| Port { name: &graph.tensor(*id).name, shape: &graph.tensor(*id).shape };
    let ports: Vec<Port<'_>> = data.iter().map(port).collect();
    let shapes = op.outputs(&ports).map_err(at)?;
    let parameters = op.parameters(ports[0].shape);
    let mut inputs = data.to_vec();
    for parameter in parameters {
        let data = initial(&parameter, rng).ok_or_else(|| at(OpError::Overflow))?;
        let name = format!("{name}/{}", parameter.role);
        inputs.push(graph.add_tensor(Tensor::parameter(name, parameter.shape, Data::F32(data))));
    }
    let named = |i| if i == 0 { format!("{name}/output") } else { format!("{name}/state_{i}") };
    let outputs = shapes.into_iter().enumerate().map(|(i, shape)| Tensor::activation(named(i), shape, DType::F32));
    let outputs: Vec<TensorId> =
        outputs.collect::<Vec<_>>().into_iter().map(|tensor| graph.add_tensor(tensor)).collect();
    graph.add_node(name, op, &inputs, &outputs);
    Ok(outputs)
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
        Init::Ones => vec![1.0; count],
        Init::GlorotUniform { fan_in, fan_out } => {
            let limit = (6.0 / (fan_in.saturating_add(fan_out)) as f64).sqrt() as f32;
            (0..count).map(|_| rng.uniform_f32(-limit, limit)).collect()
        }
    })
}
