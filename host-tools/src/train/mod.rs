//! Training on the PC.

pub mod history;
pub mod metrics;
