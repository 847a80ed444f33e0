use super::*;
use crate::graph::ops::*;
use crate::graph::{Activation, DType, Sequential};
use crate::image::{self, HostSession, Packed};
use embernet_core::exec::PlanKind;
use embernet_core::memory::view;
use embernet_core::rng::Rng;
use proptest::prelude::*;
use zerocopy::IntoBytes;

mod blocks;
mod fixed;
mod footprint;
mod gradients;
mod int8;
mod memory;
mod operations;
mod parts;
mod rows;
mod sparse;

fn train_options(optimizer: OptimizerRecord, loss: Loss, batch: usize) -> Options {
    Options { train: Some(TrainOptions { optimizer, loss, batch, ..TrainOptions::default() }), ..Options::default() }
}

/// Runs `work` in a scalar session of the graph.
fn session<T>(graph: &Graph, options: &Options, work: impl FnOnce(&Packed, &mut dyn HostSession) -> T) -> T {
    let packed = image::pack(graph, options, None).unwrap();
    let parsed = packed.image().unwrap();
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, options.isa).unwrap();
    work(&packed, session.as_mut())
}

fn random(rng: &mut Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.uniform_f32(-1.0, 1.0)).collect()
}

/// Compares the gradients of all parameters that learn, of a network from 4 values to 3 classes, with what moving
/// each of them does to the loss.
fn check_gradients(graph: &Graph, step: f32, tolerance: f64) {
    check_gradients_of(graph, 3, step, tolerance);
}

/// The same with so many samples, up to 3.
fn check_gradients_of(graph: &Graph, samples: usize, step: f32, tolerance: f64) {
    let options = train_options(OptimizerRecord::sgd(1.0), Loss::SparseCrossEntropy, samples);
    let x = random(&mut Rng::new(9), 4 * samples);
    let labels = &[2u32, 0, 1][..samples];
    let (found, _) = gradients(graph, &options, &x, labels.as_bytes(), samples);
    let apart = gradients(graph, &Options { reuse: false, ..options.clone() }, &x, labels.as_bytes(), samples);
    assert_eq!(apart.0, found, "sharing memory changes no bit");
    let (mut index, statistics) = (0, graph.statistics());
    for id in graph.parameter_tensors().into_iter().filter(|id| graph.tensor(*id).trainable) {
        if statistics.contains(&id) {
            index += graph.tensor(id).elements();
            continue;
        }
        for element in 0..graph.tensor(id).elements() {
            let loss = |step: f32| {
                let mut moved = graph.clone();
                let Some(Data::F32(values)) = &mut moved.tensor_mut(id).data else { panic!() };
                values[element] += step;
                f64::from(gradients(&moved, &options, &x, labels.as_bytes(), samples).1)
            };
            let expected = (loss(step) - loss(-step)) / (2.0 * f64::from(step));
            let error = (expected - f64::from(found[index])).abs();
            assert!(error < tolerance, "{}[{element}]: {} expected {expected}", graph.tensor(id).name, found[index]);
            index += 1;
        }
    }
    assert_eq!(index, found.len());
}

fn activation(g: &mut Graph, name: &str, shape: impl Into<Vec<usize>>) -> TensorId {
    g.add_tensor(Tensor::activation(name, shape, DType::F32))
}

