//! Training on the PC.

mod evaluate;
pub mod history;
pub mod metrics;
mod trainer;

pub use evaluate::{Evaluation, evaluate, predict};
pub use trainer::{Event, FitOptions, TrainError, fit};

#[cfg(test)]
mod tests;
