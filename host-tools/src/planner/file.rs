//! A chosen plan as a file, for `embernet pack --plan`.

use super::{Candidate, Request, Way};
use crate::files::{self, FileError};
use crate::graph::Selection;
use crate::lower::{Loss, Optimize, Options, Precision};
use embernet_core::arch::IsaId;
use embernet_core::optim::state::StateFormat;
use embernet_core::optim::{OptimizerRecord, Rule};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What [`super::plan`] chose, as TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// The board that it was made for.
    pub board: String,
    /// What learns.
    pub train: Selection,
    /// What is made small where a layer can be computed in several ways.
    pub optimise: Optimize,
    /// The update rule: `sgd`, `momentum`, `nesterov`, `adam`, `adagrad`.
    pub rule: String,
    /// Learning rate.
    pub lr: f32,
    /// Momentum, or Adam's first decay.
    pub momentum: f32,
    /// Adam's second decay.
    pub beta_2: f32,
    /// Keeps divisions finite.
    pub epsilon: f32,
    /// L2 penalty.
    pub weight_decay: f32,
    /// What state starts from.
    pub state_init: f32,
    /// The numbers that a float model is computed in.
    #[serde(default)]
    pub precision: Precision,
    /// How state is kept: `f32`, `bf16`, `8bit`.
    pub state: String,
    /// The loss.
    pub loss: Loss,
    /// Samples in one pass.
    pub batch: usize,
    /// Passes for one update.
    pub passes: u32,
    /// Layers whose output is computed again.
    pub recompute: Vec<String>,
    /// Layers whose output is kept as int8.
    #[serde(default)]
    pub compress: Vec<String>,
    /// Whether inputs are normalised on the device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub normalise: bool,
    /// Elements of gradient tiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tile: Option<usize>,
    /// Bytes of the arena that the device needs.
    pub ram_bytes: usize,
}

/// A file that holds no plan.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum PlanFileError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path} is no plan: {why}")]
    Toml { path: String, why: String },
    #[error("{path}: {what} is `{found}`; known: {known}")]
    Name { path: String, what: &'static str, found: String, known: String },
}

fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Sgd => "sgd",
        Rule::Momentum { nesterov: false } => "momentum",
        Rule::Momentum { nesterov: true } => "nesterov",
        Rule::Adam => "adam",
        Rule::AdaGrad => "adagrad",
    }
}

impl PlanFile {
    /// The file of a candidate.
    pub fn new(board: &str, request: &Request, candidate: &Candidate) -> Self {
        let (o, way) = (&request.optimizer, candidate.way.clone());
        Self {
            board: board.to_owned(),
            train: way.train,
            optimise: request.optimize,
            rule: rule_name(o.rule().unwrap_or(Rule::Sgd)).to_owned(),
            lr: o.lr,
            momentum: o.momentum,
            beta_2: o.beta_2,
            epsilon: o.epsilon,
            weight_decay: o.weight_decay,
            state_init: o.state_init,
            precision: way.precision,
            state: way.state.name().to_owned(),
            loss: request.loss,
            batch: way.batch,
            passes: way.passes,
            recompute: way.recompute,
            compress: way.compress,
            normalise: false,
            tile: way.tile,
            ram_bytes: candidate.ram_bytes,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or says something unknown.
    pub fn read(path: &Path) -> Result<Self, PlanFileError> {
        let bytes = files::read(path)?;
        let text = || path.display().to_string();
        let plan: Self = std::str::from_utf8(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|toml| toml::from_str(toml).map_err(|error| error.to_string()))
            .map_err(|why| PlanFileError::Toml { path: text(), why })?;
        let unknown = |what, found: &str, known: &[&str]| PlanFileError::Name {
            path: text(),
            what,
            found: found.to_owned(),
            known: known.join(", "),
        };
        if plan.rule().is_none() {
            return Err(unknown("rule", &plan.rule, &["sgd", "momentum", "nesterov", "adam", "adagrad"]));
        }
        if plan.format().is_none() {
            return Err(unknown("state", &plan.state, &StateFormat::ALL.map(StateFormat::name)));
        }
        Ok(plan)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PlanFileError> {
        let text = toml::to_string(self);
        let text =
            text.map_err(|why| PlanFileError::Toml { path: path.display().to_string(), why: why.to_string() })?;
        Ok(files::write(path, text.as_bytes())?)
    }

    fn rule(&self) -> Option<OptimizerRecord> {
        Some(match self.rule.as_str() {
            "sgd" => OptimizerRecord::sgd(self.lr),
            "momentum" => OptimizerRecord::momentum(self.lr, self.momentum, false),
            "nesterov" => OptimizerRecord::momentum(self.lr, self.momentum, true),
            "adam" => OptimizerRecord::adam(self.lr),
            "adagrad" => OptimizerRecord::adagrad(self.lr),
            _ => return None,
        })
    }

    fn format(&self) -> Option<StateFormat> {
        StateFormat::ALL.into_iter().find(|format| format.name() == self.state)
    }

    /// Options to pack with, for an instruction set.
    pub fn options(&self, isa: IsaId) -> Options {
        // Both were checked when the file was read.
        let mut optimizer = self.rule().unwrap_or(OptimizerRecord::sgd(self.lr));
        (optimizer.momentum, optimizer.beta_2, optimizer.epsilon) = (self.momentum, self.beta_2, self.epsilon);
        (optimizer.weight_decay, optimizer.state_init) = (self.weight_decay, self.state_init);
        let way = Way {
            train: self.train.clone(),
            precision: self.precision,
            state: self.format().unwrap_or_default(),
            batch: self.batch,
            passes: self.passes,
            recompute: self.recompute.clone(),
            compress: self.compress.clone(),
            tile: self.tile,
        };
        way.options_for(isa, self.optimise, optimizer, self.loss)
    }
}
