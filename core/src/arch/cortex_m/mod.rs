//! Tokens for Cortex-M processors. A board says which one its core is; nothing tells it at run time.
#![allow(unsafe_code)]

#[cfg(any(armv7em, armv8m))]
mod dsp;
#[cfg(target_abi = "eabihf")]
mod float;
#[cfg(target_abi = "eabihf")]
pub(crate) use float::sqrt;
#[cfg(armv8m)]
mod mve;
#[cfg(armv6m)]
mod thumb1;
#[cfg(armv7m)]
mod thumb2;

#[cfg(any(armv7em, armv8m))]
pub use dsp::Dsp;
#[cfg(armv8m)]
pub use mve::Mve;
#[cfg(armv6m)]
pub use thumb1::Thumb1;
#[cfg(armv7m)]
pub use thumb2::Thumb2;
