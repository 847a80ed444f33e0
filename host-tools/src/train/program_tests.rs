//! The programs whose speed is measured, on a few samples of noise in place of their data.

use super::{FitOptions, fit};
use crate::experiment::{Experiment, Loss as Wanted, Synthetic};
use crate::graph::Graph;
use crate::lower::Loss;
use std::ops::ControlFlow;
use std::path::Path;

const PROGRAMS: [&str; 8] = ["s0", "s1", "s2", "s3", "s4", "dscnn", "resnet8", "autoencoder"];

/// The program with so little noise that an epoch has two batches, one of them not full.
fn small(program: &str) -> Experiment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments").join(program).with_extension("toml");
    let mut experiment = Experiment::read(&path).unwrap();
    let data = &mut experiment.data;
    let samples = 20.try_into().unwrap();
    match &mut data.synthetic {
        Some(synthetic) => synthetic.samples = samples,
        None if data.csv.is_some() => {}
        none => {
            *none = Some(Synthetic { samples, shape: data.shape.clone(), classes: 10.try_into().unwrap() });
            (data.x, data.y, data.test) = (None, None, None);
        }
    }
    experiment.train.batch = 12.try_into().unwrap();
    experiment
}

/// The same final weights, bit for bit, whatever the number of threads.
#[test]
fn threads_do_not_change_the_weights_of_any_program() {
    for program in PROGRAMS {
        let experiment = small(program);
        let parts = experiment.load().unwrap();
        let run = |threads| -> Graph {
            let mut graph = experiment.build(&parts.train).unwrap();
            let loss = match experiment.loss() {
                Wanted::CrossEntropy => Loss::SparseCrossEntropy,
                Wanted::Mse => Loss::MeanSquaredError,
            };
            let options = FitOptions {
                epochs: 1,
                batch: experiment.train.batch.get(),
                optimizer: experiment.train.optimizer.record(),
                loss,
                shuffle: Some(experiment.shuffle_rng()),
                threads,
                ..FitOptions::default()
            };
            fit(&mut graph, &parts.train, None, &options, &mut |_| ControlFlow::Continue(())).unwrap();
            graph
        };
        let alone = run(1);
        for threads in 2..=4 {
            assert!(run(threads) == alone, "{program}, {threads} threads");
        }
    }
}

/// The experiment on speech, whose data are not in the repository.
#[test]
fn the_network_for_speech_is_built() {
    let Some(sets) = crate::testing::shared("sets") else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/dscnn-speech.toml");
    let mut experiment = Experiment::read(&path).unwrap();
    experiment.data_folder = Some(sets.join("speech_commands_1k"));
    let parts = experiment.load().unwrap();
    assert_eq!((parts.train.shape(), parts.train.labels().outputs()), (&[49, 10, 1][..], 12));
    assert_eq!(parts.train.len() + parts.test.len(), 1000);
    experiment.build(&parts.train).unwrap();
}
