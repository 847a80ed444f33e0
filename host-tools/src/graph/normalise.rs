//! Normalisation of inputs in front of an int8 network ([`Normalise`]).

use super::error::GraphError;
use super::ops::Normalise;
use super::{DType, Data, Graph, NodeId, Op, Tensor, TensorId};
use embernet_core::adapt::normalise::{Seen, Table, observe};
use embernet_core::quant::quantize_i8;
use zerocopy::IntoBytes;

/// The node's name.
const NAME: &str = "normalise";

impl Graph {
    /// The node that normalises inputs, if there is one.
    pub fn normalisation(&self) -> Option<(NodeId, &Normalise)> {
        self.iter().find_map(|(id, node)| match &node.op {
            Op::Normalise(op) => Some((id, op)),
            _ => None,
        })
    }

    /// Puts normalisation in front of the network, behind the step that quantises inputs if there is one. Its tables
    /// change nothing yet.
    ///
    /// # Errors
    /// If the network has several inputs, does not begin in int8, normalises its input already, or has another number of
    /// channels.
    pub fn normalise_inputs(&mut self, op: Normalise) -> Result<(), GraphError> {
        let (behind, channels) = self.normalised_input()?;
        if op.channels() != channels {
            return Err(refused(format!("it has {channels} channels, the reference {}", op.channels())));
        }
        let input = self.tensor(behind).clone();
        let name = |what: &str| format!("{NAME}/{what}");
        let output = Tensor { name: name("output"), ..input };
        let tables = Data::I8(vec![Table::IDENTITY; channels].as_bytes().iter().map(|byte| *byte as i8).collect());
        let seen = Data::I32(vec![0; channels * size_of::<Seen>() / 4]);
        let (tables_shape, seen_shape) = ([channels, tables.len() / channels], [channels, seen.len() / channels]);
        let output = self.add_tensor(output);
        let tables = self.add_tensor(Tensor::constant(name("tables"), tables_shape, tables));
        let seen = self.add_tensor(Tensor::constant(name("seen"), seen_shape, seen));
        for node in &mut self.nodes {
            node.inputs.iter_mut().filter(|input| **input == behind).for_each(|input| *input = output);
        }
        self.add_node(NAME, op, &[behind, tables, seen], &[output]);
        self.validate()
    }

    /// The reference that makes inputs be as these samples are: real values, one sample after the other.
    ///
    /// # Errors
    /// As [`Graph::normalise_inputs`]; or if there are no samples.
    pub fn measured(&self, samples: &[f32]) -> Result<Normalise, GraphError> {
        let (id, channels) = self.normalised_input()?;
        let quant = self.tensor(id).quant.as_ref().and_then(|quant| quant.single());
        let (scale, zero_point) = quant.ok_or_else(|| refused("its input has no scale"))?;
        let mut seen = vec![Seen::default(); channels];
        let steps: Vec<i8> = samples.iter().map(|x| quantize_i8(*x, scale, zero_point)).collect();
        observe(&mut seen, &steps);
        let moments: Option<Vec<_>> = seen.iter().map(Seen::moments).collect();
        moments.map(|moments| Normalise::new(&moments)).ok_or_else(|| refused("there are no samples to measure"))
    }

    /// How many channels normalisation of the input has.
    ///
    /// # Errors
    /// As [`Graph::normalise_inputs`].
    pub fn input_channels(&self) -> Result<usize, GraphError> {
        Ok(self.normalised_input()?.1)
    }

    /// The int8 tensor that normalisation comes behind, and its channels: the last axis, or one channel where there is no
    /// other axis.
    fn normalised_input(&self) -> Result<(TensorId, usize), GraphError> {
        if self.normalisation().is_some() {
            return Err(refused("it normalises its input already"));
        }
        let [input] = self.inputs[..] else {
            return Err(refused(format!("it has {} inputs; this is for one", self.inputs.len())));
        };
        let mut readers = self.nodes.iter().filter(|node| node.inputs.contains(&input));
        let id = match (self.tensor(input).dtype, readers.next(), readers.next()) {
            (DType::I8, ..) => input,
            (DType::F32, Some(first), None) if matches!(first.op, Op::Quantize(_)) => first.outputs[0],
            _ => input,
        };
        let tensor = self.tensor(id);
        if tensor.dtype != DType::I8 {
            let dtype = tensor.dtype;
            return Err(refused(format!("its first layer takes {dtype}; this is for models that begin in int8")));
        }
        let channels = match tensor.shape[..] {
            [.., _, channels] => channels,
            _ => 1,
        };
        Ok((id, channels))
    }
}

