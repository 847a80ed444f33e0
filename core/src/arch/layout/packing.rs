//! What a host does to the weights of an int8 layer, so that a token finds them in its order.

use super::words::{Six, Twin, Words};
use super::{dsp, mve};
use crate::arch::IsaId;
use crate::kernels::conv2d::Conv2d;
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use std::vec::Vec;

/// A layer's numbers, one filter after another.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Weights in the order of the plain kernel.
    pub weights: &'a [i8],
    /// Biases with the input's zero point folded in, one for each output.
    pub bias: &'a [i32],
    /// Mantissas, one for each output.
    pub multiplier: &'a [i32],
    /// Exponents, one for each output.
    pub shift: &'a [i32],
    /// The output's zero point.
    pub zero_point: i32,
    /// The least output.
    pub lo: i32,
}

/// A layer as a token reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The stream.
    pub stream: Vec<u32>,
    /// Words of scratch.
    pub scratch_words: usize,
}

impl Packed {
    /// Bytes of scratch.
    pub fn scratch_bytes(&self) -> usize {
        4 * self.scratch_words
    }
}

/// An order of weights. `None` says that the token has no loop for such a layer: it stays as it is.
pub trait Packing: Sync {
    /// Whether the loop does convolutions of this shape with one group: of a whole layer, or of some of its rows.
    fn takes_conv2d(&self, shape: &Conv2d) -> bool;

    /// Whether the loop does depthwise convolutions of this shape.
    fn takes_depthwise(&self, shape: &DepthwiseConv2d) -> bool;

    /// A convolution with one group; its scratch: [`crate::kernels::conv2d::scratch_words`].
    fn conv2d(&self, shape: &Conv2d, layer: &Layer<'_>) -> Option<Packed>;

    /// A dense layer.
    fn dense(&self, shape: &Dense, layer: &Layer<'_>) -> Option<Packed>;

    /// A depthwise convolution.
    fn depthwise(&self, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed>;
}

/// The order of a token; `None` if it has none of its own.
fn packing(isa: IsaId) -> Option<&'static dyn Packing> {
    match isa {
        IsaId::Dsp => Some(&dsp::Twin),
        IsaId::Mve => Some(&mve::Twin),
        IsaId::Thumb2 => Some(&Words(Twin::<2>)),
        IsaId::Rv32 => Some(&Words(Six)),
        IsaId::Thumb1 => Some(&Words(Twin::<1>)),
        IsaId::Scalar | IsaId::Avx2 | IsaId::Avx512 | IsaId::Avx2Exact | IsaId::Neon => None,
    }
}

/// A convolution as `isa` reads it, with the scratch to gather patches; `None` if it has no loop for it.
pub fn conv2d(isa: IsaId, shape: &Conv2d, layer: &Layer<'_>) -> Option<Packed> {
    packing(isa).filter(|_| takes_conv2d(isa, shape))?.conv2d(shape, layer)
}

/// Whether `isa` has a loop for convolutions of this shape.
pub fn takes_conv2d(isa: IsaId, shape: &Conv2d) -> bool {
    shape.groups == 1 && packing(isa).is_some_and(|packing| packing.takes_conv2d(shape))
}

/// Whether `isa` has a loop for depthwise convolutions of this shape.
pub fn takes_depthwise(isa: IsaId, shape: &DepthwiseConv2d) -> bool {
    packing(isa).is_some_and(|packing| packing.takes_depthwise(shape))
}

/// A dense layer as `isa` reads it; `None` if it has no loop for it.
pub fn dense(isa: IsaId, shape: &Dense, layer: &Layer<'_>) -> Option<Packed> {
    packing(isa)?.dense(shape, layer)
}

/// A depthwise convolution as `isa` reads it; `None` if it has no loop for it.
pub fn depthwise(isa: IsaId, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed> {
    packing(isa).filter(|_| takes_depthwise(isa, shape))?.depthwise(shape, layer)
}
