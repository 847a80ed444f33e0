//! `--fit`: the factors of `firmware/costs.toml`, from what layers take.
//!
//! The int8 layers of the shared models, and of small networks with windows, groups and borders that no shared model
//! has, run in the core's order and in the plain one. For each kind of layer and order the factors are the non-negative
//! ones with the least sum of squared relative errors.

use crate::measure;
use crate::models::Model;
use anyhow::{Context, Result};
use embernet::files;
use embernet::graph::ops::{Conv2d, Dense, DepthwiseConv2d, Flatten, Padding};
use embernet::graph::{Activation, Graph, Sequential, text_table};
use embernet::image::{PackOptions, pack};
use embernet::link::{Board, FirmwareOptions, build_firmware, workspace};
use embernet::lower::loops::{Costs, Driver, Factors, Shape, Token, Unit};
use embernet::quant::{Scheme, quantize};
use embernet_core::arch::IsaId;
use embernet_core::rng::Rng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

const FILE: &str = "firmware/costs.toml";

/// One board for each token.
const BOARDS: [&str; 5] = ["m4", "m55", "m3", "m0-mps2", "rv32"];

/// Sweeps over all factors.
const SWEEPS: usize = 20_000;

/// What a layer took.
struct Sample {
    drivers: Vec<Driver>,
    took: f64,
}

/// By kind, of one order.
type Samples = BTreeMap<String, Vec<Sample>>;

/// Measures, fits, writes the file, and says how well the factors fit.
pub fn run(shared: &[Model]) -> Result<()> {
    let mut graphs: Vec<Graph> = shared.iter().map(|model| model.graph.clone()).collect();
    graphs.extend(small()?);
    let mut costs = Costs::default();
    let mut table = text_table(&["token", "layers", "order", "number", "mean error", "greatest"], 3);
    let graphs = &graphs;
    // One build after the other: they share a target folder.
    let boards = BOARDS.map(Board::named).into_iter().collect::<Result<Vec<_>, _>>()?;
    let programs: Vec<_> =
        boards.iter().map(|board| build_firmware(board, &FirmwareOptions::default())).collect::<Result<_, _>>()?;
    let results: Vec<_> = thread::scope(|scope| {
        let measure = |(board, program): (&&'static Board, PathBuf)| {
            let board = *board;
            scope.spawn(move || (board, samples(board, &program, graphs)))
        };
        let jobs: Vec<_> = boards.iter().zip(programs).map(measure).collect();
        jobs.into_iter().map(|job| job.join().expect("a measurement that ends")).collect()
    });
    for (board, result) in results {
        let [own, plain] = result?;
        for (order, samples) in [("own", &own), ("plain", &plain)] {
            for (kind, samples) in samples {
                let factors = fit(samples);
                let errors: Vec<f64> =
                    samples.iter().map(|sample| (estimate(&factors, sample) / sample.took - 1.0).abs()).collect();
                let mean = errors.iter().sum::<f64>() / errors.len() as f64;
                let greatest = errors.iter().copied().fold(0.0, f64::max);
                let percent = |error: f64| format!("{:.1} %", 100.0 * error);
                let number = samples.len().to_string();
                table.add_row([board.isa.name(), kind, order, &number, &percent(mean), &percent(greatest)]);
            }
        }
        let of = |samples: Samples| samples.into_iter().map(|(kind, samples)| (kind, fit(&samples))).collect();
        let token = Token { board: board.name.clone(), unit: unit(board), own: of(own), plain: of(plain) };
        costs.0.insert(board.isa.name().to_owned(), token);
    }
    println!("{table}");
    let text = toml::to_string(&costs).context("the factors as TOML")?;
    let text = format!(
        "# What loops of int8 layers take; see docs/performance.md. Written by `cargo xtask bench mcu --fit`.\n\n{text}"
    );
    files::write(&workspace().join(FILE), text.as_bytes()).context(FILE)?;
    println!("saved to {FILE}");
    Ok(())
}

/// What is counted on a board.
fn unit(board: &Board) -> Unit {
    if board.cycles.is_some() { Unit::Cycles } else { Unit::Instructions }
}

/// What layers took on a board, in its own order and in the plain one.
fn samples(board: &Board, program: &Path, graphs: &[Graph]) -> Result<[Samples; 2]> {
    let mut samples = [Samples::new(), Samples::new()];
    for graph in graphs {
        for isa in [board.isa, IsaId::Scalar] {
            let packed = pack(graph, &PackOptions { isa, ..PackOptions::default() }, None).context("pack")?;
            let image = packed.image().context("the packed image")?;
            let Ok(counted) = measure::count(board, program, &image) else { continue };
            for (step, count) in image.infer_plan().steps().zip(&counted.steps) {
                let Some((shape, order)) = Shape::of(&step) else { continue };
                let took = if unit(board) == Unit::Cycles { count.cycles } else { Some(count.instructions) };
                let took = took.context("a board whose cycles are estimated")? as f64;
                let of = &mut samples[usize::from(order.is_plain())];
                let sample = Sample { drivers: shape.drivers(order.words), took };
                of.entry(shape.kind().to_owned()).or_default().push(sample);
            }
        }
    }
    Ok(samples)
}

