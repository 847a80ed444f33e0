//! 16-bit fixed point: what learns in it learns what floats do, but for rounding.

use super::gradients::Net;
use super::*;
use crate::image::apply_params;

const SAMPLES: usize = 4;

/// The graph after so many updates in these numbers, and its last losses; every update has [`SAMPLES`] of `width`
/// values, in as many passes as the optimiser says.
fn learned(
    graph: &Graph,
    layers: &str,
    optimizer: OptimizerRecord,
    precision: Precision,
    updates: u64,
) -> (Graph, f64) {
    let passes = optimizer.passes as usize;
    let mut options = train_options(optimizer, Loss::SparseCrossEntropy, SAMPLES / passes);
    options.precision = precision;
    options.train.as_mut().unwrap().layers = Some(layers.parse().unwrap());
    session(graph, &options, |packed, session| {
        let width = graph.tensor(graph.inputs[0]).elements();
        let mut total = 0.0;
        for update in 0..updates {
            let mut rng = Rng::new(40 + update);
            let x = random(&mut rng, SAMPLES * width);
            let labels: Vec<u32> = (0..SAMPLES).map(|_| rng.below(3)).collect();
            for (x, labels) in x.chunks(x.len() / passes).zip(labels.chunks(SAMPLES / passes)) {
                session.input_mut(PlanKind::Train, 0)[..4 * x.len()].copy_from_slice(x.as_bytes());
                session.target_mut()[..4 * labels.len()].copy_from_slice(labels.as_bytes());
                total += f64::from(session.train_step(labels.len()).unwrap());
            }
        }
        let mut after = graph.clone();
        apply_params(&mut after, &packed.image().unwrap(), session.params()).unwrap();
        (after, total / (updates * passes as u64) as f64)
    })
}

/// Both numbers learn the same: the greatest difference of any parameter, beside the greatest change.
fn assert_alike(graph: &Graph, layers: &str, optimizer: OptimizerRecord, updates: u64, most: f32) {
    let float = optimizer.with_passes(1);
    let (expected, expected_loss) = learned(graph, layers, float, Precision::F32, updates);
    let (found, loss) = learned(graph, layers, optimizer, Precision::Fixed16, updates);
    let values = |graph: &Graph| -> Vec<f32> {
        let all = graph.tensors.iter().filter_map(|t| t.data.as_ref().and_then(Data::as_f32));
        all.flatten().copied().collect()
    };
    let (before, expected, found) = (values(graph), values(&expected), values(&found));
    let greatest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let (apart, moved) = (greatest(&expected, &found), greatest(&before, &expected));
    println!("{layers}: {apart} apart, {moved} moved; losses {loss} and {expected_loss}");
    assert!(apart < most && moved > 10.0 * most, "{layers}: {apart} apart, {moved} moved");
    assert!((loss - expected_loss).abs() < 0.01, "{layers}: losses {loss} and {expected_loss}");
}

/// Weights have 14 bits: below 1 in size, and rounded at random with each update.
const NEAR: f32 = 1e-3;

#[test]
fn sums_of_branches() {
    let mut net = Net::new(6);
    let first = net.node("relu", Activation::Relu, &[net.last])[0];
    let second = net.node("second", Dense::new(6), &[first])[0];
    let sum = net.node("sum", Add { activation: Activation::Relu6 }, &[first, second])[0];
    let third = net.node("third", Dense::new(6), &[sum])[0];
    let difference = net.node("difference", Sub { activation: Activation::Linear }, &[third, first])[0];
    // Read twice, and added to itself.
    let twice = net.node("twice", Add::default(), &[difference, difference])[0];
    net.last = net.node("limited", Activation::ReluN1To1, &[twice])[0];
    assert_alike(&net.finish(), "all", OptimizerRecord::sgd(0.1), 3, NEAR);
}

#[test]
fn movements() {
    let mut net = Net::new(12);
    let grid = net.node("grid", Reshape::new([2, 3, 2]), &[net.last])[0];
    let turned = net.node("turned", Transpose { perm: vec![1, 0, 2] }, &[grid])[0];
    let (before, after) = (vec![1, 0, 0], vec![0, 1, 0]);
    let padded = net.node("padded", Pad { before, after, value: 0.0 }, &[turned])[0];
    let small = net.node("small", AveragePool2d::new([2, 2]), &[padded])[0];
    let taken =
        net.node("taken", Slice { begin: vec![3, 0, 0], size: vec![2, 1, 2], stride: vec![-2, 1, 1] }, &[padded])[0];
    let pooled = net.node("pooled", MaxPool2d::new([1, 2]).strides([2, 2]), &[padded])[0];
    net.last = net.node("joined", Concat { axis: 2 }, &[small, taken, pooled])[0];
    assert_alike(&net.finish(), "all", OptimizerRecord::sgd(0.1), 3, NEAR);
}

fn net() -> Graph {
    Sequential::new([5, 5, 2])
        .add(Conv2d::new(4, [3, 3]).activation(Activation::Relu))
        .add(Conv2d::new(5, [1, 1]).activation(Activation::Relu6))
        .add(Flatten {})
        .add(Dense::new(6).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(3)
        .unwrap()
}

#[test]
fn channels_and_adapters() {
    let sgd = OptimizerRecord::sgd(0.1);
    for layers in ["conv2d:channels=1+3,dense:channels=0-2", "conv2d_1:channels=0-3,dense_1", "last:1:channels=2"] {
        assert_alike(&net(), layers, sgd, 5, NEAR);
    }
    // Products of two learned matrices.
    for layers in ["dense:lora=2,dense_1", "conv2d_1:lora=3,dense_1:bias"] {
        assert_alike(&net(), layers, sgd, 5, 2.0 * NEAR);
    }
}

#[test]
fn passes_that_make_one_update() {
    for passes in [2, 4] {
        for optimizer in [OptimizerRecord::sgd(0.1), OptimizerRecord::momentum(0.05, 0.9, true)] {
            assert_alike(&net(), "all", optimizer.with_passes(passes), 5, NEAR);
        }
    }
}

#[test]
fn adagrad() {
    assert_alike(&net(), "all", OptimizerRecord::adagrad(0.05), 8, NEAR);
    assert_alike(&net(), "last:2", OptimizerRecord::adagrad(0.05).with_passes(2), 8, NEAR);
}

#[test]
fn what_has_no_form_is_refused() {
    let refused = |net: Net, optimizer: OptimizerRecord| {
        let mut options = train_options(optimizer, Loss::SparseCrossEntropy, 1);
        options.precision = Precision::Fixed16;
        lower(&net.finish(), &options).unwrap_err().to_string()
    };
    let sgd = OptimizerRecord::sgd(0.1);
    let border = Pad { before: vec![1], after: vec![0], value: 0.5 };
    let of_two = |columns: usize| {
        let mut net = Net::new(6);
        let second = net.node("second", Dense::new(columns), &[net.graph.inputs[0]])[0];
        net.last = net.node("two", Add::default(), &[net.last, second])[0];
        net
    };
    assert!(refused(of_two(1), sgd).contains("inputs of different shapes in 16-bit fixed point"));
    let mut net = Net::new(6);
    net.layer("border", border);
    assert!(refused(net, sgd).contains("a border of other than zeros in 16-bit fixed point"));
    let mut net = Net::new(6);
    net.layer("curve", Activation::Tanh);
    assert!(refused(net, sgd).contains("16-bit fixed point"));
    let narrow = sgd.with_state(embernet_core::optim::state::StateFormat::Bf16);
    assert!(refused(of_two(6), narrow).contains("another format of state than 16-bit fixed point has"));
}
