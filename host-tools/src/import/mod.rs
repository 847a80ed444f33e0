//! Files to graphs: our own checkpoint, and foreign models.

pub mod checkpoint;
pub mod tflite;
