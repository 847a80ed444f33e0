//! Shape inference, order, and the check that a graph holds together.

use super::error::{GraphError, OpError, TensorError};
use super::ops::Port;
use super::tensor::{DType, Tensor};
use super::{Graph, Node, NodeId, TensorId};
use std::collections::HashSet;

impl Graph {
    /// Checks everything that later stages rely on: numbers in range, unique names, one source per
    /// tensor, no cycle, shapes as the operations make them, constants as long as their shapes say.
    ///
    /// Element types are checked where they matter, when kernels are chosen.
    pub fn validate(&self) -> Result<(), GraphError> {
        self.check_numbers()?;
        self.check_names()?;
        for tensor in &self.tensors {
            check_tensor(tensor).map_err(|source| GraphError::Tensor { tensor: tensor.name.clone(), source })?;
        }
        self.check_sources()?;
        let values = self.tensor(self.inputs[0]).elements();
        if !self.meta.preprocessing.fits(values) {
            return Err(GraphError::Preprocessing { values });
        }
        for id in self.order()? {
            let node = self.node(id);
            let shapes = self.output_shapes(node).map_err(|source| at(node, source))?;
            for (output, expected) in node.outputs.iter().map(|t| self.tensor(*t)).zip(shapes) {
                if output.shape != expected {
                    let (tensor, found) = (output.name.clone(), output.shape.clone());
                    return Err(at(node, OpError::OutputShape { tensor, found, expected }));
                }
            }
        }
        Ok(())
    }

    /// Fills in the shapes of all activations from the graph's inputs and constants.
    ///
    /// For importers and editors; leaves the graph as valid as [`Graph::validate`] would find it,
    /// except that it also accepts activations whose stored shape was wrong or empty.
    pub fn infer_shapes(&mut self) -> Result<(), GraphError> {
        self.check_numbers()?;
        self.check_sources()?;
        for id in self.order()? {
            let node = self.node(id);
            let shapes = self.output_shapes(node).map_err(|source| at(node, source))?;
            for (output, shape) in node.outputs.clone().into_iter().zip(shapes) {
                self.tensor_mut(output).shape = shape;
            }
        }
        self.validate()
    }

    /// An order in which every node comes after those it needs; among the possible ones, the one
    /// closest to the order of the node list.
    pub fn order(&self) -> Result<Vec<NodeId>, GraphError> {
        let producers = self.producers();
        let mut waiting: Vec<usize> =
            self.nodes.iter().map(|n| n.inputs.iter().filter(|t| producers[t.index()].is_some()).count()).collect();
        let consumers = self.consumers();
        let mut ready: std::collections::BTreeSet<NodeId> =
            self.iter().map(|(id, _)| id).filter(|id| waiting[id.index()] == 0).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(id) = ready.pop_first() {
            order.push(id);
            for output in &self.node(id).outputs {
                for next in &consumers[output.index()] {
                    waiting[next.index()] -= 1;
                    if waiting[next.index()] == 0 {
                        ready.insert(*next);
                    }
                }
            }
        }
        match waiting.iter().position(|w| *w > 0) {
            Some(stuck) => Err(GraphError::Cycle { node: self.nodes[stuck].name.clone() }),
            None => Ok(order),
        }
    }

