//! Training in 16-bit integers, for cores without a floating-point unit: block floating point.
//!
//! A tensor is int16 mantissas and one exponent ([`block`]); of activations and their gradients each sample has its
//! own. Sums have 32 bits, exact but for the low bits of products that would not fit; then the sample's greatest sum
//! decides its exponent. So nothing has to be calibrated, and nothing saturates when gradients shrink or weights grow.
//! Integer sums do not depend on their order: every token gives the same bits.
//! `docs/numerics.md` has the arithmetic.
//!
//! | file | is |
//! |---|---|
//! | `block.rs` | how a tensor lies in memory; sums become mantissas |
//! | `number.rs` | real factors as integers, shifts, limits |
//! | `elementary.rs` | powers of two and logarithms |
//! | `convert.rs` | f32 at the network's edges |
//! | `images.rs` | what layers over images share: they are computed row by row |
//! | `update.rs`, `update/` | SGD, momentum, Adam and AdaGrad on int16 parameters; sums of several passes |
//! | the others | a layer each, or a loss |
//!
//! These are other numbers than those of TFLite's int16 inference, whose scales are constants.

pub mod activation;
pub mod add;
pub mod block;
pub mod conv2d;
pub mod convert;
pub mod dense;
pub mod depthwise_conv2d;
mod elementary;
mod images;
pub mod loss;
pub mod movement;
mod number;
pub mod pool;
pub mod softmax;
pub mod sums;
#[cfg(test)]
pub(crate) mod testing;
pub mod trained;
pub mod update;

pub use number::{Factor, Limits, mul_q16};
