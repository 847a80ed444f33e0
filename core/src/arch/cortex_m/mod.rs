//! Tokens for Cortex-M processors. A board says which one its core is; nothing tells it at run time.
#![allow(unsafe_code)]

#[cfg(any(armv7em, armv8m))]
mod dsp;
#[cfg(target_abi = "eabihf")]
mod float;
#[cfg(armv8m)]
mod mve;

#[cfg(any(armv7em, armv8m))]
pub use dsp::Dsp;
#[cfg(armv8m)]
pub use mve::Mve;
