//! What inference and training cost on microcontrollers, beside other runtimes: `cargo xtask bench mcu`.
//!
//! A benchmark, no test: it fails nothing. Every shared model runs on every emulated board that has room for it, one
//! sample; `embernet::counting` counts. Instructions are exact, so that a change of one is a change of the program;
//! cycles are an estimate.

mod fit;
mod measure;
mod models;
mod peers;
mod snapshot;
mod table;
mod training;

use anyhow::{Context, Result, bail};
use clap::Parser;
use embernet::link::Board;
use measure::{How, Measured};
use models::Model;
use peers::Peers;
use snapshot::Snapshot;
use std::collections::BTreeSet;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench mcu", about = "What inference costs on emulated microcontrollers")]
struct Args {
    /// Which boards, such as m4,m0. All by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    board: Vec<String>,
    /// Which models: parts of their names, such as kws,resnet8_int8. All by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    model: Vec<String>,
    #[command(flatten)]
    how: How,
    /// Only training: one step of small networks. Runs of all models have that, too.
    #[arg(long)]
    training: bool,
    /// Show every layer.
    #[arg(long)]
    layers: bool,
    /// Write the instructions of every layer to firmware/instructions.toml, to be committed with the change that
    /// explains them.
    #[arg(long)]
    save: bool,
    /// Fit the factors by which `pack` chooses loops, to firmware/costs.toml: of int8 layers on one board of each kind.
    #[arg(long, conflicts_with_all = ["board", "save"])]
    fit: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let boards = boards(&args.board)?;
    let peers = Peers::load()?;
    if args.training {
        println!("{}", training::table(&boards, &peers));
        return Ok(());
    }
    let Some(models) = models::shared(&args.model)? else {
        println!("skipped: the models are in ../shared/data, which is not here");
        return Ok(());
    };
    if args.fit {
        return fit::run(&models);
    }
    let before = Snapshot::load()?;
    let results = measure::all(&boards, &models, args.how);
    for (board, model, why) in results.iter().filter_map(|result| Some((result.0, result.1, result.2.as_ref().err()?)))
    {
        let why = format!("{why:#}");
        eprintln!("skipped: {} on {}: {}", model.name, board.name, why.lines().next().unwrap_or_default());
    }
    let measured: Vec<&Measured> = results.iter().filter_map(|result| result.2.as_ref().ok()).collect();
    if args.layers {
        for measured in &measured {
            println!("{}\n", table::layers(measured, &peers));
        }
    }
    println!("{}", table::models(&measured, &peers));
    println!("{}", before.changes(&measured));
    if args.model.is_empty() {
        println!("{}", training::table(&boards, &peers));
    }
    if args.save {
        before.with(&measured).save()?;
    }
    Ok(())
}

fn boards(names: &[String]) -> Result<Vec<&'static Board>> {
    // What a HAL drives has the kernels of one of the others.
    let emulated = Board::all().filter(|board| board.qemu.is_some() && board.hal.is_none());
    if names.is_empty() {
        return Ok(emulated.collect());
    }
    let names: BTreeSet<&String> = names.iter().collect();
    names.into_iter().map(|name| Board::named(name).with_context(|| "--board")).collect()
}

/// Those that hold a part of the name; an error where a part is nobody's.
fn chosen(parts: &[String], mut models: Vec<Model>) -> Result<Vec<Model>> {
    for part in parts {
        if !models.iter().any(|model| model.name.contains(part)) {
            let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
            bail!("there is no model `{part}`; known: {}", known.join(", "));
        }
    }
    models.retain(|model| parts.is_empty() || parts.iter().any(|part| model.name.contains(part)));
    Ok(models)
}
