//! 100,000 damaged images: each is refused with a typed error or runs like any other; no panic, no hang, nothing
//! outside the arena.

use embernet::graph::ops::{
    Activation, Add, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Flatten, MaxPool2d, Padding,
};
use embernet::graph::{DType, Graph, Sequential, Tensor};
use embernet::image::{Loss, PackOptions, TrainOptions, pack};
use embernet::quant::{Scheme, quantize};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::robust;

const ROUNDS: u32 = 100_000;

fn network() -> Graph {
    let mut graph = Sequential::new([6, 6, 2])
        .add(Conv2d::new(3, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).activation(Activation::Relu6))
        .add(MaxPool2d::new([2, 2]))
        .add(AveragePool2d::new([2, 1]))
        .add(Flatten {})
        .add(Dense::new(5).activation(Activation::Tanh))
        .build(1)
        .expect("a chain");
    // A branch that comes together again, and softmax at the end.
    let last = graph.outputs[0];
    let sum = graph.add_tensor(Tensor::activation("sum", [5], DType::F32));
    graph.add_node("add", Add::default(), &[last, last], &[sum]);
    let y = graph.add_tensor(Tensor::activation("y", [5], DType::F32));
    graph.add_node("softmax", Activation::Softmax, &[sum], &[y]);
    graph.outputs = vec![y];
    graph.validate().expect("sound");
    graph
}

fn images() -> Vec<Vec<u8>> {
    let graph = network();
    let train = |optimizer, loss| {
        let train = Some(TrainOptions { optimizer, loss, batch: 2, ..TrainOptions::default() });
        pack(&graph, &PackOptions { train, ..PackOptions::default() }, None).expect("packs").bytes.to_vec()
    };
    let int8 = quantize(&graph, &[0.5; 72 * 4], Scheme::Int8).expect("quantises").graph;
    vec![
        train(OptimizerRecord::adam(0.01), Loss::SparseCrossEntropy),
        train(OptimizerRecord::sgd(0.01), Loss::CrossEntropy),
        pack(&int8, &PackOptions::default(), None).expect("packs").bytes.to_vec(),
    ]
}

#[test]
fn whole_images_run() {
    for image in images() {
        assert!(robust::image(&image));
    }
}

#[test]
fn damaged_images_are_refused_or_run() {
    let images = images();
    let mut rng = Rng::new(2026);
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let mut bytes = images[round as usize % images.len()].clone();
        robust::mutate(&mut bytes, &mut rng);
        // Most of the damage is made to look intact, or the checksums would hide all that lies behind them.
        if rng.below(8) != 0 {
            robust::repair_checksums(&mut bytes);
        }
        accepted += u32::from(robust::image(&bytes));
    }
    // Damaged weights and names are still images; damaged structure is not.
    println!("{accepted} of {ROUNDS} damaged images were still sound");
    assert!(accepted > ROUNDS / 20 && accepted < ROUNDS * 19 / 20, "{accepted}");
}