/// Dense layers with a skip connection whose tensor is read three times, all smooth.
fn residual(seed: u64) -> Graph {
    let mut rng = Rng::new(seed);
    let mut g = Graph::new("residual");
    let x = activation(&mut g, "x", [4]);
    g.inputs.push(x);
    let dense = |g: &mut Graph, rng: &mut Rng, name: &str, input: TensorId, units: usize| {
        let inputs = g.tensor(input).elements();
        let w = random(rng, units * inputs);
        let w = g.add_tensor(Tensor::parameter(format!("{name}/kernel"), [units, inputs], Data::F32(w)));
        let b = g.add_tensor(Tensor::parameter(format!("{name}/bias"), [units], Data::F32(random(rng, units))));
        let y = activation(g, &format!("{name}/output"), [units]);
        g.add_node(name, Dense::new(units), &[input, w, b], &[y]);
        y
    };
    let a = dense(&mut g, &mut rng, "a", x, 5);
    let t = activation(&mut g, "t", [5]);
    g.add_node("tanh", Activation::Tanh, &[a], &[t]);
    let b = dense(&mut g, &mut rng, "b", t, 5);
    let sum = activation(&mut g, "sum", [5]);
    g.add_node("sum", Add::default(), &[t, b], &[sum]);
    let twice = activation(&mut g, "twice", [5]);
    g.add_node("twice", Add::default(), &[sum, t], &[twice]);
    let s = activation(&mut g, "s", [5]);
    g.add_node("sigmoid", Activation::Sigmoid, &[twice], &[s]);
    let z = dense(&mut g, &mut rng, "z", s, 3);
    g.outputs.push(z);
    g.validate().unwrap();
    g
}

/// Gradients of all parameters, as SGD with rate 1 shows them, and the loss.
fn gradients(graph: &Graph, options: &Options, x: &[f32], target: &[u8], samples: usize) -> (Vec<f32>, f32) {
    session(graph, options, |_, s| {
        s.input_mut(PlanKind::Train, 0)[..x.len() * 4].copy_from_slice(x.as_bytes());
        s.target_mut()[..target.len()].copy_from_slice(target);
        let before = view::<f32>(s.params()).to_vec();
        let loss = s.train_step(samples).unwrap();
        let after: &[f32] = view(s.params());
        (before.iter().zip(after).map(|(b, a)| b - a).collect(), loss)
    })
}

#[test]
fn gradients_that_meet_agree_with_finite_differences() {
    // The third derivatives are of order 1: an error of about 1e-4 for this step; f32 rounding of the loss adds
    // 1e-7 / 2e-2.
    check_gradients(&residual(2), 1e-2, 3e-4);
}

fn cnn(rng: &mut Rng) -> Graph {
    // Three halvings leave a row.
    let side = 8 + rng.below(4) as usize;
    let channels = 1 + rng.below(3) as usize;
    let mut s = Sequential::new([side, side, channels]);
    let functions = [Activation::Linear, Activation::Relu, Activation::Relu6, Activation::Tanh, Activation::Sigmoid];
    for _ in 0..1 + rng.below(3) {
        let function = functions[rng.below(5) as usize];
        let padding = [Padding::Same, Padding::Valid][rng.below(2) as usize];
        s = match rng.below(6) {
            0 => s.add(Conv2d::new(1 + rng.below(4) as usize, [2, 3]).padding(Padding::Same).activation(function)),
            1 => s.add(DepthwiseConv2d::new([2, 2]).depth_multiplier(2).padding(Padding::Same).activation(function)),
            2 => s.add(MaxPool2d::new([2, 2]).strides([1, 1]).padding(padding)),
            3 => s.add(AveragePool2d::new([2, 2]).strides([1, 1]).padding(padding)),
            4 => s.add(Conv2d::new(3, [3, 2]).padding(Padding::Same).activation(function)).add(MaxPool2d::new([2, 1])),
            _ => s.add(Conv2d::new(2, [1, 1]).activation(function)).add(function),
        };
    }
    s = match rng.below(3) {
        0 => s.add(GlobalAveragePool2d {}),
        1 => s.add(GlobalMaxPool2d {}),
        _ => s.add(Flatten {}),
    };
    s.add(Dense::new(3).activation(Activation::Softmax)).build(u64::from(rng.next_u32())).unwrap()
}

