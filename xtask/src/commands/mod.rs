//! One file per command.

pub mod bench;
pub mod demo;
pub mod docs;
pub mod firmware;
pub mod fuzz;
pub mod qemu;
pub mod setup;
pub mod sizes;
pub mod start;
pub mod test;
