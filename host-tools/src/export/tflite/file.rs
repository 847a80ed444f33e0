//! A TFLite file as plain lists, ready to be written.

use super::flat::{self, Table, Value};
use crate::import::tflite::schema::{IDENTIFIER, VERSION, field as f};

/// One model of one subgraph.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct File {
    pub name: String,
    pub tensors: Vec<FileTensor>,
    pub operators: Vec<FileOperator>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileTensor {
    pub name: String,
    /// With the batch axis.
    pub shape: Vec<i32>,
    /// The element type's number.
    pub ty: u8,
    /// Constants only.
    pub data: Option<Vec<u8>>,
    /// Empty: not quantised.
    pub scales: Vec<f32>,
    pub zero_points: Vec<i64>,
    /// The axis that several scales run along.
    pub axis: i32,
    /// Whether it keeps its value between runs.
    pub variable: bool,
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileOperator {
    pub code: i32,
    pub version: i32,
    /// Tensor numbers; -1 for one that is left out.
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    /// The options' number in the union, and their table.
    pub options: Option<(u8, Table)>,
    /// Tensors that only say how something within is quantised.
    pub intermediates: Vec<i32>,
}

/// Weights lie at a multiple of this, so that they can be used where they are.
const ALIGN: usize = 16;

/// Codes up to here fit into the old one-byte field.
const PLACEHOLDER: i32 = 127;

impl File {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut codes: Vec<(i32, i32)> = self.operators.iter().map(|o| (o.code, o.version)).collect();
        codes.sort_unstable();
        codes.dedup();
        let code_tables = codes.iter().map(|(code, version)| {
            Table::new()
                .with(f::CODE_DEPRECATED, Value::U8((*code).min(PLACEHOLDER) as u8))
                .with(f::CODE_VERSION, Value::I32(*version))
                .with(f::CODE_BUILTIN, Value::I32(*code))
        });
        // Buffer 0 is the empty one of all activations.
        let mut buffers = vec![Table::new()];
        let tensors = self.tensors.iter().map(|t| tensor(t, &mut buffers)).collect();
        let operators = self.operators.iter().map(|o| {
            let code = codes.binary_search(&(o.code, o.version)).unwrap_or_default();
            operator(o, code as u32)
        });
        let graph = Table::new()
            .with(f::GRAPH_TENSORS, Value::Tables(tensors))
            .with(f::GRAPH_INPUTS, Value::I32s(self.inputs.clone()))
            .with(f::GRAPH_OUTPUTS, Value::I32s(self.outputs.clone()))
            .with(f::GRAPH_OPERATORS, Value::Tables(operators.collect()))
            .with(f::GRAPH_NAME, Value::Text(self.name.clone()));
        let root = Table::new()
            .with(f::MODEL_VERSION, Value::U32(VERSION))
            .with(f::MODEL_OPERATOR_CODES, Value::Tables(code_tables.collect()))
            .with(f::MODEL_SUBGRAPHS, Value::Tables(vec![graph]))
            .with(f::MODEL_DESCRIPTION, Value::Text("written by embernet".into()))
            .with(f::MODEL_BUFFERS, Value::Tables(buffers));
        flat::to_bytes(&root, IDENTIFIER)
    }
}

fn tensor(tensor: &FileTensor, buffers: &mut Vec<Table>) -> Table {
    let mut table = Table::new()
        .with(f::TENSOR_SHAPE, Value::I32s(tensor.shape.clone()))
        .with(f::TENSOR_TYPE, Value::U8(tensor.ty))
        .with(f::TENSOR_NAME, Value::Text(tensor.name.clone()));
    if let Some(data) = &tensor.data {
        table = table.with(f::TENSOR_BUFFER, Value::U32(buffers.len() as u32));
        buffers.push(Table::new().with(f::BUFFER_DATA, Value::Bytes { data: data.clone(), align: ALIGN }));
    }
    if tensor.variable {
        table = table.with(f::TENSOR_IS_VARIABLE, Value::U8(1));
    }
    if !tensor.scales.is_empty() {
        let quant = Table::new()
            .with(f::QUANT_SCALE, Value::F32s(tensor.scales.clone()))
            .with(f::QUANT_ZERO_POINT, Value::I64s(tensor.zero_points.clone()))
            .with(f::QUANT_DIMENSION, Value::I32(tensor.axis));
        table = table.with(f::TENSOR_QUANTIZATION, Value::Table(quant));
    }
    table
}

fn operator(operator: &FileOperator, code: u32) -> Table {
    let mut table = Table::new()
        .with(f::OPERATOR_CODE, Value::U32(code))
        .with(f::OPERATOR_INPUTS, Value::I32s(operator.inputs.clone()))
        .with(f::OPERATOR_OUTPUTS, Value::I32s(operator.outputs.clone()));
    if let Some((number, options)) = &operator.options {
        table = table
            .with(f::OPERATOR_OPTIONS_TYPE, Value::U8(*number))
            .with(f::OPERATOR_OPTIONS, Value::Table(options.clone()));
    }
    if !operator.intermediates.is_empty() {
        table = table.with(f::OPERATOR_INTERMEDIATES, Value::I32s(operator.intermediates.clone()));
    }
    table
}
