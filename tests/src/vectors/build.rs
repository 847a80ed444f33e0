//! Folders to cases, operation by operation.

use super::products::{self, layer_i16};
use super::{Folder, Vector};
use crate::cases::naive::{valid, window};
use crate::cases::{
    Case, Expected, Int8Layer, Values, add, average_pool, binary, conv2d, dense, depthwise_conv2d, elementwise, int4,
    int16, max_pool, movement, softmax,
};
use embernet_core::kernels::activation::Kind;
use embernet_core::kernels::add::{Sum, Term};
use embernet_core::kernels::binary::Kind as Function;
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::pool::Pool2d;

pub(super) const INPUT: &[&str] = &["input", "input_data", "input_tensor"];
pub(super) const WEIGHTS: &[&str] = &["weights", "weights_data", "input_weights"];
pub(super) const BIASES: &[&str] = &["biases", "biases_data", "input_bias"];
pub(super) const OUTPUT: &[&str] = &["output_ref", "output_ref_data", "output"];
const LEAST: &[&str] = &["OUT_ACTIVATION_MIN", "ACTIVATION_MIN"];
const GREATEST: &[&str] = &["OUT_ACTIVATION_MAX", "ACTIVATION_MAX"];

fn is_float(folder: &Folder) -> bool {
    folder.has_type("f4")
}

fn is_int4(folder: &Folder) -> bool {
    folder.name.contains("int4")
}

fn is_int16(folder: &Folder) -> bool {
    folder.has_type("i2")
}

/// [`layer`], without the nibble that fills up the last byte of int4 weights.
fn layer_of(folder: &Folder, weights: usize) -> Int8Layer {
    let mut layer = layer(folder);
    layer.w.truncate(weights);
    layer
}

fn name(folder: &Folder) -> String {
    folder.name.clone()
}

fn limits(folder: &Folder) -> (f32, f32) {
    (folder.real(LEAST), folder.real(GREATEST))
}

/// The quantised parameters; a dense layer has its one multiplier in `config.json`.
fn layer(folder: &Folder) -> Int8Layer {
    let one = |key| vec![folder.int(&[key])];
    let packed: Vec<i8> = folder.array(WEIGHTS);
    let w = if is_int4(folder) { packed.iter().flat_map(|byte| [byte << 4 >> 4, byte >> 4]).collect() } else { packed };
    assert!(folder.config.get("FILTER_OFFSET").is_none_or(|offset| offset == 0), "weights are symmetric");
    Int8Layer {
        w,
        b: folder.optional(BIASES).unwrap_or_default(),
        // Offsets are what is added: the negative zero point at the input, the zero point at the output.
        input_zero_point: -folder.int(&["INPUT_OFFSET"]),
        multiplier: folder.optional(&["output_mult", "output_multiplier"]).unwrap_or_else(|| one("OUTPUT_MULTIPLIER")),
        shift: folder.optional(&["output_shift"]).unwrap_or_else(|| one("OUTPUT_SHIFT")),
        zero_point: folder.int(&["OUTPUT_OFFSET"]),
        lo: folder.int(LEAST),
        hi: folder.int(GREATEST),
    }
}

pub fn dense(folder: &Folder) -> Case {
    let inputs = ["IN_CH", "INPUT_W", "INPUT_H"].map(|key| folder.count(&[key])).iter().product();
    let shape = Dense { inputs, outputs: folder.count(&["OUT_CH"]) };
    if is_int16(folder) {
        let (x, layer) = (folder.array(INPUT), layer_i16(folder));
        return int16::dense(name(folder), shape, x, layer, Some(folder.array(OUTPUT)));
    }
    if is_int4(folder) {
        let window = window(valid, [1, 1], [1, 1], [1, 1], [1, 1]);
        let shape = Conv2d { window, in_c: shape.inputs, out_c: shape.outputs, groups: 1 };
        return int4_conv(folder, shape);
    }
    if !is_float(folder) {
        return dense::i8(name(folder), shape, folder.array(INPUT), layer(folder), Some(folder.array(OUTPUT)));
    }
    let (x, w, b) = (folder.array(INPUT), folder.array(WEIGHTS), folder.optional(BIASES).unwrap_or_default());
    dense::f32(name(folder), shape, x, w, b, limits(folder), Some(folder.array(OUTPUT)))
}