/// Parameters after some training steps, and the outputs then.
fn learn(graph: &Graph, options: &Options, seed: u64) -> (Vec<u8>, Vec<f32>) {
    let batch = options.train.as_ref().unwrap().batch;
    session(graph, options, |_, s| {
        let mut rng = Rng::new(seed);
        let width = s.input_mut(PlanKind::Train, 0).len() / 4 / batch;
        for samples in [batch, 1, batch] {
            let x = random(&mut rng, samples * width);
            s.input_mut(PlanKind::Train, 0)[..x.len() * 4].copy_from_slice(x.as_bytes());
            for label in s.target_mut().chunks_exact_mut(4) {
                label.copy_from_slice(&rng.below(3).to_le_bytes());
            }
            s.train_step(samples).unwrap();
        }
        let x = random(&mut rng, width);
        s.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
        s.infer(1).unwrap();
        (s.params().to_vec(), view(s.output(0)).to_vec())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Sharing memory, working in place and cutting gradients into tiles change no bit.
    #[test]
    fn packing_and_tiling_change_no_bit(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let graph = if rng.below(4) == 0 { residual(seed) } else { cnn(&mut rng) };
        let base = train_options(OptimizerRecord::adam(0.01), Loss::SparseCrossEntropy, 4);
        let packed = learn(&graph, &base, seed);
        prop_assert_eq!(&packed, &learn(&graph, &Options { reuse: false, ..base.clone() }, seed));
        let tile = Some(1 + rng.below(20) as usize);
        prop_assert_eq!(&packed, &learn(&graph, &Options { tile, ..base }, seed));
    }
}

#[test]
fn small_chains_reach_the_lower_bound() {
    let graph = Sequential::new([8, 8, 1])
        .add(Conv2d::new(8, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(16, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(10).activation(Activation::Softmax))
        .build(1)
        .unwrap();
    let program = lower(&graph, &Options::default()).unwrap();
    let layout = &program.infer.layout;
    // The first convolution's output and the pool's: 8x8x8 and 4x4x8 floats.
    assert_eq!((layout.lower_bound, layout.transient_bytes), (2560, 2560));
    assert_eq!(program.persistent_bytes, 0);
    let options = train_options(OptimizerRecord::adam(0.01), Loss::SparseCrossEntropy, 1);
    let program = lower(&graph, &options).unwrap();
    let train = program.train.as_ref().unwrap();
    assert_eq!(program.parameter_bytes, 4 * graph.parameter_count());
    assert_eq!(program.persistent_bytes, 3 * program.parameter_bytes);
    assert_eq!(train.layout.transient_bytes, train.layout.lower_bound);
    // The softmax is inside the loss, and no copy is left.
    let names: Vec<_> = train.records.iter().map(|r| r.name).collect();
    assert!(!names.contains(&"SoftmaxF32") && !names.contains(&"Copy"), "{names:?}");
    // The first layer has no gradient of its input.
    assert_eq!(names.iter().filter(|n| **n == "Conv2dBackwardInputF32").count(), 1);
}

#[test]
fn a_frozen_beginning_is_neither_differentiated_nor_copied_to_ram() {
    let graph = Sequential::new([4])
        .add(Dense::new(8).activation(Activation::Relu))
        .add(Dense::new(8).activation(Activation::Relu))
        .add(Dense::new(3))
        .build(1)
        .unwrap();
    let mut options = train_options(OptimizerRecord::sgd(0.1), Loss::SparseCrossEntropy, 2);
    options.train.as_mut().unwrap().layers = Some("last:1".parse().unwrap());
    let program = lower(&graph, &options).unwrap();
    let names: Vec<_> = program.train.as_ref().unwrap().records.iter().map(|r| r.name).collect();
    assert_eq!(names, ["DenseF32", "DenseF32", "DenseF32", "SoftmaxCrossEntropy", "DenseBackwardWeightsF32"]);
    assert_eq!(program.parameter_bytes, 4 * (8 * 3 + 3));
    options.train.as_mut().unwrap().layers = Some("none".parse().unwrap());
    assert!(matches!(lower(&graph, &options), Err(LowerError::NothingToTrain)));
}

#[test]
fn a_loss_that_needs_the_prediction_later_gets_a_copy() {
    let graph = Sequential::new([2]).add(Dense::new(2).activation(Activation::Sigmoid)).build(1).unwrap();
    let options = train_options(OptimizerRecord::sgd(0.1), Loss::MeanSquaredError, 2);
    let program = lower(&graph, &options).unwrap();
    let names: Vec<_> = program.train.as_ref().unwrap().records.iter().map(|r| r.name).collect();
    assert_eq!(
        names,
        ["DenseF32", "ActivationF32", "Copy", "MeanSquaredError", "ActivationBackwardF32", "DenseBackwardWeightsF32"]
    );
}

#[test]
fn impossible_requests_are_named() {
    let message = |graph: &Graph, options: &Options| lower(graph, options).unwrap_err().to_string();
    let graph = Sequential::new([2]).add(Dense::new(2).activation(Activation::Sigmoid)).build(1).unwrap();
    let sgd = OptimizerRecord::sgd(0.1);
    assert_eq!(
        message(&graph, &train_options(sgd, Loss::SparseCrossEntropy, 2)),
        "loss sparse_cross_entropy cannot follow `sigmoid` (sigmoid): it contains a softmax; end the network with \
         softmax or without activation"
    );
    assert!(message(&graph, &train_options(sgd, Loss::MeanSquaredError, 0)).contains("batch of 0 samples"));
    assert!(message(&graph, &Options { samples: 1 << 40, ..Options::default() }).contains("the format ends at"));
    let mut constant = residual(1);
    constant.outputs = vec![constant.nodes[0].inputs[1]];
    assert!(message(&constant, &Options { reuse: false, ..Options::default() }).contains("nothing would be computed"));
    let mut twice = residual(1);
    let (w, b) = (twice.nodes[2].inputs[1], twice.nodes[2].inputs[2]);
    let t = twice.find_tensor("t").unwrap();
    let again = activation(&mut twice, "again", [5]);
    twice.add_node("again", Dense::new(5), &[t, w, b], &[again]);
    let sum = twice.find_node("sum").unwrap();
    twice.node_mut(sum).inputs[0] = again;
    assert_eq!(
        message(&twice, &train_options(sgd, Loss::SparseCrossEntropy, 2)),
        "`b/kernel` is used by several layers; shared parameters cannot be trained"
    );
}

#[test]
fn an_input_that_is_an_output_too_is_copied() {
    let mut g = Graph::new("renamed");
    let [x, y] = [activation(&mut g, "x", [2, 2]), activation(&mut g, "y", [4])];
    g.add_node("flatten", Flatten {}, &[x], &[y]);
    (g.inputs, g.outputs) = (vec![x], vec![y, x]);
    session(&g, &Options { samples: 2, ..Options::default() }, |packed, s| {
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        s.input_mut(PlanKind::Infer, 0).copy_from_slice(values.as_bytes());
        s.infer(2).unwrap();
        s.input_mut(PlanKind::Infer, 0).fill(0);
        assert_eq!(view::<f32>(s.output(0)), values);
        assert_eq!(view::<f32>(s.output(1)), values);
        assert_eq!(packed.program.infer.records.len(), 2);
    });
}

#[test]
fn two_inputs_of_the_first_step_stay_apart() {
    let mut g = Graph::new("sum");
    let [a, b, y] = ["a", "b", "y"].map(|name| activation(&mut g, name, [3]));
    g.add_node("sum", Add::default(), &[a, b], &[y]);
    (g.inputs, g.outputs) = (vec![a, b], vec![y]);
    session(&g, &Options::default(), |_, s| {
        s.input_mut(PlanKind::Infer, 0).copy_from_slice([1.0f32, 2.0, 3.0].as_bytes());
        s.input_mut(PlanKind::Infer, 1).copy_from_slice([10.0f32, 20.0, 30.0].as_bytes());
        s.infer(1).unwrap();
        assert_eq!(view::<f32>(s.output(0)), [11.0, 22.0, 33.0]);
    });
}
