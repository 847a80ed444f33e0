//! Graphs to other people's files, so that nobody is locked in.

pub mod tflite;