pub fn conv2d(folder: &Folder) -> Case {
    let in_c = folder.count(&["IN_CH"]);
    // Channels of one filter; fewer than the input's in a grouped convolution.
    let filter_c = if folder.config.contains_key("FILTER_CH") { folder.count(&["FILTER_CH"]) } else { in_c };
    let (window, out_c) = (folder.window(""), folder.count(&["OUT_CH"]));
    let shape = Conv2d { window, in_c, out_c, groups: in_c / filter_c };
    if is_int16(folder) {
        let (x, layer) = (folder.array(INPUT), layer_i16(folder));
        return int16::conv2d(name(folder), shape, x, layer, Some(folder.array(OUTPUT)));
    }
    if is_int4(folder) {
        return int4_conv(folder, shape);
    }
    if !is_float(folder) {
        return conv2d::i8(name(folder), shape, folder.array(INPUT), layer(folder), Some(folder.array(OUTPUT)));
    }
    let (x, w, b) = (folder.array(INPUT), folder.array(WEIGHTS), folder.optional(BIASES).unwrap_or_default());
    conv2d::f32(name(folder), shape, x, w, b, limits(folder), Some(folder.array(OUTPUT)))
}

fn int4_conv(folder: &Folder, shape: Conv2d) -> Case {
    let (x, y) = (folder.array(INPUT), folder.array(OUTPUT));
    // Two filters at once, so that blocks begin within bytes and at their borders.
    int4::conv2d(name(folder), shape, 2, x, layer_of(folder, shape.weights()), Some(y))
}

pub fn transpose_conv(folder: &Folder) -> Case {
    products::transpose_conv(folder, layer, limits(folder))
}

pub fn depthwise_conv2d(folder: &Folder) -> Case {
    let count = |key| folder.count(&[key]);
    let (in_c, out_c, multiplier) = (count("IN_CH"), count("OUT_CH"), count("CH_MULT"));
    let shape = DepthwiseConv2d { window: folder.window(""), in_c, out_c, multiplier };
    if is_int16(folder) {
        let (x, layer) = (folder.array(INPUT), layer_i16(folder));
        return int16::depthwise_conv2d(name(folder), shape, x, layer, Some(folder.array(OUTPUT)));
    }
    if is_int4(folder) {
        let (x, y) = (folder.array(INPUT), folder.array(OUTPUT));
        return int4::depthwise_conv2d(name(folder), shape, x, layer_of(folder, shape.weights()), Some(y));
    }
    if !is_float(folder) {
        let (x, y) = (folder.array(INPUT), folder.array(OUTPUT));
        return depthwise_conv2d::i8(name(folder), shape, x, layer(folder), Some(y));
    }
    let (x, w, b) = (folder.array(INPUT), folder.array(WEIGHTS), folder.optional(BIASES).unwrap_or_default());
    depthwise_conv2d::f32(name(folder), shape, x, w, b, limits(folder), Some(folder.array(OUTPUT)))
}

pub fn pool(folder: &Folder, is_max: bool) -> Case {
    let shape = Pool2d { window: folder.window(""), channels: folder.count(&["INPUT_C"]) };
    let name = name(folder);
    if is_int16(folder) {
        let (x, y) = (folder.array(INPUT), folder.array(OUTPUT));
        return int16::pool(name, shape, is_max, x, (folder.int(LEAST), folder.int(GREATEST)), y);
    }
    if is_float(folder) {
        let make = if is_max { max_pool::f32 } else { average_pool::f32 };
        return make(name, shape, folder.array(INPUT), limits(folder), Some(folder.array(OUTPUT)));
    }
    let make = if is_max { max_pool::i8 } else { average_pool::i8 };
    let limits = (folder.int(LEAST), folder.int(GREATEST));
    make(name, shape, folder.array(INPUT), limits, Some(folder.array(OUTPUT)))
}

/// f32 only: the int8 ones among the data have int16 outputs.
pub fn softmax(folder: &Folder) -> Case {
    let len = folder.count(&["ROW_SIZE"]) as usize;
    softmax::f32(name(folder), len, folder.array(INPUT), Some(folder.array(OUTPUT)))
}

/// f32 only; see [`binary`].
pub fn add(folder: &Folder) -> Case {
    let (a, b) = (folder.array(&["input1"]), folder.array(&["input2"]));
    add::f32(name(folder), 1, a, b, limits(folder), Some(folder.array(OUTPUT)))
}

/// One input, several functions.
pub fn activations(folder: &Folder) -> Vec<Vector> {
    let name = |function: &str| format!("{}/{function}", folder.name);
    let case = |function: &str, kind, a| {
        let y = folder.array(&[&format!("output_ref_{function}")]);
        Vector::Case(elementwise::activation(name(function), 1, kind, (a, 0.0), folder.array(INPUT), Some(y)))
    };
    vec![
        case("hardswish", Kind::HardSwish, 0.0),
        case("leaky_relu", Kind::LeakyRelu, folder.real(&["LEAKY_RELU_PARAM"])),
        case("sigmoid", Kind::Sigmoid, 0.0),
        case("tanh", Kind::Tanh, 0.0),
    ]
}

