//! The chip that `gesture` and `anomaly` run on.

#[cfg(not(armv6m))]
mod stm32f405;
#[cfg(not(armv6m))]
pub use stm32f405::{isa, start};

#[cfg(all(armv6m, feature = "simulated"))]
mod microbit;
#[cfg(all(armv6m, feature = "simulated"))]
pub use microbit::{isa, start};
