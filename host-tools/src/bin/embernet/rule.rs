//! How a device updates what it learns: arguments that planning and packing share.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use embernet::experiment::Optimizer;
use embernet::graph::Graph;
use embernet::lower::Loss;
use embernet_core::optim::OptimizerRecord;

use crate::model::loss_of;

/// The update rule.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// The update rule on the device: sgd, momentum, nesterov, adam or adagrad. sgd by default.
    #[arg(long, value_name = "NAME")]
    optimizer: Option<Optimizer>,
    /// The learning rate. The rule's usual one by default.
    #[arg(long)]
    lr: Option<f32>,
    /// The loss. By default the one that the checkpoint was trained with.
    #[arg(long, value_enum)]
    loss: Option<LossArg>,
}

/// A loss on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LossArg {
    CrossEntropy,
    Mse,
}

impl RuleArgs {
    /// Whether anything was said.
    pub fn is_some(&self) -> bool {
        self.optimizer.is_some() || self.lr.is_some() || self.loss.is_some()
    }

    /// The rule with its settings.
    pub fn record(&self) -> Result<OptimizerRecord> {
        let rule = match self.optimizer {
            Some(rule) => rule,
            None => "sgd".parse()?,
        };
        match self.lr {
            None => Ok(rule.record()),
            Some(lr) if lr.is_finite() && lr > 0.0 => Ok(rule.with_lr(lr).record()),
            Some(lr) => bail!("--lr is {lr}; it must be a positive number"),
        }
    }

    /// The loss for a model.
    pub fn loss(&self, graph: &Graph) -> Loss {
        match self.loss {
            Some(LossArg::CrossEntropy) => Loss::SparseCrossEntropy,
            Some(LossArg::Mse) => Loss::MeanSquaredError,
            None => loss_of(&graph.meta.properties).unwrap_or_default(),
        }
    }
}
