//! Sparse updates: what is selected learns as it would beside others that are put back after every step.

use super::*;
use crate::image::{AlignedBytes, apply_params, read_source, source_bytes, with_params};

const STEPS: u64 = 5;
const SAMPLES: usize = 3;

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

fn options(layers: &str, optimizer: OptimizerRecord) -> Options {
    let mut options = train_options(optimizer, Loss::SparseCrossEntropy, SAMPLES);
    options.train.as_mut().unwrap().layers = Some(layers.parse().unwrap());
    options
}

fn feed(session: &mut dyn HostSession, step: u64) {
    let mut rng = Rng::new(100 + step);
    let x = random(&mut rng, SAMPLES * 50);
    let labels: Vec<u32> = (0..SAMPLES).map(|_| rng.below(3)).collect();
    session.input_mut(PlanKind::Train, 0)[..x.len() * 4].copy_from_slice(x.as_bytes());
    session.target_mut()[..labels.len() * 4].copy_from_slice(labels.as_bytes());
}

/// The network after some steps in which only that learns, losses, and the bytes of the arena.
fn learned(layers: &str, optimizer: OptimizerRecord) -> (Graph, Vec<f32>, usize) {
    session(&net(), &options(layers, optimizer), |packed, session| {
        let losses = (0..STEPS).map(|step| {
            feed(session, step);
            session.train_step(SAMPLES).unwrap()
        });
        let losses = losses.collect();
        let image = packed.image().unwrap();
        let mut graph = net();
        apply_params(&mut graph, &image, session.params()).unwrap();
        // The file's own graph has it as well.
        let learned = with_params(&image, session.params()).unwrap();
        let file = packed.file_bytes(&net());
        let file = AlignedBytes::copy_of(&[&learned[..], source_bytes(&file)].concat());
        assert!(read_source(&file).unwrap().tensors == graph.tensors, "{layers}");
        (graph, losses, image.arena_bytes())
    })
}

/// The same, when everything learns, but all elements that `stays` names get their old values after every step.
fn put_back(optimizer: OptimizerRecord, learns: impl Fn(&str, usize) -> bool) -> (Graph, Vec<f32>) {
    session(&net(), &options("all", optimizer), |packed, session| {
        let names = packed.metadata.params.clone();
        let image = packed.image().unwrap();
        let before = session.params().to_vec();
        let losses = (0..STEPS).map(|step| {
            feed(session, step);
            let loss = session.train_step(SAMPLES).unwrap();
            for (name, record) in names.iter().zip(image.params()) {
                for element in (0..record.bytes as usize / 4).filter(|element| !learns(name, *element)) {
                    let range = record.at.offset() + 4 * element..record.at.offset() + 4 * element + 4;
                    session.params_mut()[range.clone()].copy_from_slice(&before[range]);
                }
            }
            loss
        });
        let losses = losses.collect();
        let mut graph = net();
        apply_params(&mut graph, &image, session.params()).unwrap();
        (graph, losses)
    })
}

fn optimizers() -> [OptimizerRecord; 3] {
    [OptimizerRecord::sgd(0.1), OptimizerRecord::momentum(0.05, 0.9, true), OptimizerRecord::adam(0.01)]
}

#[test]
fn biases_alone() {
    for optimizer in optimizers() {
        let (graph, losses, arena) = learned("all:bias", optimizer);
        let expected = put_back(optimizer, |name, _| name.ends_with("bias"));
        assert!(graph == expected.0 && losses == expected.1, "the same bits");
        assert!(arena < learned("all", optimizer).2);
    }
}

#[test]
fn the_last_layers_and_named_ones() {
    for optimizer in optimizers() {
        let (graph, losses, _) = learned("last:2", optimizer);
        let expected = put_back(optimizer, |name, _| name.starts_with("dense"));
        assert!(graph == expected.0 && losses == expected.1, "the same bits");
        let (graph, ..) = learned("conv2d_1:bias,dense_1", optimizer);
        let expected = put_back(optimizer, |name, _| name.starts_with("dense_1") || name == "conv2d_1/bias");
        assert!(graph == expected.0, "the same bits");
    }
}

