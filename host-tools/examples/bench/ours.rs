//! Our side: the command's own training loop and sessions, timed.

use anyhow::Result;
use embernet::experiment::{Experiment, Loss as Wanted, Parts};
use embernet::graph::Graph;
use embernet::image::{self, PackOptions, pack};
use embernet::lower::Loss;
use embernet::train::{Event, FitOptions, fit};
use embernet_core::arch::{Processor, Threads};
use embernet_core::exec::PlanKind;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// A program, ready to be trained again and again from the same start.
pub struct Ours {
    parts: Parts,
    graph: Graph,
    options: FitOptions,
}

/// The experiment's settings.
pub fn options(experiment: &Experiment) -> FitOptions {
    let loss = match experiment.loss() {
        Wanted::CrossEntropy => Loss::SparseCrossEntropy,
        Wanted::Mse => Loss::MeanSquaredError,
    };
    FitOptions {
        batch: experiment.train.batch.get(),
        optimizer: experiment.train.optimizer.record(),
        loss,
        shuffle: Some(experiment.shuffle_rng()),
        ..FitOptions::default()
    }
}

/// Batches before the clock starts.
const WARM_UP: usize = 3;

impl Ours {
    pub fn load(experiment: &Experiment) -> Result<Self> {
        let parts = experiment.load()?;
        let graph = experiment.build(&parts.train)?;
        let options = FitOptions { epochs: u32::MAX, ..options(experiment) };
        Ok(Self { parts, graph, options })
    }

    /// Floating-point operations of one training sample in layers with weights: forward, gradient of the input (the
    /// first layer has none) and gradient of the weights, two for each multiply-add.
    pub fn training_flops(&self) -> f64 {
        let macs: Vec<u64> = self.graph.nodes.iter().map(|node| self.graph.node_macs(node)).collect();
        let first = macs.iter().copied().find(|macs| *macs > 0).unwrap_or(0);
        2.0 * (3 * macs.iter().sum::<u64>() - first) as f64
    }

    /// Samples per second of the training loop, shuffling and batch assembly included.
    pub fn train(&self, threads: usize, seconds: f64) -> Result<f64> {
        let options = FitOptions { threads, ..self.options.clone() };
        let (mut done, mut began) = (0, Instant::now());
        let mut counted = 0;
        let mut elapsed = Duration::ZERO;
        let rows = self.parts.train.len();
        fit(&mut self.graph.clone(), &self.parts.train, None, &options, &mut |event| {
            if let Event::Batch { batch, batches, .. } = event {
                done += 1;
                if done == WARM_UP {
                    began = Instant::now();
                } else if done > WARM_UP {
                    let full = options.batch;
                    counted += if batch == batches { rows - (batches - 1) * full } else { full };
                    elapsed = began.elapsed();
                    if elapsed.as_secs_f64() >= seconds {
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(counted as f64 / elapsed.as_secs_f64().max(1e-9))
    }

    /// How long each step of an update takes.
    pub fn steps(&self, threads: usize) -> Result<String> {
        crate::steps::table(&self.graph, &self.parts.train, &self.options, threads)
    }

    /// Microseconds of one inference of one sample: the median of some thousand.
    pub fn infer(&self, threads: usize) -> Result<f64> {
        let isa = image::host_isa(false);
        let packed = pack(&self.graph, &PackOptions { isa, ..PackOptions::default() }, None)?;
        let parsed = packed.image()?;
        let mut arena = image::arena_for(&parsed);
        let processor = Processor { isa, threads: Threads::new(threads) };
        let mut session = image::open(&parsed, &mut arena, processor)?;
        let x = self.parts.test.gather(&[0]);
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) || times.len() < 50 {
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
            let start = Instant::now();
            session.infer(1)?;
            times.push(start.elapsed().as_nanos());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2] as f64 / 1e3)
    }
}
