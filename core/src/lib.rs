#![no_std]
#[cfg(test)]
extern crate std;
pub mod slot;
pub mod wire;
