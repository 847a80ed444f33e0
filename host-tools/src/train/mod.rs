//! Training on the PC.

pub mod history;
pub mod metrics;
mod trainer;

pub use trainer::{Evaluation, Event, FitOptions, TrainError, evaluate, fit, predict};

#[cfg(test)]
mod tests;
