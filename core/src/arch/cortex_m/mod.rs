//! Tokens for Cortex-M processors. A board says which one its core is; nothing tells it at run time.
#![allow(unsafe_code)]

#[cfg(any(armv7em, armv8m))]
mod dsp;

#[cfg(any(armv7em, armv8m))]
pub use dsp::Dsp;
