//! What crosses a folder: one list of cases, run on every runtime; goldens, QEMU, the command line, fuzzing.

pub mod adaptation;
pub mod cases;
pub mod costs;
pub mod device;
pub mod firmware;
pub mod imported;
pub mod lossy;
#[cfg(unix)]
pub mod machine;
pub mod models;
pub mod nor;
pub mod onnx;
pub mod ops_page;
pub mod robust;
pub mod runtime;
pub mod shared;
pub mod vectors;
