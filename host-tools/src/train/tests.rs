use super::*;
use crate::data::{Axis, Dataset, Labels, Preprocessing, Storage, csv, split};
use crate::experiment::Experiment;
use crate::graph::ops::{
    Activation, AveragePool2d, BatchNorm, Conv2d, Dense, DepthwiseConv2d, Flatten, MaxPool2d, Padding,
};
use crate::graph::{Graph, Sequential};
use crate::lower::{Loss, Precision};
use crate::quant::{Scheme, quantize};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use std::ops::ControlFlow;
use std::path::Path;

pub fn iris() -> (Dataset, Dataset) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/iris.csv");
    let table = csv::read(&path, &csv::CsvOptions::default()).unwrap();
    let all = Dataset::new(vec![4], Storage::F32(table.x), table.labels).unwrap();
    let (mut train, mut test) = split(all, 0.8, true, &mut Rng::new(1)).unwrap();
    let rule = Preprocessing::default().standardised(&train, Axis::Feature);
    train.set_preprocessing(rule.clone());
    test.set_preprocessing(rule);
    (train, test)
}

fn linear() -> Graph {
    Sequential::new([4]).add(Dense::new(10)).add(Dense::new(3)).build(3).unwrap()
}

fn options() -> FitOptions {
    FitOptions { epochs: 30, batch: 10, optimizer: OptimizerRecord::adam(0.01), ..FitOptions::default() }
}

