//! `cargo xtask sizes`

use crate::boards::{self, Board};
use crate::commands::firmware::{self, Aim};
use crate::elf::{self, Footprint};
use crate::setup::Machine;
use crate::steps::Steps;
use crate::{paths, tools};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Boards to measure, such as `m4`; all of them where none is named
    #[arg(value_name = "BOARD")]
    boards: Vec<String>,
    /// Compare with the figures of this commit
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    compare: String,
    /// Write today's figures to firmware/sizes.toml, to be committed with the change that explains them
    #[arg(long)]
    save: bool,
}

/// The figures of one commit: `firmware/sizes.toml`.
type Snapshot = BTreeMap<String, Figures>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Figures {
    flash_bytes: u64,
    ram_bytes: u64,
}

impl From<Footprint> for Figures {
    fn from(footprint: Footprint) -> Self {
        Self { flash_bytes: footprint.flash_bytes, ram_bytes: footprint.ram_bytes }
    }
}

/// The kinds of steps that plans of inference have, as `FirmwareOptions::inference` of the host tools.
const INFERENCE_STEPS: &str = "1-49,51-110,112-127";

const SNAPSHOT: &str = "firmware/sizes.toml";

/// Builds every board, prints the table; fails where a board is over its budget.
pub fn run(args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    let mut steps = Steps::default();
    let built = firmware::build(&boards::chosen(&args.boards)?, &machine, &mut steps);
    let before = committed(&args.compare);
    let mut now = Snapshot::new();
    let mut over_budget = false;

    let mut rows = Vec::new();
    for board in &built {
        rows.push((board.clone(), Figures::from(elf::measure(&board.elf())?)));
    }
    // Programs without the kernels that train, for boards that watch their size. Each build replaces the one before.
    for board in &built {
        let programs =
            [("infer", Aim::Speed, board.inference_budget_bytes), ("size", Aim::Size, board.size_budget_bytes)];
        for (what, aim, budget) in programs {
            let Some(budget) = budget else { continue };
            let name = format!("{}-{what}", board.name);
            let mut build = firmware::cargo_for_steps(INFERENCE_STEPS, aim, board);
            if steps.run(&format!("firmware {name}, without training"), &mut build) {
                let figures = Figures::from(elf::measure(&board.elf_in(&paths::lean_target()))?);
                rows.push((Board { name, flash_budget_bytes: Some(budget), ..board.clone() }, figures));
            }
        }
    }

    println!("{}", line(["board", "flash", "change", "of", "static RAM", "change", "of", "stack", "models"]));
    for (board, figures) in &rows {
        let figures = *figures;
        let old = before.as_ref().and_then(|before| before.get(&board.name));
        println!("{}", row(board, figures, old));
        over_budget |= figures.flash_bytes > board.flash_limit() || figures.ram_bytes > board.ram_limit();
        now.insert(board.name.clone(), figures);
    }
    match &before {
        Some(_) => println!("change: against {}:{SNAPSHOT}", args.compare),
        None => println!("change: none, {} has no {SNAPSHOT}", args.compare),
    }
    println!("stack: reserved; `embernet run --json` says how much a board has used. models: RAM for their arenas");
    if args.save {
        // Boards that were not measured keep their rows.
        let mut kept = if args.boards.is_empty() { Snapshot::new() } else { saved()? };
        kept.append(&mut now);
        save(&kept)?;
    }
    let complete = steps.failed().is_empty() && steps.skipped().is_empty();
    Ok(if complete && !over_budget { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(board: &Board, now: Figures, old: Option<&Figures>) -> String {
    let change = |now: u64, old: Option<u64>| match old {
        None => "new".to_owned(),
        Some(old) if old == now => "=".to_owned(),
        Some(old) => format!("{:+}", i128::from(now) - i128::from(old)),
    };
    let share = |bytes: u64, limit: u64| match bytes.checked_sub(limit) {
        Some(over) if over > 0 => format!("{limit} OVER by {over}"),
        _ => format!("{limit} ({} %)", bytes * 100 / limit.max(1)),
    };
    line([
        &board.name,
        &now.flash_bytes.to_string(),
        &change(now.flash_bytes, old.map(|old| old.flash_bytes)),
        &share(now.flash_bytes, board.flash_limit()),
        &now.ram_bytes.to_string(),
        &change(now.ram_bytes, old.map(|old| old.ram_bytes)),
        &share(now.ram_bytes, board.ram_limit()),
        &board.stack_bytes.to_string(),
        &board.model_bytes(now.ram_bytes).to_string(),
    ])
}

fn line(columns: [&str; 9]) -> String {
    let [name, flash, flash_change, flash_budget, ram, ram_change, ram_budget, stack, models] = columns;
    format!(
        "{name:<13} {flash:>9} {flash_change:>8}  {flash_budget:<18} {ram:>10} {ram_change:>8}  {ram_budget:<18} \
         {stack:>6} {models:>9}"
    )
}

/// The snapshot of a commit; a commit without one, or a folder without git, has none.
fn committed(revision: &str) -> Option<Snapshot> {
    let mut git = Command::new("git");
    git.arg("show").arg(format!("{revision}:{SNAPSHOT}")).current_dir(paths::root());
    toml::from_str(&tools::output(&mut git).ok()?).ok()
}

/// The snapshot of the working tree.
fn saved() -> Result<Snapshot> {
    let path = paths::root().join(SNAPSHOT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
}

/// Written beside its place and renamed, so that it is never half there.
fn save(snapshot: &Snapshot) -> Result<()> {
    let path = paths::root().join(SNAPSHOT);
    let table = toml::to_string(snapshot).context("the snapshot as TOML")?;
    let text = format!("# Bytes of each board's firmware. Written by `cargo xtask sizes --save`.\n\n{table}");
    let beside = path.with_extension("toml.tmp");
    fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, &path).with_context(|| format!("cannot write {}", path.display()))?;
    println!("saved to {SNAPSHOT}");
    Ok(())
}
