//! Quantised and float graphs to TFLite files.

mod file;
mod flat;

pub use file::{File, FileOperator, FileTensor};
pub use flat::{Table, Value};