/// Products, minima and maxima, and the int16 sum.
pub fn binary(folder: &Folder) -> Case {
    let kind = match () {
        () if folder.name.starts_with("add") => Function::Add,
        () if folder.name.starts_with("mul") => Function::Mul,
        () if folder.name.starts_with("min") => Function::Min,
        () => Function::Max,
    };
    let shape = |number: u32| {
        let axis = |name: &str| folder.count(&[&format!("{name}_{number}")]);
        ["BATCH", "HEIGHT", "WIDTH", "CHANNEL"].map(axis)
    };
    let shapes = match kind {
        Function::Min | Function::Max => [shape(1), shape(2)],
        _ => [[1, 1, 1, folder.count(&["DST_SIZE"])]; 2],
    };
    const INPUTS: [&[&str]; 2] = [&["input1", "input_tensor_1"], &["input2", "input_tensor_2"]];
    if is_float(folder) {
        let limited = folder.config.contains_key(LEAST[0]);
        let limits = if limited { limits(folder) } else { (f32::NEG_INFINITY, f32::INFINITY) };
        let y = Some(folder.array(OUTPUT));
        return binary::f32(name(folder), 1, kind, shapes, INPUTS.map(|names| folder.array(names)), limits, y);
    }
    let int = |key: &str| folder.config.get(key).map_or(0, |_| folder.int(&[key]));
    let term = |number: u32| Term {
        zero_point: -int(&format!("INPUT{number}_OFFSET")),
        multiplier: int(&format!("INPUT{number}_MULT")),
        shift: int(&format!("INPUT{number}_SHIFT")),
    };
    let numbers = Sum {
        a: term(1),
        b: term(2),
        left_shift: int("LEFT_SHIFT"),
        multiplier: int("OUTPUT_MULT"),
        shift: int("OUTPUT_SHIFT"),
        zero_point: int("OUTPUT_OFFSET"),
        lo: folder.int(LEAST),
        hi: folder.int(GREATEST),
    };
    let (x, y) = if folder.has_type("i2") {
        let x = INPUTS.map(|names| Values::I16(folder.array(names)));
        (x, Expected::Exact16(folder.array(OUTPUT)))
    } else {
        let x = INPUTS.map(|names| Values::I8(folder.array(names)));
        (x, Expected::Exact(folder.array(OUTPUT)))
    };
    binary::integer(name(folder), 1, kind, shapes, x, numbers, Some(y))
}

/// f32 only: the shapes of the int8 ones are not among the data.
pub fn transpose(folder: &Folder) -> Case {
    let rank = folder.count(&["NUM_DIMS"]) as usize;
    let shape = ["INPUT_N", "INPUT_H", "INPUT_W", "INPUT_C"].map(|key| folder.count(&[key]));
    let perm = ["PERM_0", "PERM_1", "PERM_2", "PERM_3"].map(|key| folder.count(&[key]) as usize);
    let (x, y) = (Values::F32(folder.array(INPUT)), Values::F32(folder.array(OUTPUT)));
    movement::transpose(name(folder), 1, &shape[..rank], &perm[..rank], x, Some(y))
}

/// int8 only.
pub fn pad(folder: &Folder) -> Case {
    let axes = |prefix: &str| ["N", "H", "W", "C"].map(|axis| folder.count(&[&format!("{prefix}_{axis}")]));
    let (shape, before, after) = (axes("INPUT"), axes("PRE_PAD"), axes("POST_PAD"));
    let (x, y) = (Values::I8(folder.array(INPUT)), Values::I8(folder.array(OUTPUT)));
    movement::pad(name(folder), 1, &shape, (&before, &after), folder.int(&["PAD_VALUE"]) as f32, x, Some(y))
}

/// f32 only, along channels.
pub fn concat(folder: &Folder) -> Case {
    let rows = ["INPUT_N", "INPUT_H", "INPUT_W"].map(|key| folder.count(&[key])).iter().product();
    let widths = ["LHS_C", "RHS_C"].map(|key| folder.count(&[key]));
    let x = ["lhs_input", "rhs_input"].map(|input| Values::F32(folder.array(&[input])));
    movement::concat(name(folder), 1, rows, widths, x, Some(Values::F32(folder.array(OUTPUT))))
}
