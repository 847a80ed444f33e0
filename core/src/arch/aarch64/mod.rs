//! The token for 64-bit Arm processors.

mod neon;

pub use neon::Neon;
