//! Nodes, tensors and parameters of the graph.

use super::{Call, Converter, Made, Value};
use crate::graph::ops::{Dequantize, Op, Port};
use crate::graph::{DType, Data, NodeId, OpError, Quant, Tensor, TensorId, elements};
use crate::import::onnx::error::NodeProblem;

impl<'m, 'a> Converter<'m, 'a> {
    /// Adds an operation; `inputs` are data, then parameters. The (first) output is int8 if it has a
    /// quantisation, else float; its shape follows from the operation.
    pub(super) fn emit(
        &mut self,
        op: impl Into<Op>,
        inputs: &[TensorId],
        quant: Option<Quant>,
    ) -> Result<TensorId, NodeProblem> {
        let all = self.emit_outputs(op.into(), inputs, quant)?;
        all.first().copied().ok_or(NodeProblem::NoOutput)
    }

    /// As [`Converter::emit`], of floats, with all outputs.
    pub(super) fn emit_all(&mut self, op: impl Into<Op>, inputs: &[TensorId]) -> Result<Vec<TensorId>, NodeProblem> {
        self.emit_outputs(op.into(), inputs, None)
    }

    fn emit_outputs(
        &mut self,
        op: Op,
        inputs: &[TensorId],
        quant: Option<Quant>,
    ) -> Result<Vec<TensorId>, NodeProblem> {
        op.check()?;
        let data = inputs.get(..inputs.len().saturating_sub(op.parameter_count())).unwrap_or_default();
        let tensors = data.iter().map(|t| self.graph.tensor(*t));
        let ports: Vec<Port<'_>> = tensors.map(|t| Port { name: &t.name, shape: &t.shape }).collect();
        let shapes = op.outputs(&ports)?;
        if shapes.iter().any(|s| elements(s).is_none_or(|n| n > i32::MAX as usize)) {
            return Err(NodeProblem::Op(OpError::Overflow));
        }
        let wanted = match (self.label, op.kind()) {
            ("", kind) => kind.to_owned(),
            // The name is for what computes; moving data is beside it.
            (name, kind @ ("reshape" | "transpose" | "quantize")) => format!("{name}/{kind}"),
            (name, _) => name.to_owned(),
        };
        self.budget.take(600 + 4 * wanted.len() + 4 * inputs.len())?;
        let name = self.node_names.unique(&wanted);
        let dtype = if quant.is_some() { DType::I8 } else { DType::F32 };
        let mut outputs = Vec::with_capacity(shapes.len());
        for shape in shapes {
            self.budget.take(400 + 4 * name.len())?;
            let tensor_name = self.tensor_names.unique(&format!("{name}/{}", op.kind()));
            let tensor = Tensor { quant: quant.clone(), ..Tensor::activation(tensor_name, shape, dtype) };
            outputs.push(self.graph.add_tensor(tensor));
        }
        self.graph.add_node(name, op, inputs, &outputs);
        Ok(outputs)
    }

    /// Says that an output of the node is this value, which takes over its name.
    pub(super) fn define(&mut self, call: &Call<'m, 'a>, i: usize, value: Value) -> Result<(), NodeProblem> {
        let name = call.output(i);
        if i == 0 && name.is_empty() {
            return Err(NodeProblem::NoOutput);
        }
        self.define_as(name, value)
    }

    /// As [`Converter::define`], under the name of an output that another node of the file makes.
    pub(super) fn define_as(&mut self, name: &'a str, value: Value) -> Result<(), NodeProblem> {
        let made_here = !name.is_empty()
            && self.graph.tensor(value.id).data.is_none()
            && !self.graph.inputs.contains(&value.id)
            && !self.makers.contains_key(&value.id);
        if made_here {
            let last = (self.graph.nodes.len() as u32).saturating_sub(1);
            self.budget.take(2 * name.len())?;
            self.graph.tensor_mut(value.id).name = self.tensor_names.unique(name);
            let produced = self.graph.nodes.last().is_some_and(|n| n.outputs.contains(&value.id));
            if produced {
                self.makers.insert(value.id, (NodeId(last), name));
            }
        }
        self.set(name, Made::Value(value))
    }

    /// Adds a constant that a node reads.
    pub(super) fn parameter(
        &mut self,
        name: &str,
        shape: &[usize],
        data: Data,
        quant: Option<Quant>,
    ) -> Result<TensorId, NodeProblem> {
        self.budget.take(data.len().saturating_mul(data.dtype().bytes()).saturating_add(400 + 4 * name.len()))?;
        let name = self.tensor_names.unique(if name.is_empty() { "constant" } else { name });
        Ok(self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, shape, data) }))
    }

    /// The value as floats.
    pub(super) fn floats(&mut self, value: &Value, role: &'static str) -> Result<Value, NodeProblem> {
        let tensor = self.graph.tensor(value.id);
        if tensor.dtype == DType::F32 {
            return Ok(value.clone());
        }
        if !value.dequantized {
            return Err(NodeProblem::Type { role, found: "quantised".into(), expected: "float" });
        }
        let id = match self.dequantized.get(&value.id) {
            Some(known) => *known,
            None => {
                let name = format!("{}/dequantize", tensor.name);
                let shape = tensor.shape.clone();
                self.budget.take(600 + 4 * name.len())?;
                let (node, name) = (self.node_names.unique(&name), self.tensor_names.unique(&name));
                let id = self.graph.add_tensor(Tensor::activation(name, shape, DType::F32));
                self.graph.add_node(node, Dequantize {}, &[value.id], &[id]);
                self.dequantized.insert(value.id, id);
                id
            }
        };
        Ok(Value { id, layout: value.layout.clone(), dequantized: false })
    }
}
