//! The graph's inputs and outputs.

use super::arrange::{channels_last, sample};
use super::{Call, Converter, Made, Value};
use crate::graph::{DType, Quant, Tensor, TensorId, elements};
use crate::import::onnx::Options;
use crate::import::onnx::error::{InputProblem, NodeProblem, OnnxError};
use crate::import::onnx::layout::Layout;
use crate::import::onnx::model::{Dimension, MAX_RANK, ValueInfo};
use crate::import::onnx::tensor::ElementType;
use std::collections::HashSet;
use std::rc::Rc;

/// An input or output as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// Its shape in the file, with the batch axis (1).
    pub shape: Vec<usize>,
    /// The file's axes in the order of the graph's; `[0, 2, 3, 1]` for an image.
    pub axes: Vec<usize>,
    /// The file's uint8, which is int8 here: every value and the zero point less 128.
    pub unsigned: bool,
}

impl Port {
    /// Whether values lie in another order than in the file.
    pub fn is_rearranged(&self) -> bool {
        Layout::ordered(&self.shape, &self.axes) != Layout::plain(&self.shape)
    }
}

impl<'m, 'a> Converter<'m, 'a> {
    /// Makes the graph's inputs. Old files list initializers among them.
    pub(super) fn add_inputs(&mut self, options: &Options) -> Result<Vec<Port>, OnnxError> {
        let model = self.model;
        for (name, value) in &options.values {
            let known = model.inputs.iter().find(|i| i.name == name.as_str());
            let error = || {
                let known: Vec<&str> = model.inputs.iter().map(|i| i.name).collect();
                OnnxError::NoSuchInput { name: name.clone(), known: known.join(", ") }
            };
            self.made.insert(known.ok_or_else(error)?.name, Made::Constant(Rc::new(value.clone())));
        }
        let inputs: Vec<&ValueInfo<'a>> = model.inputs.iter().filter(|i| !self.made.contains_key(i.name)).collect();
        if let Some(name) = options.shapes.keys().find(|name| inputs.iter().all(|i| i.name != name.as_str())) {
            let known: Vec<&str> = inputs.iter().map(|i| i.name).collect();
            return Err(OnnxError::NoSuchInput { name: name.clone(), known: known.join(", ") });
        }
        let mut ports = Vec::with_capacity(inputs.len());
        for info in inputs {
            let refuse = |source| OnnxError::Input { name: info.name.into(), source };
            self.budget.take(info.name.len() * 4 + 800)?;
            if !info.is_tensor() {
                return Err(refuse(InputProblem::NoTensor));
            }
            let shape = resolved(info, options.shapes.get(info.name)).map_err(refuse)?;
            let element = ElementType(info.element);
            let (dtype, quant, unsigned) = match element {
                ElementType::INT8 | ElementType::UINT8 => {
                    let quant = self.port_quant(info.name);
                    let quant = quant.ok_or_else(|| refuse(InputProblem::NoScale { found: element }))?;
                    (DType::I8, Some(quant), element == ElementType::UINT8)
                }
                element if element.is_float() => (DType::F32, None, false),
                found => return Err(refuse(InputProblem::Type { found })),
            };
            let axes = match self.is_image(info.name, shape.len()) {
                true => channels_last(shape.len()),
                false => (0..shape.len()).collect(),
            };
            let layout = Layout::ordered(&shape, &axes);
            let stored: Vec<usize> = axes.iter().map(|a| shape[*a]).collect();
            let name = self.tensor_names.unique(info.name);
            let tensor = Tensor { quant, ..Tensor::activation(name, sample(&stored), dtype) };
            let id = self.graph.add_tensor(tensor);
            self.graph.inputs.push(id);
            let twice = self.made.insert(info.name, Made::Value(Value { id, layout, dequantized: false }));
            if twice.is_some() {
                let source = NodeProblem::MadeTwice { name: info.name.into() };
                return Err(OnnxError::Node { index: 0, name: String::new(), op: "input".into(), source });
            }
            ports.push(Port { name: info.name.into(), shape, axes, unsigned });
        }
        Ok(ports)
    }

    /// Whether what the file gives this name flows, value by value, into a node that works on images
    /// or sequences. Then its channels lie last.
    fn is_image(&self, name: &'a str, rank: usize) -> bool {
        if !(3..=4).contains(&rank) {
            return false;
        }
        let (mut names, mut seen) = (vec![name], HashSet::new());
        while let Some(name) = names.pop() {
            if !seen.insert(name) {
                continue;
            }
            for reader in self.readers.get(name).into_iter().flatten() {
                let Some(node) = self.model.nodes.get(*reader) else { continue };
                match node.op {
                    "Conv"
                    | "ConvTranspose"
                    | "QLinearConv"
                    | "MaxPool"
                    | "AveragePool"
                    | "GlobalAveragePool"
                    | "GlobalMaxPool"
                    | "BatchNormalization"
                    | "Resize"
                    | "Upsample"
                    | "PRelu"
                    | "QLinearAveragePool"
                    | "QLinearGlobalAveragePool"
                        if node.inputs.first() == Some(&name) =>
                    {
                        return true;
                    }
                    "QuantizeLinear" | "DequantizeLinear" | "Identity" | "Dropout" | "Cast" | "Relu" | "LeakyRelu"
                    | "Elu" | "Clip" | "Sigmoid" | "Tanh" | "HardSigmoid" | "HardSwish" | "Gelu" | "Add" | "Sub"
                    | "Mul" | "Div" | "Pad" | "Concat" | "QLinearAdd" | "QLinearMul" | "QLinearConcat" => {
                        names.extend(node.outputs.iter().copied());
                    }
                    _ => (),
                }
            }
        }
        false
    }

