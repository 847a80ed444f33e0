//! Layers that compute some rows at a time have the bits of whole ones, in less memory.

use crate::graph::ops::{
    ActivationLayer, Add, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Flatten, MaxPool2d, Padding,
};
use crate::graph::{Activation, Graph, Selection, Sequential};
use crate::image::{self, Packed, pack};
use crate::lower::{Loss, Optimize, Options, TrainOptions};
use crate::quant::{Scheme, quantize};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use proptest::prelude::*;

/// A chain of layers with windows, here and there with a sum over some of them.
fn network(seed: u64) -> Graph {
    layers(seed).build(seed).expect("a sound graph")
}

fn layers(seed: u64) -> Sequential {
    let mut rng = Rng::new(seed);
    let mut below = move |most: u32| rng.below(most) as usize;
    let (height, width) = (6 + below(14), 1 + below(8));
    let mut channels = [1, 3, 4, 8][below(4)];
    let mut net = Sequential::new([height, width, channels]);
    let (mut rows, mut columns) = (height, width);
    let activation = |n| [Activation::Linear, Activation::Relu, Activation::Relu6][n];
    for layer in 0..3 + below(4) {
        if below(5) == 0 {
            // Rows and columns stay.
            let names = ["before", "inner"].map(|name| format!("{name}{layer}"));
            let [before, inner] = names.each_ref().map(String::as_str);
            net = net
                .add_named(before, Conv2d::new(channels, [1, 1]).padding(Padding::Same))
                .add_named(inner, Conv2d::new(channels, [3, 1]).padding(Padding::Same))
                .add_reading(format!("sum{layer}"), &[before, inner], Add::default());
            continue;
        }
        let kernel = [(1 + below(4)).min(rows), (1 + below(3)).min(columns)];
        let stride = 1 + below(2);
        let padding = [Padding::Same, Padding::Valid][below(2)];
        let after = activation(below(3));
        net = match below(5) {
            0 => net.add(MaxPool2d::new(kernel).strides([stride, stride]).padding(padding)),
            1 => net.add(AveragePool2d::new(kernel).strides([stride, stride]).padding(padding)),
            2 => net.add(DepthwiseConv2d::new(kernel).strides([stride, stride]).padding(padding).activation(after)),
            3 => {
                net = net.add(ActivationLayer { function: Activation::Tanh });
                continue;
            }
            _ => {
                channels = 1 + below(9);
                net.add(Conv2d::new(channels, kernel).strides([stride, stride]).padding(padding).activation(after))
            }
        };
        let out = |input: usize, kernel: usize| match padding {
            Padding::Same => input.div_ceil(stride),
            _ => (input - kernel) / stride + 1,
        };
        (rows, columns) = (out(rows, kernel[0]), out(columns, kernel[1]));
    }
    net.add(Flatten {})
}

/// The image, and whether some layers compute some rows at a time.
fn packed(graph: &Graph, isa: IsaId, optimize: Optimize) -> (Packed, bool) {
    let packed = pack(graph, &Options { isa, optimize, ..Options::default() }, None).unwrap();
    let streams = !packed.program.infer.overlays.is_empty();
    (packed, streams)
}

/// What the host makes of some random bytes, which are sound inputs of every type here.
fn infer(packed: &Packed, seed: u64) -> Vec<u8> {
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    let mut rng = Rng::new(seed);
    let floats = image.inputs()[0].sample_bytes() == 4 * image.inputs()[0].elements as usize;
    for cell in session.input_mut(PlanKind::Infer, 0).chunks_mut(if floats { 4 } else { 1 }) {
        let value = rng.uniform_f32(-1.0, 1.0);
        let bytes = if floats { value.to_le_bytes() } else { [(100.0 * value) as i8 as u8; 4] };
        cell.copy_from_slice(&bytes[..cell.len()]);
    }
    session.infer(1).unwrap();
    session.output(0).to_vec()
}

/// Whether it streams.
fn has_the_same_bits(graph: &Graph, isa: IsaId, seed: u64) -> bool {
    let (whole, _) = packed(graph, isa, Optimize::Speed);
    let (rows, streams) = packed(graph, isa, Optimize::Ram);
    let arena = |packed: &Packed| packed.image().unwrap().arena_bytes();
    assert!(arena(&rows) <= arena(&whole));
    assert_eq!(infer(&rows, seed), infer(&whole, seed), "{}", isa.name());
    streams
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_network_keeps_its_bits(seed in 0u64..1 << 40) {
        let graph = network(seed);
        has_the_same_bits(&graph, IsaId::Scalar, seed);
        let mut rng = Rng::new(seed);
        let elements = graph.tensor(graph.inputs[0]).elements();
        let samples: Vec<f32> = (0..4 * elements).map(|_| rng.uniform_f32(-1.0, 1.0)).collect();
        let integers = quantize(&graph, &samples, Scheme::Int8).unwrap().graph;
        for isa in [IsaId::Scalar, IsaId::Dsp, IsaId::Mve, IsaId::Thumb2] {
            has_the_same_bits(&integers, isa, seed);
        }
    }
}

