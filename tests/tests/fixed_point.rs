//! Training in 16-bit fixed point is as good as in floats.

use embernet::data::Dataset;
use embernet::experiment::{Experiment, Optimizer};
use embernet::graph::ops::{Conv2d, Dense, Flatten, MaxPool2d, Padding};
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
fn compare(
    (data, network): (&str, &dyn Fn(u64) -> Graph),
    (rule, batch, epochs): (Optimizer, usize, u32),
    seeds: u64,
) -> [(f64, f64); 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments").join(data);
    let parts = Experiment::read(&path).unwrap().load().unwrap();
    [Precision::F32, Precision::Fixed16].map(|precision| {
        let of = |seed: u64| {
            let options = FitOptions {
                epochs,
                batch,
                optimizer: rule.record(),
                shuffle: Some(Rng::with_stream(seed, 2)),
                exact: true,
                precision,
                ..FitOptions::default()
            };
            trained(network(seed), [&parts.train, &parts.test], &options)
        };
        let all: Vec<(f64, f64)> = (0..seeds).map(of).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / seeds as f64;
        (mean(|one| one.0), mean(|one| one.1))
    })
}

fn seeds(default: u64) -> u64 {
    std::env::var("EMBERNET_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// The network of `experiments/digits.toml`.
fn convolutional(seed: u64) -> Graph {
    let conv = |filters| Conv2d::new(filters, [3, 3]).padding(Padding::Same).activation(Activation::Relu);
    Sequential::new([8, 8, 1])
        .add(conv(8))
        .add(MaxPool2d::new([2, 2]))
        .add(conv(16))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(10).activation(Activation::Softmax))
        .build(seed)
        .unwrap()
}

#[test]
fn digits_are_learned_as_well_as_in_floats() {
    for (name, rule) in [("sgd", Optimizer::sgd(0.05)), ("adam", Optimizer::adam(0.005))] {
        let net: (&str, &dyn Fn(u64) -> Graph) = ("digits.toml", &convolutional);
        let [(accuracy, loss), (fixed_accuracy, fixed_loss)] = compare(net, (rule, 16, 8), seeds(1));
        println!("digits, {name}: accuracy {fixed_accuracy:.4}, loss {fixed_loss:.4}; in f32 {accuracy:.4}, {loss:.4}");
        assert!(fixed_accuracy > 0.9, "{name}: {fixed_accuracy}");
        assert!((fixed_accuracy - accuracy).abs() <= 0.02, "{name}: {fixed_accuracy}, in f32 {accuracy}");
    }
}

/// The goal is 0.02; over more seeds (`EMBERNET_SEEDS`) they are nearer.
#[test]
fn iris_is_learned_as_well_as_in_floats() {
    let seeds = seeds(3);
    let rules = [
        ("sgd", Optimizer::sgd(0.05)),
        ("momentum", Optimizer::momentum(0.01, 0.9, false)),
        ("nesterov", Optimizer::momentum(0.01, 0.9, true)),
        ("adam", Optimizer::adam(0.005)),
    ];
    for hidden in [&[10, 10][..], &[16]] {
        for (name, rule) in rules {
            for batch in [1, 10] {
                let epochs = if batch == 1 { 10 } else { 40 };
                let net: (&str, &dyn Fn(u64) -> Graph) = ("iris.toml", &|seed| network(seed, hidden));
                let [(accuracy, loss), (fixed_accuracy, fixed_loss)] = compare(net, (rule, batch, epochs), seeds);
                let what = format!("4-{hidden:?}-3, {name}, batches of {batch}");
                println!("{what}: accuracy {fixed_accuracy:.4}, loss {fixed_loss:.4}; in f32 {accuracy:.4}, {loss:.4}");
                assert!((fixed_accuracy - accuracy).abs() <= 0.02, "{what}: {fixed_accuracy}, in f32 {accuracy}");
            }
        }
    }
}
