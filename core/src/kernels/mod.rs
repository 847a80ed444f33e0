//! One file per layer: forward and backward side by side, f32 and fixed point, with their step records.
//!
//! Read [`dense`] first; the others look like it. Kernels are generic over an [`crate::arch::Isa`] token, take a
//! sample count, return nothing and check nothing: [`crate::image::Image::parse`] did. Their loops are total all
//! the same (no indexing that could panic), so that a firmware carries no panic code.

pub mod dense;
pub mod requantize;
pub mod trained;
pub mod util;
