//! What a layer's time depends on.

use embernet_core::arch::IsaId;
use embernet_core::arch::layout::packing::{self, Layer, Packed};
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::order::OrderRecord;
use embernet_core::kernels::window::Window2d;
use embernet_core::plan::Step;

/// An int8 layer whose weights may lie in several orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A convolution.
    Conv2d(Conv2d),
    /// A depthwise convolution.
    Depthwise(DepthwiseConv2d),
    /// A dense layer of one sample.
    Dense(Dense),
}

/// Something that a layer has many of, by its name in `firmware/costs.toml`, and how many.
pub type Driver = (&'static str, f64);

/// Output pixels whose windows reach beyond the left or the right border, and all of them.
fn pixels(window: &Window2d) -> [f64; 2] {
    let axis = &window.width;
    let (first, last) = (axis.outputs(0), axis.outputs((axis.kernel as usize).saturating_sub(1)));
    let inner = last.end.saturating_sub(first.start);
    let edge = (axis.output as usize).saturating_sub(inner) * window.height.output as usize;
    [edge as f64, window.out_pixels() as f64]
}

impl Shape {
    /// The layer that a step computes, and the order of its weights.
    pub fn of(step: &Step<'_>) -> Option<(Self, OrderRecord)> {
        match step {
            Step::Conv2dI8(record) => Some((Self::Conv2d(record.shape), record.order)),
            Step::DepthwiseConv2dI8(record) => Some((Self::Depthwise(record.shape), record.order)),
            Step::DenseI8(record) => Some((Self::Dense(record.shape), record.order)),
            _ => None,
        }
    }

    /// The name of its kind in `firmware/costs.toml`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::Depthwise(_) => "depthwise_conv2d",
            Self::Dense(_) => "dense",
        }
    }

    /// As the core's own loop reads it, if it has one.
    pub fn pack(&self, isa: IsaId, layer: &Layer<'_>) -> Option<Packed> {
        match self {
            Self::Conv2d(shape) => packing::conv2d(isa, shape, layer),
            Self::Depthwise(shape) => packing::depthwise(isa, shape, layer),
            Self::Dense(shape) => packing::dense(isa, shape, layer),
        }
    }

    /// Multiply-accumulates, those with padding included.
    pub fn products(&self) -> f64 {
        match self {
            Self::Conv2d(shape) => shape.out_elements() as f64 * shape.patch() as f64,
            Self::Depthwise(shape) => {
                shape.window.out_pixels() as f64 * f64::from(shape.out_c) * shape.window.taps() as f64
            }
            Self::Dense(shape) => f64::from(shape.inputs) * f64::from(shape.outputs),
        }
    }

    /// What its time depends on. `words` are those of the stream, where its weights lie in a core's own order.
    pub fn drivers(&self, words: u32) -> Vec<Driver> {
        let (products, words) = (self.products(), f64::from(words));
        match self {
            Self::Conv2d(shape) => {
                let [edge, pixels] = pixels(&shape.window);
                let (patch, rows) = (shape.patch() as f64, f64::from(shape.window.height.kernel));
                let row = shape.window.width.kernel * shape.in_c;
                let pieces = if shape.rows_are_contiguous() { 1.0 } else { f64::from(shape.window.width.kernel) };
                let outputs = pixels * f64::from(shape.out_c);
                vec![
                    ("layer", 1.0),
                    ("pixel", pixels),
                    ("edge pixel", edge),
                    ("edge tap", edge * shape.window.taps() as f64),
                    ("patch byte", pixels * patch),
                    ("odd patch byte", if row % 4 == 0 { 0.0 } else { pixels * patch }),
                    ("output", outputs),
                    ("piece", outputs * rows * pieces),
                    ("product", products),
                    ("stream word", words * pixels),
                ]
            }
            Self::Depthwise(shape) => {
                let [edge, pixels] = pixels(&shape.window);
                let channels = f64::from(shape.out_c);
                let Window2d { height, width } = &shape.window;
                vec![
                    ("layer", 1.0),
                    ("channel", channels),
                    ("line", channels * f64::from(height.output.min(width.output))),
                    ("pixel", pixels),
                    ("tap", pixels * shape.window.taps() as f64),
                    ("edge output", edge * channels),
                    ("output", pixels * channels),
                    ("product", products),
                ]
            }
            Self::Dense(shape) => vec![
                ("layer", 1.0),
                ("input", f64::from(shape.inputs)),
                ("output", f64::from(shape.outputs)),
                ("product", products),
                ("stream word", words),
            ],
        }
    }
}
