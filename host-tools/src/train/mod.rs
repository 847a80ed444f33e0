//! Training on the PC.

mod evaluate;
pub mod history;
pub mod metrics;
mod run;
mod runaway;
mod state;
mod trainer;

pub use evaluate::{Evaluation, evaluate, predict};
pub use runaway::Runaway;
pub use state::{StateError, Tally, TrainState};
pub(crate) use trainer::check_data;
pub use trainer::{Event, FitOptions, Fitted, LastGood, TrainError, Watch, fit, fit_from};

#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod tests;
