//! One file per layer: forward and backward side by side, f32 and fixed point, with their step records.
//!
//! Read [`dense`] first; the others look like it. Kernels are generic over an [`crate::arch::Isa`] token, take a
//! sample count, return nothing and check nothing: [`crate::image::Image::parse`] did. Their loops are total all
//! the same (no indexing that could panic), so that a firmware carries no panic code.
//!
//! Where one file would grow long, `<layer>.rs` holds the shape and its folder the rest: `float.rs` (f32 kernels),
//! `int8.rs`, `records.rs` (f32 step records), `tests.rs`; [`window`] does the border arithmetic for all of them.

// Data arguments keep their textbook letters and order (x, w, b, dy -> y, dx); bundling them would hide that.
#![allow(clippy::too_many_arguments)]

pub mod activation;
pub mod add;
pub mod average_pool;
pub mod batch_norm;
pub mod binary;
pub mod compact;
pub mod conv2d;
pub mod copy;
pub mod dense;
pub mod depthwise_conv2d;
pub mod fixed;
pub mod gru;
#[cfg(test)]
mod int16_tests;
pub mod int4;
pub mod integer;
pub mod layer_norm;
pub mod lookup;
pub mod lstm;
pub mod matmul;
pub mod max_pool;
pub mod normalise;
pub mod order;
pub mod pool;
pub mod prelu;
pub mod quantize;
pub mod recurrent;
pub mod reduce;
pub mod requantize;
pub mod resize;
pub mod softmax;
pub mod strided;
pub mod svdf;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod testing_int8;
pub mod trained;
pub mod trained_int8;
pub mod transpose_conv2d;
pub mod update;
pub mod util;
pub mod window;
