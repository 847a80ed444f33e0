//! Where the time of an update goes: every step of the training plan, timed.

use anyhow::{Context, Result};
use embernet::data::Dataset;
use embernet::graph::{Graph, text_table};
use embernet::image::{self, PackOptions, TrainOptions, pack};
use embernet::lower::Loss;
use embernet::train::FitOptions;
use embernet_core::arch::{Processor, Threads};
use embernet_core::exec::PlanKind;
use embernet_core::memory::view_mut;
use std::time::Instant;

/// Updates before the clock starts.
const WARM_UP: usize = 20;
/// Updates that are timed; the table shows the median of each step.
const TIMED: usize = 200;

/// A table of the steps of one update on the first samples of `data`, with the bytes that each touches.
pub fn table(graph: &Graph, data: &Dataset, options: &FitOptions, threads: usize) -> Result<String> {
    let isa = image::host_isa(options.exact);
    let train = TrainOptions {
        optimizer: options.optimizer,
        loss: options.loss,
        batch: options.batch,
        layers: options.layers.clone(),
        ..TrainOptions::default()
    };
    let pack_options = PackOptions { samples: options.batch, isa, train: Some(train), ..PackOptions::default() };
    let packed = pack(graph, &pack_options, None)?;
    let parsed = packed.image()?;
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, Processor { isa, threads: Threads::new(threads) })?;
    let rows: Vec<u32> = (0..options.batch as u32).collect();
    let count = packed.program.train.as_ref().context("no training plan")?.steps.len();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); count];
    let mut totals = Vec::new();
    let mut about = vec![(String::new(), 0.0); count];
    for update in 0..WARM_UP + TIMED {
        data.gather_into(&rows, view_mut(session.input_mut(PlanKind::Train, 0)));
        match options.loss {
            Loss::SparseCrossEntropy => data.labels().ids_into(&rows, view_mut(session.target_mut())),
            _ => data.targets_into(&rows, view_mut(session.target_mut())),
        }
        let began = Instant::now();
        let mut last = began;
        session.train_step_observed(rows.len(), &mut |index, step, _| {
            let now = Instant::now();
            if update >= WARM_UP {
                times[index].push((now - last).as_secs_f64() * 1e6);
            } else {
                let Some(step) = step.decode() else { return };
                let bytes: usize = step.operands(rows.len()).as_slice().iter().map(|o| o.bytes).sum();
                let layer = packed.metadata.train_layer(index).map_or("", |layer| layer.name.as_str());
                about[index] = (format!("{layer} {}", step.name()), bytes as f64 / 1e6);
            }
            last = Instant::now();
        })?;
        if update >= WARM_UP {
            totals.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    let mut table = text_table(&["step", "median us", "MB touched"], 1);
    for ((name, bytes), times) in about.iter().zip(&mut times) {
        table.add_row([name.clone(), format!("{:.0}", median(times)), format!("{bytes:.2}")]);
    }
    table.add_row(["whole update".to_owned(), format!("{:.0}", median(&mut totals)), String::new()]);
    Ok(table.to_string())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
