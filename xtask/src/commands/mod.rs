//! One file per command.

pub mod firmware;
pub mod setup;
pub mod sizes;
pub mod test;
