//! The messages of an ONNX file that matter here, with names and tensors still in the file's bytes.
//!
//! Field numbers are those of onnx.proto3 (IR versions 3 to 13).

use super::error::OnnxError;
use super::wire::{Field, Message, WireError, integers};
use crate::import::budget::Budget;

/// Operator sets whose meaning is known here.
pub const OPSETS: core::ops::RangeInclusive<i64> = 6..=25;

/// Most axes of a tensor.
pub const MAX_RANK: usize = 8;

/// A model with its one graph.
#[derive(Debug)]
pub struct Model<'a> {
    pub name: &'a str,
    /// Version of the default operator set.
    pub opset: i64,
    pub nodes: Vec<NodeDef<'a>>,
    pub initializers: Vec<TensorDef<'a>>,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
}

/// One operator with its operands' names; an empty name is an operand left out.
#[derive(Debug)]
pub struct NodeDef<'a> {
    pub op: &'a str,
    /// Empty for ONNX's own operators.
    pub domain: &'a str,
    pub name: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

/// A named option of an operator.
#[derive(Debug)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub value: AttributeValue<'a>,
}

#[derive(Debug)]
pub enum AttributeValue<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(TensorDef<'a>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a [u8]>),
    /// Graphs, sparse tensors, types: none of the operators that we know has one.
    Other,
}

/// A tensor with values, not decoded.
#[derive(Debug, Clone, Copy)]
pub struct TensorDef<'a> {
    pub name: &'a str,
    pub message: Message<'a>,
}

/// A graph input or output.
#[derive(Debug)]
pub struct ValueInfo<'a> {
    pub name: &'a str,
    /// Number of the element type; 0 if the file does not say.
    pub element: i64,
    /// `None` if the file gives no shape.
    pub shape: Option<Vec<Dimension<'a>>>,
}

/// One size of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension<'a> {
    Known(i64),
    /// Not known before the run; the name may be empty.
    Named(&'a str),
}

