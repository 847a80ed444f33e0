//! What other runtimes reach, and what we are to reach: figures of `peers.toml`.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// `peers.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Where the figures come from.
    pub source: String,
    /// By model, then by board.
    models: BTreeMap<String, BTreeMap<String, Figures>>,
    /// The name of a layer in `cmsis_nn` by model, then by our name of the layer.
    layers: BTreeMap<String, BTreeMap<String, String>>,
    /// The boards of the columns of `cmsis_nn`.
    boards: Vec<String>,
    /// Instructions of one call by layer.
    cmsis_nn: BTreeMap<String, Vec<u64>>,
    /// Where the figures of training come from.
    pub training_source: String,
    /// One training step by network, then by board.
    training: BTreeMap<String, BTreeMap<String, Step>>,
}

/// AIfES's training step on a board, and what we are to reach.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub instructions: Option<u64>,
    /// Bytes of RAM beyond the weights, without stack.
    pub ram_bytes: Option<u64>,
    pub stack_bytes: Option<u64>,
    pub goal_instructions: Option<u64>,
    pub goal_ram_bytes: Option<u64>,
}

/// A model on a board.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// TensorFlow Lite Micro with CMSIS-NN: instructions.
    pub instructions: Option<u64>,
    /// And estimated cycles.
    pub cycles: Option<u64>,
    /// The best closed tool, measured on silicon: cycles.
    pub closed: Option<u64>,
    /// To reach: instructions.
    pub goal_instructions: Option<u64>,
    /// To reach: estimated cycles.
    pub goal_cycles: Option<u64>,
}

impl Peers {
    pub fn load() -> Result<Self> {
        toml::from_str(include_str!("peers.toml")).context("peers.toml")
    }

    pub fn of(&self, model: &str, board: &str) -> Figures {
        self.models.get(model).and_then(|boards| boards.get(board)).copied().unwrap_or_default()
    }

    /// A training step.
    pub fn training(&self, network: &str, board: &str) -> Step {
        self.training.get(network).and_then(|boards| boards.get(board)).copied().unwrap_or_default()
    }

    /// Instructions of CMSIS-NN's kernel for a layer.
    pub fn layer(&self, model: &str, layer: &str, board: &str) -> Option<u64> {
        let name = self.layers.get(model)?.get(layer)?;
        let column = self.boards.iter().position(|known| known == board)?;
        self.cmsis_nn.get(name)?.get(column).copied()
    }
}