#[test]
fn some_channels() {
    for optimizer in optimizers() {
        // Only a sum that crosses the cut is added in another order: none here, where nothing learns below.
        let (graph, losses, _) = learned("conv2d:channels=1+3", optimizer);
        let expected = put_back(optimizer, |name, element| match name {
            "conv2d/kernel" => [1, 3].contains(&(element / 18)),
            "conv2d/bias" => [1, 3].contains(&element),
            _ => false,
        });
        assert!(graph == expected.0 && losses == expected.1, "the same bits");
    }
    // Through a cut layer gradients go in two parts, which are added.
    let sgd = OptimizerRecord::sgd(0.1);
    let (graph, ..) = learned("conv2d,dense:channels=0-2", sgd);
    let row = 3 * 3 * 5;
    let (expected, _) = put_back(sgd, |name, element| match name {
        "dense/kernel" => element < 3 * row,
        "dense/bias" => element < 3,
        _ => name.starts_with("conv2d/"),
    });
    for (found, expected) in graph.tensors.iter().zip(&expected.tensors) {
        let values = |t: &Tensor| t.data.as_ref().and_then(Data::as_f32).unwrap_or_default().to_vec();
        let pairs = values(found).into_iter().zip(values(expected));
        // Another order of sums of some ten terms near 1, a few times.
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{}: {a} {b}", found.name));
    }
}

#[test]
fn adapters() {
    let infer = |graph: &Graph, options: &Options| {
        session(graph, options, |_, session| {
            let x = random(&mut Rng::new(5), 50);
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
            session.infer(1).unwrap();
            view::<f32>(session.output(0)).to_vec()
        })
    };
    let plain = infer(&net(), &Options::default());
    for layers in ["all:lora=2", "dense:lora=1,dense_1", "conv2d_1:lora=3"] {
        let options = options(layers, OptimizerRecord::adam(0.02));
        assert_eq!(infer(&net(), &options), plain, "{layers}: nothing changes at first");
        let (graph, losses, _) = learned(layers, OptimizerRecord::adam(0.02));
        assert!(losses.iter().all(|loss| loss.is_finite()) && graph != net(), "{layers}");
        // What the device computes beside its weights, the merged weights compute.
        let beside = session(&net(), &options, |_, session| {
            for step in 0..STEPS {
                feed(session, step);
                session.train_step(SAMPLES).unwrap();
            }
            let x = random(&mut Rng::new(5), 50);
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
            session.infer(1).unwrap();
            view::<f32>(session.output(0)).to_vec()
        });
        let merged = infer(&graph, &Options::default());
        assert_ne!(merged, plain);
        // Sums of some ten terms near 1, rounded in two ways.
        beside.iter().zip(&merged).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{layers}: {a} {b}"));
    }
}

#[test]
fn nothing_below_the_first_layer_that_learns_is_differentiated() {
    let steps = |layers: &str| -> Vec<String> {
        let program = lower(&net(), &options(layers, OptimizerRecord::sgd(0.1))).unwrap();
        let train = program.train.unwrap();
        train.steps.iter().zip(&train.records).map(|(s, r)| format!("{} {}", s.layer, r.name)).collect()
    };
    let backward = |layers: &str| {
        let steps = steps(layers);
        let loss = steps.iter().position(|s| s.ends_with("SoftmaxCrossEntropy")).unwrap();
        steps[loss + 1..].to_vec()
    };
    assert_eq!(backward("last:1"), ["dense_1 DenseBackwardWeightsF32"]);
    assert_eq!(
        backward("dense:bias"),
        ["dense_1 DenseBackwardInputF32", "dense ActivationBackwardF32", "dense DenseBackwardWeightsF32"]
    );
}

#[test]
fn refusals_name_the_layer_that_was_chosen() {
    let graph = Sequential::new([6])
        .add(Dense::new(5).activation(Activation::Relu))
        .add_named("head", Dense::new(3).activation(Activation::Relu))
        .build(1)
        .unwrap();
    // The sum of layer and adapter has the layer's activation.
    let error = lower(&graph, &options("head:lora=2", OptimizerRecord::sgd(0.1))).unwrap_err().to_string();
    assert!(error.contains("loss sparse_cross_entropy cannot follow `head` (dense)"), "{error}");
    // A part of a layer.
    let mut graph = net();
    let kernel = graph.find_tensor("conv2d/kernel").unwrap();
    let tensor = graph.tensor_mut(kernel);
    tensor.data = Some(Data::I8(vec![1; tensor.elements()]));
    (tensor.dtype, tensor.quant) = (DType::I8, Some(crate::graph::Quant::per_tensor(0.1, 0)));
    let error = lower(&graph, &options("conv2d:channels=1", OptimizerRecord::sgd(0.1))).unwrap_err().to_string();
    assert!(error.starts_with("layer `conv2d`: tensor `conv2d/kernel[1..2]` is i8"), "{error}");
}
