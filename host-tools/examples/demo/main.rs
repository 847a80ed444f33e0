//! The whole path on two small data sets: train on the PC, quantise, pack, run on an emulated board, learn there.
//!
//! `cargo xtask demo` starts it, after it has seen to QEMU and the board's firmware.

mod board;
mod learn;
mod model;
mod page;
mod screen;

use anyhow::{Context, Result};
use clap::Parser;
use embernet::files;
use embernet::link::{Board, workspace};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Train, quantise, flash, run and learn, end to end.
#[derive(Debug, Parser)]
struct Args {
    /// The emulated board
    #[arg(long, default_value = "m4")]
    board: String,
    /// Leave out the board, for this reason
    #[arg(long, value_name = "REASON")]
    without_board: Option<String>,
    /// Folder for the report and the models
    #[arg(long, default_value = "out/demo")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything that was shown came out as promised.
fn run(args: &Args) -> Result<bool> {
    let began = Instant::now();
    files::make_folder(&args.out)?;
    let board = Board::named(&args.board)?;

    screen::heading("Train on this PC");
    let experiments = workspace().join("experiments");
    let mut models = Vec::new();
    for file in ["iris.toml", "digits.toml"] {
        models.push(model::train(&experiments.join(file)).with_context(|| format!("experiments/{file}"))?);
    }

    screen::heading("Quantise to int8, pack flash images");
    let mut packed = Vec::new();
    for model in &models {
        packed.extend(model::images(model, &args.out)?);
    }

    let mut runs = Vec::new();
    match &args.without_board {
        None => {
            screen::heading(&format!("Run the test sets on an emulated {}", board.processor));
            for image in &packed {
                runs.push(board::run(image, board)?);
            }
        }
        Some(reason) => screen::skipped(&format!("running and learning on the board: {reason}")),
    }
    screen::say(board::table(&packed, &runs));

    let digits = models.last().context("two models were trained")?;
    let user = learn::new_user(digits)?;
    let plans = learn::plans(digits)?;
    let mut lessons = Vec::new();
    if args.without_board.is_none() {
        screen::heading("A new user holds the tablet sideways: learn on the board");
        lessons = learn::learn_all(&plans, &user, board, &args.out)?;
        for lesson in &lessons {
            screen::say(learn::tell(&user, lesson));
        }
        screen::say(learn::table(&lessons));
    }

    let report = args.out.join("report.html");
    page::page(&page::Story {
        models: &models,
        candidates: &packed,
        runs: &runs,
        user: &user,
        plans: &plans,
        lessons: &lessons,
        board,
    })
    .write(&report)?;
    let good = runs.iter().all(board::Run::is_exact) && lessons.iter().all(|lesson| lesson.is_exact);
    screen::heading(if good { "Done" } else { "NOT as promised: see the tables" });
    screen::say(format_args!("{:.0} s; models in {}", began.elapsed().as_secs_f64(), args.out.display()));
    screen::say(format_args!("report: {}", report.canonicalize().unwrap_or(report).display()));
    Ok(good)
}