fn estimate(factors: &Factors, sample: &Sample) -> f64 {
    sample.drivers.iter().map(|(name, count)| factors.get(*name).unwrap_or(&0.0) * count).sum()
}

/// Coordinate descent: each factor in turn is the best one for what the others leave, but not below zero.
fn fit(samples: &[Sample]) -> Factors {
    let Some(first) = samples.first() else { return Factors::new() };
    let names: Vec<&str> = first.drivers.iter().map(|(name, _)| *name).collect();
    let rows: Vec<Vec<f64>> =
        samples.iter().map(|sample| sample.drivers.iter().map(|(_, count)| count / sample.took).collect()).collect();
    let mut factors = vec![0.0; names.len()];
    let mut left = vec![1.0; rows.len()];
    for _ in 0..SWEEPS {
        for (column, factor) in factors.iter_mut().enumerate() {
            let square: f64 = rows.iter().map(|row| row[column] * row[column]).sum();
            if square == 0.0 {
                continue;
            }
            let slope: f64 = rows.iter().zip(&left).map(|(row, left)| row[column] * left).sum();
            let better = f64::max(*factor + slope / square, 0.0);
            let change = better - *factor;
            *factor = better;
            left.iter_mut().zip(&rows).for_each(|(left, row)| *left -= change * row[column]);
        }
    }
    // Four digits say all that an estimate knows.
    let round = |factor: f64| format!("{factor:.3e}").parse().unwrap_or(factor);
    let some = names.into_iter().zip(factors).filter(|(_, factor)| *factor > 0.0);
    some.map(|(name, factor)| (name.to_owned(), round(factor))).collect()
}

/// Networks with layers of many shapes.
fn small() -> Result<Vec<Graph>> {
    let conv = |filters, kernel: [usize; 2]| Conv2d::new(filters, kernel).activation(Activation::Relu);
    let depthwise = |kernel: [usize; 2]| DepthwiseConv2d::new(kernel).activation(Activation::Relu);
    let same = Padding::Same;
    let networks = [
        Sequential::new([14, 11, 3])
            .add(conv(5, [5, 3]).padding(same))
            .add(conv(9, [1, 1]))
            .add(conv(6, [3, 3]).strides([2, 2]).padding(same))
            .add(conv(16, [2, 2])),
        Sequential::new([20, 20, 1]).add(conv(8, [7, 7]).strides([2, 2])).add(conv(24, [3, 3])).add(conv(32, [1, 1])),
        Sequential::new([12, 12, 4])
            .add(depthwise([5, 5]).padding(same))
            .add(depthwise([3, 3]).padding(same))
            .add(depthwise([1, 7]))
            .add(depthwise([4, 2])),
        Sequential::new([15, 9, 8])
            .add(depthwise([5, 5]))
            .add(depthwise([3, 3]).strides([2, 2]).padding(same))
            .add(depthwise([3, 3]).dilation([2, 2]).padding(same)),
        Sequential::new([10, 10, 24])
            .add(depthwise([5, 5]).padding(same))
            .add(depthwise([3, 3]).padding(same))
            .add(depthwise([7, 1])),
        Sequential::new([9, 9, 3])
            .add(depthwise([3, 3]).depth_multiplier(4))
            .add(depthwise([2, 2]).depth_multiplier(2)),
        Sequential::new([16, 8, 12]).add(depthwise([3, 3]).depth_multiplier(2).padding(same)).add(depthwise([5, 3])),
        Sequential::new([8, 8, 16])
            .add(conv(16, [3, 3]).groups(4).padding(same))
            .add(conv(24, [1, 1]).groups(2))
            .add(conv(8, [3, 3]).groups(8)),
        Sequential::new([64, 1, 6]).add(conv(12, [9, 1])).add(conv(20, [5, 1]).strides([2, 1])).add(depthwise([5, 1])),
        Sequential::new([6, 6, 10])
            .add(conv(10, [3, 3]).dilation([2, 2]).padding(same))
            .add(Flatten {})
            .add(Dense::new(33))
            .add(Dense::new(7))
            .add(Dense::new(50)),
    ];
    let mut rng = Rng::new(3);
    networks
        .into_iter()
        .map(|network| {
            let graph = network.build(5).context("a network")?;
            let elements = graph.tensor(graph.inputs[0]).elements();
            let samples: Vec<f32> = (0..8 * elements).map(|_| rng.unit_f32()).collect();
            Ok(quantize(&graph, &samples, Scheme::Int8).context("its int8 form")?.graph)
        })
        .collect()
}
