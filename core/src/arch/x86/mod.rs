//! Tokens for x86-64 processors; found at run time.

mod avx2;

pub use avx2::Avx2;
