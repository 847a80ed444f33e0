//! Files to graphs: our own checkpoint, and foreign models.

mod budget;
pub mod checkpoint;
mod kind;
mod names;
mod narrow;
pub mod onnx;
pub mod state_dict;
pub mod tflite;

pub use kind::Kind;
