//! `ds_cnn_s`: ARM's int8 keyword spotter as a chain of steps in one image.

use super::Folder;
use crate::cases::{Case, Expected, Int8Layer, Steps, Values};
use embernet_core::arch::layout::packing;
use embernet_core::kernels::conv2d::{Conv2d, scratch_bytes_i8};
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::pool::Pool2d;
use embernet_core::kernels::softmax::ScalingI8;
use embernet_core::kernels::{average_pool, conv2d, dense, depthwise_conv2d, softmax};

/// Layers 1 to 9: convolutions, every second one depthwise; 10: average pool; 12: dense; 13: softmax.
#[derive(Debug, Clone)]
enum Layer {
    Conv2d(Conv2d, Int8Layer),
    DepthwiseConv2d(DepthwiseConv2d, Int8Layer),
    AveragePool(Pool2d, (i32, i32)),
    Dense(Dense, Int8Layer),
    Softmax(u32, ScalingI8),
}

impl Layer {
    fn write(&self, steps: &mut Steps) {
        match self {
            Self::Conv2d(shape, layer) => {
                let shape = *shape;
                let pack = |isa, layer: &packing::Layer<'_>| packing::conv2d(isa, &shape, layer);
                layer.step(steps, shape.out_c, false, scratch_bytes_i8(&shape), pack, move |o| conv2d::ForwardI8 {
                    shape,
                    x: o.x,
                    w: o.w,
                    b: o.b,
                    y: o.y,
                    scratch: o.scratch,
                    scratch_bytes: o.scratch_bytes,
                    pad_value: o.pad_value,
                    requantize: o.requantize,
                    order: o.order,
                });
            }
            Self::DepthwiseConv2d(shape, layer) => {
                let shape = *shape;
                let pack = |isa, layer: &packing::Layer<'_>| packing::depthwise(isa, &shape, layer);
                layer.step(steps, shape.out_c, true, 0, pack, move |o| depthwise_conv2d::ForwardI8 {
                    shape,
                    x: o.x,
                    w: o.w,
                    b: o.b,
                    y: o.y,
                    scratch: o.scratch,
                    scratch_bytes: o.scratch_bytes,
                    pad_value: o.pad_value,
                    requantize: o.requantize,
                    order: o.order,
                });
            }
            Self::AveragePool(shape, (lo, hi)) => {
                let (shape, lo, hi) = (*shape, *lo, *hi);
                steps.step(&[], 0, move |at| average_pool::ForwardI8 { shape, x: at.x[0], y: at.y, lo, hi });
            }
            Self::Dense(shape, layer) => {
                let shape = *shape;
                let pack = |isa, layer: &packing::Layer<'_>| packing::dense(isa, &shape, layer);
                layer.step(steps, shape.outputs, false, 0, pack, move |o| dense::ForwardI8 {
                    shape,
                    x: o.x,
                    w: o.w,
                    b: o.b,
                    y: o.y,
                    requantize: o.requantize,
                    order: o.order,
                });
            }
            Self::Softmax(len, scaling) => {
                let (len, scaling) = (*len, *scaling);
                steps.step(&[], 0, move |at| softmax::ForwardI8 { rows: 1, len, x: at.x[0], y: at.y, scaling });
            }
        }
    }
}

/// The whole network.
pub fn ds_cnn_s(folder: &Folder) -> Case {
    let mut layers: Vec<Layer> = (1..=9).map(|number| convolution(folder, number)).collect();
    let prefix = "AVERAGE_POOL_2D_10_";
    let channels = folder.count(&[&format!("{prefix}IN_CH")]);
    let pool = Pool2d { window: folder.window(prefix), channels };
    layers.push(Layer::AveragePool(pool, (-128, 127)));
    // The header calls the inputs of the dense layer OUT_CH.
    let (prefix, file) = ("FULLY_CONNECTED_12", "layer_12_fully_connected");
    let int = |key: &str| folder.int(&[&format!("{prefix}_{key}")]);
    let shape = Dense { inputs: int("OUT_CH") as u32, outputs: int("IN_CH") as u32 };
    let tables = (vec![int("OUTPUT_MULTIPLIER")], vec![int("OUTPUT_SHIFT")]);
    layers.push(Layer::Dense(shape, parameters(folder, prefix, file, tables)));
    let int = |key: &str| folder.int(&[&format!("SOFTMAX_13_{key}")]);
    let scaling = ScalingI8 { multiplier: int("MULT"), left_shift: int("SHIFT"), diff_min: int("DIFF_MIN") };
    layers.push(Layer::Softmax(int("ROW_SIZE") as u32, scaling));

    let x = Values::I8(folder.array(&["input"]));
    let expected = Expected::Exact(folder.array(&["output_ref"]));
    Case::new(folder.name.clone(), 1, vec![x], expected, move |steps| {
        for (number, layer) in layers.iter().enumerate() {
            steps.link(number + 1 == layers.len());
            layer.write(steps);
        }
    })
}

fn convolution(folder: &Folder, number: u32) -> Layer {
    let is_depthwise = number.is_multiple_of(2);
    let kind = if is_depthwise { "depthwise_conv_2d" } else { "conv_2d" };
    let (prefix, file) = (format!("{}_{number}", kind.to_uppercase()), format!("layer_{number}_{kind}"));
    let table = |role| folder.array(&[&format!("{file}_output_{role}")]);
    let layer = parameters(folder, &prefix, &file, (table("mult"), table("shift")));
    let count = |key: &str| folder.count(&[&format!("{prefix}_{key}")]);
    let (window, in_c, out_c) = (folder.window(&format!("{prefix}_")), count("IN_CH"), count("OUT_CH"));
    if is_depthwise {
        Layer::DepthwiseConv2d(DepthwiseConv2d { window, in_c, out_c, multiplier: 1 }, layer)
    } else {
        Layer::Conv2d(Conv2d { window, in_c, out_c, groups: 1 }, layer)
    }
}

fn parameters(folder: &Folder, prefix: &str, file: &str, (multiplier, shift): (Vec<i32>, Vec<i32>)) -> Int8Layer {
    let int = |key: &str| folder.int(&[&format!("{prefix}_{key}")]);
    Int8Layer {
        w: folder.array(&[&format!("{file}_weights")]),
        b: folder.array(&[&format!("{file}_bias")]),
        input_zero_point: -int("INPUT_OFFSET"),
        multiplier,
        shift,
        zero_point: int("OUTPUT_OFFSET"),
        lo: int("OUT_ACTIVATION_MIN"),
        hi: int("OUT_ACTIVATION_MAX"),
    }
}
