//! `firmware/instructions.toml`: what every layer took when it was last saved.

use crate::measure::Measured;
use anyhow::{Context, Result};
use embernet::files;
use embernet::graph::grouped;
use embernet::link::workspace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

const FILE: &str = "firmware/instructions.toml";

/// The keys of a whole inference: instructions, and where the board has them estimated cycles; its arena.
const ALL: &str = "all";
const CYCLES: &str = "all, est. cycles";
const ARENA: &str = "arena bytes";

/// By board, model and layer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot {
    boards: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
}

impl Snapshot {
    /// The one in the repository; empty where there is none.
    pub fn load() -> Result<Self> {
        match fs::read_to_string(workspace().join(FILE)) {
            Ok(text) => toml::from_str(&text).context(FILE),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).context(FILE),
        }
    }

    /// A line for everything that differs from before.
    pub fn changes(&self, measured: &[&Measured]) -> String {
        let mut lines = Vec::new();
        for row in measured {
            let Some(before) = self.boards.get(&row.board.name).and_then(|models| models.get(&row.model)) else {
                continue;
            };
            for (name, now) in figures(row) {
                match before.get(&name) {
                    Some(&before) if before == now => {}
                    Some(&before) => {
                        let percent = 100.0 * (now as f64 / before.max(1) as f64 - 1.0);
                        let [before, now] = [before, now].map(grouped);
                        lines.push(format!(
                            "{} {} {name}: {before} -> {now} ({percent:+.1} %)",
                            row.board.name, row.model
                        ));
                    }
                    None => lines.push(format!("{} {} {name}: new", row.board.name, row.model)),
                }
            }
        }
        if lines.is_empty() {
            format!("nothing differs from {FILE}, as far as it has these models")
        } else {
            lines.join("\n")
        }
    }

    /// With these figures in place of older ones.
    pub fn with(mut self, measured: &[&Measured]) -> Self {
        for row in measured {
            self.boards.entry(row.board.name.clone()).or_default().insert(row.model.clone(), figures(row).collect());
        }
        self
    }

    pub fn save(&self) -> Result<()> {
        let table = toml::to_string(self).context("the snapshot as TOML")?;
        let text = format!(
            "# What one inference takes on each emulated board; layers in instructions. Written by `cargo xtask bench mcu \
             --save`.\n\n{table}"
        );
        files::write(&workspace().join(FILE), text.as_bytes()).context(FILE)?;
        println!("saved to {FILE}");
        Ok(())
    }
}

/// The whole and every step; steps in order by their numbers.
fn figures(row: &Measured) -> impl Iterator<Item = (String, u64)> + '_ {
    let step = |(number, step): (usize, &crate::measure::Step)| {
        (format!("{:02} {} {}", number + 1, step.layer, step.kind), step.count.instructions)
    };
    let whole = [
        Some((ALL.to_owned(), row.whole.instructions)),
        row.whole.cycles.map(|cycles| (CYCLES.to_owned(), cycles)),
        Some((ARENA.to_owned(), row.arena_bytes as u64)),
    ];
    whole.into_iter().flatten().chain(row.steps.iter().enumerate().map(step))
}
