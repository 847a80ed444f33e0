//! embernet-core: everything a device computes.
//!
//! `no_std`, no allocation. The layers, bottom up:
//!
//! | module | is |
//! |---|---|
//! | [`math`], [`quant`], [`rng`] | scalar arithmetic that gives the same bits on every target |
//! | [`arch`] | inner loops behind an [`arch::Isa`] token; the scalar token is the definition |
//! | [`kernels`] | one file per layer: forward, backward and their step records |
//! | [`loss`], [`optim`] | losses; optimisers as sinks of gradient tiles |
//! | [`plan`] | a linear list of step records with every operand placed |
//! | [`image`] | the flash image: [`image::Image::parse`] checks everything once |
//! | [`memory`], [`exec`] | one arena for all that changes; [`exec::Session`] |
//! | [`adapt`] | beside the network: drift, statistics of a model at work |
//! | [`signal`] | before the network: windows of a sensor's values, features of them |
//! | `host` | a session without its type parameter, for PCs (feature `std`) |
//! | [`wire`] | messages and frames between host and device |
//!
//! A firmware needs [`image::Image::parse`] and [`exec::Session`]; the rest is for those who extend embernet.
//!
//! Layouts: activations NHWC, row-major; weights `[out][kernel_h][kernel_w][in]`.
#![no_std]
#![cfg_attr(not(any(test, feature = "std")), deny(unsafe_code))]
#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("embernet images are little-endian and read in place; big-endian targets are not supported yet");

pub mod adapt;
pub mod arch;
pub mod checksum;
pub mod exec;
#[cfg(any(test, feature = "std"))]
pub mod host;
pub mod image;
pub mod kernels;
pub mod loss;
pub mod math;
pub mod memory;
pub mod optim;
pub mod plan;
pub mod quant;
pub mod rng;
pub mod signal;
pub mod slot;
pub mod wire;