fn go(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_linear_network_learns_iris() {
    let (train, test) = iris();
    let mut graph = linear();
    let mut batches = 0;
    let history = fit(&mut graph, &train, Some(&test), &options(), &mut |event| {
        batches += u32::from(matches!(event, Event::Batch { .. }));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((history.epochs.len(), batches), (30, 30 * 12));
    let last = history.epochs.last().unwrap();
    assert!(last.loss < history.epochs[0].loss / 3.0, "{history:?}");
    assert!(last.val_accuracy.unwrap() >= 0.9, "{history:?}");
    let result = evaluate(&graph, &test, Loss::SparseCrossEntropy, false).unwrap();
    assert_eq!(Some(result.loss), last.val_loss);
    assert_eq!(result.outputs, predict(&graph, &test.x(), false).unwrap());
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let (train, _) = iris();
    let run = |exact| {
        let mut graph = linear();
        fit(&mut graph, &train, None, &FitOptions { epochs: 3, exact, ..options() }, &mut go).unwrap();
        graph
    };
    assert_eq!(run(true), run(true));
    assert_eq!(run(false), run(false));
}

#[test]
fn threads_do_not_change_the_weights() {
    // Large enough that all layers are shared.
    let layers = Sequential::new([24, 24, 3])
        .add(Conv2d::new(16, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(DepthwiseConv2d::new([3, 3]).activation(Activation::Relu))
        .add(AveragePool2d::new([2, 2]))
        .add(Conv2d::new(40, [3, 3]).strides([2, 2]).activation(Activation::Sigmoid))
        .add(Conv2d::new(32, [1, 1]))
        .add(Flatten {})
        .add(Dense::new(96).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax));
    let mut rng = Rng::new(5);
    let x = (0..40 * 24 * 24 * 3).map(|_| rng.uniform_f32(-1.0, 1.0)).collect();
    let ids = (0..40).map(|i| i % 10).collect();
    let labels = Labels::Class { ids, names: vec![String::new(); 10] };
    let data = Dataset::new(vec![24, 24, 3], Storage::F32(x), labels).unwrap();
    for exact in [false, true] {
        let run = |threads| {
            let mut graph = layers.build(3).unwrap();
            let options = FitOptions { epochs: 2, batch: 32, exact, threads, ..options() };
            fit(&mut graph, &data, Some(&data), &options, &mut go).unwrap();
            graph
        };
        let alone = run(1);
        for threads in 2..=4 {
            assert_eq!(alone, run(threads), "exact {exact}, {threads} threads");
        }
    }
}

#[test]
fn one_hot_targets_train_as_classes_do() {
    let (train, _) = iris();
    let run = |loss, data: &Dataset| {
        let mut graph = linear();
        fit(&mut graph, data, None, &FitOptions { epochs: 3, loss, exact: true, ..options() }, &mut go).unwrap();
        graph
    };
    let sparse = run(Loss::SparseCrossEntropy, &train);
    assert_eq!(sparse, run(Loss::CrossEntropy, &train));
    assert_eq!(sparse, run(Loss::CrossEntropy, &train.clone().one_hot()));
}

#[test]
fn regression_finds_a_line() {
    let x: Vec<f32> = (0..200).map(|i| (i as f32 - 100.0) / 50.0).collect();
    let values = x.iter().map(|x| 3.0 * x - 1.0).collect();
    let data = Dataset::new(vec![1], Storage::F32(x), Labels::Values { values, width: 1 }).unwrap();
    let mut graph = Sequential::new([1]).add(Dense::new(1)).build(1).unwrap();
    let options = FitOptions {
        epochs: 40,
        batch: 20,
        optimizer: OptimizerRecord::momentum(0.05, 0.9, true),
        loss: Loss::MeanSquaredError,
        ..options()
    };
    fit(&mut graph, &data, None, &options, &mut go).unwrap();
    let y = predict(&graph, &[0.0, 1.0], false).unwrap();
    assert!((y[0] + 1.0).abs() < 1e-3 && (y[1] - 2.0).abs() < 1e-3, "{y:?}");
}

#[test]
fn a_caller_can_stop() {
    let (train, _) = iris();
    let mut graph = linear();
    let history = fit(&mut graph, &train, None, &options(), &mut |event| match event {
        Event::Epoch(e) if e.epoch == 2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert_ne!(graph, linear());
}

#[test]
fn divergence_names_the_step_and_leaves_the_graph() {
    let (train, _) = iris();
    let mut graph = linear();
    let options = FitOptions { optimizer: OptimizerRecord::sgd(1e30), ..options() };
    let error = fit(&mut graph, &train, None, &options, &mut go).unwrap_err().to_string();
    assert!(error.contains("epoch 1, batch") && error.contains("step DenseF32 of layer `dense"), "{error}");
    assert_eq!(graph, linear());
}

/// Blocks of integers are always finite: their exponents tell.
#[test]
fn divergence_in_fixed_point_names_the_step() {
    let (train, _) = iris();
    let mut graph = linear();
    let optimizer = OptimizerRecord::sgd(1e10);
    let options = FitOptions { optimizer, precision: Precision::Fixed16, epochs: 100, ..options() };
    let error = fit(&mut graph, &train, None, &options, &mut go).unwrap_err().to_string();
    assert!(error.contains("training diverged in epoch "), "{error}");
    assert!(error.contains("Fixed of layer `dense") && error.contains("gave the first value beyond 2^63"), "{error}");
    assert_eq!(graph, linear());
}

/// Dense layers with batch normalisation, one of them before anything else.
fn normalised() -> Graph {
    Sequential::new([4])
        .add(BatchNorm::new())
        .add(Dense::new(16).use_bias(false))
        .add(BatchNorm { momentum: 0.9, ..BatchNorm::new().activation(Activation::Relu) })
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(3)
        .unwrap()
}

#[test]
fn a_normalised_network_learns_and_infers_with_what_it_kept() {
    let (train, test) = iris();
    let mut graph = normalised();
    let history = fit(&mut graph, &train, Some(&test), &options(), &mut go).unwrap();
    let last = history.epochs.last().unwrap();
    assert!(last.val_accuracy.unwrap() >= 0.9, "{history:?}");
    // The training image normalises with the kept statistics, the other one is folded.
    let folded = evaluate(&graph, &test, Loss::SparseCrossEntropy, false).unwrap();
    assert!((folded.loss - last.val_loss.unwrap()).abs() < 1e-5, "{} {last:?}", folded.loss);
    // The kept mean of data that come standardised is near 0; its variance is that of small batches.
    let values = |name: &str| graph.tensor(graph.find_tensor(name).unwrap()).data.clone().unwrap();
    let mean = values("batch_norm/moving_mean");
    assert!(mean.as_f32().unwrap().iter().all(|mean| mean.abs() < 0.3 && *mean != 0.0), "{mean:?}");

    let calibration = train.x();
    let int8 = quantize(&graph, &calibration, Scheme::Int8).unwrap().graph;
    let int8 = evaluate(&int8, &test, Loss::SparseCrossEntropy, false).unwrap().accuracy.unwrap();
    assert!(int8 >= folded.accuracy.unwrap() - 0.07, "{int8} {:?}", folded.accuracy);
}

#[test]
fn frozen_normalisation_keeps_its_statistics() {
    let (train, _) = iris();
    let mut graph = normalised();
    let before = graph.clone();
    // The first dense layer learns through a normalisation that does not.
    let options = FitOptions { layers: Some("dense".parse().unwrap()), epochs: 2, ..options() };
    fit(&mut graph, &train, None, &options, &mut go).unwrap();
    let values = |g: &Graph, name: &str| g.tensor(g.find_tensor(name).unwrap()).data.clone();
    for name in ["batch_norm/moving_mean", "batch_norm_1/gamma", "batch_norm_1/moving_variance", "dense_1/kernel"] {
        assert_eq!(values(&graph, name), values(&before, name), "{name}");
    }
    assert_ne!(values(&graph, "dense/kernel"), values(&before, "dense/kernel"));
}

/// Stops after so many batches, and otherwise only counts.
struct StopAfter(usize);

impl Watch for StopAfter {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        if matches!(event, Event::Batch { .. }) {
            self.0 = self.0.saturating_sub(1);
        }
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let (train, test) = iris();
    let options = FitOptions { epochs: 6, ..options() };
    let mut whole = normalised();
    let expected = fit_from(&mut whole, &train, Some(&test), &options, None, &mut StopAfter(1 << 20)).unwrap();
    assert!(expected.finished);
    // Within an epoch, at its last batch, and within the first one.
    for batches in [30, 24, 5] {
        let mut graph = normalised();
        let part = fit_from(&mut graph, &train, Some(&test), &options, None, &mut StopAfter(batches)).unwrap();
        assert!(!part.finished);
        assert_eq!((part.history.epochs.len(), part.state.batch), (batches / 12, batches % 12));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        part.state.save(&path, &Default::default()).unwrap();
        let state = TrainState::load(&path).unwrap().0;
        let mut graph = normalised();
        let rest = fit_from(&mut graph, &train, Some(&test), &options, Some(state), &mut StopAfter(1 << 20)).unwrap();
        assert_eq!(graph, whole, "after {batches} batches");
        let without_clock = |fitted: &Fitted| {
            let rows = fitted.history.epochs.iter();
            rows.map(|epoch| history::Epoch { seconds: 0.0, ..*epoch }).collect::<Vec<_>>()
        };
        assert_eq!(without_clock(&rest), without_clock(&expected));
        assert_eq!(rest.state.optimizer, expected.state.optimizer);
    }
    let mut other = Sequential::new([4]).add(Dense::new(3)).build(1).unwrap();
    let error = fit_from(&mut other, &train, None, &options, Some(expected.state), &mut StopAfter(1)).unwrap_err();
    assert!(error.to_string().contains("bytes of parameters; this network has 60"), "{error}");
}

#[test]
fn an_autoencoder_learns_its_input() {
    let (train, test) = iris();
    let (train, test) = (train.label_with_samples(), test.label_with_samples());
    let mut graph = Sequential::new([4]).add(Dense::new(3)).add(Dense::new(4)).build(1).unwrap();
    let options = FitOptions { loss: Loss::MeanSquaredError, ..options() };
    let history = fit(&mut graph, &train, Some(&test), &options, &mut go).unwrap();
    let last = history.epochs.last().unwrap();
    // Three numbers hold nearly all of iris' variance, which is 1.
    assert!(last.loss < 0.15 && last.val_loss.unwrap() < 0.15, "{last:?}");
    assert_eq!(evaluate(&graph, &test, Loss::MeanSquaredError, false).unwrap().loss, last.val_loss.unwrap());
}

#[test]
fn data_that_do_not_fit_are_refused() {
    let (train, _) = iris();
    let error = |mut graph: Graph, data: &Dataset, loss| {
        fit(&mut graph, data, None, &FitOptions { loss, ..options() }, &mut go).unwrap_err().to_string()
    };
    let wide = Sequential::new([5]).add(Dense::new(3)).build(0).unwrap();
    assert_eq!(error(wide, &train, Loss::SparseCrossEntropy), "samples have shape 4, the network takes 5");
    let narrow = Sequential::new([4]).add(Dense::new(2)).build(0).unwrap();
    assert_eq!(error(narrow, &train, Loss::SparseCrossEntropy), "the labels have 3 classes; the network has 2 outputs");
    let error = error(linear(), &train.clone().one_hot(), Loss::SparseCrossEntropy);
    assert!(error.starts_with("the labels are numbers; loss sparse_cross_entropy needs classes"), "{error}");
    assert!(predict(&linear(), &[0.0; 5], false).is_err());
}

#[test]
fn frozen_layers_stay() {
    let (train, _) = iris();
    let mut graph = linear();
    let options = FitOptions { layers: Some("last:1".parse().unwrap()), epochs: 2, ..options() };
    fit(&mut graph, &train, None, &options, &mut go).unwrap();
    let values = |g: &Graph, name: &str| g.tensor(g.find_tensor(name).unwrap()).data.clone();
    let before = linear();
    assert_eq!(values(&graph, "dense/kernel"), values(&before, "dense/kernel"));
    assert_ne!(values(&graph, "dense_1/kernel"), values(&before, "dense_1/kernel"));
    // Which layers learned is a matter of this run; the graph keeps its own marks.
    assert!(graph.tensor(graph.find_tensor("dense/kernel").unwrap()).trainable);
}

/// The networks: at least 0.93 and 0.97 of the test set, in int8 within 0.01 of f32.
#[test]
fn iris_and_digits_reach_their_accuracy_in_f32_and_int8() {
    for (name, least) in [("iris", 0.93), ("digits", 0.97)] {
        let path = format!("{}/../experiments/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let experiment = Experiment::read(Path::new(&path)).unwrap();
        let parts = experiment.load().unwrap();
        let mut graph = experiment.build(&parts.train).unwrap();
        let options = FitOptions {
            epochs: experiment.train.epochs.get() as u32,
            batch: experiment.train.batch.get(),
            optimizer: experiment.train.optimizer.record(),
            shuffle: Some(experiment.shuffle_rng()),
            ..FitOptions::default()
        };
        fit(&mut graph, &parts.train, None, &options, &mut go).unwrap();
        let accuracy =
            |graph: &Graph| evaluate(graph, &parts.test, Loss::SparseCrossEntropy, false).unwrap().accuracy.unwrap();
        let float = accuracy(&graph);
        let calibration = parts.train.select(&(0..100).collect::<Vec<_>>()).x();
        let int8 = accuracy(&quantize(&graph, &calibration, Scheme::Int8).unwrap().graph);
        assert!(float >= least && int8 >= least.min(float - 0.01), "{name}: f32 {float}, int8 {int8}");
        eprintln!("{name}: f32 {float}, int8 {int8}");
    }
}
