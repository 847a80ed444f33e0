//! Devices: how to reach one, and what to ask it.
//!
//! ```text
//! Client  requests and answers of docs/wire.md, repeated until they arrive
//!   over a Transport  Qemu (a child process), Serial (a port), Memory (a pipe in this process)
//! LogDecoder  the device's defmt stream, with the firmware's ELF
//! ```
//!
//! What is true of a board stands in `firmware/boards/boards.toml`; [`Board`] is one entry of it.

mod board;
mod client;
mod error;
mod firmware;
mod guard;
mod log;
mod memory;
mod model;
mod qemu;
mod serial;
mod slots;
mod transport;

pub use board::{Board, Cable, Checkpoints, ChipId, QemuMachine, Region, Slots, Uf2, workspace};
pub use client::{Client, Info, Patience};
pub use error::LinkError;
pub use firmware::{FirmwareOptions, Orders, build as build_firmware, cargo_build, flash_bytes, panics};
pub use log::{LogDecoder, LogLine};
pub use memory::{DeviceEnd, Memory, pipe};
pub use model::{Evaluated, Run, TrainStep, Upload};
pub use qemu::{Qemu, QemuOptions, find_program};
pub use serial::Serial;
pub use slots::SlotStates;
pub use transport::Transport;
