//! `firmware/boards/boards.toml`: the boards, read by us and by the host tools.

use crate::paths;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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
    /// The crate that drives its chip, where one does.
    pub hal: Option<String>,
    /// Where the firmware lies.
    pub flash: Region,
    /// Where its variables and its stack lie.
    pub ram: Region,
    /// The end of `ram` that is the stack's.
    pub stack_bytes: u64,
    /// Memory for models, where they have one of their own.
    pub arena: Option<Region>,
    /// The most flash that its firmware may take, where that is less than there is.
    pub flash_budget_bytes: Option<u64>,
    /// The same for a program with all kernels but those that train, where that is to be watched.
    pub inference_budget_bytes: Option<u64>,
    /// The same for such a program built for size.
    pub size_budget_bytes: Option<u64>,
    /// The machine that emulates it, if one does.
    pub qemu: Option<Emulation>,
}

/// A piece of memory.
#[derive(Debug, Clone, Deserialize)]
pub struct Region {
    pub bytes: u64,
}

/// How QEMU plays a board.
#[derive(Debug, Clone, Deserialize)]
pub struct Emulation {
    /// The emulator, such as `qemu-system-arm`.
    pub program: String,
    /// Its name of the machine.
    pub machine: String,
    /// What else it needs to know.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// An instruction takes 2^this ns of the machine's clock.
    pub icount_shift: u8,
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

/// Boards that one call of cargo can take together, so that it links several programs at a time: those of one target,
/// if they have no HAL. Each HAL asks for features of the crates that they share, and would change the others' programs.
pub fn groups(boards: &[Board]) -> Vec<Vec<Board>> {
    let mut groups: Vec<Vec<Board>> = Vec::new();
    for board in boards {
        let fits = |group: &Vec<Board>| group.iter().all(|other| other.hal.is_none() && other.target == board.target);
        match groups.iter_mut().find(|group| board.hal.is_none() && fits(group)) {
            Some(group) => group.push(board.clone()),
            None => groups.push(vec![board.clone()]),
        }
    }
    groups
}

impl Board {
    /// The most flash that the firmware may take.
    pub fn flash_limit(&self) -> u64 {
        self.flash_budget_bytes.unwrap_or(self.flash.bytes)
    }

    /// The most RAM that the firmware's variables may take: what the stack leaves.
    pub fn ram_limit(&self) -> u64 {
        self.ram.bytes.saturating_sub(self.stack_bytes)
    }

    /// What models have when the firmware's variables take `ram_bytes`.
    pub fn model_bytes(&self, ram_bytes: u64) -> u64 {
        self.arena.as_ref().map_or(self.ram_limit().saturating_sub(ram_bytes), |arena| arena.bytes)
    }

    /// Where the firmware lies after `cargo xtask firmware`.
    pub fn elf(&self) -> PathBuf {
        self.elf_in(&paths::firmware_target())
    }

    /// Where cargo puts it, below a target folder.
    pub fn elf_in(&self, target: &Path) -> PathBuf {
        target.join(&self.target).join("firmware").join(&self.package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_without_a_hal_are_built_together() {
        let boards = chosen(&["m4", "m7", "m0", "nucleo-f446", "nucleo-f411"].map(str::to_owned)).unwrap();
        let groups = groups(&boards);
        let names: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(|board| board.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["m4", "m7"], vec!["m0"], vec!["nucleo-f446"], vec!["nucleo-f411"]]);
    }
}
