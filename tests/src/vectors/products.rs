//! Folders of transposed convolutions, of products of activations, and of layers with int16 activations.

use super::Folder;
use super::build::{INPUT, OUTPUT, WEIGHTS};
use crate::cases::{Case, Expected, Int8Layer, Values, int16, matmul, transpose_conv2d};
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::matmul::MatMul;
use embernet_core::kernels::window::{Axis, Window2d};

/// A transposed convolution, described by the convolution that goes the other way.
pub fn transpose_conv(folder: &Folder, layer: impl Fn(&Folder) -> Int8Layer, limits: (f32, f32)) -> Case {
    let window = folder.window("");
    let turned = |axis: Axis| Axis { input: axis.output, output: axis.input, ..axis };
    let window = Window2d { height: turned(window.height), width: turned(window.width) };
    let conv = Conv2d { window, in_c: folder.count(&["OUT_CH"]), out_c: folder.count(&["IN_CH"]), groups: 1 };
    let name = &folder.name;
    if !folder.has_type("f4") {
        return transpose_conv2d::i8(name, conv, folder.array(INPUT), layer(folder), Some(folder.array(OUTPUT)));
    }
    // The data has its outputs first.
    let w = transpose_conv2d::inputs_first(&conv, &folder.array::<f32>(WEIGHTS));
    let (x, b) = (folder.array(INPUT), folder.array(&["biases"]));
    transpose_conv2d::f32(name, conv, x, w, b, limits, Some(folder.array(OUTPUT)))
}

/// A product of two activations.
pub fn matmul(folder: &Folder) -> Case {
    let count = |key: &str| folder.count(&[key]);
    let (transpose_a, transpose_b) = (count("ADJ_X"), count("ADJ_Y"));
    let shape = MatMul {
        batch: [count("OUTPUT_BATCH"), count("OUTPUT_HEIGHT")],
        a_batch: [count("LHS_BATCH"), count("LHS_HEIGHT")],
        b_batch: [count("RHS_BATCH"), count("RHS_HEIGHT")],
        rows: count("OUTPUT_ROWS"),
        inner: count(if transpose_a == 0 { "LHS_COLS" } else { "LHS_ROWS" }),
        columns: count("OUTPUT_COLS"),
        transpose_a,
        transpose_b,
    };
    let (name, a, b) = (&folder.name, ["lhs_input_tensor"], ["rhs_input_tensor"]);
    if folder.has_type("f4") {
        let limits = (folder.real(&["ACTIVATION_MIN"]), folder.real(&["ACTIVATION_MAX"]));
        // This generator keeps the tensors as they are multiplied, and transposed ones beside them.
        let a = if transpose_a == 1 { ["lhs_transposed_tensor"] } else { a };
        let (shape, y) = (MatMul { transpose_b: 0, ..shape }, folder.array(&["output"]));
        return matmul::f32(name, shape, folder.array(&a), folder.array(&b), limits, Some(y));
    }
    let int = |key: &str| folder.int(&[key]);
    let scaling = matmul::Scaling {
        zeros: [-int("LHS_OFFSET"), -int("RHS_OFFSET")],
        multiplier: int("OUTPUT_MULTIPLIER"),
        shift: int("OUTPUT_SHIFT"),
        zero_point: int("OUTPUT_OFFSET"),
        limits: (int("ACTIVATION_MIN"), int("ACTIVATION_MAX")),
    };
    if folder.has_type("i2") {
        let (a, b) = (Values::I16(folder.array(&a)), Values::I16(folder.array(&b)));
        return matmul::int(name, shape, a, b, scaling, Some(Expected::Exact16(folder.array(&["output"]))));
    }
    let (a, b) = (Values::I8(folder.array(&a)), Values::I8(folder.array(&b)));
    matmul::int(name, shape, a, b, scaling, Some(Expected::Exact(folder.array(&["output"]))))
}

/// The parameters of a layer with int16 activations.
pub fn layer_i16(folder: &Folder) -> int16::Layer {
    const BIASES: &[&str] = &["biases", "bias"];
    // Sums of 32 bits go with biases of 32 bits; where there is no bias, the name tells.
    let sum_bits = if folder.name.contains("xint32") { 32 } else { 64 };
    let wide = |b: Vec<i32>| b.into_iter().map(i64::from).collect();
    let b = if sum_bits == 32 { folder.optional(BIASES).map(wide) } else { folder.optional(BIASES) };
    let one = |key| vec![folder.int(&[key])];
    int16::Layer {
        w: folder.array(WEIGHTS),
        b: b.unwrap_or_default(),
        multiplier: folder.optional(&["output_mult", "output_multiplier"]).unwrap_or_else(|| one("OUTPUT_MULTIPLIER")),
        shift: folder.optional(&["output_shift"]).unwrap_or_else(|| one("OUTPUT_SHIFT")),
        limits: (folder.int(&["OUT_ACTIVATION_MIN"]), folder.int(&["OUT_ACTIVATION_MAX"])),
        sum_bits,
    }
}
