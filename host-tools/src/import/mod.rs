//! Files to graphs: our own checkpoint, and foreign models.

mod budget;
pub mod checkpoint;
mod names;
mod narrow;
pub mod onnx;
pub mod tflite;
