//! Int8 networks that learn in place.

use super::*;
use crate::image::apply_params;
use crate::quant::{Scheme, quantize, to_float};

const SAMPLES: usize = 6;
const INPUT: usize = 8 * 8 * 2;

fn data(seed: u64, samples: usize) -> (Vec<f32>, Vec<u32>) {
    let mut rng = Rng::new(seed);
    let labels: Vec<u32> = (0..samples).map(|_| rng.below(4)).collect();
    // Each class has a corner that is brighter.
    let x = labels.iter().flat_map(|label| {
        let noise = random(&mut rng, INPUT);
        let bright = move |index: usize| {
            let (row, column) = (index / 16, index / 2 % 8);
            (row / 4 * 2 + column / 4) as u32 == *label
        };
        noise.into_iter().enumerate().map(move |(index, x)| 0.5 * x + if bright(index) { 0.4 } else { -0.1 })
    });
    (x.collect(), labels)
}

fn net() -> Graph {
    let float = Sequential::new([8, 8, 2])
        .add(Conv2d::new(6, [3, 3]).padding(Padding::Same).activation(crate::graph::Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same).activation(crate::graph::Activation::Relu6))
        .add(AveragePool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(8).activation(crate::graph::Activation::Tanh))
        .add(Dense::new(4).activation(crate::graph::Activation::Softmax))
        .build(3)
        .unwrap();
    quantize(&float, &data(1, 64).0, Scheme::Int8).unwrap().graph
}

fn options(layers: &str, optimizer: OptimizerRecord, batch: usize) -> Options {
    let mut options = train_options(optimizer, Loss::SparseCrossEntropy, batch);
    options.train.as_mut().unwrap().layers = Some(layers.parse().unwrap());
    options
}

/// Losses of some steps, and the bytes of what has learned.
fn learned(graph: &Graph, options: &Options, steps: u64) -> (Vec<f32>, Vec<u8>) {
    session(graph, options, |packed, session| {
        let mut losses = Vec::new();
        let batch = packed.program.train.as_ref().unwrap().samples;
        let port = packed.image().unwrap().train_inputs()[0];
        for step in 0..steps {
            let (x, labels) = data(10 + step, SAMPLES);
            for (x, labels) in x.chunks(batch * INPUT).zip(labels.chunks(batch)) {
                let x = crate::engine::encode_f32(x, &port);
                session.input_mut(PlanKind::Train, 0)[..x.len()].copy_from_slice(&x);
                session.target_mut()[..labels.len() * 4].copy_from_slice(labels.as_bytes());
                losses.push(session.train_step(labels.len()).unwrap());
            }
        }
        (losses, session.params().to_vec())
    })
}

#[test]
fn what_has_learned_infers_alike_from_flash() {
    let graph = net();
    let (x, _) = data(77, 20);
    for layers in ["all", "last:2:bias", "conv2d:channels=1-2+5,dense", "depthwise_conv2d,dense_1"] {
        let options = options(layers, OptimizerRecord::sgd(0.05), SAMPLES);
        let (losses, params) = learned(&graph, &options, 60);
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        assert!(mean(&losses[50..]) < mean(&losses[..10]), "{layers}: {losses:?}");
        let packed = image::pack(&graph, &options, None).unwrap();
        let mut after = graph.clone();
        apply_params(&mut after, &packed.image().unwrap(), &params).unwrap();
        assert_ne!(after, graph);
        let infer = |graph: &Graph, options: &Options, params: Option<&[u8]>| {
            session(graph, options, |packed, session| {
                if let Some(params) = params {
                    session.params_mut().copy_from_slice(params);
                }
                let port = packed.image().unwrap().inputs()[0];
                let one = |x: &[f32]| {
                    session.input_mut(PlanKind::Infer, 0).copy_from_slice(&crate::engine::encode_f32(x, &port));
                    session.infer(1).unwrap();
                    session.output(0).to_vec()
                };
                x.chunks(INPUT).flat_map(one).collect::<Vec<u8>>()
            })
        };
        let here = infer(&graph, &options, Some(&params));
        assert_eq!(here, infer(&after, &Options::default(), None), "{layers}");
        assert_ne!(here, infer(&graph, &Options::default(), None), "{layers}");
    }
}

#[test]
fn gradients_are_those_of_the_float_network() {
    let graph = net();
    let float = to_float(&graph).unwrap();
    // With a momentum of 0 and a rate of 1 an optimiser's state is the gradient's negative.
    let options = options("all", OptimizerRecord::momentum(1.0, 0.0, false), 64);
    let gradient = |graph: &Graph| {
        session(graph, &options, |packed, session| {
            let (x, labels) = data(5, 64);
            let port = packed.image().unwrap().train_inputs()[0];
            session.input_mut(PlanKind::Train, 0).copy_from_slice(&crate::engine::encode_f32(&x, &port));
            session.target_mut().copy_from_slice(labels.as_bytes());
            session.train_step(64).unwrap();
            view::<f32>(session.optimizer_state()).to_vec()
        })
    };
    let (integers, reals) = (gradient(&graph), gradient(&float));
    assert_eq!(integers.len(), reals.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norm = |a: &[f32]| dot(a, a).sqrt();
    let cosine = dot(&integers, &reals) / (norm(&integers) * norm(&reals));
    // What is left is the rounding of activations to eight bits.
    assert!(cosine > 0.99, "{cosine}");
    let ratio = norm(&integers) / norm(&reals);
    assert!((0.95..1.05).contains(&ratio), "{ratio}");
}

#[test]
fn bits_depend_on_no_plan() {
    let graph = net();
    let adam = OptimizerRecord::adam(0.01).with_state(embernet_core::optim::state::StateFormat::Block8);
    for optimizer in [OptimizerRecord::sgd(0.05), OptimizerRecord::momentum(0.02, 0.9, true), adam] {
        let plain = options("all", optimizer, SAMPLES);
        let expected = learned(&graph, &plain, 4);
        let apart = Options { reuse: false, ..plain.clone() };
        assert_eq!(learned(&graph, &apart, 4), expected, "buffers of their own");
        for tile in [1, 7, 64] {
            assert_eq!(learned(&graph, &Options { tile: Some(tile), ..plain.clone() }, 4), expected, "tiles of {tile}");
        }
        let mut again = plain.clone();
        again.train.as_mut().unwrap().recompute = vec!["conv2d".into(), "depthwise_conv2d".into()];
        assert_eq!(learned(&graph, &again, 4), expected, "computed again");
        let passes = options("all", optimizer.with_passes(SAMPLES as u32), 1);
        assert_eq!(learned(&graph, &passes, 4).1, expected.1, "one sample at a time");
        let isa = image::host_isa(true);
        assert_eq!(learned(&graph, &Options { isa, ..plain }, 4), expected, "{isa:?}");
    }
}

#[test]
fn integers_without_a_way_to_learn_are_refused() {
    let graph = net();
    let refused = |layers: &str| image::pack(&graph, &options(layers, OptimizerRecord::sgd(0.1), 1), None).unwrap_err();
    let error = format!("{:?}", refused("dense:lora=2"));
    assert!(error.contains("its weights are i8"), "{error}");
}
