//! One file per command.

pub mod firmware;
pub mod qemu;
pub mod setup;
pub mod sizes;
pub mod test;
