//! Training in 16-bit fixed point is as good as in floats.

use embernet::data::Dataset;
use embernet::experiment::{Experiment, Optimizer};
use embernet::graph::ops::Dense;
use embernet::graph::{Activation, Graph, Sequential};
use embernet::image::{Loss, Precision};
use embernet::train::{Event, FitOptions, evaluate, fit};
use embernet_core::rng::Rng;
use std::ops::ControlFlow;
use std::path::Path;

fn network(seed: u64, hidden: &[usize]) -> Graph {
    let mut net = Sequential::new([4]);
    for units in hidden {
        net = net.add(Dense::new(*units).activation(Activation::Relu));
    }
    net.add(Dense::new(3).activation(Activation::Softmax)).build(seed).unwrap()
}

/// Test accuracy and loss after training.
fn trained(mut graph: Graph, [train, test]: [&Dataset; 2], options: &FitOptions) -> (f64, f64) {
    fit(&mut graph, train, None, options, &mut |_: Event| ControlFlow::Continue(())).unwrap();
    let verdict = evaluate(&graph, test, Loss::SparseCrossEntropy, true).unwrap();
    (verdict.accuracy.unwrap(), verdict.loss)
}

/// Mean test accuracy and loss over the seeds, in floats and in fixed point.
fn compare(hidden: &[usize], rule: Optimizer, batch: usize, seeds: u64) -> [(f64, f64); 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/iris.toml");
    let parts = Experiment::read(&path).unwrap().load().unwrap();
    [Precision::F32, Precision::Fixed16].map(|precision| {
        let of = |seed: u64| {
            let options = FitOptions {
                epochs: if batch == 1 { 10 } else { 40 },
                batch,
                optimizer: rule.record(),
                shuffle: Some(Rng::with_stream(seed, 2)),
                exact: true,
                precision,
                ..FitOptions::default()
            };
            trained(network(seed, hidden), [&parts.train, &parts.test], &options)
        };
        let all: Vec<(f64, f64)> = (0..seeds).map(of).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / seeds as f64;
        (mean(|one| one.0), mean(|one| one.1))
    })
}

/// The goal is 0.02; over more seeds (`EMBERNET_SEEDS`) they are nearer.
#[test]
fn iris_is_learned_as_well_as_in_floats() {
    let seeds = std::env::var("EMBERNET_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let rules = [
        ("sgd", Optimizer::sgd(0.05)),
        ("momentum", Optimizer::momentum(0.01, 0.9, false)),
        ("nesterov", Optimizer::momentum(0.01, 0.9, true)),
        ("adam", Optimizer::adam(0.005)),
    ];
    for hidden in [&[10, 10][..], &[16]] {
        for (name, rule) in rules {
            for batch in [1, 10] {
                let [(accuracy, loss), (fixed_accuracy, fixed_loss)] = compare(hidden, rule, batch, seeds);
                let what = format!("4-{hidden:?}-3, {name}, batches of {batch}");
                println!("{what}: accuracy {fixed_accuracy:.4}, loss {fixed_loss:.4}; in f32 {accuracy:.4}, {loss:.4}");
                assert!((fixed_accuracy - accuracy).abs() <= 0.02, "{what}: {fixed_accuracy}, in f32 {accuracy}");
            }
        }
    }
}