fn refused(why: impl Into<String>) -> GraphError {
    GraphError::Normalise { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ops::{Conv2d, Dense, Flatten, Quantize};
    use crate::graph::{Quant, Selection, Sequential};
    use crate::import::checkpoint::Checkpoint;
    use crate::quant::{Scheme, quantize};

    fn int8() -> Graph {
        let float = Sequential::new([4, 4, 3]).add(Conv2d::new(2, [3, 3])).add(Flatten {}).add(Dense::new(3));
        let samples: Vec<f32> = (0..96).map(|n| ((n * 7) % 11) as f32 / 11.0).collect();
        quantize(&float.build(1).unwrap(), &samples, Scheme::Int8).unwrap().graph
    }

    fn why(result: Result<(), GraphError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn quantisation_remembers_its_samples() {
        let graph = int8();
        let reference = graph.meta.reference.clone().expect("moments of the samples");
        assert_eq!(reference.channels(), 3);
        assert!(reference.deviations.iter().all(|deviation| *deviation > 50.0), "{reference:?}");
    }

    #[test]
    fn a_graph_normalises_its_input_once() {
        let mut graph = int8();
        let reference = graph.meta.reference.clone().unwrap();
        let layers = graph.parameter_tensors().len();
        graph.normalise_inputs(reference.clone()).unwrap();
        assert_eq!(graph.normalisation().unwrap().1, &reference);
        assert!(why(graph.normalise_inputs(reference)).ends_with("it normalises its input already"));
        // It is no layer that learns by gradients.
        graph.set_trainable(&Selection::All).unwrap();
        assert_eq!(graph.tensors.iter().filter(|tensor| tensor.trainable).count(), layers);
        let error = graph.set_trainable(&"normalise".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no tensor or layer is called `normalise`"), "{error}");
    }

    #[test]
    fn checkpoints_keep_it() {
        let mut graph = int8();
        let reference = Normalise { means: vec![0.1, -2.7, 3e-8], deviations: vec![1.0 / 3.0, 62.1, 0.0] };
        graph.normalise_inputs(reference).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        Checkpoint::new(graph.clone()).save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap().graph, graph);
    }

    #[test]
    fn inputs_may_be_quantised_before() {
        let mut graph = int8();
        let (input, quant) = (graph.inputs[0], graph.tensor(graph.inputs[0]).quant.clone());
        let real = graph.add_tensor(Tensor::activation("real", [4, 4, 3], DType::F32));
        graph.add_node("quantize", Quantize {}, &[real], &[input]);
        graph.inputs = vec![real];
        graph.normalise_inputs(Normalise { means: vec![0.0; 3], deviations: vec![1.0; 3] }).unwrap();
        let (id, _) = graph.normalisation().unwrap();
        assert_eq!(graph.node(id).inputs[0], input);
        assert_eq!(graph.tensor(graph.node(id).outputs[0]).quant, quant);
    }

    #[test]
    fn others_are_refused() {
        let reference = Normalise { means: vec![0.0], deviations: vec![1.0] };
        let mut float = Sequential::new([4]).add(Dense::new(2)).build(1).unwrap();
        assert_eq!(
            why(float.normalise_inputs(reference.clone())),
            "inputs cannot be normalised: its first layer takes f32; this is for models that begin in int8"
        );
        let mut two = int8();
        assert!(why(two.normalise_inputs(reference.clone())).ends_with("it has 3 channels, the reference 1"));
        let other = Tensor::activation("other", [2], DType::I8).with_quant(Quant::per_tensor(1.0, 0));
        let other = two.add_tensor(other);
        two.inputs.push(other);
        assert!(why(two.normalise_inputs(reference)).ends_with("it has 2 inputs; this is for one"));
        assert!(int8().measured(&[]).unwrap_err().to_string().ends_with("there are no samples to measure"));
        let mut broken = int8();
        let bad = Normalise { means: vec![0.0; 3], deviations: vec![1.0, -1.0, 1.0] };
        assert!(why(broken.normalise_inputs(bad)).contains("deviation is -1, must be finite, and not below 0"));
    }
}
