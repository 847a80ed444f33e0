//! Functions that exporters write as several nodes.

use super::{Call, Converter};
use crate::graph::Activation;
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::model::NodeDef;

/// A function of several nodes: the names of its input and output, and its nodes from the one found on.
type Pattern<'a> = (&'a str, &'a str, Vec<usize>);

impl<'m, 'a> Converter<'m, 'a> {
    /// Erf, which only Gelu is made of: `x * (1 + erf(x / sqrt(2))) / 2`, its factors in any order.
    pub(super) fn gelu_of_erf(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let (input, output, nodes) = self.gelu_around(call)?.ok_or(NodeProblem::Unsupported)?;
        let Some(super::Made::Value(x)) = self.made(input, "input")? else { return Err(NodeProblem::Unsupported) };
        let x = self.floats(&x, "input")?;
        let id = self.emit(Activation::Gelu { approximate: false }, &[x.id], None)?;
        self.done.extend(nodes);
        self.define_as(output, super::Value { id, ..x })
    }

    /// The function that this Erf belongs to.
    fn gelu_around(&mut self, call: &Call<'m, 'a>) -> Result<Option<Pattern<'a>>, NodeProblem> {
        let root = std::f32::consts::SQRT_2;
        let Some(scaled) = self.node_of(call.input(0)) else { return Ok(None) };
        let input = match scaled.op {
            "Div" => self.with_number(scaled, root, false)?,
            "Mul" => self.with_number(scaled, 1.0 / root, true)?,
            _ => None,
        };
        let Some(input) = input else { return Ok(None) };
        let Some((add, node)) = self.next(call.output(0)) else { return Ok(None) };
        if node.op != "Add" || self.with_number(node, 1.0, true)?.is_none() {
            return Ok(None);
        }
        let sum = node.outputs.first().copied().unwrap_or("");
        let Some((product, node)) = self.next(sum) else { return Ok(None) };
        let Some(other) = node.inputs.iter().copied().find(|i| *i != sum).filter(|_| node.op == "Mul") else {
            return Ok(None);
        };
        let output = node.outputs.first().copied().unwrap_or("");
        if other == input {
            // x * (1 + erf), then half of it.
            let Some((half, node)) = self.next(output) else { return Ok(None) };
            let halved = match node.op {
                "Mul" => self.with_number(node, 0.5, true)?,
                "Div" => self.with_number(node, 2.0, false)?,
                _ => None,
            };
            let output = node.outputs.first().copied().unwrap_or("");
            return Ok(halved.map(|_| (input, output, vec![add, product, half])));
        }
        // (x / 2) * (1 + erf)
        let Some(half) = self.node_of(other) else { return Ok(None) };
        let halved = match half.op {
            "Mul" => self.with_number(half, 0.5, true)?,
            "Div" => self.with_number(half, 2.0, false)?,
            _ => None,
        };
        Ok((halved == Some(input)).then(|| (input, output, vec![add, product])))
    }

    /// The node of the file that makes this name.
    fn node_of(&self, name: &str) -> Option<&'m NodeDef<'a>> {
        self.model.nodes.iter().find(|n| n.outputs.contains(&name))
    }

    /// The only node that reads this name.
    fn next(&self, name: &str) -> Option<(usize, &'m NodeDef<'a>)> {
        let index = *self.readers.get(name)?.first().filter(|_| self.only_reader(name))?;
        Some((index, self.model.nodes.get(index)?))
    }

    /// The other input of a node that has this number (to a thousandth) as one of its two inputs.
    fn with_number(
        &mut self,
        node: &'m NodeDef<'a>,
        number: f32,
        either: bool,
    ) -> Result<Option<&'a str>, NodeProblem> {
        let [a, b] = node.inputs[..] else { return Ok(None) };
        for (x, constant) in [(a, b), (b, a)].into_iter().take(if either { 2 } else { 1 }) {
            let found = self.number(constant)?;
            if found.is_some_and(|found| (found - number).abs() <= 1e-3 * number.abs()) {
                return Ok(Some(x));
            }
        }
        Ok(None)
    }

    /// The one number of a constant, which may be written behind the nodes that are looked at.
    fn number(&mut self, name: &'a str) -> Result<Option<f32>, NodeProblem> {
        let constant = match self.node_of(name).filter(|n| n.op == "Constant") {
            Some(node) => self.fold_constant(&Call { node, opset: self.model.opset })?,
            None if self.made.contains_key(name) => match self.made(name, "input")? {
                Some(super::Made::Constant(constant)) => constant.as_ref().clone(),
                _ => return Ok(None),
            },
            None => return Ok(None),
        };
        Ok(match constant.reals().as_deref() {
            Some([number]) => Some(*number),
            _ => None,
        })
    }
}