#[test]
fn some_networks_stream() {
    let streaming = (0..20).filter(|seed| has_the_same_bits(&network(*seed), IsaId::Scalar, *seed)).count();
    assert!(streaming >= 10, "{streaming} of 20");
}

/// Parameters after some updates of the last layers, and bytes of the arena.
fn learn(graph: &Graph, optimize: Optimize, last: usize) -> (Vec<u8>, usize) {
    let train = TrainOptions {
        optimizer: OptimizerRecord::sgd(0.1),
        loss: Loss::SparseCrossEntropy,
        layers: Some(Selection::Last(last)),
        ..TrainOptions::default()
    };
    let packed = pack(graph, &Options { optimize, train: Some(train), ..Options::default() }, None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    let mut rng = Rng::new(3);
    for label in 0..3u32 {
        for cell in session.input_mut(PlanKind::Train, 0).chunks_mut(4) {
            // As bytes they are sound inputs, too.
            cell.copy_from_slice(&rng.uniform_f32(-1.0, 1.0).to_le_bytes()[..cell.len()]);
        }
        session.target_mut().copy_from_slice(&label.to_le_bytes());
        session.train_step(1).unwrap();
    }
    (session.params().to_vec(), image.arena_bytes())
}

/// Layers that do not learn compute some rows at a time in a training plan, too.
#[test]
fn networks_learn_the_same() {
    let mut smaller = 0;
    for seed in 0..20 {
        let graph = layers(seed).add(Dense::new(3).activation(Activation::Softmax)).build(seed).unwrap();
        let mut rng = Rng::new(seed);
        let elements = graph.tensor(graph.inputs[0]).elements();
        let samples: Vec<f32> = (0..4 * elements).map(|_| rng.uniform_f32(-1.0, 1.0)).collect();
        let integers = quantize(&graph, &samples, Scheme::Int8).unwrap().graph;
        for (graph, last) in [(&graph, 1), (&graph, 2), (&integers, 1), (&integers, 2)] {
            let (whole, rows) = (learn(graph, Optimize::Speed, last), learn(graph, Optimize::Ram, last));
            assert!(rows.0 == whole.0 && rows.1 <= whole.1, "network {seed}, last {last}");
            smaller += usize::from(rows.1 < whole.1);
        }
    }
    assert!(smaller >= 20, "{smaller} of 80");
}

/// Two convolutions of large images: a few rows of what lies between them are enough.
#[test]
fn a_chain_needs_little_more_than_its_ends() {
    let graph = Sequential::new([32, 32, 1])
        .add(Conv2d::new(8, [3, 3]).padding(Padding::Same))
        .add(Conv2d::new(8, [3, 3]).padding(Padding::Same))
        .add(Conv2d::new(1, [3, 3]).strides([4, 4]).padding(Padding::Same))
        .build(1)
        .unwrap();
    assert!(has_the_same_bits(&graph, IsaId::Scalar, 1));
    let arena = |optimize| packed(&graph, IsaId::Scalar, optimize).0.image().unwrap().arena_bytes();
    let (whole, rows, ends) = (arena(Optimize::Speed), arena(Optimize::Ram), 4 * (32 * 32 + 8 * 8));
    assert_eq!(whole, 2 * 4 * 8 * 32 * 32);
    assert!(rows < ends + 12 * 4 * 8 * 32, "{rows}");
}

/// A target without room for whole layers gets rows, whatever the aim.
#[test]
fn too_small_a_target_streams() {
    let graph = network(3);
    let options = Options::default();
    let arena = |room| {
        let packed = pack(&graph, &Options { room, ..options.clone() }, None).unwrap();
        (packed.image().unwrap().arena_bytes(), !packed.program.infer.overlays.is_empty())
    };
    let (whole, _) = arena(None);
    assert_eq!(arena(Some(whole)), (whole, false));
    let (rows, streams) = arena(Some(whole - 1));
    assert!(rows < whole && streams, "{rows} of {whole}");
}