    /// Every number in range, and as many operands as the operation takes.
    fn check_numbers(&self) -> Result<(), GraphError> {
        let count = self.tensors.len();
        for (list, ids) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if ids.is_empty() {
                return Err(GraphError::Empty { list });
            }
            if let Some(id) = ids.iter().find(|t| t.index() >= count) {
                return Err(GraphError::NoSuchPort { list, id: id.0, count });
            }
        }
        for node in &self.nodes {
            if let Some(id) = node.inputs.iter().chain(&node.outputs).find(|t| t.index() >= count) {
                return Err(GraphError::NoSuchTensor { node: node.name.clone(), id: id.0, count });
            }
            let (least, most) = node.op.arity();
            let parameters = node.op.parameter_count();
            if !(least + parameters..=most + parameters).contains(&node.inputs.len()) {
                let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
                let expected = format!("{expected} and {parameters} parameters");
                return Err(at(node, OpError::Inputs { found: node.inputs.len(), expected }));
            }
            let expected = node.op.output_count();
            if node.outputs.len() != expected {
                return Err(at(node, OpError::Outputs { found: node.outputs.len(), expected }));
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), GraphError> {
        let mut seen = HashSet::new();
        for node in &self.nodes {
            if !seen.insert(node.name.as_str()) {
                return Err(GraphError::DuplicateName { what: "node", name: node.name.clone() });
            }
        }
        seen.clear();
        for tensor in &self.tensors {
            if !seen.insert(tensor.name.as_str()) {
                return Err(GraphError::DuplicateName { what: "tensor", name: tensor.name.clone() });
            }
        }
        Ok(())
    }

    /// Exactly one source for all that is read.
    fn check_sources(&self) -> Result<(), GraphError> {
        let mut source: Vec<Option<String>> =
            self.tensors.iter().map(|t| t.data.as_ref().map(|_| "its constant value".into())).collect();
        for input in &self.inputs {
            if let Some(from) = source[input.index()].replace("the graph's inputs".into()) {
                let tensor = self.tensor(*input).name.clone();
                return Err(GraphError::TwoSources { node: "(input)".into(), tensor, from });
            }
        }
        for node in &self.nodes {
            for output in &node.outputs {
                let here = format!("node `{}`", node.name);
                if let Some(from) = source[output.index()].replace(here) {
                    let tensor = self.tensor(*output).name.clone();
                    return Err(GraphError::TwoSources { node: node.name.clone(), tensor, from });
                }
            }
        }
        let missing = |t: &&TensorId| source[t.index()].is_none();
        for node in &self.nodes {
            if let Some(input) = node.inputs.iter().find(missing) {
                let tensor = self.tensor(*input).name.clone();
                return Err(GraphError::NoSource { node: node.name.clone(), tensor });
            }
        }
        match self.outputs.iter().find(missing) {
            Some(t) => Err(GraphError::OutputWithoutSource { tensor: self.tensor(*t).name.clone() }),
            None => Ok(()),
        }
    }

    /// Shapes of a node's outputs from its inputs; checks its attributes and parameters.
    fn output_shapes(&self, node: &Node) -> Result<Vec<Vec<usize>>, OpError> {
        node.op.check()?;
        let ports: Vec<Port<'_>> = node
            .data_inputs()
            .iter()
            .map(|t| self.tensor(*t))
            .map(|t| Port { name: &t.name, shape: &t.shape })
            .collect();
        let shapes = node.op.outputs(&ports)?;
        for (id, wanted) in node.parameters().iter().zip(node.op.parameters(ports[0].shape)) {
            let (tensor, role) = (self.tensor(*id), wanted.role);
            if tensor.data.is_none() {
                return Err(OpError::ParameterNotConstant { role, tensor: tensor.name.clone() });
            }
            if tensor.shape != wanted.shape {
                let (found, expected) = (tensor.shape.clone(), wanted.shape);
                return Err(OpError::ParameterShape { role, tensor: tensor.name.clone(), found, expected });
            }
        }
        let fits = |shape: &Vec<usize>| super::elements(shape).is_some_and(|n| n.checked_mul(8).is_some());
        if shapes.iter().all(fits) { Ok(shapes) } else { Err(OpError::Overflow) }
    }
}

fn at(node: &Node, source: OpError) -> GraphError {
    GraphError::Node { node: node.name.clone(), op: node.op.kind(), source }
}

/// A tensor on its own.
fn check_tensor(tensor: &Tensor) -> Result<(), TensorError> {
    let shape = || tensor.shape.clone();
    if tensor.shape.contains(&0) {
        return Err(TensorError::ZeroDimension { shape: shape() });
    }
    let expected = tensor
        .checked_elements()
        .filter(|n| n.checked_mul(8).is_some())
        .ok_or_else(|| TensorError::TooLarge { shape: shape() })?;
    if let Some(data) = &tensor.data {
        if data.dtype() != tensor.dtype {
            return Err(TensorError::DataType { found: data.dtype(), expected: tensor.dtype });
        }
        if data.len() != expected {
            return Err(TensorError::DataLength { found: data.len(), expected, shape: shape() });
        }
    } else if tensor.trainable {
        return Err(TensorError::TrainableWithoutData);
    }
    let Some(quant) = &tensor.quant else { return Ok(()) };
    if tensor.dtype == DType::F32 {
        return Err(TensorError::QuantFloat);
    }
    let expected = match quant.axis {
        None => 1,
        Some(axis) => *tensor.shape.get(axis).ok_or_else(|| TensorError::QuantAxis { axis, shape: shape() })?,
    };
    let (scales, zero_points) = (quant.scales.len(), quant.zero_points.len());
    if scales != expected || zero_points != expected {
        return Err(TensorError::QuantLength { scales, zero_points, expected });
    }
    let bad = quant.scales.iter().position(|s| !(s.is_finite() && *s > 0.0));
    if let Some(index) = bad {
        return Err(TensorError::QuantScale { index, scale: quant.scales[index] });
    }
    let (low, high) = tensor.dtype.range().unwrap_or((i64::MIN, i64::MAX));
    let bad = quant.zero_points.iter().position(|z| !(low..=high).contains(&i64::from(*z)));
    if let Some(index) = bad {
        let zero_point = quant.zero_points[index];
        return Err(TensorError::QuantZeroPoint { index, zero_point, dtype: tensor.dtype });
    }
    Ok(())
}
