//! `firmware/boards/boards.toml`: the boards, read by us and by the host tools.

use crate::paths;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// One board. The manifest holds more, for others; only what is used here is read.
#[derive(Debug, Clone, Deserialize)]
pub struct Board {
    /// The key in the manifest, such as `m4`.
    #[serde(skip)]
    pub name: String,
    /// The package that builds its firmware.
    pub package: String,
    /// The target triple.
    pub target: String,
    /// The most flash that its firmware may take.
    pub flash_budget_bytes: Option<u64>,
    /// The most static RAM that its firmware may take.
    pub ram_budget_bytes: Option<u64>,
}

/// Every board of the manifest, in its order.
pub fn all() -> Result<Vec<Board>> {
    let path = paths::boards_manifest();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let boards: BTreeMap<String, Board> =
        toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))?;
    Ok(boards.into_iter().map(|(name, board)| Board { name, ..board }).collect())
}

/// The named boards, or all where no name is given.
pub fn chosen(names: &[String]) -> Result<Vec<Board>> {
    let all = all()?;
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| match all.iter().find(|board| &board.name == name) {
        Some(board) => Ok(board.clone()),
        None => {
            let known: Vec<_> = all.iter().map(|board| board.name.as_str()).collect();
            bail!("there is no board `{name}`; known: {}", known.join(", "))
        }
    };
    names.iter().map(find).collect()
}

impl Board {
    /// Where the firmware lies after `cargo xtask firmware`.
    pub fn elf(&self) -> PathBuf {
        paths::firmware_target().join(&self.target).join("firmware").join(&self.package)
    }
}