    /// The scale of a quantised input, from the first node that says it.
    fn port_quant(&mut self, name: &'a str) -> Option<Quant> {
        let readers = self.readers.get(name).cloned().unwrap_or_default();
        for index in readers {
            let node = self.model.nodes.get(index)?;
            let call = Call { node, opset: self.model.opset };
            let place = match node.op {
                "DequantizeLinear"
                | "QLinearConv"
                | "QLinearAveragePool"
                | "QLinearGlobalAveragePool"
                | "QLinearLeakyRelu"
                | "QLinearSigmoid"
                    if node.inputs.first() == Some(&name) =>
                {
                    1
                }
                "QLinearAdd" | "QLinearMul" | "QLinearMatMul" => 1 + node.inputs.iter().position(|i| *i == name)?,
                _ => continue,
            };
            if let Ok(quant) = self.activation_quant(&call, place) {
                return Some(quant);
            }
        }
        None
    }

    /// An output of the graph: an image's channels stay last, all else lies as in the file.
    pub(super) fn output(
        &mut self,
        name: &'a str,
        element: i64,
        value: Value,
    ) -> Result<(TensorId, Port), NodeProblem> {
        self.label = name;
        let value = if value.dequantized { self.floats(&value, "output")? } else { value };
        let rank = value.layout.rank();
        let image = channels_last(rank);
        let axes = if rank == 4 && value.layout.moves(&image).is_none() { image } else { (0..rank).collect() };
        let shape: Vec<usize> = axes.iter().map(|a| value.shape()[*a]).collect();
        let unsigned = element == ElementType::UINT8.0;
        let port = Port { name: name.into(), shape: value.shape().to_vec(), axes: axes.clone(), unsigned };
        let id = self.arrange(&value, &axes, sample(&shape))?;
        Ok((id, port))
    }
}

/// The whole shape of an input: as asked, else as the file says, with 1 for an open batch axis.
fn resolved(info: &ValueInfo<'_>, asked: Option<&Vec<usize>>) -> Result<Vec<usize>, InputProblem> {
    let name = || info.name.to_owned();
    let Some(found) = &info.shape else {
        return asked.cloned().ok_or_else(|| InputProblem::NoShape { input: name() }).and_then(checked);
    };
    let text = || {
        let one = |d: &Dimension<'_>| match d {
            Dimension::Known(size) => size.to_string(),
            Dimension::Named("") => "?".into(),
            Dimension::Named(name) => (*name).to_owned(),
        };
        found.iter().map(one).collect::<Vec<_>>()
    };
    if let Some(asked) = asked {
        // The batch axis, wherever it is, may become 1; what else the file says must hold.
        let holds = |(axis, (asked, found)): (usize, (&usize, &Dimension<'_>))| match found {
            Dimension::Known(size) => axis == 0 || *asked == 1 || i64::try_from(*asked) == Ok(*size),
            Dimension::Named(_) => true,
        };
        if asked.len() != found.len() || !asked.iter().zip(found).enumerate().all(holds) {
            return Err(InputProblem::Asked { asked: asked.clone(), found: text() });
        }
        return checked(asked.clone());
    }
    let is_batch =
        |d: &Dimension<'_>| matches!(d, Dimension::Named(n) if *n == "N" || n.to_ascii_lowercase().contains("batch"));
    let batch = found.iter().position(is_batch).or(matches!(found.first(), Some(Dimension::Named(_))).then_some(0));
    let size = |(axis, dimension): (usize, &Dimension<'_>)| match dimension {
        Dimension::Known(size) => {
            usize::try_from(*size).ok().filter(|s| *s > 0).ok_or(InputProblem::Dimension { found: *size })
        }
        Dimension::Named(_) if batch == Some(axis) => Ok(1),
        Dimension::Named(named) => {
            Err(InputProblem::Unknown { input: name(), axis, dimension: (*named).into(), shape: text() })
        }
    };
    checked(found.iter().enumerate().map(size).collect::<Result<_, _>>()?)
}

fn checked(shape: Vec<usize>) -> Result<Vec<usize>, InputProblem> {
    if shape.contains(&0) {
        return Err(InputProblem::Dimension { found: 0 });
    }
    if shape.len() > MAX_RANK {
        return Err(InputProblem::Rank { found: shape.len(), most: MAX_RANK });
    }
    match elements(&shape) {
        Some(n) if n <= i32::MAX as usize => Ok(shape),
        _ => Err(InputProblem::TooLarge { shape }),
    }
}