impl<'a> Model<'a> {
    pub fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self, OnnxError> {
        let mut model = Self {
            name: "",
            opset: 0,
            nodes: Vec::new(),
            initializers: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let (mut ir, mut graph) = (None, None);
        for field in Message(bytes).fields() {
            match field.map_err(|source| OnnxError::NotOnnx { source })? {
                (1, value) => ir = Some(value.integer(1)?),
                (7, value) => graph = Some(value.message(7)?),
                (8, value) => model.opset_import(value.message(8)?)?,
                (25, value) => {
                    let name = text_field(value.message(25)?, 1)?;
                    return Err(OnnxError::Functions { name: name.into() });
                }
                _ => (),
            }
        }
        let (Some(ir), Some(graph)) = (ir, graph) else { return Err(OnnxError::NoGraph) };
        if ir < 3 {
            return Err(OnnxError::IrVersion { found: ir });
        }
        if !OPSETS.contains(&model.opset) {
            return Err(OnnxError::Opset { found: model.opset });
        }
        model.graph(graph, budget)?;
        Ok(model)
    }

    fn opset_import(&mut self, message: Message<'a>) -> Result<(), OnnxError> {
        let (mut domain, mut version) = ("", 0);
        for field in message.fields() {
            match field? {
                (1, value) => domain = value.text(1)?,
                (2, value) => version = value.integer(2)?,
                _ => (),
            }
        }
        if matches!(domain, "" | "ai.onnx") {
            self.opset = version;
        }
        Ok(())
    }

    fn graph(&mut self, message: Message<'a>, budget: &mut Budget) -> Result<(), OnnxError> {
        for field in message.fields() {
            match field? {
                (1, value) => {
                    budget.take(2 * size_of::<NodeDef<'_>>())?;
                    self.nodes.push(NodeDef::parse(value.message(1)?, budget)?);
                }
                (2, value) => self.name = value.text(2)?,
                (5, value) => {
                    budget.take(2 * size_of::<TensorDef<'_>>())?;
                    self.initializers.push(TensorDef::parse(value.message(5)?)?);
                }
                (11, value) => self.inputs.push(ValueInfo::parse(value.message(11)?, budget)?),
                (12, value) => self.outputs.push(ValueInfo::parse(value.message(12)?, budget)?),
                (15, _) => return Err(OnnxError::Sparse),
                _ => (),
            }
        }
        Ok(())
    }
}

impl<'a> NodeDef<'a> {
    fn parse(message: Message<'a>, budget: &mut Budget) -> Result<Self, OnnxError> {
        let (inputs, outputs, attributes) = (Vec::new(), Vec::new(), Vec::new());
        let mut node = Self { op: "", domain: "", name: "", inputs, outputs, attributes };
        for field in message.fields() {
            match field? {
                (1, value) => {
                    budget.take(2 * size_of::<&str>())?;
                    node.inputs.push(value.text(1)?);
                }
                (2, value) => {
                    budget.take(2 * size_of::<&str>())?;
                    node.outputs.push(value.text(2)?);
                }
                (3, value) => node.name = value.text(3)?,
                (4, value) => node.op = value.text(4)?,
                (5, value) => {
                    budget.take(2 * size_of::<Attribute<'_>>())?;
                    node.attributes.push(Attribute::parse(value.message(5)?, budget)?);
                }
                (7, value) => node.domain = value.text(7)?,
                _ => (),
            }
        }
        if node.domain == "ai.onnx" {
            node.domain = "";
        }
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn parse(message: Message<'a>, budget: &mut Budget) -> Result<Self, OnnxError> {
        let (mut name, mut kind, mut value) = ("", None, None);
        let (mut floats, mut ints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for field in message.fields() {
            match field? {
                (1, field) => name = field.text(1)?,
                (2, field) => value = Some(AttributeValue::Float(field.float(2)?)),
                (3, field) => value = Some(AttributeValue::Int(field.integer(3)?)),
                (4, field) => value = Some(AttributeValue::Text(field.bytes(4)?)),
                (5, field) => value = Some(AttributeValue::Tensor(TensorDef::parse(field.message(5)?)?)),
                (7, field) => {
                    let mut single = [0; 8];
                    let bytes = super::wire::fixed(field, 7, &mut single)?;
                    budget.take(2 * bytes.len())?;
                    floats.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
                }
                (8, field) => integers_into(field, 8, &mut ints, budget)?,
                (9, field) => {
                    budget.take(2 * size_of::<&[u8]>())?;
                    texts.push(field.bytes(9)?);
                }
                (6 | 10 | 11 | 14 | 15 | 22 | 23, _) => value = Some(AttributeValue::Other),
                (20, field) => kind = Some(field.integer(20)?),
                _ => (),
            }
        }
        // A list without entries leaves no trace but the type; a scalar that is 0 may be left out too.
        let value = match (kind, value) {
            (Some(6), _) => AttributeValue::Floats(floats),
            (Some(7), _) => AttributeValue::Ints(ints),
            (Some(8), _) => AttributeValue::Texts(texts),
            (_, Some(value)) => value,
            (Some(1), None) => AttributeValue::Float(0.0),
            (Some(2), None) => AttributeValue::Int(0),
            (Some(3), None) => AttributeValue::Text(&[]),
            _ if !floats.is_empty() => AttributeValue::Floats(floats),
            _ if !ints.is_empty() => AttributeValue::Ints(ints),
            _ if !texts.is_empty() => AttributeValue::Texts(texts),
            _ => AttributeValue::Other,
        };
        Ok(Self { name, value })
    }
}

/// Appends the integers of one part of a repeated field.
pub fn integers_into(part: Field<'_>, field: u32, into: &mut Vec<i64>, budget: &mut Budget) -> Result<(), OnnxError> {
    let mut enough = Ok(());
    integers(part, field, |value| {
        enough = budget.take(2 * size_of::<i64>());
        into.push(value);
        enough.is_ok()
    })?;
    Ok(enough?)
}

impl<'a> TensorDef<'a> {
    pub fn parse(message: Message<'a>) -> Result<Self, WireError> {
        Ok(Self { name: text_field(message, 8)?, message })
    }
}

/// The last text with this number, or an empty one.
fn text_field(message: Message<'_>, number: u32) -> Result<&str, WireError> {
    let mut text = "";
    for field in message.fields() {
        let (found, value) = field?;
        if found == number {
            text = value.text(number)?;
        }
    }
    Ok(text)
}

impl<'a> ValueInfo<'a> {
    /// Whether it is a tensor, not a sequence, a map or something optional.
    pub fn is_tensor(&self) -> bool {
        self.element != 0 || self.shape.is_some()
    }

    fn parse(message: Message<'a>, budget: &mut Budget) -> Result<Self, OnnxError> {
        budget.take(2 * size_of::<Self>())?;
        let mut info = Self { name: text_field(message, 1)?, element: 0, shape: None };
        for field in message.fields() {
            let (2, ty) = field? else { continue };
            for field in ty.message(2)?.fields() {
                let (1, tensor) = field? else { continue };
                for field in tensor.message(1)?.fields() {
                    match field? {
                        (1, value) => info.element = value.integer(1)?,
                        (2, value) => info.shape = Some(shape(value.message(2)?, budget)?),
                        _ => (),
                    }
                }
            }
        }
        Ok(info)
    }
}

fn shape<'a>(message: Message<'a>, budget: &mut Budget) -> Result<Vec<Dimension<'a>>, OnnxError> {
    let mut dimensions = Vec::new();
    for field in message.fields() {
        let (1, dimension) = field? else { continue };
        let mut found = Dimension::Named("");
        for field in dimension.message(1)?.fields() {
            match field? {
                (1, value) => found = Dimension::Known(value.integer(1)?),
                (2, value) => found = Dimension::Named(value.text(2)?),
                _ => (),
            }
        }
        budget.take(2 * size_of::<Dimension<'_>>())?;
        dimensions.push(found);
    }
    Ok(dimensions)
}
