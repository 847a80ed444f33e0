//! Models made here, so that the tests run without any file, and the shared ones where they are.

mod arithmetic;
mod damage;
mod fold;
mod models;
pub(crate) use models::shared_models;
mod traps;

use super::schema::op;
use super::{Imported, from_bytes};
use crate::export::tflite::{File, FileOperator, FileTensor, Table, Value};

const F32: u8 = 0;
const F16: u8 = 1;
const I32: u8 = 2;
const I64: u8 = 4;
const I16: u8 = 7;
const I8: u8 = 9;
const I4: u8 = 17;

/// A tensor without values.
fn activation(name: &str, shape: &[i32], ty: u8) -> FileTensor {
    let (scales, zero_points) = match ty {
        I8 => (vec![0.5], vec![-3]),
        I16 => (vec![0.001], vec![0]),
        _ => (vec![], vec![]),
    };
    FileTensor { name: name.into(), shape: shape.into(), ty, scales, zero_points, ..FileTensor::default() }
}

fn constant(name: &str, shape: &[i32], ty: u8, data: Vec<u8>) -> FileTensor {
    FileTensor { data: Some(data), ..FileTensor { scales: vec![], zero_points: vec![], ..activation(name, shape, ty) } }
}

fn floats(name: &str, shape: &[i32], values: &[f32]) -> FileTensor {
    constant(name, shape, F32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn ints(name: &str, shape: &[i32], values: &[i32]) -> FileTensor {
    constant(name, shape, I32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Weights 1, 2, 3, ... with these scales along `axis`.
fn kernel(name: &str, shape: &[i32], scales: &[f32], axis: i32) -> FileTensor {
    let count: i32 = shape.iter().product();
    let mut tensor = constant(name, shape, I8, (0..count).map(|i| i as u8).collect());
    tensor.scales = scales.into();
    tensor.zero_points = vec![0; scales.len()];
    tensor.axis = axis;
    tensor
}

fn operator(code: i32, inputs: &[i32], output: i32, options: Option<Table>) -> FileOperator {
    let options = options.map(|o| (1, o));
    FileOperator { code, version: 1, inputs: inputs.into(), outputs: vec![output], options, ..FileOperator::default() }
}

/// Options of CONV_2D: padding, stride, activation.
fn conv_options(padding: u8, stride: i32, activation: u8) -> Table {
    Table::new()
        .with(0, Value::U8(padding))
        .with(1, Value::I32(stride))
        .with(2, Value::I32(stride))
        .with(3, Value::U8(activation))
}

/// Options of DEPTHWISE_CONV_2D.
fn depthwise_options(padding: u8, stride: i32, activation: u8) -> Table {
    Table::new()
        .with(0, Value::U8(padding))
        .with(1, Value::I32(stride))
        .with(2, Value::I32(stride))
        .with(4, Value::U8(activation))
}

/// Options of the pools.
fn pool_options(padding: u8, stride: i32, size: i32, activation: u8) -> Table {
    Table::new()
        .with(0, Value::U8(padding))
        .with(1, Value::I32(stride))
        .with(2, Value::I32(stride))
        .with(3, Value::I32(size))
        .with(4, Value::I32(size))
        .with(5, Value::U8(activation))
}

/// conv - depthwise - pool - reshape - dense - softmax in int8.
fn small_cnn() -> File {
    let mut output = activation("probabilities", &[1, 3], I8);
    (output.scales, output.zero_points) = (vec![1.0 / 256.0], vec![-128]);
    File {
        name: "small".into(),
        tensors: vec![
            activation("image", &[1, 6, 6, 1], I8),
            kernel("conv/w", &[2, 3, 3, 1], &[0.1, 0.2], 0),
            ints("conv/b", &[2], &[5, -5]),
            activation("conv", &[1, 6, 6, 2], I8),
            kernel("dw/w", &[1, 3, 3, 4], &[0.1, 0.2, 0.3, 0.4], 3),
            ints("dw/b", &[4], &[1, 2, 3, 4]),
            activation("dw", &[1, 4, 4, 4], I8),
            activation("pool", &[1, 2, 2, 4], I8),
            ints("shape", &[2], &[1, -1]),
            activation("flat", &[1, 16], I8),
            kernel("fc/w", &[3, 16], &[0.05], 0),
            ints("fc/b", &[3], &[7, 8, 9]),
            activation("fc", &[1, 3], I8),
            output,
        ],
        operators: vec![
            operator(op::CONV_2D, &[0, 1, 2], 3, Some(conv_options(0, 1, 1))),
            operator(op::DEPTHWISE_CONV_2D, &[3, 4, 5], 6, Some(depthwise_options(1, 1, 3))),
            operator(op::AVERAGE_POOL_2D, &[6], 7, Some(pool_options(1, 2, 2, 0))),
            operator(op::RESHAPE, &[7, 8], 9, None),
            operator(op::FULLY_CONNECTED, &[9, 10, 11], 12, Some(Table::new().with(0, Value::U8(0)))),
            operator(op::SOFTMAX, &[12], 13, Some(Table::new().with(0, Value::F32(1.0)))),
        ],
        inputs: vec![0],
        outputs: vec![13],
    }
}

fn import(file: &File) -> Imported {
    from_bytes(&file.to_bytes()).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

/// The error's whole chain in one line.
fn refusal(file: &File) -> String {
    match from_bytes(&file.to_bytes()) {
        Ok(_) => panic!("accepted"),
        Err(error) => chain(&error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        if !text.ends_with(&error.to_string()) {
            text += &format!(": {error}");
        }
        source = error.source();
    }
    text
}
