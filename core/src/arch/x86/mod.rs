//! Tokens for x86-64 processors; found at run time.

mod avx2;
mod avx512;
mod int8;

pub use avx2::{Avx2, Avx2Exact};
pub use avx512::Avx512;
